"""The trace of a run in progress: records that are only ever added, each with its length and a checksum.

The first says which columns there are, and of what kind their numbers are. A row is eight bytes a number, and waits as such for
its way to the disk: as text it took twenty times as long. A process that dies in the middle of a record leaves a torn tail, which
is seen and left out.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from mlnn.errors import RunFolderError
from mlnn.received import open_plain
from mlnn.runs.writing import disk
from mlnn.visible import shown

HEAD = struct.Struct("<II")
"""Length and CRC-32 of a record."""
COLUMNS, ROW = b"c", b"r"
"""What a record begins with."""
KINDS = {int: "q", float: "d"}
"""How the numbers of a column are written: whole ones stay whole."""
MOST = 1_000_000
"""Bytes of a record."""
NAME = "trace.records"
Row = Mapping[str, float]


class Journal:
    """The records of one run. Rows wait in memory until `commit`, after which no crash loses them."""

    def __init__(self, folder: Path, final: Path) -> None:
        self.path, self.final = folder / NAME, final
        self.columns: tuple[str, ...] = ()
        self.count, self._waiting = 0, list[bytes]()
        self._types: list[type] = []
        self._form = struct.Struct("<")
        self._size = 0

    def append(self, row: Row) -> None:
        """Add a row; its names are those of the first. Raises RunFolderError where a trace that was kept has others."""
        if tuple(row) != self.columns:
            row = self._in_order(row)
        values = list(row.values())
        if list(map(type, values)) != self._types:
            values = [_plain(value) for value in values]
            self._are_of(list(map(type, values)))
        self._waiting.append(_record(ROW, self._form.pack(*values)))
        self.count += 1

    def _in_order(self, row: Row) -> Row:
        self.columns = self.columns or tuple(row)
        if row.keys() != set(self.columns):
            apart = shown(", ".join(sorted(row.keys() ^ set(self.columns))))
            raise RunFolderError(
                f"{self.final}: the trace that was kept has other columns than this run ({apart}); overwrite=true begins anew"
            )
        return {name: row[name] for name in self.columns}

    def _are_of(self, types: list[type]) -> None:
        """Say of which types the numbers are from here on, where that is something new."""
        if types != self._types:
            self._set(types)
            told = [self.columns, "".join(KINDS[one] for one in types)]
            self._waiting.append(_record(COLUMNS, json.dumps(told, separators=(",", ":")).encode()))

    def _set(self, types: list[type]) -> None:
        self._types, self._form = types, struct.Struct("<" + "".join(KINDS[one] for one in types))

    def commit(self) -> None:
        """Push what was added to the disk."""
        if self._waiting:
            disk("write", self.final, self._write, b"".join(self._waiting))
            self._waiting = []

    def _write(self, data: bytes) -> None:
        """Behind the last whole record: what a try that failed has left there is written over."""
        with open(self.path, "r+b" if self.path.exists() else "w+b") as file:
            file.seek(self._size)
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        self._size += len(data)

    def go_back(self, count: int) -> list[Row]:
        """The first `count` rows, after which the journal goes on; RunFolderError where it does not hold as many."""
        rows: list[Row] = []
        self.columns, self._types, self._waiting, self._size = (), [], [], 0
        for mark, data, end in _records(self.path, self.final) if count else ():
            if mark == COLUMNS:
                self._take_columns(data)
            else:
                rows.append(self._row(data))
            self._size = end
            if len(rows) == count:
                break
        if len(rows) < count:
            raise RunFolderError(f"{self.final}: {NAME} is damaged after row {len(rows)}")
        self.count = count
        return rows

    def _take_columns(self, data: bytes) -> None:
        types = {kind: one for one, kind in KINDS.items()}
        try:
            columns, kinds = json.loads(data)
            named = tuple(map(str, columns))
            self._set([types[kind] for kind in kinds])
        except (ValueError, TypeError, KeyError, RecursionError):
            named = ()
        if not 0 < len(named) == len(set(named)) == len(self._types) or self.columns not in ((), named):
            raise RunFolderError(f"{self.final}: {NAME} is damaged: it does not say which columns there are")
        self.columns = named

    def _row(self, data: bytes) -> Row:
        if not self.columns or len(data) != self._form.size:
            raise RunFolderError(f"{self.final}: {NAME} is damaged: a row is not of the {len(self.columns)} numbers")
        return dict(zip(self.columns, self._form.unpack(data), strict=True))


def _plain(value: float) -> float:
    return int(value) if isinstance(value, int | np.integer) else float(value)


def _record(mark: bytes, data: bytes) -> bytes:
    data = mark + data
    return HEAD.pack(len(data), zlib.crc32(data)) + data


def _records(path: Path, final: Path) -> Iterator[tuple[bytes, bytes, int]]:
    """What each whole record is, what it says and where it ends, up to a torn tail."""
    if not path.exists():
        return
    with disk("read", final, open_plain, path) as file:
        end = 0
        while len(head := disk("read", final, file.read, HEAD.size)) == HEAD.size:
            length, checksum = HEAD.unpack(head)
            data = disk("read", final, file.read, length) if length <= MOST else b""
            if len(data) != length or zlib.crc32(data) != checksum or data[:1] not in (COLUMNS, ROW):
                return
            end += HEAD.size + length
            yield data[:1], data[1:], end
