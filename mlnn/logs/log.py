"""The one record that every format is read into: named series in the order in which they were written."""

import math
from array import array
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from mlnn.errors import ConfigError, DataError
from mlnn.visible import shown

TOKENS = ("tokens", "num_tokens", "n_tokens", "tokens_seen", "num_input_tokens_seen", "total_tokens", "consumed_tokens")
"""Last part of the name of a series that counts tokens, in small letters."""


_UNKNOWN = [(0, math.nan)]


@dataclass(frozen=True)
class Limits:
    """How much of a log is read: `bytes` of its files together, `points` of all its series, `series` that it may name."""

    bytes: int = 200_000_000
    points: int = 10_000_000
    series: int = 10_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"most_{name}: must be a whole number of at least 1, found {shown(value)}")

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
    """A log that was read. `kind`: its format, in words; `notes`: what a reader of it should know, sentences that go on after
    the log's name and a colon."""

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
class _Column:
    """One series while it is read; `order`: how many points of any series came before each of its own."""

    order: "array[int]" = field(default_factory=lambda: array("q"))
    step: "array[int]" = field(default_factory=lambda: array("q"))
    value: "array[float]" = field(default_factory=lambda: array("d"))
    wall: "array[float]" = field(default_factory=lambda: array("d"))


@dataclass
class Points:
    """Series while they are read: `add` a point at a time, then `log`. 8 bytes a number, counted against the limits."""

    path: Path
    limits: Limits
    notes: list[str] = field(default_factory=list)
    _columns: dict[str, _Column] = field(default_factory=dict)
    _count: int = 0

    def add(self, name: str, step: int, value: float, wall: float) -> None:
        """One more point of a series; DataError beyond the limits."""
        column = self._columns.get(name)
        if column is None:
            if len(self._columns) >= self.limits.series:
                raise self.limits.exceeded("series", self.path)
            column = self._columns[name] = _Column()
        if self._count >= self.limits.points:
            raise self.limits.exceeded("points", self.path)
        column.order.append(self._count)
        column.step.append(step)
        column.value.append(value)
        column.wall.append(wall)
        self._count += 1

    def log(self, kind: str) -> Log:
        """The finished record; DataError where it has no point at all."""
        if not self._columns:
            raise DataError(f"{shown(self.path, 200)}: holds no number of any step ({kind})")
        counted = next((self._columns[name] for name in self._columns if _last(name) in TOKENS), None)
        found = {
            name: Series(
                name, np.array(one.step, np.int64), np.array(one.value, np.float64), np.array(one.wall, np.float64),
                np.full(len(one.step), math.nan) if counted is None else _tokens(one, counted),
            )
            for name, one in self._columns.items()
        }  # fmt: skip
        return Log(self.path, kind, found, tuple(self.notes))


def _last(name: str) -> str:
    return name.lower().rpartition("/")[2]


def _tokens(column: _Column, counted: _Column) -> np.ndarray:
    """For each point (n,) the token count that was logged with the same step, the nearest of several; NaN where there is none."""
    known: dict[int, list[tuple[int, float]]] = {}
    for order, step, count in zip(counted.order, counted.step, counted.value, strict=True):
        known.setdefault(step, []).append((order, count))
    nearest = (
        min(known.get(step, _UNKNOWN), key=lambda one: abs(one[0] - order))[1]
        for order, step in zip(column.order, column.step, strict=True)
    )
    return np.fromiter(nearest, np.float64, len(column.step))
