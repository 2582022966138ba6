"""What is said of a network beside its classical estimate, on both sides of each bound."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlnn.data import from_arrays
from mlnn.estimating import classical
from mlnn.estimating.classical import ClassicalEstimate, _reading
from mlnn.estimating.distance import Distance
from mlnn.likelihoods import Bernoulli, Gamma, NegativeBinomial, Normal

NOT_A_NUMBER = float("nan")


def estimated(exists: bool = True, llf: float = -3.0, known: bool = True) -> Any:
    found = SimpleNamespace(
        exists=exists,
        llf=llf,
        separation="none" if exists else "quasi",
        names=("x",),
        outputs=("",),
        params=np.ones(1),
        bse=np.ones(1),
    )
    nothing: Any = None
    return ClassicalEstimate(found if known else nothing, "columns depend", nothing, nothing, nothing)  # type: ignore[arg-type]


def distance(pvalue: float = 0.5, digits: float = 3.0, error: float = 0.25) -> Distance:
    return Distance(np.array([digits]), np.array([error]), 1.5, pvalue, 0.1, 2.0)


@pytest.mark.parametrize(("p", "words"), [
    (1.0, "no test"), (0.9995, "no test"), (0.9985, "short of"), (0.051, "short of"), (0.049, "outside"),
    (0.0, "outside"),
])  # fmt: skip
def test_how_far_a_network_is_is_read_off_a_pvalue(p: float, words: str) -> None:
    assert _reading(p).startswith(words)


@pytest.mark.parametrize(("p", "told"), [
    (0.5, "(p = 0.5 on 1"), (2e-300, "(p = 2e-300 on"), (5e-301, "(p < 1e-300 on"), (0.0, "(p < 1e-300 on"),
])  # fmt: skip
def test_a_pvalue_is_printed_as_far_as_it_is_a_number(p: float, told: str) -> None:
    assert told in estimated().sentence(distance(p))


def test_what_is_said_of_each_answer() -> None:
    assert "at most 0.25 standard errors from it" in estimated().sentence(distance())
    assert "standard errors" not in estimated().sentence(distance(error=NOT_A_NUMBER))
    assert estimated(known=False).sentence(distance()) == "There is no unique estimate to compare with: columns depend."
    for llf, top in (
        (-0.9e-9, "towards 1 as"),
        (0.9e-9, "towards 1 as"),
        (-1e-7, "towards exp(-1e-07) as"),
        (-2.0, "exp(-2)"),
    ):
        assert top in estimated(False, llf).sentence(distance())


def test_what_is_found_of_each_answer() -> None:
    whole = estimated().finding(distance())
    assert (whole.separation, whole.llf, len(whole.coefficients), whole.lr_pvalue) == ("none", -3.0, 1, 0.5)
    assert whole.summary is not None
    apart = estimated(exists=False).finding(distance())
    assert (apart.separation, apart.llf, apart.coefficients, apart.summary, apart.lr_pvalue) == (
        "quasi",
        -3.0,
        (),
        None,
        None,
    )
    without = estimated(known=False).finding(distance())
    assert (without.separation, without.llf, without.coefficients, without.summary, without.lr_pvalue) == (
        None,
        None,
        (),
        None,
        None,
    )
    assert (estimated().exists, estimated(exists=False).exists, estimated(known=False).exists) == (True, False, False)


class Own(Normal):
    """A likelihood of somebody's own."""


@pytest.mark.parametrize(("likelihood", "space", "told"), [
    (Bernoulli(), "binary", None), (Normal(2.0), "real", "normal"), (Gamma(2.0), "positive", "gamma"),
    (NegativeBinomial(2.0), "counts", None), (Own(), "real", None),
])  # fmt: skip
def test_a_number_that_only_scales_the_errors_is_estimated(likelihood: Any, space: str, told: str | None) -> None:
    data = from_arrays(np.arange(4.0), [0.0, 1.0, 1.0, 2.0 if space == "real" else 1.0],
    space) if space != "positive" else (
        from_arrays(np.arange(4.0), [1.0, 2.0, 3.0, 4.0], space)
    )  # fmt: skip
    given = classical._given(likelihood, data)
    assert given == told if told else given is likelihood
