"""Records of a comparison: what leaves as JSON comes back as the same record, and damage is refused at the door."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from report_cases import RUN, VERDICT
from training_cases import compare

from mlnn.comparing.growth import row_of, told
from mlnn.comparing.records import RunInfo
from mlnn.comparing.verdict import Verdict
from mlnn.errors import ConfigError, RunFolderError
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.runs import Run, read_run, to_json

ODD = replace(
    VERDICT, domain=(-math.inf, 16.6), scale=math.nan, shift={0.0: -math.inf, 1.0: 0.5}, shrink=None,
    first_difference=None, resolutions={"clip": None},
)  # fmt: skip


def through_json(plain: object) -> dict[str, Any]:
    found = json.loads(to_json(plain))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("verdict", [VERDICT, ODD, replace(VERDICT, domain="none", relation="broken")])
def test_a_verdict_comes_back_as_it_left(verdict: Verdict) -> None:
    found = Verdict.from_dict(through_json(verdict.to_dict() | {"about": {}, "lanes": {}}))
    assert to_json(found.to_dict()) == to_json(verdict.to_dict())
    assert (found.meets("equal"), found.domain, repr(found)) == (verdict.meets("equal"), verdict.domain, repr(verdict))


@pytest.mark.parametrize(
    "run", [RUN, RunInfo(), replace(RUN, seed="0, 1", mle={"left": {"lr": 0.5}}, more={"team": "a"})]
)
def test_what_was_run_comes_back_as_it_left(run: RunInfo) -> None:
    assert RunInfo.from_dict(through_json(run.to_dict())) == run


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Run:
    found = compare(bce, bernoulli_nll_log1p, steps=3, null_twins=1, about={"model": "tiny", "team": ["a", 3]})
    assert found.about["team"] == ["a", 3]
    assert (found.about["model"], list(found.about)[-2:]) == ("tiny", ["mle", "team"])
    run = read_run(found.save(tmp_path_factory.mktemp("run") / "run"))
    assert told(run) == (found.verdict, found.run)
    return run


def test_the_callers_names_are_names() -> None:
    with pytest.raises(ConfigError, match=r"^about: no model is 3$"):
        compare(bce, bernoulli_nll_log1p, steps=3, about={"model": 3})


def without(name: str) -> Callable[[Run], Run]:
    return lambda run: replace(run, trace={key: column for key, column in run.trace.items() if key != name})


def steps(shift: float) -> Callable[[Run], Run]:
    return lambda run: replace(run, trace=run.trace | {"step": run.trace["step"] + shift})


def verdict(**changed: object) -> Callable[[Run], Run]:
    return lambda run: replace(run, verdict=(run.verdict or {}) | changed)


def about(**changed: object) -> Callable[[Run], Run]:
    return lambda run: replace(run, about=run.about | changed)


DAMAGED: dict[str, tuple[Callable[[Run], Run], str]] = {
    "no verdict": (lambda run: replace(run, verdict=None), "no relation is None"),
    "a relation of their own": (verdict(relation="<b>fine\x1b"), r"no relation is <b>fine\\x1b"),
    "a relation of many": (verdict(value_relation=["equal"] * 99), "no value_relation is a list of 99"),
    "a domain in words": (verdict(domain="everywhere"), "no domain is everywhere"),
    "half a domain": (verdict(domain=[1.0]), "no domain is"),
    "a domain of texts": (verdict(domain=["a", "b"]), "no domain is a"),
    "a number in words": (verdict(left_domain="half"), "no left_domain is half"),
    "yes for a number": (verdict(scale=True), "no scale is True"),
    "shifts of texts": (verdict(shift={"x": 1.0}), "no shift is"),
    "a sentence of numbers": (verdict(sentence=[1, 2]), "no sentence is"),
    "evidence in words": (verdict(evidence="trust me"), "no evidence is trust me"),
    "resolutions of texts": (verdict(resolutions={"clip": "small"}), "no clip is small"),
    "a step in words": (verdict(first_difference={"step": "first"}), "no step is first"),
    "a name of many": (about(model=["m"] * 99), "no model is a list of 99"),
    "a seed with a point": (about(seed=0.5), "no seed is 0.5"),
    "weights in words": (about(parameters="many"), "no parameters is many"),
    "distances of texts": (about(mle={"left": "near"}), "no left is near"),
    "no gaps": (without("weight_gap"), "trace.csv is damaged"),
    "no twin": (without("gradient_gap_float64"), "trace.csv is damaged"),
    "half steps": (steps(0.5), "a column 'step' of whole numbers"),
    "no number for a step": (steps(math.nan), "a column 'step' of whole numbers"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_stored_damaged_is_refused(name: str, stored: Run) -> None:
    damage, words = DAMAGED[name]
    row_of("tiny", 1, stored)
    with pytest.raises(RunFolderError, match=words) as refused:
        row_of("tiny", 1, damage(stored))
    assert str(stored.path) in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_a_trace_without_steps_is_refused(stored: Run) -> None:
    with pytest.raises(RunFolderError, match=r"trace\.csv is damaged"):
        row_of("tiny", 1, replace(stored, trace={name: column[:0] for name, column in stored.trace.items()}))
