"""What can be changed in each kind of file, and how it is written again so that the change is all that is wrong with it: the
checksums of its own format are made anew."""

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fuzzing import changing
from fuzzing.changing import Place
from fuzzing.values import TEXTS
from mlnn.logs.crc32c import masked_crc32c
from mlnn.recording.frames import HEAD, MAGIC

Content = bytes


@dataclass(frozen=True)
class Format:
    """`places` of a file that is honest, the `changes` of a place, and `changed`, the file with one of them."""

    places: Callable[[Content], Iterator[Place]]
    changes: Callable[[Place], Sequence[str]]
    changed: Callable[[Content, Place, str], Content]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _tree(opened: Callable[[Content], object], closed: Callable[[Content, str], Content]) -> Format:
    """A format that holds a JSON tree: `opened` gives it, `closed` puts the text of another one in its stead."""
    return Format(
        lambda content: changing.tree_places(opened(content)),
        changing.tree_changes,
        lambda content, where, change: closed(content, changing.tree_changed(opened(content), where, change)),
    )


def _yaml_head(content: Content) -> tuple[str, str]:
    lines = content.decode().splitlines(keepends=True)
    head = "".join(line for line in lines if line.startswith("#"))
    return head, "".join(lines)[len(head) :]


def _in_yaml(content: Content, text: str) -> Content:
    return _encoded(_yaml_head(content)[0] + text)


JSON = _tree(json.loads, lambda _content, text: _encoded(text))
_CHECKSUM = re.compile(rb',\n  "checksum": "[0-9a-f]{64}"\n\}\n\Z')


def rehashed(content: Content) -> Content:
    """A JSON file with a checksum of itself, that made anew; what has none any more stays as it is."""
    end = _CHECKSUM.search(content)
    return content if end is None else _hashed(content[: end.start()])


def _hashed(text: Content) -> Content:
    text += b",\n  "
    return text + b'"checksum": "' + hashlib.sha256(text).hexdigest().encode() + b'"\n}\n'


def _without_checksum(content: Content) -> object:
    told = json.loads(content)
    del told["checksum"]
    return told


def _with_checksum(_content: Content, text: str) -> Content:
    new = _encoded(text)
    return _hashed(new[:-1]) if new.endswith(b"}") and len(new) > 2 else new


HASHED = _tree(_without_checksum, _with_checksum)
"""A JSON object with a checksum of itself."""
YAML = _tree(lambda content: json.loads(_yaml_head(content)[1]), _in_yaml)
"""A config: comments at its head, then YAML that is written as JSON."""
LINES = _tree(
    lambda content: [json.loads(line) for line in content.splitlines()],
    lambda _content, text: _encoded(text[1:-1].replace("}, {", "}\n{") + "\n"),
)
CSV = Format(
    lambda content: changing.table_places(content.decode()),
    lambda _place: changing.CELLS,
    lambda content, where, change: changing.table_changed(content.decode(), where, change),
)
BYTES = Format(changing.byte_places, lambda _place: changing.RAW, changing.bytes_changed)


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
        parts = [_encoded(json.dumps(one)) for one in json.loads(text)]
    except (ValueError, TypeError, RecursionError):
        parts = [_encoded(json.dumps(before[0][0])), _encoded(text)]
    raws = [raw for _, raw in before]
    made = b""
    for part, raw in zip(parts, raws, strict=False):
        made += HEAD.pack(MAGIC, len(part), len(raw), zlib.crc32(raw, zlib.crc32(part))) + part + raw
    return made


FRAMES = _tree(lambda content: [told for told, _ in _frames(content)], _framed)
"""The steps of a recording."""


def _numbers_changed(content: Content, where: Place, change: str) -> Content:
    """Frames, in one of which the numbers of all arrays are others."""
    made = b""
    for at, (told, raw) in enumerate(_frames(content)):
        text = _encoded(json.dumps(told))
        new = np.full(len(raw) // 8, NUMBERS[change]).tobytes() if at == where[0] else raw
        made += HEAD.pack(MAGIC, len(text), len(new), zlib.crc32(new, zlib.crc32(text))) + text + new
    return made


NUMBERS = {"NaN": np.nan, "infinite": -np.inf, "large": 1e308, "zero": 0.0, "tiny": 5e-324, "negative": -1.0}
FRAME_NUMBERS = Format(
    lambda content: ((at,) for at in range(len(_frames(content)))), lambda _place: tuple(NUMBERS), _numbers_changed
)


RECORD = struct.Struct("<II")


def _rows(content: Content) -> list[Any]:
    found, at = [], 0
    while at < len(content):
        size = RECORD.unpack_from(content, at)[0]
        found.append(json.loads(content[at + RECORD.size : at + RECORD.size + size]))
        at += RECORD.size + size
    return found


def _journalled(content: Content, text: str) -> Content:
    """The records again; what cannot be taken apart any more is the second one, whole."""
    try:
        parts = [_encoded(json.dumps(one)) for one in json.loads(text)]
    except (ValueError, RecursionError, TypeError):
        parts = [_encoded(json.dumps(_rows(content)[0])), _encoded(text)]
    return b"".join(RECORD.pack(len(part), zlib.crc32(part)) + part for part in parts)


JOURNAL = _tree(_rows, _journalled)
"""The trace of a run in progress."""


def _header(content: Content) -> tuple[Any, bytes]:
    size = struct.unpack_from("<Q", content)[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def _with_header(content: Content, text: str) -> Content:
    made = _encoded(text)
    return struct.pack("<Q", len(made)) + made + _header(content)[1]


TENSORS = _tree(lambda content: _header(content)[0], _with_header)
"""The header of safetensors: names, dtypes, shapes, places."""


def _with_state(content: Content, text: str) -> Content:
    header = _header(content)[0]
    header["__metadata__"]["state"] = text
    return _with_header(content, json.dumps(header))


STATE = _tree(lambda content: json.loads(_header(content)[0]["__metadata__"]["state"]), _with_state)
"""What a state of a run in progress says beside its tensors."""
PIECES = re.compile(r"\w+|\*\*|[^\w\s]")


def _piece_changed(content: Content, where: Place, change: str) -> Content:
    text = content.decode()
    found = list(PIECES.finditer(text))[int(where[0])]
    new = (TEXTS | {"gone": "", "doubled": f"{found[0]} {found[0]}"}).get(change, change)
    return _encoded(text[: found.start()] + new + text[found.end() :])


WORDS = (
    "gone", "doubled", *TEXTS, "a", "3", "-1", "1e308", "0", ".", "~", "**", "*", ":", "(", ")", "[", "C", "bs", "poly",
    "a.__class__", "__import__", "Q", "log", "I", "lambda", "'x'", "1e999", "9999", "`a`", "\\", "|", "{a}", "%in%", "None",
)  # fmt: skip
FORMULA = Format(
    lambda content: ((at,) for at in range(len(PIECES.findall(content.decode())))), lambda _place: WORDS, _piece_changed
)
"""A formula, piece by piece."""


def _weights_changed(content: Content, where: Place, change: str) -> Content:
    header, body = _header(content)
    begin, end = header[where[0]]["data_offsets"]
    wide = 8 if header[where[0]]["dtype"] == "F64" else 4
    kind = np.float64 if wide == 8 else np.float32
    with np.errstate(all="ignore"):
        new = np.full((end - begin) // wide, NUMBERS[change]).astype(kind).tobytes()
    return content[: len(content) - len(body)] + body[:begin] + new + body[begin + len(new) :]


WEIGHTS = Format(
    lambda content: ((name,) for name in _header(content)[0] if name != "__metadata__"),
    lambda _place: tuple(NUMBERS),
    _weights_changed,
)
"""The numbers of safetensors."""


def _checksum(data: bytes) -> bytes:
    found = masked_crc32c(np.frombuffer(data, np.uint8), np.array([0]), np.array([len(data)]))
    return struct.pack("<I", int(found[0]))


def _records(content: Content) -> list[bytes]:
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
    for number, message in enumerate(_records(content)[:4]):
        yield from ((number, at) for at in range(len(message)))


def _event_changed(content: Content, where: Place, change: str) -> Content:
    messages = _records(content)
    number, at = (int(part) for part in where)
    messages[number] = changing.bytes_changed(messages[number], (at,), change)
    return b"".join(map(recorded, messages))


EVENTS = Format(_event_places, lambda _place: changing.RAW, _event_changed)
"""The messages of TensorBoard's event files, each byte; checksums made anew."""
FORMATS = {
    "json": JSON, "hashed": HASHED, "journal": JOURNAL, "state": STATE, "formula": FORMULA,
    "yaml": YAML, "lines": LINES, "csv": CSV, "bytes": BYTES, "frames": FRAMES, "frame numbers": FRAME_NUMBERS,
    "tensors": TENSORS, "weights": WEIGHTS, "events": EVENTS,
}  # fmt: skip
