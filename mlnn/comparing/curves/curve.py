"""A loss curve of a run, what two of them must share to be compared, and which of their points belong together."""

from dataclasses import dataclass

import numpy as np

from mlnn.comparing.stored import plain
from mlnn.errors import RunFolderError
from mlnn.logs import Series
from mlnn.report.words import facts
from mlnn.runs import Run
from mlnn.visible import shown

Said = str | int | float | None
PLACES = {"step": "step", "tokens": "tokens", "time": "seconds since the first point"}
"""By what curves are laid side by side, and what the axis then says."""


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
        """In what another run differs, in words; what either does not say is no difference."""
        sides = (
            ("data", _alike(self.fingerprint, other.fingerprint), self._rows(), other._rows()),
            ("seed", _alike(self.seed, other.seed), shown(self.seed), shown(other.seed)),
            ("batch size", _alike(self.batch_size, other.batch_size), shown(self.batch_size), shown(other.batch_size)),
        )
        return [f"{word} ({own} against {its})" for word, same, own, its in sides if not same]

    def _rows(self) -> str:
        return f"{shown(self.data)} {shown(self.fingerprint)[:6]}"


def _alike(own: Said, its: Said) -> bool:
    return own is None or its is None or own == its


@dataclass(frozen=True)
class Curve:
    """One loss curve of one run: `loss` per `step`, (n,) each, and what it must share with another to be compared.

    `at`: where its points lie if not at their steps, (n,), NaN where the log does not say; `origin`: facts about a foreign log;
    `path`: what was given on the command line, of which the run's group is told.
    """

    name: str
    step: np.ndarray
    loss: np.ndarray
    ground: Ground = Ground()
    at: np.ndarray | None = None
    origin: tuple[tuple[str, str], ...] = ()
    path: str = ""

    @property
    def place(self) -> np.ndarray:
        """Where each point lies, (n,)."""
        return self.step if self.at is None else self.at

    @property
    def facts(self) -> list[tuple[str, str]]:
        """As (word, value) pairs."""
        return [*self.ground.facts(), *self.origin]


@dataclass(frozen=True)
class Difference:
    """|difference| of two loss curves at the places that both have, (n,) each, in order."""

    name: str
    step: np.ndarray
    gap: np.ndarray


def placed(series: Series, align: str) -> np.ndarray | None:
    """Where the points of a log's series lie, (n,), NaN where it does not say; None: at their steps."""
    if align == "step":
        return None
    if align == "tokens":
        return series.tokens
    known = series.wall[np.isfinite(series.wall)]
    return series.wall - known[0] if len(known) else series.wall


def common(one: Curve, two: Curve) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(places (n,) that both curves have, in order; where in each they stand). Of a place logged twice the later counts."""
    (first, own), (second, its) = _latest(one.place), _latest(two.place)
    shared, i, j = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    return shared, own[i], its[j]


def repeated(curve: Curve) -> int:
    """How many places it has more than once."""
    known = curve.place[np.isfinite(curve.place)]
    if (np.diff(known) > 0).all():
        return 0
    return int((np.unique(known, return_counts=True)[1] > 1).sum())


def _latest(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(different known places in order, index of the last point at each)."""
    if (np.diff(place) > 0).all() and np.isfinite(place[-1:]).all():  # as most are
        return place, np.arange(len(place))
    known = np.flatnonzero(np.isfinite(place))
    found, index = np.unique(place[known][::-1], return_index=True)
    return found, known[::-1][index]
