"""A torch optimiser whose arithmetic is elementwise steps many lanes at once: their weights are one parameter."""

import inspect
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn, optim

from mlnn.training.lane import Lane
from mlnn.training.stacking.stack import UnstackableError

ELEMENTWISE = (
    optim.SGD, optim.Adam, optim.AdamW, optim.Adamax, optim.NAdam, optim.RAdam, optim.RMSprop, optim.Adadelta, optim.Rprop,
    optim.ASGD,
)  # fmt: skip
"""Each entry of a weight is stepped by its own gradient and history alone. Their subclasses may do anything; Adagrad, which is
of them, has a state of its weights' shapes from the start."""
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
        self.rows, self.prior = rows, lane.recipe.prior
        self.columns = columns_of(lane)
        self.weights = [[nn.Parameter(torch.empty(0)) for _ in rows for _ in group] for group in self.columns]
        fuses = self.columns == WHOLE and all(getattr(torch, dtype) in FUSED for dtype in rows)
        self.optimizer = _made(lane.optimizer, self.weights, fuses)
        # Hooks and a profiler's name around it, of which there are none here, cost a third of a small network's step.
        self._step = inspect.unwrap(type(self.optimizer).step)

    def step(self, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        """Step the rows of `weights` in place, from their gradients, both (R, P) by precision."""
        places = [iter(group) for group in self.weights]
        for dtype, rows in self.rows.items():
            held, slopes = weights[dtype][rows], gradients[dtype][rows]
            if self.prior:
                slopes = slopes + self.prior * held
            for group, columns in zip(places, self.columns, strict=True):
                for at in columns:
                    weight = next(group)
                    weight.data, weight.grad = held[:, at], slopes[:, at]
        with torch.no_grad():
            self._step(self.optimizer)


def _made(own: optim.Optimizer, weights: Sequence[Sequence[nn.Parameter]], fuses: bool) -> optim.Optimizer:
    """An optimiser of the same kind and settings, of other weights; one kernel a step where it `fuses` and is free to,
    and none where it does not."""
    taken = inspect.signature(type(own)).parameters
    defaults = {name: value for name, value in own.defaults.items() if name in taken}
    made = type(own)([{"params": group} for group in weights], **defaults)
    for group, told in zip(made.param_groups, own.param_groups, strict=True):
        group.update({name: value for name, value in told.items() if name != "params"})
        if "fused" not in group:
            continue
        if not fuses:
            group["fused"] = None
        elif group["fused"] is None and not (group["foreach"] or group["differentiable"]):
            group["fused"] = True
    return made


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
    if "step" in vars(optimizer) or any(getattr(optimizer, name, None) for name in HOOKS) or optimizer.state:
        raise UnstackableError(f"{kind} has a schedule, hooks or a state of its own")
