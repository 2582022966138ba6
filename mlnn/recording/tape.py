"""A recording's folder, written: settings at once, then a frame a step, so that what a killed process has recorded is there.

`recording.json` (settings), `steps.bin` (frames, the first with the first weights), `capsules/<step>/`, and `ended.json`, which a
process that ends writes last. Of several processes each has a folder `rank-<n>` of its own.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mlnn.errors import RunFolderError
from mlnn.recording.fingerprint import Fingerprint
from mlnn.recording.frames import write_frame
from mlnn.recording.records import RecordedStep, Settings
from mlnn.recording.told import print_told, settings_told, step_told
from mlnn.runs import hashed_json, write_file

SETTINGS, STEPS, ENDED, CAPSULES = "recording.json", "steps.bin", "ended.json", "capsules"
FORMAT = 2
"""1 had no checksums of `recording.json` and `ended.json`, nor the number of steps."""


def rank_folder(rank: int) -> str:
    """The folder of one process among several."""
    return f"rank-{rank}"


class Tape:
    """The folder of one process's recording, open to be written."""

    def __init__(self, out: Path | str, settings: Settings) -> None:
        """Raises RunFolderError where something is there already, or the folder cannot be written."""
        folder = Path(os.path.abspath(out))
        folder = folder / rank_folder(settings.rank) if settings.ranks > 1 else folder
        if os.path.lexists(folder) and not (folder.is_dir() and not os.listdir(folder)):
            raise RunFolderError(f"{folder}: something is there; choose another folder for this recording")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = open(folder / STEPS, "xb")  # noqa: SIM115 - it stays open as long as the training runs
        except OSError as error:
            raise RunFolderError(f"{folder}: cannot be written: {error.strerror or error}") from error
        self.folder, self.steps = folder, 0
        write_file(folder / SETTINGS, hashed_json(settings_told(settings), FORMAT))

    def start(self, weights: Fingerprint) -> None:
        """The first weights."""
        self._write({"start": True}, print_told("weights", weights))

    def append(self, step: RecordedStep) -> None:
        """One step."""
        self._write(*step_told(step))
        self.steps += 1

    def _write(self, told: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> None:
        try:
            write_frame(self.file, told, arrays)
            self.file.flush()
        except OSError as error:
            raise RunFolderError(f"{self.folder}: cannot be written: {error.strerror or error}") from error

    def close(self, ended: str) -> None:
        """Say how it ended: "finished", or the name of what was raised. RunFolderError where the disk refuses."""
        try:
            self.file.close()
        except OSError as error:  # what could not be written before is tried once more
            raise RunFolderError(f"{self.folder}: cannot be written: {error.strerror or error}") from error
        write_file(self.folder / ENDED, hashed_json({"ended": ended, "steps": self.steps}, FORMAT))
