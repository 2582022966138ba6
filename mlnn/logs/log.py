"""The one record that every format is read into: named series in the order in which they were written."""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from mlnn.errors import ConfigError, DataError
from mlnn.visible import shown

TOKENS = ("tokens", "num_tokens", "n_tokens", "tokens_seen", "num_input_tokens_seen", "total_tokens", "consumed_tokens")
"""Last part of the name of a series that counts tokens, in small letters."""


@dataclass(frozen=True)
class Limits:
    """How much of a log is read: `bytes` of its files together, `points` of all its series, `series` that it may name."""

    bytes: int = 200_000_000
    points: int = 10_000_000
    series: int = 10_000

    def exceeded(self, what: str, path: Path | str) -> DataError:
        """The error for a log that holds too many `what`: bytes, points or series."""
        most = getattr(self, what)
        return DataError(
            f"{shown(path, 200)}: has more than {most:,} {what}, and is not read."
            f" If it should be: most_{what}=…, a larger number"
        )


@dataclass(frozen=True)
class Series:
    """One curve of a log. All arrays are (n,), in the order of the log: never sorted, nothing dropped.

    `step` is int64, `value` float64 (non-finite ones as they were logged), `wall` seconds since 1970 (or since the start of the
    run, where the log has only that), `tokens` how many were seen; NaN where the log does not say.
    """

    name: str
    step: np.ndarray
    value: np.ndarray
    wall: np.ndarray
    tokens: np.ndarray

    @property
    def segments(self) -> list[slice]:
        """The stretches in which the step does not fall: more than one after a resume."""
        return segments(self.step)


@dataclass(frozen=True)
class Log:
    """A log that was read. `kind`: its format, in words; `notes`: what a reader of it should know, a sentence each."""

    path: Path
    kind: str
    series: dict[str, Series]
    notes: tuple[str, ...] = ()


def segments(step: np.ndarray) -> list[slice]:
    """Slices of the entries of `step` (n,) between which it falls; [] of none."""
    if not len(step):
        return []
    edges = [0, *(np.flatnonzero(np.diff(step) < 0) + 1).tolist(), len(step)]
    return [slice(first, last) for first, last in pairwise(edges)]


@dataclass
class Points:
    """Series while they are read: `add` a point at a time, then `log`. 8 bytes a number, counted against the limits."""

    path: Path
    limits: Limits
    notes: list[str] = field(default_factory=list)
    _columns: dict[str, tuple["array[int]", "array[float]", "array[float]"]] = field(default_factory=dict)
    _left: int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self.limits).items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"most_{name}: must be a whole number of at least 1, found {shown(value)}")
        self._left = self.limits.points

    def add(self, name: str, step: int, value: float, wall: float) -> None:
        """One more point of a series; DataError beyond the limits."""
        column = self._columns.get(name)
        if column is None:
            if len(self._columns) >= self.limits.series:
                raise self.limits.exceeded("series", self.path)
            column = self._columns[name] = (array("q"), array("d"), array("d"))
        self._left -= 1
        if self._left < 0:
            raise self.limits.exceeded("points", self.path)
        column[0].append(step)
        column[1].append(value)
        column[2].append(wall)

    def log(self, kind: str) -> Log:
        """The finished record; DataError where it has no point at all."""
        if not self._columns:
            raise DataError(f"{shown(self.path, 200)}: holds no number of any step ({kind})")
        plain = {
            name: (np.array(step, np.int64), np.array(value, np.float64), np.array(wall, np.float64))
            for name, (step, value, wall) in self._columns.items()
        }
        counted = next((plain[name] for name in plain if _last(name) in TOKENS), None)
        found = {name: Series(name, *parts, _tokens(parts[0], counted)) for name, parts in plain.items()}
        return Log(self.path, kind, found, tuple(self.notes))


def _last(name: str) -> str:
    return name.lower().rpartition("/")[2]


def _tokens(step: np.ndarray, counted: Sequence[np.ndarray] | None) -> np.ndarray:
    """The token count logged at the same step of the same segment (n,); NaN where there is none."""
    if counted is None:
        return np.full(len(step), math.nan)
    known = dict(zip(_places(counted[0]), counted[1].tolist(), strict=True))
    return np.array([known.get(place, math.nan) for place in _places(step)], dtype=np.float64)


def _places(step: np.ndarray) -> list[tuple[int, int]]:
    return [(number, at) for number, part in enumerate(segments(step)) for at in step[part].tolist()]
