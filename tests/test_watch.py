"""What a comparison's watcher knows of its two sides before anything is seen, and what it tells of the run."""

from dataclasses import replace
from typing import Any

import pytest
from report_cases import BARE, TRAINED
from torch import nn
from training_cases import SGD, compare

import mlnn
from mlnn.comparing import watch
from mlnn.comparing.evidence import Evidence
from mlnn.objectives import bce, bernoulli_nll_log1p

BCE = nn.BCEWithLogitsLoss()


def step(model: nn.Module, batch: Any) -> Any:
    return BCE(model(batch[0]).squeeze(-1), batch[1].to(batch[0].dtype))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Evidence]:
    """The evidence that comparisons were decided on."""
    seen, decide = [], watch.decide
    monkeypatch.setattr(
        watch, "decide", lambda probed, found, *more: (seen.append(found), decide(probed, found, *more))[1]
    )
    return seen


def test_the_evidence_knows_whether_sides_are_asked_row_by_row(judged: list[Evidence]) -> None:
    compare(bce, bernoulli_nll_log1p, steps=2)
    compare(mlnn.Step(step), mlnn.Step(step), steps=2)
    assert [(one.rowwise, one.own_update) for one in judged] == [(True, False), (False, False)]


@pytest.mark.parametrize("own", ["left", "right", "neither"])
def test_an_update_of_one_sides_own_is_known(judged: list[Evidence], own: str) -> None:
    def update(model: nn.Module, optimizer: Any, batches: Any) -> Any:
        optimizer.zero_grad()
        loss = step(model, batches[0])
        loss.backward()
        optimizer.step()
        return loss

    plain = mlnn.LaneRecipe(mlnn.Step(step), SGD)
    sides = [replace(plain, update=update) if own == side else plain for side in ("left", "right")]
    compare(*sides, steps=2, optimizer=None)
    assert [one.own_update for one in judged] == [own != "neither"]


def test_a_run_tells_how_it_was_compared() -> None:
    whole, part = (compare(bce, bce, steps=2, batch_size=size).run for size in (None, 32))
    assert (whole.batch_size, part.batch_size) == (96, 32)
    assert whole.steps == 2
    verdict = compare(bce, bce, steps=3, mode="verdict", looks=2).run
    assert (whole.mode, verdict.mode) == ("study", "verdict")
    assert (bool(whole.engine), verdict.engine) == (True, None)
    assert (whole.looks, verdict.looks) == (None, 2)


def test_of_a_verdict_left_is_said_to_have_trained_to_the_end(judged: list[Evidence]) -> None:
    compare(bce, bce, steps=5, mode="verdict", looks=[0, 2])
    compare(bce, bce, steps=5)
    assert [(one.trained, one.steps) for one in judged] == [(5, 2), (5, 5)]


def test_of_a_training_everything_is_kept_but_that_it_was_bitwise() -> None:
    told = replace(TRAINED, seed=0).to_dict()
    assert "not_bitwise" not in told
    assert {"seed", "likelihood", "mle", "stopped", "batch_size"} <= told.keys()
    assert (told["seed"], told["likelihood"]) == (0, None)
    assert replace(TRAINED, not_bitwise="other versions").to_dict()["not_bitwise"] == "other versions"


def test_a_verdict_that_is_told_nothing_more_claims_no_factor_and_no_shift() -> None:
    assert (BARE.scale, BARE.shift, BARE.domain, BARE.control) == (1.0, 0.0, "all", "not run")
