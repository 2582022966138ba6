"""A lane put where another one stands, in all that it keeps: weights, buffers, plain attributes, and what its optimiser holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mlnn.data import nested
from mlnn.training.lane import Lane

State = Mapping[str, Any]
"""What an optimiser keeps of one weight, by name."""
PLAIN = (bool, int, float, str, type(None))
MODULES_OWN = frozenset(vars(torch.nn.Module()))
"""What every module keeps; anything else is an attribute of its class's own, such as a count of calls."""


def stand(lane: Lane, leader: Lane) -> None:
    """Put a lane where its leader stands; its optimiser stays as it is."""
    lane.stopped = None
    lane.take_over(lane.wanted(leader))
    if lane.recipe.mapping is not None:
        return
    for mine, theirs in zip(lane.module.modules(), leader.module.modules(), strict=False):
        if type(mine) is type(theirs):
            plain = {k: v for k, v in vars(theirs).items() if k not in MODULES_OWN and isinstance(v, PLAIN)}
            vars(mine).update(plain)


def carry(lane: Lane, leader: Lane, started: bool = False) -> str | None:
    """Put the state of a leader's optimiser into a lane's, whose own settings stay; why that cannot be done, in words.

    Where the two optimisers are not of one recipe, the lane's has to have taken a step: what it kept then is all that it keeps.
    started: whether the leader's has taken steps. If it keeps nothing of them (SGD without momentum), the lane's goes on with what
    it keeps itself: emptied it would step as at the first step, and momentum would not be seen.
    """
    theirs: list[State] = [leader.optimizer.state.get(weight, {}) for weight in leader.weights]
    mine: list[State] = [lane.optimizer.state.get(weight, {}) for weight in lane.weights]
    if lane.recipe is not leader.recipe:
        lacking = sorted({name for state in mine for name in state} - {name for state in theirs for name in state})
        if lacking and any(theirs):
            return f"right's optimizer keeps {', '.join(lacking)}, which left's does not"
        if lacking and started:
            return None
        names = {name for state in mine for name in state}
        kept: list[State] = [{name: value for name, value in state.items() if name in names} for state in theirs]
        theirs = kept
    if lane.recipe.mapping is not None:
        found = _mapped(lane, leader, theirs)
        if found is None:
            return "what left's optimizer keeps has not the shape of its weights, and cannot be mapped"
        theirs = list(found)
    for weight, state in zip(lane.weights, theirs, strict=True):
        lane.optimizer.state[weight] = {
            name: _cast(value, lane.dtype, weight.ndim == 0 and name != "step") for name, value in state.items()
        }
    return None


def idle(lane: Lane, times: int) -> str | None:
    """Step a lane's optimiser without gradients, for what goes by the count of its steps, such as a schedule in a hook; why
    that cannot be done, in words. Its weights are not to be relied on afterwards.

    torch's own optimisers without hooks have nothing that goes by that count but their state, and are left alone.
    """
    if not _counts(lane.optimizer):
        return None
    for weight in lane.weights:
        weight.grad = None
    try:
        for _ in range(times):
            lane.optimizer.step()
    except Exception as problem:  # somebody's own optimiser, or a hook of it, that needs gradients
        return f"{type(lane.optimizer).__name__} cannot be stepped without gradients ({type(problem).__name__})"
    return None


def _counts(optimizer: torch.optim.Optimizer) -> bool:
    """Whether something of an optimiser's own may go by the number of its steps."""
    hooks = [*optimizer._optimizer_step_pre_hooks.values(), *optimizer._optimizer_step_post_hooks.values()]
    return bool(hooks) or "step" in vars(optimizer) or not type(optimizer).__module__.startswith("torch.optim")


def _mapped(lane: Lane, leader: Lane, states: Sequence[State]) -> list[dict[str, Any]] | None:
    """A leader's states, one per weight of its own, as states per weight of the lane; None where they cannot be mapped."""
    found: list[dict[str, Any]] = [{} for _ in lane.weights]
    for name in dict.fromkeys(name for state in states for name in state):
        values = [state.get(name) for state in states]
        if all(isinstance(v, Tensor) and v.shape == w.shape for v, w in zip(values, leader.weights, strict=True)):
            parts: Sequence[Any] = lane.translate(leader, values)  # type: ignore[arg-type]
        elif all(repr(value) == repr(values[0]) for value in values):
            parts = [values[0]] * len(found)
        else:
            return None
        for state, part in zip(found, parts, strict=True):
            state[name] = part
    return found


def _cast(value: Any, dtype: torch.dtype, single: bool) -> Any:
    """A state in a dtype, a copy; single numbers, such as a count of steps, stay in their own, but for those of a weight that is
    a `single` number itself."""

    def one(tensor: Tensor) -> Tensor:
        own = dtype if (tensor.ndim or single) and tensor.is_floating_point() else tensor.dtype
        return tensor.detach().to(own, copy=True)

    return nested.replaced(value, one)
