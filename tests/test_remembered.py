"""An estimate beside a training is made once of the same rows and likelihood, and again of anything else."""

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from mlnn import data
from mlnn.data import Dataset
from mlnn.errors import DataError
from mlnn.estimating import remembered as memory
from mlnn.estimating.estimate import estimate
from mlnn.estimating.remembered import KEPT, remembered
from mlnn.likelihoods import Bernoulli, StudentT, adopted

ROWS = data.spector()


class Mine(Bernoulli):
    """Somebody's own, which may be anything."""


class Own:
    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        return Bernoulli().nll(output, target)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `estimate` is really asked, from an empty memory."""
    calls: list[Any] = []

    def noted(likelihood: Any, rows: Dataset, *, intercept: bool) -> Any:
        calls.append(likelihood)
        return estimate(likelihood, rows, intercept=intercept)

    monkeypatch.setattr(memory, "estimate", noted)
    monkeypatch.setattr(memory, "_made", OrderedDict())
    return calls


def test_the_same_is_asked_once(asked: list[Any]) -> None:
    first, again = (remembered(Bernoulli(), data.spector(), True) for _ in range(2))
    assert again is first
    assert len(asked) == 1
    assert first.llf == estimate(Bernoulli(), ROWS).llf


def test_another_likelihood_number_constant_or_row_is_asked_again(asked: list[Any]) -> None:
    numbers = data.longley()
    other = replace(ROWS, x=ROWS.x + 1e-9)
    questions: list[tuple[Any, Dataset, bool]] = [
        (Bernoulli(), ROWS, True),
        ("bernoulli_probit", ROWS, True),
        (Bernoulli(), ROWS, False),
        (Bernoulli(), other, True),
        (StudentT(df=4.0), numbers, True),
        (StudentT(df=5.0), numbers, True),
    ]
    for question in [*questions, *questions]:
        remembered(*question)
    assert len(asked) == len(questions)


@pytest.mark.parametrize("likelihood", [Mine(), adopted(Own())], ids=["a class on top of ours", "a class of its own"])
def test_a_likelihood_from_elsewhere_is_asked_every_time(asked: list[Any], likelihood: Any) -> None:
    for _ in range(2):
        remembered(likelihood, ROWS, True)
    assert len(asked) == 2


def test_what_is_refused_is_refused_again(asked: list[Any]) -> None:
    twice = replace(ROWS, x=ROWS.x.repeat(1, 2), features=())
    told = []
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            remembered(Bernoulli(), twice, True)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert len(asked) == 1


def test_no_more_than_a_few_are_kept(asked: list[Any]) -> None:
    for number in range(KEPT + 1):
        remembered(Bernoulli(), replace(ROWS, x=ROWS.x + number), True)
    remembered(Bernoulli(), replace(ROWS, x=ROWS.x + KEPT), True)
    assert len(asked) == KEPT + 1
    remembered(Bernoulli(), ROWS, True)
    assert len(asked) == KEPT + 2, "the oldest has gone"
    assert len(memory._made) == KEPT
