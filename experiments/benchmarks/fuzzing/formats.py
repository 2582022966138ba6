"""What can be changed in each kind of file, and how it is written again so that the change is all that is wrong with it: the
checksums of its own format are made anew."""

import hashlib
import json
import re
import struct
from typing import Any

import numpy as np

from fuzzing import changing
from fuzzing.changing import Place
from fuzzing.records import EVENTS, FRAME_NUMBERS, FRAMES, JOURNAL, JOURNAL_ROWS
from fuzzing.trees import NUMBERS, Content, Format, encoded, tree
from fuzzing.values import TEXTS


def _yaml_head(content: Content) -> tuple[str, str]:
    lines = content.decode().splitlines(keepends=True)
    head = "".join(line for line in lines if line.startswith("#"))
    return head, "".join(lines)[len(head) :]


def _in_yaml(content: Content, text: str) -> Content:
    return encoded(_yaml_head(content)[0] + text)


JSON = tree(json.loads, lambda _content, text: encoded(text))
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
    new = encoded(text)
    return _hashed(new[:-1]) if new.endswith(b"}") and len(new) > 2 else new


HASHED = tree(_without_checksum, _with_checksum)
"""A JSON object with a checksum of itself."""
YAML = tree(lambda content: json.loads(_yaml_head(content)[1]), _in_yaml)
"""A config: comments at its head, then YAML that is written as JSON."""
LINES = tree(
    lambda content: [json.loads(line) for line in content.splitlines()],
    lambda _content, text: encoded(text[1:-1].replace("}, {", "}\n{") + "\n"),
)
CSV = Format(
    lambda content: changing.table_places(content.decode()),
    lambda _place: changing.CELLS,
    lambda content, where, change: changing.table_changed(content.decode(), where, change),
)
BYTES = Format(changing.byte_places, lambda _place: changing.RAW, changing.bytes_changed)


def _header(content: Content) -> tuple[Any, bytes]:
    size = struct.unpack_from("<Q", content)[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def _with_header(content: Content, text: str) -> Content:
    made = encoded(text)
    return struct.pack("<Q", len(made)) + made + _header(content)[1]


TENSORS = tree(lambda content: _header(content)[0], _with_header)
"""The header of safetensors: names, dtypes, shapes, places."""


def _with_state(content: Content, text: str) -> Content:
    header = _header(content)[0]
    header["__metadata__"]["state"] = text
    return _with_header(content, json.dumps(header))


STATE = tree(lambda content: json.loads(_header(content)[0]["__metadata__"]["state"]), _with_state)
"""What a state of a run in progress says beside its tensors."""
PIECES = re.compile(r"\w+|\*\*|[^\w\s]")


def _piece_changed(content: Content, where: Place, change: str) -> Content:
    text = content.decode()
    found = list(PIECES.finditer(text))[int(where[0])]
    new = (TEXTS | {"gone": "", "doubled": f"{found[0]} {found[0]}"}).get(change, change)
    return encoded(text[: found.start()] + new + text[found.end() :])


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


FORMATS = {
    "json": JSON, "hashed": HASHED, "journal": JOURNAL, "journal rows": JOURNAL_ROWS, "state": STATE, "formula": FORMULA,
    "yaml": YAML, "lines": LINES, "csv": CSV, "bytes": BYTES, "frames": FRAMES, "frame numbers": FRAME_NUMBERS,
    "tensors": TENSORS, "weights": WEIGHTS, "events": EVENTS,
}  # fmt: skip
