"""TensorBoard's event files: records with checksums around protobuf messages, of which the scalars are read.

A record is its length (8 bytes), the masked checksum of the length (4), the message, the masked checksum of the message (4).
What is no scalar (images, histograms, texts) is passed over; float32 values are given as they are.
"""

import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mlnn.errors import DataError
from mlnn.logs.crc32c import masked_crc32c
from mlnn.logs.log import Limits, Log, Points
from mlnn.visible import shown

HEAD = 12
_LENGTH, _DOUBLE, _FLOAT = struct.Struct("<Q"), struct.Struct("<d"), struct.Struct("<f")
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_DT_FLOAT, _DT_DOUBLE = 1, 2
# What nearly every event is: wall time, step, and a summary of one simple value, each length in one byte.
_USUAL = re.compile(rb"\x09(.{8})(?:\x10([\x80-\xff]{0,9}[\x00-\x7f]))?\x2a(.)\x0a(.)\x0a(.)(.*)\x15(.{4})", re.DOTALL)


def is_events(head: bytes) -> bool:
    """Whether a file that begins like this is an event file: a length and its own checksum."""
    return len(head) >= HEAD and _checks(np.frombuffer(head[:HEAD], np.uint8), np.array([0]), np.array([8]))[0]


def read_events(contents: list[tuple[str, bytes]], path: Path, limits: Limits) -> Log:
    """The scalars of one or several event files, (name, content) each, in the order in which they were begun."""
    points = Points(path, limits)
    begun = [(_begun(content), name, content) for name, content in contents]
    for _, name, content in sorted(begun, key=lambda one: one[:2]):
        plugins: dict[str, bytes] = {}
        for number, message in enumerate(_messages(content, name, points.notes), 1):
            try:
                _event(message, points, plugins)
            except (IndexError, struct.error, UnicodeDecodeError):
                raise DataError(f"{shown(name, 200)}: record {number:,} is no event of TensorBoard's") from None
    points.notes.append("TensorBoard keeps losses in float32, about 7 digits.")
    return points.log("TensorBoard events")


def _begun(content: bytes) -> float:
    """When the first event was written; its time comes first."""
    first = content[HEAD : HEAD + 9]
    return float(_DOUBLE.unpack_from(first, 1)[0]) if first[:1] == b"\x09" and len(first) == 9 else math.inf


def _messages(content: bytes, name: str, notes: list[str]) -> Iterator[bytes]:
    """The messages of a file, checksums checked; a last one that is cut off is told in `notes`."""
    start, length, torn = _frames(content)
    data, starts, lengths = np.frombuffer(content, np.uint8), np.array(start, np.int64), np.array(length, np.int64)
    wrong = np.flatnonzero(~_checks(data, starts, np.full(len(starts), 8)))
    if torn is not None and (len(content) - torn < HEAD or _checks(data, np.array([torn]), np.array([8]))[0]):
        notes.append(f"the last record of {shown(Path(name).name)}, {len(start) + 1:,}, is cut off and is left out.")
    elif torn is not None and not len(wrong):
        wrong = np.array([len(start)])
    if len(wrong):
        at = [*start, torn or 0][wrong[0]]
        raise DataError(
            f"{shown(name, 200)}: is damaged: the length of record {wrong[0] + 1:,}, at byte {at:,}, is wrong"
        )
    wrong = np.flatnonzero(~_checks(data, starts + HEAD, lengths))
    if len(wrong):
        at = start[wrong[0]]
        raise DataError(
            f"{shown(name, 200)}: is damaged: the checksum of record {wrong[0] + 1:,}, at byte {at:,}, is wrong"
        )
    return (content[at + HEAD : at + HEAD + size] for at, size in zip(start, length, strict=True))


def _frames(content: bytes) -> tuple[list[int], list[int], int | None]:
    """(where each whole record begins, bytes of its message, where one begins that the file does not hold to its end)."""
    start: list[int] = []
    length: list[int] = []
    place, total = 0, len(content)
    while place < total:
        size = _LENGTH.unpack_from(content, place)[0] if place + HEAD <= total else total
        if size > total - place - HEAD - 4:
            return start, length, place
        start.append(place)
        length.append(size)
        place += HEAD + size + 4
    return start, length, None


def _checks(data: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Whether what begins at `start` (n,) is followed by its checksum, (n,) bool."""
    told = data[(start + length)[:, None] + np.arange(4)].astype(np.uint32)
    same: np.ndarray = masked_crc32c(data, start, length) == (told << np.array([0, 8, 16, 24], np.uint32)).sum(
        axis=1, dtype=np.uint32
    )
    return same


def _event(message: bytes, points: Points, plugins: dict[str, bytes]) -> None:
    """Add the scalars of one event: 1 wall time, 2 step, 5 summary, whose field 1 is a value."""
    usual = _USUAL.fullmatch(message)
    if usual is not None:
        wall, step, outer, inner, length, tag, value = usual.groups(b"\x00")
        if length[0] == len(tag) < 0x70 and inner[0] == len(tag) + 7 and outer[0] == len(tag) + 9:
            count = _signed(_varint(step, 0)[0])
            points.add(str(tag, "utf-8"), count, _FLOAT.unpack(value)[0], _DOUBLE.unpack(wall)[0])
            return
    _any_event(message, points, plugins)


def _any_event(message: bytes, points: Points, plugins: dict[str, bytes]) -> None:
    """The same, field by field."""
    wall, step, summaries = math.nan, 0, []
    for number, found in _fields(message):
        if number == 1 and isinstance(found, bytes):
            wall = _DOUBLE.unpack(found)[0]
        elif number == 2 and isinstance(found, int):
            step = _signed(found)
        elif number == 5 and isinstance(found, bytes):
            summaries.append(found)
    for summary in summaries:
        for number, found in _fields(summary):
            if number == 1 and isinstance(found, bytes):
                tag, value = _value(found, plugins)
                if value is not None:
                    points.add(tag, step, value, wall)


def _value(message: bytes, plugins: dict[str, bytes]) -> tuple[str, float | None]:
    """(tag, scalar) of a value: 1 tag, 2 simple value, 8 tensor, 9 metadata, which says whether the tensor is a scalar."""
    tag, value, tensor = "", None, b""
    for number, found in _fields(message):
        if not isinstance(found, bytes):
            continue
        if number == 1:
            tag = str(found, "utf-8")
        elif number == 2:
            value = float(_FLOAT.unpack(found)[0])
        elif number == 8:
            tensor = found
        elif number == 9:
            plugins[tag] = found
    # Only the first value of a tag says which part of TensorBoard it is for.
    if value is None and tensor and b"scalars" in plugins.get(tag, b""):
        value = _scalar(tensor)
    return tag, value


def _scalar(tensor: bytes) -> float | None:
    """The one number of a tensor: 1 dtype, 4 its bytes, 5 float32 values, 6 float64 values; None where it is no such."""
    dtype, content = 0, b""
    for number, found in _fields(tensor):
        if number == 1 and isinstance(found, int):
            dtype = found
        elif number in (4, 5, 6) and isinstance(found, bytes):
            content = found
    form = {_DT_FLOAT: _FLOAT, _DT_DOUBLE: _DOUBLE}.get(dtype)
    return float(form.unpack(content)[0]) if form is not None and len(content) == form.size else None


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, whole number or bytes) of each field of a message; IndexError where it is none."""
    place, total = 0, len(message)
    while place < total:
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            found, place = _varint(message, place)
            yield key >> 3, found
            continue
        size = {_EIGHT: 8, _FOUR: 4}.get(kind)
        if kind == _BYTES:
            size, place = _varint(message, place)
        if size is None or size > total - place:
            raise IndexError
        yield key >> 3, message[place : place + size]
        place += size


def _signed(found: int) -> int:
    return found - (1 << 64) if found >> 63 else found


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """(whole number, where it ends); IndexError beyond ten bytes or the message's end."""
    found = message[place]
    if found < 0x80:
        return found, place + 1
    found &= 0x7F
    for shift in range(7, 70, 7):
        place += 1
        byte = message[place]
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found & 0xFFFFFFFFFFFFFFFF, place + 1
    raise IndexError
