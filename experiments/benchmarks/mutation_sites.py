"""Every single change to a file that a test should notice, and where what is made at import is used.

A change flips a comparison, takes `and` for `or`, drops a `not`, or makes a constant a thousand times as large.
"""

import ast
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHOWN = ("page", "console", "words", "figure", "figures", "still", "sentence", "brief", "briefly", "summary", "ladder")
"""Files that end in these draw or tell (a ladder is the picture of a growth); what they hold is looked at, and tested as text,
not as numbers."""
FLIPPED = {
    ast.Lt: ">", ast.LtE: ">", ast.Gt: "<", ast.GtE: "<", ast.Eq: "!=", ast.NotEq: "==", ast.Is: "is not",
    ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
THOUSAND = 1000
DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Change:
    """One change to one file: the text `before` at an offset (bytes of UTF-8) becomes `after`."""

    file: str
    line: int
    start: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before} → {self.after}"

    def made(self, whole: bytes) -> bytes:
        """The file's text with the change in it."""
        return whole[: self.start] + self.after.encode() + whole[self.start + len(self.before.encode()) :]


def changes(path: Path) -> Iterator[Change]:
    """Every change that can be made to a file."""
    text = path.read_bytes()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def make(node: ast.expr, after: str, start: int | None = None, end: int | None = None) -> Change:
        first = starts[node.lineno - 1] + node.col_offset if start is None else start
        last = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0) if end is None else end
        line = text.count(b"\n", 0, first) + 1
        return Change(str(path.relative_to(ROOT)), line, first, text[first:last].decode(), after)

    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in FLIPPED:
                first = starts[(left.end_lineno or 0) - 1] + (left.end_col_offset or 0)
                last = starts[right.lineno - 1] + right.col_offset
                if "(" not in text[first:last].decode() and ")" not in text[first:last].decode():
                    yield make(node, f" {FLIPPED[type(op)]} ", first, last)
            case ast.BoolOp(op=op, values=[one, two, *_]):
                first = starts[(one.end_lineno or 0) - 1] + (one.end_col_offset or 0)
                last = starts[two.lineno - 1] + two.col_offset
                word = "and" if isinstance(op, ast.And) else "or"
                between = text[first:last].decode()
                if len(node.values) == 2 and between.strip() == word:
                    yield make(node, between.replace(word, "or" if word == "and" else "and"), first, last)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield make(node, ast.unparse(operand))
            case ast.Constant(value=float() as value) if value:
                yield make(node, repr(value * THOUSAND))


def sites(folders: Sequence[str]) -> list[Change]:
    """Every change to these folders' files."""
    files = [path for folder in folders for path in sorted((ROOT / "mlnn" / folder).rglob("*.py"))]
    return [change for path in files if not path.stem.endswith(SHOWN) for change in changes(path)]


def drawn(folders: Sequence[str], count: int, seed: int) -> list[Change]:
    """A random sample of the changes to these folders' files, the same for the same seed; each site as likely as any other."""
    every = sites(folders)
    return random.Random(seed).sample(every, min(count, len(every)))


def used(change: Change) -> tuple[Mapping[str, set[int]], set[str]]:
    """By file, the lines inside functions that use what a statement outside of functions makes: what is defined there, and what
    else outside of functions is made of it. And its names: the keyword that the change is an argument of, or what it binds."""
    tree = _tree(ROOT / change.file)
    found: dict[str, set[int]] = {}
    bound = _made_at(tree.body, change.line, change.file, found)
    known, names = set[str](), bound
    while names:
        known |= names
        names = {other for name in names for other in _users(name, found)} - known
    spans = [node for node in ast.walk(tree) if isinstance(node, ast.keyword)]
    words = {node.arg for node in spans if node.lineno <= change.line <= (node.end_lineno or 0) and node.arg}
    return found, words or bound


def around(change: Change) -> set[str]:
    """The names of the file, and of the functions and classes that a change is in."""
    inside = [node for node in ast.walk(_tree(ROOT / change.file)) if isinstance(node, DEFINED)]
    names = {node.name for node in inside if node.lineno <= change.line <= (node.end_lineno or 0)}
    return {Path(change.file).stem, *names}


def statement(change: Change) -> range:
    """The lines of the innermost statement that a change is in: a line that holds no more than part of it may have no code."""
    found = [node for node in ast.walk(_tree(ROOT / change.file)) if isinstance(node, ast.stmt)]
    spans = [range(node.lineno, _last(node) + 1) for node in found]
    return min((span for span in spans if change.line in span), key=len)


def _last(node: ast.stmt) -> int:
    """The last line of a statement's own: of one that holds others, before the first of them."""
    inner = getattr(node, "body", None)
    return inner[0].lineno - 1 if inner and inner[0].lineno > node.lineno else node.end_lineno or node.lineno


def _made_at(body: Sequence[ast.stmt], line: int, file: str, found: dict[str, set[int]]) -> set[str]:
    """The names that the statement at a line makes; the lines of a function's or class's own body are put into `found`."""
    for statement in body:
        first = min([statement.lineno, *(one.lineno for one in getattr(statement, "decorator_list", ()))])
        if not first <= line <= (statement.end_lineno or 0):
            continue
        if isinstance(statement, DEFINED):
            found.setdefault(file, set()).update(range(statement.lineno, (statement.end_lineno or 0) + 1))
        inner = _made_at(statement.body, line, file, found) if isinstance(statement, ast.ClassDef) else set()
        return inner | _bound(statement)
    return set()


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, DEFINED):
        return {statement.name}
    stored = [node for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return {node.id for node in stored}


def _users(name: str, found: dict[str, set[int]]) -> Iterator[str]:
    """Puts the lines in functions that mention a name into `found`; yields what is made of it outside of functions."""
    for path in _files():
        if name not in _text(path):
            continue
        for statement in _tree(path).body:
            mentioned = {line for node in ast.walk(statement) if (line := _mentioned(node, name))}
            if mentioned and isinstance(statement, DEFINED):
                found.setdefault(str(path.relative_to(ROOT)), set()).update(mentioned)
            elif mentioned and not isinstance(statement, ast.Import | ast.ImportFrom):
                yield from _bound(statement)


def _mentioned(node: ast.AST, name: str) -> int:
    """The line at which a node mentions a name; 0 where it does not."""
    match node:
        case ast.Name(id=found) | ast.Attribute(attr=found) if found == name:
            return node.lineno
    return 0


@cache
def _files() -> list[Path]:
    return sorted((ROOT / "mlnn").rglob("*.py"))


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(_text(path))
