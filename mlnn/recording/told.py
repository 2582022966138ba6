"""Records as plain data for a recording's file, and back: what comes back from a file was perhaps made by somebody else."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mlnn.recording.batchprint import BatchPrint
from mlnn.recording.fingerprint import Fingerprint, K
from mlnn.recording.records import Forward, Parameter, RecordedStep, Settings

Arrays = Mapping[str, np.ndarray]
MOST_WHOLE = 1 << 53
PRINTS = ("sketch", "norms", "hashes")


def settings_told(settings: Settings) -> dict[str, Any]:
    """Settings as plain data."""
    return asdict(settings)


def settings_of(told: Mapping[str, Any]) -> Settings:
    """Settings from plain data; ValueError names what is not what belongs there."""
    parameters = tuple(
        Parameter(
            _text(one, "name"), _sizes(one.get("shape"), "shape"), _text(one, "dtype"), one.get("sharded") is True
        )
        for one in _tables(told, "parameters")
    )
    if len({one.name for one in parameters}) < len(parameters):
        raise ValueError("parameters")
    rank, ranks, every = (_whole(told, name) for name in ("rank", "ranks", "every"))
    if not (0 <= rank < ranks and every >= 1):
        raise ValueError(f"rank {rank} of {ranks}, every {every}")
    groups = tuple(_texts(one) for one in _tables(told, "groups"))
    around = told.get("environment")
    return Settings(
        parameters, _text(told, "optimizer"), groups, _text(told, "model"), every, rank, ranks,
        around if isinstance(around, dict) else {}, _texts(told.get("about", {})),
    )  # fmt: skip


def step_told(step: RecordedStep) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A step as plain data and arrays."""
    told = {
        "step": step.step,
        "forwards": [
            {
                "random": dict(one.random),
                "autocast": one.autocast,
                **asdict(one.batch),
                "unordered": str(one.batch.unordered),
            }
            for one in step.forwards
        ],
        "buffers": str(step.buffers),
        "skipped": step.skipped,
        "notes": list(step.notes),
    }
    arrays = {"losses": step.losses, "rates": np.array(step.rates, np.float64), "scale": np.array([step.scale])}
    for name, one in (("gradient", step.gradient), ("weights", step.weights)):
        arrays |= print_told(name, one)
    return told, arrays


def print_told(name: str, one: Fingerprint | None) -> dict[str, np.ndarray]:
    """A fingerprint as arrays."""
    return {} if one is None else {f"{name}.{part}": getattr(one, part) for part in PRINTS}


def step_of(told: Mapping[str, Any], arrays: Arrays, parameters: int) -> RecordedStep:
    """A step from plain data and arrays; ValueError names what is not what belongs there."""
    forwards = tuple(_forward(one) for one in _tables(told, "forwards"))
    scale = _floats(arrays, "scale")
    if len(scale) != 1:
        raise ValueError("scale")
    notes = told.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise ValueError("notes")
    return RecordedStep(
        _whole(told, "step"), _floats(arrays, "losses"), forwards, tuple(_floats(arrays, "rates").tolist()), float(scale[0]),
        print_of("gradient", arrays, parameters), print_of("weights", arrays, parameters), _number(told, "buffers"),
        _text(told, "skipped"), tuple(notes),
    )  # fmt: skip


def print_of(name: str, arrays: Arrays, parameters: int) -> Fingerprint | None:
    """A fingerprint from arrays, None where they are not there."""
    if f"{name}.sketch" not in arrays:
        return None
    sketch, norms, hashes = (arrays.get(f"{name}.{part}", np.zeros(0)) for part in PRINTS)
    kinds = sketch.dtype.kind, norms.dtype.kind, hashes.dtype.kind
    if kinds != ("f", "f", "i") or (len(sketch), len(norms), len(hashes)) != (K, parameters, parameters):
        raise ValueError(f"fingerprint '{name}'")
    return Fingerprint(sketch, norms, hashes)


def _forward(told: Mapping[str, Any]) -> Forward:
    shapes = told.get("shapes")
    if not isinstance(shapes, dict):
        raise ValueError("shapes")
    sizes = {str(name): _sizes(shape, "shapes") for name, shape in shapes.items()}
    batch = BatchPrint(_whole(told, "rows"), _text(told, "ordered"), _number(told, "unordered"), sizes)
    return Forward(batch, _texts(told.get("random", {})), _text(told, "autocast"))


def _floats(arrays: Arrays, name: str) -> np.ndarray:
    found = arrays.get(name)
    if found is None or found.dtype.kind != "f":
        raise ValueError(name)
    return found


def _whole(told: Mapping[str, Any], name: str) -> int:
    value = told.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MOST_WHOLE:
        raise ValueError(name)
    return value


def _number(told: Mapping[str, Any], name: str) -> int:
    """A whole number of 64 bits, which JSON's readers elsewhere would round."""
    value = told.get(name)
    if not isinstance(value, str) or len(value) > 21:
        raise ValueError(name)
    return int(value)


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str):
        raise ValueError(name)
    return value


def _texts(told: object) -> dict[str, str]:
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise ValueError("texts by name")
    return {str(name): value for name, value in told.items()}


def _tables(told: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    value = told.get(name)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(name)
    return value


def _sizes(value: object, name: str) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(size, int) and size >= 0 for size in value):
        raise ValueError(name)
    return tuple(value)
