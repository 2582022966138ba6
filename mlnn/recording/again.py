"""A capsule's step done once more: the same weights, rows, masks and losses, here and now, in its precision or in float64."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.stateless import _reparametrize_module

from mlnn.errors import ConfigError
from mlnn.lifting.lifted import Lifted
from mlnn.lifting.tree import outputs_in
from mlnn.objectives.promotion import promoted
from mlnn.recording.capsule import Capsule, Null, Passed, ulp_moved
from mlnn.recording.hooks import others_on
from mlnn.recording.parts import clean
from mlnn.recording.streams import kept, put_back

Loss = Callable[[Any, int], Tensor]
"""(what the model returned, which forward pass) → its loss."""


@dataclass(frozen=True, eq=False)
class Done:
    """A step that was done: `losses` (m,), one a forward pass, and the `gradient` of their sum by parameter, each divided by what a
    gradient scaler had multiplied the loss with."""

    losses: tuple[float, ...]
    gradient: Mapping[str, Tensor]


def once_more(
    model: nn.Module,
    capsule: Capsule,
    *,
    weights: Mapping[str, Tensor] | None = None,
    loss: Loss | None = None,
    double: bool = False,
) -> Done:
    """The step of a capsule by a model of the same parameters, which stays as it is, as do the random streams.

    weights: by name, in place of the capsule's. loss: in place of the capsule's own. double: in float64, casts inside promoted.
    Raises ConfigError where the model has other parameters, or the capsule does not tell its loss.
    """
    model = unwrapped(model)
    found = loss or recorded_loss(capsule)
    named = _standing(model, capsule, weights or capsule.weights, double)
    trained = {name: part for name, part in named.items() if part.requires_grad}
    losses, total = [], {name: torch.zeros_like(part) for name, part in trained.items()}
    with kept(), _modes(model, capsule), ExitStack() as around, torch.enable_grad():
        if double:
            around.enter_context(promoted())
        elif capsule.autocast:
            device, dtype = capsule.autocast
            around.enter_context(torch.autocast(device, getattr(torch, dtype)))
        for place, one in enumerate(capsule.passes):
            # the way back as well: checkpointed layers compute themselves once more there
            with _reparametrize_module(model, dict(named), tie_weights=True):
                value = found(_forward(model, named, one, double), place)
                slopes = torch.autograd.grad(value, list(trained.values()), allow_unused=True)
            losses.append(float(value.detach()))
            for name, slope in zip(trained, slopes, strict=True):
                if slope is not None:
                    total[name] += slope
    return Done(tuple(losses), {clean(name): slope / capsule.scale for name, slope in total.items()})


def recorded_loss(capsule: Capsule) -> Loss:
    """The losses as the capsule's own operations make them of what the model returned; ConfigError where it has none."""
    if capsule.unlifted:
        raise ConfigError(f"replay: the capsule does not tell its loss ({capsule.unlifted}); give loss= or step=")

    def of(output: object, place: int) -> Tensor:
        return applied(capsule.objectives[place], output)

    return of


def applied(lifted: Lifted, output: object) -> Tensor:
    """A lifted objective of what a model returned."""
    outputs = outputs_in(output)
    names = [entry.name for entry in lifted.outputs]
    missing = next((name for name in names if name not in outputs), None)
    if missing is not None:
        raise ConfigError(f"replay: the model returns no '{missing}', of which the recorded loss is made")
    return lifted(*(outputs[name] for name in names))


def null_of(model: nn.Module, capsule: Capsule) -> Null | None:
    """How far rounding moves a step, which is done twice more for it by a copy of the model, once with every weight changed by one
    ulp. None where that might do more than compute (hooks of somebody's own would be called, several processes would have to meet,
    or the copy would still be the model: accelerate puts a function in place of `forward`, which has the model itself), and where
    the model cannot be copied, or does not fit twice."""
    parts = list(model.modules())
    if capsule.unlifted or capsule.sharded or any("forward" in vars(part) or others_on(part) for part in parts):
        return None
    try:
        return _moved(model, capsule)
    except Exception:
        return None


def _moved(model: nn.Module, capsule: Capsule) -> Null:
    shared = {id(part): part for part in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(unwrapped(model), shared)
    own = once_more(twin, capsule)
    moved = once_more(twin, capsule, weights={name: ulp_moved(part) for name, part in capsule.weights.items()})
    same = own.losses == capsule.losses and all(
        torch.equal(slope.cpu(), capsule.gradient[name])
        for name, slope in own.gradient.items()
        if name in capsule.gradient
    )
    return Null(apart(own.losses, moved.losses), apart_by_name(own.gradient, moved.gradient), same)


def apart(one: Sequence[float], two: Sequence[float]) -> float:
    """How far the sums of losses are from each other, relative to the first."""
    return abs(sum(two) - sum(one)) / abs(sum(one)) if sum(one) else abs(sum(two))


def apart_by_name(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> float:
    """‖two − one‖ over ‖one‖, of all tensors that both have, in float64; the largest number where only one of them is zero."""
    both = [(_real(one[name]), _real(two[name])) for name in one if name in two]
    size = sum(float(first.square().sum()) for first, _ in both)
    gap = sum(float((second - first).square().sum()) for first, second in both)
    return (gap / size) ** 0.5 if size else (0.0 if gap == 0 else float("inf"))


def _real(tensor: Tensor) -> Tensor:
    """Its numbers in float64, the imaginary ones among them."""
    return (torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor).cpu().double()


@torch.no_grad()
def state_of(model: nn.Module, capsule: Capsule) -> None:
    """Let a model stand where the recorded one stood: weights, buffers, and which parts are in training mode."""
    held = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, value in _standing(model, capsule, capsule.weights, double=False).items():
        held[name].copy_(value)
    for name, part in model.named_modules():
        part.training = _recorded_modes(capsule).get(name, part.training)


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside of DDP or torch.compile."""
    for name in ("_orig_mod", "module"):
        inner = getattr(model, name, None)
        if isinstance(inner, nn.Module) and len(list(model.children())) == 1 and not _has_own(model):
            return unwrapped(inner)
    return model


def _has_own(model: nn.Module) -> bool:
    """Whether a module's class is none of torch's, so that what it holds is a part of it and not what it wraps."""
    return not type(model).__module__.startswith("torch.")


def _standing(model: nn.Module, capsule: Capsule, weights: Mapping[str, Tensor], double: bool) -> dict[str, Tensor]:
    """All tensors of the model by its own names, with the capsule's values."""
    named = {}
    for name, part in model.named_parameters():
        value = _taken(name, part, weights, "weight", double)
        named[name] = value.requires_grad_(part.requires_grad and clean(name) in capsule.weights)
    for name, buffer in model.named_buffers():
        if clean(name) in capsule.buffers:  # one that is not kept (a table that is computed) stays the model's own
            named[name] = _taken(name, buffer, capsule.buffers, "buffer", double)
    unknown = next((name for name in weights if name not in {clean(own) for own in named}), None)
    if unknown is not None:
        raise ConfigError(f"replay: the model has no weight '{unknown}', which the recorded one had")
    return named


def _taken(name: str, part: Tensor, held: Mapping[str, Tensor], what: str, double: bool) -> Tensor:
    value = held.get(clean(name))
    if value is None or value.shape != part.shape:
        told = "was not there" if value is None else f"had shape {tuple(value.shape)}, here {tuple(part.shape)}"
        raise ConfigError(f"replay: the model's {what} '{clean(name)}' {told} when the capsule was recorded")
    return _as(value.to(part.device, copy=True), double)


def _as(value: Tensor, double: bool) -> Tensor:
    return value.double() if double and value.is_floating_point() else value


def _forward(model: nn.Module, named: Mapping[str, Tensor], one: Passed, double: bool) -> Any:
    put_back(one.random)
    device = next(iter(named.values())).device
    tensors = {place: _as(tensor.to(device, copy=True), double) for place, tensor in one.tensors.items()}
    args, kwargs = Passed(one.arguments, tensors, one.random).given()
    return model(*args, **kwargs)


@contextmanager
def _modes(model: nn.Module, capsule: Capsule) -> Iterator[None]:
    """Every part in training mode, or not, as it was recorded, and as before afterwards."""
    before = {part: part.training for part in model.modules()}
    recorded = _recorded_modes(capsule)
    try:
        for name, part in model.named_modules():
            part.training = recorded.get(name, part.training)
        yield
    finally:
        for part, training in before.items():
            part.training = training


def _recorded_modes(capsule: Capsule) -> dict[str, bool]:
    return {clean(f"{name}.").rstrip("."): training for name, training in capsule.training.items()}
