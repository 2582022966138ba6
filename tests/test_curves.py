"""Stored runs side by side: which curves line up, how far apart they are, and what is said of those that do not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_cases import command

from mlnn.comparing.curves.apart import differences
from mlnn.comparing.curves.curve import Curve
from mlnn.comparing.curves.gather import gather
from mlnn.runs import Run, TraceWriter, new_run, read_run


def curves(runs: list[Run]) -> list[Curve]:
    return gather(runs).curves


GROUND: dict[str, Any] = {"seed": 0, "batch_size": 16, "fingerprint": "abcdef0123456789", "name": "spector"}


def stored(folder: str, columns: dict[str, list[float]], **ground: Any) -> Run:
    """A run folder with these loss curves; `ground` is what differs from `GROUND`."""
    said = GROUND | ground
    with new_run(folder, "train") as run:
        trace = TraceWriter(run.path("trace.csv"))
        for step, values in enumerate(zip(*columns.values(), strict=True)):
            trace.append({"step": step} | dict(zip(columns, values, strict=True)))
        trace.close()
        run.write_text("config.yaml", "")
        run.write_json("environment.json", {})
        run.write_json("data.json", {"fingerprint": said["fingerprint"], "name": said["name"]})
        run.write_json("about.json", {"seed": said["seed"], "batch_size": said["batch_size"], "left": "bce"})
    return read_run(folder)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def gaps(found: list[Curve]) -> dict[str, list[float]]:
    return {pair.name: list(pair.gap) for pair in differences(found)[0]}


def test_runs_that_line_up_are_compared_step_by_step() -> None:
    found = curves([stored("one", {"loss": [3.0, 2.0, 1.0]}), stored("two", {"loss": [3.0, 2.5, 0.75]})])
    assert [curve.name for curve in found] == ["one", "two"]
    apart, notes = differences(found)
    assert [(pair.name, list(pair.step)) for pair in apart] == [("one − two", [0, 1, 2])]
    assert gaps(found) == {"one − two": [0.0, 0.5, 0.25]}
    assert notes == []


@pytest.mark.parametrize(
    ("ground", "words"),
    [
        ({"seed": 1}, "seed (0 against 1)"),
        ({"batch_size": 8}, "batch size (16 against 8)"),
        ({"fingerprint": "fedcba9876543210", "name": "iris"}, "data (spector abcdef against iris fedcba)"),
        ({"fingerprint": "fedcba9876543210"}, "data (spector abcdef against spector fedcba)"),
        (
            {"seed": 1, "batch_size": 8},
            "seed (0 against 1), batch size (16 against 8)",
        ),
    ],
)
def test_runs_that_saw_other_batches_are_named_and_not_compared(ground: dict[str, Any], words: str) -> None:
    found = curves([stored("one", {"loss": [3.0, 2.0]}), stored("two", {"loss": [3.0, 2.5]}, **ground)])
    assert differences(found) == ([], [f"one and two are not compared step by step: they differ in {words}."])


def test_runs_of_different_length_are_compared_on_the_steps_they_share() -> None:
    found = curves([stored("long", {"loss": [3.0, 2.0, 1.0]}), stored("short", {"loss": [3.0, 2.5]})])
    assert gaps(found) == {"long − short": [0.0, 0.5]}
    assert differences(found)[1] == ["long and short: losses of 3 and 2 steps are kept; compared on the 2 they share."]


def test_both_sides_of_a_comparison_are_curves() -> None:
    run = stored("pair", {"loss_left": [3.0, 2.0], "loss_right": [3.0, 2.25]})
    found = curves([run, stored("one", {"loss": [3.0, 1.0]})])
    assert [curve.name for curve in found] == ["pair bce", "pair right", "one"]
    assert gaps(found) == {
        "pair bce − pair right": [0.0, 0.25],
        "pair bce − one": [0.0, 1.0],
        "pair right − one": [0.0, 1.25],
    }


def test_a_loss_that_is_not_finite_never_counts_as_no_difference() -> None:
    found = curves([stored("one", {"loss": [3.0, np.nan]}), stored("two", {"loss": [3.0, np.nan]})])
    gap = gaps(found)["one − two"]
    assert gap[0] == 0
    assert np.isnan(gap[1])


def test_names_take_as_much_of_the_path_as_tells_them_apart() -> None:
    runs = [stored("a/run", {"loss": [1.0]}), stored("b/run", {"loss": [1.0]})]
    assert [curve.name for curve in curves(runs)] == ["a/run", "b/run"]
    assert [curve.name for curve in curves([runs[0], runs[0]])] == ["run #1", "run #2"]


def test_the_command_shows_a_table_and_a_page() -> None:
    stored("one", {"loss": [3.0, 2.0, 1.0]})
    stored("it's", {"loss": [3.0, 2.5, 0.75]})
    stored("other", {"loss": [4.0, 3.0, 2.0]}, seed=5)
    done = command("curves", "one", "it's", "other", "page=side.html")
    assert (done.code, done.err) == (0, "")
    table = [line.split() for line in done.out.splitlines()]
    assert ["one", "3", "3", "1", "1"] in table
    assert ["one", "−", "it's", "3", "0.5", "1"] in table
    said = " ".join(done.out.split())
    assert "one and other are not compared step by step: they differ in seed (0 against 5)." in said
    assert "side.html" in said
    page = Path("side.html").read_text(encoding="utf-8")
    assert "seed (0 against 5)" in page
    assert all(name in page for name in ("one", "other"))
    assert "<script src=" not in page


def test_without_a_page_it_is_called_curves_html() -> None:
    stored("one", {"loss": [3.0, 2.0]})
    assert command("curves", "one").code == 0
    assert Path("curves.html").is_file()
