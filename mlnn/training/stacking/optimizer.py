"""A torch optimiser whose arithmetic is elementwise steps many lanes at once: their weights are one parameter."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn, optim

from mlnn.arguments import first_line
from mlnn.training.descent import SGD
from mlnn.training.lane import Lane
from mlnn.training.stacking.stack import UnstackableError

ELEMENTWISE = (
    SGD, optim.SGD, optim.Adam, optim.AdamW, optim.Adamax, optim.NAdam, optim.RAdam, optim.RMSprop, optim.Adagrad,
    optim.Adadelta, optim.Rprop, optim.ASGD,
)  # fmt: skip
"""Each entry of a weight is stepped by its own gradient and history alone. Other people's subclasses may do anything."""
FUSED = (torch.float32, torch.float64)
"""Precisions whose fused kernels are used: torch 2.13's fused SGD leaves half-precision weights on a CPU where they are."""
WHOLE = [[slice(None)]]
"""The columns of one group of all weights."""
HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")


class RowsOptimizer:
    """A lane's optimiser, with its settings group by group, for some rows of the weights (R, P) of each precision.

    Where torch has the whole step as one kernel and the lane's settings leave the choice to torch, that one is taken; not of
    groups, whose columns have gaps between the rows: that kernel walks on through them.
    """

    def __init__(self, lane: Lane, rows: Mapping[str, slice]) -> None:
        self.rows, self.prior, self.own = rows, lane.recipe.prior, lane.optimizer
        self.columns = columns_of(lane)
        self.weights = [[nn.Parameter(torch.empty(0)) for _ in rows for _ in group] for group in self.columns]
        self.optimizer: optim.Optimizer | None = None
        self.settings = _settings(self.own)
        # Hooks and a profiler's name around it, of which there are none here, cost a third of a small network's step.
        self._step = inspect.unwrap(type(self.own).step)

    def step(self, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        """Step the rows of `weights` in place, from their gradients, both (R, P) by precision.

        Raises UnstackableError where the optimiser does not step, or somebody has changed the lane's own settings.
        """
        kind = type(self.own).__name__
        if _settings(self.own) != self.settings:
            raise UnstackableError(f"{kind}: its settings were changed while the lanes trained")
        places = [iter(group) for group in self.weights]
        for dtype, rows in self.rows.items():
            held, slopes = weights[dtype][rows], gradients[dtype][rows]
            if self.prior:
                slopes = slopes + self.prior * held
            for group, columns in zip(places, self.columns, strict=True):
                for at in columns:
                    weight = next(group)
                    weight.data, weight.grad = held[:, at], slopes[:, at]
        if self.optimizer is None:  # some make their state at once, of the weights' shapes
            self.optimizer = self._made()
        try:
            with torch.no_grad():
                self._step(self.optimizer)
        except Exception as problem:
            raise UnstackableError(f"{kind}: {first_line(problem)}") from problem

    def _made(self) -> optim.Optimizer:
        """An optimiser of the same kind and settings, of the rows; one kernel a step where it is free to be."""
        taken = inspect.signature(type(self.own)).parameters
        defaults = {name: value for name, value in self.own.defaults.items() if name in taken}
        made = type(self.own)([{"params": group} for group in self.weights], **defaults)
        whole = self.columns == WHOLE
        fuses = all(getattr(torch, dtype) in FUSED for dtype in self.rows)
        for group, told in zip(made.param_groups, self.own.param_groups, strict=True):
            group.update({name: value for name, value in told.items() if name != "params"})
            if "fused" not in group:
                continue
            if not whole:  # torch's fused kernels read columns of a matrix as if they lay next to each other
                group["fused"] = False
            elif fuses and group["fused"] is None and not (group["foreach"] or group["differentiable"]):
                group["fused"] = not isinstance(group["lr"], Tensor)
        return made


def _settings(optimizer: optim.Optimizer) -> list[dict[str, Any]]:
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def columns_of(lane: Lane) -> Sequence[Sequence[slice]]:
    """Where the trained weights of each parameter group lie among the flat ones, neighbours joined; the whole where one has all."""
    starts, at = {}, 0
    for weight in lane.weights:
        starts[id(weight)] = slice(at, at + weight.numel())
        at += weight.numel()
    groups = [[id(weight) for weight in group["params"]] for group in lane.optimizer.param_groups]
    if len(groups) == 1 and starts.keys() <= set(groups[0]):
        return WHOLE  # with the padding, whose gradient is zero
    return [_joined([starts[weight] for weight in group if weight in starts]) for group in groups]


def _joined(parts: Sequence[slice]) -> list[slice]:
    joined: list[slice] = []
    for part in sorted(parts, key=lambda part: part.start):
        if joined and joined[-1].stop == part.start:
            joined[-1] = slice(joined[-1].start, part.stop)
        else:
            joined.append(part)
    return joined


def check_optimizer(lane: Lane) -> None:
    """Raise UnstackableError unless the lane's optimiser can step many lanes at once."""
    optimizer, kind = lane.optimizer, type(lane.optimizer).__name__
    if type(optimizer) not in ELEMENTWISE:
        raise UnstackableError(f"{kind} is not one of torch's elementwise optimisers")
    if "step" in vars(optimizer) or any(getattr(optimizer, name, None) for name in HOOKS) or _has_stepped(optimizer):
        raise UnstackableError(f"{kind} has a schedule, hooks or a state of its own")


def _has_stepped(optimizer: optim.Optimizer) -> bool:
    """Whether it holds more than a state made at once, before any step."""
    return any(float(state.get("step", 1)) != 0 for state in optimizer.state.values())
