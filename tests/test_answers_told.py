"""What an answer tells of itself where it is one thing or another, and what a linear programme for separation goes by."""

import math
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.linear import separation
from mlnn.estimating.network import errors
from mlnn.estimating.network.problem import made
from mlnn.seeding import generator

DRAWS = generator(8, "test")
X = torch.randn(30, 1, generator=DRAWS, dtype=torch.float64)
COUNTS = torch.poisson(torch.exp(0.3 * X[:, 0]), generator=DRAWS)


@cache
def poisson() -> Any:
    return mlnn.estimate("poisson", (X, COUNTS))


@pytest.mark.parametrize(("changed", "told"), [
    ({}, True), ({"intercept": False}, False), ({"intercept": False, "thresholds": ("0|1",)}, True),
    ({"df_model": 0}, False),
    ({"separation": "quasi"}, False),
])  # fmt: skip
def test_a_fit_is_tested_against_its_constant_where_it_has_one_and_more(changed: dict[str, Any], told: bool) -> None:
    assert (replace(poisson(), **changed).llr_pvalue is not None) == told


def test_a_summary_calls_things_what_they_are() -> None:
    plain = str(poisson().summary())
    penalised = str(replace(poisson(), penalty="firth", deviance=None).summary())
    assert "Maximum likelihood: poisson" in plain
    assert "Penalised maximum likelihood: poisson" in penalised
    assert ("Log-likelihood:" in plain, "Penalised LL:" in plain, "Deviance:" in plain) == (True, False, True)
    assert ("Log-likelihood:" in penalised, "Penalised LL:" in penalised, "Deviance:" in penalised) == (
        False,
        True,
        False,
    )
    for bse in (None, replace(poisson()).bse * math.nan):
        assert [name for name, _ in replace(poisson(), bse=bse)._columns()] == ["coef"]
    assert [name for name, _ in poisson()._columns()] == ["coef", "std err", "z", "P>|z|", "[0.025", "0.975]"]


def test_separated_rows_are_told_with_their_direction_where_it_is_known() -> None:
    apart = mlnn.estimate("bernoulli", ([[-1.0], [-0.5], [1.0]], [0.0, 0.0, 1.0]))
    assert apart.direction is not None
    assert str(apart.summary()) != str(replace(apart, direction=None).summary())


def test_intervals_and_predictions_go_by_what_is_known() -> None:
    assert poisson().conf_int().tolist() == poisson().conf_int(kind="wald").tolist()
    for kind, words in (("profile", "those of a penalised fit"), ("other", "kind: ")):
        with pytest.raises(ConfigError, match=words):
            poisson().conf_int(kind=kind)
    assert poisson().predict().se is not None
    assert poisson().predict(se=False).se is None
    assert replace(poisson(), information=None).predict().se is None


# A factory's own errors.
@pytest.mark.parametrize(("error", "told"), [
    (ValueError("no such\nlayer"), "the factory raised ValueError: no such$"),
    (ValueError(), "the factory raised ValueError: $"),
])  # fmt: skip
def test_the_first_line_of_what_a_factory_raises_is_told(error: Exception, told: str) -> None:
    def factory() -> Any:
        raise error

    with pytest.raises(ConfigError, match=told):
        made(factory, 0)


# Around a maximum.
@pytest.mark.parametrize(("off", "met"), [(0.5e-14, True), (3e-14, False), (1e-12, False)])
def test_targets_are_met_to_the_rounding_of_float64(off: float, met: bool) -> None:
    family = family_of("normal")
    weights, y = torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    problem: Any = SimpleNamespace(family=family, value=lambda _: off**2 / 2, weights=weights, y=y, nobs=1.0)
    problem.at = lambda other: other
    if met:
        with pytest.raises(DataError, match="meets every target exactly"):
            errors.with_number(problem, torch.zeros(1))
    else:
        found: Any = errors.with_number(problem, torch.zeros(1))
        assert found[0].dispersion == pytest.approx(off**2)


@pytest.mark.parametrize(("near", "begun"), [(None, 1.0), (2.0, 2.1)])
def test_a_number_is_sought_beside_the_one_that_is_near(
    near: float | None, begun: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[float] = []

    def root_of(family: Any, _score: Any) -> Any:
        starts.append(family.numbers["theta"])
        return family

    likelihood = SimpleNamespace(squares=False, separate=False)
    family = SimpleNamespace(free="theta", likelihood=likelihood, numbers={"theta": 1.0})
    family.at = lambda value: SimpleNamespace(numbers={"theta": value})
    monkeypatch.setattr(errors, "root_of", root_of)
    monkeypatch.setattr(errors, "descend", lambda *_: SimpleNamespace(theta="there"))
    problem: Any = SimpleNamespace(family=family, at=lambda other: other)
    found: Any = errors.with_number(problem, torch.zeros(1), near)
    assert found[1] == "there"
    assert starts == [pytest.approx(begun)]


# Rows that a linear programme begins with, and those that object.
@pytest.mark.parametrize(("rows", "working", "first"), [
    (4, 4, [0, 1, 2, 3]), (5, 4, [0, 2, 3, 4]), (8, 4, [0, 4, 6, 7]), (3, 4, [0, 1, 2]),
])  # fmt: skip
def test_a_programme_begins_with_the_nearest_rows_and_some_of_all(
    rows: int, working: int, first: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(separation, "WORKING", working)
    assert np.flatnonzero(separation._first(-np.arange(float(rows)))).tolist() == first


def objecting(values: list[float], working: list[bool], free: Any) -> list[float]:
    margins = scipy.sparse.csr_matrix(np.c_[values, np.zeros(len(values)), np.ones(len(values))])
    found = separation._objection(margins, np.array(working), np.array([1.0, 0.0, 0.0]), np.asarray(free, dtype=float))
    return [float(one) for one in found]


def test_a_row_objects_where_it_goes_back_or_could_move_and_stands_still() -> None:
    nothing, turn = np.zeros((3, 0)), [[0.0], [0.0], [2.0]]
    assert objecting([1.0, 2.0], [False, False], nothing) == [0, 0]
    assert objecting([-1.0, 2.0], [False, False], nothing) == pytest.approx([1e9, 0])
    assert objecting([-1.0, 2.0], [True, False], nothing) == [0, 0]
    assert objecting([-0.5e-9, -0.5], [False, False], nothing) == pytest.approx([0, 0.5e9]), (
        "one is zero but for rounding"
    )
    assert objecting([-1e-8, 2.0], [False, False], nothing) == pytest.approx([10, 0])
    assert objecting([0.0, 2.0], [False, False], turn) == [2, 0]
    assert objecting([0.0, 2.0], [True, False], turn) == [0, 0]
    assert objecting([0.0, -1.0], [False, False], turn) == pytest.approx([0, 1e9]), "those that go back come first"
    assert objecting([0.0, 2.0], [False, False], [[0.0], [0.0], [0.5e-9]]) == [0, 0]


class Programme:
    """A linear programme whose answer is given: γ along the first axis, and which of the working rows gain."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, runs: list[bool], gains: list[bool], holds: bool) -> None:
        gamma = np.array([1.0, 0.0])
        monkeypatch.setattr(separation, "_widest", lambda _: (gamma, np.array(runs), np.zeros((2, 0))))
        self.cone: Any = SimpleNamespace(check=lambda _: (np.array(gains), holds))

    def ask(self, values: list[float], working: list[bool]) -> Any:
        self.cone.margins = scipy.sparse.csr_matrix(np.c_[values, np.ones(len(values))])
        return separation._by_programme(self.cone, np.array(working))


@pytest.mark.parametrize(("values", "runs", "gains", "holds", "every"), [
    ([1.0, 1.0], [True], [True, True], True, [True, True]), ([0.0, 1.0], [False], [False, True], True, [False, True]),
    ([0.0, 0.5e-9], [False], [False, True], True, None), ([0.0, 1e-8], [False], [False, True], True, [False, True]),
    ([1.0, 1.0], [True], [True, True], False, "touch"), ([1.0, 1.0], [True], [True, False], True, "touch"),
    ([0.0, 0.0], [False], [True, True], True, None), ([1.0, 0.0], [True], [True, True], True, [True, False]),
])  # fmt: skip
def test_what_a_programme_says_is_checked_on_the_rows(
    values: list[float], runs: list[bool], gains: list[bool], holds: bool, every: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    programme = Programme(monkeypatch, runs, gains, holds)
    if every == "touch":
        with pytest.raises(DataError, match="touch to about 1e-10"):
            programme.ask(values, [True, False])
        return
    gamma, found = programme.ask(values, [True, False])
    assert (gamma is None) == (every is None)
    assert found.tolist() == ([False, False] if every is None else every)


@pytest.mark.parametrize(("work", "open_signs"), [(3e7, False), (1e9, True)])
def test_signs_are_left_open_where_they_take_too_long(
    work: float, open_signs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def sign(*_: Any) -> int:
        asked.append(1)
        return 1

    monkeypatch.setattr(separation, "_sign", sign)
    monkeypatch.setattr(separation, "null_space", lambda _: np.eye(1))
    monkeypatch.setattr(separation, "moved", lambda *_: np.ones((1, 1)))

    class Gaining:
        """As large as it says."""

        def __matmul__(self, _other: Any) -> np.ndarray:
            return np.broadcast_to(np.ones(1), (int(work) - (not open_signs), 1))

    class Margins:
        def __getitem__(self, mask: Any) -> Any:
            return Gaining() if mask.all() else SimpleNamespace(toarray=lambda: np.zeros((0, 1)))

    cone: Any = SimpleNamespace(margins=Margins(), back=np.ones((1, 1)), classes=2, known=np.array([True]))
    cone.coefficients = lambda _gamma: np.ones((1, 2))
    separation._signs(cone, np.ones(1), np.array([True]))
    assert bool(asked) != open_signs
