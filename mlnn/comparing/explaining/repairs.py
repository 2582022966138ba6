"""What people do to an objective by mistake, each as a function that does it: the table from which a cause is named.

A supposed cause is tested by doing it to the other side.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from mlnn.comparing.explaining.onset import largest_row, lost, onset
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.sample import Sample
from mlnn.targets import TargetSpace

Fault = Callable[[Side, Sample, float], Tensor]


@dataclass(frozen=True, eq=False)
class Repair:
    """One row of the table. `words`: with {side} and {size}; `fault`: a side's value with the fault in it; `starts`: sizes from
    which the right one is sought, between `low` and `high`; `sizes`: those to try; `told`: the size, read off the side at fault.
    """

    words: str
    fault: Fault
    starts: tuple[float, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    sizes: tuple[float, ...] = ()
    told: Callable[[Side], float | None] | None = None


def _with_output(change: Callable[[Tensor, float], Tensor]) -> Fault:
    return lambda side, at, size: side.ask(replace(at, output=change(at.output, size)))


def _with_target(change: Callable[[Tensor, TargetSpace], Tensor]) -> Fault:
    return lambda side, at, _size: side.ask(replace(at, target=change(at.target, side.targets)))


def _with_rows(change: Callable[[Tensor, float], Tensor]) -> Fault:
    return lambda side, at, size: side.added(change(side.rows(at), size), at)


def _with_part(part: Callable[[int], Tensor]) -> Fault:
    return lambda side, at, _size: side.ask(at.part(part(len(at))))


def _smoothed(side: Side, at: Sample, size: float) -> Tensor:
    """A share of every target is spread evenly over all targets."""
    values = side.targets.facts.values
    if not side.targets.finite or values is None or len(values) > MOST_TARGETS:
        spread = side.added(at.output.logsumexp(-1) - at.output.mean(-1), at) if _spread(at) else _halved(side, at)
        return (1 - size) * side.ask(at) + size * spread
    counts = side.targets.kept(at.target)
    plain = [torch.full_like(at.target, value) for value in values]
    every = [
        side.ask(replace(at, target=one if counts is None else torch.where(counts, one, at.target))) for one in plain
    ]
    return (1 - size) * side.ask(at) + size * torch.stack(every).mean()


def _smoothing_counts_ignored(side: Side, at: Sample, size: float) -> Tensor:
    """The uniform part of a smoothed label has its mean over all positions, those that are ignored too."""
    if side.targets.ignore is None:
        raise ValueError("no target is ignored")
    uniform = at.output.logsumexp(-1) - at.output.mean(-1)
    return side.ask(at) + size * (uniform.mean() - side.added(uniform, at))


def _counted(target: Tensor, space: TargetSpace) -> Tensor:
    """What is ignored is counted as a target of class 0."""
    if space.ignore is None or space.ignore == 0:
        raise ValueError("no target is ignored")
    return target.masked_fill(target == space.ignore, 0)


def _at_a_temperature(side: Side, at: Sample, size: float) -> Tensor:
    """A target that is a distribution is sharpened: its probabilities to a power, and normalised."""
    if side.targets.kind != "simplex":
        raise ValueError("targets are no distributions")
    return side.ask(replace(at, target=torch.softmax(size * at.target.log(), -1)))


MOST_TARGETS = 32
"""Of more targets than this a smoothed loss is the categorical one's: asking for every target takes a call each."""


def _halved(side: Side, at: Sample) -> Tensor:
    return side.ask(replace(at, target=torch.full_like(at.target, 0.5)))


def _spread(at: Sample) -> bool:
    return at.output.ndim > at.target.ndim


def _link_twice(side: Side, at: Sample, _size: float) -> Tensor:
    return side.ask(replace(at, output=side.targets.link(at.output)))


def _margin(side: Side, at: Sample, size: float) -> Tensor:
    """The target's own output is lowered."""
    own = _own(at)
    signs = own if _spread(at) else 2 * at.target - 1
    return side.ask(replace(at, output=at.output - size * signs))


def _own(at: Sample) -> Tensor:
    """1 at the target's own output, 0 elsewhere."""
    if not _spread(at):
        return torch.ones_like(at.output)
    return (torch.arange(at.output.shape[-1]) == at.target[..., None]).to(at.output)


def _entropy(side: Side, at: Sample, size: float) -> Tensor:
    p = side.targets.link(at.output)
    parts = torch.special.entr(p)
    entropy = parts.sum(-1) if _spread(at) else parts + torch.special.entr(1 - p)
    return side.ask(at) - size * side.added(entropy, at)


def _squares(side: Side, at: Sample, size: float) -> Tensor:
    squares = at.output.square()
    return side.ask(at) + size * side.added(squares.sum(-1) if _spread(at) else squares, at)


def _partition(side: Side, at: Sample, size: float) -> Tensor:
    if not _spread(at):
        raise ValueError("one raw output has no partition function")
    return side.ask(at) + size * side.added(at.output.logsumexp(-1).square(), at)


def _over_rows(side: Side, at: Sample, _size: float) -> Tensor:
    """The softmax is taken over the rows of the batch."""
    if not _spread(at):
        raise ValueError("one raw output has no softmax")
    logs = torch.log_softmax(at.output, 0).gather(-1, at.target[..., None])[..., 0]
    return side.added(-logs, at)


def _every_pair(side: Side, at: Sample, _size: float) -> Tensor:
    """Every output is compared with every target."""
    count = len(at)
    turned = [replace(at, target=at.target.roll(shift, 0)) for shift in range(count)]
    return torch.stack([side.ask(one) for one in turned]).mean()


def _capped(output: Tensor, size: float) -> Tensor:
    return size * torch.tanh(output / size)


def _epsilon(rows: Tensor, size: float) -> Tensor:
    return -torch.log(torch.exp(-rows) + size)


def _focal(rows: Tensor, size: float) -> Tensor:
    wrong: Tensor = -torch.expm1(-rows)  # the probability of another target
    return wrong.clamp_min(1e-300).pow(size) * rows


def _rows_clipped(rows: Tensor, size: float) -> Tensor:
    return rows.clamp(max=size)


def _probability_clipped(rows: Tensor, size: float) -> Tensor:
    """As a probability clipped to [ε, 1 − ε], of which a row's value is −log."""
    return rows.clamp(-math.log1p(-math.exp(-size)), size)


def _residual_clamped(side: Side, at: Sample, size: float) -> Tensor:
    return side.ask(replace(at, output=at.target + (at.output - at.target).clamp(-size, size)))


def _mean_of_means(side: Side, at: Sample, size: float) -> Tensor:
    """The mean over micro-batches of so many rows of their own values."""
    places = torch.arange(len(at)).split(int(size))
    return torch.stack([side.ask(at.part(rows)) for rows in places]).mean()


def _means_added(side: Side, at: Sample, size: float) -> Tensor:
    return _mean_of_means(side, at, size) * -(-len(at) // int(size))


def _mean_of_chunks(side: Side, at: Sample, size: float) -> Tensor:
    places = torch.arange(len(at)).chunk(int(size))
    return torch.stack([side.ask(at.part(rows)) for rows in places]).mean()


def _mean_of_classes(side: Side, at: Sample, _size: float) -> Tensor:
    """The mean over the targets that are there of the mean over their rows."""
    found, place, counts = at.target.unique(return_inverse=True, return_counts=True)
    if not side.targets.finite or len(found) > MOST_TARGETS or side.weights(at) is None:
        raise ValueError("too many targets, or rows that are coupled")
    total: Tensor = (side.rows(at) / counts[place]).sum()
    return total / len(found)


def _sign_of_target(target: float) -> Fault:
    def fault(side: Side, at: Sample, _size: float) -> Tensor:
        theirs = at.target == target
        theirs = theirs[..., None] if _spread(at) else theirs
        return side.ask(replace(at, output=torch.where(theirs, -at.output, at.output)))

    return fault


def _sign_of_output(side: Side, at: Sample, size: float) -> Tensor:
    if not _spread(at) or size >= at.output.shape[-1]:
        raise ValueError("no such output")
    flipped = torch.arange(at.output.shape[-1]) == size
    return side.ask(replace(at, output=torch.where(flipped, -at.output, at.output)))


def _worst(rows: Tensor, _size: float) -> Tensor:
    """The larger half of the rows alone, each counting double."""
    keep = (len(rows) + 1) // 2
    chosen = rows >= rows.flatten().topk(keep).values.min()
    return rows * chosen * (len(rows) / keep)


def _next(target: Tensor, space: TargetSpace, by: int) -> Tensor:
    if not space.labels:
        raise ValueError("targets are no labels")
    return (target + by) % (space.classes or 1)


def _other(target: Tensor, space: TargetSpace) -> Tensor:
    if space.facts.means != (0.0, 1.0):
        raise ValueError("targets are no probabilities")
    return (space.classes or 1) - 1 - target if space.labels else 1 - target


LOST_BELOW, LOST_ABOVE = partial(lost, sign=-1), partial(lost, sign=1)
REPAIRS = (
    Repair("{side} compares every output with every target (n × n): shapes (n, 1) and (n,) were broadcast", _every_pair),
    Repair("{side} takes the softmax over the rows of a batch", _over_rows),
    Repair("{side} is the mean of the means of micro-batches of {size} rows", _mean_of_means, sizes=tuple(range(2, 11))),
    Repair("{side} adds up the means of micro-batches of {size} rows", _means_added, sizes=tuple(range(2, 11))),
    Repair("{side} is the mean of the means of {size} micro-batches", _mean_of_chunks, sizes=tuple(range(2, 9))),
    Repair("{side} is the mean over the targets that are there (classes) of the mean of each one's rows", _mean_of_classes),
    Repair("{side} leaves out the first row of a batch", _with_part(lambda n: torch.arange(1, n))),
    Repair("{side} leaves out the last row of a batch", _with_part(lambda n: torch.arange(n - 1))),
    Repair("{side} leaves out the last row of a batch of an odd size", _with_part(lambda n: torch.arange(n // 2 * 2))),
    Repair("{side} counts the first row of a batch twice", _with_part(lambda n: torch.tensor([*range(n), 0]))),
    Repair("{side} counts ignored positions as targets of class 0", _with_target(_counted)),
    Repair("{side} takes every row's target from the row before", _with_target(lambda t, _: t.roll(1, 0))),
    Repair("{side} takes every row's target from the row after", _with_target(lambda t, _: t.roll(-1, 0))),
    Repair("{side} takes the larger half of the rows alone", _with_rows(_worst)),
    Repair("{side} swaps the targets (1 − y, or K − 1 − y)", _with_target(_other)),
    Repair("{side} takes the next class for each target", _with_target(lambda t, s: _next(t, s, 1))),
    Repair("{side} takes the previous class for each target", _with_target(lambda t, s: _next(t, s, -1))),
    Repair("{side} flips the sign of the raw outputs", _with_output(lambda o, _: -o)),
    Repair("{side} flips the sign of the raw outputs of target 1", _sign_of_target(1)),
    Repair("{side} flips the sign of the raw outputs of target 0", _sign_of_target(0)),
    Repair("{side} flips the sign of raw output {size} of each row", _sign_of_output, sizes=tuple(range(8))),
    Repair("{side} rounds the targets", _with_target(lambda t, _: t.round())),
    Repair("{side} cuts the targets to whole numbers", _with_target(lambda t, _: t.trunc())),
    Repair("{side} stores its targets in float16", _with_target(lambda t, _: t.half().to(t))),
    Repair("{side} stores its targets in bfloat16", _with_target(lambda t, _: t.bfloat16().to(t))),
    Repair("{side} takes the link (sigmoid or softmax) of raw outputs that have been through it", _link_twice),
    Repair("{side} takes no logarithm of the probability", _with_rows(lambda rows, _: -torch.exp(-rows))),
    Repair("{side} clips raw outputs at ±{size}", _with_output(lambda o, s: o.clamp(-s, s)), told=onset),
    Repair("{side} clips raw outputs at ±{size}", _with_output(lambda o, s: o.clamp(-s, s)), told=LOST_BELOW),
    Repair("{side} clips raw outputs from below at −{size}", _with_output(lambda o, s: o.clamp_min(-s)), told=LOST_BELOW),
    Repair("{side} clips raw outputs from above at {size}", _with_output(lambda o, s: o.clamp_max(s)), told=LOST_ABOVE),
    Repair("{side} clips residuals at ±{size}", _residual_clamped, told=partial(onset, residual=True)),
    Repair("{side} clips each row's value at {size} (a probability at e^−{size})", _with_rows(_rows_clipped), told=largest_row),
    Repair("{side} clips probabilities at e^−{size} and 1 − e^−{size}", _with_rows(_probability_clipped), told=largest_row),
    Repair("{side} smooths labels by {size}", _smoothed, (0.0,), 0.0, 1.0),
    Repair("{side} counts ignored positions in the uniform part, of weight {size}, of its label smoothing",
           _smoothing_counts_ignored, (0.0,), 0.0, 1.0),
    Repair("{side} takes its soft targets to the power of {size}: another temperature", _at_a_temperature, (1.0, 2.0, 0.5), 0.0),
    Repair("{side} divides the raw outputs by a temperature of {size}", _with_output(lambda o, s: o / s), (1.0, 2.0, 0.5), 0.0),
    Repair("{side} adds {size} to the raw outputs", _with_output(lambda o, s: o + s), (0.0,)),
    Repair("{side} takes a margin of {size} off the target's own output", _margin, (0.0,)),
    Repair("{side} caps raw outputs smoothly at {size} (a tanh)", _with_output(_capped), (30.0, 5.0), 0.0),
    Repair("{side} adds {size} to the probability inside the logarithm", _with_rows(_epsilon), (0.0, 1e-6, 1e-4, 1e-2), 0.0, 1.0),
    Repair("{side} has a focal factor (1 − p)^γ with γ = {size}", _with_rows(_focal), (0.01, 1.0, 2.0), 0.0),
    Repair("{side} has an entropy term of weight {size}", _entropy, (0.0,)),
    Repair("{side} has a penalty of {size} times the squared raw outputs", _squares, (0.0,)),
    Repair("{side} has a penalty of {size} times the squared log partition function", _partition, (0.0,)),
)  # fmt: skip
"""From the plainest; the first that holds is named. A fault that is no row here has no cause named."""
