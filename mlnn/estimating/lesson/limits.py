"""The places where the equality of loss and −log(likelihood) stops, each computed as a small picture: none depends on a run.

Saturation in float32, the hinge, separated rows, weight decay. All of it at one sigmoid node.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor, nn

from mlnn.data import Dataset
from mlnn.data.arrays import from_arrays
from mlnn.estimating.estimate import estimate
from mlnn.models import SigmoidNode
from mlnn.objectives import Bernoulli, Objective, bce, bce_with_logits, hinge
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe, Recipe, train
from mlnn.training.descent import SGD

RATE, STEPS = 0.5, 600
"""Gradient descent on two separated rows: time t is rate × steps. The flow is 6 % away at t = 1 and 0.1 % at t = 300."""
DECAY, DECAY_STEPS = 0.1, 120
"""Weight decay of the last picture, and steps after which the weight has settled to eight digits."""
ROWS = ((-2.0, 0.0), (-1.0, 0.0), (-0.5, 1.0), (0.5, 0.0), (1.0, 1.0), (2.0, 1.0))
"""(x, y) of the last picture: two rows lie on the wrong side, so there is a finite maximum."""


@dataclass(frozen=True)
class Drawn:
    """One line of a small picture, x and y (n,). `role`: "network", "MLE", "ideal"; `mark`: a single point, not a line."""

    x: np.ndarray
    y: np.ndarray
    name: str
    role: str
    mark: bool = False


@dataclass(frozen=True)
class Limit:
    """One place where the equality stops: what is drawn, and one sentence that says so with the numbers computed."""

    heading: str
    sentence: str
    x: str
    y: str
    lines: tuple[Drawn, ...]
    logarithmic: bool = False


@cache
def limits() -> tuple[Limit, ...]:
    """All of them, computed once a process."""
    return saturation(), margins(), separated(), decayed()


def saturation() -> Limit:
    """The loss of a row with y = 0 in float32, from σ(z) and from z itself."""
    z = torch.linspace(8, 24, 801, dtype=torch.float32, requires_grad=True)
    zeros = torch.zeros_like(z)
    rounded, exact = bce(z, zeros), bce_with_logits(z, zeros)
    (slope,) = torch.autograd.grad(rounded.sum(), z)
    one = torch.sigmoid(z.detach()) == 1
    first, held, left = float(z.detach()[one][0]), float(rounded.detach()[one][0]), float(slope[one].abs().max())
    return Limit(
        "Rounding",
        f"In float32 σ(z) rounds to exactly 1 from z ≈ {first:.1f} on. A loss made from σ(z) then costs {held:g} whatever"
        f" z is, with gradient {left:g}: that row teaches nothing any more. Made from z, it is what it is on paper.",
        "z, raw output for a row with y = 0",
        "loss, nats",
        (_drawn(z, rounded, "from σ(z)", "network"), _drawn(z, exact, "from z", "ideal")),
    )


def margins() -> Limit:
    """Σ exp(−loss) over both labels: 1 for a likelihood."""
    z = torch.linspace(-4, 4, 161, dtype=torch.float64)
    sums = {}
    for loss in (hinge, bce_with_logits):
        sums[loss.__name__] = sum((torch.exp(-loss(z, torch.full_like(z, y))) for y in (0.0, 1.0)), torch.zeros_like(z))
    low, high = float(sums["hinge"].min()), float(sums["hinge"].max())
    return Limit(
        "A loss that is no likelihood",
        "The probabilities of both labels add up to 1, and exp(−cross-entropy) does so at every raw output. The same sum of"
        f" exp(−hinge), the loss of a support-vector machine, runs from {low:.2f} to {high:.2f}: no constant mends that.",
        "z, raw output",
        "exp(−loss), both labels added",
        (_drawn(z, sums["hinge"], "hinge", "network"), _drawn(z, sums["bce_with_logits"], "cross-entropy", "ideal")),
    )


def separated() -> Limit:
    """|w| of a sigmoid node under gradient descent on the rows x = ±1 with y = x > 0; of the flow, w + e^w = t + 1."""
    data = from_arrays(
        np.array([[-1.0], [1.0]]), np.array([0.0, 1.0]), targets="binary", held_out=0.0, standardize=False
    )
    marks = set(np.unique(np.geomspace(1, STEPS, 40).round().astype(int)).tolist())
    seen: list[tuple[float, float]] = []

    def watch(done: int, module: nn.Module) -> None:
        if done in marks:
            seen.append((RATE * done, _weight(module)))

    _descend(data, STEPS, watch=watch)
    weight = np.linspace(0, seen[-1][1], 161)[1:]
    time, reached = np.array(seen).T
    flow = weight + np.exp(weight) - 1
    shown = flow >= RATE
    return Limit(
        "No maximum",
        "Two rows, x = −1 with y = 0 and x = 1 with y = 1: every larger w has a higher likelihood, so there is no maximum to reach."
        f" Training never ends; w grows like the logarithm of time ({reached[-1]:.2f} after t = {time[-1]:g}).",
        "t = learning rate × steps",
        "w",
        (Drawn(time, reached, "network", "network"), Drawn(flow[shown], weight[shown], "w + eʷ = t + 1", "ideal")),
        logarithmic=True,
    )


def decayed() -> Limit:
    """Log-likelihood over the one weight, with and without the decay's penalty, and where each has its maximum."""
    x, y = np.array(ROWS).T
    data = from_arrays(x[:, None], y, targets="binary", held_out=0.0, standardize=False)
    found = estimate("bernoulli", data, intercept=False)
    ended: list[float] = []
    _descend(data, DECAY_STEPS, DECAY, lambda _done, module: ended.append(_weight(module)))
    mle, decayed = float(found.params[0]), ended[-1]
    weight = torch.linspace(-0.4, 2 * mle, 161, dtype=torch.float64)

    def at(w: Tensor) -> Tensor:
        return -Bernoulli().nll(w[:, None] * data.x[:, 0], data.y.double()).sum(dim=1)

    def penalised(w: Tensor) -> Tensor:
        return at(w) - 0.5 * DECAY * len(data.x) * w**2

    ends = torch.tensor([mle, decayed], dtype=torch.float64)
    return Limit(
        "Weight decay",
        f"With weight decay {DECAY:g} the network ends at w = {decayed:.2f}, not at the maximum-likelihood estimate {mle:.2f}. It"
        " has maximised the likelihood times a bell curve around 0 (a prior, standard deviation"
        f" {1 / math.sqrt(DECAY * len(data.x)):.2f}): that is the MAP estimate.",
        "w",
        "log, nats",
        (
            _drawn(weight, at(weight), "log-likelihood", "MLE"),
            _drawn(ends[:1], at(ends[:1]), "MLE", "MLE", mark=True),
            _drawn(weight, penalised(weight), "with the decay", "network"),
            _drawn(ends[1:], penalised(ends[1:]), "network", "network", mark=True),
        ),
    )


def _drawn(x: Tensor, y: Tensor, name: str, role: str, mark: bool = False) -> Drawn:
    return Drawn(x.detach().double().numpy(), y.detach().double().numpy(), name, role, mark)


def _weight(module: nn.Module) -> float:
    """The one weight of a node."""
    return float(next(module.parameters()).detach())


def _at_zero() -> nn.Module:
    node = SigmoidNode((1,), 1)
    nn.init.zeros_(node.head.weight)
    return node


def _descend(
    data: Dataset, steps: int, prior: float = 0.0, watch: Callable[[int, nn.Module], None] | None = None
) -> None:
    """Full-batch gradient descent on the mean cross-entropy from w = 0, in float64."""
    objective = Objective.of(bce_with_logits, TargetSpace("binary"))
    recipe = Recipe(data, _at_zero, steps, None, torch.float64)
    lane_recipe = LaneRecipe(objective, partial(SGD, lr=RATE), prior=prior)
    train(recipe, lane_recipe, lambda _row: None, watch=watch)
