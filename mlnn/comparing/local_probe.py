"""The probe of a pair that cannot be asked row by row: both sides at the same places around the first weights, on the first batch.

What training does not visit is visited here: raw outputs far out, moved together, at random. Weights are left as they were.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import torch
from torch import Tensor

from mlnn.comparing.evidence import SAME_FACTOR, Judged, allowed
from mlnn.comparing.gaps import CommonGap, common_gap
from mlnn.comparing.local_backward import of_backward
from mlnn.comparing.places import (
    DRAWN,
    HERE,
    MOVES,
    SCALES,
    WEIGHT_SCALES,
    Visit,
    of_outputs,
    of_the_last_matrix,
    of_weights,
    standing,
)
from mlnn.comparing.places_seen import Seen, domain_of, lowered, notes_of, part_of
from mlnn.comparing.probed import Probe
from mlnn.errors import ConfigError
from mlnn.objectives.grid import Curves, Grid
from mlnn.objectives.promotion import Inside
from mlnn.training import Common, Evaluated, Lane, Lockstep, batches, dtype_name

ASKED_AGAIN = 3
"""Times that the same is asked: a count kept from call to call changes the second answer, a state that alternates the third."""
STEADY_SHIFT = 1e-9
"""A shift is one number where it is the same at all places, relative to itself, to this: a median of float64 differences."""


def local_probe(lockstep: Lockstep) -> Probe:
    """Compare both sides around left's first weights; about 15 places, each a forward and backward pass of both in each precision.

    Raises ConfigError for a step that changes the model's weights.
    """
    own = dtype_name(lockstep.recipe.dtype)
    unsteady = _unsteady(lockstep)
    here = {} if unsteady else {name: gap for name, (gap, _) in _at(lockstep, HERE).items()}
    factor = _factor(here)
    computing = (Inside(), Inside()) if unsteady else _computing(lockstep)
    floor = max(inside.eps for inside in computing)
    seen = Seen(factor, _shift(lockstep, here, factor), Judged(floor=floor), Judged(floor=floor))
    visited = ""
    if not unsteady:
        seen.see(HERE.name, here, 0.0)
        told = _told(lockstep)
        seen.tells = told and len(lockstep.lanes["left"].evaluate(next(batches(lockstep.recipe))).output) > 0
        visited = _words(told)
        for visit in _visits(told):
            answers = _at(lockstep, visit)
            seen.see(visit.name, {name: gap for name, (gap, _) in answers.items()}, answers["float64"][1])
        visited = visited.replace("…", f"up to {max(seen.sizes, default=0.0):.3g}")
    value, gradient = (part_of(seen, which, own) for which in ("value", "gradient"))
    backward = None
    if gradient.relation == "different" and value.relation not in ("different", "undecided"):
        backward = of_backward(lockstep)
    _forget(lockstep)
    domain, broke = domain_of(seen)
    grid, curves = _nothing()
    return Probe(
        grid, lockstep.recipe.dtype, curves, curves, value, gradient,
        seen.factor, {0.0: seen.shift}, {0.0: domain}, {0.0: domain}, per_target=False,
        unsteady=unsteady, notes=notes_of(seen), visited=visited or None, broke=broke, backward=backward,
        computing=computing, lowered=(lowered(seen.value, floor, own), lowered(seen.gradient, floor, own)),
    )  # fmt: skip


def _at(lockstep: Lockstep, visit: Visit) -> dict[str, tuple[CommonGap, float]]:
    """Per precision: right against left at a place, and the largest of left's raw outputs there."""
    batch = next(batches(lockstep.recipe))
    found = {}
    for name, follower in lockstep.followers.items():
        leader = lockstep.leader(name)
        with standing(leader, [follower], visit) as told:
            right = lockstep.right_at_left(name, batch)
            left = leader.evaluate(batch)
            gap = common_gap(Common(left, right, lockstep.shared_gradient(name, left), None))
        leader.stopped = None
        found[name] = gap, told.largest
    return found


def _computing(lockstep: Lockstep) -> tuple[Inside, Inside]:
    """What each side computes in, by what it asks for in a float64 twin and in the run's own precision."""
    batch, found = next(batches(lockstep.recipe)), []
    for side in ("left", "right"):
        own = lockstep.lanes[side]
        double = lockstep.lanes.get(f"{side}_float64", own)
        asked = []
        for lane in (own, double):
            with (
                standing(lane, [], HERE),
                suppress(ConfigError),
            ):  # what cannot be asked promoted (a scaler) tells nothing
                asked.append(lane.casts_to(batch))
            lane.stopped = None
        lower = [dtype for dtype in asked if dtype is not None]
        found.append(Inside(max(lower, key=lambda dtype: torch.finfo(dtype).eps, default=None), double.promotes))
    return found[0], found[1]


def _told(lockstep: Lockstep) -> bool:
    """Whether both sides' losses come from the same raw outputs, which the model gives when it is called as a whole."""
    batch = next(batches(lockstep.recipe))
    leader, follower = lockstep.leader("float64"), lockstep.followers["float64"]
    places = [HERE, *of_outputs()]
    moved, shapes = [], []
    for lane in (leader, follower):
        losses = set()
        for visit in (places[0], *places[-len(DRAWN) :]):
            with standing(lane, [], visit) as told:
                losses.add(repr(lane.evaluate(batch).loss))
        moved.append(len(losses) > 1)
        shapes.append({tuple(output.shape[1:]) for output in told.outputs})
        lane.stopped = None
    return all(moved) and shapes[0] == shapes[1]


def _visits(told: bool) -> Iterator[Visit]:
    yield from of_outputs() if told else of_the_last_matrix()
    yield from of_weights()


def _words(told: bool) -> str:
    """What was visited, in words; … stands for how far."""
    scales = ", ".join(f"{scale:g}" for scale in (SCALES if told else WEIGHT_SCALES))
    moves = " and ".join(f"±{size:g}" for size in MOVES if size > 0)
    if told:
        return f"raw outputs × {scales} (…), moved together by {moves}, moved at random, and weights moved at random"
    return f"the last matrix × {scales}, its rows moved together by {moves}, and weights moved at random"


def _unsteady(lockstep: Lockstep) -> str | None:
    """Why the answers cannot be trusted: the same asked again is answered differently."""
    batch = next(batches(lockstep.recipe))
    sides: Iterable[tuple[str, Lane]] = (("left", lockstep.lanes["left"]), ("right", lockstep.lanes["right"]))
    for side, lane in sides:
        kept = [tensor.detach().clone() for tensor in lane.weights]
        answers: list[Evaluated] = []
        for _ in range(ASKED_AGAIN):
            with standing(lane, [], HERE):
                answers.append(lane.evaluate(batch))
                _check_weights(lane, kept)
            lane.stopped = None
        first = answers[0]
        if any(repr(a.loss) != repr(first.loss) or not _same(a.gradient, first.gradient) for a in answers[1:]):
            kind = "update" if lane.own is not None else "step"
            return (
                f"{side}'s {kind} '{lane.recipe.objective.name}' answered the same call differently (state that lanes share, or"
                f" randomness of its own{_OBJECT if lane.own is not None else ''})"
            )
    return None


_OBJECT = "; what it keeps from step to step belongs in an object, of which each lane has a copy, not in a closure"


def _same(one: Tensor, two: Tensor) -> bool:
    """Whether all entries are equal; NaN is, to NaN."""
    return torch.allclose(one, two, rtol=0, atol=0, equal_nan=True)


def _check_weights(lane: Lane, kept: list[Tensor]) -> None:
    if not all(_same(a.detach(), b) for a, b in zip(lane.weights, kept, strict=True)):
        raise ConfigError(f"{lane.asked} changes the model's weights; give it as LaneRecipe(optimizer=…, update=…)")


def _forget(lockstep: Lockstep) -> None:
    """Lanes as before the first step: no gradient in place, none stopped."""
    for lane in (*lockstep.lanes.values(), *lockstep.followers.values()):
        lane.stopped = None
        for weight in lane.weights:
            weight.grad = None


def _factor(here: Mapping[str, CommonGap]) -> float:
    """c with g_right = c·g_left at the first weights; 1 where it is near 1, or none."""
    if not here:
        return 1.0
    exact = here["float64"]
    near = abs(exact.factor - 1) <= max(SAME_FACTOR, allowed(here["float32"].gradient))
    aligned = exact.residual(exact.factor) <= allowed(here["float32"].gradient) * float(exact.right_gradient.norm())
    return exact.factor if exact.factor > 0 and not near and aligned else 1.0


def _shift(lockstep: Lockstep, here: Mapping[str, CommonGap], factor: float) -> float:
    """s with v_right = c·v_left + s, if it is the same at the first weights and where weights were moved; else 0."""
    if not here or not all(here["float64"].finite):
        return 0.0
    found = []
    for gap in (here["float64"], *(_at(lockstep, visit)["float64"][0] for visit in of_weights())):
        found.append((gap.right - factor * gap.left, max(abs(gap.left), abs(gap.right))))
    first, size = found[0]
    tiny = allowed(0.0) * max(size, 1.0)
    steady = all(abs(one - first) <= max(STEADY_SHIFT * abs(first), tiny) for one, _ in found)
    return first if steady and abs(first) > tiny else 0.0


def _nothing() -> tuple[Grid, Curves]:
    """No grid of raw outputs was asked."""
    empty = torch.empty(0, 2, dtype=torch.float64)
    grid = Grid(empty[:, 0], empty, torch.zeros(1, dtype=torch.float64), torch.empty(0, dtype=torch.int64))
    return grid, Curves(empty[:, :1], empty[:, :, None])
