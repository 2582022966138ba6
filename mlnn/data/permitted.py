"""What a formula in a config may say: operators, columns of the table, numbers, and the functions of a list. Nothing else runs.

formulaic evaluates a formula as Python, and a config may come from anybody. So a formula is read here first, by a grammar that
knows no attribute, index, keyword or name beyond the list, and its size is bounded before anything is computed.
"""

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any

from mlnn.errors import ConfigError, unknown
from mlnn.visible import shown

MOST_CHARACTERS, MOST_DEEP = 2000, 40
"""Of a formula, and of parentheses and signs in each other: beyond, a parser's own recursion is what is asked."""
MOST_LISTED = 1000
"""Labels or knots in one list."""
MOST_POWER = 16
"""Of a column: 1e19 to the 16th is still a float64."""
MOST_COLUMNS = 100
"""That one spline or polynomial makes."""
SPLINE = 5
"""Columns of a spline of which nothing is said, or beside those that are."""
MOST_NUMBER = 1e15
"""Of a number, in size: whole numbers up to here are exact."""
Levels = Callable[[bool], int]
KEY = "data.formula"
PLAIN = frozenset(["log", "log10", "log2", "log1p", "exp", "exp2", "exp10", "expm1", "sqrt", "abs"])
"""Functions of numbers."""
STATEFUL = frozenset(["center", "scale", "standardize"])
WIDE = frozenset(["poly", "bs", "cr", "cs", "cc"])
"""Functions that make several columns of one."""
CODINGS = frozenset(["Treatment", "Sum", "Helmert", "Diff", "Poly"])
"""Codings of levels, of C(…) alone."""
KEYWORDS: Mapping[str, frozenset[str]] = {
    "C": frozenset(("contrasts", "levels")),
    "Treatment": frozenset(("reference",)),
    "poly": frozenset(("degree", "raw")),
    "bs": frozenset(["df", "degree", "include_intercept", "lower_bound", "upper_bound", "knots"]),
    **dict.fromkeys(("cr", "cs", "cc"), frozenset(["df", "lower_bound", "upper_bound", "knots"])),
    "scale": frozenset(("center", "scale", "ddof")),
    "standardize": frozenset(("center", "rescale", "ddof")),
}
FUNCTIONS = PLAIN | STATEFUL | WIDE | {"C", "I", "Q"}
PIECE = re.compile(
    r"\s+|`[^`\n]{1,200}`|'[^'\"\\\n]*'|\"[^'\"\\\n]*\"|\d+\.?\d*(?:[eE][+-]?\d{1,3})?|\.\d+|[^\W\d]\w*|\*\*|[=!<>]=|[-+*/:~^(),=<>\[\].]"
)
"""A piece of a formula; text holds neither quotes nor backslashes, which formulaic writes into code of its own."""
EVERY, QUOTED = "_every_", "_column_"
"""How a dot and a name in backticks are written for Python's parser."""
SIGNS = (ast.UAdd, ast.USub)
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div)
COMPARED = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def check_permitted(formula: Any, levels: Mapping[str, Levels], most: int) -> float:
    """How many columns a formula makes at most; ConfigError where it says more than a config may, naming what was found.

    levels: for each column of the table, how many columns it becomes, asked with whether it is taken as levels. most: columns
    that may be made.
    """
    if not isinstance(formula, str):
        raise ConfigError(f"{KEY}: {shown(formula)} is no formula; write one as text: 'y ~ a + C(group)'")
    if len(formula) > MOST_CHARACTERS:
        raise ConfigError(f"{KEY}: {len(formula):,} characters; at most {MOST_CHARACTERS:,} are read")
    sides = _sides(formula)
    if len(sides) > 2 or not all(side.strip() for side in sides):
        raise ConfigError(f"{KEY}: '{shown(formula)}' is not of the form 'y ~ a + b'")
    reader = _Reader(levels, most)
    return max(reader.columns_of(_parsed(side, reader)) for side in sides)


def _sides(formula: str) -> list[str]:
    """The formula cut at its ~, once every piece of it is known."""
    sides, at, deep = [""], 0, 0
    while at < len(formula):
        piece = PIECE.match(formula, at)
        if piece is None:
            raise _refused(formula[at : at + 10], "is nothing that a formula in a config may hold")
        text, at = piece.group(), piece.end()
        deep += (text in "([") - (text in ")]")
        if deep > MOST_DEEP:
            raise ConfigError(f"{KEY}: parentheses more than {MOST_DEEP} deep")
        if text == "~" and not deep:
            sides.append("")
        else:
            sides[-1] += text
    return sides


def _parsed(side: str, reader: "_Reader") -> Any:
    """A side as Python's own syntax tree: `a:b` as a @ b, `a^b` as a ** b, a dot and names in backticks as names."""
    found = ""
    for piece in PIECE.finditer(side):
        text = piece.group()
        if text.startswith("`"):
            text = reader.quoted(text[1:-1])
        elif text == ".":
            text = f" {EVERY} "
        elif text == EVERY or text.startswith(QUOTED):
            raise _refused(text, "is no name that a formula in a config may hold")
        found += {":": "@", "^": "**"}.get(text, text.replace("\n", " "))
    if re.search(rf"(?:[-+]\s*){{{MOST_DEEP}}}", found) or found.count("**") > MOST_DEEP:
        raise ConfigError(f"{KEY}: more than {MOST_DEEP} signs or powers after each other")
    try:
        return ast.parse(found.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ConfigError(
            f"{KEY}: '{shown(side.strip())}' cannot be read as a formula; a column with other characters than"
            " letters, digits and _ stands in `backticks`"
        ) from None


class _Reader:
    """Walks a syntax tree and refuses what is not on the list; every node that it does not know is refused."""

    def __init__(self, levels: Mapping[str, Levels], most: int) -> None:
        self.levels, self.most = levels, most
        self.names: dict[str, str] = {}

    def quoted(self, name: str) -> str:
        """A name of its own for a column in backticks."""
        placeholder = f"{QUOTED}{len(self.names)}_"
        self.names[placeholder] = name
        return f" {placeholder} "

    def columns_of(self, node: Any) -> float:
        """How many columns a side makes at most."""
        found = self._terms(node)
        if found > self.most:
            raise ConfigError(
                f"{KEY}: it may make more than {self.most:,} columns, multiplied out; data.most_columns=… allows more"
            )
        return found

    def _terms(self, node: Any) -> float:
        if isinstance(node, ast.BinOp):
            return self._combined(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, SIGNS):
            return self.columns_of(node.operand)
        if isinstance(node, ast.Constant):
            if type(node.value) is not int or node.value not in (0, 1):
                raise _refused(ast.unparse(node), "is no term; 1 and 0 stand for the constant")
            return 1
        if isinstance(node, ast.Name) and node.id == EVERY:
            return sum(self._width(name, False) for name in self.levels)
        if isinstance(node, ast.Name):
            return self._width(self._column(node), False)
        if isinstance(node, ast.Call):
            return self._called(node)
        raise _refused(_written(node), "is no term")

    def _combined(self, node: ast.BinOp) -> float:
        left = self.columns_of(node.left)
        if isinstance(node.op, ast.Pow):
            power = node.right
            if not (isinstance(power, ast.Constant) and type(power.value) is int and 1 <= power.value <= MOST_POWER):
                raise _refused(_written(power), f"is no power of a formula; 1 to {MOST_POWER} are")
            return float((left + 1) ** power.value)
        right = self.columns_of(node.right)
        if isinstance(node.op, ast.Add | ast.Sub):
            return left + right
        if isinstance(node.op, ast.Mult | ast.Div):
            return left + right + left * right
        if isinstance(node.op, ast.MatMult):
            return left * right
        raise _refused(_written(node), "is no term")

    def _column(self, node: ast.Name) -> str:
        name = self.names.get(node.id, node.id)
        if name not in self.levels:
            raise ConfigError(f"{KEY}: " + unknown("column", name, self.levels))
        return name

    def _width(self, name: str, coded: bool) -> int:
        """Columns that one of the table becomes; `coded`: as levels, whatever it holds."""
        return self.levels[name](coded)

    def _called(self, node: ast.Call, coded: bool = False) -> float:
        """The columns of a call: those of its first argument, times those that the function makes of one."""
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
            raise _refused(_written(node.func), f"is not called in a config; {', '.join(sorted(FUNCTIONS))} are")
        name = node.func.id
        self._check_keywords(node, name)
        if not node.args:
            raise _refused(f"{name}()", "takes a column")
        if name == "Q":
            return self._width(self._quoted_column(node), coded)
        width, more = self._number(node.args[0], coded or name == "C"), 0.0
        for extra in [*node.args[1:], *(keyword.value for keyword in node.keywords)]:
            if name in PLAIN | {"I", "center"}:
                raise _refused(_written(node), f"has more than {name} takes")
            more += self._setting(extra, name)
        if name in WIDE:
            return width * (SPLINE + more)
        return width + (more if name == "C" else 0)

    def _check_keywords(self, node: ast.Call, name: str) -> None:
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg not in KEYWORDS.get(name, ()):
                raise _refused(str(keyword.arg or "**"), f"is no argument of {name} in a config")

    def _quoted_column(self, node: ast.Call) -> str:
        name = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
        if len(node.args) != 1 or not isinstance(name, str) or name not in self.levels:
            raise ConfigError(f"{KEY}: " + unknown("column", shown(str(name)), self.levels))
        return name

    def _number(self, node: Any, coded: bool = False) -> float:
        """The columns of what a function is called with: columns and numbers, arithmetic and comparisons of them."""
        if isinstance(node, ast.Name):
            return self._width(self._column(node), coded)
        if isinstance(node, ast.Call):
            return self._called(node, coded)
        if isinstance(node, ast.Constant) and not isinstance(node.value, str):
            _check_constant(node)
            return 1
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, SIGNS):
            return self._number(node.operand, coded)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            return self._power(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ARITHMETIC):
            return max(self._number(node.left, coded), self._number(node.right, coded))
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], COMPARED):
            self._compared(node.left)
            self._compared(node.comparators[0])
            return 2
        raise _refused(_written(node), "is not permitted in a config")

    def _compared(self, node: Any) -> None:
        """A side of a comparison: a label, or what else a function may be called with."""
        if isinstance(node, ast.Constant):
            _check_constant(node)
        else:
            self._number(node)

    def _power(self, node: ast.BinOp) -> float:
        """A column to a small number: of numbers alone a power may take for ever."""
        power = node.right.operand if isinstance(node.right, ast.UnaryOp) else node.right
        value = power.value if isinstance(power, ast.Constant) else None
        small = isinstance(value, int | float) and abs(value) <= MOST_POWER
        if not small or not any(isinstance(part, ast.Name) for part in ast.walk(node.left)):
            raise _refused(_written(node), f"is no column to a power of at most {MOST_POWER}")
        return self._number(node.left)

    def _setting(self, node: Any, function: str) -> float:
        """What a function is told beside its column: a number, a label, a list, a coding of levels; columns that it adds."""
        if function == "C" and isinstance(node, ast.Name) and node.id in CODINGS:
            return 0
        coded = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CODINGS
        if function == "C" and coded:
            self._check_keywords(node, node.func.id)
            for part in [*node.args, *(keyword.value for keyword in node.keywords)]:
                _check_constant(part)
            return 0
        parts = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
        if len(parts) > MOST_LISTED:
            raise ConfigError(f"{KEY}: {function} with a list of {len(parts):,}; at most {MOST_LISTED:,} are taken")
        alone = function in WIDE and parts == [node]
        for part in parts:
            _check_constant(part, MOST_COLUMNS if alone else MOST_NUMBER)
        known = node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else len(parts)
        return float(abs(known))


def _check_constant(node: Any, most: float = MOST_NUMBER) -> None:
    inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, SIGNS) else node
    value = inner.value if isinstance(inner, ast.Constant) else None
    if isinstance(value, bool | str):
        return
    if not isinstance(value, int | float):
        raise _refused(_written(node), "is no number or label")
    size = abs(value)
    if not size <= (most if isinstance(value, int) else MOST_NUMBER):
        raise ConfigError(f"{KEY}: {shown(value)} is too large here; at most {most:g} is taken")


def _written(node: Any) -> str:
    try:
        return ast.unparse(node)
    except (RecursionError, ValueError):
        return type(node).__name__


def _refused(found: str, why: str) -> ConfigError:
    return ConfigError(f"{KEY}: '{shown(found)}' {why}")
