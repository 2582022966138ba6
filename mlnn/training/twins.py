"""What float64 twins need: which sides have to be promoted, and what rounding is drawn with where float64 cannot be reached."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.objectives.promotion import promoted
from mlnn.seeding import generator
from mlnn.training.batches import Batch
from mlnn.training.lane import Lane
from mlnn.training.module import copied, raw_output
from mlnn.training.recipe import LaneRecipe
from mlnn.training.step import flat
from mlnn.world import own_world

ALONE = "float32"
"""The precision in which a pair is judged that float64 cannot be reached for."""
STIR = 0.1
"""Standard deviation of what is added to first weights before a model is asked: a head of zeros hides what is cast before it."""


def promoted_sides(
    sides: tuple[LaneRecipe, LaneRecipe], models: tuple[nn.Module, nn.Module], x: Any, seed: int
) -> tuple[bool, bool]:
    """Whether each side's float64 twin has to be promoted: for its objective, or for what its model casts inside."""
    asked = cache(lambda model: casts(model, x, seed))  # the two are one module but where right has a model of its own
    first, second = (
        (side.objective.inside is not None and side.objective.inside.promotes) or asked(model)
        for side, model in zip(sides, models, strict=True)
    )
    return first, second


def promoted_steps(
    sides: tuple[LaneRecipe, LaneRecipe], models: tuple[nn.Module, nn.Module], batch: Batch
) -> tuple[bool, bool]:
    """The same of steps and updates of the user's own, asked of a first batch; one that cannot be asked promoted is not."""

    def asks(side: LaneRecipe, model: nn.Module) -> bool:
        try:
            return Lane("twin", side, model, torch.float64).casts_to(batch) is not None
        except ConfigError:  # what it cannot do at all is told elsewhere
            return False

    first, second = (asks(side, model) for side, model in zip(sides, models, strict=True))
    return first, second


def casts(model: nn.Module, x: Any, seed: int) -> bool:
    """Whether a model asks for a lower float than float64, forward or backward, where that changes what it answers."""
    model = copied(model).to(torch.float64)
    draws = generator(seed, "null", "casts")
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(STIR * torch.randn(weight.shape, generator=draws, dtype=torch.float64).to(weight))
    try:
        with own_world(None, seed), promoted() as asked:
            higher = _answers(copied(model), x)
        if not asked.dtypes:
            return False
        with own_world(None, seed):
            return not all(torch.equal(*pair) for pair in zip(_answers(copied(model), x), higher, strict=True))
    except ConfigError:  # what it cannot do promoted cannot be promoted; what it cannot do at all is told elsewhere
        return False


def _answers(model: nn.Module, x: Any) -> tuple[Tensor, Tensor]:
    output = raw_output(model, x)
    if output.requires_grad:
        output.sum().backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    return output.detach().nan_to_num(), flat(gradients or [output]).nan_to_num()


def null_eps(left: Any, right: Any) -> float:
    """The unit roundoff that rounding is drawn with where a side cannot be asked in float64; 0 where both can, or no one knows."""
    insides = [side.inside for side in (left, right) if isinstance(side, Objective) and side.inside is not None]
    if not any(inside.sealed for inside in insides):
        return 0.0
    return max(float(torch.finfo(torch.float32).eps), *(inside.eps for inside in insides))


def null_draws(lane: Lane, batch: Batch, eps: float, permutes: bool) -> Iterator[tuple[float, float]]:
    """How far rounding alone moves a lane's (loss, gradient) where it stands: weights one unit roundoff away, up or down at
    random, then, if it `permutes`, rows in another order."""
    state = {name: tensor.clone() for name, tensor in lane.module.state_dict().items()}
    plain = lane.evaluate(batch)
    draws = generator(batch.step, "null", "nudge")
    for other in (batch, batch.permuted(torch.arange(len(batch.rows)).flip(0)))[: 1 + permutes]:
        lane.module.load_state_dict(state)
        if other is batch:
            with torch.no_grad():
                for weight in lane.weights:
                    up = torch.rand(weight.shape, generator=draws) < 0.5
                    weight.mul_(torch.where(up, 1 + eps, 1 - eps).to(weight))
        found = lane.evaluate(other)
        if found.stop is None and plain.stop is None:
            yield abs(found.loss - plain.loss), float((found.gradient.double() - plain.gradient.double()).norm())
