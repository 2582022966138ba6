"""The numbers that a target space is looked at with, each held to what it is for: none may be a thousand times as large unseen."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from mlnn.auditing.ask import Loss
from mlnn.auditing.integrals import DIGITS, Z_ROUNDING, partition
from mlnn.auditing.refute import elicits
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.catalogue import LIKELIHOODS
from mlnn.objectives import Objective
from mlnn.objectives.grid import MAGNITUDES, MODERATE, OFF, STRENGTHS, make_grid
from mlnn.targets import SPACES, Coordinate, Facts, TargetSpace

NAMES = ("real", "counts", "positive", "unit")
f64 = torch.float64
Checks = Iterator[tuple[str, bool]]


def climbs(numbers: Any) -> bool:
    """Whether each number is larger than the one before."""
    return bool((torch.tensor(numbers, dtype=f64).diff() > 0).all())


def outside(facts: Facts) -> set[str]:
    """The numbers of a space that are not what they are for."""
    along = facts.coordinate
    return {name for found in (_points(facts), _line(along) if along else iter(())) for name, good in found if not good}


def _points(facts: Facts) -> Checks:
    """In order, and no farther out than rows of ordinary data, or (fitted) than a function of the target is to be told from."""
    for name, most in (("probe_points", 100), ("wide_points", 1000), ("fitted_points", 1e4), ("plain_points", 100)):
        points = torch.tensor(getattr(facts, name), dtype=f64)
        yield name, climbs(points.tolist()) and bool((points.abs() < most).all() and facts.inside(points).all())
    best = facts.inverse(torch.tensor(facts.ordered_points, dtype=f64))
    yield "ordered_points", bool((best.abs() < 8).all()) and bool((best.diff() > 0.3).all())
    yield (
        "far_points",
        not facts.far_points
        or (climbs(facts.far_points) and (facts.far_points[0], facts.far_points[-1]) == (1e5, 1e11)),
    )


def _line(along: Coordinate) -> Checks:
    above, below = along.farthest
    if along.far:  # a line without ends goes as far on both sides
        yield "farthest", above == tuple(-place for place in below)
    places = torch.tensor([*above, *below], dtype=f64)
    yield "farthest", along.overflows or bool(torch.isfinite(along.back(along.target(places))).all())
    yield "far", not along.far or (climbs(along.far) and min(along.far) >= 40)
    yield "span", 0 < (along.span[1] - along.span[0]) / 180 < 0.1  # a density is drawn at 181 targets
    yield "dense", 2 * along.dense / 480 <= 0.25  # of which a grid of 481 points is laid
    yield "tail", along.tail is None or [along.tail[k + 1] / along.tail[k] for k in (0, 1)] == pytest.approx([10, 10])
    yield "powers", 10 <= along.powers[0] < along.powers[1] / 10 < 71  # no exponential of a residual overflows
    yield "digits", DIGITS <= along.digits <= Z_ROUNDING / 10 and (along.beyond or along.digits == DIGITS)
    told = 1.0 if math.isinf(along.residual) else along.residual
    back = along.back(along.target(torch.tensor([-told, told], dtype=f64)))
    yield "residual", bool((back.abs() - told).abs().max() < 1e-9 * told)
    if along.beyond:  # the ends are where float64 still tells a target from 0 and 1
        ends = along.target(torch.tensor([along.low, along.high], dtype=f64))
        yield "low, high", bool(((ends > 0) & (ends < 1)).all()) and bool((along.back(ends).abs() > 15).all())


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_a_space_is_what_it_is_for(name: str) -> None:
    assert outside(TargetSpace(name).facts) == set()


def thousandfold(found: Any) -> Iterator[Any]:
    """A number a thousand times as large, or a tuple with one of them so."""
    if isinstance(found, float) and found and math.isfinite(found):
        yield 1000 * found
    elif isinstance(found, tuple):
        for place, one in enumerate(found):
            for more in thousandfold(one):
                yield (*found[:place], more, *found[place + 1 :])


def planted() -> Iterator[tuple[str, str, Facts]]:
    """Every space with one number of one of its tables a thousandfold."""
    for name in NAMES:
        facts = TargetSpace(name).facts
        for key in ("probe_points", "wide_points", "fitted_points", "plain_points", "ordered_points"):
            for more in thousandfold(tuple(map(float, getattr(facts, key)))):
                yield name, key, dataclasses.replace(facts, **{key: more})
        for key in (
            ("span", "farthest", "residual", "tail", "dense", "low", "high", "digits", "powers")
            if facts.coordinate
            else ()
        ):
            for more in thousandfold(getattr(facts.coordinate, key)):
                yield (
                    name,
                    key,
                    dataclasses.replace(facts, coordinate=dataclasses.replace(facts.coordinate, **{key: more})),
                )


def test_any_of_them_a_thousand_times_as_large_is_seen() -> None:
    tried = list(planted())
    assert len(tried) > 150
    assert [(name, key) for name, key, facts in tried if not outside(facts)] == []


@pytest.mark.parametrize("name", NAMES)
def test_sums_over_the_targets_have_the_digits_that_the_space_promises(name: str) -> None:
    """Of its usual likelihood Σ or ∫ is 1: to rounding near 0, to six digits (1.00000) far out, and to three farther still."""
    space = TargetSpace(name)
    facts = space.facts
    loss = Loss(Objective.of(LIKELIHOODS[facts.usual](), space), space)
    for output, share in ((facts.near_output, 1e-9), (facts.far_output, 5e-6), (facts.farthest_output, 5e-3)):
        total = partition(loss, torch.tensor([-output, output], dtype=f64))
        assert (total.z - 1).abs().max() <= share, output
        assert total.within(share)


@pytest.mark.parametrize("name", NAMES)
def test_the_best_output_of_the_usual_likelihood_follows_the_ordered_points(name: str) -> None:
    facts = TargetSpace(name).facts
    likelihood = LIKELIHOODS[
        "bernoulli" if name == "unit" else facts.usual
    ]()  # a beta's best output is not at its mean
    space = TargetSpace(name)
    assert elicits(Loss(Objective.of(likelihood, space), space)) == (True, facts.link_name)


def test_the_grid_of_outputs_climbs_to_a_thousand_on_both_sides() -> None:
    assert climbs(MAGNITUDES)
    assert (MAGNITUDES[0], MAGNITUDES[-1], MODERATE) == (1e-4, 1000.0, 4.0)
    assert climbs(STRENGTHS)
    assert list(STRENGTHS) == [-one for one in reversed(STRENGTHS)]
    assert not any(strength == round(strength, 1) for strength in STRENGTHS), "no round number, where kinks are"
    assert 1 < OFF < 1.01
    grid = make_grid(TargetSpace("classes", 3))
    assert grid.output.abs().amax(1).tolist() == pytest.approx(grid.strength.abs().tolist())
    assert sorted(set(grid.strength[grid.moderate].abs().tolist()))[-1] == pytest.approx(3.5 * OFF)


def test_spaces_whose_targets_are_several_numbers_are_looked_at_where_data_lie() -> None:
    for name in ("real(3)", "multilabel(3)", "simplex(3)"):
        space = TargetSpace.parse(name)
        for points in (space.probe_points, space.wide_points):
            space.check(points)
            assert points.abs().max() < 100
            assert len(points.unique(dim=0)) == len(points) > 1
    assert set(SPACES) >= {*NAMES, "multilabel", "simplex"}


@pytest.mark.parametrize("name", ["real(3)", "multilabel(3)", "simplex(3)", "ordinal(4)"])
def test_the_means_of_several_numbers_are_all_that_their_link_reaches(name: str) -> None:
    facts = TargetSpace.parse(name).facts
    low, high = facts.means
    line = torch.linspace(-30, 30, 61, dtype=f64)
    output = torch.stack([line, *[0 * line] * (facts.outputs - 1)], 1)
    mean = facts.link(output)[:, 0]
    assert bool(((mean >= low) & (mean <= high)).all())
    assert float(mean.min()) < (low + 0.01 if math.isfinite(low) else -20)
    assert float(mean.max()) > (high - 0.01 if math.isfinite(high) else 20)
    inner = output[28:33]
    torch.testing.assert_close(facts.link(facts.inverse(facts.link(inner))), facts.link(inner))


@pytest.mark.parametrize(("size", "points"), [(4, 4), (256, 256), (257, 4)])
def test_of_very_many_steps_some_are_looked_at(size: int, points: int) -> None:
    assert len(TargetSpace("ordinal", size).facts.wide_points) == points
    assert list(TargetSpace("ordinal", size).facts.probe_points) == [0, 1, size // 2, size - 1]


def test_an_axis_is_the_last_or_the_first_after_the_rows() -> None:
    assert [TargetSpace("classes", 3, axis=axis).axis for axis in (None, -1, 1)] == [None, None, 1]
    values = torch.zeros(5, 7, 3)
    assert TargetSpace("classes", 3, axis=1).arranged(values).shape == (5, 3, 7)
    assert TargetSpace("classes", 3, axis=-1).arranged(values).shape == (5, 7, 3)
    assert TargetSpace("classes", 3, axis=1).arranged(values[0]).shape == (7, 3)
    assert TargetSpace("classes", 3, axis=1).canonical(values.movedim(-1, 1)).shape == (5, 7, 3)
    for wrong, words in (
        ({"axis": 0}, "axis"),
        ({"axis": 2}, "axis"),
        ({"classes": 1}, "classes"),
        ({"ignore": 2**63}, "ignore"),
    ):
        with pytest.raises(ConfigError, match=f"targets: {words}"):
            TargetSpace(**{"kind": "classes", "classes": 3} | wrong)
    for kind in ("real", "binary"):
        with pytest.raises(ConfigError, match="axis=1 with"):
            TargetSpace(kind, axis=1)
        with pytest.raises(ConfigError, match="only labels can be ignored"):
            TargetSpace(kind, ignore=-100)


@pytest.mark.parametrize(("off", "taken"), [(0.0, True), (5e-6, True), (-5e-6, True), (2e-4, False), (-2e-4, False)])
def test_shares_add_up_to_1_as_nearly_as_a_softmax_in_single_precision_does(off: float, taken: bool) -> None:
    space, shares = TargetSpace("simplex", 3), torch.tensor([[0.2, 0.3, 0.5]], dtype=f64) * (1 + off)
    if taken:
        space.check(shares)
        return
    with pytest.raises(DataError):
        space.check(shares)
