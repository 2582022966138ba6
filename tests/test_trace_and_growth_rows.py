"""A row of the trace from a step's record, a line of growth.csv from a stored trace, and a rung from several of these."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from report_cases import RUN, VERDICT, make_trace

from mlnn.comparing import growth
from mlnn.comparing.growth import GrowthCell, over_seeds, row_of
from mlnn.comparing.records import GrowthRow, RunInfo
from mlnn.comparing.rungs import Rung, rungs, summary
from mlnn.comparing.trace import Trace, breaks, null_twins, twins
from mlnn.comparing.trace_row import _non_finite, trace_row
from mlnn.errors import RunFolderError
from mlnn.runs import Run
from mlnn.training import Stop

NAN = math.nan
LANES = ("left", "control", "right", "null_1", "null_2", "left_float64", "right_float64")


# A row of the trace.
def answer(loss: float = 1.0, gradient: tuple[float, ...] = (1.0, 2.0), stop: Stop | None = None) -> Any:
    return SimpleNamespace(loss=loss, gradient=torch.tensor(gradient), stop=stop)


def row(names: tuple[str, ...] = LANES, gone: tuple[str, ...] = (), right: Any = None, **told: Any) -> dict[str, float]:
    """Of lanes whose losses are 1, 2, 3, …; `gone`: those that had stopped before."""
    lanes = {name: SimpleNamespace(answer=answer(place + 1.0)) for place, name in enumerate(names)}
    record = SimpleNamespace(step=4, lanes=lanes, ran=lambda name: name in lanes and name not in gone, right=right)
    gaps = {"float32": SimpleNamespace(gradient=0.5), "float64": SimpleNamespace(gradient=0.25)}
    known = {"gaps": gaps, "free": 7.0, "weights": {}, "ulps": 8.0, "predictions": 9.0, "saturated": 0.125}
    return trace_row(record, SimpleNamespace(**known | told), "float32", names)  # type: ignore[arg-type]


def test_a_row_of_a_study_has_every_lane_and_every_gap() -> None:
    weights = {"right": 0.1, "right_float64": 0.2, "null_1": 0.3, "null_2": 0.4}
    found = row(right=answer(3.0, (math.inf, NAN), Stop(4, "gradient")), weights=weights)
    assert found == {
        "step": 4, **{f"loss_{name}": place + 1.0 for place, name in enumerate(LANES)}, "abs_loss_gap": 2.0, "gradient_gap": 0.5,
        "gradient_gap_float64": 0.25, "gradient_gap_free": 7.0, "saturated_fraction": 0.125, "non_finite_left": 0.0,
        "non_finite_right": 2.0, "weight_gap": 0.1, "weight_gap_ulps": 8.0, "prediction_gap": 9.0, "weight_gap_float64": 0.2,
        "weight_gap_null_1": 0.3, "weight_gap_null_2": 0.4, "null_low": 0.3, "null_high": 0.4,
    }  # fmt: skip


def test_what_was_not_measured_is_nan_and_hides_no_number() -> None:
    found = row(gone=("right",), gaps={}, weights={"null_1": NAN, "null_2": 0.4})
    names = ("loss_right", "abs_loss_gap", "gradient_gap", "gradient_gap_float64", "weight_gap", "weight_gap_null_1")
    assert all(math.isnan(found[name]) for name in (*names, "non_finite_right"))
    assert (found["null_low"], found["null_high"], found["loss_left"]) == (0.4, 0.4, 1.0)
    assert math.isnan(row()["null_low"])
    assert math.isnan(row()["null_high"])


def test_a_row_of_a_verdict_has_rights_loss_at_lefts_weights_and_nothing_of_lanes_apart() -> None:
    names = ("left_float64", "left")
    found = row(names, right=answer(5.0))
    assert list(found) == [
        "step", "loss_left", "loss_right", "loss_left_float64", "abs_loss_gap", "gradient_gap", "gradient_gap_float64",
        "saturated_fraction", "non_finite_left", "non_finite_right",
    ]  # fmt: skip
    assert (found["loss_left"], found["loss_right"], found["abs_loss_gap"]) == (2.0, 5.0, 3.0)
    assert math.isnan(row(names)["loss_right"])


@pytest.mark.parametrize(("loss", "gradient", "count"), [
    (1.0, (1.0, 2.0), 0.0), (NAN, (1.0, 2.0), 1.0), (1.0, (1.0, NAN), 1.0), (math.inf, (NAN, math.inf), 3.0),
])  # fmt: skip
def test_entries_that_are_not_finite_are_counted(loss: float, gradient: tuple[float, ...], count: float) -> None:
    assert _non_finite(answer(loss, gradient, Stop(0, "loss"))) == count
    assert _non_finite(answer(loss, gradient)) == 0.0


# A trace.
def test_columns_are_whole_where_every_entry_was_and_rows_are_of_the_same_names() -> None:
    kept: list[Any] = []
    trace = Trace(kept=kept.append)
    for step, loss in ((0, 1), (np.int64(1), 2.5)):
        trace.append({"step": step, "loss_left": loss})
    found = trace.arrays()
    assert (found["step"].dtype, found["loss_left"].dtype, len(kept)) == (np.int64, np.float64, 2)
    with pytest.raises(KeyError, match="differs from the first in: loss_right"):
        trace.append({"step": 2, "loss_left": 1.0, "loss_right": 1.0})


@pytest.mark.parametrize(("bad", "rows"), [(None, [0, 3, 6, 7]), (4, [0, 3, 4, 6, 7]), (3, [0, 3, 6, 7])])
def test_a_row_is_kept_every_few_steps_at_a_first_break_and_at_the_end(bad: int | None, rows: list[int]) -> None:
    trace = Trace(3)
    for step in range(8):
        broken = bad is not None and step >= bad
        gap = 9.0 if step == 2 else NAN if step == 3 else 1.0
        trace.append(
            {
                "step": step,
                "loss_left": math.inf if broken else -float(step),
                "gap": gap,
                "non_finite_left": 0.0 + broken,
            }
        )
    found = trace.arrays()
    assert found["step"].tolist() == rows
    assert found["gap"].tolist() == [1.0, 9.0, *[1.0] * (len(rows) - 2)]
    assert found["loss_left"].tolist() == [math.inf if bad is not None and step >= bad else -step for step in rows]


@pytest.mark.parametrize(("column", "value", "at"), [
    ("loss_left", NAN, 1), ("loss_left", math.inf, 1), ("loss_left", 2.0, None), ("non_finite_left", 2.0, 1),
    ("non_finite_left", NAN, 1),
    ("non_finite_left", 0.0, None),
])  # fmt: skip
def test_a_side_breaks_where_its_loss_or_its_gradient_is_not_finite(column: str, value: float, at: int | None) -> None:
    for step, place in ((3, 0), (5, 1), (7, 2)):
        trace = {"step": np.array([3, 5, 7]), column: np.array([0.0, 0.0, 0.0])}
        trace[column][place] = value
        assert breaks(trace) == ({} if at is None else {"left": step})


def test_columns_of_twins_are_found_by_their_names() -> None:
    trace = dict.fromkeys(("gap", "gap_float64", "gap_bfloat16", "gap_null_1", "gap_null_12", "gap_free"), np.zeros(1))
    assert twins(trace, "gap") == {"float64": "gap_float64", "bfloat16": "gap_bfloat16"}
    assert null_twins(trace, "gap") == ["gap_null_1", "gap_null_12"]


# A line of growth.csv.
def run(trace: Any = None, **about: Any) -> Run:
    told = VERDICT.to_dict()
    return Run(
        Path("cell"), "", make_trace(20) if trace is None else trace, told, {}, {}, replace(RUN, **about).to_dict()
    )


def test_a_line_of_growth_has_the_last_gaps_and_the_largest() -> None:
    trace = make_trace(20)
    trace["weight_gap"][-3:] = NAN
    found = row_of("m", 2, run(trace))
    at = -4
    assert (found.weight_gap, found.float64_weight_gap) == (trace["weight_gap"][at], trace["weight_gap_float64"][at])
    assert (found.null_low, found.null_high) == (trace["null_low"][at], trace["null_high"][at])
    assert found.shrink == pytest.approx(5e8)
    assert (found.gradient_gap, found.gradient_gap_float64) == (
        np.nanmax(trace["gradient_gap"]), np.nanmax(trace["gradient_gap_float64"]),
    )  # fmt: skip
    assert (found.steps, found.non_finite, found.depth, found.first_difference_step) == (21, 0, 2, 1)
    double = {**trace, "weight_gap_float32": trace["weight_gap_float64"]}
    swapped = row_of("m", 2, run(double, dtype="float64"))
    assert (swapped.weight_gap, swapped.float64_weight_gap) == (trace["weight_gap"][at],) * 2
    assert swapped.shrink == pytest.approx(2e-9)
    assert swapped.gradient_gap_float64 == np.nanmax(trace["gradient_gap"])
    assert math.isnan(
        row_of("m", 2, run(trace | {"weight_gap_float64": 0 * trace["weight_gap_float64"]})).shrink or 0.0
    )
    nothing = row_of("m", 2, run(trace | {"gradient_gap": trace["gradient_gap"] * NAN}))
    assert math.isnan(nothing.gradient_gap or 0.0)


def test_of_a_verdict_there_is_no_drift_and_rows_that_broke_are_counted_of_a_study_steps() -> None:
    broken = make_trace(20, broken=5)
    broken["non_finite_right"][8:] = 0.0  # steps 6 to 8, and 20 is the last
    assert row_of("m", 2, run(broken)).non_finite == 15
    found = row_of("m", 2, run(broken, mode="verdict"))
    assert (found.non_finite, found.weight_gap, found.shrink) == (3, None, None)


@pytest.mark.parametrize(("changes", "words"), [
    ({"step": None}, "a column 'step' of whole numbers"), ({"step": np.arange(20.0)}, "a column 'step' of whole numbers"),
    ({"null_low": None}, "it holds no steps"), ({"step": np.arange(0)}, "it holds no steps"),
])  # fmt: skip
def test_a_trace_that_is_no_comparisons_is_damaged(changes: dict[str, Any], words: str) -> None:
    trace = {name: value for name, value in (make_trace(20) | changes).items() if value is not None}
    with pytest.raises(RunFolderError, match=words):
        row_of("m", 2, run(trace))


def cell(seed: int, end: float, gap: float | None = 0.5, mode: str = "study") -> GrowthCell:
    """Of 40 steps, whose losses are `end` on the last four."""
    loss = np.where(np.arange(40) >= 36, end, 100.0)
    trace = {"step": np.arange(40), "loss_left": loss, "loss_right": loss}
    line = GrowthRow("m", seed=seed, relation="equal", max_abs_loss_gap=gap, gradient_gap=gap, weight_gap=gap)
    return GrowthCell("m", seed, line, VERDICT, trace, replace(RUN, mode=mode))


def test_several_seeds_are_one_result_whose_ends_are_the_last_tenth_of_the_steps() -> None:
    assert growth._end(cell(0, 1.5).trace, "loss_left") == 1.5
    assert growth._end({"step": np.arange(3), "loss_left": np.array([1.0, 2.0, 4.0])}, "loss_left") == 4.0
    found = over_seeds([cell(0, 1.0), cell(1, 2.0, 0.25)], 0.05)
    assert (found.count, found.gaps["weight_gap"]) == (2, (0.375, 0.25, 0.5))
    assert found.equivalence is not None
    verdict = over_seeds([cell(0, 1.0), cell(1, 2.0, mode="verdict")], 0.05)
    assert (verdict.equivalence, verdict.gaps.keys()) == (None, {"max_abs_loss_gap", "gradient_gap"})
    assert math.isnan(over_seeds([cell(0, 1.0, None)], 0.05).gaps["gradient_gap"][0])
    assert RunInfo().mode is None


# Rungs.
def line(model: str, relation: str = "equal", gap: float | None = 1e-7, twin: float | None = None) -> GrowthRow:
    return GrowthRow(model, 3, relation=relation, weight_gap=gap, float64_weight_gap=twin, null_low=gap)


def test_a_rung_has_the_worst_of_its_seeds() -> None:
    (found,) = rungs([line("a", gap=0.5), line("a", "different", 0.25), line("a", gap=None)])
    assert (found.relation, found.weight_gap, found.null_low, found.twin_gap) == ("different", 0.5, 0.25, None)
    assert [size for _, size in found.measured(lambda row: row.weight_gap)] == [0.5, 0.25]
    assert found.label == "a · 3"
    bare: Rung = rungs([GrowthRow("a")])[0]
    assert (bare.label, bare.weight_gap) == ("a", None)
    assert math.isnan(rungs([line("a", gap=NAN), line("a", gap=1.0)])[0].weight_gap or 0.0)


@pytest.mark.parametrize(("rows", "words"), [
    ([], "No architecture was compared."),
    ([line("a")], "On 1 architecture the two objectives are equal. The largest weight gap is 1e-7, on a."),
    ([line("a"), line("b", gap=2e-7, twin=4e-16)],
     "On all 2 architectures the two objectives are equal. The largest weight gap is 2e-7, on b, where the float64 twin's is"
     " 4e-16."),
    ([line("a"), line("b", "broken", NAN), line("c")],
     "On 2 of 3 architectures the two objectives are equal; broken on b. The largest weight gap is 1e-7, on a."
     " No finite weight gap on b."),
    ([line("a", gap=None)], "On 1 architecture the two objectives are equal."),
    ([line("a", gap=math.inf)], "On 1 architecture the two objectives are equal. No finite weight gap on a."),
])  # fmt: skip
def test_a_ladder_is_told_in_two_sentences(rows: list[GrowthRow], words: str) -> None:
    assert summary(rungs(rows)).replace("⁻", "-") == words
