"""One training run inside a comparison: an ordinary PyTorch loop, cut in two so that others can look in between."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.errors import ConfigError, MlnnError
from mlnn.seeding import derive, generator
from mlnn.training.batches import Batch
from mlnn.training.recipe import LaneRecipe, Recipe, dtype_name


@dataclass(frozen=True)
class Stop:
    """Where a lane went non-finite: the step, and the data row, raw output and target where it can be told."""

    step: int
    what: str
    row: int | None = None
    output: object = None
    target: object = None


def initial_model(recipe: Recipe) -> nn.Module:
    """The model with its first weights, drawn by the `weights` stream of the seed, in the run's own dtype."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(recipe.seed, "weights"))
        model = guard("model", recipe.model)
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model: the factory returned {type(model).__name__}, not an nn.Module")
    if not any(p.requires_grad for p in model.parameters()):
        raise ConfigError(f"model: {type(model).__name__} has no trainable parameters")
    return copy.deepcopy(model).to(recipe.device, recipe.dtype)  # a factory may hand out the caller's own network


def mapped_model(recipe: LaneRecipe, model: nn.Module) -> nn.Module:
    """The lane's own implementation of the model with the given model's weights; the model itself where it has none.

    Raises ConfigError where the mapped weights do not fit.
    """
    if recipe.model is None:
        return model
    with torch.random.fork_rng(devices=[]):
        own = guard("model", recipe.model)
    weight = next(model.parameters())
    state = model.state_dict()
    try:
        own.to(weight.device, weight.dtype).load_state_dict(recipe.mapping(state) if recipe.mapping else state)
    except (RuntimeError, KeyError) as problem:
        first = " ".join(str(problem).split())[:300]
        raise ConfigError(f"mapping: left's weights do not fit {type(own).__name__}: {first}") from problem
    return own


def nudged(model: nn.Module, seed: int, name: str) -> nn.Module:
    """A copy of the model with every weight moved by one ulp, up or down at random."""
    twin = copy.deepcopy(model)
    draws = generator(seed, "null", name)
    with torch.no_grad():
        for weight in twin.parameters():
            up = torch.rand(weight.shape, generator=draws) < 0.5
            direction = torch.where(up, torch.inf, -torch.inf).to(weight)
            weight.copy_(torch.nextafter(weight, direction))
    return twin


class Lane:
    """A module, its optimiser and its recipe. `evaluate` puts the gradient of a batch in place, `update` takes the step.

    After `evaluate`: `loss` (float), `output` (n,) or (n, m) detached, `gradients` (one per weight; zeros where unused).
    A lane whose loss or gradient is not finite sets `stopped` and stays where it is. Both are the objective's alone; a
    prior on the weights joins in `update`, so that objectives are compared without it and steps with it.
    """

    def __init__(self, name: str, recipe: LaneRecipe, model: nn.Module, dtype: torch.dtype) -> None:
        self.name, self.recipe, self.dtype = name, recipe, dtype
        self.module = copy.deepcopy(model).to(dtype)
        self.names = [n for n, p in self.module.named_parameters() if p.requires_grad]
        self.weights = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = guard("optimizer", recipe.optimizer, self.weights)
        self.stopped: Stop | None = None
        self.stepped: int | None = None  # the last step taken on a leader's behalf
        self.loss = float("nan")
        self.output = self.target = torch.empty(0)
        self._run = torch.compile(self.module) if recipe.compile else self.module
        self._batch: Batch | None = None

    @property
    def gradients(self) -> list[Tensor]:
        """The gradient of the last evaluated batch, one tensor per weight."""
        return [torch.zeros_like(w) if w.grad is None else w.grad for w in self.weights]

    def evaluate(self, batch: Batch) -> None:
        """Loss and gradient of a batch at the present weights."""
        self._batch = batch
        self.loss = float(self._backward(batch))
        if self.stopped is None:
            self.stopped = self._find_stop(batch)

    def update(self) -> None:
        """One optimiser step from the gradient in place. L-BFGS evaluates the same batch again as often as it likes."""
        batch, pending = self._batch, True
        assert batch is not None, "evaluate before update"
        value = self.loss + self._add_prior()

        def closure() -> float:
            nonlocal pending
            if pending:
                pending = False
                return value
            return float(self._backward(batch)) + self._add_prior()

        self.optimizer.step(closure)
        if not all(bool(torch.isfinite(weight).all()) for weight in self.weights):
            self.stopped = Stop(batch.step, "weights")

    def follow(self, leader: "Lane") -> None:
        """Take over another lane's weights and buffers, rounded to this lane's dtype."""
        if self.recipe.mapping is not None:
            self.module.load_state_dict(self.recipe.mapping(leader.module.state_dict()))
            return
        with torch.no_grad():
            for mine, theirs in zip(self._state(), leader._state(), strict=True):
                mine.copy_(theirs)

    def translate(self, leader: "Lane", tensors: Sequence[Tensor]) -> list[Tensor]:
        """A leader's tensors, one per weight of its own, as tensors per weight of this lane (see `LaneRecipe.mapping`)."""
        if self.recipe.mapping is None:
            return list(tensors)
        named = leader.module.state_dict() | dict(zip(leader.names, tensors, strict=True))
        mapped = self.recipe.mapping({name: tensor.detach() for name, tensor in named.items()})
        return [mapped[name] for name in self.names]

    def take_step_of(self, leader: "Lane") -> None:
        """Put a leader's gradient in place, so that `update` shows what this lane's optimiser, with its own state, makes of it."""
        self._batch, self.loss = leader._batch, leader.loss
        self.stepped = self._batch.step if self._batch else None
        unused = [weight.grad is None for weight in leader.weights] if self.recipe.mapping is None else []
        gradients = self.translate(leader, leader.gradients)
        for place, (mine, gradient) in enumerate(zip(self.weights, gradients, strict=True)):
            mine.grad = None if unused and unused[place] else gradient.clone()

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Raw outputs in evaluation mode (dropout off, batch norm by its running statistics)."""
        modes = [(part, part.training) for part in self.module.modules()]  # a frozen part is to stay frozen
        self.module.eval()
        output = squeeze(self.module(x.to(self.dtype)))
        for part, training in modes:
            part.training = training
        return output

    def _state(self) -> Sequence[Tensor]:
        return [*self.module.parameters(), *self.module.buffers()]

    def _backward(self, batch: Batch) -> float:
        for weight in self.weights:
            weight.grad = None
        seed_dropout(batch.dropout_seed, self.weights[0].device)
        x, y = batch.at(self.dtype)
        if self.recipe.accumulate == 1:
            self.output, loss = self._forward(x, y)
            loss.backward()
            value = loss.item()
        else:
            value, outputs = 0.0, []
            for part_x, part_y in zip(x.chunk(self.recipe.accumulate), y.chunk(self.recipe.accumulate), strict=True):
                output, loss = self._forward(part_x.contiguous(), part_y.contiguous())
                loss = loss * (len(part_y) / len(y))
                loss.backward()
                value += loss.item()
                outputs.append(output)
            self.output = torch.cat(outputs)
        self.target = y
        return value

    def _add_prior(self) -> float:
        """½·prior·|w|² at the present weights; its gradient is added to the one in place."""
        if not self.recipe.prior:
            return 0.0
        with torch.enable_grad():
            penalty = 0.5 * self.recipe.prior * torch.stack([weight.square().sum() for weight in self.weights]).sum()
            penalty.backward()
        return penalty.item()

    def _forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(x.device.type, dtype=self.recipe.autocast, enabled=self.recipe.autocast is not None):
            output = squeeze(guard("model", self._run, x)).to(self.dtype)
        outputs = self.recipe.objective.targets.outputs
        if len(output) != len(y) or (outputs > 1) != (output.ndim > 1):
            wanted = f"({len(y)}, {outputs})" if outputs > 1 else f"({len(y)},) or ({len(y)}, 1)"
            raise ConfigError(
                f"model: raw output of shape {tuple(output.shape)} for {len(y)} rows and targets"
                f" '{self.recipe.objective.targets}'; {wanted} is needed"
            )
        loss = guard(f"objective '{self.recipe.objective.name}'", self.recipe.objective, output, y)
        if not loss.requires_grad:
            raise ConfigError(
                f"objective '{self.recipe.objective.name}': its value does not depend on the raw output (a constant, or"
                " detached), so there is no gradient to train with"
            )
        return output.detach(), loss

    def _find_stop(self, batch: Batch) -> Stop | None:
        gradients_finite = all(bool(torch.isfinite(g).all()) for g in self.gradients)
        if self.loss == self.loss and abs(self.loss) != float("inf") and gradients_finite:
            return None
        what = "gradient" if self.loss == self.loss and abs(self.loss) != float("inf") else "loss"
        for place in range(len(self.output)):
            output = self.output[place : place + 1].clone().requires_grad_()
            target = self.target[place : place + 1]
            value = self.recipe.objective(output, target)
            (slope,) = torch.autograd.grad(value, output)
            if not (torch.isfinite(value) and torch.isfinite(slope).all()):
                row = int(batch.rows[place])
                return Stop(batch.step, what, row, self.output[place].tolist(), target[0].item())
        return Stop(batch.step, what)


def guard(what: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a part that may be the user's own; an exception of its own becomes a short ConfigError with the shapes."""
    try:
        return call(*arguments)
    except MlnnError:
        raise
    except Exception as problem:
        shapes = ", ".join(f"{tuple(a.shape)} {dtype_name(a.dtype)}" for a in arguments if isinstance(a, Tensor))
        first = next(iter(str(problem).splitlines()), "")
        raise ConfigError(
            f"{what} raised {type(problem).__name__}{' on ' if shapes else ''}{shapes}: {first}"
        ) from problem


def seed_dropout(seed: int, device: torch.device) -> None:
    """Reset the stream that dropout draws from. `torch.manual_seed` would also queue a call per absent accelerator."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def squeeze(output: Tensor) -> Tensor:
    """A single-output model's (n, 1) becomes (n,), here and nowhere else."""
    return output.squeeze(1) if output.ndim == 2 and output.shape[1] == 1 else output
