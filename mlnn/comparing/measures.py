"""All numbers of one step, taken of its record in few kernels and one transfer; what is told of a step is told from them.

A lane's vector at a time takes some hundred kernels and a wait for each (1.0 ms a step for one node, 2.3 ms for four layers of
64, on eight lanes with two followers); stacked, the vectors of a precision take about ten.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.comparing.gaps import NAN, CommonGap, alike, apart, ratio, steps_between
from mlnn.targets import TargetSpace
from mlnn.training import Common, Evaluated, StepRecord

Range = tuple[float, float]
Key = tuple[str, str]
"""What is measured, and of which precision."""
Pairs = dict[str, tuple[Tensor, Tensor]]
"""A vector beside the one that it is measured from, by name."""
FOLLOWER = "right_at_left"


@dataclass(frozen=True, eq=False)
class Measures:
    """`gaps`: at common weights, by precision. `free`: how far right's own gradient is from left's, each at its own weights.

    After the step: `weights`: ‖w_lane − w_left‖ ÷ ‖w_left − w_start‖, the distance travelled, by lane that goes on beside left (a
    right lane is met in its own coordinates; dividing by the norm of the weights would let an untrained network pass); `ulps`: that
    of right in units in the last place; `predictions`: the largest gap on the probe rows. `saturated`: fraction of rows whose
    probability has rounded to 0 or 1. NaN where they cannot be measured.

    `strides`: ‖right's step − left's‖ from one place and ‖left's‖, by precision. `outputs`: left's lowest and highest raw output,
    by precision, and under "" those of the left lane; none where it tells none. `same_answers`, `same_weights`: the lanes, and
    FOLLOWER, whose loss and gradient, or weights after the step, are left's bit for bit. `moved`: whether left's weights are not
    its first ones.
    """

    gaps: Mapping[str, CommonGap]
    free: float
    weights: Mapping[str, float]
    ulps: float
    predictions: float
    saturated: float
    strides: Mapping[str, Range]
    outputs: Mapping[str, Range]
    same_answers: frozenset[str]
    same_weights: frozenset[str]
    moved: bool


def measure(record: StepRecord, own: str, targets: TargetSpace | None) -> Measures:
    """The numbers of a step. own: the run's precision; targets: what left reads, None for a step of the user's own."""
    left = record.lanes["left"]
    leaders = {own: "left"} | {name.removeprefix("left_"): name for name in record.lanes if name.startswith("left_")}
    weights = {dtype: _after(record, dtype, leader) for dtype, leader in leaders.items()}
    slopes = {dtype: _slopes(record, own, dtype) for dtype in {own: None, **dict.fromkeys(record.common)}}
    asked = _ranges(record, targets)
    for dtype, (pairs, size_of) in slopes.items():
        if pairs:
            asked |= {("slopes", dtype): _distances(pairs), ("size", dtype): _norm(size_of)}
    asked |= {("weights", dtype): _distances(pairs) for dtype, pairs in weights.items()}
    right = record.lanes.get("right")
    if right and left.alive and right.alive:
        asked["ulps", own] = steps_between(left.shared, right.after)
    if record.predictions is not None:
        one, two = record.predictions
        asked["predictions", own] = torch.linalg.vector_norm(one - two, torch.inf)
    found = _read(asked)
    after = {dtype: dict(zip(pairs, found["weights", dtype], strict=True)) for dtype, pairs in weights.items()}
    beside = {d: dict(zip(pairs, found["slopes", d], strict=True)) for d, (pairs, _) in slopes.items() if pairs}
    sizes = {dtype: found["size", dtype][0] for dtype in beside}
    ulps = found.get(("ulps", own), [NAN])[0] / torch.finfo(left.after.dtype).eps
    return Measures(
        {dtype: _gap(common, beside[dtype][FOLLOWER], sizes[dtype]) for dtype, common in record.common.items()},
        ratio(beside[own]["right"], sizes[own]) if _answered(record, "left") and _answered(record, "right") else NAN,
        {
            name: ratio(size, after[dtype]["start"])
            for dtype in after for name, size in after[dtype].items() if name not in ("start", "before", FOLLOWER)
        },
        ulps,
        found.get(("predictions", own), [NAN])[0],
        _saturated(left.answer, targets, found),
        {dtype: (one[FOLLOWER], one["before"]) for dtype, one in after.items() if FOLLOWER in one},
        {dtype: (found["low", dtype][0], found["high", dtype][0]) for what, dtype in found if what == "low"},
        frozenset(
            name for name, (other, place) in slopes[own][0].items()
            if _loss_of(record, own, name) == left.answer.loss and alike(beside[own][name], other, place)
        ),
        frozenset(name for name, (other, place) in weights[own].items() if alike(after[own][name], other, place)),
        not alike(after[own]["start"], record.starts["left"], left.after),
    )  # fmt: skip


def _after(record: StepRecord, dtype: str, leader: str) -> Pairs:
    """Weights after the step, each beside what it is measured from: left's, in right's coordinates where right is met."""
    left, stride = record.lanes[leader], record.common[dtype].stride if dtype in record.common else None
    pairs: Pairs = {"start": (record.starts[leader], left.after)}
    if stride is not None:
        pairs |= {"before": (left.before, left.after), FOLLOWER: (stride.right, stride.left)}
    if not left.alive:
        return pairs
    others = {name: lane for name, lane in record.lanes.items() if lane.alive and name != leader}
    return pairs | {
        name: (lane.after, left.shared if name.startswith("right") else left.after)
        for name, lane in others.items() if lane.after.dtype == left.after.dtype
    }  # fmt: skip


def _slopes(record: StepRecord, own: str, dtype: str) -> tuple[Pairs, Tensor]:
    """Gradients, each beside the one it is measured from, and the gradient whose size counts: left's, in right's coordinates."""
    answer, common = record.lanes["left"].answer, record.common.get(dtype)
    place = record.gradient if common is None else common.gradient
    place = answer.gradient if place is None else place
    pairs: Pairs = {} if common is None else {FOLLOWER: (common.right.gradient, place)}
    if dtype == own:
        for name, reference in (("right", place), ("control", answer.gradient)):
            if name in record.lanes:
                pairs[name] = record.lanes[name].answer.gradient, reference
    return pairs, place


def _ranges(record: StepRecord, targets: TargetSpace | None) -> dict[Key, Tensor]:
    """Left's lowest and highest raw output, and those of their means, where it tells any."""
    answer = record.lanes["left"].answer
    outputs = {"": answer.output} | {dtype: common.left.output for dtype, common in record.common.items()}
    seen: dict[Key, Tensor] = {}
    for dtype, output in outputs.items():
        if output.numel():
            seen["low", dtype], seen["high", dtype] = output.reshape(1, -1).aminmax(dim=1)
    if _has_means(targets) and answer.output.numel():
        assert targets is not None
        means = targets.link(answer.output)
        seen["mean_low", ""], seen["mean_high", ""] = means.reshape(1, -1).aminmax(dim=1)
    return seen


def _has_means(targets: TargetSpace | None) -> bool:
    return targets is not None and targets.facts.means == (0.0, 1.0)


def _saturated(answer: Evaluated, targets: TargetSpace | None, found: Mapping[Key, list[float]]) -> float:
    """Fraction of rows whose probability has rounded to 0 or 1; 0 for target spaces without probabilities."""
    if targets is None or not _has_means(targets):
        return 0.0
    if ("mean_low", "") in found and 0.0 < found["mean_low", ""][0] <= found["mean_high", ""][0] < 1.0:
        return 0.0
    p = targets.link(answer.output)
    full = (p == 1) | (p == 0) if p.ndim == 1 else (p == 1).any(1)
    return float(full.double().mean())


def _gap(common: Common, difference: float, size: float) -> CommonGap:
    return CommonGap(
        common.left.loss, common.right.loss, ratio(difference, size), difference, size,
        (common.left.stop is None, common.right.stop is None), common.gradient, common.right.gradient,
    )  # fmt: skip


def _answered(record: StepRecord, name: str) -> bool:
    """Whether a lane gave a finite answer in this step."""
    return name in record.lanes and record.ran(name) and record.lanes[name].answer.stop is None


def _loss_of(record: StepRecord, own: str, name: str) -> float:
    return record.common[own].right.loss if name == FOLLOWER else record.lanes[name].answer.loss


def _norm(vector: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(vector, dtype=torch.float64)
    return norm


def _distances(pairs: Pairs) -> Tensor:
    """‖first − second‖ of every pair, in float64: in one go where all have the second in common."""
    place = next(iter(pairs.values()))[1]
    if all(second is place for _, second in pairs.values()):
        return apart(place, [first for first, _ in pairs.values()])
    return torch.cat([apart(second, [first]) for first, second in pairs.values()])


def _read(asked: Mapping[Key, Tensor]) -> dict[Key, list[float]]:
    """Everything in one transfer."""
    numbers = torch.cat([tensor.reshape(-1) for tensor in asked.values()]).tolist()
    found, at = {}, 0
    for key, tensor in asked.items():
        found[key] = numbers[at : at + tensor.numel()]
        at += tensor.numel()
    return found
