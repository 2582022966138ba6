"""How many raw outputs does a loss read, where neither its signature nor the target space says? Told by asking it."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.objectives.reduction import drawn_batch

ROWS = 7
"""Of the batch that it is asked: more than MOST_READ, so that a row is not taken for an output."""
MOST_READ = 6
"""Raw outputs that are tried; more are said by the target space."""
MOVED = 0.5
"""By so much outputs are moved to see whether they matter."""
BEYOND = 3
"""Outputs more than that with which it is asked too: they must not matter, or be refused."""


def reading(objective: Objective) -> Objective:
    """The objective, with the raw outputs per target that it reads where that can be told beyond doubt.

    It can where one output is refused (or is taken for several rows), the first m are each read, and any more are refused or
    leave every value as it is. Raises ConfigError, with how to say it, where several numbers of outputs would do.
    """
    space = objective.targets
    if space.raw is not None or space.event or space.facts.outputs > 1 or objective.outputs != "raw":
        return objective
    asked = _copied(objective)
    refuses = _refuses_one(asked)
    if refuses is None:
        return objective
    answered = [count for count in range(2, MOST_READ + BEYOND + 1) if _answer(asked, count) is not None]
    if not answered or answered[0] > MOST_READ:
        return objective
    first = answered[0]
    if _reads_each(asked, first) and all(_ignores(asked, first, count) for count in answered[1:]):
        return _with(objective, first)
    if not refuses:
        return objective
    raise ConfigError(
        f"loss '{objective.name}' does not take one raw output per target, and answers to {', '.join(map(str, answered))}; say how"
        f" many it reads in the target space, such as targets='{replace(space, raw=first)}'"
    )


def _copied(objective: Objective) -> Objective:
    """The same of a copy of its callable, so that one that counts its calls has not been asked."""
    try:
        return replace(objective, function=copy.deepcopy(objective.function))
    except Exception:  # it holds what cannot be copied
        return objective


def _refuses_one(objective: Objective) -> bool | None:
    """Whether outputs (n,) are refused; None where they are answered, and the last row's part by its own output alone."""
    output, target = drawn_batch(objective.targets, ROWS)
    try:
        with objective.twin(torch.float64):
            here, moved = objective.rows(output, target).detach(), output.clone()
            moved[-1 if here.ndim == 0 else slice(-1)] += MOVED
            there = objective.rows(moved, target).detach()
    except Exception:  # whatever it raises: it does not take such outputs
        return True
    still = torch.equal(here.reshape(-1)[-1].nan_to_num(), there.reshape(-1)[-1].nan_to_num())
    return None if still == bool(here.ndim) else False


def _with(objective: Objective, count: int) -> Objective:
    return replace(objective, targets=replace(objective.targets, raw=count))


def _answer(objective: Objective, count: int) -> Tensor | None:
    """One value per row for `count` outputs each, or a scalar; None where it refuses them."""
    try:
        with objective.twin(torch.float64):
            found = _with(objective, count).rows(*_batch(objective, count)).detach()
    except Exception:  # whatever it raises, it has refused them
        return None
    return found if found.ndim < 2 and bool(torch.isfinite(found).any()) else None


def _batch(objective: Objective, count: int) -> tuple[Tensor, Tensor]:
    """Outputs (n, count), the first of them alike for every count, and targets."""
    output, target = drawn_batch(_with(objective, MOST_READ + BEYOND).targets, ROWS)
    return output[:, :count], target


def _reads_each(objective: Objective, count: int) -> bool:
    """Whether every one of the outputs moves the loss of some row."""
    output, target = _batch(objective, count)
    here = _answer(objective, count)
    asked = _with(objective, count)
    for one in range(count):
        moved = output.clone()
        moved[:, one] += MOVED
        with objective.twin(torch.float64):
            if here is None or torch.equal(asked.rows(moved, target).detach().nan_to_num(), here.nan_to_num()):
                return False
    return True


def _ignores(objective: Objective, first: int, count: int) -> bool:
    """Whether the answer to more outputs is bit for bit that to the first of them."""
    one, two = _answer(objective, first), _answer(objective, count)
    return one is not None and two is not None and torch.equal(one.nan_to_num(), two.nan_to_num())
