"""Arrays that know what their entries are called: `found.params["x1"]`, and all that an array does besides."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from mlnn.data.extras import optional
from mlnn.errors import ConfigError, unknown
from mlnn.report.brief import Brief

MOST_SHOWN = 60
"""Rows of a repr: about what a screen holds; `np.asarray` and `to_frame()` have them all."""
Labels = tuple[tuple[str, ...], ...]


class Named(np.ndarray[Any, np.dtype[np.float64]]):
    """A float64 array with a name per entry of each axis, `labels`, a tuple of names for each axis.

    Indexed by a name, a list of names, or a tuple of names and numbers, an axis each, it gives that entry or row; a name that the
    first axis does not have is looked for on the next. Everything else is as of the plain array, and gives plain arrays: integers,
    slices and masks, arithmetic, numpy's functions. Copies and pickles keep the names; a view of another shape has none.
    """

    labels: Labels

    def __array_finalize__(self, made_from: Any) -> None:
        """Names are given by `named` alone: numpy makes views of any shape and order."""
        self.labels = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if "out" in options:
            options["out"] = tuple(map(_plain, options["out"]))
        return getattr(ufunc, method)(*map(_plain, inputs), **options)

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: Iterable[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        return func(*_deep(tuple(args)), **_deep(dict(kwargs)))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            key = tuple(self._at(axis, part) for axis, part in enumerate(key))
        elif _is_named(key):
            key = self._place(key)
        return np.asarray(self)[key]

    def __repr__(self) -> str:
        return self._brief().text() if self._shown() else repr(np.asarray(self))

    def __str__(self) -> str:
        return repr(self) if self._shown() else str(np.asarray(self))

    def _repr_html_(self) -> str | None:
        return self._brief().html() if self._shown() else None

    def __reduce__(self) -> tuple[Any, ...]:
        return named, (np.asarray(self), self.labels)

    def __copy__(self) -> "Named":
        return self.copy()

    def __deepcopy__(self, _memo: Any) -> "Named":
        return self.copy()

    def copy(self, order: Any = "C") -> "Named":
        """A copy, names and all."""
        return named(np.array(np.asarray(self), order=order), self.labels)

    def sort(self, *args: Any, **options: Any) -> None:
        """In place; the names go, as they no longer hold."""
        self.labels = ()
        super().sort(*args, **options)

    def to_frame(self) -> Any:
        """A pandas DataFrame; of three axes the first two are its rows. Raises ConfigError without pandas."""
        pandas = optional("pandas", "to_frame")
        axes = self.labels or tuple(tuple(map(str, range(size))) for size in self.shape)
        if self.ndim == 1:
            return pandas.DataFrame({"": np.asarray(self)}, index=list(axes[0]))
        rows = list(axes[0]) if self.ndim == 2 else pandas.MultiIndex.from_product(axes[:-1])
        return pandas.DataFrame(np.asarray(self).reshape(-1, self.shape[-1]), index=rows, columns=list(axes[-1]))

    def to_series(self) -> Any:
        """A pandas Series of an array with one axis, or of two, by both names. Raises ConfigError without pandas."""
        pandas = optional("pandas", "to_series")
        axes = self.labels or tuple(tuple(map(str, range(size))) for size in self.shape)
        rows = list(axes[0]) if self.ndim == 1 else pandas.MultiIndex.from_product(axes)
        return pandas.Series(np.asarray(self).reshape(-1), index=rows)

    def _place(self, name: str | list[str]) -> Any:
        """The index of a name, or of several, on the first axis that has it."""
        first = name if isinstance(name, str) else name[0]
        for axis, names in enumerate(self.labels):
            if first in names:
                return (*[slice(None)] * axis, self._at(axis, name))
        raise ConfigError(unknown("name", first, {n for names in self.labels for n in names}))

    def _at(self, axis: int, part: Any) -> Any:
        """What a part of an index means on its axis."""
        if not _is_named(part):
            return part
        names = self.labels[axis] if axis < len(self.labels) else ()
        for name in [part] if isinstance(part, str) else part:
            if name not in names:
                raise ConfigError(unknown("name", name, names))
        return names.index(part) if isinstance(part, str) else [names.index(name) for name in part]

    def _shown(self) -> bool:
        """Whether it is shown with its names."""
        return bool(self.labels) and self.size > 0

    def _brief(self) -> Brief:
        """The table: a row per entry of the leading axes, a column per entry of the last of several."""
        values = np.asarray(self)
        columns = self.labels[-1] if self.ndim > 1 else ("",)
        rows = [" · ".join(row) for row in _product(self.labels[: max(1, self.ndim - 1)])]
        cells = values.reshape(len(rows), -1)
        table = [["", *columns]] if self.ndim > 1 else [["", ""]]
        table += [[name, *(f"{value:.6g}" for value in line)] for name, line in zip(rows, cells, strict=True)][
            :MOST_SHOWN
        ]
        if len(rows) > MOST_SHOWN:
            table.append([f"… and {len(rows) - MOST_SHOWN} more", *[""] * len(columns)])
        return Brief("", "", (), table if self.ndim > 1 else table[1:])


def named(values: Any, labels: Labels) -> Named:
    """`values` as float64 with a name per entry of each axis; a view of a float64 array. An axis whose names do not fit: none.

    Empty names are left out: one raw output has none.
    """
    array = np.asarray(values, dtype=np.float64)
    made = array.view(Named)
    if tuple(map(len, labels)) == array.shape:
        made.labels = labels
    return made


def coefficients(values: Any, names: tuple[str, ...], outputs: tuple[str, ...]) -> Named:
    """Numbers (p,) or (p, m) of coefficients `names` and, of several, raw `outputs`."""
    return named(values, (names,) if np.ndim(values) == 1 else (names, outputs))


def _is_named(key: Any) -> bool:
    """Whether a part of an index is a name, or a list of names."""
    return isinstance(key, str) or (isinstance(key, list) and bool(key) and all(isinstance(one, str) for one in key))


def _plain(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, Named) else value


def _deep(value: Any) -> Any:
    """The same arguments with plain arrays, inside lists, tuples and dictionaries too."""
    if isinstance(value, dict):
        return {key: _deep(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_deep, value))
    return _plain(value)


def _product(axes: Labels) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [()]
    for names in axes:
        rows = [(*row, name) for row in rows for name in names]
    return rows
