"""`mlnn.lift`: the objective of somebody's own training as a function of the raw outputs, taken out of a step or a capsule."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.arguments import shown
from mlnn.data.nested import replaced
from mlnn.errors import ConfigError
from mlnn.lifting.leading import NotLiftedError, led_by
from mlnn.lifting.lifted import Lifted
from mlnn.lifting.roles import Form, forms, outputs_of, target_of
from mlnn.lifting.rows import BatchLoss, RowLoss
from mlnn.lifting.separating import REFUSALS, separated
from mlnn.lifting.slicing import READ, sliced
from mlnn.lifting.tracing import Trace
from mlnn.lifting.tree import named_tensors
from mlnn.objectives import Objective, Step
from mlnn.recording.capsule import Capsule, read_capsule
from mlnn.seeding import derive
from mlnn.targets import TargetSpace
from mlnn.world import own_world

APART = 0.02
"""Relative: losses, or gradients, of one formula are apart by the rounding of their precision, of bfloat16 by 0.01 at most."""
MOVES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda output: (
        output + 0.25 * (1 + output.abs()) * torch.sin(torch.arange(output.numel()).to(output)).reshape(output.shape)
    ),
    lambda output: output - output.max() - 1,
    lambda output: output - output.min() + 1,
    lambda output: 10 * output,
)
"""How raw outputs are moved to see whether the step still computes what was lifted: each its own way, below 0, above, far out."""


def lift(
    source: Any,
    model: nn.Module | None = None,
    batch: Any = None,
    *,
    target: str | None = None,
    targets: str | TargetSpace | None = None,
) -> Objective:
    """The objective of a training step as a function of raw outputs and targets, for `audit`, `compare` and the gate.

    source: a step, fn(model, batch) → loss or `mlnn.Step`, with a model and a batch of its own; or a capsule, or its folder. The
    step is done once, on copies, in a world of its own; the model's buffers are as they were afterwards. target: the name of the
    tensor that is the target, where several may be ("labels", "1"). targets: what a target may be, where one batch does not tell
    (numbers: "real", "counts", "positive", "unit").

    The raw output is what the model's forward returned: the tensor called logits, or those of real numbers that the loss is made
    of. The objective is one of rows where the batch's loss is the mean of what its positions give alone, any factor of it included,
    and of whole batches of the recorded shape where it is not; `mlnn.lifting.described` says which, and what it minimises.
    Raises NotLiftedError (a `mlnn.errors.NoAnswerError`) with the reason where there is no such objective, and ConfigError where
    target or model cannot be told.
    """
    space = None if targets is None else TargetSpace.parse(targets)
    if isinstance(source, str | os.PathLike):
        source = read_capsule(Path(source))
    if isinstance(source, Capsule):
        return of_lifted(_of_capsule(source), target=target, targets=space)
    if isinstance(source, Lifted):
        return of_lifted(source, target=target, targets=space)
    if not callable(source) or not isinstance(model, nn.Module):
        raise ConfigError(
            f"lift: {shown(source)}: give a capsule, or a step fn(model, batch) → loss with its model, an nn.Module, and a batch"
        )
    step = source if isinstance(source, Step) else Step(source)
    return of_lifted(lifted_step(step, model, batch), step.name, target, space)


def of_lifted(
    lifted: Lifted, name: str = "", target: str | None = None, targets: TargetSpace | None = None
) -> Objective:
    """The objective of a lifted loss: of rows, or of whole batches where its rows do not stand alone.

    Raises ConfigError where the target cannot be told.
    """
    place = target_of(lifted, target)
    reason, first = "", None
    for form in forms(lifted, lifted.constants[place].value, targets):
        first = first or form
        loss = RowLoss(lifted, place, form)
        try:
            found = separated(loss)
        except REFUSALS as problem:
            found = f"a batch that holds one raw output and target everywhere is refused ({type(problem).__name__})"
        if not isinstance(found, str):
            return _objective(name or "lifted", found, form)
        reason = reason or found
    if first is None:
        entry = lifted.constants[place]
        raise ConfigError(
            f"target: '{entry.name}' {tuple(entry.value.shape)} goes with none of the raw outputs"
            f" {[tuple(one.value.shape) for one in lifted.outputs]}" + (f" as '{targets}'" if targets else "")
        )
    return _objective(name or "lifted", BatchLoss(lifted, place, first, reason), first)


def _objective(name: str, loss: RowLoss | BatchLoss, form: Form) -> Objective:
    taken = outputs_of(loss.lifted, form)
    if taken == "log-probabilities" and isinstance(loss, RowLoss):
        logs = replace(form, logs=True)
        loss = replace(loss, form=logs, spread=loss.spread and replace(loss.spread, form=logs))
    return Objective(name, loss, "probabilities" if taken == "probabilities" else "raw", form.space)


def _of_capsule(capsule: Capsule) -> Lifted:
    if not capsule.objectives:
        raise NotLiftedError(
            f"the capsule of step {capsule.step} holds no objective: {capsule.unlifted or 'none was seen'}"
        )
    found, scaled = capsule.objectives[0], capsule.scale != 1
    notes = [f"a loss scaler's factor {capsule.scale:g} is in it, which the optimiser does not see"] if scaled else []
    if len(capsule.objectives) > 1:
        notes.append(f"it is that of the first of {len(capsule.objectives)} micro-batches")
    if not capsule.hashed:
        notes.append("the step was kept by an earlier mlnn, without a checksum that would show whether it was changed")
    return replace(found, notes=(*found.notes, *notes))


def lifted_step(step: Step, model: nn.Module, batch: Any) -> Lifted:
    """The loss of a step as a function of what the model returned. Raises NotLiftedError where it is none."""
    with own_world(None, derive(0, "lift")), _buffers_kept(model):
        given, trace = _copied(batch), Trace()
        with _hooked(model, trace.gave), trace:
            loss = step(model, given)
        if not trace.returned.tensors:
            raise NotLiftedError(
                "the step did not call the model that was given with it, or that returned no tensor of real numbers"
            )
        names = {id(part): f"weight {name}" for name, part in model.named_parameters()}
        names |= {id(part): place or "batch" for place, part in named_tensors(given)}
        raw = led_by(trace, {name: part for name, part in trace.returned.tensors.items() if part is not loss}, loss)
        found = sliced(trace, raw, loss, names)
        notes = [*found.notes, *_other_backward(found, raw, loss)]
    with own_world(None, derive(0, "lift")), _buffers_kept(model):
        there = _elsewhere(found, trace, loss, lambda: step(model, _copied(batch)), model)
    if there is not None:  # what was only a fear is now known
        notes = [note for note in notes if note != READ] + there
    return replace(found, notes=tuple(notes))


def _copied(batch: Any) -> Any:
    """A copy of a batch's tensors; one that stands in two places is one tensor still."""
    known: dict[int, Tensor] = {}

    def one(tensor: Tensor) -> Tensor:
        if id(tensor) not in known:
            known[id(tensor)] = tensor.detach().clone().requires_grad_(tensor.requires_grad)
        return known[id(tensor)]

    return replaced(batch, one)


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """Buffers (running means) are afterwards what they were."""
    before = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)


@contextmanager
def _hooked(model: nn.Module, gave: Callable[[Any], None]) -> Iterator[None]:
    hook = model.register_forward_hook(lambda _module, _given, output: gave(output))
    try:
        yield
    finally:
        hook.remove()


def _other_backward(found: Lifted, raw: Mapping[str, Tensor], loss: Tensor) -> Iterator[str]:
    """A note where the step's own backward pass gives another gradient than its formula's: training follows that one."""
    asked = [raw[entry.name] for entry in found.outputs]
    unchanged = all(torch.equal(part.detach(), entry.value) for part, entry in zip(asked, found.outputs, strict=True))
    if not unchanged or not loss.requires_grad or not all(part.requires_grad for part in asked):
        return
    theirs = torch.autograd.grad(loss, asked, allow_unused=True, retain_graph=True)
    points = [entry.value.clone().requires_grad_() for entry in found.outputs]
    ours = torch.autograd.grad(found(*points), points, allow_unused=True)
    for entry, one, two in zip(found.outputs, theirs, ours, strict=True):
        if one is None or two is None:
            continue
        off = float((one - two).abs().max() / one.abs().max().clamp_min(torch.finfo(one.dtype).tiny))
        if off > APART:
            yield (
                f"the step's own backward pass gives '{entry.name}' another gradient than its formula has, off by {off:.2g} of the"
                " largest: training follows that one, the lifted objective the formula"
            )


def _elsewhere(
    found: Lifted, trace: Trace, loss: Tensor, again: Callable[[], Tensor], model: nn.Module
) -> list[str] | None:  # fmt: skip
    """A note where the step, done again with its raw outputs moved, gives another loss than what was lifted; None: not known."""
    numbers = {entry.name: trace.find(trace.returned.tensors[entry.name]) for entry in found.outputs}
    end = trace.find(loss)
    made = trace.known[end].made if end is not None else None
    if made is None or any(number is None or made < trace.returned.places[number] for number in numbers.values()):
        return None  # the loss was made inside of the model's forward
    known = True
    for move in MOVES:
        moved: dict[str, Tensor] = {}

        def put(output: Any, move: Callable[[Tensor], Tensor] = move, into: dict[str, Tensor] = moved) -> None:
            for place, part in named_tensors(output):
                if (place or "output") in numbers:
                    part.data.copy_(move(part.data))
                    into[place or "output"] = part.detach().clone()

        with _hooked(model, put):
            try:
                there = float(again().detach())
                here = float(found(*(moved[entry.name] for entry in found.outputs)).detach())
            except Exception:  # raw outputs that it refuses: probabilities, or those of a second forward pass
                known = False
                continue
        if not abs(there - here) <= APART * max(abs(there), abs(here)):
            return [
                f"at other raw outputs the step gives {there:.6g} and what was lifted {here:.6g}: the step decides something in"
                " Python by their values, which is frozen as it was"
            ]
    return [] if known else None
