"""What a comparison leaves behind: the trace, the verdict as a requirement, the run folder, a row of growth."""

import copy
import dataclasses
import functools
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from objective_cases import binary, scaled, smoothed
from torch import nn
from training_cases import ADAM, SGD, X, Y, data, network

import mlnn
from mlnn.comparing import watch as module
from mlnn.comparing.decide import decide
from mlnn.comparing.growth import COLUMNS, row_of, write_rows
from mlnn.comparing.probe import probe
from mlnn.comparing.relations import ORDER, REQUIRABLE
from mlnn.comparing.trace import Trace
from mlnn.comparing.verdict import Verdict
from mlnn.data import from_arrays
from mlnn.errors import ConfigError, RequirementNotMetError
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.runs import read_run
from mlnn.targets import TargetSpace

STEPS = 10
COLUMNS_ALWAYS = {
    "step", "loss_left", "loss_right", "loss_control", "abs_loss_gap", "gradient_gap", "gradient_gap_free",
    "saturated_fraction", "non_finite_left", "non_finite_right", "weight_gap", "weight_gap_ulps", "prediction_gap",
    "null_low", "null_high", "weight_gap_null_1", "weight_gap_null_2", "weight_gap_null_3",
}  # fmt: skip


@functools.cache
def pair() -> mlnn.Comparison:
    return run(bernoulli_nll_log1p)


def run(right: object, **options: object) -> mlnn.Comparison:
    return mlnn.compare(network, bce, right, (X, Y), **({"optimizer": SGD, "steps": STEPS, "batch_size": 32} | options))


def check_trace(trace: dict[str, np.ndarray]) -> None:
    """All columns, one row per step, everything finite; gaps that are not all zero; the control at no distance."""
    assert set(trace) >= COLUMNS_ALWAYS
    assert {"loss_left_float64", "loss_right_float64", "gradient_gap_float64", "weight_gap_float64"} <= set(trace)
    for name, column in trace.items():
        assert column.shape == (STEPS,), name
        assert np.isfinite(column).all(), name
    assert trace["step"].tolist() == list(range(STEPS))
    assert (trace["loss_left"] == trace["loss_control"]).all()
    assert (trace["abs_loss_gap"] == np.abs(trace["loss_right"] - trace["loss_left"])).all()
    assert (trace["null_low"] <= trace["null_high"]).all()
    for name in ("gradient_gap", "gradient_gap_free", "weight_gap", "weight_gap_ulps", "prediction_gap", "null_high"):
        assert trace[name].max() > 0, name
    assert (trace["weight_gap"] >= 1e6 * trace["weight_gap_float64"]).all()  # 0 and 0 at a lucky step


def test_the_trace_is_complete_and_finite() -> None:
    check_trace(pair().trace)


@pytest.mark.parametrize("fault", ["missing", "nan", "short", "frozen", "same gap"])
def test_the_check_of_the_trace_fails_on_a_planted_fault(fault: str) -> None:
    trace = {name: column.astype(float) for name, column in pair().trace.items()}
    if fault == "missing":
        del trace["weight_gap_null_2"]
    elif fault == "nan":
        trace["prediction_gap"][3] = math.nan
    elif fault == "short":
        trace["loss_left"] = trace["loss_left"][:-1]
    elif fault == "frozen":
        trace["weight_gap"] *= 0
    else:
        trace["weight_gap_float64"] = trace["weight_gap"]
    with pytest.raises(AssertionError):
        check_trace(trace)


def test_the_trace_is_what_was_measured_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[dict[str, float]] = []

    class Keeping(Trace):
        def append(self, row: dict[str, float]) -> None:
            kept.append(dict(row))
            super().append(row)

    monkeypatch.setattr(module, "Trace", Keeping)
    trace = run(bernoulli_nll_log1p).trace
    assert len(kept) == STEPS
    for name, column in trace.items():
        assert column.tolist() == [row[name] for row in kept]
        assert column.dtype == (np.int64 if name == "step" else np.float64)


def test_progress_is_told_after_every_step() -> None:
    told: list[tuple[int, int]] = []
    run(bernoulli_nll_log1p, progress=lambda done, of: told.append((done, of)))
    assert told == [(step + 1, STEPS) for step in range(STEPS)]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda found: pickle.loads(pickle.dumps(found))])
def test_a_copy_of_a_comparison_has_its_trace(copied: Callable[[mlnn.Comparison], mlnn.Comparison]) -> None:
    found = pair()
    twin = copied(found)
    assert twin.to_dict() == found.to_dict()
    assert twin.trace.keys() == found.trace.keys()
    assert all((twin.trace[name] == column).all() for name, column in found.trace.items())
    assert twin.page() == found.page()


def made(relation: str, domain: object = "all", left_domain: float | None = None) -> Verdict:
    return Verdict(relation, relation, relation, "", domain=domain, left_domain=left_domain)


@pytest.mark.parametrize("relation", ORDER)
@pytest.mark.parametrize("require", REQUIRABLE)
def test_a_relation_meets_itself_and_what_is_weaker(relation: str, require: str) -> None:
    strength = ("bitwise", "equal", "indistinguishable", "shifted", "scaled")
    expected = relation in strength and strength.index(relation) <= strength.index(require)
    assert made(relation).meets(require) == expected


@pytest.mark.parametrize(
    ("domain", "left_domain", "allowed", "expected"),
    [
        ("all", None, None, True),
        ("all", 0.5, None, True),
        ((-27.0, 16.0), None, None, False),
        ((-27.0, 16.0), 0.0, None, True),
        ((-27.0, 16.0), 1e-9, None, False),
        ((-27.0, 16.0), 0.5, (-15.0, 15.0), True),
        ((-27.0, 16.0), None, (-27.0, 16.0), True),
        ((-27.0, 16.0), None, (-28.0, 15.0), False),
        ((-27.0, 16.0), None, (-20.0, 20.0), False),
        ((-27.0, math.inf), None, (-20.0, 1e6), True),
    ],
)
def test_a_domain_is_met_by_all_rows_or_by_the_callers_leave(
    domain: object, left_domain: float | None, allowed: tuple[float, float] | None, expected: bool
) -> None:
    assert made("equal", domain, left_domain).meets("equal", allowed) == expected
    assert not made("different", domain, left_domain).meets("scaled", allowed)


def test_a_requirement_that_cannot_be_met_is_no_requirement() -> None:
    for word in ("different", "broken", "undecided", "eqaul"):
        with pytest.raises(ConfigError, match=f"unknown relation '{word}'"):
            made("equal").meets(word)


def test_require_raises_where_the_pair_does_not_hold() -> None:
    assert run(bernoulli_nll_log1p, require="equal").verdict.relation == "equal"
    assert run(scaled(2.0), require="scaled").verdict.relation == "scaled"
    for right, require in ((bernoulli_nll_log1p, "bitwise"), (scaled(2.0), "shifted"), (smoothed(1e-2), "scaled")):
        with pytest.raises(RequirementNotMetError, match=f"required '{require}', found"):
            run(right, require=require, steps=2)


def test_a_probe_alone_gives_a_verdict_that_holds_on_its_domain_only() -> None:
    space = TargetSpace("binary")
    alone = decide(probe(binary(bce), binary(bernoulli_nll_log1p), space, torch.float32))
    assert (alone.relation, alone.control, alone.left_domain) == ("equal", "not run", None)
    assert not alone.meets("equal")
    assert alone.meets("equal", (-20.0, 15.0))


def test_a_resolution_too_coarse_to_see_a_fault_leaves_nothing_decided() -> None:
    probed = probe(binary(bce), binary(bernoulli_nll_log1p), TargetSpace("binary"), torch.float32)
    assert decide(probed, resolutions={"scale": 1e-5, "shift": 1e-4}).relation == "equal"
    assert decide(probed, resolutions={"scale": 1e-5, "shift": 1e-4}).resolution == 1e-4
    for blind in ({"scale": 0.5}, {"scale": 1e-5, "shift": None}):
        found = decide(probed, resolutions=blind)
        assert (found.relation, found.meets("scaled", (-1.0, 1.0))) == ("undecided", False)


def test_rows_outside_the_domain_are_counted() -> None:
    wild = functools.partial(torch.optim.SGD, lr=30.0)
    found = run(bernoulli_nll_log1p, dtype="float64", optimizer=wild).verdict
    assert found.left_domain is not None
    assert found.left_domain > 0
    assert not found.meets("scaled")
    assert run(bernoulli_nll_log1p).verdict.left_domain == 0


@pytest.mark.sampled(2)
@pytest.mark.parametrize("right", [bernoulli_nll_log1p, scaled(1.0, 1e-3), smoothed(1e-2), scaled(math.nan)])
def test_everything_is_plain_data_that_survives_json(right: object) -> None:
    plain = run(right).to_dict()
    read = json.loads(json.dumps(plain, allow_nan=True))
    assert read["verdict"]["relation"] == plain["verdict"]["relation"]
    assert read["verdict"]["sentence"].endswith(".")
    assert read["data"]["fingerprint"] == data().fingerprint()
    assert set(read["lanes"]) >= {"left", "right", "control", "null_1", "left_float64", "right_float64"}
    assert (read["about"]["steps"], read["about"]["batch_size"], read["about"]["seed"]) == (STEPS, 32, 0)


def test_save_writes_a_run_folder_that_can_be_read_back(tmp_path: Path) -> None:
    found = pair()
    run_folder = read_run(found.save(tmp_path / "run", config="steps: 10\n"))
    assert run_folder.config == "steps: 10\n"
    assert run_folder.verdict is not None
    assert run_folder.verdict["relation"] == "equal"
    assert run_folder.data == found.data
    assert run_folder.trace.keys() == found.trace.keys()
    assert all((run_folder.trace[name] == column).all() for name, column in found.trace.items())
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert found.verdict.relation in page
    assert found.report(tmp_path / "page.html").read_text(encoding="utf-8") == page


def test_held_out_rows_serve_for_the_prediction_gap_and_are_not_trained_on() -> None:
    kept = from_arrays(X, Y, held_out=0.25)
    found = mlnn.compare(network, bce, bernoulli_nll_log1p, kept, optimizer=ADAM, steps=3, batch_size=None)
    assert (found.data["rows"], found.data["held_out"], found.about["batch_size"]) == (72, 24, 72)
    assert found.trace["prediction_gap"].max() > 0


def test_a_comparison_becomes_a_row_of_growth(tmp_path: Path) -> None:
    row = row_of("tiny", 1, read_run(pair().save(tmp_path / "run")))
    assert list(row.to_dict()) == list(COLUMNS)
    assert (row.model, row.parameters, row.depth, row.relation) == ("tiny", 49, 1, "equal")
    assert row.weight_gap == pair().trace["weight_gap"][-1]
    assert row.shrink == pytest.approx(row.weight_gap / row.float64_weight_gap)
    assert 1e7 < row.gradient_shrink < 1e10
    assert row.non_finite == 0
    write_rows([row, dataclasses.replace(row, first_difference_step=None)], tmp_path / "growth.csv")
    header, first, second = (tmp_path / "growth.csv").read_text().splitlines()
    assert header.split(",") == list(COLUMNS)
    assert float(first.split(",")[COLUMNS.index("weight_gap")]) == row.weight_gap
    assert second.split(",")[COLUMNS.index("first_difference_step")] == ""


def test_a_three_line_model_on_plain_arrays_is_enough() -> None:
    found = mlnn.compare(
        lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)),
        nn.BCEWithLogitsLoss(), bernoulli_nll_log1p, (X.numpy(), Y.numpy().astype(int)),
        optimizer=torch.optim.Adam, steps=5, batch_size=None,
    )  # fmt: skip
    assert found.verdict.relation == "equal"
    assert found.about["model"] == "Sequential"
