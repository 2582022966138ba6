"""The states of a run in progress as files: safetensors, named by step and checksum, the last two kept."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mlnn.errors import RunFolderError
from mlnn.received import check_size, chunks, open_plain
from mlnn.runs.files import write_file
from mlnn.runs.writing import disk, fsync
from mlnn.visible import shown

FORMAT = 1
"""Of states; another one is refused by its number."""
KEPT = 2
"""How many states lie there: should the newest be damaged, there is the one before."""
MOST_BYTES = 20_000_000_000


class OtherFormatError(RunFolderError):
    """A state that another version of mlnn has written."""


_NAME = re.compile(r"state-(\d{1,12})-([0-9a-f]{64})\.safetensors")


@dataclass(frozen=True)
class State:
    """A state read back: what it is of (`about`), its objects in plain data, and its storages, tensors of bytes."""

    about: Mapping[str, Any]
    objects: Any
    storages: Mapping[str, Tensor]


def write_state(
    folder: Path, step: int, about: Mapping[str, Any], objects: Any, storages: Mapping[str, Tensor]
) -> None:
    """Write a state, whole or not at all, and then take away all but the last `KEPT`."""
    told = json.dumps({"format": FORMAT, "about": about, "objects": objects}, separators=(",", ":"))
    data = save({name: part.cpu() for name, part in storages.items()}, {"state": told})
    digest = hashlib.sha256(data).hexdigest()
    write_file(folder / f"state-{step}-{digest}.safetensors", data)
    disk("write", folder, fsync, folder)
    for old in names(folder)[KEPT:]:
        with suppress(OSError):  # one too many does no harm
            os.unlink(old)


def names(folder: Path) -> list[Path]:
    """The states that lie in a folder, the newest first."""
    found = {path: match for path in folder.glob("state-*") if (match := _NAME.fullmatch(path.name))}
    return sorted(found, key=lambda path: int(found[path][1]), reverse=True)


def step_of(path: Path) -> int:
    """After how many steps a state was written."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def read_state(path: Path, final: Path) -> State:
    """A state from its file; RunFolderError where it is damaged, or of another format."""
    match = _NAME.fullmatch(path.name)
    try:
        with open_plain(path) as file:
            check_size(file, MOST_BYTES)
            data = b"".join(chunks(file))
    except OSError as error:
        raise RunFolderError(f"{path}: cannot read: {error.strerror or error}") from error
    if match is None or hashlib.sha256(data).hexdigest() != match[2]:
        raise RunFolderError(f"{final}: the state after step {step_of(path)} is damaged")
    try:
        return _parsed(data, final)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise RunFolderError(
            f"{final}: the state after step {step_of(path)} is damaged ({shown(problem, 100)})"
        ) from problem


def _parsed(data: bytes, final: Path) -> State:
    length = int.from_bytes(data[:8], "little")
    told = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["state"])
    if told["format"] != FORMAT:
        raise OtherFormatError(
            f"{final}: its state has format {told['format']}, and this mlnn reads {FORMAT}; use the one that wrote it"
        )
    rows = told["about"]["rows"]
    if not isinstance(rows, int) or rows < 0:
        raise ValueError(f"{rows!r} rows")
    return State(told["about"], told["objects"], load(data))
