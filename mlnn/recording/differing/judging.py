"""Where two recordings first part by more than rounding explains, step by step in the order in which a step is made.

A step tells of what it computes only as far as the weights before it were the same: up to the first that differs, and a little
further, as far as rounding has not grown too large. Rows, random streams and rates are exact at every step.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlnn.recording.differing.records import Apart, Row
from mlnn.recording.differing.yardstick import HORIZON, KINK, Yardstick

PERSISTS = 4
"""Judged steps that follow a small difference, which tell whether it was one kink or stays."""
CLEAR = 30.0
"""A factor is as many times as far from 1 as what it leaves over: label smoothing of 1e-5 was 10 times, a factor of 1.00001 80."""
FAR = 10.0
"""Beyond what rounding has grown to by as many times, a difference needs no second step to be believed."""


@dataclass(frozen=True)
class Ground:
    """What a judgement knows beside the rows: the `yardstick`; the streams that `stirred` from pass to pass; whether the optimiser
    is `plain`, one that passes on a relative distance as it is (Adam makes steps of full size of what rounding left of a zero);
    `start`, how far the first weights are apart; whether both were computed in the same dtypes (`alike`); `findings`: whether the
    processes of one of them do not agree; `steered`: whether their optimisers are set to make other steps of one gradient."""

    yardstick: Yardstick
    stirred: frozenset[str]
    plain: bool
    start: Apart
    alike: bool
    findings: bool = False
    steered: bool = False


@dataclass(frozen=True)
class Parting:
    """The first difference beyond rounding: its stage, relation and `row` (None: before the first step); `size` of it and what was
    `allowed`; `scale` where it is one; `why`: what is found with it, in a word; `weak`: it needs other steps to be believed."""

    stage: str
    relation: str
    row: Row | None
    size: float
    allowed: float
    scale: float = 1.0
    why: str = ""
    weak: bool = False


@dataclass(frozen=True)
class Judgement:
    """`parting`: the first difference beyond rounding, if any. `judged`: rows that could be told by size, in order; `horizon`: the
    first row whose weights had grown too far apart for it; `broke`: the row at which both were no longer finite; `kinks`: rows that
    alone were further apart than rounding, as a kink does."""

    parting: Parting | None
    judged: tuple[Row, ...]
    horizon: Row | None = None
    broke: Row | None = None
    kinks: tuple[Row, ...] = ()


def judge(rows: Sequence[Row], ground: Ground) -> Judgement:
    """The judgement on the rows of two recordings."""
    yard = ground.yardstick
    start = yard.allowed(rows[0].step if rows else 0, 0.0)
    if not ground.start.same and not ground.start.distance <= start:
        return Judgement(Parting("weights", "different", None, ground.start.distance, start, why="start"), ())
    judged: list[Row] = []
    kinks: list[Row] = []
    horizon: Row | None = None
    harmless = False
    for at, row in enumerate(rows):
        if not any(row.finite) and row.skipped == ("", ""):
            return Judgement(None, tuple(judged), horizon, row, tuple(kinks))
        can = judgeable(row, yard)
        found = _broken(row) or (by_size(row, ground) if can else _exact(row, harmless))
        if found and found.weak:
            kept = _believed(found, rows[at + 1 :], ground)
            kinks += [row] if kept is None else []
            found = kept
        if found:
            return Judgement(found, (*judged, row) if can else tuple(judged), horizon, None, tuple(kinks))
        if can:
            judged.append(row)
            harmless = harmless or row.batch == "other"
        elif row.before is not None and horizon is None:
            horizon = row
            if not row.followed:
                told = yard.allowed(row.step, 0.0)
                return Judgement(
                    Parting("weights", "undecided", row, row.before, told, why="between"), tuple(judged), row
                )
    return Judgement(None, tuple(judged), horizon, None, tuple(kinks))


def judgeable(row: Row, yard: Yardstick) -> bool:
    """Whether a row can be told by size: the weights before it are known, and not too far apart."""
    if row.before is None or not math.isfinite(row.before):
        return False
    return row.before <= yard.precision.eps or yard.kappa(row.step) * row.before <= HORIZON


def _broken(row: Row) -> Parting | None:
    """One side was not finite, or left a step out, where the other was and did not."""
    if bool(row.skipped[0]) != bool(row.skipped[1]):
        return Parting("gradient", "broken", row, math.inf, 0.0, why="skipped")
    if row.finite[0] != row.finite[1]:
        stage = "loss" if math.isfinite(row.losses[0]) != math.isfinite(row.losses[1]) else "gradient"
        return Parting(stage, "broken", row, math.inf, 0.0, why="not finite")
    return None


def _exact(row: Row, harmless: bool) -> Parting | None:
    """What differs whatever size has grown to: rows, unless what the model was given is only called otherwise; rates."""
    if row.batch == "other" and not harmless:
        return Parting("batch", "different", row, math.nan, math.nan, why="rows")
    if not row.rates:
        return Parting("weights", "different", row, math.nan, math.nan, why="rates")
    return None


def by_size(row: Row, ground: Ground) -> Parting | None:
    """What of a row is beyond rounding, the first in the order of a step."""
    allowed = ground.yardstick.allowed(row.step, row.before or 0.0)
    loss, gradient = (beyond(part, allowed) for part in (row.loss, row.gradient))
    if not loss and not gradient:
        return _weights(row, ground, allowed)
    if gradient and row.gradient and is_scaled(row.gradient, allowed):
        stage = "loss" if loss else "gradient"
        return Parting(stage, "scaled", row, row.gradient.distance, allowed, row.gradient.factor, "factor")
    part = row.gradient if gradient and row.gradient else row.loss
    size = part.distance if part else math.nan
    return _caused(row, ground, Parting("loss" if loss else "gradient", "different", row, size, allowed))


def _caused(row: Row, ground: Ground, found: Parting) -> Parting:
    """The stage before loss and gradient that differs already, if one does; rows alone in another order move no more than rounding
    does, unless random numbers fell on them."""
    streams = ground.stirred & set(row.streams)
    if row.batch == "other":
        return replace(found, stage="batch", why="rows")
    if streams:
        return replace(found, stage="random state", why="streams")
    if row.batch in ("reordered", "recut") and ground.stirred and not ground.findings:
        return replace(found, relation="undecided", why="masks")
    within = found.stage == "loss" and row.gradient is not None and not beyond(row.gradient, found.allowed)
    if within and row.loss:
        return replace(found, relation="shifted", why="loss alone", scale=1.0)
    tight = (row.before or 0.0) <= ground.yardstick.precision.eps
    small = found.stage == "gradient" and found.size < KINK
    return replace(found, weak=small or (not tight and found.size < FAR * found.allowed))


def _weights(row: Row, ground: Ground, allowed: float) -> Parting | None:
    """The same gradient as far as rounding tells, and another step made of it."""
    part, eps = row.update, ground.yardstick.precision.eps
    if row.weights is None:
        return None if row.rates else Parting("weights", "different", row, math.nan, math.nan, why="rates")
    if row.weights.same or part is None:
        return None
    if not row.moved > 0:
        grown = row.weights.distance > allowed
        return Parting("weights", "different", row, row.weights.distance, allowed, why="one moved") if grown else None
    kappa, apart = ground.yardstick.kappa(row.step), row.gradient.distance if row.gradient else 0.0
    most = kappa * ((eps + (row.before or 0.0)) / row.moved + apart)
    exact = row.gradient is not None and row.gradient.same and not row.before
    if ground.plain or ground.steered or exact:
        found = part.distance > most
    else:
        found = part.residual > 0.5 or abs(part.factor - 1) > max(2 * part.residual, most)
    if not found and row.rates:
        return None
    why = "rates" if not row.rates else "optimiser"
    return Parting("weights", "different", row, part.distance, most, part.factor, why)


def _believed(found: Parting, following: Sequence[Row], ground: Ground) -> Parting | None:
    """A small difference held to the steps after it: it stays, it was one kink (None), or they cannot tell."""
    told = [row for row in following[: 4 * PERSISTS] if judgeable(row, ground.yardstick) and row.gradient is not None]
    told = [row for row in told if ground.yardstick.allowed(row.step, row.before or 0.0) < found.size / 3][:PERSISTS]
    if not told:
        return replace(found, relation="undecided", weak=False, why="kink")
    again = sum(by_size(row, ground) is not None for row in told)
    return replace(found, weak=False) if again >= min(2, len(told)) else None


def beyond(part: Apart | None, allowed: float) -> bool:
    """Whether a distance is more than what is allowed; one that is no number is."""
    return part is not None and not part.same and not part.distance <= allowed


def is_scaled(part: Apart, allowed: float) -> bool:
    """Whether the second is the first times a number above 0, to rounding, and far enough from 1 for that to be told."""
    away = abs(part.factor - 1)
    return part.factor > 0 and part.residual <= min(allowed, away / CLEAR) and away > allowed
