"""Whether the loss of a recorded batch is the mean of what its positions give alone, and which positions count."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from mlnn.lifting.lifted import finest
from mlnn.lifting.rows import RowLoss, Rows
from mlnn.lifting.spreading import Places, Spread, spread_of

MOST_CHECKED, LEAST_CHECKED = 2**24, 16
"""Numbers that a check may compute; of a larger batch some positions are checked, this many at least."""
CLOSE = 1e-8
"""Of the largest gradient, in float64: what rows that add up are off by is below 1e-13."""
UNEVEN, ALIKE = 1e-6, 1e-11
SIZES = (1e-3, 0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Of the raw outputs, side by side in one batch, at which many rows at once are held to rows alone."""
REFUSALS = (RuntimeError, ValueError, IndexError, NotImplementedError)
"""What operations raise for raw outputs and targets that they were not recorded with."""


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Raw outputs and targets of a batch, flat, each with its own: `places`, the `points` themselves with the batch's gradient
    there, and `labels`. `shift`: whether a target belongs to the raw output before it; `at`: the pairs that are not ignored."""

    places: Places
    points: Tensor
    slope: Tensor
    labels: Tensor
    shift: bool
    at: Tensor


def separated(loss: RowLoss) -> RowLoss | str:
    """The loss of rows, with how the recorded batch is made of them; a string where it is not, and why."""
    outputs = [entry.value.detach().double().requires_grad_() for entry in loss.lifted.outputs]
    value = loss.lifted.played(outputs, finest(outputs))
    grads = torch.autograd.grad(value, outputs, allow_unused=True)
    slopes = [torch.zeros_like(part) if slope is None else slope for part, slope in zip(outputs, grads, strict=True)]
    points, slope = loss.points([part.detach() for part in outputs]), loss.points(slopes)
    first = ""
    for pairs in _pairings(loss, points, slope):
        found = _checked(loss, float(value.detach()), pairs)
        if isinstance(found, RowLoss):
            return found
        first = first or found
    labels = loss.lifted.constants[loss.target].value
    return first or f"targets {tuple(labels.shape)} do not go with raw outputs {tuple(points.shape)}"


def _pairings(loss: RowLoss, points: Tensor, slope: Tensor) -> Iterator[_Pairs]:
    """Ways in which targets go with raw outputs: one to one, or each with the raw output before it."""
    form, labels = loss.form, loss.lifted.constants[loss.target].value
    m = (points.shape[-1],) if form.several else ()
    lead, event = points.shape[: points.ndim - len(m)], form.space.event
    flat = labels.reshape(-1, *event)
    number = torch.arange(lead.numel()).reshape(lead)
    ways = []
    if len(flat) == lead.numel():
        ways.append((False, number, torch.arange(len(flat))))
    if len(lead) > 1 and not event:
        before = number[..., :-1]
        if labels.shape == lead:
            ways.append((True, before, number[..., 1:]))
        elif len(flat) == before.numel():
            ways.append((True, before, torch.arange(len(flat))))
    for shift, raw, own in ways:
        places = Places(raw.reshape(-1), own.reshape(-1))
        left_out = torch.ones(lead.numel(), dtype=torch.bool)
        left_out[places.raw] = False
        every = slope.reshape(-1, *m)
        if bool(every[left_out].any()):
            continue
        y = flat[places.labels]
        y = (y + 1) / 2 if form.signs else y
        kept = form.space.kept(y)
        at = torch.arange(len(y)) if kept is None else kept.nonzero()[:, 0]
        yield _Pairs(places, points.reshape(-1, *m)[places.raw], every[places.raw], y, shift, at)


def _checked(loss: RowLoss, value: float, pairs: _Pairs) -> RowLoss | str:
    form, at = loss.form, pairs.at
    if not len(at):
        return "every position of the recorded batch is ignored"
    ignored = torch.ones(len(pairs.labels), dtype=torch.bool)
    ignored[at] = False
    if bool(pairs.slope[ignored].any()):
        return "positions that are ignored move the loss"
    each = sum(entry.value.numel() for entry in loss.lifted.outputs)
    few = max(LEAST_CHECKED, MOST_CHECKED // each)
    some = at if len(at) <= few else at[torch.linspace(0, len(at) - 1, few).long()]
    asked = pairs.points[some].clone().requires_grad_()
    given = pairs.labels[some] if form.space.labels or form.space.event else pairs.labels[some].to(torch.float64)
    rows = loss.asked(asked, given, raises=True)
    (own,) = torch.autograd.grad(rows.sum(), asked)
    rows = rows.detach()
    own, slope = own.reshape(len(some), -1), pairs.slope.reshape(len(pairs.slope), -1)
    share = _share(rows, own, slope[some])
    if isinstance(share, str):
        return share
    if len(some) == len(at):
        counting = at[~((slope[at] == 0).all(1) & (own != 0).any(1))]  # the others a mask leaves out
        total = share * float(rows[torch.isin(at, counting)].sum())
        if abs(total - value) > CLOSE * max(abs(value), share * float(rows.abs().max())):
            return f"its value is {value:.6g}, and the mean of what its positions give alone {total:.6g}"
    else:
        counting = at[(slope[at] != 0).any(1)]
    kept = round(1 / share)
    if abs(share * kept - 1) > UNEVEN or not int((slope[at] != 0).any(1).sum()) <= kept <= len(at):
        return (
            f"its positions do not count alike: one of {len(counting)} has {share * len(counting):.3g} of an even share"
        )
    found = replace(loss, rows=Rows(kept, len(pairs.labels), pairs.shift, len(some)))
    return replace(found, spread=_spread(found, pairs, counting) if len(counting) == kept else None)


def _share(rows: Tensor, own: Tensor, slope: Tensor) -> float | str:
    """The share of its own gradient that each position's is in the batch's; a string where that is not one number."""
    if not bool(torch.isfinite(rows).all()):
        return "a batch that holds one raw output and target everywhere has no finite loss"
    moving = (own != 0).any(1) & (slope != 0).any(1)
    if not bool(moving.any()):
        return "no position moves the loss of a batch that holds it everywhere"
    own, slope = own[moving], slope[moving]
    largest = float(slope.abs().max())
    share = float((own * slope).sum() / (own**2).sum())
    if float((slope - share * own).abs().max()) <= CLOSE * largest:
        return share
    each = (own * slope).sum(1) / (own**2).sum(1)
    if float((slope - each[:, None] * own).abs().max()) > CLOSE * largest:
        return "what a position adds depends on the others"
    low, high = (float(end / each.mean()) for end in (each.min(), each.max()))
    return f"its positions do not count alike, by {low:.3g} to {high:.3g} of an even share"


def _spread(loss: RowLoss, pairs: _Pairs, counting: Tensor) -> Spread | None:
    """Many rows at once, if they give what rows alone do, of all sizes side by side."""
    places = Places(pairs.places.raw[counting], pairs.places.labels[counting])
    found = spread_of(loss.lifted, loss.target, loss.form, places)
    if found is None:
        return None
    some = counting[: len(SIZES)]
    draws = torch.Generator().manual_seed(1)
    noise = torch.randn(pairs.points[some].shape, generator=draws, dtype=torch.float64)
    sizes = torch.tensor(SIZES, dtype=torch.float64)[: len(some)]
    labels = pairs.labels[counting.roll(1)[: len(SIZES)]]  # others than were recorded there
    labels = labels if loss.form.space.labels else labels.to(torch.float64)
    large = noise * (sizes[:, None] if noise.ndim > 1 else sizes)
    asked = [large, 0.1 + 0.8 * torch.sigmoid(noise)]
    try:
        return found if _agree(loss, found, asked[0], labels) else None
    except REFUSALS:  # probabilities are asked for
        return found if _agree(loss, found, asked[1], labels) else None


def _agree(loss: RowLoss, spread: Spread, points: Tensor, labels: Tensor) -> bool:
    answers = []
    for ask in (partial(loss.asked, raises=True), partial(spread.values, raises=True)):
        at = points.clone().requires_grad_()
        value = ask(at, labels)
        answers.append((value.detach(), torch.autograd.grad(value.sum(), at)[0]))
    (rows, slope), (many, other) = answers
    close = [torch.allclose(one, two, ALIKE, ALIKE, equal_nan=True) for one, two in ((rows, many), (slope, other))]
    return all(close)
