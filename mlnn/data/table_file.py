"""The frame of a table file that somebody may have sent: what it is, and how large, is known before it is read."""

import errno
import io
import warnings
from pathlib import Path
from typing import Any, BinaryIO

from mlnn.data.extras import optional
from mlnn.data.table_size import Gunzip, Limits, check_csv, check_parquet
from mlnn.errors import DataError, MlnnError
from mlnn.received import chunks, open_plain, size
from mlnn.visible import shown

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz")


def find(path: object) -> Path:
    """The file that `data.path` names; DataError for what is no name of a table."""
    if not isinstance(path, str | Path):
        raise DataError(f"data.path: {shown(path)} is not the name of a file")
    text = str(path)
    if "://" in text:
        raise DataError(f"data.path: '{shown(text)}' is an address; nothing is fetched, so save the file and name that")
    try:
        file = Path(path).expanduser()
    except RuntimeError:
        raise DataError(f"data.path: '{shown(text)}' begins with the name of a user that is not known here") from None
    if not file.name.lower().endswith(CSV + PARQUET):
        wanted = ", ".join(CSV + PARQUET)
        raise DataError(f"data.path: '{shown(text, 200)}' is neither CSV nor Parquet; its name must end in {wanted}")
    return file


def read(file: Path, limits: Limits) -> Any:
    """The pandas frame of a file within `limits`; DataError for what is no plain file, too large, or damaged."""
    said = shown(file, 200)
    with _opened(file, said) as opened:
        pandas = optional("pandas", "data=table")
        kind, parse = "CSV", _read_csv
        if file.name.lower().endswith(PARQUET):
            kind, parse = "Parquet", _read_parquet
            optional("pyarrow", "a Parquet file")
        try:
            if size(opened) > limits.bytes:
                raise limits.exceeded("bytes", said)
            return parse(opened, pandas, limits, file)
        except MlnnError:
            raise
        except Exception as error:  # whatever a parser makes of somebody's file, the file is at fault
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise DataError(f"data.path: '{said}' cannot be read as {kind}: {shown(reason, 300)}") from error


def _opened(file: Path, said: str) -> BinaryIO:
    try:
        return open_plain(file)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise DataError(f"data.path: there is no file '{said}'") from error
        raise DataError(f"data.path: '{said}' cannot be read: {error.strerror or error}") from error


def _read_parquet(file: BinaryIO, pandas: Any, limits: Limits, path: Path) -> Any:
    # From memory: pyarrow's threads would go on asking an open file of Python's after it is closed.
    content = optional("pyarrow", "a Parquet file").py_buffer(b"".join(chunks(file)))
    reader = optional("pyarrow", "a Parquet file").BufferReader
    check_parquet(content, reader, limits, shown(path, 200))
    return pandas.read_parquet(reader(content), engine="pyarrow")


def _read_csv(file: BinaryIO, pandas: Any, limits: Limits, path: Path) -> Any:
    # An open file is handed on, never a name: pandas would take some names for addresses.
    packed = path.name.lower().endswith(".gz")
    check_csv(Gunzip(file) if packed else file, limits, shown(path, 200), None if packed else size(file))
    file.seek(0)
    content = io.BufferedReader(Gunzip(file)) if packed else file
    # Before 3.1 the default parser of numbers can miss the nearest float64; since 3.1 asking for better warns.
    old = tuple(int(part) for part in pandas.__version__.split(".")[:2]) < (3, 1)
    exact = {"float_precision": "round_trip"} if old else {}
    with warnings.catch_warnings():
        # Rows longer than the header: pandas would take the first column for row names, or drop the last.
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        try:
            return pandas.read_csv(content, low_memory=False, index_col=False, **exact)
        except pandas.errors.ParserWarning as error:
            raise DataError(
                f"{shown(path.name)}: rows have more fields than the header has names; name every column"
            ) from error
