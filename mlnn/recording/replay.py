"""`mlnn.replay`: a recorded step again, here, with this code; or under another loss, for a verdict at those weights."""

import copy
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.arguments import called, first_line, shown
from mlnn.comparing.comparison import compare
from mlnn.comparing.relations import weakest
from mlnn.comparing.verdict import Verdict
from mlnn.data import from_steps, nested
from mlnn.errors import ConfigError
from mlnn.lifting.roles import target_of
from mlnn.lifting.tree import outputs_in
from mlnn.objectives import Step
from mlnn.objectives.step import named
from mlnn.recording.again import Done, apart, apart_by_name, once_more, recorded_loss, state_of, unwrapped
from mlnn.recording.capsule import Capsule, read_capsule
from mlnn.training.descent import SGD
from mlnn.world import own_world

ROUNDINGS = 8.0
"""A step is another one where it is further from what was recorded than this many times what rounding alone has moved it by."""
RATE = 0.1
"""Of the one step of descent that a comparison makes from the recorded weights."""


def replay(
    capsule: Capsule | str | os.PathLike[str],
    model: nn.Module | Callable[[], nn.Module],
    *,
    loss: Callable[..., Any] | None = None,
    step: Callable[..., Any] | None = None,
    target: str | None = None,
) -> Verdict:
    """A recorded step done again, with this code, on this machine.

    capsule: a folder that `mlnn.record` has written, or what was read from it. model: a module of the same parameters, or a
    factory () → nn.Module; it is given the recorded weights, buffers, rows and random streams, and is itself left as it is.

    Without loss and step: left is what was recorded, right the same step here. "bitwise" where losses and gradient have its bits;
    else how far they are apart, in float64 where the model can be raised to it, is held against what rounding alone does to this
    step. loss: (raw output, target) → scalar, or one number a row, in place of the recorded one; the target is that of the
    recorded loss, `target` its name where several tensors may be. step: fn(model, batch) → loss, where batch has `args`, `kwargs`
    (what the model was given) and `target`. With one of them left is the recorded loss and right this one (of several
    micro-batches the mean), compared as `mlnn.compare` does at the recorded weights, in float64 too, with faults planted. Raises
    ConfigError where model or loss do not fit the capsule, DataError for a damaged one.
    """
    found = capsule if isinstance(capsule, Capsule) else read_capsule(Path(capsule))
    if loss is not None and step is not None:
        raise ConfigError("replay: give loss= or step=, not both")
    if found.sharded:
        raise ConfigError("replay: this capsule holds one process's shards of the weights; a whole model's is needed")
    for what, given in (("loss", loss), ("step", step)):
        if given is not None:
            called(what, given, "a function")
    with own_world(found.threads, 0):
        module = _module(model)
        if loss is None and step is None:
            return _held_to_record(found, module)
        return _against(found, module, loss, step, target)


def _module(model: Any) -> nn.Module:
    try:
        made = model if isinstance(model, nn.Module) or not callable(model) else model()
    except Exception as problem:
        raise ConfigError(
            f"replay: model: {shown(model)} raised {type(problem).__name__}: {first_line(problem)}"
        ) from problem
    if not isinstance(made, nn.Module):
        raise ConfigError(f"replay: model: {shown(made)}; an nn.Module or a factory () → nn.Module is needed")
    return unwrapped(made)


@dataclass(frozen=True)
class _Apart:
    """How far a step is from the recorded one, and `rounding`: what rounding does to it; relative, of the gradient and the loss.

    `factor`: of the gradient, and the `residual` beside it; `finer`: whether the step could be done in float64; `parameters`: of
    each alone how far it is, the farthest first.
    """

    gradient: float
    loss: float
    rounding: float
    loss_rounding: float
    factor: float
    residual: float
    finer: bool
    parameters: list[dict[str, object]]


def _held_to_record(capsule: Capsule, model: nn.Module) -> Verdict:
    """The verdict of what was recorded against the same step here."""
    here = once_more(model, capsule)
    recorded = Done(capsule.losses, capsule.gradient)
    value, gradient = here.losses == recorded.losses, _same(recorded.gradient, here.gradient)
    if not any(float(slope.abs().max()) for slope in recorded.gradient.values() if slope.numel()):
        return _verdict(
            "undecided", "undecided", capsule, "the recorded gradient is zero: such a step says nothing", None
        )
    if not all(map(math.isfinite, recorded.losses)):
        return _of_broken(capsule, here)
    found = _apart(capsule, model, recorded, here)
    told = f"The gradient is {found.gradient:.2g} from the recorded one, the loss {found.loss:.2g}, relative"
    yard = f"rounding alone moves this step by {found.rounding:.2g}" + (
        " (held against float64)" if found.finer else ""
    )
    words = ["bitwise" if value else _relation(found.loss, found.loss_rounding), "bitwise" if gradient else ""]
    words[1] = words[1] or _of_gradient(found)
    if words == ["bitwise", "bitwise"]:
        return _verdict("bitwise", "bitwise", capsule, "The step has the recorded bits, losses and gradient.", found)
    if words[1] == "scaled":
        told = (
            f"The gradient is the recorded one times {found.factor:.7g}, and the loss {found.loss:.2g} from the recorded one,"
            " relative: between backward pass and step gradients were scaled, or clipped, or another scale came in since"
        )
    return _verdict(words[0], words[1], capsule, f"{told}; {yard}.", found)


def _apart(capsule: Capsule, model: nn.Module, recorded: Done, here: Done) -> _Apart:
    """Distances of the record from the step in float64 where that can be had, else from the step here."""
    fine = _finer(capsule, model)
    held = fine or here
    null = capsule.null
    own = apart_by_name(held.gradient, here.gradient) if fine else 0.0
    own_loss = apart(held.losses, here.losses) if fine else 0.0
    eps = max(torch.finfo(slope.dtype).eps for slope in capsule.gradient.values())
    factor = _factor(recorded.gradient, held.gradient)
    scaled = {name: slope.double() * factor for name, slope in recorded.gradient.items()}
    return _Apart(
        apart_by_name(held.gradient, recorded.gradient), apart(held.losses, recorded.losses),
        max(own, null.gradient if null else 0.0, eps), max(own_loss, null.loss if null else 0.0, eps),
        factor, apart_by_name(held.gradient, scaled), fine is not None, _by_parameter(recorded.gradient, held.gradient),
    )  # fmt: skip


def _by_parameter(recorded: Mapping[str, Tensor], here: Mapping[str, Tensor]) -> list[dict[str, object]]:
    """Of each parameter the norm of its recorded gradient and how far that is from the one here, relative to all of it."""
    whole = sum(float(slope.double().square().sum()) for slope in recorded.values()) ** 0.5
    rows = []
    for name, slope in recorded.items():
        gap = float((here[name].cpu().double() - slope.double()).norm()) if name in here else math.nan
        rows.append((gap, {"parameter": name, "norm": float(slope.double().norm()), "distance": gap / whole}))
    rows.sort(key=lambda row: -row[0] if row[0] == row[0] else -math.inf)
    return [told for _, told in rows]


def _finer(capsule: Capsule, model: nn.Module) -> Done | None:
    """The step in float64; None where something in the model cannot be raised to it."""
    try:
        found = once_more(model, capsule, double=True)
    except Exception:  # whatever a kernel raises that is handed float64
        return None
    return found if all(map(math.isfinite, found.losses)) else None


def _relation(distance: float, rounding: float) -> str:
    return "indistinguishable" if distance <= ROUNDINGS * rounding else "different"


def _of_gradient(found: _Apart) -> str:
    if found.gradient <= ROUNDINGS * found.rounding:
        return "indistinguishable"
    return "scaled" if found.factor > 0 and found.residual <= ROUNDINGS * found.rounding else "different"


def _factor(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> float:
    """c of the least ‖two − c·one‖."""
    both = [(one[name].cpu().double(), two[name].cpu().double()) for name in one if name in two]
    size = sum(float(first.square().sum()) for first, _ in both)
    return sum(float((first * second).sum()) for first, second in both) / size


def _same(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(slope, two[name].cpu()) for name, slope in one.items() if name in two)


def _of_broken(capsule: Capsule, here: Done) -> Verdict:
    finite = all(map(math.isfinite, here.losses))
    if finite:
        return _verdict(
            "broken", "broken", capsule, "What was recorded is not finite, and the same step here is.", None
        )
    return _verdict(
        "undecided", "undecided", capsule, "The loss is not finite, there and here: nothing is told by it.", None
    )


def _verdict(value: str, gradient: str, capsule: Capsule, sentence: str, found: _Apart | None) -> Verdict:
    evidence: dict[str, object] = {"step": capsule.step, "replayed": "the recorded step, here"}
    if found is not None:
        evidence |= {
            "parameters": found.parameters,
            "gradient_distance": found.gradient, "loss_distance": found.loss, "rounding": found.rounding,
            "finer": found.finer, "residual": found.residual,
        }  # fmt: skip
    return Verdict(
        weakest(value, gradient), value, gradient, sentence, scale=found.factor if found and gradient == "scaled" else 1.0,
        resolution=ROUNDINGS * found.rounding if found else None, evidence=evidence,
    )  # fmt: skip


def _against(
    capsule: Capsule,
    model: nn.Module,
    loss: Callable[..., Any] | None,
    step: Callable[..., Any] | None,
    target: str | None,
) -> Verdict:
    """The verdict of the recorded loss against another one, at the recorded weights."""
    of = recorded_loss(capsule)

    def made() -> nn.Module:
        twin = copy.deepcopy(model)
        state_of(twin, capsule)
        return twin

    def left(module: nn.Module, _batch: object) -> Tensor:
        passed = _passed(capsule, module)
        losses = [of(module(*args, **kwargs), place) for place, (args, kwargs) in enumerate(passed)]
        return reduce(torch.add, losses) / capsule.scale

    def right(module: nn.Module, _batch: object) -> Tensor:
        passed = _passed(capsule, module)
        losses = [_asked(capsule, module, place, one, loss, step, target) for place, one in enumerate(passed)]
        return reduce(torch.add, losses) / len(passed)

    name = named(loss if loss is not None else step)
    found = compare(
        made, Step(left, "recorded"), Step(right, name), from_steps([[torch.zeros(1)]], 1), optimizer=_descent, steps=1,
        batch_size=None, dtype=_dtype(capsule), null_twins=0,
    ).verdict  # fmt: skip
    return replace(found, sentence=f"Left is what was recorded, right is {name}. {found.sentence}")


def _descent(weights: Any) -> torch.optim.Optimizer:
    return SGD(weights, lr=RATE)


def _asked(
    capsule: Capsule,
    module: nn.Module,
    place: int,
    passed: tuple[list[Any], dict[str, Any]],
    loss: Callable[..., Any] | None,
    step: Callable[..., Any] | None,
    target: str | None,
) -> Tensor:
    args, kwargs = passed
    wanted = _target(capsule, place, target, next(module.parameters()))
    if step is not None:
        found = step(module, SimpleNamespace(args=args, kwargs=kwargs, target=wanted))
    else:
        assert loss is not None
        found = loss(_raw(capsule, place, module(*args, **kwargs)), wanted)
    return found.mean() if isinstance(found, Tensor) and found.ndim else found


def _target(capsule: Capsule, place: int, name: str | None, beside: Tensor) -> Tensor | None:
    lifted = capsule.objectives[place]
    if name is None and len(lifted.constants) == 0:
        return None
    value: Tensor = lifted.constants[target_of(lifted, name)].value
    return value.to(beside.device, beside.dtype if value.is_floating_point() else value.dtype, copy=True)


def _raw(capsule: Capsule, place: int, output: object) -> Any:
    """The raw output that the recorded loss was made of; a tuple where there were several."""
    found = outputs_in(output)
    raw = [found[entry.name] for entry in capsule.objectives[place].outputs]
    return raw[0] if len(raw) == 1 else tuple(raw)


def _passed(capsule: Capsule, module: nn.Module) -> list[tuple[list[Any], dict[str, Any]]]:
    """What the model was given, of each forward pass, in its own precision."""
    beside = next(module.parameters())
    return [nested.cast(one.given(), beside.dtype, beside.device) for one in capsule.passes]


def _dtype(capsule: Capsule) -> torch.dtype:
    """The precision of most of the recorded weights."""
    sizes: dict[torch.dtype, int] = {}
    for weight in capsule.weights.values():
        sizes[weight.dtype] = sizes.get(weight.dtype, 0) + weight.numel()
    return max(sizes, key=lambda dtype: sizes[dtype])
