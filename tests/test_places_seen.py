"""What the places around the first weights have shown, and what is said of it, by numbers given by hand."""

import math
from typing import Any

import pytest
import torch

from mlnn.comparing.domain import ALL
from mlnn.comparing.evidence import Judged
from mlnn.comparing.gaps import CommonGap, gap_between
from mlnn.comparing.places_seen import Seen, domain_of, lowered, notes_of, part_of

f64 = torch.float64
EPS = torch.finfo(torch.float32).eps
SLOPE = torch.tensor([3.0, 4.0], dtype=f64)


def gaps(values: tuple[float, float] = (1.0, 1.0), factor: float = 1.0, off: float = 0.0) -> dict[str, CommonGap]:
    """Left's gradient (3, 4), right's `factor` times that and `off` aside, in both precisions."""
    right = factor * SLOPE + off * torch.tensor([-4.0, 3.0], dtype=f64)
    return dict.fromkeys(("float32", "float64"), gap_between(*values, SLOPE, right))


def seen(*places: dict[str, CommonGap], factor: float = 1.0, shift: float = 0.0, tells: bool = True) -> Seen:
    found = Seen(factor, shift, tells=tells)
    for number, place in enumerate(places):
        found.see(f"place {number}", place, 10.0**number)
    return found


def test_the_same_bits_everywhere_are_bitwise_and_value_and_gradient_are_kept_apart() -> None:
    found = seen(gaps(), gaps())
    assert [part_of(found, which, "float32").relation for which in ("value", "gradient")] == ["bitwise"] * 2
    found = seen(gaps(), gaps((1.0, 1.5)))
    assert [part_of(found, which, "float32").relation for which in ("value", "gradient")] == ["different", "bitwise"]
    found = seen(gaps(), gaps(off=0.1))
    assert [part_of(found, which, "float32").relation for which in ("value", "gradient")] == ["bitwise", "different"]
    assert part_of(seen(), "value", "float32").relation == "undecided"


def test_a_difference_is_told_at_its_first_place_and_at_its_largest_where_that_is_much_more() -> None:
    found = part_of(seen(gaps(), gaps(off=0.1), gaps(off=0.15)), "gradient", "float32")
    assert (found.relation, found.size, found.place) == ("different", pytest.approx(0.1), "at place 1")
    found = part_of(seen(gaps(), gaps(off=0.1), gaps(off=0.3), gaps()), "gradient", "float32")
    assert (found.size, found.place) == (pytest.approx(0.1), "at place 1 and by up to 0.3 at place 2")


@pytest.mark.parametrize(("off", "own", "relation"), [
    (2.0 * EPS / 2, "float32", "indistinguishable"), (2 * 2.0 * EPS, "float32", "different"),
    (2.0 * EPS / 2, "float64", "different"), (1e-15, "float64", "equal"),
])  # fmt: skip
def test_a_real_difference_counts_where_the_working_precision_resolves_it(off: float, own: str, relation: str) -> None:
    place = gaps(off=off)
    place["float32"] = gap_between(1.0, 1.0, SLOPE, SLOPE)  # float32 sees nothing of it, and explains none
    found = part_of(seen(place), "gradient", own)
    assert found.relation == relation


@pytest.mark.parametrize(("factor", "shift", "which", "relation", "size"), [
    (2.0, 0.0, "gradient", "scaled", 1.0), (2.0, 0.0, "value", "scaled", 1.0), (0.5, 0.0, "gradient", "scaled", 0.5),
    (1.0, 0.3, "value", "shifted", 0.3), (1.0, 0.3, "gradient", "bitwise", 0.0),
    (1 + EPS, 0.0, "gradient", "indistinguishable", EPS),
])  # fmt: skip
def test_a_factor_and_a_shift_are_told(factor: float, shift: float, which: str, relation: str, size: float) -> None:
    found = part_of(seen(gaps((1.0, factor + shift), factor), factor=factor, shift=shift), which, "float32")
    assert (found.relation, found.size) == (relation, pytest.approx(size, rel=1e-6))


def test_a_clip_scales_the_gradient_alone() -> None:
    found = seen(gaps((1.0, 1.0), 0.5), factor=0.5)
    assert part_of(found, "gradient", "float32").relation == "scaled"
    assert part_of(found, "value", "float32").relation == "bitwise"
    assert found.loss_factor == 1.0


def test_a_gradient_of_zeros_on_both_sides_is_not_judged() -> None:
    nothing = torch.zeros(2, dtype=f64)
    for right, steps in ((nothing, 0), (SLOPE, 1)):
        place = dict.fromkeys(("float32", "float64"), gap_between(1.0, 1.0, nothing, right))
        assert seen(place).gradient.steps == steps


@pytest.mark.parametrize(("floor", "gap", "moved"), [
    (2**-8, 0.01, 0.01), (2**-8, 16.0 * EPS / 2, 0.0), (2**-8, 2 * 16.0 * EPS, 2 * 16.0 * EPS), (EPS, 0.01, 0.0), (0.0, 0.01, 0.0),
])  # fmt: skip
def test_a_coarser_float_inside_moves_what_exceeds_the_precision_s_own_rounding(
    floor: float, gap: float, moved: float
) -> None:
    judged = Judged(largest={"float32": gap, "float64": 1.0})
    assert lowered(judged, floor, "float32") == moved
    assert lowered(Judged(), floor, "float32") == 0.0


NOTHING = dict.fromkeys(("float32", "float64"), gap_between(math.nan, math.nan, SLOPE, SLOPE))
RIGHT = dict.fromkeys(("float32", "float64"), gap_between(1.0, math.inf, SLOPE, SLOPE))
LEFT = dict.fromkeys(("float32", "float64"), gap_between(math.inf, 1.0, SLOPE, SLOPE))


@pytest.mark.parametrize(("places", "tells", "domain", "words"), [
    ((gaps(), gaps()), True, ALL, None), ((gaps(), NOTHING), True, ALL, None),
    ((gaps(), RIGHT), True, (-1.0, 1.0), None), ((gaps(), gaps(), RIGHT, LEFT), True, (-10.0, 10.0), None),
    ((gaps(), LEFT), False, ALL, "at place 1, left is not finite in float32 where the other side is"),
    ((RIGHT, gaps()), True, ALL, "at place 0, right is not finite in float32 where the other side is"),
])  # fmt: skip
def test_one_side_alone_that_is_not_finite_bounds_the_domain(places: Any, tells: bool, domain: Any, words: Any) -> None:
    assert domain_of(seen(*places, tells=tells)) == (domain, words)


def test_places_that_say_nothing_are_told_and_not_judged() -> None:
    found = seen(gaps(), NOTHING, RIGHT)
    assert (found.gradient.steps, found.names) == (1, ["place 0"])
    assert notes_of(found) == [
        "at place 2, right is not finite in float32 where the other side is",
        "at place 2, right is not finite in float64 where the other side is",
        "at place 1, both sides are not finite: the place says nothing",
    ]
