"""Lines of a text file that somebody sent, none longer than was said, and whether the last one was written to its end."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mlnn.errors import DataError
from mlnn.visible import shown

LONGEST = 1_000_000
"""Bytes of a line."""


class Lines:
    """The lines of `file`, with their ends, counted in `number`. `torn`: whether the last one has no end, once it was read."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.number, self.torn = 0, False
        self._file, self._path = file, path

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(LONGEST + 2):
            self.number += 1
            if len(line) > LONGEST:
                raise self.wrong(f"is longer than {LONGEST:,} bytes")
            self.torn = not line.endswith((b"\n", b"\r"))
            try:
                yield str(line, "utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise self.wrong("is not UTF-8 text") from None

    def wrong(self, what: str) -> DataError:
        """The error about the line that was read last."""
        return DataError(f"{shown(self._path, 200)}: line {self.number:,} {what}")
