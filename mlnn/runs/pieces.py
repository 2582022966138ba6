"""The pieces of a run folder from their bytes: text, JSON, the trace. Damage is named by its line; nothing is guessed."""

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from mlnn.errors import RunFolderError
from mlnn.visible import shown, visible

MOST_COLUMNS = 10_000
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)  # fits int64
# As Python writes an int or a float: never longer, so that one entry cannot swell the array of all.
_NUMBER = re.compile(r"-?(\d{1,40}(\.\d{1,40})?(e[+-]\d{1,3})?|inf)|nan", re.ASCII)
_LONGEST_INTEGER = 40  # digits of a whole number in JSON; float() of more than 308 fails
_NAME = re.compile(r'[^,"\s]{1,200}')


def parse_text(content: bytes, path: Path) -> str:
    """UTF-8 text; RunFolderError names the first byte that is not."""
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        raise RunFolderError(f"{path}: is damaged: byte {error.start} is not UTF-8 text") from None


def parse_json(content: bytes, path: Path) -> dict[str, Any]:
    """A strict JSON object: finite numbers, no name twice, nothing that cannot be written out again."""
    text = parse_text(content, path)
    try:
        found = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_once)
        json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair, spelt \ud800, is no text
    except json.JSONDecodeError as error:
        raise RunFolderError(f"{path}: is damaged: line {error.lineno}: {error.msg}") from None
    except UnicodeEncodeError:
        raise RunFolderError(f"{path}: is damaged: it holds half of a character") from None
    except RecursionError:
        raise RunFolderError(f"{path}: is damaged: it is nested too deep") from None
    except ValueError as error:
        raise RunFolderError(f"{path}: is damaged: {error}") from None
    if isinstance(found, dict):
        return found
    raise RunFolderError(f"{path}: is damaged: a JSON object belongs there, found {type(found).__name__}")


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{shown(digits)} is no finite number")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"'{shown(twice)}' is there twice")
    return made


def parse_trace(content: bytes, path: Path) -> dict[str, np.ndarray]:
    """Columns by name, (rows,) each: int64 if every entry is an integer, else float64. An error names the bad line."""
    *lines, rest = parse_text(content, path).split("\n")
    if rest or not lines:
        raise RunFolderError(f"{path}: line {len(lines) + 1} is cut off; the file was not written to its end")
    header = _header(lines[0], path)
    rows = [line.split(",") for line in lines[1:]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header) or not all(map(_NUMBER.fullmatch, row)):
            raise RunFolderError(f"{path}: line {number} is damaged; {len(header)} numbers belong there")
    return {name: _column([row[index] for row in rows], path) for index, name in enumerate(header)}


def _header(line: str, path: Path) -> list[str]:
    names = line.split(",")
    if len(set(names)) < len(names) or not all(map(_is_name, names)):
        raise RunFolderError(f"{path}: line 1 is damaged; different column names belong there")
    if len(names) > MOST_COLUMNS:
        raise RunFolderError(f"{path}: line 1 names {len(names):,} columns, more than {MOST_COLUMNS:,}")
    return names


def _is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not _NUMBER.fullmatch(name) and visible(name, keep="") == name


def _column(entries: list[str], path: Path) -> np.ndarray:
    if entries and all(map(_INTEGER.fullmatch, entries)):
        return np.array(entries, dtype=str).astype(np.int64)
    column = np.array(entries, dtype=str).astype(np.float64)
    for row in np.flatnonzero(np.isinf(column)):
        if not entries[row].endswith("inf"):
            raise RunFolderError(f"{path}: line {row + 2} is damaged: {entries[row]} is beyond what a number can hold")
    return column
