"""A trace of a row every few steps: no jump is hidden, and what is told of a comparison stays what it was."""

import functools
import gc
import html
import json
import math
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from objective_cases import scaled
from report_cases import RUN, VERDICT, make_cells, make_rows, make_trace
from torch import nn
from training_cases import compare

import mlnn
from mlnn.comparing.curves.apart import differences
from mlnn.comparing.curves.curve import Curve
from mlnn.comparing.evidence_words import trace_notes, yardsticks
from mlnn.comparing.growth import over_seeds, row_of
from mlnn.comparing.records import RunInfo
from mlnn.comparing.trace import Trace, breaks
from mlnn.errors import ConfigError
from mlnn.objectives import bce, bce_with_logits, bernoulli_nll_log1p, bernoulli_nll_naive
from mlnn.runs import Run, read_run

STEPS, EVERY = 17, 7
ROWS = [0, 7, 14, 16]
STEEP = functools.partial(torch.optim.SGD, lr=20.0)


@functools.cache
def found(every: int, mode: str = "study") -> mlnn.Comparison:
    return compare(bce, bernoulli_nll_log1p, steps=STEPS, mode=mode, looks="all", trace_every=every)


@functools.cache
def broken(every: int) -> mlnn.Comparison:
    """A right side whose loss is infinite at the third step, at which right stops."""
    return compare(bce_with_logits, bernoulli_nll_naive, optimizer=STEEP, steps=STEPS, trace_every=every)


def largest(full: dict[str, np.ndarray], steps: list[int]) -> dict[str, list[float]]:
    """What a trace with rows at some steps has to hold, from the one that has all; NaN where nothing was measured."""
    wanted: dict[str, list[float]] = {}
    for name, column in full.items():
        own = name == "step" or name.startswith("loss_")
        wanted[name] = []
        for first, last in zip([0, *(step + 1 for step in steps)], steps, strict=False):
            part = column[last : last + 1] if own else column[first : last + 1]
            known = part[~np.isnan(part)]
            wanted[name].append(float(known.max()) if len(known) else math.nan)
    return wanted


def check(thin: dict[str, np.ndarray], full: dict[str, np.ndarray], steps: list[int]) -> None:
    assert list(thin) == list(full)
    wanted = largest(full, steps)
    for name, column in thin.items():
        np.testing.assert_array_equal(column, wanted[name], err_msg=name)
        assert column.dtype == full[name].dtype


@pytest.mark.parametrize("mode", ["study", "verdict"])
def test_a_row_has_the_losses_of_its_step_and_the_largest_gaps_since_the_row_before(mode: str) -> None:
    check(found(EVERY, mode).trace, found(1, mode).trace, ROWS)
    assert found(EVERY, mode).trace["step"].tolist() == ROWS


@pytest.mark.parametrize("fault", ["own step", "loss"])
def test_the_check_fails_on_a_planted_fault(fault: str) -> None:
    thin, full = dict(found(EVERY).trace), found(1).trace
    if fault == "own step":
        thin["weight_gap_ulps"] = full["weight_gap_ulps"][ROWS]
    else:
        thin["loss_left"] = np.array(largest({"gap": full["loss_left"]}, ROWS)["gap"])
    with pytest.raises(AssertionError):
        check(thin, full, ROWS)


@pytest.mark.parametrize("mode", ["study", "verdict"])
def test_the_verdict_sees_every_step(mode: str, tmp_path: Path) -> None:
    told = []
    for every in (1, EVERY):
        one = found(every, mode)
        stored = json.loads((one.save(tmp_path / str(every), page=False) / "verdict.json").read_text(encoding="utf-8"))
        assert stored["about"].pop("trace_every") == one.run.trace_every == every
        told.append(stored)
    assert told[0] == told[1]


def test_the_first_step_and_the_last_have_a_row_however_few_rows_there_are() -> None:
    one = compare(bce, scaled(2.0), steps=STEPS, trace_every=1000)
    assert (one.verdict.relation, one.trace["step"].tolist()) == ("scaled", [0, STEPS - 1])
    assert compare(bce, bernoulli_nll_log1p, steps=1, trace_every=5).trace["step"].tolist() == [0]


def test_of_a_verdict_rows_are_some_of_the_looks() -> None:
    one = compare(bce, bernoulli_nll_log1p, steps=STEPS, mode="verdict", looks=[2, 3, 9, 12], trace_every=EVERY)
    assert one.trace["step"].tolist() == [2, 9, 12]


@pytest.mark.parametrize(
    ("every", "message"),
    [
        (0, "trace_every: 0; at least 1 is needed"),
        (-3, "trace_every: -3; at least 1 is needed"),
        (True, "trace_every: True is not a whole number"),
        (1.5, r"trace_every: 1\.5 is not a whole number"),
        ("all", "trace_every: .*all.* is not a whole number"),
        (None, "trace_every: None is not a whole number"),
    ],
)
def test_what_is_no_number_of_steps_is_refused(every: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        compare(bce, bernoulli_nll_log1p, trace_every=every)


# A trace alone


def kept(every: int, gaps: list[float], **columns: list[float]) -> dict[str, list[float]]:
    trace = Trace(every)
    for step, gap in enumerate(gaps):
        trace.append({"step": step, "gap": gap} | {name: values[step] for name, values in columns.items()})
    return {name: column.tolist() for name, column in trace.arrays().items()}


def test_what_was_not_measured_hides_no_number_and_infinity_is_the_largest() -> None:
    nan, inf = math.nan, math.inf
    gaps = [1.0, nan, 3.0, 2.0, inf, nan, 5.0, 0.5, nan]
    assert kept(3, gaps)["gap"] == [1.0, 3.0, inf, 0.5]
    assert kept(3, gaps)["step"] == [0, 3, 6, 8]
    assert kept(4, [0.0, nan, 2.0, nan, nan])["gap"] == [0.0, 2.0]
    assert math.isnan(kept(2, [0.0, nan, nan])["gap"][1])
    assert kept(3, [0.0, 2.0, 1.0, 1.0, -1.0])["gap"] == [0.0, 2.0, -1.0]


def test_the_first_step_of_a_side_that_is_not_finite_is_a_row_of_its_own() -> None:
    losses = [1.0, 1.0, math.inf, math.nan, math.nan, math.nan, math.nan]
    counts = [0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0]
    found = kept(5, [1.0] * 7, loss_right=losses, non_finite_left=counts)
    assert found["step"] == [0, 2, 4, 5, 6]
    assert breaks({name: np.array(column) for name, column in found.items()}) == {"right": 2, "left": 4}


def test_a_trace_that_was_read_may_go_on() -> None:
    trace = Trace(4)
    for step in range(3):
        trace.append({"step": step, "gap": 1.0 * step})
    assert trace.arrays()["step"].tolist() == trace.arrays()["step"].tolist() == [0, 2]
    for step in range(3, 6):
        trace.append({"step": step, "gap": 1.0})
    assert (trace.arrays()["step"].tolist(), trace.arrays()["gap"].tolist()) == ([0, 2, 4, 5], [0.0, 2.0, 1.0, 1.0])


# What is told of it


def stored(one: mlnn.Comparison, folder: Path) -> Run:
    return read_run(one.save(folder, page=False))


def test_a_side_that_stops_is_told_at_its_step_and_counted_whole(tmp_path: Path) -> None:
    full, thin = broken(1), broken(EVERY)
    assert full.verdict.to_dict() == thin.verdict.to_dict()
    assert breaks(full.trace) == breaks(thin.trace) == {"right": 2}
    check(thin.trace, full.trace, [0, 2, 7, 14, 16])
    rows = [row_of("net", 1, stored(one, tmp_path / str(at))).to_dict() for at, one in enumerate((full, thin))]
    assert rows[0]["non_finite"] == STEPS - 2
    moved = {name for name in rows[0] if rows[0][name] != rows[1][name]}
    assert moved <= {"weight_gap", "null_low", "null_high", "float64_weight_gap", "shrink"}


def test_a_line_of_growth_has_the_largest_gaps_of_all_steps(tmp_path: Path) -> None:
    full, thin = (row_of("net", 1, stored(found(every), tmp_path / str(every))) for every in (1, EVERY))
    for name in ("max_abs_loss_gap", "gradient_gap", "gradient_gap_float64", "steps", "non_finite", "relation"):
        assert getattr(full, name) == getattr(thin, name), name
    assert thin.weight_gap == found(1).trace["weight_gap"][15:].max()


def test_the_final_loss_of_a_seed_is_that_of_the_last_tenth_of_steps_not_of_rows() -> None:
    steps = np.arange(60)
    for every, last in ((1, steps[54:]), (7, np.array([56, 59])), (100, np.array([59]))):
        trace = Trace(every)
        for step in steps.tolist():
            trace.append({"step": step, "loss_left": 1.0, "loss_right": 1.0 + 0.01 * step})
        cells = [replace(cell, trace=trace.arrays()) for cell in make_cells(make_rows(broken=False))[:2]]
        test = over_seeds(cells, 0.05).equivalence
        assert test is not None
        assert test.difference == pytest.approx(0.01 * last.mean(), rel=1e-12)


def test_it_is_said_wherever_the_trace_is_shown() -> None:
    told = RunInfo.from_dict(json.loads(json.dumps(found(EVERY).about)))
    assert told == found(EVERY).run
    assert "7 steps to a row of the trace" in repr(found(EVERY))
    assert "to a row" not in repr(found(1))
    point = "Curves have a point every 7 steps: a loss of its own step, a gap the largest since the point before."
    assert point in found(EVERY).page()
    assert "Curves have a point" not in found(1).page()
    assert "largest of steps 15 to 16" in found(EVERY).page()
    assert "at step 16" in found(1).page()


@pytest.mark.rest
def test_the_page_of_a_verdict_speaks_of_one_trajectory() -> None:
    one = compare(bce, bernoulli_nll_log1p, steps=STEPS, mode="verdict", looks=[2, 3, 9, 12], trace_every=EVERY)
    page = one.page()
    assert "Curves have a point at the first look of every 7 steps" in page
    assert "Right is asked at left's weights" in html.unescape(page)
    for word in ("Null band", "prediction gap", "the same pair in a higher precision"):
        assert word not in page
        assert word in found(1).page()
    once = compare(bce, bernoulli_nll_log1p, steps=3, mode="verdict", looks=1)
    assert "looked at once" in repr(once)


def test_words_of_a_thin_trace() -> None:
    thin = {name: column[::7] for name, column in make_trace().items()}
    weights = [
        next(card.note for card in yardsticks(VERDICT, thin, every) if card.name == "Weight gap")
        for every in (None, 1, 7)
    ]
    assert [note.partition(",")[0] for note in weights] == ["at step 50", "at step 50", "largest of steps 44 to 50"]
    assert trace_notes(thin, 7)[:-1] == trace_notes(thin) == trace_notes(thin, 1)
    first = {name: column[:1] for name, column in thin.items()}
    card = next(card for card in yardsticks(VERDICT, first, 7) if card.name == "Weight gap")
    assert card.note.startswith("at step 1,")
    assert RunInfo.from_dict({}).trace_every is RUN.trace_every is None


def test_curves_with_other_rows_are_compared_where_both_have_one() -> None:
    full, thin = found(1).trace, found(EVERY).trace
    one, two = (Curve(name, trace["step"], trace["loss_left"]) for name, trace in (("full", full), ("thin", thin)))
    apart, notes = differences([one, two])
    assert apart[0].step.tolist() == ROWS
    assert apart[0].gap.max() == 0
    assert notes == ["full and thin: losses of 17 and 4 steps are kept; compared on the 4 they share."]
    short = Curve("short", np.arange(4), full["loss_left"][:4])
    assert differences([short, two])[1] == [
        "short and thin: losses of 4 and 4 steps are kept; compared on the 1 they share."
    ]


# Memory


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["study", "verdict"])
def test_memory_does_not_grow_with_the_steps_but_for_the_trace(mode: str) -> None:
    """One node: of what a step leaves behind, 2 bytes were measured, and 215 with all rows."""
    seen: dict[int, int] = {}

    def progress(done: int, _steps: int) -> None:
        if done in (200, 600):
            gc.collect()
            seen[done] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        compare(
            bce, bernoulli_nll_log1p, model=lambda: nn.Linear(4, 1), steps=601, mode=mode, looks="all",
            engine="plain" if mode == "study" else "auto", trace_every=1000, progress=progress,
        )  # fmt: skip
    finally:
        tracemalloc.stop()
    assert seen[600] - seen[200] < 400 * 60
