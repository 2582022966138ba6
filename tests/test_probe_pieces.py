"""What a probe says of what it saw, piece by piece: on curves and domains made by hand, on both sides of each line."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from objective_cases import BINARY, binary

from mlnn.comparing import probe as module
from mlnn.comparing.batch import Whole
from mlnn.comparing.differences import Both
from mlnn.comparing.domain import ALL
from mlnn.comparing.kinks import Kinks, Point
from mlnn.comparing.probe import (
    _at_targets,
    _beyond,
    _kinks,
    _lowered,
    _moved,
    _mute,
    _odd_targets,
    _part,
    _reach,
    _seen_by_batches,
    _upstream,
    _where_largest,
)
from mlnn.comparing.probed import Part
from mlnn.objectives import bce
from mlnn.objectives.grid import Curves, Grid
from mlnn.objectives.reduction import Reduction
from mlnn.targets import TargetSpace

f32, f64, half = torch.float32, torch.float64, torch.bfloat16
EPS32 = 2.0**-23
NAN = math.nan


def line(*strengths: float, targets: int = 1) -> Grid:
    strength = torch.tensor(strengths, dtype=f64)
    return Grid(
        strength, strength.clone(), torch.arange(targets, dtype=f64), torch.zeros(len(strength), dtype=torch.int64)
    )


FOUR = line(-2.0, -0.5, 0.5, 2.0)
WIDE, NARROW = {0.0: ALL}, {0.0: (-0.9, 9.0)}


def of(value: float, slope: float, coarse: tuple[float, float] | None = None) -> dict[torch.dtype, Curves]:
    """Everywhere the same, but at the first output; there it is so in float64, and `coarse` in float32 and bfloat16."""

    def curves(first: tuple[float, float]) -> Curves:
        parts = [torch.tensor([number, 1.0, 1.0, 1.0], dtype=f64)[:, None] for number in first]
        return Curves(parts[0], parts[1][..., None])

    return {f64: curves((value, slope))} | dict.fromkeys((f32, half), curves(coarse or (value, slope)))


ONE = of(1.0, 1.0)


def part(
    which: str, right: dict[torch.dtype, Curves], domain: Any = WIDE, dtype: torch.dtype = f32, **more: Any
) -> Part:
    return _part(which, Both(FOUR, more.pop("left", ONE), right, **more), domain, dtype)


@pytest.mark.parametrize(("off", "dtype", "relation"), [
    (0.0, f32, "bitwise"), (1.5 * EPS32, f32, "indistinguishable"), (2.5 * EPS32, f32, "different"),
    (1.5 * EPS32, f64, "different"),
    (2.5 * EPS32, half, "indistinguishable"), (1.5 * 2.0**-7, half, "indistinguishable"), (2.5 * 2.0**-7, half, "different"),
    (1e-15, f64, "equal"), (1e-15, f32, "equal"),
])  # fmt: skip
def test_a_difference_is_one_that_the_working_precision_resolves(off: float, dtype: torch.dtype, relation: str) -> None:
    for which, right in (("value", of(1 + off, 1.0)), ("gradient", of(1.0, 1 + off))):
        found = part(which, right, dtype=dtype)
        assert found.relation == relation
        assert found.size == (pytest.approx(off, rel=0.03) if relation not in ("bitwise", "equal") else 0.0)
        other = "gradient" if which == "value" else "value"
        assert part(other, right, dtype=dtype).relation == "bitwise"


@pytest.mark.parametrize(("domain", "dtype", "relation"), [
    (WIDE, f32, "equal"), (NARROW, f32, "different"), (NARROW, f64, "equal"), (NARROW, half, "different"),
])  # fmt: skip
def test_where_there_is_no_domain_the_working_precision_is_held_to_rounding(
    domain: Any, dtype: torch.dtype, relation: str
) -> None:
    for which, right in (("value", of(1.0, 1.0, (1.5, 1.0))), ("gradient", of(1.0, 1.0, (1.0, 1.5)))):
        assert part(which, right, domain, dtype).relation == relation


def test_where_neither_is_finite_or_nothing_speaks_nothing_is_said() -> None:
    lost = {dtype: Curves(side.value * math.inf, side.gradient) for dtype, side in ONE.items()}
    other = {dtype: Curves(side.value * math.inf, 2 * side.gradient) for dtype, side in ONE.items()}
    assert part("gradient", other, left=lost).relation == "undecided"
    assert part("gradient", of(1.0, 1.1), left=lost).relation == "different", "one of the two is"
    assert part("gradient", lost, left=of(1.0, 1.1)).relation == "different"
    silent = torch.ones(4, 1, dtype=torch.bool)
    assert part("gradient", of(1.0, 1.1), silent=~silent).relation == "different"
    first = torch.tensor([True, False, False, False])[:, None]
    assert part("gradient", of(1.0, 1.1), silent=first).relation == "bitwise"
    outside = part("gradient", of(1.0, 1.1), {0.0: (-1.5, 9.0)})
    assert outside.relation == "equal"


@pytest.mark.parametrize(("factor", "shift", "value", "gradient"), [
    (1 + 3 * EPS32, 0.0, "scaled", "scaled"), (1.0, 0.5, "shifted", "bitwise"),
    (1 + 1.5 * EPS32, 0.0, "indistinguishable", "indistinguishable"),
    (1.0, -0.5, "shifted", "bitwise"), (1.0, 1.5 * EPS32, "indistinguishable", "bitwise"),
])  # fmt: skip
def test_a_factor_and_a_shift_are_told_of_values_and_a_factor_of_gradients(
    factor: float, shift: float, value: str, gradient: str
) -> None:
    right = {dtype: Curves(factor * side.value + shift, factor * side.gradient) for dtype, side in ONE.items()}
    moved = torch.tensor([shift])
    assert part("value", right, factor=factor, shift=moved).relation == value
    assert part("gradient", right, factor=factor, shift=moved).relation == gradient
    assert _moved(Both(FOUR, {}, {}, shift=torch.tensor([0.25, -0.75]))) == 0.75


def test_judged_alone_two_that_agree_are_no_more_than_indistinguishable() -> None:
    nothing = torch.zeros(4, 1, dtype=f64)
    found = part("gradient", of(1.0, 1 + 3 * EPS32, (1.0, 1 + 3 * EPS32)), nulls=(nothing, nothing), floor=EPS32)
    assert (found.relation, found.size) == ("indistinguishable", pytest.approx(3 * EPS32, rel=1e-3))
    scaled = {"factor": 1 + 3e-3, "nulls": (nothing, nothing)}
    right = {dtype: Curves(1.003 * side.value, 1.003 * side.gradient) for dtype, side in ONE.items()}
    assert part("gradient", right, floor=2.0**-8, **scaled).relation == "indistinguishable"
    assert part("gradient", right, floor=EPS32, **scaled).relation == "scaled"


@pytest.mark.parametrize(("dtype", "floor", "off", "lowered"), [
    (f32, 2.0**-8, 0.01, 0.01), (f32, 0.0, 0.01, 0.0), (f32, EPS32, 0.01, 0.0), (f32, 2.0**-8, 17 * EPS32, 0.0),
    (f32, 2.0**-8, 19 * EPS32, 19 * EPS32), (half, 2.0**-8, 0.01, 0.0),
])  # fmt: skip
def test_how_far_a_coarser_float_moves_what_is_compared(
    dtype: torch.dtype, floor: float, off: float, lowered: float
) -> None:
    side = binary(bce)
    for coarse, wanted in (((1 + off, 1.0), (lowered, 0.0)), ((1.0, 1 + off), (0.0, lowered))):
        found = _lowered(Both(FOUR, ONE, of(1.0, 1.0, coarse), floor=floor), side, side, WIDE, dtype)
        assert found == pytest.approx(wanted, rel=1e-2)
        inside = {0.0: (-1.5, 9.0)}
        assert _lowered(Both(FOUR, ONE, of(1.0, 1.0, coarse), floor=floor), side, side, inside, dtype) == (0.0, 0.0)


@pytest.mark.parametrize(("off", "ends", "size"), [
    (0.5, {0.0: (None, "")}, 0.5 / 1.5), (0.5, {0.0: ("left clips", "")}, None), (1.5 * EPS32, {0.0: (None, "")}, None),
    (2.5 * EPS32, {0.0: (None, "")}, 2.5 * EPS32),
])  # fmt: skip
def test_beyond_an_end_without_a_reason_the_largest_difference_is_told(
    off: float, ends: Any, size: float | None
) -> None:
    found = _beyond(Both(FOUR, ONE, of(1.0, 1 + off)), {0.0: (-1.5, 9.0)}, ends, f32)
    if size is None:
        assert found is None
    else:
        assert found == Part("different", pytest.approx(size, rel=1e-2), -2.0, 0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("domain", "reach"), [
    ({f32: {0.0: (-5.0, 7.0)}, f64: {0.0: (-30.0, 9.0)}}, 4.5), ({f32: {0.0: (-5.0, 7.0)}, f64: {0.0: (-30.0, 2.0)}}, 1.8),
    ({f32: {0.0: (-0.5, 7.0)}, f64: {0.0: (-30.0, 2.0)}}, 1.8), ({f32: {0.0: (-0.5, 7.0)}, f64: {0.0: (-0.5, 2.0)}}, math.inf),
    ({f32: {0.0: ALL}}, math.inf),
])  # fmt: skip
def test_whole_batches_are_drawn_where_every_precision_agrees(domain: Any, reach: float) -> None:
    assert _reach(domain) == pytest.approx(reach)


def whole(reach: float = math.inf, kind: Reduction | None = None) -> Whole:
    return Whole(kind, kind, {}, 0.0, 0.0, reach=reach)


def test_single_rows_that_say_nothing_leave_the_domain_to_whole_batches() -> None:
    for seen, interval in ((None, (-0.0, 0.0)), (whole(4.0), (-4.0, 4.0)), (whole(), ALL)):
        assert _seen_by_batches(line(1.0, targets=2), seen) == {0.0: interval, 1.0: interval}


@pytest.mark.parametrize(
    ("astray", "told"), [((), None), (("left",), "left"), (("right",), "right"), (("left", "right"), None)]
)
def test_a_backward_pass_is_named_where_one_alone_goes_astray(
    astray: tuple[str, ...], told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[Any] = []
    monkeypatch.setattr(module, "follows_upstream", lambda one, kind: (kinds.append(kind), one not in astray)[1])
    pair: Any = (("left", "left"), ("right", "right"))
    assert _upstream(pair, None) == told
    assert _upstream(pair, whole(kind=Reduction("sum"))) == told
    assert kinds == [None, None, Reduction("sum"), Reduction("sum")]


def test_a_side_that_answers_no_row_by_itself_is_named() -> None:
    void = {f64: Curves(torch.full((4, 1), NAN), torch.full((4, 1, 1), NAN), "no")}
    some = {f64: Curves(torch.tensor([NAN, 1.0, NAN, NAN])[:, None], torch.ones(4, 1, 1), "no")}
    dumb = {f64: replace(void[f64], refused=None)}
    for left, right, name in ((void, some, "left"), (some, void, "right"), (some, some, None), (dumb, some, None)):
        told = _mute(Both(FOUR, left, right))
        assert (told is None) if name is None else str(told).startswith(f"{name} answers no row by itself (no)")


@pytest.mark.parametrize(("shape", "size", "kept"), [
    ("equal", 1.0, True), ("different", 1.0, False), ("undecided", 1.0, False), ("equal", 1.5 * EPS32, False),
    ("equal", 2.5 * EPS32, True),
])  # fmt: skip
def test_kinks_are_asked_where_gradients_agree_and_count_where_they_are_resolved(
    shape: str, size: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    points = [Point("left", 0.0, 0.0, 1.0, 2.0)]

    def kinks(*told: Any) -> Kinks:
        asked.append(told)
        return Kinks(points, (size, 0.0, 0.0))

    monkeypatch.setattr(module, "kinks", kinks)
    grid, side = line(1.0, 2.0, targets=2), binary(bce)
    one = torch.tensor([[False, True], [False, True]])
    for silent, labels in ((None, [0.0, 1.0]), (one, [0.0]), (one & torch.tensor([[True], [False]]), [0.0, 1.0])):
        asked.clear()
        found = _kinks(side, side, BINARY, Both(grid, {}, {}, silent=silent), Part(shape), 5.0, f32)
        if shape != "equal":
            assert (found, asked) == (Kinks(), [])
            continue
        assert (found.worst is not None, found.points) == (kept, points)
        assert (asked[0][3].tolist(), asked[0][5]) == (labels, 5.0)
    monkeypatch.setattr(module, "kinks", lambda *_: Kinks(points))
    assert _kinks(side, side, BINARY, Both(grid, {}, {}), Part("equal"), 5.0, f32).worst is None


def test_targets_that_one_side_cannot_take_are_points_unless_it_can_take_none(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = replace(line(1.0), target=torch.eye(3))
    both = Both(grid, {}, {})
    for odd, told in (([], []), ([("left", 1)], [("left", 1)]), ([("left", 0), ("left", 1), ("left", 2)], [])):
        monkeypatch.setattr(module, "one_sided", lambda _both, odd=odd: odd)
        assert _odd_targets(both, TargetSpace("simplex", 3)) == told
        assert _odd_targets(both, BINARY) == []
    (point,) = _at_targets(both, [("left", 1)])
    assert (point.side, point.output, point.target) == ("left", None, [0.0, 1.0, 0.0])


@pytest.mark.parametrize(("outputs", "told"), [(16, [0.5] * 16), (17, 3.0)])
def test_of_many_raw_outputs_the_largest_is_told(outputs: int, told: Any) -> None:
    grid = Grid(torch.tensor([3.0]), torch.full((1, outputs), 0.5), torch.zeros(1), torch.zeros(1))
    assert _where_largest(grid, torch.ones(1, 1)).output == told
