"""Batches that were given one by one, in place of rows to draw them from: one a step, of any structure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlnn.data.nested import rows, tensors
from mlnn.errors import DataError
from mlnn.targets import TargetSpace


@dataclass(frozen=True, repr=False)
class Given:
    """`batches`: one a step, each a nest of tensors (see `mlnn.data.nested`). DataError for none, or one without a tensor."""

    batches: Sequence[Any]
    name: str = "batches"

    def __post_init__(self) -> None:
        if not len(self.batches):
            raise DataError("batches: none are given; one a step is needed")
        for place, batch in enumerate(self.batches):
            if not any(True for _ in tensors(batch)):
                raise DataError(f"batches: number {place} holds no tensor ({type(batch).__name__})")

    def __len__(self) -> int:
        return self.rows(0)

    def __repr__(self) -> str:
        return f"Given({len(self.batches)} batches)"

    def rows(self, step: int) -> int:
        """Rows of a step's batch; 1 where its tensors share no first dimension."""
        return rows(self.batches[step % len(self.batches)]) or 1

    @property
    def x(self) -> Tensor:
        """The first tensor of the first batch, by which a lazy module is made."""
        return next(tensors(self.batches[0]))

    @property
    def x_held_out(self) -> Tensor:
        """Nothing is held out."""
        return torch.empty(0)

    @property
    def y(self) -> Tensor:
        """What is a target is known to the step alone."""
        return torch.empty(0)

    y_held_out = y

    @property
    def targets(self) -> TargetSpace:
        """No space is known of what the batches hold; any real number will do."""
        return TargetSpace("real")

    def to_dict(self) -> dict[str, object]:
        """What a run folder records of the batches (never themselves)."""
        digest = hashlib.sha256()
        for batch in self.batches:
            for tensor in tensors(batch):
                digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return {"name": self.name, "batches": len(self.batches), "fingerprint": digest.hexdigest()[:16]}
