"""Cells of a growth or of `seeds=` where one of Hydra's launchers takes them: as here, and nothing is lost where it fails."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from app_cases import assert_short, command
from launcher_cases import launching

from mlnn.cli.cells import _counting
from mlnn.cli.said import read
from mlnn.comparing import growing
from mlnn.errors import NoAnswerError
from mlnn.runs import open_study, read_run
from mlnn.runs.jobs import claimed
from mlnn.workers import Call, Outcome

SEEDS = ("seeds=[0,1]", "engine=plain", "steps=2", "null_twins=0", "data=spector", "batch_size=16", "model.width=4")
GONE = ConnectionError("the queue is gone")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mlnn.workers.warm", lambda: None)


def here(calls: Sequence[Call], **_: object) -> Iterator[Outcome]:
    """Calls in this process, one after the other."""
    for place, call in enumerate(calls):
        call.log.touch()
        call.function(*call.arguments)
        yield Outcome(place)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("silent", [True, False], ids=["told", "raised"])
def test_cells_that_a_launcher_did_not_run_are_named_and_the_next_call_trains_them(silent: bool) -> None:
    words = (*SEEDS, "hydra/launcher=basic")
    with patch("mlnn.workers.supervised", here), launching(1, GONE, silent):
        done = command("compare", *words, "out=lost")
    assert done.code == 4
    assert_short(done.err.rpartition("\nto go on")[0])
    assert "mlp-seed0: the launcher ended before it was run: ConnectionError: the queue is gone" in done.err
    assert "Traceback" in Path("lost/seeds/mlp-seed0.log").read_text(encoding="utf-8")
    kept = Path("lost/seeds/mlp-seed1/checksums.json")  # the last of a ladder is begun first
    when = kept.stat().st_mtime_ns
    with patch("mlnn.workers.supervised", here), launching(9, GONE, silent):
        again = command("compare", *words, "out=lost")
    assert again.code == 0, again.err
    assert kept.stat().st_mtime_ns == when, "what is sealed is not trained once more"
    assert not list(Path("lost").rglob(".*")), "claims and queues do not stay"
    with patch.object(growing, "supervised", here):
        assert command("compare", *SEEDS, "out=here").code == 0
    for seed in (0, 1):
        name = f"seeds/mlp-seed{seed}/trace.csv"
        assert Path("lost", name).read_bytes() == Path("here", name).read_bytes()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("train", "hydra/launcher=basic"), "add -m"),
        (("train", "hydra.launcher.n_jobs=2"), "add -m"),
        (("audit", "experiment=catalogue", "hydra/launcher=basic"), "add -m"),
        (("compare", "hydra/launcher=basic"), "seeds=[0,1,2]"),
    ],
)
def test_what_a_launcher_cannot_divide_is_refused_and_says_what_it_could(words: tuple[str, ...], told: str) -> None:
    done = command(*words, "out=none")
    assert done.code == 2
    assert_short(done.err)
    assert told in done.err
    assert not Path("none").exists()


def test_a_cell_that_another_process_is_at_is_left_to_it(tmp_path: Path) -> None:
    settings: Any = None
    cell = tmp_path / "cells/node-seed0"
    cell.parent.mkdir()
    partial = cell.with_name(f".{cell.name}.partial-1")
    with claimed(cell.parent, cell.name):
        partial.mkdir()
        with pytest.raises(NoAnswerError, match="another process is at it"):
            growing.train_cell("node", settings, cell)
        with pytest.raises(NoAnswerError, match="another process is at it"):
            growing.train_together("node", [settings, settings], [cell.with_name("node-seed1"), cell])
        assert partial.is_dir(), "what it writes is not taken away"


def test_cells_are_counted_as_they_are_sealed_where_a_launcher_tells_of_all_at_the_end(tmp_path: Path) -> None:
    seen, met = list[tuple[int, int]](), threading.Event()

    def advance(done: int, of: int) -> None:
        seen.append((done, of))
        met.set()

    for name in ("cells/one", "cells/.two.partial-1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "checksums.json").touch()
    with patch("mlnn.cli.cells.PATIENCE", 0.001):
        with _counting(read("growth", ["hydra/launcher=basic"]), tmp_path, 4, advance):
            assert met.wait(60)
        assert set(seen) == {(1, 4)}
        met.clear()
        with _counting(read("growth", []), tmp_path, 4, advance):
            assert not met.wait(0.05), "here the growth itself counts"


def test_a_cell_that_is_sealed_meanwhile_is_not_trained_again(tmp_path: Path) -> None:
    with patch.object(growing, "supervised", here):
        assert command("compare", *SEEDS, "out=run").code == 0
    whole = tmp_path / "run/seeds/mlp-seed0"
    settings: Any = None
    growing.train_cell("mlp", settings, whole)  # settings of None would raise
    growing.train_together("mlp", [settings, settings], [whole, whole.with_name("mlp-seed1")])
    assert read_run(whole).verdict


def test_a_study_that_is_opened_again_clears_what_nobody_is_at(tmp_path: Path) -> None:
    of = {"cells": {}, "data": []}
    with open_study(tmp_path / "run", "growth", of, {}) as study:
        for name in ("at_work", "dead"):
            (study.path(f"cells/{name}")).with_name(f".{name}.partial-7").mkdir()
        (study.path("cells/whole")).mkdir()
        (study.path("cells/whole/checksums.json")).touch()
    with claimed(tmp_path / "run/cells", "at_work"), open_study(tmp_path / "run", "growth", of, {}):
        left = sorted(path.name for path in (tmp_path / "run/cells").glob(".*.partial-*"))
    assert left == [".at_work.partial-7"]
