"""A recording, read back: of one process, or of several as one. Somebody else may have made it."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlnn.errors import DataError, RunFolderError
from mlnn.received import check_size, open_plain
from mlnn.recording.capsule import TOLD
from mlnn.recording.fingerprint import Fingerprint
from mlnn.recording.frames import read_frames
from mlnn.recording.records import RecordedStep, Recording, Settings
from mlnn.recording.tape import CAPSULES, ENDED, FORMAT, SETTINGS, STEPS, rank_folder
from mlnn.recording.told import print_of, settings_of, step_of
from mlnn.runs import is_older, read_hashed
from mlnn.visible import shown

MOST_BYTES = 4_000_000_000
"""Of a file of steps: a million of them at 4 kB."""
MOST_RANKS = 65_536


def read_recording(path: Path | str) -> Recording:
    """The recording in a folder; DataError where there is none or it is damaged, and a torn end is told in `torn`."""
    if not isinstance(path, str | os.PathLike):
        raise DataError(f"{shown(path, 80)}: no recording; the folder that mlnn.record has written is needed")
    path = Path(path)
    if "\0" in str(path) or not os.path.isdir(path):
        raise DataError(f"{shown(path, 300)}: no recording here: no such folder")
    if os.path.isfile(path / TOLD):
        raise DataError(
            f"{shown(path, 300)}: is one step of a recording; the recording is {shown(path.parent.parent, 300)}"
        )
    try:
        if os.path.isdir(path / rank_folder(0)):
            return together(path, [_read(path / rank_folder(rank)) for rank in range(_ranks(path))])
        return _read(path)
    except RunFolderError as problem:
        raise DataError(str(problem)) from None


def _ranks(path: Path) -> int:
    found = sorted(int(name[5:]) for name in os.listdir(path) if re.fullmatch(r"rank-\d{1,5}", name))
    if found != list(range(len(found))) or len(found) > MOST_RANKS:
        raise DataError(
            f"{shown(path, 300)}: of the processes of this recording some are missing: there are {found[:8]}"
        )
    return len(found)


def _read(path: Path) -> Recording:
    told = read_hashed(path / SETTINGS)
    if told.get("format") not in (1, FORMAT):
        raise DataError(f"{path / SETTINGS}: no recording of this version's format ({FORMAT})")
    try:
        settings = settings_of(told)
    except (ValueError, TypeError) as problem:
        raise DataError(f"{path / SETTINGS}: is damaged: no {shown(problem)} as it belongs there") from None
    start, steps, torn = _frames(path / STEPS, len(settings.parameters))
    ended, count = _ended(path / ENDED)
    if count not in (None, len(steps)):
        torn = torn or f"{count} steps were recorded, and {len(steps)} are there"
    return Recording(path, settings, start, steps, _capsules(path), ended, torn, hashed=not is_older(told))


def _ended(path: Path) -> tuple[str | None, object]:
    """How the recording ended, in words, and after how many steps; None for what nobody has said."""
    if not os.path.isfile(path):
        return None, None
    told = read_hashed(path)
    word, count = told.get("ended"), told.get("steps")
    return None if word is None else shown(word), count


def _frames(path: Path, parameters: int) -> tuple[Fingerprint, tuple[RecordedStep, ...], str | None]:
    start, steps, torn = None, [], None
    try:
        with open_plain(path, follow=False) as file:
            check_size(file, MOST_BYTES)
            for count, frame in enumerate(read_frames(path, file)):
                if isinstance(frame, str):
                    torn = frame
                elif count == 0:
                    start = print_of("weights", frame[1], parameters)
                else:
                    steps.append(_step(path, count, frame, parameters))
                    if len(steps) > 1 and steps[-1].step <= steps[-2].step:
                        raise DataError(
                            f"{path}: frame {count} is damaged: step {steps[-1].step} after {steps[-2].step}"
                        )
    except OSError as error:
        raise DataError(f"{shown(path, 300)}: cannot be read: {error.strerror or error}") from None
    except ValueError as problem:
        raise DataError(f"{path}: frame 0 is damaged: no {shown(problem)} as it belongs there") from None
    if start is None:
        raise DataError(f"{path}: holds no first weights; the process died before it had recorded anything")
    return start, tuple(steps), torn


def _step(path: Path, count: int, frame: tuple[dict[str, Any], dict[str, np.ndarray]], parameters: int) -> RecordedStep:
    try:
        return step_of(*frame, parameters)
    except (ValueError, TypeError, OverflowError, AttributeError) as problem:
        raise DataError(f"{path}: frame {count} is damaged: no {shown(problem)} as it belongs there") from None


def _capsules(path: Path) -> dict[int, Path]:
    folder = path / CAPSULES
    if not os.path.isdir(folder) or os.path.islink(folder):
        return {}
    return {int(name): folder / name for name in sorted(os.listdir(folder)) if re.fullmatch(r"\d{1,12}", name)}


def together(path: Path, parts: Sequence[Recording]) -> Recording:
    """The recordings of all processes of one training as one: sketches of shards add up, and of what each process holds whole the
    first one's counts. DataError where they are not of one training."""
    first = parts[0]
    if any(part.settings.ranks != len(parts) or part.settings.names != first.settings.names for part in parts):
        raise DataError(f"{path}: these are recordings of {first.settings.ranks} processes, and {len(parts)} are there")
    length = min(len(part.steps) for part in parts)
    torn = next((part.torn for part in parts if part.torn), None)
    if any(len(part.steps) > length for part in parts):
        torn = torn or f"one process has recorded {length} steps, others more"
    settings = replace(first.settings, ranks=len(parts), rank=0)
    merged = [_merged_step(settings, [part.steps[at] for part in parts]) for at in range(length)]
    findings = _by_steps([(step.step, note) for step, notes in merged for note in notes])
    start, apart = _merged(settings, [part.start for part in parts])
    findings = [f"the first weights of the processes differ ({apart})", *findings] if apart else findings
    return Recording(
        path, settings, start, tuple(step for step, _ in merged), first.capsules,
        next((part.ended for part in parts if part.ended != "finished"), "finished"), torn, tuple(findings),
        all(part.hashed for part in parts),
    )  # fmt: skip


def _by_steps(notes: Sequence[tuple[int, str]]) -> list[str]:
    """What is said of steps, (step, note), each note once, in the order in which they come first."""
    met: dict[str, list[int]] = {}
    for step, note in notes:
        met.setdefault(note, []).append(step)
    return [f"{_told(steps)}: {note}" for note, steps in met.items()]


def _told(steps: Sequence[int]) -> str:
    if len(steps) == 1:
        return f"step {steps[0]}"
    if steps[-1] - steps[0] == len(steps) - 1:
        return f"steps {steps[0]} to {steps[-1]}"
    return f"{len(steps)} steps, {steps[0]} the first"


def _merged_step(settings: Settings, ranks: Sequence[RecordedStep]) -> tuple[RecordedStep, list[str]]:
    """One step of all processes, and what they do not agree about."""
    first, notes = ranks[0], []
    orders = [[forward.batch.ordered for forward in step.forwards] for step in ranks]
    if orders[0] and all(order == orders[0] for order in orders[1:]):
        notes.append("every process was given the same rows")
    gradient, apart = _merged(settings, [step.gradient for step in ranks])
    if apart:
        notes.append(f"processes have different gradients ({apart}): they were not averaged")
    if gradient is not None and not gradient.norm and any(step.losses.any() for step in ranks):
        notes.append("there was a loss, and no process has a gradient")
    weights, apart = _merged(settings, [step.weights for step in ranks])
    if apart:
        notes.append(f"processes have different weights ({apart})")
    if len({step.rates for step in ranks}) > 1:
        notes.append("processes have different learning rates")
    forwards = tuple(forward for step in ranks for forward in step.forwards)
    losses = np.concatenate([step.losses for step in ranks])
    skipped = next((step.skipped for step in ranks if step.skipped), "")
    return replace(first, losses=losses, forwards=forwards, gradient=gradient, weights=weights, skipped=skipped), notes


def _merged(settings: Settings, parts: Sequence[Fingerprint | None]) -> tuple[Any, str]:
    """The fingerprint of the whole, and the first parameter that processes should hold alike and do not."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None, ""
    sharded = np.array([parameter.sharded for parameter in settings.parameters], bool)
    hashes = np.stack([part.hashes for part in known])
    apart = next(
        (name for name, bad in zip(settings.names, (hashes != hashes[0]).any(0) & ~sharded, strict=True) if bad), ""
    )
    if not sharded.any():
        return known[0], apart
    whole = sum(known[1:], known[0])
    norms = np.where(sharded, whole.norms, known[0].norms)
    return Fingerprint(whole.sketch, norms, np.where(sharded, whole.hashes, hashes[0])), apart
