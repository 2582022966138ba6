"""What is kept in full: the steps that were chosen, and the first that is not finite, which is known once its gradient is there."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from mlnn.lifting.leading import NotLiftedError, led_by
from mlnn.lifting.lifted import Lifted
from mlnn.lifting.slicing import sliced
from mlnn.lifting.tracing import Trace
from mlnn.lifting.tree import named_tensors, skeleton
from mlnn.recording.capsule import Capsule, Null, Passed, bytes_of, write_capsule
from mlnn.recording.parts import Held, buffers_of, clean, local
from mlnn.recording.records import RecordedStep
from mlnn.recording.tape import CAPSULES
from mlnn.recording.window import Given, Window, autocast

MOST_BUFFERS = 64_000_000
"""Bytes of buffers that are copied before every step, for a capsule of the first that is not finite."""


@dataclass(eq=False)
class _Standing:
    """How the model stands before the forward passes of a step, and what is kept of it as it is made.

    `losses`: how many had led to the gradient that is kept, None before it is there: L-BFGS goes on with others, at other weights.
    `named`: places of the batch's tensors, by `id`; `objectives`: of the losses so far; `unlifted`: why one could not be
    taken out."""

    buffers: dict[str, Tensor]
    training: dict[str, bool]
    autocast: tuple[str, str] | None
    weights: dict[str, Tensor] = field(default_factory=dict)
    gradient: dict[str, Tensor] = field(default_factory=dict)
    passes: list[Passed] = field(default_factory=list)
    named: dict[int, str] = field(default_factory=dict)
    objectives: list[Lifted] = field(default_factory=list)
    unlifted: str = ""
    losses: int | None = None


class Keeper:
    """The capsules of a recording. `chosen`: the steps that are kept; with none chosen nothing is."""

    def __init__(self, model: nn.Module, held: Sequence[Held], chosen: Collection[int]) -> None:
        self.model, self.held, self.chosen = model, held, chosen
        self.standing: _Standing | None = None
        self.reason, self.met = "", False
        self.trace: Trace | None = None
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
        if self.standing and self.reason and self.standing.losses is None:
            self.standing.passes.append(_passed(given))
            self.standing.named |= {id(tensor): place for place, tensor in named_tensors(given.arguments)}
            if self.trace is None:
                self.trace = Trace()
                self.trace.start()

    def take_back(self) -> None:
        """The pass that was to be made is not what is kept: another one is, which begins now."""
        if self.standing:
            self.standing.passes[-1:] = []
        self.stop()
        self.trace = None

    def after_forward(self, output: object) -> None:
        """A forward pass has been made."""
        if self.trace:
            self.trace.gave(output)

    def stop(self) -> None:
        """Note no more operations: whatever follows is none of the loss's."""
        if self.trace:
            self.trace.stop()

    def at_loss(self, loss: Tensor | None) -> None:
        """A backward pass is about to begin at a loss, None where that is none: how it follows from what the model returned."""
        trace, self.trace = self.trace, None
        if trace is None or self.standing is None or self.standing.unlifted or self.standing.losses is not None:
            return
        try:
            self.standing.objectives.append(_lifted(trace, loss, self.standing.named))
        except NotLiftedError as problem:
            self.standing.unlifted = str(problem)

    def at_gradient(self, divisor: float, finite: bool, losses: int) -> None:
        """The gradient is there, of as many losses, and the weights are still those before the step. `divisor`: what it is yet
        divided by."""
        if not self.standing:
            return
        self.standing.losses = losses
        if not finite and not self.met:
            self.met, self.reason = True, self.reason or "not finite"
            self.standing.weights = self.standing.weights or self._weights()
        if self.reason:
            self.standing.gradient = {
                held.told.name: local(held.weight.grad).cpu() / divisor
                for held in self.held
                if held.weight.grad is not None
            }

    def finish(self, folder: Path, step: RecordedStep, window: Window, null: Callable[[Capsule], Null | None]) -> None:
        """The step has been made: write its capsule, if it has one, with how far rounding moves it. RunFolderError where the disk
        refuses."""
        standing, self.standing = self.standing, None
        if standing is None or not self.reason:
            return
        passes = standing.passes or [_passed(given) for given in window.forwards]
        losses = tuple(step.losses.tolist()[: standing.losses])
        capsule = Capsule(
            step.step, self.reason, standing.weights, standing.buffers, standing.gradient, tuple(passes),
            losses, step.scale, step.rates, tuple(standing.objectives), _why_not(standing, len(losses), self.reason),
            standing.autocast, standing.training,
            sharded=any(held.told.sharded for held in self.held), threads=torch.get_num_threads(),
        )  # fmt: skip
        write_capsule(folder / CAPSULES / str(step.step), replace(capsule, null=null(capsule)))

    def _stand(self) -> _Standing:
        buffers = (
            {name: buffer.clone() for name, buffer in buffers_of(self.model)}
            if self.reason or self.copies_buffers
            else {}
        )
        training = {name: part.training for name, part in self.model.named_modules()}
        return _Standing(buffers, training, autocast())

    def _weights(self) -> dict[str, Tensor]:
        """All parameters, trained or not, copied."""
        return {clean(name): local(weight).clone() for name, weight in self.model.named_parameters()}


def _lifted(trace: Trace, loss: Tensor | None, names: Mapping[int, str]) -> Lifted:
    if loss is None:
        raise NotLiftedError("a backward pass began at more than one number")
    outputs = {name: part for name, part in trace.returned.tensors.items() if part.ndim and part is not loss}
    return sliced(trace, led_by(trace, outputs, loss), loss, names)


def _why_not(standing: _Standing, losses: int, reason: str) -> str:
    """Why the capsule does not tell how each loss follows from what the model returned; "" where it does."""
    if reason != "chosen":
        return "the step was not chosen beforehand, and the operations of its loss were not noted"
    if standing.unlifted:
        return standing.unlifted
    if not len(standing.objectives) == len(standing.passes) == losses:
        return f"{len(standing.passes)} forward passes led to {losses} losses"
    return ""


def _passed(given: Given) -> Passed:
    tensors = {place: tensor.detach().clone() for place, tensor in named_tensors(given.arguments)}
    return Passed(skeleton(given.arguments), tensors, given.random)
