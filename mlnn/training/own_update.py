"""A lane's own update, for a loop that is not a plain one: run from where the lane stands, taken back, and kept when it is time."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.arguments import first_line
from mlnn.errors import ConfigError
from mlnn.objectives.promotion import unpromoted
from mlnn.training.module import guard
from mlnn.training.optimizers import is_part_of_a_step


@dataclass(frozen=True)
class _State:
    """All that an update may change: weights and buffers, what stands in .grad, the optimiser, the update's own object."""

    tensors: list[Tensor]
    gradients: list[Tensor | None]
    optimizer: dict[str, Any]
    update: Any


class OwnUpdate:
    """`update(model, optimizer, batches) → loss`, a copy of its own for each lane.

    `run` leaves the lane where it was; `keep` takes it to where the last run arrived. `calls`: how often the last run called
    the optimiser's step; `gradients`: what stood in .grad at the first of them.
    """

    def __init__(self, update: Any, module: nn.Module, run: Any, optimizer: torch.optim.Optimizer) -> None:
        self.module, self.optimizer = module, optimizer
        self.weights = [p for p in module.parameters() if p.requires_grad]
        self._run, self.calls = run, 0
        self.gradients: list[Tensor] = []
        self.update = _copied(update, {})
        self._carried: list[Tensor | None] = [None] * len(self.weights)
        self._arrived: _State | None = None
        self._given: Sequence[Tensor] | None = None

    def run(self, batches: list[Any], given: Sequence[Tensor] | None = None) -> float:
        """The loss that the update returns. `given`: gradients to put in place of its own where it calls the optimiser's step.

        Afterwards .grad holds what stood there at that call, zeros where there was none.
        """
        for weight, gradient in zip(self.weights, self._carried, strict=True):
            weight.grad = None if gradient is None else gradient.clone()
        self.calls, self.gradients, self._given = 0, [], given
        with unpromoted():  # a twin computes in another precision, and is kept in its own
            before = self._copy()
        hook = self.optimizer.register_step_pre_hook(self._at_step)
        try:
            told = guard("update", self.update, self._run, self.optimizer, batches)
        finally:
            hook.remove()
            with unpromoted():
                self._arrived = self._live()
                self._stand(before)
        self.gradients = self.gradients or [torch.zeros_like(weight) for weight in self.weights]
        self.put(self.gradients)
        return _as_loss(told)

    def keep(self) -> None:
        """Stand where the last run arrived."""
        assert self._arrived is not None
        self._stand(self._arrived)
        self._carried = self._arrived.gradients

    def put(self, gradients: Sequence[Tensor]) -> None:
        """Put gradients in place, one a weight."""
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient.clone()

    def _at_step(self, optimizer: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """A hook before each step of the optimiser; one that is given a closure has its gradient after the first call of it."""
        closure = next(
            (one for one in (*arguments[1:], *named.values()) if callable(one)), None
        )  # first comes the optimiser
        if closure is None:
            if not (self.gradients and is_part_of_a_step(optimizer)):
                self._take()
            return None

        def watched() -> Any:
            told = closure()
            if not self.gradients:
                self._take()
            return told

        return (*arguments[:1], watched), {}

    def _take(self) -> None:
        self.calls += 1
        if self.calls == 1:
            self.gradients = [torch.zeros_like(w) if w.grad is None else w.grad.detach().clone() for w in self.weights]
            if self._given is not None:
                self.put(self._given)

    def _live(self) -> _State:
        """Where the lane stands; tensors of the module as copies, for they are written into."""
        tensors = [tensor.detach().clone() for tensor in (*self.module.parameters(), *self.module.buffers())]
        return _State(tensors, [weight.grad for weight in self.weights], vars(self.optimizer).copy(), self.update)

    def _copy(self) -> _State:
        """The same, shared with nothing; the update's object and the optimiser together, for one may hold parts of the other."""
        live = self._live()
        own = (self._run, self.optimizer, *self.module.modules(), *self.module.parameters(), *self.module.buffers())
        hooks = [value for name, value in live.optimizer.items() if name.endswith("_hooks")]
        memo = {id(one): one for one in (*own, *hooks)}
        optimizer, update = _copied((live.optimizer, live.update), memo)
        gradients = [None if one is None else one.clone() for one in live.gradients]
        return _State(live.tensors, gradients, optimizer, update)

    @torch.no_grad()
    def _stand(self, state: _State) -> None:
        for mine, theirs in zip((*self.module.parameters(), *self.module.buffers()), state.tensors, strict=True):
            mine.copy_(theirs)
        for weight, gradient in zip(self.weights, state.gradients, strict=True):
            weight.grad = gradient
        vars(self.optimizer).clear()
        vars(self.optimizer).update(state.optimizer)
        self.update = state.update


def _copied(thing: Any, memo: dict[int, Any]) -> Any:
    try:
        return copy.deepcopy(thing, memo)
    except Exception as problem:
        raise ConfigError(
            f"update: it cannot be copied, and each lane needs one of its own ({type(problem).__name__}:"
            f" {first_line(problem)[:80]}); keep files, locks and results out of it"
        ) from problem


def _as_loss(told: Any) -> float:
    if isinstance(told, Tensor) and told.numel() == 1:
        return float(told.detach())
    if isinstance(told, float | int) and not isinstance(told, bool):
        return float(told)
    raise ConfigError(f"update: it returned {type(told).__name__}; the loss of the step is needed, a number")
