"""Where a gap lies, part by part: factors, shares, bounds and regions on entries made by hand, on both sides of each line."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mlnn.comparing.explaining.where import (
    Place,
    _bound,
    _from_on,
    _probability,
    _regions,
    _round_between,
    _spread,
    _values,
    clause,
    common_factor,
    locate,
)
from mlnn.comparing.sample import Sample
from mlnn.objectives import Objective
from mlnn.targets import TargetSpace

f64 = torch.float64
REAL, BINARY, CLASSES = TargetSpace("real"), TargetSpace("binary"), TargetSpace("classes", 3)


def numbers(*given: float) -> Tensor:
    return torch.tensor(given, dtype=f64)


@pytest.mark.parametrize(("one", "two", "factor"), [
    ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 40.0], 1.0),  # three are the same
    ([1.0, 2.0, 3.0, 4.0], [3.0, 6.0, 9.0, 40.0], 3.0),  # three have the same ratio
    ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 9.0, 40.0], 192 / 30), ([1.0, 2.0, 3.0, 4.0], [3.0, 6.0, 10.0, 40.0], 205 / 30),
    ([1.0, 2.0], [-1.0, -3.0], 1.0), ([0.0, 0.0], [1.0, 3.0], 1.0),
    ([1.0, 2.0, -3.0, 4.0], [-3.0, -6.0, 9.0, 40.0], 1.0 * 118 / 30),
    ([1.0, 2.0, 3.0, 1e-7, 1e-7, 1e-7], [2.0, 5.0, 3.0, 7e-7, 7e-7, 7e-7], 21 / 14),  # ratios of what rounding leaves
    ([1.0] * 40, [1.0] * 3 + [2.0 + 0.01 * k for k in range(37)], 83.66 / 40),  # three of forty are too few
    ([1.0] * 40, [1.0] * 5 + [2.0 + 0.01 * k for k in range(35)], 1.0),
    ([1.0] * 40, [7.0] * 5 + [2.0 + 0.01 * k for k in range(35)], 7.0),
    ([1.0, 1.0, 1.0, 1.0], [1 + 0.5e-9, 1 - 0.5e-9, 1.0, 2.0], 1.0), ([1.0, 1.0, 1.0, 1.0], [1 + 5e-9, 1 - 5e-9, 1.0, 2.0], 1.25),
])  # fmt: skip
def test_a_factor_is_one_that_a_good_share_of_the_entries_have(
    one: list[float], two: list[float], factor: float
) -> None:
    assert common_factor(numbers(*one), numbers(*two)) == pytest.approx(factor, rel=1e-12)


def quarter(f: Tensor, y: Tensor) -> Tensor:
    return ((f - y) ** 2).sum()


OUTPUT, TARGET = torch.linspace(-4, 4, 9, dtype=f64), torch.zeros(9, dtype=f64)


def off(*by: float) -> Any:
    """Each row's gradient is off by a share of itself."""
    shares = 1 + torch.tensor([*by, *[0.0] * (9 - len(by))], dtype=f64)
    return lambda f, y: (shares * (f - y) ** 2).sum()


@pytest.mark.parametrize(("by", "row", "region"), [
    ([0.01], 0, "the first row"), ([2e-9], 0, "the first row"), ([0.5e-9], None, None), ([0.01, 0.5e-9], 0, None),
    ([0.01, 0.5e-11], 0, "the first row"), ([0.01, 0.0, 0.0, 0.0, 0.5], 0, "the first row"),
    ([0.01, 0.01, 0.0, 0.0, 0.0], 0, None),
    ([0.01, 0.01, 0.01], 0, "raw outputs below -1.5"), ([0.0] * 8 + [0.01], 8, "the last row"),
    ([0.0] * 6 + [0.01] * 3, 8, "raw outputs above 1.5"),
])  # fmt: skip
def test_a_gap_is_told_from_rounding_and_from_one_that_fades(
    by: list[float], row: int | None, region: str | None
) -> None:
    """At row 4 the gradient is 0 on both sides: it is off by nothing, and asked for nothing."""
    found = locate(Objective.of(quarter, REAL), Objective.of(off(*by), REAL), Sample(OUTPUT, TARGET), REAL)
    assert (None if found is None else (found.row, found.region)) == (None if row is None else (row, region))


def test_a_factor_is_told_beside_the_place() -> None:
    def right(f: Tensor, y: Tensor) -> Tensor:
        return 3 * off(0.01)(f, y)  # type: ignore[no-any-return]

    found = locate(Objective.of(quarter, REAL), Objective.of(right, REAL), Sample(OUTPUT, TARGET), REAL)
    assert found is not None
    assert (found.factor, found.row, found.target) == (pytest.approx(3), 0, 0.0)
    plain = locate(Objective.of(quarter, REAL), Objective.of(off(0.01), REAL), Sample(OUTPUT, TARGET), REAL)
    assert plain is not None
    assert plain.factor == 1.0
    for wrong in (lambda f, y: quarter(f, y) * math.inf, lambda f, y: quarter(f, y) * math.nan):
        assert locate(Objective.of(quarter, REAL), Objective.of(wrong, REAL), Sample(OUTPUT, TARGET), REAL) is None
        assert locate(Objective.of(wrong, REAL), Objective.of(quarter, REAL), Sample(OUTPUT, TARGET), REAL) is None


@pytest.mark.parametrize(("place", "words"), [
    (Place(3, 0.5, 0.9), "The gap's largest share, 90%, is in row 3 (raw output 0.5)."),
    (Place(3, 0.5, 0.02), "The gap's largest share, 2%, is in row 3 (raw output 0.5)."),
    (Place(3, 0.5, 0.009), "The gap's largest share, under 1%, is in row 3 (raw output 0.5)."),
    (Place(3, 0.5, 0.9, factor=2.0), "Apart from a factor of 2, the gap's largest share, 90%, is in row 3 (raw output 0.5)."),
    (Place(3, 0.5, 0.9, (4,), 2, 1.0, 0.25, "x", 1.0),
     "The gap is confined to x; its largest share, 90%, is in row 3, position 4, class 2 (raw output 0.5, "
     "probability 0.25, target 1)."),
    (Place(3, 0.5, 0.9, (4, 5), region="x", factor=2.0),
     "Apart from a factor of 2, the gap is confined to x; its largest share, 90%, is in row 3, position 4, 5 (raw output 0.5)."),
])  # fmt: skip
def test_a_place_in_words(place: Place, words: str) -> None:
    assert clause(place) == words


def test_a_place_as_plain_data() -> None:
    assert Place(3, 0.5, 0.9).to_dict() == {"row": 3, "output": 0.5, "share": 0.9}
    assert Place(3, 0.5, 0.9, (4,), 0, 0.0, 0.5, "x").to_dict() == {
        "row": 3, "position": 4, "class": 0, "output": 0.5, "target": 0.0, "probability": 0.5, "share": 0.9, "region": "x",
    }  # fmt: skip
    assert Place(3, 0.5, 0.9, (4, 5)).to_dict()["position"] == [4, 5]


@pytest.mark.parametrize(("space", "output", "target", "several", "means"), [
    (BINARY, (4,), (4,), False, True), (CLASSES, (4, 3), (4,), True, True), (REAL, (4,), (4,), False, False),
    (TargetSpace("real", raw=2), (4, 2), (4,), True, False), (TargetSpace.parse("multilabel(3)"), (4, 3), (4, 3), True, True),
    (TargetSpace("binary", raw=2), (4, 2), (4,), True, True), (TargetSpace("counts"), (4,), (4,), False, False),
])  # fmt: skip
def test_which_outputs_are_several_and_which_mean_probabilities(
    space: TargetSpace, output: tuple[int, ...], target: tuple[int, ...], several: bool, means: bool
) -> None:
    at = Sample(torch.zeros(output, dtype=f64), torch.zeros(target, dtype=f64))
    assert _spread(at, space) is several
    assert (_probability(at.output, space) is not None) is means


HALF = [True, True, True, False, False, False]


def parted(inside: list[bool], what: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    mask = torch.tensor(inside)
    return numbers(*what), mask, ~mask


@pytest.mark.parametrize(("what", "found"), [
    ([1, 2, 3, 4, 5, 6], ["x below 3.5"]), ([4, 5, 6, 1, 2, 3], ["x above 3.5"]), ([1, 2, 4, 4, 5, 6], []),
    ([4, 5, 6, 1, 2, 4], []),
    ([1, 2, 4, 3, 5, 6], []),
])  # fmt: skip
def test_a_bound_parts_all_inside_from_all_outside(what: list[float], found: list[str]) -> None:
    line, inside, outside = parted(HALF, what)
    assert list(_bound(inside, outside, True, line, "x")) == found
    assert list(_bound(inside, outside, False, line, "x")) == []


@pytest.mark.parametrize(("what", "found"), [
    ([3, 4, 5, 0, 1, 2], ["positions from 3 on"]), ([0, 1, 2, 3, 4, 5], ["positions up to 2"]), ([2, 4, 5, 0, 1, 2], []),
    ([0, 1, 3, 3, 4, 5], []), ([0, 1, 4, 3, 4, 5], []),
])  # fmt: skip
def test_positions_from_one_on_or_up_to_one(what: list[int], found: list[str]) -> None:
    line, inside, outside = parted(HALF, [float(one) for one in what])
    assert list(_from_on(line.long(), inside, outside)) == found


@pytest.mark.parametrize(("what", "words", "names", "found"), [
    ([2, 2, 2, 0, 1, 3], "value {:g}", None, ["value 2"]), ([2, 2, 2, 0, 1, 2], "value {:g}", None, []),
    ([2, 2, 1, 0, 0, 0], "value {:g}", None, []), ([2, 2, 2, 0, 1, 3], "", None, []),
    ([2, 2, 2, 0, 1, 3], "", {2: "the two"}, ["the two"]),
    ([2, 2, 2, 0, 1, 3], "value {:g}", {1: "the one"}, ["value 2"]),
])  # fmt: skip
def test_one_value_that_all_inside_have_and_none_outside(what: Any, words: str, names: Any, found: list[str]) -> None:
    assert list(_values(*parted(HALF, what), words, names)) == found


@pytest.mark.parametrize(("low", "high", "told"), [
    (3.0, 4.0, "3.5"), (0.5, 20.0, "1"), (5.0, 20.0, "10"), (0.0009, 0.0011, "0.001"), (10.0, 11.0, "10.5"), (-2.0, -1.0, "-1.5"),
    (-1.0, 1.0, "0"), (-4.0, 0.5, "-2"), (1.0, 1.0 + 2**-52, "1.0000000000000002"), (9.0, 10.0, "9.5"), (100.0, 101.0, "100.5"),
    (2.9, 3.2, "3"), (0.94, 0.96, "0.95"),
])  # fmt: skip
def test_the_number_with_the_fewest_digits_between_two(low: float, high: float, told: str) -> None:
    assert _round_between(low, high) == told


def regions(space: TargetSpace, sample: Sample, apart: Any, parts: int = 1, asked: Any = None) -> list[str]:
    mask = torch.tensor(apart)
    return list(_regions(sample, space, parts, mask, torch.ones_like(mask) if asked is None else torch.tensor(asked)))


def rows(output: list[float], target: list[float]) -> Sample:
    return Sample(numbers(*output), numbers(*target))


SIX = rows([-3.0, 5.0, 0.5, -1.0, 2.0, 1.0], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0])


@pytest.mark.parametrize(("space", "apart", "parts", "told"), [
    (BINARY, [True, False] * 3, 1, ["targets of 0"]), (BINARY, [True, False] * 3, 2, ["targets of 0"]),
    (BINARY, [True, *[False] * 5], 1, ["the first row"]), (BINARY, [*[False] * 5, True], 2, ["the last row"]),
    (BINARY, [True, True, True, False, False, False], 2, ["micro-batch 0"]),
    (BINARY, [True, True, True, False, False, False], 1, []),
    (BINARY, [False, False, True, True, False, False], 3, ["micro-batch 1"]),
    (BINARY, [False, False, False, False, True, True], 3, ["the last micro-batch"]),
    (BINARY, [True] * 6, 1, []), (REAL, [True, False] * 3, 1, []),
    (REAL, [True, False, True, True, False, False], 1, ["raw outputs below 0.8"]),
    (BINARY, [False, True, False, False, True, True], 1, [
        "probabilities above 0.7", "raw outputs above 0.8"]),
    (REAL, [True, True, False, False, True, False], 1, ["raw outputs of a size above 1.5"]),
    (REAL, [False, False, True, True, False, True], 1, ["raw outputs of a size below 1.5"]),
])  # fmt: skip
def test_the_regions_of_rows(space: TargetSpace, apart: list[bool], parts: int, told: list[str]) -> None:
    assert regions(space, SIX, apart, parts) == told


def test_residuals_have_a_size_and_entries_that_were_not_asked_do_not_count() -> None:
    at = rows([10.0, -3.0, 0.5, 7.0, 20.0, -8.0], [1.0, 6.0, 9.0, 6.5, 20.2, -9.0])
    assert regions(REAL, at, HALF) == ["residuals of a size above 5"]
    asked = [True, True, True, True, False, True]
    assert regions(REAL, at, [*HALF[:3], False, True, False], asked=asked) == regions(REAL, at, HALF, asked=asked) == []
    few = [True, True, True, True, True, False]
    assert regions(BINARY, SIX, [True, False, True, False, True, True], asked=few) == ["targets of 0"]


def test_regions_of_several_outputs_are_those_of_a_class_or_of_the_target() -> None:
    target = torch.tensor([0, 1, 2, 0])
    output = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.0, -0.5], [3.0, 1.0, -2.0], [-1.5, 0.2, 0.1]], dtype=f64)
    own = target[:, None] == torch.arange(3)
    at, other = Sample(output, target), TargetSpace("real", raw=3)
    assert regions(CLASSES, at, own.tolist()) == ["the target's own outputs"]
    assert regions(CLASSES, at, (~own).tolist()) == ["the outputs of other classes"]
    assert regions(CLASSES, at, (torch.arange(3) == 1).expand(4, 3).tolist()) == ["the outputs of class 1"]
    assert regions(other, at, (torch.arange(3) == 1).expand(4, 3).tolist()) == ["output 1"]
    assert regions(other, at, own.tolist()) == []
    several = Sample(output[:3], (output[:3] > 0).double())
    assert (
        regions(TargetSpace.parse("multilabel(3)"), several, (torch.arange(3) == 1).expand(3, 3).tolist())[0]
        == "output 1"
    )
    assert regions(CLASSES, at, (target == 0)[:, None].expand(4, 3).tolist()) == ["targets of class 0"]


@pytest.mark.parametrize(("places", "told"), [
    ([False, False, True, True], ["positions from 2 on"]), ([True, False, False, False], ["positions up to 0"]),
    ([True, False, False, True], []),
])  # fmt: skip
def test_regions_of_positions(places: list[bool], told: list[str]) -> None:
    draws = torch.Generator().manual_seed(2)
    at = Sample(torch.randn(3, 4, generator=draws, dtype=f64), torch.randn(3, 4, generator=draws, dtype=f64))
    assert regions(REAL, at, [places] * 3) == told
    spread = Sample(torch.randn(3, 4, 3, generator=draws, dtype=f64), torch.randint(0, 3, (3, 4), generator=draws))
    assert regions(CLASSES, spread, torch.tensor(places)[None, :, None].expand(3, 4, 3).tolist()) == told


@pytest.mark.parametrize(("positions", "word"), [((), "rows"), ((2,), "positions")])
def test_what_is_ignored_is_a_region(positions: tuple[int, ...], word: str) -> None:
    space = TargetSpace("classes", 3, ignore=-1)
    target = torch.tensor([0, -1, 2, -1, 1, 0]).reshape(-1, *positions)
    output = torch.randn(*target.shape, 3, generator=torch.Generator().manual_seed(1), dtype=f64)
    gone = (target == -1)[..., None].expand(output.shape)
    assert regions(space, Sample(output, target), gone.tolist())[0] == f"ignored {word}"
