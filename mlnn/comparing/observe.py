"""One row of the trace per step: every gap that DESIGN's words name, measured while the lanes stand still."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mlnn.comparing.evidence import Evidence
from mlnn.comparing.gaps import NAN, CommonGap, common_gap, flat, relative, same_bits, ulps, weight_gap
from mlnn.comparing.probe import Probe
from mlnn.training import Batch, Lane, Lockstep, dtype_name
from mlnn.training.module import guard

Row = dict[str, float]
OVERFLOWING = 1e-6
"""A loss or gradient above this share of the largest number is on its way to overflow."""


class Observer:
    """Watches a lockstep: `before_update` sees gradients at common weights, `after_update` sees weights and predictions.

    Together they give the trace row of a step; what the verdict needs is kept in `evidence`.
    """

    def __init__(self, lockstep: Lockstep, probe: Probe, probe_batch: Tensor) -> None:
        self.lockstep, self.probe, self.probe_batch = lockstep, probe, probe_batch
        self.own = dtype_name(lockstep.recipe.dtype)
        self.lanes = lockstep.lanes
        self.evidence = Evidence(self.own, lockstep.recipe.steps, decay=_decay(self.lanes["left"], self.lanes["right"]))
        self.nulls = [name for name in self.lanes if name.startswith("null_")]
        self.twins = [name.removeprefix("left_") for name in self.lanes if name.startswith("left_")]
        self.before: dict[str, Tensor] = {}
        self.starts = {name: flat(lane.weights) for name, lane in self.lanes.items() if name.startswith("left")}

    def before_update(self, batch: Batch) -> Row:
        """Losses, gradients at common weights and free-running, saturation, non-finite counts."""
        if self.lockstep.compares_steps(batch.step):
            self.before = {name: flat(self.lockstep.leader(name).weights) for name in self.lockstep.followers}
        left, right, control = (self.lanes[name] for name in ("left", "right", "control"))
        row: Row = {"step": batch.step}
        row |= {f"loss_{name}": lane.loss if _running(lane, batch) else NAN for name, lane in self.lanes.items()}
        row["abs_loss_gap"] = abs(row["loss_right"] - row["loss_left"])
        common = {
            name: common_gap(self.lockstep.leader(name), follower)
            for name, follower in self.lockstep.followers.items()
            if _running(self.lockstep.leader(name), batch)
        }
        for name in self.lockstep.followers:
            column = "gradient_gap" if name == self.own else f"gradient_gap_{name}"
            row[column] = common[name].gradient if name in common else NAN
        both = left.stopped is None and right.stopped is None
        slopes = flat(right.translate(left, left.gradients)), flat(right.gradients)
        row["gradient_gap_free"] = relative(slopes[1] - slopes[0], slopes[0]) if both else NAN
        row["saturated_fraction"] = _saturated(left)
        for lane in (left, right):
            row[f"non_finite_{lane.name}"] = _non_finite(lane)
        self._collect(batch, common, left, right, control)
        return row

    def after_update(self) -> Row:
        """Weight gaps of right, the null twins and the precision twins; prediction gap on the probe batch."""
        self._collect_steps()
        left, right = self.lanes["left"], self.lanes["right"]
        start = self.starts["left"]
        going = left.stopped is None
        row: Row = {"weight_gap": NAN, "weight_gap_ulps": NAN, "prediction_gap": NAN}
        if going and right.stopped is None:
            row["weight_gap"] = weight_gap(left, right, start)
            row["weight_gap_ulps"] = ulps(right.translate(left, left.weights), right.weights)
            one, two = (lane.predict(self.probe_batch, self.lockstep.step) for lane in (left, right))
            row["prediction_gap"] = float((one - two).abs().max())
        for name in self.twins:
            pair = self.lanes[f"left_{name}"], self.lanes[f"right_{name}"]
            alive = all(lane.stopped is None for lane in pair)
            row[f"weight_gap_{name}"] = weight_gap(*pair, self.starts[f"left_{name}"]) if alive else NAN
        band = []
        for name in self.nulls:
            alive = going and self.lanes[name].stopped is None
            band.append(weight_gap(left, self.lanes[name], start) if alive else NAN)
            row[f"weight_gap_{name}"] = band[-1]
        known = [gap for gap in band if gap == gap]
        row["null_low"], row["null_high"] = (min(known), max(known)) if known else (NAN, NAN)
        self._collect_weights(left, right)
        self._collect_stops()
        return row

    def see_predictions(self) -> None:
        """Predictions of both sides at left's weights in evaluation mode: buffers and modes that training does not show."""
        apart, size = {}, 0.0
        for name, follower in self.lockstep.followers.items():
            leader = self.lockstep.leader(name)
            if leader.stopped is not None or follower.stopped is not None:
                return
            one, two = (flat([lane.predict(self.probe_batch, self.lockstep.step)]) for lane in (leader, follower))
            apart[name], size = float((two - one).norm()), float(one.norm())
        self.evidence.prediction.see(self.lockstep.step, apart, size)

    def _collect_stops(self) -> None:
        for name, lane in self.lanes.items():
            if lane.stopped is None or name in self.evidence.stops:
                continue
            self.evidence.stops[name] = lane.stopped
            other = {"left": "right", "right": "left"}.get(name)
            if other is not None and self._would_stop(self.lanes[other], lane):
                self.evidence.diverged.add(name)

    def _would_stop(self, other: Lane, stopped: Lane) -> bool:
        """Whether the other side, too, is not finite where a lane stopped: then training diverged, no objective is at fault."""
        if stopped.stopped is not None and stopped.stopped.what == "weights":
            return not self.lockstep.optimizers_differ
        output = stopped.output.clone().requires_grad_()
        try:
            value = other.recipe.objective(output, stopped.target)
        except Exception:  # it refuses what the stopped lane answered with numbers that are not finite
            return True
        slope = torch.autograd.grad(value, output)[0] if value.requires_grad else torch.zeros_like(output)
        reach = OVERFLOWING * torch.finfo(value.dtype).max  # a factor may let one side overflow a step before the other
        return not (float(value.detach().abs()) < reach and float(slope.abs().max()) < reach)

    def _collect(self, batch: Batch, common: dict[str, CommonGap], left: Lane, right: Lane, control: Lane) -> None:
        evidence = self.evidence
        evidence.steps += 1
        self._collect_stops()
        if evidence.control is None and not _alike(left, control, left.gradients):
            evidence.control = f"control differs from left in loss or gradient at step {batch.step}"
        if not _alike(left, right, right.translate(left, left.gradients)):
            evidence.bitwise = False
            if evidence.first_difference is None:
                evidence.first_difference = self._where(batch, left, right)
        if not _running(left, batch):
            return
        inside = self.probe.inside(left.output, left.target)
        evidence.see_rows(left.output, inside)
        fully = bool(inside.all())
        for name in common:
            leader = self.lockstep.leader(name)
            fully = fully and bool(self.probe.inside(leader.output, leader.target, double=name == "float64").all())
        if {"float32", "float64"} <= common.keys():
            evidence.see_common(batch.step, len(batch.rows), common, fully, any(self.probe.shift.values()))

    def _collect_weights(self, left: Lane, right: Lane) -> None:
        evidence, control = self.evidence, self.lanes["control"]
        evidence.moved = evidence.moved or not torch.equal(flat(left.weights), self.starts["left"])
        if evidence.control is None and left.stopped is None and not same_bits(left.weights, control.weights):
            evidence.control = f"control's weights differ from left's after step {evidence.steps - 1}"
        theirs = right.translate(left, left.weights)
        if evidence.bitwise and left.stopped is None and not same_bits(theirs, right.weights):
            evidence.bitwise = False
            evidence.first_difference = {"step": evidence.steps - 1, "parameter": _first(right, theirs, right.weights)}

    def _collect_steps(self) -> None:
        """Where the optimisers differ: the two steps from the same weights, gradient and state, per dtype."""
        moved, step = {}, self.evidence.steps - 1
        for name, follower in self.lockstep.followers.items() if self.lockstep.compares_steps(step) else ():
            leader = self.lockstep.leader(name)
            if leader.stopped is None and follower.stepped == step:
                own, other = flat(follower.translate(leader, leader.weights)), flat(follower.weights)
                travelled = float((flat(leader.weights) - self.before[name]).norm())
                moved[name] = (float((other - own).norm()), travelled)
        if {"float32", "float64"} <= moved.keys():
            self.evidence.update.see(step, {name: gap for name, (gap, _) in moved.items()}, moved["float64"][1])

    def _where(self, batch: Batch, left: Lane, right: Lane) -> dict[str, object]:
        """Step, parameter, row, raw output and label of the first bits that differ."""
        found: dict[str, object] = {
            "step": batch.step,
            "parameter": _first(right, right.translate(left, left.gradients), right.gradients) or "loss",
        }
        slopes = []
        for lane in (left, right):
            output = left.output.clone().requires_grad_()
            value = guard(lane.asked, lane.recipe.objective, output, left.target)
            slopes.append(torch.autograd.grad(value, output)[0] if value.requires_grad else torch.zeros_like(output))
        apart = (slopes[0] != slopes[1]).reshape(len(left.output), -1).any(1)
        size = (slopes[0] - slopes[1]).abs().reshape(len(left.output), -1).amax(1).nan_to_num(math.inf)
        if bool(apart.any()):
            place = int(torch.where(apart, size, -1.0).argmax())
            found |= {
                "row": int(batch.rows[place]),
                "output": left.output[place].tolist(),
                "target": left.target[place].item(),
            }
        return found


def _running(lane: Lane, batch: Batch) -> bool:
    return lane.stopped is None or lane.stopped.step == batch.step


def _alike(left: Lane, other: Lane, gradients: Sequence[Tensor]) -> bool:
    if left.stopped is not None:
        return repr(other.stopped) == repr(left.stopped)  # by words: NaN, stopped at the same NaN, is the same stop
    return left.loss == other.loss and same_bits(gradients, other.gradients)


def _first(lane: Lane, first: Sequence[Tensor], second: Sequence[Tensor]) -> str | None:
    pairs = zip(lane.names, first, second, strict=True)
    return next((name for name, a, b in pairs if not torch.equal(a, b)), None)


def _decay(left: Lane, right: Lane) -> str | None:
    """What pulls each side's weights towards 0, in words; None where both have the same prior, or none."""
    if left.recipe.prior == right.recipe.prior:
        return None
    told = []
    for lane in (left, right):
        pulls = {"weight_decay": lane.optimizer.defaults.get("weight_decay", 0), "prior": lane.recipe.prior}
        words = [type(lane.optimizer).__name__, *(f"{name} {size:.12g}" for name, size in pulls.items() if size)]
        told.append(f"{lane.name} ({', '.join(words)})")
    return " and ".join(told)


def _saturated(lane: Lane) -> float:
    """Fraction of rows whose probability has rounded to 0 or 1; 0 for target spaces without probabilities."""
    targets = lane.recipe.objective.targets
    if targets.facts.means != (0.0, 1.0):
        return 0.0
    p = targets.link(lane.output)
    full = (p == 1) | (p == 0) if p.ndim == 1 else (p == 1).any(1)
    return float(full.double().mean())


def _non_finite(lane: Lane) -> float:
    """How many entries of the loss and the gradient are not finite."""
    return float(not math.isfinite(lane.loss)) + sum(float((~torch.isfinite(g)).sum()) for g in lane.gradients)
