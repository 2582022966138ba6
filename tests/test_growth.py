"""Growth: one comparison per rung and seed; the table, its figure and page, and whether it can be repeated."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_cases import Result, command, write

from mlnn.comparing.growing import longest_first
from mlnn.comparing.growth import COLUMNS, write_rows
from mlnn.comparing.records import GrowthRow
from mlnn.keys import GrowthSettings
from mlnn.runs import read_run

DOCUMENTED = [
    "model", "parameters", "depth", "seed", "relation", "max_abs_loss_gap", "gradient_gap", "weight_gap", "null_low",
    "null_high", "float64_weight_gap", "shrink", "first_difference_step", "steps", "non_finite", "gradient_gap_float64",
    "gradient_shrink", "left_domain",
]  # fmt: skip
WHOLE = {"parameters", "depth", "seed", "steps", "non_finite", "first_difference_step"}
WORDS = {"model", "relation"}
LADDER = "# Two rungs.\nnode: [model=sigmoid_node]\ndeep: [model=mlp, model.depth=3, model.width=4]\n"
CELLS = [("node", 4), ("node", 0), ("deep", 4), ("deep", 0)]


def grow(out: str, *words: str) -> Result:
    small = ("data=spector", "steps=4", "batch_size=16", "null_twins=1", "ladder=two", "seeds=[4,0]")
    return command("growth", "--config-dir", "conf", *small, f"out={out}", *words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A growth of two rungs and two seeds, in ./first."""
    home = tmp_path_factory.mktemp("growth")
    write(home, {"conf/ladder/two.yaml": LADDER})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        done = grow("first", "jobs=1")
    assert (done.code, done.err) == (0, "")
    for file in ("report.html", "growth.png", "growth.csv"):
        assert f"first/{file}" in done.out.replace("\n", "")
    return home


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def full_precision(row: dict[str, str]) -> bool:
    """Whether every number of a row is written with all of its digits."""
    return all(
        text == "" or (str(int(text)) if name in WHOLE else repr(float(text))) == text
        for name, text in row.items()
        if name not in WORDS
    )


def test_the_columns_are_the_documented_ones_in_order(folder: Path) -> None:
    assert list(COLUMNS) == DOCUMENTED
    header = (folder / "first/growth.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header.split(",") == DOCUMENTED


def test_there_is_one_row_per_rung_and_seed_in_order(folder: Path) -> None:
    found = rows(folder / "first/growth.csv")
    assert [(row["model"], int(row["seed"])) for row in found] == CELLS
    assert [(row["parameters"], row["depth"]) for row in found] == [("3", "1")] * 2 + [("61", "3")] * 2
    assert {row["steps"] for row in found} == {"4"}
    assert {row["relation"] for row in found} == {"equal"}
    assert {row["non_finite"] for row in found} == {"0"}
    assert found[0] != found[1] | {"seed": "4"}, "another seed is another run"


def test_numbers_leave_at_full_precision(folder: Path) -> None:
    found = rows(folder / "first/growth.csv")
    assert all(full_precision(row) for row in found)
    assert not full_precision(found[0] | {"weight_gap": "1.250e-07"})


def test_rows_are_what_the_cells_traces_say(folder: Path) -> None:
    for row in rows(folder / "first/growth.csv"):
        run = read_run(folder / "first/cells" / f"{row['model']}-seed{row['seed']}")
        assert run.verdict is not None
        assert run.verdict["relation"] == row["relation"]
        assert (run.about["model"], run.about["seed"]) == (row["model"], int(row["seed"]))
        assert float(row["max_abs_loss_gap"]) == np.nanmax(run.trace["abs_loss_gap"])
        assert float(row["gradient_gap"]) == np.nanmax(run.trace["gradient_gap"])
        last = {
            name: float(run.trace[name][-1]) for name in ("weight_gap", "weight_gap_float64", "null_low", "null_high")
        }
        assert float(row["weight_gap"]) == last["weight_gap"]
        assert float(row["float64_weight_gap"]) == last["weight_gap_float64"]
        assert [float(row["null_low"]), float(row["null_high"])] == [last["null_low"], last["null_high"]]
        if last["weight_gap_float64"]:
            assert float(row["shrink"]) == last["weight_gap"] / last["weight_gap_float64"]
        else:
            assert math.isnan(float(row["shrink"])), "nothing to divide by is not a number, never a pass"


def test_figure_and_page_are_there(folder: Path) -> None:
    assert (folder / "first/growth.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    page = (folder / "first/report.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("node", "deep", "bernoulli_nll_log1p", "spector"))
    assert "<script src=" not in page
    assert "<link " not in page


@pytest.mark.rest
def test_the_same_command_gives_the_same_bits_however_many_jobs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = grow("second", "jobs=2")
    assert (done.code, done.err) == (0, "")
    first, second = ((folder / name / "growth.csv").read_bytes() for name in ("first", "second"))
    assert first == second
    for name, seed in CELLS:
        traces = [folder / run / f"cells/{name}-seed{seed}/trace.csv" for run in ("first", "second")]
        assert traces[0].read_bytes() == traces[1].read_bytes()


def test_a_cell_has_the_bits_of_the_same_comparison_made_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    words = (
        "data=spector",
        "steps=4",
        "batch_size=16",
        "null_twins=1",
        "optimizer=sgd",
        "model=sigmoid_node",
        "seed=4",
    )
    assert command("compare", *words, "out=alone").code == 0
    traces = [folder / run / "trace.csv" for run in ("alone", "first/cells/node-seed4")]
    assert traces[0].read_bytes() == traces[1].read_bytes()


def test_the_longest_cells_begin_first() -> None:
    steps = [("low", 4), ("low", 4), ("long", 9), ("high", 4), ("long", 9)]
    nodes: dict[str, Any] = {key: {} for key in ("data", "model", "optimizer", "left", "right", "lanes", "ladder")}
    cells = [(name, GrowthSettings(**nodes, steps=count)) for name, count in steps]
    assert longest_first(cells) == [4, 2, 3, 1, 0]


@pytest.mark.slow
def test_other_steps_give_other_bits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert grow("other", "jobs=1", "optimizer.lr=0.2", "seeds=[4]").code == 0
    found, before = rows(folder / "other/growth.csv"), rows(folder / "first/growth.csv")
    assert [row["model"] for row in found] == ["node", "deep"]
    assert found[0]["max_abs_loss_gap"] != before[0]["max_abs_loss_gap"]


def test_what_does_not_exist_is_left_empty(tmp_path: Path) -> None:
    row = GrowthRow("a", weight_gap=0.1 + 0.2, shrink=math.nan, null_high=math.inf, steps=3)
    write_rows([row], tmp_path / "growth.csv")
    (found,) = rows(tmp_path / "growth.csv")
    assert found["weight_gap"] == "0.30000000000000004"
    assert [found[name] for name in ("first_difference_step", "shrink", "null_high", "steps")] == [
        "",
        "nan",
        "inf",
        "3",
    ]
