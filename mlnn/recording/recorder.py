"""`mlnn.record`: what happens in somebody's training loop, kept without a bit of it being changed.

Hooks of the model and the optimiser tell of batches, random streams, gradients and weights; losses are seen where every backward
pass begins, in `torch.autograd.backward`, which `Tensor.backward` looks up at every call.
"""

import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mlnn.arguments import whole
from mlnn.errors import ConfigError, RunFolderError
from mlnn.recording.again import null_of
from mlnn.recording.beside import Beside
from mlnn.recording.capsule import Capsule, Null
from mlnn.recording.fingerprint import Fingerprint, Printer, bits
from mlnn.recording.given import (
    check_folder,
    check_size,
    check_weights,
    plain_optimizer,
    rank_and_ranks,
    settings_at_start,
    steps_chosen,
)
from mlnn.recording.hooks import hooked
from mlnn.recording.keeping import Keeper
from mlnn.recording.parts import buffers_of, held_by, local
from mlnn.recording.records import RecordedStep
from mlnn.recording.tape import Tape
from mlnn.recording.window import Window

MOST_BYTES = 4_000_000_000
SKIPPED = "the gradient scaler found a gradient that is not finite"
MOST_SAID = 400
_running: list["Recorder"] = []


@contextmanager
def record(
    model: nn.Module,
    optimizer: Any,
    out: str | Path,
    *,
    capsules: Collection[int] = (0, 10, 100),
    every: int = 1,
    max_bytes: int = MOST_BYTES,
    about: Mapping[str, object] | None = None,
) -> Iterator["Recorder"]:
    """Record the training that happens inside the block, which stays as it is: the loop, its numbers and its random streams.

    model: the module that the loop calls, in its wrapper if it has one (DDP, FSDP2). optimizer: the torch optimiser that steps its
    weights, or a wrapper of it (accelerate's). out: a new folder; of several processes each writes into its own below it. Kept of
    each step of the optimiser: the losses, learning rates, fingerprints of the batches, of where the random streams stood, and, at
    every `every`-th step, of gradients and weights. capsules: steps that are kept in full, with weights, gradient and the rows that
    the model was given, and besides them the first step that is not finite; () keeps none. max_bytes: of all capsules together,
    as far as weights and gradients tell. about: words of yours, by name. Raises ConfigError for what cannot be recorded and
    RunFolderError where the folder cannot be written; a disk that fills later ends the recording with a warning, not the training.
    """
    _check_alone()
    recorder = Recorder(model, optimizer, out, capsules, every, max_bytes, about)
    problem: BaseException | None = None
    with recorder.watching():
        try:
            yield recorder
        except BaseException as error:
            problem = error
            raise
        finally:
            recorder.close(problem)


class Recorder:
    """A recording under way. `steps`: of the optimiser, so far; `folder`: where this process writes; `left`: ends a recording of
    which nobody says that it ended, which a training that raises may leave behind."""

    left: Callable[[], None] | None = None

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any,
        out: str | Path,
        capsules: Collection[int],
        every: int,
        max_bytes: int,
        about: Mapping[str, object] | None,
    ) -> None:
        self.model, self.optimizer = model, plain_optimizer(model, optimizer)
        check_folder(out)
        self.every = whole("every", every, 1)
        self.held = held_by(model, rank_and_ranks()[0])
        check_weights(self.held, self.optimizer, optimizer)
        chosen = steps_chosen(capsules)
        self.keeper = Keeper(model, self.held, chosen)
        check_size(model, self.held, len(chosen), whole("max_bytes", max_bytes, 0))
        self.printer = Printer([held.piece for held in self.held], local(self.held[0].weight).device)
        self.window, self.steps, self.stepped = Window(), 0, 0
        self.beside = Beside(model, self.held)
        self.gradient: Fingerprint | None = None
        self.rates: tuple[float, ...] = ()
        self.scale, self.trouble, self.busy = 1.0, "", False
        self.depth, self.seen_at, self.backward, self.offers = 0, 0, False, True
        self.thread = threading.get_ident()
        self.tape = Tape(out, settings_at_start(model, self.optimizer, self.held, self.every, about))
        self.folder = self.tape.folder
        self.tape.start(self._print_weights())

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hooks in place, and taken away again."""
        _running.append(self)
        backward, scaled = torch.autograd.backward, torch.amp.GradScaler.step
        torch.autograd.backward = self._seeing_losses(backward)
        torch.amp.GradScaler.step = self._seeing_scales(scaled)  # type: ignore[method-assign]
        forward, step = (self._before_forward, self._after_forward), (self._before_step, self._after_step)
        try:
            with hooked(self.model, self.optimizer, forward, step, self._end):
                yield
        finally:
            torch.autograd.backward, torch.amp.GradScaler.step = backward, scaled  # type: ignore[method-assign]
            _running.remove(self)

    def offer(self, *args: Any, **kwargs: Any) -> None:
        """A batch that the loop is about to make a loss of, for loops that may call parts of the model instead of the model. If
        the model itself is called before the next backward pass, what it is given counts in place of this batch."""
        if self.offers and torch.is_grad_enabled() and not self._idle:
            self._see_forward(args, kwargs)
            self.window.offered = True

    def _before_forward(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.depth += 1
        if self._idle or self.backward or not torch.is_grad_enabled() or (self.depth > 1 and not self.window.offered):
            return  # a forward pass that is made once more on the way back is none
        # Lightning's strategies call the model with a batch for `training_step`, which calls the model
        if self.window.offered:
            self.offers = self.offers and self.depth > 1
            self.window.take_back()
            self.keeper.take_back()
        self._see_forward(args, kwargs)
        self.window.offered, self.seen_at = self.depth == 1, self.depth

    @torch.no_grad()
    def _see_forward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.thread = threading.get_ident()
        if not self.window.forwards:
            self.window.notes.extend(self.beside.remarks())
        self.window.forward(args, kwargs)
        self.keeper.before_forward(self.steps, self.window.forwards[-1], len(self.window.forwards) == 1)

    def _after_forward(self, _module: nn.Module, _args: Any, output: Any) -> None:
        if self.depth == self.seen_at and torch.is_grad_enabled() and not (self._idle or self.backward):
            self.keeper.after_forward(output)
            self.window.offered, self.seen_at = False, 0
        self.depth -= 1

    def _seeing_losses(self, backward: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(backward)
        def watched(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self.thread:  # another training's, beside this one
                return backward(tensors, *args, **kwargs)
            if not (self._idle or self.backward):
                self.keeper.stop()
                loss = self.window.backward(tensors)
                self.keeper.at_loss(loss)
            before, self.backward = self.backward, True
            try:
                return backward(tensors, *args, **kwargs)
            finally:
                self.backward = before

        return watched

    def _seeing_scales(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """GradScaler.step: what it has multiplied losses with, and whether it has stepped at all."""

        @wraps(step)
        def watched(scaler: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            if optimizer is not self.optimizer or self.trouble:
                return step(scaler, optimizer, *args, **kwargs)
            self.scale, before = float(scaler.get_scale()), self.stepped
            found = step(scaler, optimizer, *args, **kwargs)
            if self.stepped == before and self.window.begun:
                with torch.no_grad():
                    self._finish(SKIPPED)
            self.scale = 1.0
            return found

        return watched

    def _before_step(self, _optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.keeper.stop()
        closure = next((one for one in (*args[1:], *kwargs.values()) if callable(one)), None)  # args[0]: the optimiser
        self.gradient = None
        self.rates = tuple(float(group["lr"]) for group in self.optimizer.param_groups)
        if closure is None:
            self._see_gradient()
            return None
        first: list[bool] = []

        @wraps(closure)
        def watched() -> Any:
            told = closure()
            if not first:  # L-BFGS asks again, elsewhere
                first.append(True)
                self._see_gradient()
            return told

        if callable(kwargs.get("closure")):
            return args, {**kwargs, "closure": watched}
        return tuple(watched if one is closure else one for one in args), kwargs

    @torch.no_grad()
    def _see_gradient(self) -> None:
        if self.trouble:
            return
        divisor = self._divisor()
        if self.steps % self.every == 0 or self.keeper.keeps(self.steps):
            found = self.printer.of(held.local(held.weight.grad) for held in self.held)
            self.gradient = found if divisor == 1.0 else found.scaled(1 / divisor)
        losses = self.window.values()
        finite = bool(np.isfinite(losses).all()) and (self.gradient is None or self.gradient.finite)
        self.keeper.at_gradient(divisor, finite, len(losses))

    def _divisor(self) -> float:
        """What the gradient is yet divided by: fused kernels do it themselves."""
        multiplied = getattr(self.optimizer, "grad_scale", None)
        return 1.0 if multiplied is None else float(multiplied)

    @torch.no_grad()
    def _after_step(self, *_: Any) -> None:
        self.stepped += 1
        # a fused kernel is called with a gradient that is not finite too, and leaves the weights alone
        if not self.trouble:
            self._finish(SKIPPED if float(getattr(self.optimizer, "found_inf", None) or 0) else "")

    def _finish(self, skipped: str = "") -> None:
        """Write down what was seen since the last step."""
        window, self.window = self.window, Window()
        losses = window.values()
        step = RecordedStep(
            self.steps, losses, tuple(given.seen for given in window.forwards), self.rates, self.scale,
            self.gradient, self._print_weights() if self.gradient else None, bits(dict(buffers_of(self.model))), skipped,
            window.remarks(),
        )  # fmt: skip
        try:
            self.tape.append(step)
            if skipped:  # the weights are still those before it
                self.keeper.at_gradient(self._divisor(), False, len(losses))
            self.keeper.finish(self.folder, step, window, self._null)
        except RunFolderError as problem:
            self._end(problem)
        self.beside.stepped()
        self.gradient, self.steps = None, self.steps + 1

    def _end(self, problem: Exception) -> None:
        """Something that the recorder does went wrong: no more is recorded, and the training goes on."""
        self.keeper.stop()
        said = str(problem) if isinstance(problem, RunFolderError) else f"{type(problem).__name__}: {problem}"
        self.trouble = said[:MOST_SAID]
        warnings.warn(f"mlnn.record: the recording ends at step {self.steps}: {self.trouble}", stacklevel=2)

    def _null(self, capsule: Capsule) -> Null | None:
        self.busy = True
        try:
            return null_of(self.model, capsule)
        finally:
            self.busy = False

    @property
    def _idle(self) -> bool:
        """Whether what happens is not to be recorded: the recording has ended, or it is its own doing."""
        return bool(self.trouble) or self.busy

    def _print_weights(self) -> Fingerprint:
        return self.printer.of(held.local(held.weight) for held in self.held)

    def close(self, problem: BaseException | None) -> None:
        """Say how the training ended, unless the disk does not let us."""
        self.keeper.stop()
        try:
            self.tape.close(self.trouble or ("finished" if problem is None else type(problem).__name__))
        except RunFolderError as error:
            warnings.warn(f"mlnn.record: {error}", stacklevel=2)


def _check_alone() -> None:
    """Raise ConfigError where a recording is under way; one that was begun by hand, and whose training has ended, ends now."""
    if _running and _running[-1].left:
        _running[-1].left()
    if _running:
        raise ConfigError("record: a recording is under way in this process; one at a time, and none inside another")
