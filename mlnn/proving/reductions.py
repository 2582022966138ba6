"""Operations that reach across entries: sums, softmax, picking and joining; by torch's name, as the shadows of what they give."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mlnn.proving.algebra import mul
from mlnn.proving.classwise import OF_CLASSES
from mlnn.proving.core import choose, logaddexp, maximum, minimum
from mlnn.proving.dtypes import either, truth
from mlnn.proving.exact import exact
from mlnn.proving.graph import Graph, Id
from mlnn.proving.shadows import Shadows, each, over, pairs, plain


def summed(g: Graph, row: list[Id]) -> Id:
    """A sum; of switches that look at one thing a switch of sums, so that how many are the largest is seen to be above zero."""
    nodes = [g.nodes[one] for one in row]
    looks = {node.args[0] if node.op == "switch" else None for node in nodes}
    if len(row) > 1 and len(looks) == 1 and None not in looks:
        below, at, above = (summed(g, [node.args[place] for node in nodes]) for place in (1, 2, 3))
        return g.switch(nodes[0].args[0], below, at, above)
    return g.linear([(Fraction(1), one) for one in row])


def _sum(at: Shadows, self: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> list[Tensor]:
    return [over(at.shadow(self), dim, keepdim, lambda row: summed(at.graph, row))]


def _mean(at: Shadows, self: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> list[Tensor]:
    def mean(row: list[Id]) -> Id:
        return at.graph.linear([(Fraction(1, len(row)), one) for one in row])

    return [over(at.shadow(self), dim, keepdim, mean)]


def _folded(
    rule: Callable[[Graph, Id, Id], Id], first: Callable[[Graph, Id], Id] = lambda _, one: one
) -> Callable[..., list[Tensor]]:
    def rule_over(at: Shadows, self: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> list[Tensor]:
        def fold(row: list[Id]) -> Id:
            found = first(at.graph, row[0])
            for one in row[1:]:
                found = rule(at.graph, found, one)
            return found

        return [over(at.shadow(self), dim, keepdim, fold)]

    return rule_over


def _gather(at: Shadows, self: Tensor, dim: int, index: Tensor, sparse_grad: bool = False) -> list[Tensor]:
    return [at.shadow(self).gather(dim, plain(at, index))]


def _index(at: Shadows, self: Tensor, indices: Any) -> list[Tensor]:
    places = [None if one is None else plain(at, one) for one in indices]
    return [torch.ops.aten.index.Tensor(at.shadow(self), places)]


def _scatter(at: Shadows, self: Tensor, dim: int, index: Tensor, src: Any = None, value: Any = None) -> list[Tensor]:
    given = at.shadow(src) if isinstance(src, Tensor) else torch.full(index.shape, at.graph.const(value))
    if at.hangs_on_output(index):
        return [_placed(at, self, dim, index, given)]
    places = plain(at, index)
    return [at.shadow(self).scatter(dim, places, given)]


def _index_put(
    at: Shadows, self: Tensor, indices: Any, values: Tensor, accumulate: bool = False, **_: Any
) -> list[Tensor]:
    shadow = at.shadow(self).clone()
    if not accumulate and values.numel() == 1 and len(indices) == 1 and indices[0].dtype == torch.bool:
        return [_masked(at, shadow, at.shadow(indices[0]), int(at.shadow(values)))]
    places = torch.arange(shadow.numel()).reshape(shadow.shape)
    given_places = [None if one is None else plain(at, one) for one in indices]
    where = torch.ops.aten.index.Tensor(places, given_places)
    flat, given = shadow.flatten(), at.shadow(values).expand(where.shape)
    for place, one in zip(where.flatten().tolist(), given.flatten().tolist(), strict=True):
        flat[place] = at.graph.add(int(flat[place]), one) if accumulate else one
    return [flat.reshape(shadow.shape)]


def _masked(at: Shadows, shadow: Tensor, mask: Tensor, value: Id) -> Tensor:
    """One number wherever a mask of the first dimensions holds, which may hang on the raw output."""
    whole = mask.reshape(*mask.shape, *[1] * (shadow.dim() - mask.dim())).expand(shadow.shape)
    found = [
        choose(at.graph, int(true), value, int(one))
        for true, one in zip(whole.flatten(), shadow.flatten(), strict=True)
    ]
    return torch.tensor(found, dtype=torch.int64).reshape(shadow.shape)


def _scatter_add(at: Shadows, self: Tensor, dim: int, index: Tensor, src: Tensor) -> list[Tensor]:
    shadow, places = at.shadow(self).clone(), plain(at, index)
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
    return choose(g, left, truth(g, right), g.zero)


def _moved(op: Any) -> Callable[..., list[Tensor]]:
    """An operation that puts entries elsewhere, and zeros where none are."""
    return lambda at, self, *rest, **named: [op(at.shadow(self), *rest, **named)]


def _padded(at: Shadows, self: Tensor, pad: Any, value: Any = 0) -> list[Tensor]:
    return [torch.constant_pad_nd(at.shadow(self), pad, at.graph.const(value))]


def _product_of(at: Shadows, self: Tensor, mat2: Tensor) -> list[Tensor]:
    """Of matrices, or of a batch of them."""
    left, right, g = at.shadow(self), at.shadow(mat2), at.graph
    terms = pairs(left.unsqueeze(-1), right.unsqueeze(-3), partial(mul, g))
    return [over(terms, -2, False, lambda row: g.linear([(Fraction(1), one) for one in row]))]


def _spread(at: Shadows, self: Tensor, dim: Any = None, correction: Any = None, keepdim: bool = False) -> Tensor:
    """The variance along some axes, over n − correction (1 unless said)."""

    def spread(row: list[Id]) -> Id:
        g, share = at.graph, Fraction(1, len(row))
        mean = g.linear([(share, one) for one in row])
        over = Fraction(len(row)) - exact(1 if correction is None else correction)
        if over <= 0:
            raise NotImplementedError("a variance of too few numbers")
        return g.linear([(1 / over, mul(g, off, off)) for off in (g.sub(one, mean) for one in row)])

    return over(at.shadow(self), dim, keepdim, spread)


def _scanned(rule: Callable[[Graph, Id, Id], Id]) -> Callable[..., list[Tensor]]:
    """What has come together up to each place along an axis."""

    def rule_over(at: Shadows, self: Tensor, dim: int, **_: Any) -> list[Tensor]:
        columns = list(at.shadow(self).unbind(dim)) if self.ndim else [at.shadow(self)]
        found = columns[:1]
        for column in columns[1:]:
            found.append(pairs(found[-1], column, partial(rule, at.graph)))
        return [torch.stack(found, dim) if self.ndim else found[0]]

    return rule_over


LOWEST = Fraction(-1e300)
"""Below it a constant stands for −∞ in a sum of exponentials: torch's own backward pass has the least float there, of entries that
nothing comes down to."""


def _log_scanned(at: Shadows, self: Tensor, dim: int, **_: Any) -> list[Tensor]:
    """The logarithm of the sum of exponentials up to each place along an axis."""
    g = at.graph

    def endless(one: Id) -> Id:
        return g.lost if (node := g.nodes[one]).op == "lin" and node.numbers[0] < LOWEST else one

    def added(_: Graph, left: Id, right: Id) -> Id:
        return left if right == g.lost else right if left == g.lost else logaddexp(g, left, right)

    columns = [each(one, endless) for one in (at.shadow(self).unbind(dim) if self.ndim else [at.shadow(self)])]
    found = columns[:1]
    for column in columns[1:]:
        found.append(pairs(found[-1], column, partial(added, g)))
    return [torch.stack(found, dim) if self.ndim else found[0]]


def _which(g: Graph, row: list[Id], rule: Callable[[Graph, Id, Id], Id]) -> Id:
    """The place of the largest or smallest of a row, the first of several."""
    best, place = row[0], g.zero
    for number, one in enumerate(row[1:], 1):
        first = g.sub(best, one) if rule is maximum else g.sub(one, best)
        best, place = rule(g, best, one), g.switch(first, g.const(number), place, place)
    return place


def _chosen(rule: Callable[[Graph, Id, Id], Id]) -> Callable[..., list[Tensor]]:
    """The largest or smallest along an axis, and which it is."""

    def rule_over(at: Shadows, self: Tensor, dim: int, keepdim: bool = False) -> list[Tensor]:
        values = _folded(rule)(at, self, dim, keepdim)
        return [*values, over(at.shadow(self), dim, keepdim, lambda row: _which(at.graph, row, rule))]

    return rule_over


def _argmax(at: Shadows, self: Tensor, dim: Any = None, keepdim: bool = False) -> list[Tensor]:
    return [over(at.shadow(self), dim, keepdim, lambda row: _which(at.graph, row, maximum))]


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
    "any": _folded(either, truth),
    "all": _folded(_both, truth),
    "_is_all_true": _folded(_both, truth),
    **OF_CLASSES,
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
    "logcumsumexp": _log_scanned,
    "slice_backward": _backward_of_view(torch.ops.aten.slice.Tensor),
}
"""By torch's name: (shadows, its arguments by torch's names) → the shadows of its answers."""
