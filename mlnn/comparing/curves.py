"""Stored runs side by side: which curves line up, and how far apart they are where they do."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlnn.comparing.stored import plain
from mlnn.errors import RunFolderError
from mlnn.report.words import facts
from mlnn.runs import Run
from mlnn.visible import shown

Said = str | int | float | None


@dataclass(frozen=True)
class Ground:
    """What two runs must share to be compared step by step: the data's fingerprint, seed, batch size. None: not said."""

    fingerprint: Said = None
    data: Said = None
    seed: Said = None
    batch_size: Said = None

    @classmethod
    def of(cls, run: Run) -> "Ground":
        """What a stored run says; RunFolderError for what is neither a word nor a number."""
        try:
            return cls(
                plain(run.data, "fingerprint"), plain(run.data, "name"),
                plain(run.about, "seed"), plain(run.about, "batch_size"),
            )  # fmt: skip
        except ValueError as problem:
            raise RunFolderError(f"{run.path}: is damaged: {problem}") from None

    def facts(self) -> list[tuple[str, str]]:
        """As (word, value) pairs."""
        return facts({"data": self.data, "batch_size": self.batch_size, "seed": self.seed})

    def unlike(self, other: "Ground") -> list[str]:
        """In what another run differs, in words."""
        sides = (
            ("data", self.fingerprint == other.fingerprint, self._rows(), other._rows()),
            ("seed", self.seed == other.seed, shown(self.seed), shown(other.seed)),
            ("batch size", self.batch_size == other.batch_size, shown(self.batch_size), shown(other.batch_size)),
        )
        return [f"{word} ({own} against {its})" for word, same, own, its in sides if not same]

    def _rows(self) -> str:
        return f"{shown(self.data)} {shown(self.fingerprint)[:6]}"


@dataclass(frozen=True)
class Curve:
    """One loss curve of one run: `loss` per `step`, (n,) each, and what it must share with another to be compared."""

    name: str
    step: np.ndarray
    loss: np.ndarray
    ground: Ground = Ground()


@dataclass(frozen=True)
class Difference:
    """|difference| of two loss curves at the steps that both have, (n,) each."""

    name: str
    step: np.ndarray
    gap: np.ndarray


def curves(runs: Sequence[Run]) -> list[Curve]:
    """The loss curves of the runs: one of a training run, left's and right's of a comparison."""
    names = _short_names(runs)
    found = []
    for name, run in zip(names, runs, strict=True):
        if "step" not in run.trace or run.trace["step"].dtype != np.int64:
            raise RunFolderError(f"{run.path}: trace.csv is damaged: a column 'step' of whole numbers belongs there")
        ground = Ground.of(run)
        for column, word in (("loss", None), ("loss_left", "left"), ("loss_right", "right")):
            if column in run.trace:
                label = name if word is None else f"{name} {shown(run.about.get(word, word))}"
                found.append(Curve(label, run.trace["step"], run.trace[column].astype(np.float64), ground))
    return found


def differences(found: Sequence[Curve]) -> tuple[list[Difference], list[str]]:
    """Step-by-step |difference| of every pair that saw the same batches; for the others a note that says why not."""
    apart, notes = [], []
    for one, two in itertools.combinations(found, 2):
        pair, unlike = f"{one.name} and {two.name}", one.ground.unlike(two.ground)
        if unlike:
            notes.append(f"{pair} are not compared step by step: they differ in {', '.join(unlike)}.")
            continue
        steps, first, second = np.intersect1d(one.step, two.step, return_indices=True)
        if len(steps) < max(len(one.step), len(two.step)):
            kept = f"losses of {len(one.step)} and {len(two.step)} steps are kept"
            notes.append(f"{pair}: {kept}; compared on the {len(steps)} they share.")
        if len(steps):
            gap = np.abs(one.loss[first] - two.loss[second])
            apart.append(Difference(f"{one.name} − {two.name}", steps, gap))
    return apart, notes


def _short_names(runs: Sequence[Run]) -> list[str]:
    """The folder's name, with as much of its path as it takes to tell the runs apart; a run given twice is numbered."""
    for depth in range(1, 9):
        names = ["/".join(map(shown, run.path.resolve().parts[-depth:])) for run in runs]
        if len(set(names)) == len(names):
            return names
    return [f"{shown(run.path.name)} #{number}" for number, run in enumerate(runs, 1)]
