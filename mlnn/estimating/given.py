"""What an estimate is made of, as somebody hands it in: a data set, a pair of arrays or frames, or a formula over a frame."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from mlnn.data import Dataset
from mlnn.data.extras import optional
from mlnn.data.formula import CONSTANT as OF_A_FORMULA
from mlnn.data.formula import Terms, callers, read_formula, used
from mlnn.data.frames import check_way, frame_of, missing, place_missing, rows_of, tabular, told_dropped
from mlnn.errors import ConfigError, DataError, unknown
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.linear.design import CONSTANT
from mlnn.estimating.network.fit import ModelFit
from mlnn.estimating.result import Estimate
from mlnn.likelihoods import Likelihood
from mlnn.signature import spaces
from mlnn.visible import shown

DROP = "leave such rows out with missing='drop'"
Found = TypeVar("Found", Estimate, ModelFit)


@dataclass(frozen=True)
class Given:
    """`data`: a Dataset or a pair (x, y). `labels`: of classes that came as text, in the order of their numbers. `target`: what
    they are labels of. `terms`: how a formula makes the columns. `notes`: what there is to say of rows left out (`dropped`) and
    labels."""

    data: Any
    weights: Any = None
    offset: Any = None
    intercept: Any = True
    constant: str = CONSTANT
    names: tuple[str, ...] | None = None
    terms: Terms | None = None
    target: str = "y"
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    dropped: int = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Around what reads the rows: an error that names one says how it is counted where some were left out."""
        try:
            yield
        except DataError as problem:
            if not self.dropped or "row " not in str(problem):
                raise
            raise DataError(f"{problem} (rows are counted without the {self.dropped} that were left out)") from None

    def told(self, found: Found) -> Found:
        """The answer with what is known of the data besides."""
        notes = (*found.notes, *self.notes)
        named = tuple(f"{self.target}={label}" for label in self.labels)
        if isinstance(found, Estimate):
            rows = found.rows and replace(found.rows, terms=self.terms, classes=named)
            if found.thresholds:
                found = self._between(found)
            elif named:
                found = replace(found, outputs=named[1:])
            return replace(found, terms=self.terms, notes=notes, rows=rows)
        held = found.rows and replace(found.rows, terms=self.terms, classes=named)
        return replace(found, terms=self.terms, notes=notes, rows=held)

    def _between(self, found: Estimate) -> Estimate:
        """The answer with its thresholds called by the labels that they part."""
        parted = zip(self.labels, self.labels[1:], strict=False)
        names = dict(zip(found.thresholds, (f"{low}|{high}" for low, high in parted), strict=False))
        numbers, errors = (
            {names.get(name, name): value for name, value in part.items()}
            for part in (found.ancillary, found.ancillary_bse)
        )
        told = tuple(names.get(name, name) for name in found.thresholds)
        return replace(found, ancillary=numbers, ancillary_bse=errors, thresholds=told)


def given(
    likelihood: Any, data: Any, frame: Any, *, intercept: Any, weights: Any, offset: Any, how_missing: str
) -> Given:
    """Read what `estimate` is handed. Raises DataError for missing values (unless they are dropped), text that is no column of
    classes and columns that are not there, ConfigError for a formula without a frame and what contradicts itself."""
    drop = check_way("missing", how_missing)
    if isinstance(data, str):
        return _labelled(likelihood, _of_formula(data, frame, intercept, weights, offset, drop))
    if frame is not None:
        raise ConfigError("frame: it goes with a formula: estimate('bernoulli', 'y ~ a + b', frame)")
    if isinstance(data, Dataset):
        return _of_dataset(data, intercept, weights, offset)
    if not isinstance(data, tuple | list) or len(data) != 2:
        return Given(data, weights, offset, intercept)  # refused further on, by what it is
    return _labelled(likelihood, _of_pair(data, intercept, weights, offset, drop))


def _of_dataset(data: Dataset, intercept: Any, weights: Any, offset: Any) -> Given:
    own = data.extras.get("offset")
    if own is not None and offset is not None:
        raise ConfigError(f"offset: {data.name} has one of its own among its extras; give one of them")
    notes = (data.left_out,) if data.dropped else ()
    if data.terms is None:
        return Given(data, weights, own if offset is None else offset, intercept, notes=notes)
    if intercept is not True:
        raise ConfigError(_said_by(data.terms.formula, intercept))
    return Given(
        data,
        weights,
        own if offset is None else offset,
        data.terms.intercept,
        OF_A_FORMULA,
        terms=data.terms,
        notes=notes,
    )


def _said_by(formula: str, intercept: Any) -> str:
    return f"intercept: {intercept!r} beside the formula '{shown(formula)}', which says it itself: 'y ~ x - 1' has no constant"


def _of_formula(formula: str, frame: Any, intercept: Any, weights: Any, offset: Any, drop: bool) -> Given:
    if frame is None:
        raise ConfigError("data: a formula needs a frame beside it: estimate('bernoulli', 'y ~ a + b', frame)")
    if intercept is not True:
        raise ConfigError(_said_by(formula, intercept))
    table = frame_of(frame, "data")
    if not len(table):
        raise DataError("data: the frame has no rows")
    context = callers(formula, table)
    columns = used(formula, table, context)
    weights, offset = (_column(part, table, what) for part, what in ((weights, "weights"), (offset, "offset")))
    gone = table[list(columns)].isna().any(axis=1).to_numpy() if columns else np.zeros(len(table), dtype=bool)
    if not drop and gone.any():
        raise place_missing(table, list(columns), DROP)
    (table, weights, offset), lost = _dropped((table, weights, offset), gone, ("", "weights", "offset"), drop)
    found = read_formula(formula, table, context)
    if found.target is None:
        raise ConfigError(f"formula: '{shown(formula)}' has no target; write 'y ~ …'")
    terms = found.terms
    return Given(
        (found.x.numpy(), found.target),
        weights,
        offset,
        terms.intercept,
        OF_A_FORMULA,
        terms.names,
        terms,
        notes=_noted(lost, len(gone)),
        dropped=lost,
    )


def _noted(lost: int, rows: int) -> tuple[str, ...]:
    return (told_dropped(lost, rows) + " (missing='drop')",) if lost else ()


def _column(part: Any, table: Any, what: str) -> Any:
    """A column of the frame where it is named, else what was given."""
    if not isinstance(part, str):
        return tabular(part)
    if part not in table.columns:
        raise DataError(f"{what}: " + unknown("column", part, table.columns))
    return table[part]


def _of_pair(data: Any, intercept: Any, weights: Any, offset: Any, drop: bool) -> Given:
    x, y = (tabular(part) for part in data)
    if hasattr(y, "categories") and not hasattr(y, "iloc"):  # a pandas.Categorical, which is no column yet
        y = optional("pandas", "a categorical").Series(y)
    named = [part for part in (weights, offset) if isinstance(part, str)]
    if named:
        if not hasattr(x, "columns"):
            what = "weights" if isinstance(weights, str) else "offset"
            raise DataError(f"{what} must hold numbers; '{shown(named[0])}' would name a column, and x is no frame")
        x = frame_of(x, "x")
    weights, offset = (_column(part, x, what) for part, what in ((weights, "weights"), (offset, "offset")))
    x = x.drop(columns=named) if named else x
    if isinstance(y, str):
        raise ConfigError(f"y: '{shown(y)}' names a column; say it in a formula: estimate(…, '{shown(y)} ~ …', frame)")
    _check_text(x)
    parts, lost = _dropped((x, y, weights, offset), None, ("x", "y", "weights", "offset"), drop)
    notes = _noted(lost, lost + len(parts[1])) if lost else ()
    return Given((parts[0], parts[1]), parts[2], parts[3], intercept, notes=notes, dropped=lost)


def _check_text(x: Any) -> None:
    """Raise DataError for the first column of a frame that holds levels, text or dates: a formula says what becomes of levels."""
    if not hasattr(x, "iloc") or x.ndim != 2:
        return
    for place, name in enumerate(x.columns):
        column = x.iloc[:, place]
        text = column.dtype.kind == "O" and next((one for one in column.tolist() if isinstance(one, str)), None)
        if column.dtype.kind in "mM":
            raise DataError(f"x: column '{shown(str(name))}' holds {column.dtype}; make numbers of it first")
        if hasattr(column, "cat") or isinstance(text, str):
            holds = "levels" if hasattr(column, "cat") else f"text ({shown(text)!r})"
            raise DataError(
                f"x must hold numbers, and column '{shown(str(name))}' holds {holds}; say in a formula what becomes of it:"
                f" estimate(likelihood, 'y ~ C({shown(str(name))}) + …', frame)"
            )


def _dropped(
    parts: tuple[Any, ...], gone: np.ndarray | None, names: tuple[str, ...], drop: bool
) -> tuple[tuple[Any, ...], int]:
    """The parts less the rows in which one of them misses a value, and how many they were; `gone` (n,): rows known to."""
    if not drop:
        return parts, 0
    rows = 0 if gone is None else len(gone)
    for part, name in zip(parts, names, strict=True):
        if part is None or not name:
            continue
        lost = missing(part)
        if lost.ndim == 0 or (rows and len(lost) != rows):
            return parts, 0  # refused further on, by its shape
        rows, here = len(lost), np.asarray(lost.reshape(len(lost), -1).any(axis=1))
        gone = here if gone is None else gone | here
    if gone is None or not gone.any():
        return parts, 0
    if gone.all():
        raise DataError(
            f"data: every one of the {rows} rows misses a value that is used; none is left to estimate from"
        )
    kept = tuple(None if part is None else rows_of(part, ~gone) for part in parts)
    return kept, int(gone.sum())


def _labelled(likelihood: Any, found: Given) -> Given:
    """The same with a target of text as the numbers of its classes; DataError where the likelihood has no classes."""
    y = found.data[1]
    target = str(getattr(y, "name", None) or "y")
    text = _texts(y)
    if text is None:
        return found
    if not _of_classes(likelihood):
        labels = sorted(set(text))
        some = ", ".join(f"'{shown(label)}'" for label in labels[:4]) + (", …" if len(labels) > 4 else "")
        cure = f"I({shown(target)} == '{shown(labels[-1])}') ~ …" if len(labels) == 2 else "numbers are needed"
        way = f"say which one counts as 1: {cure}" if len(labels) == 2 else cure
        raise DataError(f"y: '{shown(target)}' holds text ({some}); {way}")
    if _ordered(likelihood) and not hasattr(y, "cat"):
        raise DataError(
            f"y: '{shown(target)}' holds text, which has no order of its own; give numbers, or a column of levels in their order:"
            " pandas.Categorical(y, categories=[…], ordered=True)"
        )
    labels = _levels(y, text)
    numbers = {label: place for place, label in enumerate(labels)}
    order = ", ".join(shown(label) for label in labels[:8]) + (", …" if len(labels) > 8 else "")
    first = "" if _ordered(likelihood) else ", the first the baseline"
    note = f"classes of {shown(target)}, in order{first}: {order}"
    codes = np.array([numbers[one] for one in text], dtype=np.int64)
    if hasattr(y, "index") and hasattr(y, "iloc"):
        codes = optional("pandas", "a frame").Series(codes, index=y.index)
    return replace(found, data=(found.data[0], codes), target=target, labels=tuple(labels), notes=(*found.notes, note))


def _levels(y: Any, text: list[str]) -> list[str]:
    """The labels there are: in the order of the levels of a categorical column, else sorted."""
    there = set(text)
    if hasattr(y, "cat"):
        return [str(level) for level in y.cat.categories if str(level) in there]
    return sorted(there)


def _texts(y: Any) -> list[str] | None:
    """A target that holds text, row by row; None where it holds none, or misses some."""
    if not hasattr(y, "iloc"):
        if isinstance(y, np.ndarray) and y.dtype.kind not in "OUS":
            return None
        if not isinstance(y, np.ndarray | list | tuple):
            return None
    values = y.tolist() if hasattr(y, "tolist") else list(y)
    return values if values and all(isinstance(value, str) for value in values) else None


def _of_classes(likelihood: Any) -> bool:
    """Whether a likelihood is for classes."""
    if isinstance(likelihood, str | Likelihood):
        return bool(family_of(likelihood).space.labels)
    return not {"classes", "ordinal"}.isdisjoint(_kinds(likelihood))


def _ordered(likelihood: Any) -> bool:
    """Whether a likelihood is for labels in an order."""
    return "ordinal" in _kinds(family_of(likelihood).likelihood if isinstance(likelihood, str) else likelihood)


def _kinds(likelihood: Any) -> tuple[str, ...]:
    return spaces(getattr(likelihood, "nll", likelihood)) or ()
