"""How large is a table once it is read? Asked of its bytes as they stream by, or of its own directory, with a bound."""

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from mlnn.data.extras import optional
from mlnn.errors import ConfigError, DataError
from mlnn.received import CHUNK
from mlnn.visible import shown

NUMBER = 8  # bytes that a cell takes as float64
LINE, SHORTEST = 1000, 1_000_000  # bytes of a line: this many for each column that is allowed, and at least as many
MOST_MEMBERS = 100_000  # parts of a gzip file; each may be empty
MOST_FOOTER = 64_000_000  # bytes of the directory of a Parquet file
MOST_GROUPS = 100_000  # stretches of rows of a Parquet file
# A field in quotes, with what follows its end up to the next comma; or one without. Never a step back: it is linear.
_FIELD = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"?[^,\r\n]*+|[^,\r\n]*+')


@dataclass(frozen=True)
class Limits:
    """What a table may hold: rows, columns, and bytes (of the file, of its text unpacked, of its cells as numbers)."""

    rows: int
    columns: int
    bytes: int

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"data.most_{key}: must be a whole number of at least 1, found {shown(value)}")

    def exceeded(self, what: str, file: str, thing: str = "") -> DataError:
        """The error for a table with too many `what`: rows, columns or bytes."""
        most = getattr(self, what)
        return DataError(
            f"data.path: '{file}' has more than {most:,} {thing or what}, and is not read."
            f" If it should be: data.most_{what}=…, a larger number"
        )


class Gunzip(io.RawIOBase):
    """The content of a gzip file, unpacked as it is read: never more at once than is asked for."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file, self._members, self._rest = file, 0, b""
        self._inflate: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if (self._inflate is None or self._inflate.eof) and not self._next_member():
                return 0
            packed = self._rest or self._file.read(CHUNK)
            made = self._inflate.decompress(packed, len(buffer))
            self._rest = self._inflate.unconsumed_tail
            if made:
                buffer[: len(made)] = made
                return len(made)
            if not packed and not self._inflate.eof:
                raise EOFError("the compressed file is cut off")

    def _next_member(self) -> bool:
        """Whether another packed part follows. Zero bytes between parts are padding."""
        rest = self._inflate.unused_data.lstrip(b"\0") if self._inflate else b""
        while not rest:
            block = self._file.read(CHUNK)
            if not block:
                return False
            rest = block.lstrip(b"\0") if self._inflate else block
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise EOFError(f"the compressed file has more than {MOST_MEMBERS:,} parts")
        self._rest, self._inflate = rest, zlib.decompressobj(wbits=31)
        return True


def check_csv(stream: Any, limits: Limits, said: str, held: int | None) -> None:
    """Raise DataError where the text of `stream` is larger than `limits`; `held`: bytes that it says it holds."""
    longest = max(SHORTEST, LINE * limits.columns)
    total = lines = line = 0
    head = b""
    for block in iter(lambda: stream.read(CHUNK), b""):
        total += len(block)
        if held is not None and total > held:
            raise DataError(f"data.path: '{said}' gives more than it says it holds, so it is no plain file")
        if total > limits.bytes:
            raise limits.exceeded("bytes", said, "bytes of text")
        lines += max(block.count(b"\n"), block.count(b"\r"))
        if lines > limits.rows + 1:
            raise limits.exceeded("rows", said)
        line = _line(line, block, longest, said)
        head += block[: longest - len(head)]
    columns = count_fields(head, limits.columns)
    if columns > limits.columns:
        raise limits.exceeded("columns", said)
    _check_cells(lines, columns, limits, said)


def _line(line: int, block: bytes, longest: int, said: str) -> int:
    """Bytes of the last line so far, after a block; DataError where one is longer than `longest`."""
    for length in _lengths(block):
        line = line + length if length >= 0 else 0
        if line > longest:
            raise DataError(
                f"data.path: '{said}' has a line of more than {longest:,} bytes, and is not read. If it should be:"
                f" data.most_columns=…, a larger number ({LINE:,} bytes of a line go with each)"
            )
    return line


def _lengths(block: bytes) -> Iterator[int]:
    """What of a block belongs to the line before it; −1 for its line breaks, if it has any; what follows the last."""
    breaks = [place for mark in (b"\n", b"\r") if (place := block.find(mark)) >= 0]
    if not breaks:
        yield len(block)
        return
    yield min(breaks)
    yield -1
    yield len(block) - max(block.rfind(b"\n"), block.rfind(b"\r")) - 1


def count_fields(head: bytes, most: int) -> int:
    """Fields of the first line that is not blank, as a reader of CSV counts them; stops at `most` + 1."""
    place = len(head) - len(head.removeprefix(b"\xef\xbb\xbf").lstrip())
    count = 0
    while count <= most:
        found = _FIELD.match(head, place)
        count, place = count + 1, found.end() if found else len(head)
        if head[place : place + 1] != b",":
            break
        place += 1
    return count


def _check_cells(rows: int, columns: int, limits: Limits, said: str) -> None:
    if rows * columns * NUMBER > limits.bytes:
        raise limits.exceeded("bytes", said, f"bytes of numbers ({rows:,} rows of {columns:,})")


def check_parquet(content: Any, reader: Any, limits: Limits, said: str) -> None:
    """Raise DataError where a Parquet file says of itself, or its texts prove, that it is larger than `limits`.

    `content`: pyarrow's buffer of the whole file; `reader`: what makes a file of it.
    """
    parquet = optional("pyarrow.parquet", "a Parquet file")
    if int.from_bytes(bytes(content[max(content.size - 8, 0) :])[:4], "little") > MOST_FOOTER:
        raise DataError(
            f"data.path: '{said}' cannot be read as Parquet: its directory is larger than {MOST_FOOTER:,} bytes"
        )
    known = parquet.ParquetFile(reader(content)).metadata
    if known.num_columns > limits.columns:
        raise limits.exceeded("columns", said)
    if known.num_row_groups > MOST_GROUPS:
        raise DataError(f"data.path: '{said}' cannot be read as Parquet: more than {MOST_GROUPS:,} stretches of rows")
    groups = [known.row_group(number) for number in range(known.num_row_groups)]
    held = [group.num_rows for group in groups]
    if min([known.num_rows, *held]) < 0:
        raise DataError(f"data.path: '{said}' cannot be read as Parquet: it says that it has fewer rows than none")
    rows = max(known.num_rows, sum(held))
    if rows > limits.rows:
        raise limits.exceeded("rows", said)
    if sum(max(group.total_byte_size, 0) for group in groups) > limits.bytes:
        raise limits.exceeded("bytes", said, "bytes of columns")
    _check_cells(rows, known.num_columns, limits, said)
    _check_texts(reader(content), known, groups, limits, said)


def _check_texts(file: Any, known: Any, groups: list[Any], limits: Limits, said: str) -> None:
    """One text of a million letters, stored once and pointed to by a million rows, takes a million times its room."""
    columns = [known.schema.column(number) for number in range(known.num_columns)]
    room = sum(_room(number, column, known.num_rows, groups) for number, column in enumerate(columns))
    if room > limits.bytes:
        raise limits.exceeded("bytes", said, "bytes of columns")
    texts = [column for column in columns if column.physical_type == "BYTE_ARRAY"]
    lists = next((shown(column.path) for column in texts if column.max_repetition_level), None)
    if lists is not None:
        raise DataError(f"data.path: '{said}': column '{lists}' holds lists of texts; a cell holds one value")
    _check_letters(file, [column.path for column in texts], limits, said, room)


def _room(number: int, column: Any, rows: int, groups: list[Any]) -> int:
    """Bytes of a column beyond a number a row, as far as its file tells: texts of one length, and lists."""
    room: int = rows * column.length if column.physical_type == "FIXED_LEN_BYTE_ARRAY" else 0
    if column.max_repetition_level:  # lists: their length is not that of the table
        room += NUMBER * sum(max(group.column(number).num_values, 0) for group in groups)
    return room


def _check_letters(file: Any, paths: list[str], limits: Limits, said: str, room: int) -> None:
    if not paths:
        return
    parquet = optional("pyarrow.parquet", "a Parquet file")
    compute = optional("pyarrow.compute", "a Parquet file")
    for batch in parquet.ParquetFile(file, read_dictionary=paths).iter_batches(columns=paths, use_threads=False):
        for array in batch.columns:
            room += _letters(array, compute)
            if room > limits.bytes:
                raise limits.exceeded("bytes", said, "bytes of text")


def _letters(array: Any, compute: Any) -> int:
    """Bytes of an array of texts when every row has its own copy."""
    if array.type.num_fields:  # a struct
        return sum(_letters(part, compute) for part in array.flatten())
    packed = hasattr(array, "dictionary")
    values = array.dictionary if packed else array
    lengths = compute.fill_null(compute.binary_length(values), 0)
    return int(compute.sum(lengths.take(array.indices) if packed else lengths).as_py() or 0)
