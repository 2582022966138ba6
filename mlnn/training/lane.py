"""One training run inside a comparison: an ordinary PyTorch loop, cut in two: an answer to a batch, and the step from it."""

import inspect
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.data import nested
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.objectives.layout import sliced
from mlnn.objectives.promotion import promoted
from mlnn.seeding import derive, generator
from mlnn.training.batches import Batch, Rows
from mlnn.training.module import check_output, copied, guard, made_module, raw_output, squeezed
from mlnn.training.recipe import LaneRecipe, Recipe
from mlnn.training.step import Evaluated, Stop, flat
from mlnn.world import own_world, seed_streams


def initial_model(recipe: Recipe) -> nn.Module:
    """The model with its first weights, drawn by the `weights` stream of the seed, in the run's own dtype.

    A module that is lazy and unmade is made by the first two rows, under the same seed. Raises ConfigError where the
    factory gives no module, or one that cannot be trained or copied.
    """
    model = made_module(recipe.model, recipe.dataset.first(2), derive(recipe.seed, "weights"))
    if not any(p.requires_grad for p in model.parameters()):
        raise ConfigError(f"model: {type(model).__name__} has no trainable parameters")
    return copied(model).to(recipe.device, recipe.dtype)  # a factory may hand out the caller's own network


def with_inputs_for(recipe: Recipe, model: nn.Module) -> Recipe:
    """The recipe with inputs as the model takes them: whole numbers as they came, where it refuses them as floats."""
    if not recipe.dataset.whole or _answers(model, recipe):
        return recipe
    tokens = replace(recipe, tokens=True)
    return tokens if _answers(model, tokens) else recipe


def _answers(model: nn.Module, recipe: Recipe) -> bool:
    trial = copied(model).eval()
    with own_world(None), torch.no_grad():
        try:
            raw_output(trial, recipe.inputs(recipe.dataset.first(2), recipe.dtype))
        except ConfigError:  # what it says is said when it is trained
            return False
    return True


def mapped_model(recipe: LaneRecipe, model: nn.Module, shared: Recipe) -> nn.Module:
    """The lane's own implementation of the model with the given model's weights; the model itself where it has none.

    Raises ConfigError where the mapped weights do not fit.
    """
    if recipe.model is None:
        return model
    own = copied(made_module(recipe.model, shared.dataset.first(2), derive(shared.seed, "weights")))
    weight = next(model.parameters())
    state = mapped(recipe, model.state_dict())
    try:
        own.to(weight.device, weight.dtype).load_state_dict(state)
    except (RuntimeError, KeyError, TypeError, AttributeError) as problem:
        first = " ".join(str(problem).split())[:300]
        raise ConfigError(f"mapping: left's weights do not fit {type(own).__name__}: {first}") from problem
    return own


def mapped(recipe: LaneRecipe, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict by the lane's mapping, which is given copies: it may write into them. Without a mapping, as it is."""
    if recipe.mapping is None:
        return state
    try:
        return recipe.mapping({name: tensor.detach().clone() for name, tensor in state.items()})
    except KeyError as problem:
        raise ConfigError(f"mapping: left has no weight {problem}; it has {', '.join(state)[:300]}") from problem


def nudged(model: nn.Module, seed: int, name: str) -> nn.Module:
    """A copy of the model with every weight moved by one ulp, up or down at random."""
    twin = copied(model)
    draws = generator(seed, "null", name)
    with torch.no_grad():
        for weight in twin.parameters():
            up = torch.rand(weight.shape, generator=draws) < 0.5
            direction = torch.where(up, torch.inf, -torch.inf).to(weight)
            weight.copy_(torch.nextafter(weight, direction))
    return twin


class Lane:
    """A module, its optimiser and its recipe. `evaluate` answers a batch, `update` takes the step from that answer.

    A lane whose loss or gradient is not finite sets `stopped` and stays where it is. Both are the objective's alone; a
    prior on the weights joins in `update`, so that objectives are compared without it and steps with it. `promotes`: a float64
    twin in which what model or objective would do in a lower float is done in float64 (see `mlnn.objectives.promotion`).
    """

    def __init__(
        self, name: str, recipe: LaneRecipe, model: nn.Module, dtype: torch.dtype, promotes: bool = False
    ) -> None:
        self.name, self.recipe, self.dtype, self.promotes = name, recipe, dtype, promotes
        self.module = copied(model).to(dtype)
        self.names = [n for n, p in self.module.named_parameters() if p.requires_grad]
        self.weights = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = _made_optimizer(recipe, self.weights)
        self.takes_closure = _takes_closure(self.optimizer)
        self.stopped: Stop | None = None
        self._run = torch.compile(self.module) if recipe.compile else self.module

    @property
    def asked(self) -> str:
        """The objective as an error names it."""
        return f"objective '{self.recipe.objective.name}'"

    @property
    def gradients(self) -> list[Tensor]:
        """The gradient in place, one tensor per weight: that of the last batch evaluated."""
        return [torch.zeros_like(w) if w.grad is None else w.grad for w in self.weights]

    def evaluate(self, batch: Batch, objective: Objective | None = None) -> Evaluated:
        """Loss and gradient of a batch at the present weights, and in place; under another objective than its own, if one is given.

        Under its own objective, a lane that is not finite stops here.
        """
        asked = objective or self.recipe.objective
        loss, output, rows = self._backward(batch, asked)
        gradient = flat(self.gradients)
        stop = None
        if not (math.isfinite(loss) and bool(torch.isfinite(gradient).all())):
            what = "gradient" if math.isfinite(loss) else "loss"
            stop = _first_row(asked, what, batch, output, rows)
        if objective is None and self.stopped is None:
            self.stopped = stop
        return Evaluated(batch, loss, output, rows.y, gradient, stop, rows.extras)

    def update(self, answer: Evaluated) -> None:
        """One optimiser step from the gradient in place, that of `answer`. L-BFGS asks the batch again as often as it likes."""
        pending, value = True, answer.loss + self._add_prior()

        def closure() -> Tensor:
            nonlocal pending, value
            if not pending:
                with torch.enable_grad():  # some optimisers call it with gradients off
                    value = self._backward(answer.batch, self.recipe.objective)[0] + self._add_prior()
            pending = False
            return torch.tensor(value, dtype=torch.float64)

        guard("optimizer", self.optimizer.step, *([closure] if self.takes_closure else []))
        if not all(bool(torch.isfinite(weight).all()) for weight in self.weights):
            self.stopped = Stop(answer.batch.step, "weights")

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

    @torch.no_grad()
    def predict(self, x: Any, seed: int = 0) -> Tensor:
        """Raw outputs in evaluation mode (dropout off, batch norm by its running statistics).

        A model that draws in this mode too draws the same in every lane that is asked with the same seed.
        """
        seed_streams(seed)
        modes = [(part, part.training) for part in self.module.modules()]  # a frozen part is to stay frozen
        self.module.eval()
        try:
            x = nested.cast(x, self.dtype)
            with self._twin():
                output = raw_output(self.module, x)
                return squeezed(output, self.recipe.objective.targets, self.recipe.objective.layout.positions)
        finally:
            for part, training in modes:
                part.training = training

    def _state(self) -> Mapping[str, Tensor]:
        return dict(self.module.named_parameters()) | dict(self.module.named_buffers())

    def _twin(self) -> AbstractContextManager[object]:
        return promoted() if self.promotes else nullcontext()

    def _backward(self, batch: Batch, objective: Objective) -> tuple[float, Tensor, Rows]:
        """Put the gradient of a batch in place; (loss, raw output, rows)."""
        for weight in self.weights:
            weight.grad = None
        seed_streams(batch.dropout_seed)
        rows = batch.at(self.dtype)  # rounded to the run's dtype, which is no business of the twin's
        with self._twin():
            return self._gradient(rows, objective)

    def _gradient(self, rows: Rows, objective: Objective) -> tuple[float, Tensor, Rows]:
        if self.recipe.accumulate == 1:
            output, loss = self._forward(rows, objective)
            guard(f"the backward pass of {self.asked}", loss.backward)
            return loss.item(), output, rows
        value, outputs = 0.0, []
        for part in rows.parts(self.recipe.accumulate):
            output, loss = self._forward(part, objective)
            loss = loss * (len(part.y) / len(rows.y))
            guard(f"the backward pass of {self.asked}", loss.backward)
            value += loss.item()
            outputs.append(output)
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
        space, y = self.recipe.objective.targets, rows.y
        with torch.autocast(y.device.type, dtype=self.recipe.autocast, enabled=self.recipe.autocast is not None):
            output = squeezed(raw_output(self._run, rows.x), space, space.positions(y)).to(self.dtype)
        check_output(output, y, space)
        loss = guard(self.asked, partial(objective, **rows.extras), output, y)
        if not loss.requires_grad or not _reaches(loss, output):
            raise ConfigError(
                f"{self.asked}: its value does not depend on the raw output (a constant, or"
                " detached), so there is no gradient to train with"
            )
        return output.detach(), loss


def _first_row(objective: Objective, what: str, batch: Batch, output: Tensor, rows: Rows) -> Stop:
    """A stop at a batch, with its first row whose own loss or gradient is not finite, where there is one."""
    for place in range(len(output)):
        one = output[place : place + 1].clone().requires_grad_()
        try:
            value = objective(
                one, rows.y[place : place + 1], **sliced(rows.extras, slice(place, place + 1), len(rows.y))
            )
            (slope,) = torch.autograd.grad(value, one)
            fine = bool(torch.isfinite(value) and torch.isfinite(slope).all())
        except Exception:  # an objective that refuses single rows has no row to name
            break
        if not fine:
            row = int(batch.rows[place])
            return Stop(batch.step, what, row, output[place].tolist(), rows.y[place].tolist())
    return Stop(batch.step, what)


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


def _made_optimizer(recipe: LaneRecipe, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The lane's own optimiser of the given weights; raises ConfigError where the factory makes something else."""
    made = guard("optimizer", recipe.optimizer, list(weights))
    if not isinstance(made, torch.optim.Optimizer):
        raise ConfigError(f"optimizer: the factory returned {type(made).__name__}, not a torch.optim.Optimizer")
    own = {id(weight) for weight in weights}
    if any(id(weight) not in own for group in made.param_groups for weight in group["params"]):
        raise ConfigError(
            f"optimizer: the factory returned an {type(made).__name__} of other weights than those it was given;"
            " make a new one for each call, e.g. partial(torch.optim.SGD, lr=0.1)"
        )
    return made


def _takes_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether `step` can be given a function that evaluates the loss again, as torch's own optimisers can."""
    try:
        return bool(inspect.signature(optimizer.step).parameters)
    except (TypeError, ValueError):  # compiled code does not tell
        return True
