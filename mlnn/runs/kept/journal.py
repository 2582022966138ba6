"""The trace of a run in progress: records that are only ever added, each with its length and a checksum.

A process that dies in the middle of one leaves a torn tail, which is seen and left out.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlnn.errors import RunFolderError
from mlnn.received import open_plain
from mlnn.runs.writing import disk
from mlnn.visible import shown

HEAD = struct.Struct("<II")
"""Length and CRC-32 of a record."""
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
        self._size = 0

    def append(self, row: Row) -> None:
        """Add a row; its names are those of the first. Raises RunFolderError where a trace that was kept has others."""
        if not self.columns:
            self.columns = tuple(row)
            self._waiting.append(_record(self.columns))
        if row.keys() != set(self.columns):
            apart = shown(", ".join(sorted(row.keys() ^ set(self.columns))))
            raise RunFolderError(
                f"{self.final}: the trace that was kept has other columns than this run ({apart}); overwrite=true begins anew"
            )
        self._waiting.append(_record([_plain(row[name]) for name in self.columns]))
        self.count += 1

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
        self.columns, self._waiting, self._size = (), [], 0
        for record, end in _records(self.path, self.final) if count else ():
            if not self.columns:
                self.columns = tuple(map(str, record))
            else:
                rows.append(self._row(record))
            self._size = end
            if len(rows) == count:
                break
        if len(rows) < count:
            raise RunFolderError(f"{self.final}: {NAME} is damaged after row {len(rows)}")
        self.count = count
        return rows

    def _row(self, record: list[Any]) -> Row:
        if len(record) != len(self.columns) or not all(isinstance(value, int | float) for value in record):
            raise RunFolderError(f"{self.final}: {NAME} is damaged: a row is not of the {len(self.columns)} numbers")
        return dict(zip(self.columns, record, strict=True))


def _plain(value: float) -> float:
    return int(value) if isinstance(value, int | np.integer) else float(value)


def _record(parts: Sequence[object]) -> bytes:
    data = json.dumps(parts, separators=(",", ":")).encode()
    return HEAD.pack(len(data), zlib.crc32(data)) + data


def _records(path: Path, final: Path) -> Iterator[tuple[list[Any], int]]:
    """Each whole record and where it ends, up to a torn tail."""
    if not path.exists():
        return
    with disk("read", final, open_plain, path) as file:
        end = 0
        while len(head := disk("read", final, file.read, HEAD.size)) == HEAD.size:
            length, checksum = HEAD.unpack(head)
            data = disk("read", final, file.read, length) if length <= MOST else b""
            if len(data) != length or zlib.crc32(data) != checksum:
                return
            try:
                record = json.loads(data)
            except (ValueError, RecursionError):
                return
            if not isinstance(record, list):
                return
            end += HEAD.size + length
            yield record, end
