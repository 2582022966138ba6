"""Logs as other tools write them, small: an event file byte by byte, and the same curve in every format."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlnn.logs.crc32c import masked_crc32c

STEPS, LOSSES = [0, 10, 20, 30], [2.0, 1.5, 1.25, 1.125]
FORMATS = {
    "events": "TensorBoard events",
    "metrics.csv": "CSV",
    "long.csv": "CSV",
    "trainer_state.json": "trainer_state.json",
    "history.json": "JSON",
    "log.jsonl": "JSON lines",
}
"""File → what its format is called."""


def checksum(data: bytes) -> bytes:
    found = masked_crc32c(np.frombuffer(data, np.uint8), np.array([0]), np.array([len(data)]))[0]
    return struct.pack("<I", int(found))


def record(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + checksum(length) + message + checksum(message)


def varint(number: int) -> bytes:
    number %= 1 << 64
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def scalar(tag: str, step: int, value: float, wall: float = 1.7e9) -> bytes:
    """The message of an event with one scalar."""
    told = field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
    return b"\x09" + struct.pack("<d", wall) + b"\x10" + varint(step) + field(5, field(1, told))


def events(
    steps: Sequence[int] = STEPS, losses: Sequence[float] = LOSSES, tag: str = "loss", wall: float = 1.7e9
) -> bytes:
    """An event file with one series, a second between its points."""
    first = b"\x09" + struct.pack("<d", wall) + field(3, b"brain.Event:2")
    points = (scalar(tag, step, loss, wall + at) for at, (step, loss) in enumerate(zip(steps, losses, strict=True)))
    return record(first) + b"".join(map(record, points))


def write_all(folder: Path, steps: Sequence[int] = STEPS, losses: Sequence[float] = LOSSES) -> None:
    """The same curve in a file of every format."""
    rows = [{"step": step, "loss": loss} for step, loss in zip(steps, losses, strict=True)]
    told = {
        "metrics.csv": "epoch,step,loss,val_loss\n" + "".join(f"0,{row['step']},{row['loss']},\n" for row in rows),
        "long.csv": "run_id,key,value,step,timestamp\n"
        + "".join(f"a,loss,{row['loss']},{row['step']},1\n" for row in rows),
        "trainer_state.json": json.dumps({"logging_steps": 10, "log_history": rows, "epoch": 1.0}, indent=2),
        "history.json": json.dumps(rows),
        "log.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
    }
    for name, text in told.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "events").write_bytes(events(steps, losses))
