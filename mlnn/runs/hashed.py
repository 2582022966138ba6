"""A JSON file that says of itself whether it is as it was written: its last member is the SHA-256 of all bytes before that."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlnn.errors import RunFolderError
from mlnn.runs.files import to_json
from mlnn.runs.pieces import parse_json
from mlnn.runs.reading import read_whole

CHECKSUM = "checksum"
HASHED = 2
"""The format of a file of which there is an older one without a checksum, 1, or one that does not say its format."""
_CLOSE = "\n}\n"
_END = re.compile(rb'"checksum": "([0-9a-f]{64})"\n\}\n\Z')
_LONGEST = 100
"""Bytes of the end, at most."""


def hashed_json(told: Mapping[str, Any], number: int = HASHED) -> str:
    """The text of a file of the format `number`, 2 or more: strict JSON (`to_json`), its checksum last."""
    text = to_json({"format": number, **told}).removesuffix(_CLOSE) + ",\n  "
    return f'{text}"{CHECKSUM}": "{hashlib.sha256(text.encode()).hexdigest()}"{_CLOSE}'


def read_hashed(path: Path) -> dict[str, Any]:
    """The JSON object of such a file, its format among it and its checksum not; an older one as it is.

    Raises RunFolderError where it is missing, no plain file, too large, damaged, or no longer as it was written. A single bit that
    changed cannot make a file look like an older one: it says twice that it is none.
    """
    content = read_whole(path)
    told = parse_json(content, path)
    end = _END.search(content[-_LONGEST:])
    if end is None:
        if is_older(told) and CHECKSUM not in told:
            return told
        raise RunFolderError(f"{path}: is damaged: the checksum at its end is not there any more")
    if hashlib.sha256(content[: len(content) - len(end[0])]).hexdigest() != end[1].decode():
        raise RunFolderError(f"{path}: has changed since it was written")
    del told[CHECKSUM]
    return told


def is_older(told: Mapping[str, Any]) -> bool:
    """Whether the file was written before such files had a checksum."""
    number = told.get("format", 1)
    return isinstance(number, int) and number < HASHED
