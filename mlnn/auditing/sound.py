"""Can this loss be audited at all? What must hold before any question of probability is asked."""

import math
import re

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss, crossed
from mlnn.auditing.record import Witness
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.objectives.reduction import drawn_batch, reduction
from mlnn.objectives.rowwise import row_by_row
from mlnn.seeding import generator
from mlnn.targets import TargetSpace

SEVEN, SOME, WHOLE = 7, 37, 512
"""Rows of the batches that are asked; the whole is cut unevenly, into SOME and the rest, so that no mean of means is its mean."""
MANY = 256
"""With more classes than this a loss is looked at in fewer places: each costs the square of their number."""
DIFFERENCE = 1e-5
"""Step of a central difference, as a share of the output: near the cube root of float64's roundoff, where its error is least."""
LONG = 2e-3
"""Step of a difference that is extrapolated: its error is of the fourth power of that, 1e-11."""
NEXT_TO = 1e-5
"""Outputs so near to one another that a loss changes by its slope and its rounding only: its curvature adds 1e-10."""
SHORTER = 30
"""A difference is made once more with a step this many times shorter, for a loss so curved that it is only right then."""
SIDEWAYS = 0.01
"""And once at outputs moved by this, where a kink between the ends of a difference is not there twice."""
SMALL_GRADIENT = 1e-3
"""Share of the largest gradient below which one is measured by that share."""
NEAREST_OUTPUT = 0.01
"""An output nearer to 0 is moved as if it were here."""
ADDS_UP = 1e-9
"""Share by which the loss of a batch may miss what its parts give: sums of hundreds of rows in another order."""
FEW_IMPOSSIBLE = 0.2
"""Share of outputs and targets at which a density of several raw outputs may be 0 in float64."""
UNSEEN = 2.0**-36
"""Share by which outputs are moved to see whether a loss computes in float64: below the half ulp, 2^−25, of float32."""
LABELS = re.compile(r"long|int64|integer|index|one.hot|class|scalar type", re.IGNORECASE)
UNIT = re.compile(r"between 0 and 1|\[0, 1\]|probabilit", re.IGNORECASE)
SLACK = 1e-6
"""A central difference of step 1e-5 is right to about 1e-10 where the loss is smooth."""
EPS = torch.finfo(torch.float64).eps


def moderate_outputs(space: TargetSpace, count: int = 41) -> Tensor:
    """Outputs that any ordinary training visits, (count,) spread over ±4 or (count, m) drawn from N(0, 1.5²), 8 if m is large."""
    count = min(count, 8) if space.outputs > MANY else count
    if space.outputs == 1:
        return torch.linspace(-4, 4, count, dtype=torch.float64) + 0.00321  # off the round numbers, where kinks are
    return 1.5 * torch.randn(count, space.outputs, generator=generator(0, "audit"), dtype=torch.float64)


def check_answers(objective: Objective, space: TargetSpace) -> None:
    """Raise ConfigError for a loss that refuses every target of the space, with what it says."""
    output, target = drawn_batch(space, SEVEN)
    value, _, said = row_by_row(objective, output, target)
    if said is None or not bool(torch.isnan(value).all()):
        return
    given = "int64" if space.labels else "float64"
    # A guess only where the loss's own words suggest it: most refusals are about something else.
    hint = "; a loss of integer labels takes targets='classes(K)'" if given == "float64" and LABELS.search(said) else ""
    hint += "; a loss of probabilities takes outputs='probabilities'" if UNIT.search(said) else ""
    raise ConfigError(
        f"loss '{objective.name}' refuses every target of '{space}' (outputs {tuple(output.shape)}, targets"
        f" {tuple(target.shape)} {given}): {said}{hint}"
    )


def too_coarse(loss: Loss) -> str | None:
    """A sentence for a loss that computes in less than float64 even where its casts are promoted; None for one that does not.

    Told by what was found of it, by the dtype of its answer, or by outputs moved by less than float32 can tell that leave every
    value as it was.
    """
    inside = loss.objective.inside
    low, told = loss.answers_in not in (None, torch.float64), "less than float64"
    if inside is not None and inside.sealed:
        low, told = True, f"{inside.name}, which no promotion reaches,"
    elif low:
        told = str(loss.answers_in).removeprefix("torch.")
    else:
        output, target = drawn_batch(loss.space, SOME)
        here, slope = loss.both(output, target)
        there = loss.value((1 + UNSEEN) * output, target)
        low = bool((here == there).all()) and bool((slope != 0).any())
    return (
        f"it computes in {told} whatever it is given, and float64 is needed to tell rounding from a difference"
        if low
        else None
    )


def answers_a_batch(objective: Objective, space: TargetSpace) -> bool:
    """Whether an ordinary batch has a finite loss, so that what its rows add can be asked."""
    try:
        with objective.twin(torch.float64):
            return bool(torch.isfinite(objective.rows(*drawn_batch(space, SEVEN))).all())
    except Exception:  # whatever it raises, it has refused the batch
        return False


def coupling(objective: Objective, space: TargetSpace) -> Witness | None:
    """A witness that a row's part of the loss depends on the other rows of the batch; None where it does not.

    Rows against their batch (7 and 37 rows), then two parts against the whole, where the parts must add up as rows did.
    """
    found = reduction(objective)
    if found is None:
        return None
    output, target = drawn_batch(space, WHOLE)
    cuts = (slice(None), slice(SOME), slice(SOME, None))  # a batch, and an uneven two parts of it
    with objective.twin(torch.float64):
        parts = [objective.rows(output[rows], target[rows]).detach() for rows in cuts]
    if parts[0].ndim and not found.couples:
        there, apart = parts[0], torch.cat(parts[1:])
        alike = (there == apart) | (torch.isnan(there) & torch.isnan(apart))  # infinite in both is no difference
        off = torch.where(alike, 0.0, (there - apart).abs()).nan_to_num(torch.inf)
        row = int(off.argmax())
        if float(off[row]) <= ADDS_UP * max(1.0, float(torch.where(torch.isfinite(there), there, 0.0).abs().max())):
            return None
        return Witness(
            rows=WHOLE,
            loss=(float(there[row]), float(apart[row])),
            says="a row's loss is another one in a batch than in a part of that batch",
        )
    whole, one, two = (float(part.mean()) for part in parts)
    expected = one + two if found.kind == "sum" else (SOME * one + (WHOLE - SOME) * two) / WHOLE
    if not found.couples and not math.isfinite(whole) and not math.isfinite(expected):
        return None  # a row that is infinite hides what the others add
    if not found.couples and math.isclose(whole, expected, rel_tol=ADDS_UP, abs_tol=ADDS_UP):
        return None
    return Witness(
        rows=WHOLE,
        loss=(whole, expected),
        says="the loss of a batch is not the mean (nor the sum) of what its rows, or two parts of it, give on their own",
    )


def cannot_be_read(loss: Loss) -> str | None:
    """Why no certificate can be given (NaN, a target or output ignored, a wrong gradient); None if it can."""
    outputs, targets = moderate_outputs(loss.space), loss.space.wide_points
    value, slope = loss.cross(outputs, targets)
    if loss.space.outputs > 1 and not loss.space.finite:
        value, slope = _without_impossible(value, slope)
    if not bool(torch.isfinite(value).all()):
        row, column = (~torch.isfinite(value)).nonzero()[0].tolist()
        told = f"refused ({loss.refusal})" if loss.refusal else str(float(value[row, column]))
        return (
            f"the loss is {told} at output {_say(outputs[row])} and target {float(targets[column]):g}; an ordinary training"
            " visits such outputs (is it meant for outputs='probabilities'?)"
        )
    if not bool(torch.isfinite(slope).all()):
        row, column = (~torch.isfinite(slope)).any(-1).nonzero()[0].tolist()
        where = f"output {_say(outputs[row])} and target {float(targets[column]):g}"
        return f"the gradient is not finite at {where}, where the loss is"
    if bool((value == value[:1]).all()):
        return "the loss ignores the output: there is nothing to learn from it"
    if bool((value == value[:, :1]).all()):
        return "the loss ignores its target: the same for every y, it is no statement about y"
    if not bool(slope.any()):
        return "no gradient reaches the output although the loss varies with it: it is not differentiable (argmax, detach?)"
    return _wrong_gradient(loss, outputs, targets)


def _without_impossible(value: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """The same with 0 in place of losses that are +∞ (F, Y), and their gradients, if they are few.

    A narrow density far from its target is 0 in float64; with several raw outputs ordinary ones make it narrow.
    """
    none = value == torch.inf
    if float(none.double().mean()) > FEW_IMPOSSIBLE:
        return value, slope
    return torch.where(none, 0.0, value), torch.where(none[..., None], 0.0, slope)


def slope_error(
    loss: Loss, output: Tensor, target: Tensor, slope: Tensor, size: Tensor, relative_step: float = DIFFERENCE
) -> Tensor:
    """|autograd − central difference| (n,) along a fixed direction, less what rounding explains, relative to `size` (n,)."""
    many = output.ndim > 1
    ahead = torch.ones_like(output)
    if many:
        ahead = torch.randn(output.shape[1], generator=generator(1, "audit"), dtype=torch.float64).expand_as(output)
    reach = (output.abs().amax(1) if many else output.abs()).clamp_min(NEAREST_OUTPUT) * relative_step
    step = reach[:, None] if many else reach
    there, back = loss.value(output + step * ahead, target), loss.value(output - step * ahead, target)
    claimed = (slope * ahead).sum(1) if many else slope
    rounding = 8 * EPS * (there.abs() + back.abs()) / (2 * reach)
    off = ((there - back) / (2 * reach) - claimed).abs() - rounding
    return off.clamp_min(0) / torch.maximum(claimed.abs(), size)


def long_slope_error(loss: Loss, output: Tensor, target: Tensor) -> Tensor:
    """|autograd − a difference of long steps| (n,), relative to the gradient, by Richardson's extrapolation of two steps."""
    _, slope = loss.both(output, target)
    slope = slope.reshape(output.shape)
    ahead = torch.ones_like(output)
    if output.ndim > 1:
        ahead = torch.randn(output.shape[1], generator=generator(1, "audit"), dtype=torch.float64).expand_as(output)
    found = []
    for step in (LONG, 2 * LONG):
        there, back = (loss.value(output + side * step * ahead, target) for side in (1, -1))
        found.append((there - back) / (2 * step))
    claimed = (slope * ahead).sum(1) if output.ndim > 1 else slope
    # What the value does at outputs next to one another, beside its slope, is rounding, of whatever terms.
    here, next_to = loss.value(output, target), torch.tensor([-3, -2, -1, 1, 2, 3]) * NEXT_TO
    beside = [(loss.value(output + k * ahead, target) - here - k * claimed).abs() for k in next_to.tolist()]
    noise = torch.stack(beside).amax(0) * 2 / LONG
    return (((4 * found[0] - found[1]) / 3 - claimed).abs() - noise).clamp_min(0) / claimed.abs()


def _wrong_gradient(loss: Loss, outputs: Tensor, targets: Tensor) -> str | None:
    """A sentence where autograd and differences of the value disagree, at a place and still a little beside it."""
    wrong = torch.ones(len(outputs) * len(targets), dtype=torch.bool)
    impossible = (loss.values(outputs, targets) == torch.inf).reshape(-1)
    # A kink between the two ends of a difference is no fault, and is not there twice; nor is a difference of a loss so
    # curved that it is only right for a shorter step.
    for beside, step in ((0.0, DIFFERENCE), (SIDEWAYS, DIFFERENCE), (0.0, DIFFERENCE / SHORTER)):
        if not bool(wrong.any()):
            return None
        output, target = crossed(outputs + beside, targets)
        _, slope = loss.both(output, target)
        slope = slope.reshape(output.shape)
        size = slope.reshape(len(output), -1).abs().amax(1)
        size = size[torch.isfinite(size)]
        wrong &= ~(slope_error(loss, output, target, slope, SMALL_GRADIENT * size.max(), step) <= SLACK) & ~impossible
    # Nor a difference of a loss that has lost digits to its own terms: a longer step loses fewer, and two of them its curvature.
    output, target = crossed(outputs, targets)
    wrong &= ~(long_slope_error(loss, output, target) <= SLACK)
    if not bool(wrong.any()):
        return None
    row = int(wrong.nonzero()[0, 0])
    output, target = crossed(outputs, targets)
    return (
        f"the gradient that training follows is not the derivative of the loss (output {_say(output[row])}, target"
        f" {float(target[row]):g}): what is minimised is not what is written"
    )


def _say(output: Tensor) -> str:
    return "(" + ", ".join(f"{part:.4g}" for part in output.tolist()) + ")" if output.ndim else f"{float(output):.4g}"
