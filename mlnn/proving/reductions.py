"""Operations that reach across entries: sums, softmax, picking and joining; by torch's name, as the shadows of what they give."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mlnn.proving.algebra import div, exp, log, lost, mul
from mlnn.proving.core import choose, logaddexp, maximum, minimum
from mlnn.proving.graph import Graph, Id, exact
from mlnn.proving.shadows import MEAN, SUM, LostError, Shadows, each, reduced


def _over(shadow: Tensor, dim: Any, keepdim: bool, rule: Callable[[list[Id]], Id]) -> Tensor:
    """A rule over the entries along some axes (none named: all)."""
    axes = [dim] if isinstance(dim, int) else list(dim or range(shadow.ndim))
    axes = sorted({axis % max(shadow.ndim, 1) for axis in axes}) if shadow.ndim else []
    kept = [axis for axis in range(shadow.ndim) if axis not in axes]
    turned = shadow.permute([*kept, *axes]).reshape([shadow.shape[axis] for axis in kept] + [-1])
    rows = turned.reshape(-1, turned.shape[-1]).tolist() if turned.ndim > 1 else [turned.tolist()]
    found = torch.tensor([rule(row) for row in rows], dtype=torch.int64)
    shape = [1 if axis in axes else shadow.shape[axis] for axis in range(shadow.ndim)]
    return found.reshape(shape if keepdim else [shadow.shape[axis] for axis in kept])


def summed(g: Graph, row: list[Id]) -> Id:
    """A sum; of switches that look at one thing a switch of sums, so that how many are the largest is seen to be above zero."""
    nodes = [g.nodes[one] for one in row]
    looks = {node.args[0] if node.op == "switch" else None for node in nodes}
    if len(row) > 1 and len(looks) == 1 and None not in looks:
        below, at, above = (summed(g, [node.args[place] for node in nodes]) for place in (1, 2, 3))
        return g.switch(nodes[0].args[0], below, at, above)
    return g.linear([(Fraction(1), one) for one in row])


def _sum(at: Shadows, self: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> list[Tensor]:
    return [_over(at.shadow(self), dim, keepdim, lambda row: summed(at.graph, row))]


def _mean(at: Shadows, self: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> list[Tensor]:
    def mean(row: list[Id]) -> Id:
        return at.graph.linear([(Fraction(1, len(row)), one) for one in row])

    return [_over(at.shadow(self), dim, keepdim, mean)]


def _folded(rule: Callable[[Graph, Id, Id], Id]) -> Callable[..., list[Tensor]]:
    def over(at: Shadows, self: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> list[Tensor]:
        def fold(row: list[Id]) -> Id:
            found = row[0]
            for one in row[1:]:
                found = rule(at.graph, found, one)
            return found

        return [_over(at.shadow(self), dim, keepdim, fold)]

    return over


def logsumexp_of(g: Graph, row: list[Id]) -> Id:
    """log Σ e^x; of two, a + log(1 + e^(b−a))."""
    row = [one for one in row if not lost(g, one)] or row
    if len(row) == 1:
        return row[0]
    first = row[0]
    return g.add(first, log(g, g.linear([(Fraction(1), exp(g, g.sub(one, first))) for one in row[1:]], 1)))


def _logsumexp(at: Shadows, self: Tensor, dim: Any, keepdim: bool = False) -> list[Tensor]:
    return [_over(at.shadow(self), dim, keepdim, lambda row: logsumexp_of(at.graph, row))]


def _log_softmax(at: Shadows, self: Tensor, dim: int, half_to_float: bool = False) -> list[Tensor]:
    shadow, g = at.shadow(self), at.graph
    total = _over(shadow, dim, True, lambda row: logsumexp_of(g, row)) if shadow.ndim else shadow
    return [_pairs(shadow, total, g.sub)]


def _softmax(at: Shadows, self: Tensor, dim: int, half_to_float: bool = False) -> list[Tensor]:
    return [each(_log_softmax(at, self, dim)[0], lambda one: exp(at.graph, one))]


def _log_softmax_backward(at: Shadows, grad_output: Tensor, output: Tensor, dim: int, input_dtype: Any) -> list[Tensor]:
    g, given, shadow = at.graph, at.shadow(grad_output), at.shadow(output)
    total = _over(given, dim, True, lambda row: g.linear([(Fraction(1), one) for one in row]))
    return [_pairs(given, _pairs(shadow, total, lambda one, all_: mul(g, exp(g, one), all_)), g.sub)]


def _softmax_backward(at: Shadows, grad_output: Tensor, output: Tensor, dim: int, input_dtype: Any) -> list[Tensor]:
    g, given, shadow = at.graph, at.shadow(grad_output), at.shadow(output)
    products = _pairs(given, shadow, partial(mul, g))
    total = _over(products, dim, True, lambda row: g.linear([(Fraction(1), one) for one in row]))
    return [_pairs(shadow, _pairs(given, total, g.sub), partial(mul, g))]


def _pairs(left: Tensor, right: Tensor, rule: Callable[[Id, Id], Id]) -> Tensor:
    left, right = torch.broadcast_tensors(left, right)
    found = [rule(one, other) for one, other in zip(left.flatten().tolist(), right.flatten().tolist(), strict=True)]
    return torch.tensor(found, dtype=torch.int64).reshape(left.shape)


def _plain(at: Shadows, index: Tensor) -> Tensor:
    """Places that are picked, which may hang on targets but not on raw outputs."""
    if at.hangs_on_output(index):
        raise LostError("what is picked hangs on the raw output")
    at.note_read(index)
    return index.detach()


def _nll(
    at: Shadows, self: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int
) -> list[Tensor]:
    """−weight·(entry of the target), 0 of one that is ignored; and the sum of the weights, which a mean is over."""
    counted = _counted(at, self, target, weight, ignore_index)
    places = _plain(at, target).clamp(0, self.shape[-1] - 1).unsqueeze(-1)
    picked = at.shadow(self).gather(-1, places).squeeze(-1)
    found = _pairs(counted, picked, lambda one, other: at.graph.neg(mul(at.graph, one, other)))
    total = at.graph.linear([(Fraction(1), one) for one in counted.flatten().tolist()])
    if reduction == MEAN:
        summed_up = reduced(at, found, SUM)
        return [each(summed_up, lambda one: div(at.graph, one, total)), torch.tensor(total)]
    return [reduced(at, found, reduction), torch.tensor(total)]


def _counted(at: Shadows, self: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """What each row counts."""
    places = _plain(at, target)
    ones = torch.full(self.shape[-1:], at.graph.one) if weight is None else at.shadow(weight)
    found = ones[places.clamp(0, self.shape[-1] - 1)]
    return torch.where(places == ignore_index, torch.full_like(found, at.graph.zero), found)


def _nll_backward(
    at: Shadows, grad_output: Tensor, self: Tensor, target: Tensor, weight: Tensor | None, reduction: int,
    ignore_index: int, total_weight: Tensor,
) -> list[Tensor]:  # fmt: skip
    counted, g = _counted(at, self, target, weight, ignore_index), at.graph
    given = _pairs(at.shadow(grad_output), counted, lambda one, other: g.neg(mul(g, one, other)))
    if reduction == MEAN:
        total = g.linear([(Fraction(1), one) for one in counted.flatten().tolist()])
        given = each(given, lambda one: div(g, one, total))
    places = _plain(at, target).clamp(0, self.shape[-1] - 1).unsqueeze(-1)
    return [torch.full(self.shape, g.zero).scatter(-1, places, given.unsqueeze(-1))]


def _multi_margin_backward(
    at: Shadows, grad_output: Tensor, self: Tensor, target: Tensor, p: Any, margin: Any, weight: Tensor | None = None,
    reduction: int = MEAN,
) -> list[Tensor]:  # fmt: skip
    """Of each class beyond the margin its share, 0 at the margin itself; of the target's class minus all of them."""
    g, shadow = at.graph, at.shadow(self)
    rows, places = shadow.reshape(-1, shadow.shape[-1]), _plain(at, target).reshape(-1)
    given = at.shadow(grad_output).reshape(-1).expand(len(places)).tolist()
    share = Fraction(1, rows.shape[1] * (len(places) if reduction == MEAN else 1))
    found = torch.full_like(rows, g.zero)
    for row, (own, upstream) in enumerate(zip(places.tolist(), given, strict=True)):
        factor = g.scale(share * exact(p), upstream if weight is None else mul(g, upstream, int(at.shadow(weight)[own])))
        for place in range(rows.shape[1]):
            beyond = g.linear([(Fraction(1), int(rows[row, place])), (Fraction(-1), int(rows[row, own]))], margin)
            step = factor if p == 1 else mul(g, factor, beyond)
            if place != own:
                found[row, place] = g.switch(beyond, g.zero, g.zero, step)
        found[row, own] = g.neg(g.linear([(Fraction(1), one) for one in found[row].tolist()]))
    return [found.reshape(shadow.shape)]


def _gather(at: Shadows, self: Tensor, dim: int, index: Tensor, sparse_grad: bool = False) -> list[Tensor]:
    return [at.shadow(self).gather(dim, _plain(at, index))]


def _index(at: Shadows, self: Tensor, indices: Any) -> list[Tensor]:
    places = [None if one is None else _plain(at, one) for one in indices]
    return [torch.ops.aten.index.Tensor(at.shadow(self), places)]


def _scatter(at: Shadows, self: Tensor, dim: int, index: Tensor, src: Any = None, value: Any = None) -> list[Tensor]:
    given = at.shadow(src) if isinstance(src, Tensor) else torch.full(index.shape, at.graph.const(value))
    if at.hangs_on_output(index):
        return [_placed(at, self, dim, index, given)]
    places = _plain(at, index)
    return [at.shadow(self).scatter(dim, places, given)]


def _index_put(
    at: Shadows, self: Tensor, indices: Any, values: Tensor, accumulate: bool = False, **_: Any
) -> list[Tensor]:
    shadow = at.shadow(self).clone()
    places = torch.arange(shadow.numel()).reshape(shadow.shape)
    plain = [None if one is None else _plain(at, one) for one in indices]
    where = torch.ops.aten.index.Tensor(places, plain)
    flat, given = shadow.flatten(), at.shadow(values).expand(where.shape)
    for place, one in zip(where.flatten().tolist(), given.flatten().tolist(), strict=True):
        flat[place] = at.graph.add(int(flat[place]), one) if accumulate else one
    return [flat.reshape(shadow.shape)]


def _scatter_add(at: Shadows, self: Tensor, dim: int, index: Tensor, src: Tensor) -> list[Tensor]:
    shadow, places = at.shadow(self).clone(), _plain(at, index)
    flat = shadow.flatten()
    where = torch.arange(flat.numel()).reshape(shadow.shape).gather(dim, places)
    given = at.shadow(src)[tuple(slice(size) for size in places.shape)]
    for place, one in zip(where.flatten().tolist(), given.flatten().tolist(), strict=True):
        flat[place] = at.graph.add(int(flat[place]), one)
    return [flat.reshape(shadow.shape)]


def _cat(at: Shadows, tensors: Any, dim: int = 0) -> list[Tensor]:
    return [torch.cat([at.shadow(one) for one in tensors], dim)]


def _stack(at: Shadows, tensors: Any, dim: int = 0) -> list[Tensor]:
    return [torch.stack([at.shadow(one) for one in tensors], dim)]


def _backward_of_view(op: Any) -> Callable[..., list[Tensor]]:
    def rule(at: Shadows, grad_output: Tensor, **named: Any) -> list[Tensor]:
        sizes = named.pop("input_sizes")
        places = torch.arange(1, 1 + torch.Size(sizes).numel()).reshape(sizes)
        where = op(places, *named.values())
        flat = torch.full((torch.Size(sizes).numel(),), at.graph.zero)
        flat[where.flatten() - 1] = at.shadow(grad_output).flatten()
        return [flat.reshape(sizes)]

    return rule


def _both(g: Graph, left: Id, right: Id) -> Id:
    return choose(g, left, right, g.zero)


def _moved(op: Any) -> Callable[..., list[Tensor]]:
    """An operation that puts entries elsewhere, and zeros where none are."""
    return lambda at, self, *rest, **named: [op(at.shadow(self), *rest, **named)]


def _padded(at: Shadows, self: Tensor, pad: Any, value: Any = 0) -> list[Tensor]:
    return [torch.constant_pad_nd(at.shadow(self), pad, at.graph.const(value))]


def _product_of(at: Shadows, self: Tensor, mat2: Tensor) -> list[Tensor]:
    """Of matrices, or of a batch of them."""
    left, right, g = at.shadow(self), at.shadow(mat2), at.graph
    terms = _pairs(left.unsqueeze(-1), right.unsqueeze(-3), partial(mul, g))
    return [_over(terms, -2, False, lambda row: g.linear([(Fraction(1), one) for one in row]))]


def _spread(at: Shadows, self: Tensor, dim: Any = None, correction: Any = None, keepdim: bool = False) -> Tensor:
    """The variance along some axes, over n − correction (1 unless said)."""

    def spread(row: list[Id]) -> Id:
        g, share = at.graph, Fraction(1, len(row))
        mean = g.linear([(share, one) for one in row])
        over = Fraction(len(row)) - exact(1 if correction is None else correction)
        if over <= 0:
            raise NotImplementedError("a variance of too few numbers")
        return g.linear([(1 / over, mul(g, off, off)) for off in (g.sub(one, mean) for one in row)])

    return _over(at.shadow(self), dim, keepdim, spread)


def _scanned(rule: Callable[[Graph, Id, Id], Id]) -> Callable[..., list[Tensor]]:
    """What has come together up to each place along an axis."""

    def over(at: Shadows, self: Tensor, dim: int, **_: Any) -> list[Tensor]:
        columns = list(at.shadow(self).unbind(dim)) if self.ndim else [at.shadow(self)]
        found = columns[:1]
        for column in columns[1:]:
            found.append(_pairs(found[-1], column, partial(rule, at.graph)))
        return [torch.stack(found, dim) if self.ndim else found[0]]

    return over


def _which(g: Graph, row: list[Id], rule: Callable[[Graph, Id, Id], Id]) -> Id:
    """The place of the largest or smallest of a row, the first of several."""
    best, place = row[0], g.zero
    for number, one in enumerate(row[1:], 1):
        first = g.sub(best, one) if rule is maximum else g.sub(one, best)
        best, place = rule(g, best, one), g.switch(first, g.const(number), place, place)
    return place


def _chosen(rule: Callable[[Graph, Id, Id], Id]) -> Callable[..., list[Tensor]]:
    """The largest or smallest along an axis, and which it is."""

    def over(at: Shadows, self: Tensor, dim: int, keepdim: bool = False) -> list[Tensor]:
        values = _folded(rule)(at, self, dim, keepdim)
        return [*values, _over(at.shadow(self), dim, keepdim, lambda row: _which(at.graph, row, rule))]

    return over


def _argmax(at: Shadows, self: Tensor, dim: Any = None, keepdim: bool = False) -> list[Tensor]:
    return [_over(at.shadow(self), dim, keepdim, lambda row: _which(at.graph, row, maximum))]


def _placed(at: Shadows, self: Tensor, dim: int, index: Tensor, given: Tensor) -> Tensor:
    """A scatter to places that hang on the raw output: each entry is the given one where it is the place, else as it was."""
    g = at.graph
    found, where = at.shadow(self).movedim(dim, -1).clone(), at.shadow(index).movedim(dim, -1)
    source = given.expand(index.shape).movedim(dim, -1)
    rows = zip(found.reshape(-1, found.shape[-1]), where.reshape(-1, where.shape[-1]), source.reshape(-1, where.shape[-1]),
               strict=True)  # fmt: skip
    for row, places, new in rows:
        for number in range(len(row)):
            for place, one in zip(places.tolist(), new.tolist(), strict=True):
                off = g.linear([(Fraction(1), place)], -number)
                row[number] = g.switch(off, int(row[number]), one, int(row[number]))
    return found.movedim(-1, dim)


SHAPED: dict[str, Callable[..., list[Tensor]]] = {
    "sum": _sum,
    "prims::sum": lambda at, inp, dims=None, **_: _sum(at, inp, dims),
    "mean": _mean,
    "amax": _folded(maximum),
    "amin": _folded(minimum),
    "max": _chosen(maximum),
    "argmax": _argmax,
    "min": _chosen(minimum),
    "prod": _folded(mul),
    "any": _folded(lambda g, left, right: choose(g, left, g.one, right)),
    "all": _folded(_both),
    "_is_all_true": _folded(_both),
    "logsumexp": _logsumexp,
    "_log_softmax": _log_softmax,
    "_softmax": _softmax,
    "_log_softmax_backward_data": _log_softmax_backward,
    "_softmax_backward_data": _softmax_backward,
    "nll_loss_forward": _nll,
    "nll_loss_backward": _nll_backward,
    "multi_margin_loss_backward": _multi_margin_backward,
    "gather": _gather,
    "index": _index,
    "scatter": _scatter,
    "scatter_add": _scatter_add,
    "index_put": _index_put,
    "cat": _cat,
    "stack": _stack,
    "flip": _moved(torch.flip),
    "roll": _moved(torch.roll),
    "repeat": _moved(Tensor.repeat),
    "tril": _moved(torch.tril),
    "triu": _moved(torch.triu),
    "constant_pad_nd": _padded,
    "mm": _product_of,
    "bmm": _product_of,
    "var": lambda at, self, dim=None, correction=None, keepdim=False: [_spread(at, self, dim, correction, keepdim)],
    "prims::var": lambda at, inp, dims=None, correction=1, **_: [_spread(at, inp, dims, correction)],
    "cumsum": _scanned(lambda g, left, right: g.add(left, right)),
    "cumprod": _scanned(mul),
    "logcumsumexp": _scanned(logaddexp),
    "slice_backward": _backward_of_view(torch.ops.aten.slice.Tensor),
}
"""By torch's name: (shadows, its arguments by torch's names) → the shadows of its answers."""
