"""Files of records, each with its length and a checksum: recordings, traces of runs in progress, event files. The checksums are
made anew, so that the change is all that is wrong."""

import json
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fuzzing import changing
from fuzzing.changing import Place
from fuzzing.trees import NUMBERS, Content, Format, encoded, tree
from mlnn.logs.crc32c import masked_crc32c
from mlnn.recording.frames import HEAD, MAGIC


def _frames(content: Content) -> list[tuple[Any, bytes]]:
    found, at = [], 0
    while at < len(content):
        _, text, raw, _ = HEAD.unpack_from(content, at)
        at += HEAD.size
        found.append((json.loads(content[at : at + text]), content[at + text : at + text + raw]))
        at += text + raw
    return found


def _framed(content: Content, text: str) -> Content:
    """The frames again, of the JSON of all of them; what cannot be taken apart any more goes into the second frame whole."""
    before = _frames(content)
    try:
        parts = [encoded(json.dumps(one)) for one in json.loads(text)]
    except (ValueError, TypeError, RecursionError):
        parts = [encoded(json.dumps(before[0][0])), encoded(text)]
    raws = [raw for _, raw in before]
    made = b""
    for part, raw in zip(parts, raws, strict=False):
        made += HEAD.pack(MAGIC, len(part), len(raw), zlib.crc32(raw, zlib.crc32(part))) + part + raw
    return made


FRAMES = tree(lambda content: [told for told, _ in _frames(content)], _framed)
"""The steps of a recording."""


def _numbers_changed(content: Content, where: Place, change: str) -> Content:
    """Frames, in one of which the numbers of all arrays are others."""
    made = b""
    for at, (told, raw) in enumerate(_frames(content)):
        text = encoded(json.dumps(told))
        new = np.full(len(raw) // 8, NUMBERS[change]).tobytes() if at == where[0] else raw
        made += HEAD.pack(MAGIC, len(text), len(new), zlib.crc32(new, zlib.crc32(text))) + text + new
    return made


FRAME_NUMBERS = Format(
    lambda content: ((at,) for at in range(len(_frames(content)))), lambda _place: tuple(NUMBERS), _numbers_changed
)


RECORD = struct.Struct("<II")
COLUMNS = b"c"


def _records(content: Content) -> list[bytes]:
    found, at = [], 0
    while at < len(content):
        size = RECORD.unpack_from(content, at)[0]
        found.append(content[at + RECORD.size : at + RECORD.size + size])
        at += RECORD.size + size
    return found


def _recorded(parts: Iterable[bytes]) -> bytes:
    return b"".join(RECORD.pack(len(part), zlib.crc32(part)) + part for part in parts)


def _columns(content: Content) -> list[Any]:
    return [json.loads(part[1:]) for part in _records(content) if part[:1] == COLUMNS]


def _with_columns(content: Content, text: str) -> Content:
    """The records again, with columns that are said otherwise; what cannot be taken apart any more is the first one, whole."""
    try:
        told = iter([encoded(json.dumps(one)) for one in json.loads(text)])
    except (ValueError, RecursionError, TypeError):
        told = iter([encoded(text)])
    return _recorded(part if part[:1] != COLUMNS else COLUMNS + next(told, b"") for part in _records(content))


JOURNAL = tree(_columns, _with_columns)
"""The columns of the trace of a run in progress."""


def _row_changed(content: Content, where: Place, change: str) -> Content:
    """A record, which is no longer of as many numbers, of no known kind, or gone."""
    parts = _records(content)
    one = parts[int(where[0])]
    parts[int(where[0])] = ROWS[change](one)
    return _recorded(part for part in parts if part is not None)


ROWS: dict[str, Callable[[bytes], Any]] = {
    "short": lambda one: one[:-1], "long": lambda one: one + b"0", "empty": lambda _one: b"", "marked": lambda one: b"x" + one[1:],
    "columns": lambda one: COLUMNS + one[1:], "row": lambda one: b"r" + one[1:], "gone": lambda _one: None,
    "not finite": lambda one: one[:1] + b"\xff" * (len(one) - 1),
}  # fmt: skip
JOURNAL_ROWS = Format(
    lambda content: ((at,) for at in range(len(_records(content)))), lambda _place: tuple(ROWS), _row_changed
)
"""The rows of the trace of a run in progress."""


def _checksum(data: bytes) -> bytes:
    found = masked_crc32c(np.frombuffer(data, np.uint8), np.array([0]), np.array([len(data)]))
    return struct.pack("<I", int(found[0]))


def _messages(content: Content) -> list[bytes]:
    found, at = [], 0
    while at < len(content):
        size = struct.unpack_from("<Q", content, at)[0]
        found.append(content[at + 12 : at + 12 + size])
        at += 16 + size
    return found


def recorded(message: bytes) -> bytes:
    """One record of an event file."""
    size = struct.pack("<Q", len(message))
    return size + _checksum(size) + message + _checksum(message)


def _event_places(content: Content) -> Iterator[Place]:
    for number, message in enumerate(_messages(content)[:4]):
        yield from ((number, at) for at in range(len(message)))


def _event_changed(content: Content, where: Place, change: str) -> Content:
    messages = _messages(content)
    number, at = (int(part) for part in where)
    messages[number] = changing.bytes_changed(messages[number], (at,), change)
    return b"".join(map(recorded, messages))


EVENTS = Format(_event_places, lambda _place: changing.RAW, _event_changed)
"""The messages of TensorBoard's event files, each byte; checksums made anew."""
