"""One training run inside a comparison: an ordinary PyTorch loop, cut in two: an answer to a batch, and the step from it."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.data import nested
from mlnn.errors import ConfigError
from mlnn.objectives import Objective, Step
from mlnn.objectives.objective import all_finite
from mlnn.objectives.promotion import promoted
from mlnn.training.asking import ask_step, run_update
from mlnn.training.batches import Batch, Rows
from mlnn.training.broken import first_row
from mlnn.training.first import mapped
from mlnn.training.module import check_output, copied, evaluating, guard, raw_output, squeezed
from mlnn.training.optimizers import made_optimizer, wants_closure
from mlnn.training.own_update import OwnUpdate
from mlnn.training.recipe import LaneRecipe
from mlnn.training.step import Evaluated, Stop, flat
from mlnn.world import seed_streams


class Lane:
    """A module, its optimiser and its recipe. `evaluate` answers a batch, `update` takes the step from that answer.

    A lane whose loss or gradient is not finite sets `stopped` and stays where it is. Both are the objective's alone; a
    prior on the weights joins in `update`, so that objectives are compared without it and steps with it. `promotes`: a float64
    twin in which what model or objective would do in a lower float is done in float64 (see `mlnn.objectives.promotion`).
    """

    REMADE = ("_reached",)
    """What is no part of a state that is kept: whose backward pass was looked at already."""

    def __init__(
        self, name: str, recipe: LaneRecipe, model: nn.Module, dtype: torch.dtype, promotes: bool = False
    ) -> None:
        self.name, self.recipe, self.dtype, self.promotes = name, recipe, dtype, promotes
        self.module = copied(model).to(dtype)
        self.names = [n for n, p in self.module.named_parameters() if p.requires_grad]
        self.weights = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = made_optimizer(recipe, self.module, self.weights)
        self.wants_closure = wants_closure(self.optimizer)
        self.stopped: Stop | None = None
        self._run = torch.compile(self.module) if recipe.compile else self.module
        self.own = None if recipe.update is None else OwnUpdate(recipe.update, self.module, self._run, self.optimizer)
        kind = "objective" if isinstance(recipe.objective, Objective) else "step"
        self.asked = f"{kind} '{recipe.objective.name}'"  # as an error names it
        self._fit: set[tuple[torch.Size, torch.Size]] = set()  # of outputs and targets that have been seen to fit
        self._reached: Objective | None = None  # the last one whose backward pass was seen to come by the raw output

    @property
    def gradients(self) -> list[Tensor]:
        """The gradient in place, one tensor per weight: that of the last batch evaluated."""
        return [torch.zeros_like(w) if w.grad is None else w.grad for w in self.weights]

    def evaluate(self, batch: Batch, objective: Objective | Step | None = None) -> Evaluated:
        """Loss and gradient of a batch at the present weights, and in place; under another objective than its own, if one is given.

        Under its own objective, a lane that is not finite stops here.
        """
        asked = objective or self.recipe.objective
        loss, output, rows = self._backward(batch, asked)
        gradient = flat(self.gradients)
        stop = None
        if not (math.isfinite(loss) and all_finite(gradient)):
            what = "gradient" if math.isfinite(loss) else "loss"
            stop = Stop(batch.step, what)
            row = None
            if self.recipe.rowwise and isinstance(asked, Objective):
                row = first_row(partial(answers_finitely, asked, rows), output)
            if row is not None:
                stop = Stop(batch.step, what, int(batch.rows[row]), output[row].tolist(), rows.y[row].tolist())
        if objective is None and self.stopped is None:
            self.stopped = stop
        return Evaluated(batch, loss, output, rows.y, gradient, stop, rows.extras)

    def update(self, answer: Evaluated) -> Tensor:
        """One optimiser step from the gradient in place, that of `answer`; the weights (P,) after it.

        L-BFGS asks the batch again as often as it likes.
        """
        if self.own is not None:
            self.own.keep()
            return self._arrived(answer)
        pending, value = True, answer.loss + self._add_prior()

        def closure() -> Tensor:
            nonlocal pending, value
            if not pending:
                with torch.enable_grad():  # some optimisers call it with gradients off
                    value = self._backward(answer.batch, self.recipe.objective)[0] + self._add_prior()
            pending = False
            return torch.tensor(value, dtype=torch.float64)

        guard("optimizer", self.optimizer.step, *([closure] if self.wants_closure else []))
        return self._arrived(answer)

    def _arrived(self, answer: Evaluated) -> Tensor:
        """The weights (P,) after the step from an answer, at which the lane stops where they are not finite."""
        after = flat(self.weights)
        if not all_finite(after):
            self.stopped = Stop(answer.batch.step, "weights")
        return after

    def follow(self, leader: "Lane", answer: Evaluated) -> Tensor:
        """Step, with this lane's optimiser and its own state, from where the leader stood and with the gradient that it took;
        the weights (P,) after it."""
        if self.own is None:
            self.take_gradient_of(leader)
        elif self.own.calls == (1 if leader.own is None else leader.own.calls) == 1:
            given, parts = self.translate(leader, leader.gradients), self._parts(answer.batch)
            with self._twin():
                run_update(self.own, answer.batch, parts, given)
        return self.update(answer)

    def wanted(self, leader: "Lane") -> Mapping[str, Tensor]:
        """What this lane takes over of another one: its weights and buffers, or the state dict that its mapping reads."""
        if self.recipe.mapping is not None:
            return leader.module.state_dict()
        return leader._state()

    def take_over(self, state: Mapping[str, Tensor]) -> None:
        """Stand where a lane stands, or stood: `wanted` of it, rounded to this lane's dtype."""
        if self.recipe.mapping is not None:
            self.module.load_state_dict(mapped(self.recipe, dict(state)))
            return
        with torch.no_grad():
            for mine, theirs in zip(self._state().values(), state.values(), strict=True):
                mine.copy_(theirs)

    def translate(self, leader: "Lane", tensors: Sequence[Tensor]) -> list[Tensor]:
        """A leader's tensors, one per weight of its own, as tensors per weight of this lane (see `LaneRecipe.mapping`)."""
        if self.recipe.mapping is None:
            return list(tensors)
        named = leader.module.state_dict() | dict(zip(leader.names, tensors, strict=True))
        theirs = mapped(self.recipe, named)
        return [theirs[name] for name in self.names]

    def take_gradient_of(self, leader: "Lane") -> None:
        """Put a leader's gradient in place, so that `update` shows what this lane's optimiser, with its own state, makes of it."""
        unused = [weight.grad is None for weight in leader.weights] if self.recipe.mapping is None else []
        gradients = self.translate(leader, leader.gradients)
        for place, (mine, gradient) in enumerate(zip(self.weights, gradients, strict=True)):
            mine.grad = None if unused and unused[place] else gradient.clone()

    def take_gradient(self, gradient: Tensor) -> None:
        """Put a flat gradient (P,) in place, for `update`."""
        parts = gradient.split([weight.numel() for weight in self.weights])
        for weight, part in zip(self.weights, parts, strict=True):
            weight.grad = part.reshape(weight.shape).clone()

    @torch.no_grad()
    def predict(self, x: Any, seed: int = 0) -> Tensor:
        """Raw outputs in evaluation mode (dropout off, batch norm by its running statistics).

        A model that draws in this mode too draws the same in every lane that is asked with the same seed.
        """
        seed_streams(seed)
        with evaluating(self.module):
            x = nested.cast(x, self.dtype)
            with self._twin():
                output = raw_output(self.module, x)
                return squeezed(output, self.recipe.objective.targets, self.recipe.objective.layout.positions).clone()

    def _state(self) -> Mapping[str, Tensor]:
        return dict(self.module.named_parameters()) | dict(self.module.named_buffers())

    def _twin(self) -> AbstractContextManager[object]:
        return promoted() if self.promotes else nullcontext()

    def _parts(self, batch: Batch) -> list[Any]:
        """A batch's micro-batches as a step of the user's own takes them."""
        return nested.split(batch.whole(self.dtype), self.recipe.accumulate)

    def _prepared(self, batch: Batch, objective: Objective | Step) -> Rows | list[Any]:
        """A batch as it is asked for, rounded to the run's dtype: that is no business of the twin's."""
        whole = self.own is not None or isinstance(objective, Step)
        return self._parts(batch) if whole else batch.at(self.dtype)

    def _backward(self, batch: Batch, objective: Objective | Step) -> tuple[float, Tensor, Rows]:
        """Put the gradient of a batch in place; (loss, raw output, rows)."""
        given = self._prepared(batch, objective)
        with self._twin():
            return self._ask(batch, objective, given)

    def _ask(self, batch: Batch, objective: Objective | Step, given: Rows | list[Any]) -> tuple[float, Tensor, Rows]:
        """The same, of a batch as `_prepared` has it."""
        if self.own is not None and isinstance(given, list):
            return run_update(self.own, batch, given)
        if isinstance(objective, Step):
            assert isinstance(given, list)
            return ask_step(objective, self.module, self._run, batch, given, self.recipe)
        for weight in self.weights:
            weight.grad = None
        seed_streams(batch.dropout_seed)
        assert isinstance(given, Rows)
        return self._gradient(given, objective)

    def casts_to(self, batch: Batch) -> torch.dtype | None:
        """The coarsest float below its own that a lane asks for, forward or backward; None where that changes no gradient."""
        objective = self.recipe.objective
        given, again = self._prepared(batch, objective), self._prepared(batch, objective)
        with promoted(self.dtype) as asked:
            self._ask(batch, objective, given)
            higher = flat(self.gradients)
        if not asked.dtypes:
            return None
        self._ask(batch, objective, again)
        coarsest = max(asked.dtypes, key=lambda dtype: torch.finfo(dtype).eps)
        return None if torch.equal(higher, flat(self.gradients)) else coarsest

    def _gradient(self, rows: Rows, objective: Objective) -> tuple[float, Tensor, Rows]:
        if self.recipe.accumulate == 1:
            output, loss = self._forward(rows, objective)
            guard(f"the backward pass of {self.asked}", loss.backward)
            if all(weight.grad is None for weight in self.weights):
                self._check_reach(loss, output)
            return loss.item(), output.detach().clone(), rows  # a model may answer with a view of its weights
        value, outputs = 0.0, []
        for part in rows.parts(self.recipe.accumulate):
            output, loss = self._forward(part, objective)
            loss = loss * (len(part.y) / len(rows.y))
            guard(f"the backward pass of {self.asked}", loss.backward)
            value += loss.item()
            outputs.append(output.detach())
        return value, torch.cat(outputs), rows

    def _add_prior(self) -> float:
        """½·prior·|w|² at the present weights; its gradient is added to the one in place."""
        if not self.recipe.prior:
            return 0.0
        with torch.enable_grad():
            penalty = 0.5 * self.recipe.prior * torch.stack([weight.square().sum() for weight in self.weights]).sum()
            penalty.backward()
        return penalty.item()

    def _forward(self, rows: Rows, objective: Objective) -> tuple[Tensor, Tensor]:
        """The raw output and the loss, on autograd's tape."""
        space, y = self.recipe.objective.targets, rows.y
        with self._autocast(y.device.type):
            output = squeezed(raw_output(self._run, rows.x), space, space.positions(y)).to(self.dtype)
        shapes = output.shape, y.shape
        if shapes not in self._fit:  # whether they fit depends on nothing else
            check_output(output, y, space)
            self._fit.add(shapes)
        loss = guard(self.asked, partial(objective, **rows.extras), output, y)
        if objective is not self._reached or self.recipe.accumulate > 1 or not loss.requires_grad:
            self._check_reach(loss, output)
            self._reached = objective
        return output, loss

    def _check_reach(self, loss: Tensor, output: Tensor) -> None:
        """Raise ConfigError unless the loss depends on the raw output.

        Asked of an objective at its first batch, and later where no weight was given a gradient: an objective is handed nothing
        else that leads to weights, so one that comes to leave its output aside gives none.
        """
        if not loss.requires_grad or not _reaches(loss, output):
            raise ConfigError(
                f"{self.asked}: its value does not depend on the raw output (a constant, or"
                " detached), so there is no gradient to train with"
            )

    def _autocast(self, device: str) -> AbstractContextManager[object]:
        return nullcontext() if self.recipe.autocast is None else torch.autocast(device, dtype=self.recipe.autocast)


def answers_finitely(objective: Objective, rows: Rows, output: Tensor) -> bool:
    """Whether an objective's loss and gradient at raw outputs are finite; True where it refuses them."""
    output = output.detach().clone().requires_grad_()
    try:
        value = objective(output, rows.y, **rows.extras)
        (slope,) = torch.autograd.grad(value, output)
    except Exception:  # whatever it raises: a refusal is no answer that is not finite
        return True
    return bool(torch.isfinite(value) and torch.isfinite(slope).all())


def _reaches(loss: Tensor, output: Tensor) -> bool:
    """Whether the backward pass of a loss comes by the raw output."""
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is output.grad_fn:
            return True
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [above for above, _ in node.next_functions]
    return False
