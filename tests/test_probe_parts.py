"""What of a probe says nothing, and why a domain ends: on curves of numbers made by hand, on both sides of each line."""

import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mlnn.comparing.differences import Both, _factor, _shift
from mlnn.comparing.domain import _end
from mlnn.comparing.ends import _constant, _dies, _on, _reason, excusing, far, told, unexcused
from mlnn.comparing.probe import _nearer, _same_bits, _up_to_constants, _where_largest, probe
from mlnn.comparing.probed import Part
from mlnn.comparing.undefined import left_out, one_sided
from mlnn.objectives import Objective, bce
from mlnn.objectives.grid import Curves, Grid
from mlnn.objectives.precision import looked_into
from mlnn.targets import TargetSpace

f32, f64 = torch.float32, torch.float64
NAN = math.nan
STRENGTHS = (-2.0, -0.5, 0.5, 2.0)


def grid(strengths: Sequence[float] = STRENGTHS, targets: int = 2) -> Grid:
    strength = torch.tensor(strengths, dtype=f64)
    return Grid(
        strength, strength.clone(), torch.arange(targets, dtype=f64), torch.zeros(len(strength), dtype=torch.int64)
    )


def curve(value: Tensor, gradient: Tensor | None = None) -> dict[torch.dtype, Curves]:
    """(G, Y) the same in both precisions; the gradient is 1 where none is given, NaN where the value is."""
    slope = torch.where(value.isnan(), NAN, 1.0) if gradient is None else gradient
    return dict.fromkeys((f32, f64), Curves(value, slope[..., None]))


def both(left: dict[torch.dtype, Curves], right: dict[torch.dtype, Curves], points: Grid | None = None) -> Both:
    return Both(points or grid(), left, right)


ONES = torch.ones(4, 2, dtype=f64)


def with_nan(*places: tuple[int, int]) -> Tensor:
    found = ONES.clone()
    for row, column in places:
        found[row, column] = NAN
    return found


SECOND = with_nan(*((row, 1) for row in range(4)))
ZERO = torch.where(SECOND.isnan(), 0.0, SECOND)


@pytest.mark.parametrize(("left", "right", "words"), [
    (curve(SECOND), curve(SECOND), "4 of 8 points of the probe say nothing: both sides are undefined there (e.g. target 1)"),
    (curve(SECOND), curve(ZERO, ZERO),
     "4 of 8 points of the probe say nothing: left is undefined (0/0) and right is 0 with a gradient of 0 there (e.g. target 1)"),
    (curve(ZERO, ZERO), curve(SECOND),
     "4 of 8 points of the probe say nothing: right is undefined (0/0) and left is 0 with a gradient of 0 there (e.g. target 1)"),
    (curve(SECOND), curve(ZERO, ONES), None), (curve(SECOND), curve(ONES, ZERO), None),  # 0 in value or gradient alone
    (curve(ZERO, ZERO), curve(ZERO, ZERO), None), (curve(SECOND), curve(ONES), None), (curve(ONES), curve(ONES), None),
    (curve(with_nan((2, 0))), curve(with_nan((2, 0))),
     "1 of 8 points of the probe say nothing: both sides are undefined there (e.g. raw output 0.5)"),
    (curve(with_nan((3, 0))), curve(with_nan((3, 0))), None),  # beyond ±1 it ends the domain
    (curve(with_nan((2, 0))), curve(ONES), None),
])  # fmt: skip
def test_points_that_say_nothing_are_left_out(left: dict, right: dict, words: str | None) -> None:
    found = left_out(both(left, right))
    assert found.told == words
    assert bool(found.mask.any()) is (words is not None)
    assert not found.alone


@pytest.mark.parametrize(("at", "out"), [(1.0, True), (1.001, False), (-1.0, True)])
def test_a_region_as_near_as_one_is_left_out(at: float, out: bool) -> None:
    points = grid((-3.0, -0.5, 0.5, at))
    odd = curve(with_nan((3, 0)))
    assert bool(left_out(both(odd, odd, points)).mask.any()) is out


def test_where_no_point_speaks_single_rows_cannot_be_compared() -> None:
    nothing = curve(torch.full((4, 2), NAN, dtype=f64))
    assert left_out(both(nothing, nothing)).alone
    zero = curve(torch.zeros(4, 2, dtype=f64), torch.zeros(4, 2, dtype=f64))
    assert left_out(both(nothing, zero)).alone
    assert left_out(both(zero, zero)).alone
    assert left_out(both(nothing, nothing)).facts == {"points": 8, "of": 8, "example": None}


def test_a_side_that_alone_is_undefined_everywhere_is_told() -> None:
    assert one_sided(both(curve(SECOND), curve(ONES))) == [("left", 1)]
    assert one_sided(both(curve(ONES), curve(SECOND))) == [("right", 1)]
    assert one_sided(both(curve(SECOND), curve(SECOND))) == []
    assert one_sided(both(curve(SECOND), curve(with_nan((0, 1))))) == []  # somewhere the other is, too
    assert one_sided(both(curve(with_nan((0, 1))), curve(ONES))) == []


def test_an_end_without_a_reason_excuses_nothing() -> None:
    domain = {0.0: (-5.0, 4.0), 1.0: (-3.0, 2.0)}
    ends = {0.0: ("left clips", None), 1.0: ("", "right saturates")}
    assert excusing(domain, ends) == {0.0: (-5.0, math.inf), 1.0: (-math.inf, 2.0)}
    assert excusing(domain, {0.0: ("", "")}) == domain
    assert told(domain, ends) == []  # one end has none
    assert told({1.0: (-3.0, 2.0)}, ends) == ["right saturates"]
    assert told(dict.fromkeys((0.0, 1.0), (-1.0, 1.0)), dict.fromkeys((0.0, 1.0), ("left clips", "left clips"))) == [
        "left clips"
    ]


def test_points_beyond_an_end_without_a_reason_are_pointed_at() -> None:
    points = grid((-20.0, -4.0, 0.0, 4.0, 15.0))
    pair = Both(points, {}, {})
    assert far(f32) == far(f64) == pytest.approx(15.942, abs=1e-3)
    assert far(torch.bfloat16) == pytest.approx(4.852, abs=1e-3)
    none = {0.0: (None, None), 1.0: ("left clips", None)}
    seen = unexcused(pair, {0.0: (-3.0, 3.0), 1.0: (-3.0, 5.0)}, none)
    assert seen.tolist() == [[False] * 2, [True, False], [False] * 2, [True, False], [True, True]]
    assert not unexcused(pair, {0.0: (-0.5, 3.0), 1.0: (-3.0, 5.0)}, none).any()  # no domain to speak of


LINE = grid((-20.0, -1.0, 1.0, 4.0, 8.0, 16.0), 1)
BEYOND = LINE.strength > 2


def column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=f64)[:, None]


VALUE, SLOPE = column(20.0, 1.0, 1.0, 4.0, 8.0, 16.0), column(-1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


def reason(
    value: Tensor, slope: Tensor, double: Tensor | None = None, end: float = 2.0
) -> tuple[str | None, str | None]:
    """Of a left that is so and a right that goes on; and the other way about."""
    odd = {f32: Curves(value, slope[..., None]), f64: Curves(value, (slope if double is None else double)[..., None])}
    plain = curve(VALUE, SLOPE)
    apart = BEYOND.clone()
    return (
        _reason(both(odd, plain, LINE), apart, 0, f32, 1.0, end),
        _reason(both(plain, odd, LINE), apart, 0, f32, 1.0, end),
    )


@pytest.mark.parametrize(("value", "slope", "why"), [
    ((4.0, 8.0, math.inf), (1.0, 1.0, 1.0), None), ((math.inf, 8.0, 16.0), (1.0, 1.0, 1.0), "overflows"),
    ((4.0, 8.0, 16.0), (NAN, 1.0, 1.0), "overflows"),
    ((5.0, 5.0, 5.0), (0.0, 0.0, 0.0), "clips"), ((5.0, 5.0, 5.0), (0.0, 0.0, 0.9 * 1e-6), "saturates"),
    ((5.0, 5.0, 5.0), (0.0, 0.0, 1.1 * 1e-6), None), ((5.0, 5.0, 5.0), (1.5, 0.0, 0.0), None),
    ((4.0, 5.0, 5.0 * (1 + 0.9 * 1e-6)), (0.0, 0.0, 0.0), "clips"),
    ((4.0, 5.0, 5.0 * (1 + 1.1 * 1e-6)), (0.0, 0.0, 0.0), None),
])  # fmt: skip
def test_why_a_domain_ends(value: Sequence[float], slope: Sequence[float], why: str | None) -> None:
    told_of = reason(column(20.0, 1.0, 1.0, *value), column(-1.0, 1.0, 1.0, *slope))
    assert told_of == ((None, None) if why is None else (f"left {why}", f"right {why}"))


def test_what_float64_still_moves_saturates_and_does_not_clip() -> None:
    flat, gone = column(20.0, 1.0, 1.0, 5.0, 5.0, 5.0), column(-1.0, 1.0, 1.0, 0.0, 0.0, 0.0)
    assert reason(flat, gone, gone + 1e-9) == ("left saturates", "right saturates")


def test_an_end_where_nothing_is_apart_has_no_reason_to_give() -> None:
    pair = both(curve(VALUE, SLOPE), curve(VALUE, SLOPE), LINE)
    nothing = torch.zeros_like(BEYOND)
    assert _reason(pair, nothing, 0, f32, 1.0, 2.0) == _reason(pair, BEYOND, 0, f32, 1.0, math.inf) == ""
    assert _reason(pair, BEYOND, 0, f32, 1.0, 2.0) is None


def test_far_out_a_gradient_need_only_have_faded() -> None:
    points = grid((1.0, 17.0, 18.0, 20.0), 1)
    beyond = points.strength > 16
    value, plain = column(1.0, 17.0, 18.0, 20.0), curve(column(1.0, 17.0, 18.0, 20.0), column(1.0, 1.0, 1.0, 1.0))
    for left, why in ((0.9 * 0.05, "left saturates"), (1.1 * 0.05, None)):
        pair = both(curve(value, column(1.0, 0.5, 0.2, left)), plain, points)
        assert _on(pair, beyond, points.strength, 0, f32, 16.0) == why
        assert (
            _on(pair, beyond, points.strength, 0, f32, 15.0) is None
        )  # nearer than float32's roundoff it has to be gone


def test_a_gradient_dies_beside_a_larger_one_and_a_value_stops_at_two_strengths() -> None:
    one, two = column(0.0, 0.5, 0.0), column(1.0, 1.0, 1.0)
    beyond, last = torch.tensor([False, True, True]), torch.tensor([False, False, True])
    assert _dies(one, two, beyond, last, 1e-6)
    assert _dies(two, two, beyond, last, 1.0)
    assert not _dies(one + 1.0, two, beyond, last, 2.0)
    assert not _constant(torch.tensor([5.0]), torch.tensor([True]), torch.tensor([3.0]))  # one point stops at nothing
    assert not _constant(torch.tensor([5.0, 5.0, 5.0]), torch.ones(3, dtype=torch.bool), torch.tensor([3.0, 4.0, 4.0]))


def test_an_end_lies_between_the_last_point_that_agrees_and_the_first_that_does_not() -> None:
    strength = LINE.strength

    def end(agree: Tensor, sign: float, edge: float = 3.0) -> float:
        return _end(LINE, agree, 0, sign, lambda output, _column: bool(output.abs() <= edge))

    assert end(strength < 2, 1.0) == pytest.approx(3.0, rel=1e-3)
    assert end(strength < 2, -1.0) == -math.inf
    assert end(strength > -10, -1.0) == pytest.approx(-3.0, rel=1e-3)
    assert end(strength < -10, 1.0) == 0.0  # the first point of all is apart
    assert end(torch.ones_like(strength, dtype=torch.bool), 1.0) == math.inf


def test_how_far_a_coarser_float_inside_moves_what_is_compared_is_told() -> None:
    def coarse(z: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(z.bfloat16(), y.bfloat16()).to(z.dtype)

    space = TargetSpace("binary")
    sides = {name: looked_into(Objective.of(loss, space), f32) for name, loss in (("plain", bce), ("coarse", coarse))}
    assert probe(sides["plain"], sides["plain"], space, f32).lowered == (0.0, 0.0)
    value, gradient = probe(sides["plain"], sides["coarse"], space, f32).lowered
    assert 1e-4 < value < 0.1
    assert 1e-4 < gradient < 0.1


def test_with_several_outputs_a_reason_holds_on_all_rays_or_is_a_clip_along_one() -> None:
    strength = torch.tensor([1.0, 4.0, 8.0, 1.0, 4.0, 8.0], dtype=f64)
    ray = torch.tensor([0, 0, 0, 1, 1, 1])
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=f64)[ray]
    points = Grid(strength, strength[:, None] * directions, torch.zeros(1, dtype=f64), ray)
    beyond, value, slope = strength > 2, strength[:, None], torch.ones(6, 1, dtype=f64)

    def why(left: Tensor, gradient: Tensor) -> str | None:
        return _reason(both(curve(left, gradient), curve(value, slope), points), beyond, 0, f32, 1.0, 2.0)

    assert why(value.masked_fill(beyond[:, None], math.inf), slope) == "left overflows"
    one = (beyond & (ray == 1))[:, None]
    assert why(value.masked_fill(one, 5.0), slope.masked_fill(one, 0.0)) == "left clips"
    assert why(value, slope) is None


EPS32, EPS64 = torch.finfo(f32).eps, torch.finfo(f64).eps


@pytest.mark.parametrize(
    ("fine", "coarse", "rounding"),
    [
        (0.0, 15 * EPS32, True),
        (0.0, 20 * EPS32, False),  # more than the raw output's own ulps, and float64 has none of it
        (1 * EPS64, 290 * EPS32, True),  # as many ulps as float64 has, up to 300 times
        (1 * EPS64, 310 * EPS32, False),
        (2000 * EPS64, 0.9 * 0.05, True),
        (2000 * EPS64, 1.1 * 0.05, False),  # a precision that has lost the point
        (1.01e-8, 1e-2, False),  # it does not shrink by the million
        (0.99e-8, 1e-2, True),
    ],
)
def test_a_lower_precision_is_off_by_rounding_where_float64_is_by_as_many_of_its_own(
    fine: float, coarse: float, rounding: bool
) -> None:
    pair = both({}, {}, grid((0.5, 1.0), 1))
    assert pair.explained(column(fine, fine), column(coarse, coarse), f32).tolist() == [[rounding]] * 2


@pytest.mark.parametrize(("null", "gap", "rounding"), [
    (0.0, 15 * EPS32, True), (0.0, 20 * EPS32, False), (1e-5, 3.9e-5, True), (1e-5, 4.1e-5, False), (1.0, 0.06, False),
])  # fmt: skip
def test_judged_alone_a_gap_is_rounding_up_to_four_null_draws(null: float, gap: float, rounding: bool) -> None:
    nulls = column(null, null)
    for which, nothing in ((0, (nulls, 0 * nulls)), (1, (0 * nulls, nulls))):
        pair = Both(grid((0.5, 1.0), 1), {}, {}, nulls=nothing)
        gaps = column(gap, gap)
        assert pair.explained(gaps, gaps, f32, which).tolist() == [[rounding]] * 2
        assert pair.rounding(gaps, gaps, which).tolist() == [[rounding]] * 2


def test_what_float64_is_off_by_next_door_counts_too() -> None:
    pair = both({}, {}, grid((0.2, 0.5, 0.7, 1.0), 1))
    fine, gaps = column(0.0, 0.0, 0.0, 10 * EPS64), column(*[2500 * EPS32] * 4)
    assert pair.explained(fine, gaps, f32)[:, 0].tolist() == [False, False, True, True]


def sides(
    left: Tensor, right: Tensor, left64: Tensor | None = None, right64: Tensor | None = None, **more: object
) -> Both:
    """Of gradients (G, 1) in float32, and in float64 all 1 where none are given."""
    points, one = grid((-50.0, -1.0, 1.0, 50.0), 1), torch.ones(4, 1, dtype=f64)
    values = one / float(more.get("factor", 1.0)), one  # type: ignore[arg-type]
    two = [{f32: low, f64: one if high is None else high} for low, high in ((left, left64), (right, right64))]
    curves_of = [
        {dtype: Curves(value, slope[..., None]) for dtype, slope in side.items()}
        for value, side in zip(values, two, strict=True)
    ]
    return Both(points, *curves_of, **more)  # type: ignore[arg-type]


def near(*middle: float, far: float = 1.0) -> Tensor:
    return column(far, *middle, far)


OFF = 1 + 1e-3
DIFFERENT64 = near(1.0, 1 + 3e-6)


@pytest.mark.parametrize(
    ("pair", "nearer"),
    [
        (sides(near(OFF, 1.0), near(1.0, 1.0)), "right"),
        (sides(near(1.0, 1.0), near(1.0, OFF)), "left"),
        (sides(near(NAN, 1.0), near(1.0, 1.0)), "right"),
        (sides(near(OFF, 1.0), near(1.0, 1 + 0.9e-4)), "right"),
        (sides(near(OFF, 1.0), near(1.0, 1 + 1.1e-4)), None),  # no clear case
        (sides(near(1 + 15 * EPS32, 1.0), near(1.0, 1.0)), None),  # rounding
        (sides(near(1 + 17 * EPS32, 1.0), near(1.0, 1.0)), "right"),
        (sides(near(1.0, 1.0, far=OFF), near(1.0, 1.0)), None),  # too far out
        (sides(near(1.0, OFF), near(1.0, 1.0), right64=DIFFERENT64), None),  # the two float64 are no truth there
        (sides(near(OFF, 1.0), near(1.0, 1.0), right64=DIFFERENT64), "right"),
        (sides(near(OFF, 1.0), near(1.0, 1.0), left64=near(0.0, 0.0), right64=near(0.0, 0.0)), None),
        (sides(near(2 * OFF, 2.0, far=2.0), near(1.0, 1.0), near(2.0, 2.0, far=2.0), factor=0.5), "right"),
        (sides(near(2.0, 2.0, far=2.0), near(OFF, 1.0), near(2.0, 2.0, far=2.0), factor=0.5), "left"),
        (sides(near(OFF, 1.0), near(1.0, 1.0), floor=2 * EPS32), None),  # what it computes in says it
        (sides(near(OFF, 1.0), near(1.0, 1.0), nulls=(near(0.0, 0.0), near(0.0, 0.0))), None),
        # a gradient small beside the largest, off by 2 %, and by half a percent
        (sides(near(1.02e-6, 1.0), near(1e-6, 1.0), near(1e-6, 1.0), near(1e-6, 1.0)), "right"),
        (sides(near(1.005e-6, 1.0), near(1e-6, 1.0), near(1e-6, 1.0), near(1e-6, 1.0)), None),
    ],
)
def test_the_side_nearer_float64_is_the_one_that_float32_has_better(pair: Both, nearer: str | None) -> None:
    assert _nearer(pair, f32) == nearer
    assert _nearer(pair, f64) is None


@pytest.mark.parametrize(("offset", "moved", "relation", "size"), [
    (0.0, 0.0, "equal", 0.0), (1e-9, 0.0, "indistinguishable", 1e-9), (0.0, 1e-9, "indistinguishable", 1e-9),
    (2e-8, 0.0, "scaled", 2e-8), (0.0, 2e-8, "shifted", 2e-8), (2e-8, 1.0, "scaled", 2e-8),
])  # fmt: skip
def test_a_factor_or_a_shift_is_told_where_it_is_resolved(
    offset: float, moved: float, relation: str, size: float
) -> None:
    found = _up_to_constants(Part("equal"), offset, moved, 1e-8)
    assert (found.relation, found.size) == (relation, size)
    real = _up_to_constants(Part("different", 1e-9, 0.5, 1.0), offset, moved, 1e-8)
    assert real.size == max(size, 1e-9)


def test_the_largest_gap_has_a_place_and_what_is_nan_is_the_largest() -> None:
    gaps = torch.tensor([[0.0, 1.0], [3.0, 2.0], [0.5, 0.0], [0.0, 0.0]], dtype=f64)
    assert _where_largest(grid(), gaps) == Part("different", 3.0, -0.5, 0.0)
    gaps[2, 1] = NAN
    assert _where_largest(grid(), gaps) == Part("different", math.inf, 0.5, 1.0)
    assert _where_largest(grid(), 0 * ONES) == Part("equal")


def test_bits_are_compared_where_something_is_said() -> None:
    one, two = ONES.clone(), ONES.clone()
    two[0, 1] = NAN
    silent = two.isnan()
    for mask, same in ((None, False), (0 * silent, False), (silent, True), (~silent, False)):
        assert _same_bits(Both(grid(), {}, {}, silent=None if mask is None else mask.bool()), one, two) is same


FAR_TOO = grid((-20.0, -2.0, -0.5, 0.5, 2.0, 20.0), 1)
PLAIN = column(9.0, 1.0, 1.0, 1.0, 1.0, 9.0)


def moved_by(*middle: float) -> Tensor:
    """Numbers at the moderate outputs; far out there is something else."""
    return column(0.0, *middle, 100.0)


@pytest.mark.parametrize(
    ("left", "right", "factor"),
    [
        (PLAIN, moved_by(2.0, 2.0, 2.0, 2.0), 2.0),
        (PLAIN, moved_by(2.0, 2.0, 2.0, 2.0 * (1 + 0.9e-12)), 2.0),
        (PLAIN, moved_by(2.0, 2.0, 2.0, 2.0 * (1 + 1.1e-12)), 1.0),
        (PLAIN, moved_by(-2.0, -2.0, -2.0, -2.0), 1.0),  # uphill
        (PLAIN, PLAIN * (1 + 14 * EPS64), 1.0),
        (PLAIN, PLAIN * (1 + 18 * EPS64), 1 + 18 * EPS64),
        (PLAIN, moved_by(2.0, NAN, 2.0, math.inf), 2.0),
        (PLAIN, moved_by(NAN, NAN, NAN, NAN), 1.0),
        (
            moved_by(0.04, 1.0, 1.0, 1.0),
            moved_by(7.0, 2.0, 2.0, 2.0),
            2.0,
        ),  # small beside the largest: rounding may be large
        (moved_by(0.06, 1.0, 1.0, 1.0), moved_by(7.0, 2.0, 2.0, 2.0), 1.0),
        (moved_by(0.0, 0.0, 0.0, 0.0), moved_by(2.0, 2.0, 2.0, 2.0), 1.0),
    ],
)
def test_a_factor_is_one_number_at_moderate_outputs(left: Tensor, right: Tensor, factor: float) -> None:
    sides_ = [Curves(torch.ones_like(one), one[..., None]) for one in (left, right)]
    assert _factor(FAR_TOO, *sides_, EPS64) == pytest.approx(factor, rel=1e-12 if factor == 2 else 1e-17, abs=0)


@pytest.mark.parametrize(
    ("right", "shift"),
    [
        (moved_by(1.5, 2.5, 3.5, 4.5), 0.5),
        (moved_by(1.5, 2.5, 3.5, 4.5 + 4e-10), 0.5),
        (moved_by(1.5, 2.5, 3.5, 4.5 + 6e-10), 0.0),
        (moved_by(*(k + 50 * EPS64 for k in (1.0, 2.0, 3.0, 4.0))), 0.0),  # 16 roundoffs of the largest are rounding
        (moved_by(*(k + 80 * EPS64 for k in (1.0, 2.0, 3.0, 4.0))), 80 * EPS64),
        (moved_by(1.5, NAN, 3.5, NAN), 0.5),
        (moved_by(NAN, NAN, NAN, NAN), 0.0),
    ],
)
def test_a_shift_is_one_number_at_moderate_outputs(right: Tensor, shift: float) -> None:
    left = moved_by(1.0, 2.0, 3.0, 4.0)
    for factor in (1.0, 0.5):
        sides_ = [Curves(one, torch.ones_like(one)[..., None]) for one in (left / factor, right)]
        assert float(_shift(FAR_TOO, *sides_, factor, EPS64)) == pytest.approx(shift, rel=1e-2, abs=0)
