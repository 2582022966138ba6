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
from mlnn.runs import writing

_SERIAL = itertools.count(1)


def write_file(path: Path | str, content: str | bytes) -> Path:
    """Write one file of its own by way of a temporary one beside it, and return its path.

    At `path` lies what was there, or all of the new content (text as UTF-8). Raises RunFolderError where it cannot be
    written, or where something other than a file is there; nothing half-written is left.
    """
    final = Path(path)
    if final.exists() and not final.is_file():
        raise RunFolderError(f"{final}: cannot write: a {'folder' if final.is_dir() else 'special file'} is there")
    data = content.encode("utf-8") if isinstance(content, str) else content
    whole = Path(os.path.realpath(final))  # beside the file itself, where a link leads to it
    partial = whole.with_name(f".{whole.name}.partial-{os.getpid()}-{next(_SERIAL)}")
    try:
        writing.disk("write", final, partial.write_bytes, data)
        writing.disk("write", final, writing.fsync, partial)
        writing.disk("write", final, os.replace, partial, whole)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    return final


def to_json(obj: object) -> str:
    """Strict JSON at full precision; JSON has no NaN or infinity, they become "nan", "inf", "-inf"."""
    return json.dumps(writing.plain(obj), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """A table at full precision; a value that does not exist is left empty."""
    file = io.StringIO(newline="")
    table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({k: repr(v) if isinstance(v, float) else "" if v is None else v for k, v in row.items()})
    return file.getvalue()
