"""From a judgement to a relation: what is so strong a word as the evidence bears."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlnn.recording.differing.aligning import Pair
from mlnn.recording.differing.judging import CLEAR, FAR, Ground, Judgement, Parting, judgeable
from mlnn.recording.differing.records import Row
from mlnn.recording.differing.rows import loss_of
from mlnn.recording.differing.yardstick import EPS
from mlnn.recording.fingerprint import Fingerprint, same_bits
from mlnn.recording.records import Recording

SAID = 1e-3
"""A factor that changes by more from step to step is none."""
NONE = 10
"""What a factor leaves over at later steps, more than one, is a tenth of its distance from 1 or more: then it was none. One step
alone may be a kink."""
TELLS = 3
"""A step tells of a factor if that is so many times as far from 1 as rounding may have moved the gradient."""


@dataclass(frozen=True)
class Related:
    """`relation` and, where it is undecided, or a factor is none, `because`; `scale`; `resolution`: the smallest relative distance
    that would have been told, 0 where every bit was; `stays`: whether a later step has told of a factor too."""

    relation: str
    because: str = ""
    scale: float = 1.0
    resolution: float | None = None
    stays: bool = True


def related(pair: Pair, rows: Sequence[Row], judgement: Judgement, ground: Ground) -> Related:
    """What may be said of two recordings."""
    found = _unless_still(_said(rows, judgement, ground), pair)
    resolution = _resolution(judgement, ground)
    if found.relation == "bitwise":
        resolution = 0.0
    return Related(found.relation, found.because, found.scale, resolution, found.stays)


def _said(rows: Sequence[Row], judgement: Judgement, ground: Ground) -> Related:
    parting = judgement.parting
    if not rows:
        return Related("undecided", "they have no step in common")
    if parting is None:
        return _alike(rows, judgement, ground)
    if parting.why == "loss alone":
        return _of_losses(rows[rows.index(parting.row) :] if parting.row else rows, ground)
    if parting.relation == "scaled":
        return _of_factor(rows, parting, ground)
    return Related(parting.relation, _why_undecided(parting) if parting.relation == "undecided" else "")


def _alike(rows: Sequence[Row], judgement: Judgement, ground: Ground) -> Related:
    seen = rows[: rows.index(judgement.broke)] if judgement.broke else rows
    if not judgement.judged:
        return Related(
            "undecided", "both are not finite from the first step on" if judgement.broke else "no step can be told"
        )
    if ground.start.same and ground.alike and all(row.same for row in seen):
        return Related("bitwise")
    first = next((row for row in seen if not row.same), None)
    if first is not None and not first.buffers and _all_but_buffers(first):
        return Related("undecided", f"at step {first.step} the buffers differ, and by how much is not recorded")
    coarse = not ground.alike or ground.yardstick.precision.eps > EPS["float32"]
    return Related("indistinguishable" if coarse else "equal")


def _all_but_buffers(row: Row) -> bool:
    return all(part is None or part.same for part in (row.loss, row.gradient, row.weights))


def _of_losses(rows: Sequence[Row], ground: Ground) -> Related:
    """Losses that differ where gradients do not, of the rows from there on: by a factor that a clipped gradient hides, or by
    something without a gradient."""
    yard, first = ground.yardstick, rows[0]
    most = FAR * yard.allowed(first.step, first.before or 0.0)
    told = [row for row in rows if judgeable(row, yard) and yard.allowed(row.step, row.before or 0.0) <= most]
    ratios = [row.losses[1] / row.losses[0] for row in told if row.loss is not None and row.losses[0] and row.losses[1]]
    if not ratios or not ratios[0] > 0:
        return Related("shifted")
    if len(ratios) > 1:
        one = np.ptp(ratios) <= FAR * most * max(ratios)
    else:
        one = min(abs(ratio / max(round(ratio), 1) - 1) for ratio in (ratios[0], 1 / ratios[0])) <= most
    return Related("scaled", scale=ratios[0]) if one else Related("shifted")


def _of_factor(rows: Sequence[Row], parting: Parting, ground: Ground) -> Related:
    """A factor of the gradient, held to the steps that follow with the same weights: label smoothing is one as long as all classes
    are as likely."""
    assert parting.row is not None
    away, told, others = abs(parting.scale - 1), [], 0
    for row in rows[rows.index(parting.row) + 1 :]:
        allowed = ground.yardstick.allowed(row.step, row.before or 0.0)
        if not judgeable(row, ground.yardstick) or row.gradient is None or allowed > away / TELLS:
            continue
        if row.gradient.residual <= max(allowed, away / CLEAR):
            told.append(row.gradient.factor)
        else:
            others += row.gradient.residual > max(away / NONE, FAR * allowed)
    if others > max(1, len(told) / 4):
        return Related("different", "is A's times {scale}, and at later steps no multiple of it")
    if any(abs(factor - parting.scale) > max(SAID, away / TELLS) for factor in told):
        return Related("different", "is A's times a factor that changes from step to step, {scale}")
    return Related("scaled", scale=parting.scale, stays=bool(told))


def _why_undecided(parting: Parting) -> str:
    step = parting.row.step if parting.row else 0
    return {
        "masks": "the rows came in another order or cut, and random numbers were drawn between the forward passes: where the model"
        " draws them (dropout), they fell on other rows",
        "kink": f"no later step can tell whether the difference at step {step} stays, or was a kink that rounding crossed",
        "between": f"the weights are far apart at step {step}, and what came between was not printed, so that growth of rounding"
        " cannot be told from a difference; every=1 records it",
    }[parting.why]


def _unless_still(found: Related, pair: Pair) -> Related:
    """Undecided where nothing was trained: two dead models agree perfectly."""
    if found.relation not in ("bitwise", "equal", "indistinguishable", "shifted", "scaled"):
        return found
    still = [why for one in (pair.a, pair.b) if (why := stillness(one))]
    return Related("undecided", still[0], found.scale) if still else found


def stillness(recording: Recording) -> str:
    """Why a recording is no training, in words; "" where it is one."""
    gradients = [step.gradient for step in recording.steps if step.gradient is not None]
    if gradients and all(one.norm == 0 for one in gradients):
        return "the gradient is zero at every step: nothing was trained, and any two such runs agree"
    weights = [step.weights for step in recording.steps if step.weights is not None]
    if weights and all(same_bits(one, recording.start) for one in weights):
        return "the weights never moved: nothing was trained"
    losses = np.array([loss_of(recording, step) for step in recording.steps])
    if len(losses) > 2 and np.isfinite(losses).all() and np.ptp(losses) <= 1e-12 * np.abs(losses).max():
        return "the loss is the same number at every step: it says nothing of what was trained"
    return ""


def _resolution(judgement: Judgement, ground: Ground) -> float | None:
    if not judgement.judged:
        return None
    first = judgement.judged[0]
    return ground.yardstick.allowed(first.step, first.before or 0.0)


def parting_prints(pair: Pair, row: Row, stage: str) -> tuple[Fingerprint, Fingerprint] | None:
    """The fingerprints that are looked at parameter by parameter: of weights where those part, else of the gradient."""
    one, two = next((a, b) for a, b in pair.shared if a.step == row.step)
    if stage != "weights" and one.gradient is not None and two.gradient is not None:
        return one.gradient, two.gradient
    return None if one.weights is None or two.weights is None else (one.weights, two.weights)
