"""What has been seen since the optimiser's last step: forward passes, and the losses whose gradients it will be given."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mlnn.recording.batchprint import batch_print
from mlnn.recording.records import Forward
from mlnn.recording.streams import Streams, streams, told

NOT_ONE = "a backward pass began at more than one number; its loss is not recorded"
NO_FORWARD = "the model itself was not called, only parts of it: its batches are not recorded"
NO_BACKWARD = "no backward pass began at a loss (torch.autograd.grad makes gradients without one): it is not recorded"
NOTHING = "the model was not called since the step before"


@dataclass(frozen=True, eq=False)
class Given:
    """What a forward pass was given, as it was: its `arguments`, {"args": …, "kwargs": …}, and the `random` streams before it."""

    arguments: dict[str, object]
    random: Streams
    seen: Forward


@dataclass(eq=False)
class Window:
    """From one step of the optimiser to the next: forward passes with gradients on, and losses, each in their order. `offered`:
    the last of `forwards` is a batch that the loop offers, and the model itself has not been called since. `elsewhere`: losses
    before the model has been called, which belong to another model unless it never is."""

    forwards: list[Given] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    elsewhere: list[Tensor] = field(default_factory=list)
    offered: bool = False

    @property
    def begun(self) -> bool:
        """Whether anything has been seen."""
        return bool(self.forwards or self.elsewhere)

    def take_back(self) -> None:
        """The batch that was offered last is not what the model is given."""
        self.forwards.pop()
        self.offered = False

    def forward(self, args: object, kwargs: object) -> None:
        """A forward pass with gradients is about to be made."""
        given, random = {"args": args, "kwargs": kwargs}, streams()
        self.forwards.append(
            Given(given, random, Forward(batch_print(given), told(random), (autocast() or ("", ""))[1]))
        )

    def backward(self, tensors: object) -> Tensor | None:
        """A backward pass is about to be made: the loss that it begins at, of several at once their sum. None where that is no
        single number or the model has not been called."""
        self.offered = False
        losses = [tensors] if isinstance(tensors, Tensor) else list(tensors) if isinstance(tensors, Sequence) else []
        if not losses or not all(isinstance(loss, Tensor) and loss.numel() == 1 for loss in losses):
            self.notes.append(NOT_ONE)
            return None
        kept = self.losses if self.forwards else self.elsewhere
        kept.append(torch.stack([loss.detach().reshape(()) for loss in losses]).sum())
        return losses[0] if self.forwards and len(losses) == 1 else None

    def values(self) -> np.ndarray:
        """The losses (m,), float64, in the order of their backward passes."""
        losses = self.losses if self.forwards else self.elsewhere
        if not losses:
            return np.zeros(0)
        found: np.ndarray = torch.stack([loss.double() for loss in losses]).cpu().numpy()
        return found

    def remarks(self) -> tuple[str, ...]:
        """What is to be said of this step, in words."""
        if self.forwards:
            unseen = () if self.losses or NOT_ONE in self.notes else (NO_BACKWARD,)
        else:
            unseen = (NO_FORWARD if self.elsewhere or NOT_ONE in self.notes else NOTHING,)
        return (*self.notes, *unseen)


def autocast() -> tuple[str, str] | None:
    """(device, dtype) of an autocast that is on."""
    for device in ("cuda", "cpu"):
        if torch.is_autocast_enabled(device):
            return device, str(torch.get_autocast_dtype(device)).removeprefix("torch.")
    return None
