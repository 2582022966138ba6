"""Operations of several classes: softmax, the entry of the target's class, margins; as the shadows of what they give."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mlnn.proving.algebra import div, exp, log, mul
from mlnn.proving.exact import exact
from mlnn.proving.graph import Graph, Id
from mlnn.proving.shadows import MEAN, SUM, Shadows, each, over, pairs, plain, reduced
from mlnn.proving.shapes import is_lost


def logsumexp_of(g: Graph, row: list[Id]) -> Id:
    """log Σ e^x; of two, a + log(1 + e^(b−a))."""
    row = [one for one in row if not is_lost(g, one)] or row
    if len(row) == 1:
        return row[0]
    first = row[0]
    return g.add(first, log(g, g.linear([(Fraction(1), exp(g, g.sub(one, first))) for one in row[1:]], 1)))


def _logsumexp(at: Shadows, self: Tensor, dim: Any, keepdim: bool = False) -> list[Tensor]:
    return [over(at.shadow(self), dim, keepdim, lambda row: logsumexp_of(at.graph, row))]


def _log_softmax(at: Shadows, self: Tensor, dim: int, half_to_float: bool = False) -> list[Tensor]:
    shadow, g = at.shadow(self), at.graph
    total = over(shadow, dim, True, lambda row: logsumexp_of(g, row)) if shadow.ndim else shadow
    return [pairs(shadow, total, g.sub)]


def _softmax(at: Shadows, self: Tensor, dim: int, half_to_float: bool = False) -> list[Tensor]:
    return [each(_log_softmax(at, self, dim)[0], lambda one: exp(at.graph, one))]


def _log_softmax_backward(at: Shadows, grad_output: Tensor, output: Tensor, dim: int, input_dtype: Any) -> list[Tensor]:
    g, given, shadow = at.graph, at.shadow(grad_output), at.shadow(output)
    total = over(given, dim, True, lambda row: g.linear([(Fraction(1), one) for one in row]))
    return [pairs(given, pairs(shadow, total, lambda one, all_: mul(g, exp(g, one), all_)), g.sub)]


def _softmax_backward(at: Shadows, grad_output: Tensor, output: Tensor, dim: int, input_dtype: Any) -> list[Tensor]:
    g, given, shadow = at.graph, at.shadow(grad_output), at.shadow(output)
    products = pairs(given, shadow, partial(mul, g))
    total = over(products, dim, True, lambda row: g.linear([(Fraction(1), one) for one in row]))
    return [pairs(shadow, pairs(given, total, g.sub), partial(mul, g))]


def _nll(
    at: Shadows, self: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int
) -> list[Tensor]:
    """−weight·(entry of the target), 0 of one that is ignored; and the sum of the weights, which a mean is over."""
    counted = _counted(at, self, target, weight, ignore_index)
    places = plain(at, target).clamp(0, self.shape[-1] - 1).unsqueeze(-1)
    picked = at.shadow(self).gather(-1, places).squeeze(-1)
    found = pairs(counted, picked, lambda one, other: at.graph.neg(mul(at.graph, one, other)))
    total = at.graph.linear([(Fraction(1), one) for one in counted.flatten().tolist()])
    if reduction == MEAN:
        summed_up = reduced(at, found, SUM)
        return [each(summed_up, lambda one: div(at.graph, one, total)), torch.tensor(total)]
    return [reduced(at, found, reduction), torch.tensor(total)]


def _counted(at: Shadows, self: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """What each row counts."""
    places = plain(at, target)
    ones = torch.full(self.shape[-1:], at.graph.one) if weight is None else at.shadow(weight)
    found = ones[places.clamp(0, self.shape[-1] - 1)]
    return torch.where(places == ignore_index, torch.full_like(found, at.graph.zero), found)


def _nll_backward(
    at: Shadows, grad_output: Tensor, self: Tensor, target: Tensor, weight: Tensor | None, reduction: int,
    ignore_index: int, total_weight: Tensor,
) -> list[Tensor]:  # fmt: skip
    counted, g = _counted(at, self, target, weight, ignore_index), at.graph
    given = pairs(at.shadow(grad_output), counted, lambda one, other: g.neg(mul(g, one, other)))
    if reduction == MEAN:
        total = g.linear([(Fraction(1), one) for one in counted.flatten().tolist()])
        given = each(given, lambda one: div(g, one, total))
    places = plain(at, target).clamp(0, self.shape[-1] - 1).unsqueeze(-1)
    return [torch.full(self.shape, g.zero).scatter(-1, places, given.unsqueeze(-1))]


def _multi_margin_backward(
    at: Shadows, grad_output: Tensor, self: Tensor, target: Tensor, p: Any, margin: Any, weight: Tensor | None = None,
    reduction: int = MEAN,
) -> list[Tensor]:  # fmt: skip
    """Of each class beyond the margin its share, 0 at the margin itself; of the target's class minus all of them."""
    g, shadow = at.graph, at.shadow(self)
    rows, places = shadow.reshape(-1, shadow.shape[-1]), plain(at, target).reshape(-1)
    given = at.shadow(grad_output).reshape(-1).expand(len(places)).tolist()
    share = Fraction(1, rows.shape[1] * (len(places) if reduction == MEAN else 1))
    found = torch.full_like(rows, g.zero)
    for row, (own, upstream) in enumerate(zip(places.tolist(), given, strict=True)):
        factor = g.scale(
            share * exact(p), upstream if weight is None else mul(g, upstream, int(at.shadow(weight)[own]))
        )
        for place in range(rows.shape[1]):
            beyond = g.linear([(Fraction(1), int(rows[row, place])), (Fraction(-1), int(rows[row, own]))], margin)
            step = factor if p == 1 else mul(g, factor, beyond)
            if place != own:
                found[row, place] = g.switch(beyond, g.zero, g.zero, step)
        found[row, own] = g.neg(g.linear([(Fraction(1), one) for one in found[row].tolist()]))
    return [found.reshape(shadow.shape)]


OF_CLASSES: dict[str, Callable[..., list[Tensor]]] = {
    "logsumexp": _logsumexp,
    "_log_softmax": _log_softmax,
    "_softmax": _softmax,
    "_log_softmax_backward_data": _log_softmax_backward,
    "_softmax_backward_data": _softmax_backward,
    "nll_loss_forward": _nll,
    "nll_loss_backward": _nll_backward,
    "multi_margin_loss_backward": _multi_margin_backward,
}
"""As `mlnn.proving.reductions.SHAPED`."""
