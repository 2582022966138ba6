"""Single files, whole or not at all, and the forms in which tables and records are written."""

import csv
import io
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlnn.errors import RunFolderError
from mlnn.runs.writing import disk, fsync, plain

_SERIAL = itertools.count(1)


def write_file(path: Path | str, content: str | bytes) -> None:
    """Write a file by way of a temporary one beside it: at `path` lies the old content, or all of the new one.

    Raises RunFolderError where it cannot be written; nothing half-written is left.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.partial-{os.getpid()}-{next(_SERIAL)}")
    data = content.encode("utf-8") if isinstance(content, str) else content
    if path.is_dir():
        raise RunFolderError(f"{path}: is a folder; a file name is needed")
    try:
        disk("write", path, temporary.write_bytes, data)
        disk("write", path, fsync, temporary)
        disk("write", path, os.replace, temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    disk("write", path, fsync, path.absolute().parent)


def to_json(obj: object) -> str:
    """Strict JSON at full precision; JSON has no NaN or infinity, they become "nan", "inf", "-inf"."""
    return json.dumps(plain(obj), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """A table at full precision; a value that does not exist is left empty."""
    file = io.StringIO(newline="")
    table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({k: repr(v) if isinstance(v, float) else "" if v is None else v for k, v in row.items()})
    return file.getvalue()
