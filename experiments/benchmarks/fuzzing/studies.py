"""Specimens of many runs in one folder, whole and in progress, and of a training that was interrupted."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import mlnn
from fuzzing.specimen import Specimen, said, unfit
from mlnn.errors import MlnnError

SMALL = ("data=spector", "batch_size=16", "threads=1")
SWEEP = ("train", "-m", "seed=0,1", "steps=1", "model=logistic", *SMALL, "out=out")
GROWTH = (
    "growth",
    "--config-dir",
    "conf",
    "ladder=two",
    "seeds=[0]",
    "steps=2",
    "null_twins=0",
    "jobs=1",
    *SMALL,
    "out=out",
)
KEPT = ("train", "steps=4", "model=logistic", *SMALL, "out=out")
LADDER = {"one": ["model=logistic"], "two": ["model=sigmoid_node"]}
PLACE = ".out.partial-run"
STATE = "state.safetensors"
"""The state under a name that its content does not change; `_named` puts it where it belongs."""


def _elsewhere(*words: str) -> None:
    """A command in a process of its own, in the current folder: it starts others, and no thread of theirs is to be forked later."""
    done = subprocess.run([sys.executable, "-m", "mlnn", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)


def _study(words: tuple[str, ...], whole: bool) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "conf/ladder").mkdir(parents=True)
        (folder / "conf/ladder/two.yaml").write_text(json.dumps(LADDER))
        here = os.getcwd()
        os.chdir(folder)
        try:
            _elsewhere(*words)
        finally:
            os.chdir(here)
        if not whole:
            (folder / "out/checksums.json").unlink()

    return make


def _sealed(folder: Path) -> None:
    """Checksums of whatever lies there now."""
    path = folder / "out/checksums.json"
    names = json.loads(path.read_text())
    new = {name: hashlib.sha256((folder / "out" / name).read_bytes()).hexdigest() for name in names}
    path.write_text(json.dumps(new, indent=2) + "\n")


@contextmanager
def _nothing_trained() -> Iterator[None]:
    """What a study lacks would be trained in processes of its own: none of it is."""

    def nothing(*_rest: Any, **_more: Any) -> list[Any]:
        return []

    with (
        patch("mlnn.cli.sweep.launch", nothing),
        patch("mlnn.cli.cells.growth", nothing),
        patch("mlnn.workers.warm", nothing),
    ):
        yield


def _read_study(words: tuple[str, ...]) -> Callable[[Path], str]:
    """As a table, by what looks after runs, and by the command that would fill in what is missing."""

    def read(_folder: Path) -> str:
        told = ""
        try:
            mlnn.load("out")
        except MlnnError as problem:
            told = unfit(str(problem))
        told = said("runs", "list", ".") or told
        told = said("runs", "verify", "out") or told
        with _nothing_trained():
            try:
                return said(*words) or told
            except IndexError:  # it looks for the first failure where nothing was to be trained
                return told

    return read


@contextmanager
def _stopped(at: int) -> Iterator[None]:
    """A stop at the end of a step, its state kept."""
    from mlnn.runs.kept.keeper import Keeper

    done = Keeper.done

    def stopping(self: Keeper, step: int) -> None:
        if step == at:
            self.stop()
        done(self, step)

    with patch.object(Keeper, "done", stopping):
        yield


def _interrupted(folder: Path) -> None:
    here = os.getcwd()
    os.chdir(folder)
    try:
        with _stopped(2):
            said(*KEPT)
    except KeyboardInterrupt:
        pass
    finally:
        os.chdir(here)
    (state,) = (folder / PLACE).glob("state-*")
    shutil.move(state, folder / STATE)
    _named(folder)


def _named(folder: Path) -> None:
    """The state in its place, under the name that holds its checksum."""
    content = (folder / STATE).read_bytes()
    (folder / PLACE / f"state-2-{hashlib.sha256(content).hexdigest()}.safetensors").write_bytes(content)


def _renamed(folder: Path) -> None:
    for path in (folder / PLACE).glob("state-*"):
        path.unlink()
    _named(folder)


def _read_kept(_folder: Path) -> str:
    """By what looks after runs, and gone on with."""
    told = said("runs", "list", ".") or said("runs", "verify", ".") or said("runs", "show", "out")
    return said("train", "resume=out") or told


def studies() -> dict[str, Specimen]:
    """By name."""
    row, rows = {"out/seed=0.json": ("hashed", "bytes")}, {"out/sweep.csv": ("csv", "bytes")}
    study = {"out/study.json": ("hashed", "bytes")}
    table = {"out/growth.csv": ("csv", "bytes")}
    kept = {
        f"{PLACE}/kept.json": ("hashed", "bytes"),
        f"{PLACE}/status.json": ("hashed", "bytes"),
        f"{PLACE}/trace.records": ("journal", "journal rows", "bytes"),
        STATE: ("state", "tensors", "weights", "bytes"),
    }
    return {
        "sweep": Specimen(_study(SWEEP, True), {**study, **row, **rows}, _read_study(SWEEP), _sealed),
        "unfinished sweep": Specimen(_study(SWEEP, False), {**study, **row}, _read_study(SWEEP)),
        "growth": Specimen(_study(GROWTH, True), {**study, **table}, _read_study(GROWTH), _sealed),
        "unfinished growth": Specimen(_study(GROWTH, False), {**study, **table}, _read_study(GROWTH)),
        "interrupted": Specimen(_interrupted, kept, _read_kept, _renamed),
    }
