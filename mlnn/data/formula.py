"""A formula over a frame, through formulaic: the design matrix, its target, and how new rows become the same columns.

A formula is code: `log(x)` is called, and so would be anything else. What a config may say is held to a table first, see
`mlnn.data.permitted`.
"""

import builtins
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Real
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.data.extras import optional
from mlnn.data.formula_columns import names_in, terms_of, typed
from mlnn.data.frames import frame_of, place_missing
from mlnn.errors import ConfigError, DataError, MlnnError, unknown
from mlnn.visible import shown

OURS: Mapping[str, Any] = {
    "sqrt": np.sqrt,
    "abs": np.abs,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "exp10": lambda x: np.power(10.0, x),  # formulaic's own takes the tenth power
}
"""Functions beside formulaic's own."""
COMPARISON = re.compile(r"[<>]|[=!]=")
NAME = re.compile(r"[A-Za-z_]\w*")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PASSED = ("mlnn", "contextlib", "functools")
"""Modules between the caller's own code and here."""
CONSTANT = "Intercept"


@dataclass(frozen=True, eq=False)
class Terms:
    """How the columns of a design are made of a frame: what was said, and the state (means, levels, knots) it was fitted with.

    names: of the design's columns, the constant left out; intercept: whether there is one. columns: of a frame, those that they
    are made of. spec: formulaic's ModelSpec. context: what
    the formula names beside columns.
    """

    formula: str
    names: tuple[str, ...]
    intercept: bool
    columns: tuple[str, ...]
    spec: Any = field(repr=False)
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def design_for(self, frame: Any) -> Tensor:
        """The columns of new rows (n, d), float64, the constant left out, as they were made for the rows of the estimate.

        frame: pandas, polars, Arrow or a dict of columns. Raises DataError for a column that is not there, a missing value,
        a level that was not there, or a value that a function makes no number of.
        """
        table = frame_of(frame, "data")
        absent = [name for name in self.columns if name not in table.columns]
        if absent:
            raise DataError("data: " + unknown("column", absent[0], table.columns))
        if bool(table[list(self.columns)].isna().to_numpy().any()):
            raise place_missing(table, list(self.columns), "leave the row out")
        return self.made(typed(table, self.columns, self.spec))

    def made(self, kept: Any) -> Tensor:
        """The same of a frame whose columns have the types that a formula takes."""
        with _told(self.formula, DataError):
            matrix = self.spec.get_model_matrix(kept, context=_context(self.context))
        return _numbers(matrix, self.names)


@dataclass(frozen=True, eq=False)
class Read:
    """What a formula says of a frame: its right side's columns x (n, d), its target as a pandas series, None if it has none."""

    terms: Terms
    x: Tensor
    target: Any


def used(formula: str, frame: Any, context: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The columns of a pandas frame that a formula uses; ConfigError for what is no formula, DataError for no such column."""
    if (odd := re.search(r"`([01])`", formula)) is not None:  # which formulaic takes for the constant
        raise ConfigError(
            f"formula: '{shown(formula)}': a column called {odd[1]} cannot stand in a formula; write Q('{odd[1]}')"
        )
    parsed = _parsed(formula, frame)
    known = _known().keys() | (context or {}).keys()
    values, called = names_in(parsed)
    alone = {
        factor.expr for term in terms_of(parsed) for factor in term.factors if factor.eval_method.value == "lookup"
    }
    names = (values - (known - set(frame.columns))) | alone  # what stands alone is a column, whatever else it names
    absent = sorted(names - set(frame.columns)) + sorted(called - known - vars(builtins).keys())
    if absent:
        raise _absent(formula, absent[0], frame)
    return tuple(sorted(names))


def _absent(formula: str, name: str, frame: Any) -> MlnnError:
    """The error for a name that is no column, and no function where it is called."""
    said = f"formula: '{shown(formula)}': "
    if name == "offset":
        return ConfigError(f"{said}an offset is no term here; give it beside the formula: offset=…")
    if re.search(rf"\b{re.escape(name)}\s*\(", formula):
        return ConfigError(f"{said}nothing is called {shown(name)}(…) here")
    return DataError(said + unknown("column", name, frame.columns))


def read_formula(formula: str, frame: Any, context: Mapping[str, Any] | None = None) -> Read:
    """A formula over a pandas frame whose columns in use are complete. Raises ConfigError and DataError as `used`, and for
    what cannot be evaluated, several targets, or two columns of one name."""
    context = context or {}
    parsed = _parsed(formula, frame)
    sides = (parsed.lhs, parsed.rhs) if hasattr(parsed, "lhs") else (None, parsed)
    kept = typed(frame, used(formula, frame, context), parsed)
    with _told(formula):
        matrix = sides[1].get_model_matrix(kept, context=_context(context), na_action="ignore", output="pandas")
        spec = matrix.model_spec
    if len(set(spec.column_names)) < len(spec.column_names):
        twice = next(name for name in spec.column_names if list(spec.column_names).count(name) > 1)
        raise DataError(f"formula: two columns of the design are called '{shown(twice)}'; rename one of the frame")
    constant = [
        spec.column_names[at] for term, places in spec.term_indices.items() if str(term) == "1" for at in places
    ]
    names = tuple(name for name in spec.column_names if name not in constant)
    of = tuple(name for name in kept.columns if name in names_in(sides[1])[0])
    terms = Terms(formula, names, bool(constant), of, spec, context)
    return Read(
        terms, _numbers(matrix, names), None if sides[0] is None else _target(formula, sides[0], kept, frame, context)
    )


def callers(formula: str, frame: Any) -> dict[str, Any]:
    """What a formula names of its caller's own: functions, modules, numbers and lists of them, never what a column is called."""
    at: Any = sys._getframe(1)
    while at is not None and str(at.f_globals.get("__name__", "")).partition(".")[0] in PASSED:
        at = at.f_back
    own = {} if at is None else {**at.f_globals, **at.f_locals}
    named = set(NAME.findall(formula)) - set(frame.columns) - set(_known())
    return {name: own[name] for name in named if name in own and _may_be_named(own[name])}


def _may_be_named(value: Any) -> bool:
    plain = isinstance(value, Real | str | list | tuple | np.ndarray)
    return plain or isinstance(value, ModuleType) or callable(value)


def _known() -> Mapping[str, Any]:
    return {**optional("formulaic.transforms", "a formula").TRANSFORMS, **OURS}


def _context(context: Mapping[str, Any]) -> dict[str, Any]:
    return {**OURS, **context}


def _parsed(formula: str, frame: Any) -> Any:
    formulaic = optional("formulaic", "a formula")
    with _told(formula):
        parsed = formulaic.Formula(formula, _context={"__formulaic_variables_available__": list(frame.columns)})
    sides = [parsed.lhs, parsed.rhs] if hasattr(parsed, "lhs") else [parsed]
    if any(not isinstance(side, formulaic.formula.SimpleFormula) for side in sides):
        raise ConfigError(f"formula: '{shown(formula)}' has several parts; one right side is needed: 'y ~ a + b'")
    return parsed


def _target(formula: str, side: Any, kept: Any, frame: Any, context: Mapping[str, Any]) -> Any:
    """The left side: a column as it came, or what an expression makes of the frame."""
    terms = list(side)
    if len(terms) != 1 or len(terms[0].factors) != 1:
        raise ConfigError(f"formula: '{shown(formula)}' has {len(terms)} targets; one is needed")
    (factor,) = terms[0].factors
    if factor.eval_method.value == "lookup":
        boxed = frame[factor.expr].dtype == object and kept[factor.expr].dtype != object  # numbers, one by one
        return (kept if boxed else frame)[factor.expr]
    with _told(formula):
        matrix = side.get_model_matrix(kept, context=_context(context), na_action="ignore", output="pandas")
    if matrix.shape[1] != 1:
        raise ConfigError(f"formula: the target {shown(factor.expr)} makes {matrix.shape[1]} columns; one is needed")
    return matrix.iloc[:, 0].astype(np.float64)


def _numbers(matrix: Any, names: tuple[str, ...]) -> Tensor:
    """The columns of a model matrix (n, d) as float64."""
    made = np.empty((len(matrix), len(names)), dtype=np.float64)
    for place, name in enumerate(names):
        made[:, place] = np.asarray(matrix[name], dtype=np.float64)
    return torch.from_numpy(made)


@contextmanager
def _told(formula: str, kind: type[MlnnError] = ConfigError) -> Iterator[None]:
    """Whatever formulaic, or a function that a formula calls, raises: as an error of a line that names the formula."""
    try:
        # What is no number, log(-1), is refused by its row; compared with something it would be no more than False.
        invalid: Any = "raise" if COMPARISON.search(formula) else "ignore"
        with np.errstate(all="ignore", invalid=invalid), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.simplefilter("error", optional("formulaic.errors", "a formula").DataMismatchWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    except MlnnError:
        raise
    except (Warning, Exception, RecursionError) as problem:
        if type(problem).__name__ == "DataMismatchWarning":
            levels = re.findall(r"\{.*?\}", str(problem))
            named = shown(levels[0] if levels else "")
            raise DataError(
                f"data: levels {named} are none of those that the formula, or the estimate, knows"
            ) from None
        first = next(
            (line for line in COLOURS.sub("", str(problem)).splitlines() if line.strip()), type(problem).__name__
        )
        raise kind(f"formula: '{shown(formula)}': {shown(first, 300)}") from None
