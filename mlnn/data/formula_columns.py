"""The columns of a frame that a formula names, with the types that formulaic is to take them for: numbers, levels, or neither."""

import ast
import math
import re
from typing import Any

import numpy as np

from mlnn.data.columns import check_exact
from mlnn.data.extras import optional
from mlnn.errors import DataError
from mlnn.visible import shown

BACKTICKS = re.compile(r"`([^`]*)`")
SLIPS = 0.5
"""Share of the cells of a column of text that are no numbers, up to which it is taken for a column of numbers with slips."""


def terms_of(parsed: Any) -> list[Any]:
    return [*parsed.lhs, *parsed.rhs] if hasattr(parsed, "lhs") else [*parsed]


def names_in(parsed: Any) -> tuple[set[str], set[str]]:
    """(names that a formula takes values from, names that it calls): formulaic's own list misses some, and cuts at dots."""
    values: set[str] = set()
    called: set[str] = set()
    for factor in (factor for term in terms_of(parsed) for factor in term.factors):
        if factor.eval_method.value == "lookup":
            values.add(factor.expr)
        elif factor.eval_method.value == "python":
            tree = _expression(BACKTICKS.sub("0", factor.expr))
            calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)] if tree else []
            functions = {id(call.func) for call in calls}
            names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)] if tree else []
            called |= {node.id for node in names if id(node) in functions}
            values |= {node.id for node in names if id(node) not in functions}
            values |= {*BACKTICKS.findall(factor.expr), *(name for call in calls for name in _quoted(call))}
    return values, called


def _quoted(call: ast.Call) -> list[str]:
    """The column that Q("…") names."""
    first = call.args[0] if call.args and isinstance(call.func, ast.Name) and call.func.id == "Q" else None
    return [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []


def _expression(text: str) -> Any:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None


def typed(frame: Any, columns: tuple[str, ...], parsed: Any) -> Any:
    """The columns in use: numbers as float64, levels and text as they are.

    Whole numbers stay what they are where a formula only takes their levels, C(k): the level of 2.0 would be called 2.0.
    Elsewhere a power of them would overflow in silence.
    """
    levels = _only_levels(parsed)
    return frame[list(columns)].apply(lambda column: _one(column, str(column.name) in levels)) if columns else frame[[]]


def _only_levels(parsed: Any) -> set[str]:
    """Columns that stand in C(…) alone."""
    inside: set[str] = set()
    outside: set[str] = set()
    for term in terms_of(parsed.formula if hasattr(parsed, "formula") else parsed):
        for factor in term.factors:
            tree = _expression(factor.expr)
            whole = isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "C" and tree.args
            names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} if tree is not None else set()
            first = tree.args[0] if whole else None
            (inside if isinstance(first, ast.Name) else outside).update(
                [first.id] if isinstance(first, ast.Name) else names
            )
    return inside - outside


def _one(column: Any, level: bool) -> Any:
    """A column as formulaic is to take it. Raises DataError for dates, and for text among numbers."""
    name, kind = f"column '{shown(str(column.name))}'", column.dtype.kind
    if hasattr(column, "sparse"):
        column = column.sparse.to_dense()
        kind = column.dtype.kind
    if hasattr(column, "cat"):
        return column.cat.remove_unused_categories()
    if kind in "mMc":
        raise DataError(f"data: {name} holds {column.dtype}; make numbers or text of it first")
    if kind in "iu":
        numbers = column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", column.dtype))
        check_exact(numbers, f"data: {name}")
        return column.astype(numbers.dtype) if level else column.astype(np.float64)
    if kind == "f":
        return column.astype(np.float64)
    if kind == "b":
        return column.astype(bool)
    return _objects(column, name, level)


def _objects(column: Any, name: str, level: bool) -> Any:
    """A column of Python objects: numbers as float64, text as text."""
    values = column.tolist()
    text = [isinstance(value, str) for value in values]
    if all(text):
        if not level:
            _check_words(column, name)
        return column.astype(object)
    if any(text):
        row = text.index(not text[0])
        raise DataError(
            f"data: {name} holds text and numbers: row {row} is {shown(values[row])}; make it one or the other"
        )
    if all(isinstance(value, bool | np.bool_) for value in values):
        return column.astype(bool)
    try:
        numbers = column.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(f"data: {name} holds {shown(values[0])}; numbers or text are needed") from None
    lost = next((k for k, value in enumerate(values) if isinstance(value, int) and int(numbers.iloc[k]) != value), None)
    if lost is not None or any(math.isnan(value) for value in numbers):
        raise DataError(f"data: {name} holds a number that float64 cannot hold; scale it, or take it as text")
    return numbers


def _check_words(column: Any, name: str) -> None:
    """Raise DataError for text that mostly reads as numbers: a column of numbers with a slip in it would become levels."""
    read = optional("pandas", "a formula").to_numeric(column, errors="coerce").isna().to_numpy()
    if read.mean() <= SLIPS:
        row = f": row {int(np.argmax(read))} is {shown(repr(column.iloc[int(np.argmax(read))]))}" if read.any() else ""
        raise DataError(
            f"data: {name} holds text that reads as numbers{row}; mend it, or write C(…) if they are levels"
        )
