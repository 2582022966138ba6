"""One change of one place of a file: in a JSON or YAML tree, in a table of text, in bytes."""

import csv
import io
import json
import random
from collections.abc import Iterator
from typing import Any

from fuzzing.values import TEXTS, VALUES

Place = tuple[str | int, ...]
KEYS = ("escape", "markup", "climb", "long", "empty", "turned")
"""Texts that take the place of a key."""
RAW = ("flip", "cut", "zeros", "ones", "doubled", "inserted")
POSITIONS = 60
"""Of a file, at which each change of bytes is made."""
_HOLE = "the place of a value"


def tree_places(tree: object, where: Place = ()) -> Iterator[Place]:
    """Every place of a tree, the tree itself too; of a list the first two and the last."""
    yield where
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from tree_places(value, (*where, key))
    elif isinstance(tree, list):
        for at in sorted({0, 1, len(tree) - 1} & set(range(len(tree)))):
            yield from tree_places(tree[at], (*where, at))


def tree_changes(where: Place) -> list[str]:
    """The changes of a place: a value in its stead, it is missing, it is there twice, it is called otherwise."""
    named = bool(where) and isinstance(where[-1], str)
    return [*VALUES, *(["missing", "twice", *(f"called {text}" for text in KEYS)] if named else [])]


def tree_changed(tree: object, where: Place, change: str) -> str:
    """The text of a tree with one change."""
    if not where:
        return VALUES[change]
    copy = json.loads(json.dumps(tree))
    node = copy
    for step in where[:-1]:
        node = node[step]
    last = where[-1]
    if change in VALUES:
        node[last] = _HOLE
        return json.dumps(copy).replace(json.dumps(_HOLE), VALUES[change])
    value = node.pop(last)
    if change == "twice":
        node[last], node[_HOLE] = value, value
        return json.dumps(copy).replace(json.dumps(_HOLE), json.dumps(last))
    if change.startswith("called "):
        node[TEXTS[change.removeprefix("called ")]] = value
    return json.dumps(copy)


def table_places(text: str) -> Iterator[Place]:
    """Cells of a table: its header, its first two rows and the last."""
    rows = list(csv.reader(io.StringIO(text)))
    for row in sorted({0, 1, 2, len(rows) - 1} & set(range(len(rows)))):
        for column in range(min(len(rows[row]), 12)):
            yield row, column


CELLS = ("extra", "gone", "open quote", "zero byte", "no text", *VALUES)


def table_changed(text: str, where: Place, change: str) -> bytes:
    """A table of text with one change in the cell at (row, column)."""
    rows = list(csv.reader(io.StringIO(text)))
    row, column = (int(at) for at in where)
    if change == "extra":
        rows[row].insert(column, "7")
    elif change == "gone":
        del rows[row][column]
    elif change in TEXTS:
        rows[row][column] = TEXTS[change]
    else:
        rows[row][column] = {"open quote": _HOLE, "zero byte": "\0", "no text": _HOLE}.get(change) or VALUES[change]
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows(rows)
    found = made.getvalue().encode("utf-8", "surrogatepass")
    return found.replace(_HOLE.encode(), b'"a' if change == "open quote" else b"\xff\xfe")


def byte_places(content: bytes) -> Iterator[Place]:
    """Positions over a file, its beginning and end among them."""
    most = len(content)
    near = {*range(min(most, 16)), *range(max(most - 16, 0), most)}
    yield from (
        (at,) for at in sorted(near | {most * part // POSITIONS for part in range(POSITIONS)} & set(range(most)))
    )


def bytes_changed(content: bytes, where: Place, change: str) -> bytes:
    """Bytes with one change at a position."""
    at = int(where[0])
    if change == "flip":
        bit = random.Random(at).randrange(8)
        return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
    if change == "cut":
        return content[:at]
    if change in ("zeros", "ones"):
        return content[:at] + (b"\0" if change == "zeros" else b"\xff") * 8 + content[at + 8 :]
    if change == "doubled":
        return content[: at + 64] + content[at:]
    return content[:at] + b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff\x01" + content[at:]


def spelt(where: Place) -> str:
    """A place in a word, to be found again by."""
    return json.dumps(list(where), ensure_ascii=True)


def read_place(word: str) -> Place:
    found: Any = json.loads(word)
    return tuple(found)
