"""Cells of one rung are trained as one call where that can be; else each alone, as if nobody had tried."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlnn.comparing import growing
from mlnn.comparing.growing import MOST, grouped, growth, train_cell
from mlnn.comparing.growth import Cells
from mlnn.errors import NoAnswerError
from mlnn.keys import CompareSettings, GrowthSettings
from mlnn.keys.shared import Lane, Lanes
from mlnn.runs import Study, open_study, read_run
from mlnn.training import UnstackableError
from mlnn.workers import Call, Outcome

SEEDS = (4, 0, 1)
NODE = {"_target_": "mlnn.models.SigmoidNode"}
DROPS = {"_target_": "mlnn.models.MLP", "depth": 1, "width": 4, "dropout": 0.5}


def settings(seed: int, **own: Any) -> GrowthSettings:
    """A cell on 32 rows, as the command line would compose it."""
    loss = {"_target_": "mlnn.objectives.bce_with_logits", "_partial_": True}
    standard: dict[str, Any] = {
        "data": {"_target_": "mlnn.data.spector", "held_out": 0.0, "seed": seed}, "model": NODE, "left": loss,
        "right": loss | {"_target_": "mlnn.objectives.bernoulli_nll_log1p"}, "ladder": {}, "null_twins": 1,
        "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1}, "lanes": Lanes(left=Lane(), right=Lane()),
        "steps": 4, "batch_size": 16, "names": {"left": "bce_with_logits", "right": "log1p", "data": "spector"},
    }  # fmt: skip
    return GrowthSettings(seed=seed, **standard | own)


def cells(*rungs: str, seeds: Sequence[int] = SEEDS, **own: Any) -> Cells:
    return [(rung, settings(seed, **own)) for rung in rungs for seed in seeds]


class Here:
    """Calls made in this process in place of watched ones; `told`: what each was, `ends`: how one ends early."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.ends: Callable[[Call], str | None] = lambda _: None

    def __call__(self, calls: Sequence[Call], **_: object) -> Iterator[Outcome]:
        for place, call in enumerate(calls):
            self.told.append((call.function.__name__, call.share))
            failure, code = self.ends(call), 4
            try:
                if failure is None:
                    call.function(*call.arguments)
            except (UnstackableError, NoAnswerError) as problem:
                failure = str(problem)
                call.log.write_text(failure, encoding="utf-8")
            yield Outcome(place, None, failure, code if failure else 0)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    found = Here()
    monkeypatch.setattr(growing, "supervised", found)
    return found


def losses(cell: Path) -> bytes:
    """Both sides' losses, all of their bits."""
    trace = read_run(cell).trace
    return trace["loss_left"].tobytes() + trace["loss_right"].tobytes()


def grown(folder: Path, asked: Cells) -> tuple[list[Outcome], list[tuple[int, int]], dict[str, bytes]]:
    """(Failures, progress, the losses of the cells that are sealed) of a growth in a folder."""
    progress: list[tuple[int, int]] = []
    with open_study(folder, "growth", {"cells": {}, "data": []}, {}) as study:
        failed = growth(asked, study, "cells", 1, None, lambda *done: progress.append(done))
        (study.path("kept")).touch()
    traces = {path.name: path for path in sorted((folder / "cells").glob("[!.]*")) if path.is_dir()}
    assert all(read_run(path).verdict for path in traces.values())
    return failed, progress, {name: losses(path) for name, path in traces.items()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The losses of three cells, each trained for itself."""
    folder = tmp_path_factory.mktemp("alone")
    for name, own in cells("node"):
        train_cell(name, own, folder / f"node-seed{own.seed}")
    return {path.name: losses(path) for path in sorted(folder.iterdir())}


def test_cells_that_differ_in_their_seed_alone_are_grouped() -> None:
    asked = [*cells("one"), *cells("two"), ("two", settings(9, steps=5)), ("two", settings(8, engine="plain"))]
    asked += [("two", replace(settings(seed), optimizer={"_target_": "torch.optim.SGD", "lr": 1.0})) for seed in (6, 7)]
    found = grouped(asked, range(10), 1)
    assert found == [[0, 1, 2], [3, 4, 5], [6], [7], [8, 9]]
    assert grouped(asked, [5, 3, 1], 1) == [[5, 3], [1]]
    assert grouped(asked, [], 3) == []


def test_a_verdict_is_not_shared_and_a_study_of_stacks_is() -> None:
    def made(seed: int, **own: Any) -> CompareSettings:
        told = {name: value for name, value in vars(settings(seed)).items() if name not in ("ladder", "seeds")}
        return CompareSettings(**told | own)

    for own, count in (({}, 1), ({"engine": "stacked"}, 1), ({"mode": "verdict"}, 3), ({"engine": "plain"}, 3)):
        assert len(grouped([("m", made(seed, **own)) for seed in SEEDS], range(3), 1)) == count, own


def test_cores_that_would_idle_get_a_part_of_a_rung() -> None:
    asked = cells("one", seeds=range(5))
    assert [len(group) for group in grouped(asked, range(5), 2)] == [2, 3]
    assert [len(group) for group in grouped(asked, range(5), 8)] == [1] * 5
    assert [len(group) for group in grouped(cells("one", "two"), range(6), 3)] == [1, 2, 1, 2]
    many = grouped(cells("one", seeds=range(2 * MOST + 1)), range(2 * MOST + 1), 1)
    assert len(many) == 3
    assert sorted(place for group in many for place in group) == list(range(2 * MOST + 1))


def test_a_group_is_one_call_and_its_cells_are_those_trained_alone(
    here: Here, alone: dict[str, bytes], tmp_path: Path
) -> None:
    failed, progress, traces = grown(tmp_path / "run", cells("node"))
    assert failed == []
    assert here.told == [("train_together", 3)]
    assert traces == alone
    assert progress == [(0, 3), (3, 3)]
    about = read_run(tmp_path / "run/cells/node-seed0").about
    assert (about["seed"], about["model"], about["engine"]) == (0, "node", "stacked")
    here.told.clear()
    assert grown(tmp_path / "run", cells("node"))[:2] == ([], [(3, 3)])
    assert here.told == []


def test_what_cannot_be_shared_is_trained_alone(here: Here, tmp_path: Path) -> None:
    failed, progress, traces = grown(tmp_path / "run", cells("drops", model=DROPS))
    assert failed == []
    assert here.told == [("train_together", 3), *[("train_cell", 1)] * 3]
    assert progress == [(0, 3), (0, 3), (1, 3), (2, 3), (3, 3)]
    assert len(traces) == 3
    assert not list((tmp_path / "run/cells").glob("*.log")), "the attempt leaves no word"


def test_a_group_that_is_killed_costs_its_unsealed_cells_their_time_alone(
    here: Here, alone: dict[str, bytes], tmp_path: Path
) -> None:
    """One cell is sealed, one half written when the group's process is killed; another is bad, and is so alone."""
    asked = cells("node")
    first, second, bad = (tmp_path / f"run/cells/node-seed{own.seed}" for _, own in asked)
    kept: list[int] = []

    def ends(call: Call) -> str | None:
        if call.share > 1:
            train_cell("node", asked[0][1], first)
            kept.append((first / "checksums.json").stat().st_mtime_ns)
            half = second.with_name(f".{second.name}.partial-1-1")
            half.mkdir()
            return "its process was killed by signal 9 (out of memory?)"
        return "took longer than 3 s" if call.arguments[2] == bad else None

    here.ends = ends
    failed, progress, traces = grown(tmp_path / "run", asked)
    assert [(outcome.place, outcome.failure) for outcome in failed] == [(2, "took longer than 3 s")]
    assert here.told == [("train_together", 3), ("train_cell", 1), ("train_cell", 1)]
    assert traces == {name: trace for name, trace in alone.items() if name != bad.name}
    assert (first / "checksums.json").stat().st_mtime_ns == kept[0], "a sealed cell is not trained again"
    assert progress == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert not list((tmp_path / "run/cells").glob(".*"))
    here.ends, here.told = lambda _: None, []
    assert grown(tmp_path / "run", asked) == ([], [(2, 3), (3, 3)], alone)
    assert here.told == [("train_together", 3)]


def test_the_rest_of_a_rung_is_trained_beside_what_is_sealed_to_the_bits_it_would_have_had(
    here: Here, alone: dict[str, bytes], tmp_path: Path
) -> None:
    asked = cells("node")
    train_cell("node", asked[1][1], tmp_path / "before")
    with open_study(tmp_path / "run", "growth", {"cells": {}, "data": []}, {}) as study:
        (study.final / "cells").mkdir()
        (tmp_path / "before").rename(study.path("cells/node-seed0"))
    assert grown(tmp_path / "run", asked) == ([], [(1, 3), (3, 3)], alone)
    assert here.told == [("train_together", 3)]


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_trains_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = growing._call

    def deadly(own: Cells, study: Study, below: str) -> Call:
        call = real(own, study, below)
        return replace(call, function=end, arguments=()) if call.share > 1 else call

    monkeypatch.setattr(growing, "_call", deadly)
    failed, progress, traces = grown(tmp_path / "run", cells("node"))
    assert failed == []
    assert len(traces) == 3
    assert progress[:2] == [(0, 3), (0, 3)]
