"""What one step adds to the evidence: a function of its record, its gaps, the two recipes and the probe."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from mlnn.comparing.evidence import Evidence, one_sided
from mlnn.comparing.gaps import CommonGap, gap_between
from mlnn.comparing.measures import FOLLOWER, Measures
from mlnn.comparing.nulls import HALVES, null_draw
from mlnn.comparing.probed import Probe
from mlnn.comparing.sample import Sample, answer
from mlnn.comparing.sides import Sides
from mlnn.objectives import Objective
from mlnn.training import Evaluated, LaneStep, StepRecord, Stop
from mlnn.training.module import guard

OVERFLOWING = 1e-6
"""A loss or gradient above this share of the largest number is on its way to overflow."""


def observe(evidence: Evidence, record: StepRecord, measures: Measures, sides: Sides, probe: Probe) -> None:
    """Take a step into the evidence."""
    evidence.trained = record.step + 1
    evidence.steps += record.asked
    evidence.unlooked = evidence.unlooked or record.unlooked
    _see_stops(evidence, record, sides)
    _see_answers(evidence, record, measures, sides)
    if record.ran("left"):
        _see_common(evidence, record, measures, sides, probe)
    if record.look and record.look.predictions:
        _see_predictions(evidence, record.step, record.look.predictions)
    if {"float32", "float64"} <= measures.strides.keys():
        steps = {name: difference for name, (difference, _) in measures.strides.items()}
        evidence.update.see(record.step, steps, measures.strides["float64"][1])
    _see_causes(evidence, record, measures, sides)
    if record.settings_apart and evidence.settings is None:
        evidence.settings = record.step, record.settings_apart
    _see_weights(evidence, record, measures, sides)


def _see_stops(evidence: Evidence, record: StepRecord, sides: Sides) -> None:
    """Lanes that stopped in this step: those that could not answer before those that could not step."""
    new = [(name, lane.stop) for name, lane in record.lanes.items() if lane.stop and name not in evidence.stops]
    for name, stop in sorted(new, key=lambda one: one[1].what == "weights"):
        evidence.stops[name] = stop
        other = {"left": sides.right, "right": sides.left}.get(name)
        if other is None:
            continue
        if sides.rowwise and isinstance(other, Objective):
            alike = _would_stop(other, record.lanes[name].answer, stop, sides.optimizers_differ)
        else:
            alike = _stops_alike(record, name, stop, sides)
        if alike:
            evidence.diverged.add(name)


def _would_stop(other: Objective, answer: Evaluated, stop: Stop, optimizers_differ: bool) -> bool:
    """Whether the other side, too, is not finite where a lane stopped: then training diverged, no objective is at fault."""
    if stop.what == "weights":
        return not optimizers_differ
    output = answer.output.cpu().clone().requires_grad_()
    try:
        value = other(output, answer.target.cpu(), **{name: part.cpu() for name, part in answer.extras.items()})
    except Exception:  # it refuses what the stopped lane answered with numbers that are not finite
        return True
    slope = _slope(value, output)
    reach = OVERFLOWING * torch.finfo(value.dtype).max  # a factor may let one side overflow a step before the other
    return not (float(value.detach().abs()) < reach and float(slope.abs().max()) < reach)


def _stops_alike(record: StepRecord, name: str, stop: Stop, sides: Sides) -> bool:
    """The same where the other side cannot be asked at the place: by right's answer at left's weights, or by left's own, at its."""
    common = record.common.get(sides.own)
    if stop.what == "weights" or common is None:
        return not sides.optimizers_differ
    if name == "left":
        return common.right.stop is not None
    near = OVERFLOWING * float(torch.finfo(common.left.gradient.dtype).max)
    return not (abs(common.left.loss) < near and float(common.left.gradient.abs().max()) < near)


def _see_answers(evidence: Evidence, record: StepRecord, measures: Measures, sides: Sides) -> None:
    """Bits of loss and gradient: the control's must be left's, right's may be."""
    left, right, control = (record.lanes.get(name) for name in ("left", "right", "control"))
    assert left is not None
    halted, same = _halted(record, left), measures.same_answers
    if control and evidence.control is None and not _alike(halted, _halted(record, control), "control" in same):
        evidence.control = f"control differs from left in loss or gradient at step {record.step}"
    told = record.right
    if told is None or not evidence.bitwise:
        return
    if record.alone is not None:
        _see_alone(evidence, record, *record.alone, sides)
    ended = told.stop if right is None else _halted(record, right)
    if not _alike(halted, ended, (FOLLOWER if right is None else "right") in same):
        gradient = record.common[sides.own].gradient if sides.own in record.common else record.gradient
        evidence.bitwise = False
        evidence.first_difference = evidence.first_difference or _where(
            record, told, left.answer.gradient if gradient is None else gradient, sides
        )


def _see_alone(evidence: Evidence, record: StepRecord, left: Evaluated, right: Evaluated, sides: Sides) -> None:
    """Bits of the two sides asked alone: as rows of one computation both may come down to the same operations."""
    same = left.loss == right.loss and torch.equal(left.gradient, right.gradient)
    if not _alike(left.stop, right.stop, same):
        evidence.bitwise = False
        evidence.first_difference = _where(record, right, left.gradient, sides)


def _alike(halted: Stop | None, other: Stop | None, same: bool) -> bool:
    """Whether another answer is left's; where left was halted, whether the other was so alike."""
    if halted is not None:
        return repr(halted) == repr(other)  # by words: NaN, stopped at the same NaN, is the same stop
    return same


def _halted(record: StepRecord, lane: LaneStep) -> Stop | None:
    """Why a lane was not able to step: what it met in this step's answer, or its end at an earlier step."""
    return lane.answer.stop if lane.answer.batch.step == record.step else lane.stop


def _where(record: StepRecord, right: Evaluated, gradient: Tensor, sides: Sides) -> dict[str, object]:
    """Step, parameter, row, raw output and label of the first bits that differ."""
    left = record.lanes["left"].answer
    found: dict[str, object] = {
        "step": record.step,
        "parameter": _first(sides.parameters, gradient, right.gradient) or "loss",
    }
    if not sides.rowwise:
        return found
    slopes, at = [], Sample.of(left, left.batch.rows, record.step)
    for objective in (sides.left, sides.right):
        assert isinstance(objective, Objective)
        output = at.output.clone().requires_grad_()
        value = guard(f"objective '{objective.name}'", partial(objective, **at.extras), output, at.target)
        slopes.append(_slope(value, output))
    apart = (slopes[0] != slopes[1]).reshape(len(at), -1).any(1)
    size = (slopes[0] - slopes[1]).abs().reshape(len(at), -1).amax(1).nan_to_num(math.inf)
    if bool(apart.any()):
        place = int(torch.where(apart, size, -1).argmax())
        found |= {
            "row": int(left.batch.rows[place]),
            "output": at.output[place].tolist(),
            "target": at.target[place].tolist(),
        }
    return found


def _slope(value: Tensor, output: Tensor) -> Tensor:
    """The gradient of a value at raw outputs; zeros where it does not depend on them."""
    return torch.autograd.grad(value, output)[0] if value.requires_grad else torch.zeros_like(output)


def _first(parameters: Sequence[tuple[str, int]], first: Tensor, second: Tensor) -> str | None:
    """The first parameter in which two flat vectors differ."""
    sizes = [size for _, size in parameters]
    pairs = zip(parameters, first.split(sizes), second.split(sizes), strict=True)
    return next((name for (name, _), a, b in pairs if not torch.equal(a, b)), None)


def _see_common(evidence: Evidence, record: StepRecord, measures: Measures, sides: Sides, probe: Probe) -> None:
    """Right at left's weights. Rows outside the domain excuse nothing, but where one side has saturated, clips or overflows."""
    seen, gaps, outputs = record.lanes["left"].answer, measures.gaps, measures.outputs.get("")
    outside = 0
    if outputs is not None and not probe.covers(*outputs):
        outside = int((~probe.inside(seen.output.cpu(), seen.target.cpu())).sum())
    evidence.see_rows(len(seen.output) or len(seen.batch.rows), outside, outputs)
    evidence.stood.see(record.step, (point.stood(seen.output, seen.target) for point in probe.points))
    if probe.paper is not None:
        evidence.paper.see(record.step, probe.paper.masks(seen.output, seen.target))
    evidence.one_sided = evidence.one_sided or one_sided(record.step, gaps)
    if not {"float32", "float64"} <= gaps.keys():
        return
    covered = all(probe.covers(*measures.outputs[name], double=name == "float64") for name in gaps if sides.rowwise)
    spared = None if covered else _spared(record, probe)
    if spared is not None and bool(spared.all()):
        evidence.left_out += 1
        return
    some = spared is not None and bool(spared.any())
    if spared is not None and some:
        evidence.spared += 1
        gaps = {name: _gap_without(spared, sample, sides) for name, sample in _samples(record).items()}
    null = record.common["float32"].null
    evidence.see_common(record.step, len(record.batch.rows), gaps, any(probe.shift.values()), null[::-1])
    if sides.rowwise and not some:
        evidence.see_witness(gaps, lambda: _samples(record)["float64"])
        _see_null(evidence, record, sides)


def _see_null(evidence: Evidence, record: StepRecord, sides: Sides) -> None:
    """In a half precision the pair's gap is held to what rounding alone makes of left."""
    sample = _samples(record)[sides.own]
    if sample.output.dtype in HALVES:
        factor = evidence.factors.get(len(record.batch.rows), 1.0)
        draw = guard("an objective", null_draw, sides.left, sides.right, sample, factor)
        if draw is not None:
            evidence.gradient.see_draw(*draw)


def _spared(record: StepRecord, probe: Probe) -> Tensor:
    """Mask (n,) of the rows at which, in some precision, the two sides part for a numerical reason."""
    masks = [
        probe.inside(common.left.output.cpu(), common.left.target.cpu(), double=name == "float64", known=True)
        for name, common in record.common.items()
    ]
    return ~torch.stack([mask.reshape(len(mask), -1).all(1) for mask in masks]).all(0)


def _samples(record: StepRecord) -> dict[str, Sample]:
    """The step's batch at left's raw outputs, by precision."""
    return {name: Sample.of(common.left, record.batch.rows, record.step) for name, common in record.common.items()}


def _gap_without(spared: Tensor, sample: Sample, sides: Sides) -> CommonGap:
    """The gap in the raw outputs' gradients with some rows' outputs brought back to ±1, where neither side is lost."""
    size = sample.output.abs().reshape(len(sample), -1).amax(1).clamp_min(1.0)
    scale = torch.where(spared, 1 / size, torch.ones_like(size)).reshape(-1, *[1] * (sample.output.ndim - 1))
    held = replace(sample, output=sample.output * scale)
    (one, left), (two, right) = (
        guard(f"objective '{side.name}'", answer, side, held) for side in (sides.left, sides.right)
    )
    return gap_between(one, two, left.reshape(-1), right.reshape(-1))


def _see_predictions(evidence: Evidence, step: int, predictions: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Predictions of both sides at left's weights in evaluation mode: buffers and modes that training does not show."""
    apart = {name: float((right.double() - left.double()).norm()) for name, (left, right) in predictions.items()}
    evidence.prediction.see(step, apart, [float(left.double().norm()) for left, _ in predictions.values()][-1])


def _see_causes(evidence: Evidence, record: StepRecord, measures: Measures, sides: Sides) -> None:
    """What may explain a difference of optimiser steps, or of own updates' gradients, in float64."""
    common, exact = record.common.get("float64"), measures.gaps.get("float64")
    lane = record.lanes["left" if sides.own == "float64" else "left_float64"] if common else None
    if common and lane and common.stride and lane.shared is lane.after:  # the same weights on both sides
        if measures.strides["float64"][0] == 0.0:
            evidence.rates.see_none(record.rates)
        else:
            ends = lane.before, common.stride.left, common.stride.right
            evidence.rates.see(record.step, record.rates, *ends, record.rates_before)
    if exact and evidence.own_update:
        for carried in evidence.carried:
            carried.see(record.step, exact.left_gradient, exact.right_gradient)


def _see_weights(evidence: Evidence, record: StepRecord, measures: Measures, sides: Sides) -> None:
    """Bits of the weights after the step."""
    left, after, same = record.lanes["left"], _right_after(record, sides), measures.same_weights
    evidence.moved = evidence.moved or measures.moved
    if not left.alive:
        return
    asked = evidence.control is None and record.unlooked is None
    if asked and "control" in record.lanes and "control" not in same:
        evidence.control = f"control's weights differ from left's after step {record.step}"
    if evidence.bitwise and after is not None and ("right" if "right" in record.lanes else FOLLOWER) not in same:
        evidence.bitwise = False
        evidence.first_difference = {"step": record.step, "parameter": _first(sides.parameters, left.shared, after)}


def _right_after(record: StepRecord, sides: Sides) -> Tensor | None:
    """Right's weights after the step: those of its own lane, or those where it arrives from left's; None where it was not asked."""
    if "right" in record.lanes:
        return record.lanes["right"].after
    stride = record.common[sides.own].stride if sides.own in record.common else None
    return None if stride is None else stride.right
