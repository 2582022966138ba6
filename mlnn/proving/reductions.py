"""Operations that reach across entries: sums, softmax, picking and joining; by torch's name, as the shadows of what they give."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mlnn.proving.algebra import exp, log, mul
from mlnn.proving.core import choose, maximum
from mlnn.proving.graph import Graph, Id
from mlnn.proving.shadows import MEAN, LostError, Shadows, each, reduced


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


def _nll(at: Shadows, self: Tensor, target: Tensor, weight: Any, reduction: int, ignore_index: int) -> list[Tensor]:
    if weight is not None:
        raise NotImplementedError("weights of classes")
    picked = _gathered(at, self, _plain(at, target))
    found = each(picked, at.graph.neg)
    if bool((target == ignore_index).any()):
        raise NotImplementedError("a target that is ignored")
    return [reduced(at, found, reduction), torch.tensor(at.graph.const(float(target.numel())))]


def _gathered(at: Shadows, self: Tensor, target: Tensor) -> Tensor:
    shadow = at.shadow(self)
    return shadow.gather(-1, target.unsqueeze(-1)).squeeze(-1)


def _nll_backward(
    at: Shadows, grad_output: Tensor, self: Tensor, target: Tensor, weight: Any, reduction: int, **_: Any
) -> list[Tensor]:
    if weight is not None:
        raise NotImplementedError("weights of classes")
    given = each(at.shadow(grad_output), at.graph.neg)
    if reduction == MEAN:
        given = each(given, lambda one: at.graph.scale(Fraction(1, target.numel()), one))
    places = _plain(at, target).unsqueeze(-1)
    found = torch.full(self.shape, at.graph.zero)
    return [found.scatter(-1, places, given.expand(target.shape).unsqueeze(-1))]


def _gather(at: Shadows, self: Tensor, dim: int, index: Tensor, sparse_grad: bool = False) -> list[Tensor]:
    return [at.shadow(self).gather(dim, _plain(at, index))]


def _index(at: Shadows, self: Tensor, indices: Any) -> list[Tensor]:
    places = [None if one is None else _plain(at, one) for one in indices]
    return [torch.ops.aten.index.Tensor(at.shadow(self), places)]


def _scatter(at: Shadows, self: Tensor, dim: int, index: Tensor, src: Any = None, value: Any = None) -> list[Tensor]:
    places = _plain(at, index)
    given = at.shadow(src) if isinstance(src, Tensor) else torch.full(places.shape, at.graph.const(value))
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


SHAPED: dict[str, Callable[..., list[Tensor]]] = {
    "sum": _sum,
    "mean": _mean,
    "amax": _folded(maximum),
    "amin": _folded(lambda g, left, right: g.neg(maximum(g, g.neg(left), g.neg(right)))),
    "prod": _folded(mul),
    "any": _folded(lambda g, left, right: choose(g, left, g.one, right)),
    "all": _folded(lambda g, left, right: choose(g, left, right, g.zero)),
    "logsumexp": _logsumexp,
    "_log_softmax": _log_softmax,
    "_softmax": _softmax,
    "_log_softmax_backward_data": _log_softmax_backward,
    "_softmax_backward_data": _softmax_backward,
    "nll_loss_forward": _nll,
    "nll_loss_backward": _nll_backward,
    "gather": _gather,
    "index": _index,
    "scatter": _scatter,
    "scatter_add": _scatter_add,
    "index_put": _index_put,
    "cat": _cat,
    "stack": _stack,
    "slice_backward": _backward_of_view(torch.ops.aten.slice.Tensor),
}
"""By torch's name: (shadows, its arguments by torch's names) → the shadows of its answers."""
