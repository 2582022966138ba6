"""What has been seen since the optimiser's last step: forward passes, and the losses whose gradients it will be given."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mlnn.recording.batchprint import batch_print
from mlnn.recording.records import Forward
from mlnn.recording.streams import Streams, streams, told


@dataclass(frozen=True, eq=False)
class Given:
    """What a forward pass was given, as it was: its `arguments`, {"args": …, "kwargs": …}, and the `random` streams before it."""

    arguments: dict[str, object]
    random: Streams
    seen: Forward


@dataclass(eq=False)
class Window:
    """From one step of the optimiser to the next: forward passes with gradients on, and losses, each in their order."""

    forwards: list[Given] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def forward(self, args: object, kwargs: object) -> None:
        """A forward pass with gradients is about to be made."""
        given, random = {"args": args, "kwargs": kwargs}, streams()
        self.forwards.append(Given(given, random, Forward(batch_print(given), told(random), (autocast() or ("", ""))[1])))

    def backward(self, tensors: object) -> Tensor | None:
        """A backward pass is about to be made: the loss that it begins at, None where that is no single number or the model has
        not been asked."""
        if not self.forwards:
            return None
        loss = (
            tensors
            if isinstance(tensors, Tensor)
            else tensors[0]
            if isinstance(tensors, Sequence) and tensors
            else None
        )
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            self.notes.append("a backward pass began at more than one number; its loss is not recorded")
            return None
        self.losses.append(loss.detach().clone().reshape(()))
        return loss

    def values(self) -> np.ndarray:
        """The losses (m,), float64, in the order of their backward passes."""
        if not self.losses:
            return np.zeros(0)
        found: np.ndarray = torch.stack([loss.double() for loss in self.losses]).cpu().numpy()
        return found


def autocast() -> tuple[str, str] | None:
    """(device, dtype) of an autocast that is on."""
    for device in ("cuda", "cpu"):
        if torch.is_autocast_enabled(device):
            return device, str(torch.get_autocast_dtype(device)).removeprefix("torch.")
    return None
