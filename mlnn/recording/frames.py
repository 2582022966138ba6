"""The file that a recorder writes to step by step: frames, each with its length and checksum, so that a torn end is told from a
whole one. A frame is one JSON object and the arrays that it names."""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mlnn.errors import DataError

MAGIC = b"MLNR"
HEAD = struct.Struct("<4sIII")
"""Magic, bytes of the JSON, bytes of the arrays, CRC-32 of both."""
MOST = 1 << 28
"""Bytes of one frame, at most: a fingerprint has 16 bytes a parameter and 2 kB."""
KINDS = {"f8": np.dtype("<f8"), "i8": np.dtype("<i8")}


def write_frame(file: BinaryIO, told: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Append one frame; `arrays`: one-dimensional, float64 or int64."""
    kinds = ["f8" if array.dtype.kind == "f" else "i8" for array in arrays.values()]
    listed = [[name, kind, len(array)] for (name, array), kind in zip(arrays.items(), kinds, strict=True)]
    text = json.dumps({**told, "arrays": listed}, allow_nan=False).encode()
    raw = b"".join(array.astype(KINDS[kind]).tobytes() for array, kind in zip(arrays.values(), kinds, strict=True))
    file.write(HEAD.pack(MAGIC, len(text), len(raw), zlib.crc32(raw, zlib.crc32(text))) + text + raw)


def read_frames(path: Path, file: BinaryIO) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]] | str]:
    """All whole frames of a file; a word for what ended them, if that was not the end of the file.

    Raises DataError where a frame says of itself what cannot be.
    """
    count = 0
    while head := file.read(HEAD.size):
        if len(head) < HEAD.size:
            yield f"the last {len(head)} bytes, after {count} whole frames, are a part of one"
            return
        magic, text_size, raw_size, checksum = HEAD.unpack(head)
        if magic != MAGIC or text_size + raw_size > MOST:
            raise DataError(f"{path}: frame {count} is damaged, or this is not a recording's file")
        body = file.read(text_size + raw_size)
        if len(body) < text_size + raw_size:
            yield f"frame {count} is torn: {len(body)} of its {text_size + raw_size} bytes are there"
            return
        if zlib.crc32(body) != checksum:
            raise DataError(f"{path}: frame {count} is damaged: its checksum does not match")
        yield _opened(path, count, body[:text_size], body[text_size:])
        count += 1


def _opened(path: Path, count: int, text: bytes, raw: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        told = json.loads(text)
        arrays, at = {}, 0
        for name, kind, length in told.pop("arrays"):
            size = KINDS[kind].itemsize * length
            if length < 0 or at + size > len(raw):
                raise ValueError("an array is longer than the frame")
            arrays[str(name)] = np.frombuffer(raw[at : at + size], KINDS[kind])
            at += size
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise DataError(f"{path}: frame {count} is damaged: {str(problem)[:80]}") from None
    return told, arrays
