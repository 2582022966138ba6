"""What a recorder keeps of a training loop, in frozen records: of every optimiser step what went in and what came out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mlnn.recording.batchprint import BatchPrint
from mlnn.recording.fingerprint import Fingerprint


@dataclass(frozen=True)
class Forward:
    """A forward pass that a loss was made of: the batch that the model was given, where the random streams stood before it, and the
    dtype of an autocast that was on, "" without one."""

    batch: BatchPrint
    random: Mapping[str, str]
    autocast: str = ""


@dataclass(frozen=True, eq=False)
class RecordedStep:
    """One step of the optimiser.

    `losses`: of every backward pass since the last step, as they were given to it (a loss that is divided by the number of
    micro-batches is so here too). `scale`: what a gradient scaler has multiplied them with, 1 without one. `rates`: the learning
    rate of each parameter group. `gradient`: as the optimiser found it; `weights`: after the step; both None at steps between
    those that are printed in full. `buffers`: a hash of all buffers after the step. `skipped`: why the optimiser was not called.
    """

    step: int
    losses: np.ndarray
    forwards: tuple[Forward, ...]
    rates: tuple[float, ...]
    scale: float = 1.0
    gradient: Fingerprint | None = None
    weights: Fingerprint | None = None
    buffers: int = 0
    skipped: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parameter:
    """A trained parameter: its name, without what wrappers put before it, whole shape, dtype, and whether processes hold shards."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    sharded: bool = False


@dataclass(frozen=True)
class Settings:
    """What was set when a recording began. `groups`: the optimiser's, each its settings as words; `ranks`: processes; `every`:
    steps from one that is printed in full to the next; `about`: the caller's own words."""

    parameters: tuple[Parameter, ...]
    optimizer: str
    groups: tuple[Mapping[str, str], ...]
    model: str
    every: int = 1
    rank: int = 0
    ranks: int = 1
    environment: Mapping[str, object] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters, in the order of every fingerprint's norms and hashes."""
        return tuple(parameter.name for parameter in self.parameters)


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording, read: `start`: the weights before the first step. `steps`: in order. `capsules`: folders, by step; of several
    processes those of the first. `ended`: how it ended, in words, None where the process did not live to say so. `torn`: what of
    the end of the file could not be read, in words. `findings`: what the processes of one training do not agree about.
    `hashed`: whether a checksum has held its settings to what was written.
    """

    path: Path
    settings: Settings
    start: Fingerprint
    steps: tuple[RecordedStep, ...]
    capsules: Mapping[int, Path] = field(default_factory=dict)
    ended: str | None = None
    torn: str | None = None
    findings: tuple[str, ...] = ()
    hashed: bool = True

    def __len__(self) -> int:
        return len(self.steps)
