"""Stored runs side by side: which curves line up, and how far apart they are where they do."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlnn.errors import RunFolderError
from mlnn.runs import Run
from mlnn.visible import shown

SAME_BATCHES = ("fingerprint", "seed", "batch_size")


@dataclass(frozen=True)
class Curve:
    """One loss curve of one run: `loss` per `step`, and what it must share with another to be compared step by step."""

    name: str
    step: np.ndarray
    loss: np.ndarray
    ground: dict[str, Any]


def curves(runs: Sequence[Run]) -> list[Curve]:
    """The loss curves of the runs: one of a training run, left's and right's of a comparison."""
    names = _short_names(runs)
    found = []
    for name, run in zip(names, runs, strict=True):
        ground = {"fingerprint": run.data.get("fingerprint"), "data": run.data.get("name")}
        ground |= {key: run.about.get(key) for key in ("seed", "batch_size")}
        if "step" not in run.trace or run.trace["step"].dtype != np.int64:
            raise RunFolderError(f"{run.path}: trace.csv is damaged: a column 'step' of whole numbers belongs there")
        for key, value in ground.items():
            if not isinstance(value, str | int | float | None):
                raise RunFolderError(f"{run.path}: is damaged: no {key} is {shown(value)}")
        for column, word in (("loss", None), ("loss_left", "left"), ("loss_right", "right")):
            if column in run.trace:
                label = name if word is None else f"{name} {shown(run.about.get(word, word))}"
                found.append(Curve(label, run.trace["step"], run.trace[column].astype(np.float64), ground))
    return found


def differences(found: Sequence[Curve]) -> tuple[list[dict[str, Any]], list[str]]:
    """Step-by-step |difference| of every pair that saw the same batches; for the others a note that says why not."""
    apart, notes = [], []
    for one, two in itertools.combinations(found, 2):
        unlike = [key for key in SAME_BATCHES if one.ground.get(key) != two.ground.get(key)]
        pair = f"{one.name} and {two.name}"
        if unlike:
            shown = {"fingerprint": "data", "batch_size": "batch size"}
            reasons = ", ".join(f"{shown.get(key, key)} ({_say(one, key)} against {_say(two, key)})" for key in unlike)
            notes.append(f"{pair} are not compared step by step: they differ in {reasons}.")
            continue
        steps, first, second = np.intersect1d(one.step, two.step, return_indices=True)
        if len(one.step) != len(two.step):
            notes.append(f"{pair}: {len(one.step)} and {len(two.step)} steps; compared on the {len(steps)} they share.")
        if len(steps):
            gap = np.abs(one.loss[first] - two.loss[second])
            apart.append({"name": f"{one.name} − {two.name}", "trace": {"step": steps, "abs_loss_gap": gap}})
    return apart, notes


def _say(curve: Curve, key: str) -> str:
    if key != "fingerprint":
        return shown(curve.ground.get(key))
    return f"{shown(curve.ground.get('data'))} {shown(curve.ground.get(key))[:6]}"


def _short_names(runs: Sequence[Run]) -> list[str]:
    """The folder's name, with as much of its path as it takes to tell the runs apart; a run given twice is numbered."""
    for depth in range(1, 9):
        names = ["/".join(map(shown, run.path.resolve().parts[-depth:])) for run in runs]
        if len(set(names)) == len(names):
            return names
    return [f"{shown(run.path.name)} #{number}" for number, run in enumerate(runs, 1)]
