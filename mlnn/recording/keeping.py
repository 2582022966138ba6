"""What is kept in full: the steps that were chosen, and the first that is not finite, which is known once its gradient is there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from mlnn.recording.capsule import Capsule, Passed, bytes_of, write_capsule
from mlnn.recording.parts import Held, buffers_of, clean, local
from mlnn.recording.records import RecordedStep
from mlnn.recording.tape import CAPSULES
from mlnn.recording.tree import skeleton, tensors_in
from mlnn.recording.window import Given, Window

MOST_BUFFERS = 64_000_000
"""Bytes of buffers that are copied before every step, for a capsule of the first that is not finite."""


@dataclass(eq=False)
class _Standing:
    """How the model stands before the forward passes of a step."""

    buffers: dict[str, Tensor]
    training: dict[str, bool]
    autocast: tuple[str, str] | None
    weights: dict[str, Tensor] = field(default_factory=dict)
    gradient: dict[str, Tensor] = field(default_factory=dict)
    passes: list[Passed] = field(default_factory=list)


class Keeper:
    """The capsules of a recording. `chosen`: the steps that are kept; with none chosen nothing is."""

    def __init__(self, model: nn.Module, held: Sequence[Held], chosen: Collection[int]) -> None:
        self.model, self.held, self.chosen = model, held, chosen
        self.standing: _Standing | None = None
        self.reason, self.met = "", False
        self.copies_buffers = bool(chosen) and bytes_of(dict(buffers_of(model))) <= MOST_BUFFERS

    def keeps(self, step: int) -> bool:
        """Whether a step is one of the chosen."""
        return step in self.chosen

    def before_forward(self, step: int, given: Given, first: bool) -> None:
        """A forward pass is about to be made, the first of its step or a later one."""
        if first:
            self.reason = "chosen" if self.keeps(step) else ""
            self.standing = self._stand() if self.chosen and (self.reason or not self.met) else None
            if self.standing and self.reason:
                self.standing.weights = self._weights()
        if self.standing and self.reason:
            self.standing.passes.append(_passed(given))

    def at_gradient(self, divisor: float, finite: bool) -> None:
        """The gradient is there, and the weights are still those before the step. `divisor`: what it is yet divided by."""
        if not self.standing:
            return
        if not finite and not self.met:
            self.met, self.reason = True, self.reason or "not finite"
            self.standing.weights = self.standing.weights or self._weights()
        if self.reason:
            self.standing.gradient = {
                held.told.name: local(held.weight.grad).cpu() / divisor
                for held in self.held
                if held.weight.grad is not None
            }

    def finish(self, folder: Path, step: RecordedStep, window: Window) -> None:
        """The step has been made: write its capsule, if it has one. RunFolderError where the disk refuses."""
        standing, self.standing = self.standing, None
        if standing is None or not self.reason:
            return
        passes = standing.passes or [_passed(given) for given in window.forwards]
        capsule = Capsule(
            step.step, self.reason, standing.weights, standing.buffers, standing.gradient, tuple(passes),
            tuple(step.losses.tolist()), step.scale, step.rates, (), "it was not looked at", standing.autocast, standing.training,
            sharded=any(held.told.sharded for held in self.held),
        )  # fmt: skip
        write_capsule(folder / CAPSULES / str(step.step), capsule)

    def _stand(self) -> _Standing:
        buffers = (
            {name: buffer.clone() for name, buffer in buffers_of(self.model)}
            if self.reason or self.copies_buffers
            else {}
        )
        training = {name: part.training for name, part in self.model.named_modules()}
        return _Standing(buffers, training, _autocast())

    def _weights(self) -> dict[str, Tensor]:
        """All parameters, trained or not, copied."""
        return {clean(name): local(weight).clone() for name, weight in self.model.named_parameters()}


def _passed(given: Given) -> Passed:
    tensors = {place: tensor.detach().clone() for place, tensor in tensors_in(given.arguments)}
    return Passed(skeleton(given.arguments), tensors, given.random)


def _autocast() -> tuple[str, str] | None:
    """(device, dtype) of an autocast that is on."""
    for device in ("cuda", "cpu"):
        if torch.is_autocast_enabled(device):
            return device, str(torch.get_autocast_dtype(device)).removeprefix("torch.")
    return None
