"""Weight decay: is it a Gaussian prior on the weights? Measured for any torch optimiser."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from mlnn.arguments import first_line
from mlnn.auditing.world import quiet_world
from mlnn.auditing_models.calls import checked_seed
from mlnn.auditing_models.record import PriorAudit
from mlnn.errors import ConfigError
from mlnn.seeding import generator

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
ROWS, FEATURES = 64, 4
"""Of the logistic regression on which a decay is measured: small, and with a maximum of the likelihood."""
MOST_ROWS = 10**15
"""More are no rows of data."""
STEPS, RESTING_STEPS = 32, 1500
"""Steps over which decay and prior are compared, and on the way to rest, when 1/400 of the learning rate is left."""
NEWTON_STEPS = 50
"""Of Newton's method on a small convex problem: near the minimum each doubles the digits."""
COOLING = 0.996
"""Factor on the learning rate per step on the way to rest: a resting point does not depend on it, the noise around it does."""
DECAY_ROUNDING = 1e-6
"""Gap between decay and prior, as a share of what the decay does to the weights, up to which it is rounding.
Measured over twelve optimisers of torch and three seeds: coupled decay up to 2e-15, decoupled decay from 1.0 up."""
STAYS = 0.01
"""Share of the distance from the posterior mode to the maximum likelihood below which an optimiser has stayed at the mode."""
SEEN = 1e-8
"""A decay that moves the weights by less than this share of their size drowns in float64 rounding."""


def prior_of(optimizer: OptimizerFactory, *, rows: int = ROWS, seed: int = 0) -> PriorAudit:
    """Measure what an optimiser's weight decay is, in float64, on a small logistic regression.

    optimizer: factory (params) → Optimizer with a weight_decay λ > 0. rows: n of the mean loss you train on, for the
    variance. SGD adds λw to the gradient of the mean loss, which is the gradient of −(1/n) log N(w; 0, 1/(nλ)): the fit is
    then MAP. The optimiser is run with its λ, and with λ = 0 on the loss plus ½λ|w|²; if the weights agree to rounding,
    decay and prior are one. Decoupled decay (Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization") is not:
    AdamW rests where g + λ(√v + ε)w = 0 instead of g + λw = 0. With mini-batches √v is the size of a weight's gradient
    noise; on full batches it dies with g, and hardly anything of the decay is left: AdamW walks from the posterior mode to
    the maximum of the likelihood. Raises ConfigError for an optimiser without weight decay or one that diverges here.
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise ConfigError(f"rows: {rows!r}; the number of rows of the mean loss, at least 1, is needed")
    if rows > MOST_ROWS:
        raise ConfigError(f"rows: more than {MOST_ROWS:.0e} are no rows of data")
    checked_seed(seed)
    with quiet_world():
        return _measured(optimizer, rows, seed)


def _measured(optimizer: OptimizerFactory, rows: int, seed: int) -> PriorAudit:
    problem = _Problem.drawn(seed)
    name, decay = _decay_of(optimizer)
    decayed = _run(optimizer, problem, ridge=0.0, keep=True)
    written = _run(optimizer, problem, ridge=decay, keep=False)
    plain = _run(optimizer, problem, ridge=0.0, keep=False)
    gap, effect = (float((decayed - other).abs().max()) for other in (written, plain))
    share = gap / effect if effect > SEEN * float(plain.abs().max()) else math.nan
    is_prior = None if math.isnan(share) else share <= DECAY_ROUNDING
    left_mode, from_maximum = _rest(optimizer, problem, decay)
    found = PriorAudit(
        name, decay, rows, is_prior, 1 / (rows * decay) if is_prior else None, gap, effect, left_mode, from_maximum, ""
    )
    return dataclasses.replace(found, sentence=_sentence(found))


@dataclass(frozen=True)
class _Problem:
    """A logistic regression on which everything is measured: inputs, targets, first weights (FEATURES, 1)."""

    x: Tensor
    y: Tensor
    start: Tensor

    @classmethod
    def drawn(cls, seed: int) -> "_Problem":
        draws = generator(seed, "data")
        x = torch.randn(ROWS, FEATURES, generator=draws, dtype=torch.float64)
        slope = torch.linspace(-1, 1, FEATURES, dtype=torch.float64)
        y = (torch.rand(ROWS, generator=draws, dtype=torch.float64) < torch.sigmoid(x @ slope)).double()
        return cls(x, y, torch.randn(FEATURES, 1, generator=generator(seed, "weights"), dtype=torch.float64))

    def loss(self, weight: Tensor, ridge: float, step: int | None = None) -> Tensor:
        """Mean Bernoulli NLL plus ½·ridge·|w|², nats per row; a step takes one half of the rows, None takes all."""
        half = slice(None) if step is None else slice(step % 2, None, 2)
        output = self.x[half] @ weight.squeeze(1)
        return -logsigmoid(torch.where(self.y[half] > 0, output, -output)).mean() + 0.5 * ridge * weight.square().sum()

    def mode(self, ridge: float) -> Tensor:
        """The minimum of the loss over all rows, by Newton's method: the MAP estimate, and the MLE where ridge is 0."""
        weight = torch.zeros_like(self.start)
        for _ in range(NEWTON_STEPS):
            p = torch.sigmoid(self.x @ weight)
            slope = self.x.T @ (p - self.y[:, None]) / ROWS + ridge * weight
            curve = (self.x * (p * (1 - p))).T @ self.x / ROWS + ridge * torch.eye(FEATURES, dtype=torch.float64)
            weight = weight - torch.linalg.solve(curve, slope)
        return weight


def _made(factory: OptimizerFactory, weight: nn.Parameter) -> torch.optim.Optimizer:
    try:
        made: object = factory([weight])
    except Exception as problem:
        raise ConfigError(f"optimizer: the factory raised {type(problem).__name__}: {first_line(problem)}") from problem
    if isinstance(made, torch.optim.Optimizer):
        held = [part for group in made.param_groups for part in group["params"]]
        if len(held) == 1 and held[0] is weight:
            return made
    raise ConfigError(
        f"optimizer: the factory returned {type(made).__name__}, which does not train the parameter it was given;"
        " give a factory (params) → Optimizer, e.g. partial(torch.optim.SGD, lr=0.1, weight_decay=0.01)"
    )


def _decay_of(factory: OptimizerFactory) -> tuple[str, float]:
    """The optimiser's name and its λ."""
    made = _made(factory, nn.Parameter(torch.zeros(FEATURES, 1, dtype=torch.float64)))
    name, decay = type(made).__name__, made.param_groups[0].get("weight_decay")
    if decay is None:
        raise ConfigError(f"optimizer: {name} has no weight_decay, so there is nothing to read as a prior")
    if not 0 < float(decay) < math.inf:
        raise ConfigError(f"optimizer: {name} has weight_decay={float(decay):g}; a finite number above 0 is needed")
    return name, float(decay)


def _step(made: torch.optim.Optimizer, weight: nn.Parameter, loss: Callable[[], Tensor]) -> None:
    sign = -1.0 if made.param_groups[0].get("maximize") else 1.0  # such an optimiser climbs the log-posterior

    def closure() -> float:
        weight.grad = None
        with torch.enable_grad():
            value = sign * loss()
            torch.autograd.backward(value)
        return value.item()

    made.step(closure)
    if not bool(torch.isfinite(weight).all()):
        raise ConfigError(f"optimizer: {type(made).__name__} diverged on a small logistic regression; lower its lr")


def _run(factory: OptimizerFactory, problem: _Problem, *, ridge: float, keep: bool) -> Tensor:
    """(STEPS, FEATURES) weights after each step on alternating halves of the rows; `keep`: with the optimiser's own λ."""
    weight = nn.Parameter(problem.start.clone())
    made = _made(factory, weight)
    if not keep:
        made.param_groups[0]["weight_decay"] = 0.0
    path = []
    for step in range(STEPS):
        _step(made, weight, partial(problem.loss, weight, ridge, step))
        path.append(weight.detach().clone().squeeze(1))
    return torch.stack(path)


def _rest(factory: OptimizerFactory, problem: _Problem, decay: float) -> tuple[float, float]:
    """Started at the posterior mode and cooled down, on all rows: distances from the mode and the likelihood's maximum."""
    mode, maximum = problem.mode(decay), problem.mode(0.0)
    weight = nn.Parameter(mode.clone())
    made = _made(factory, weight)
    for _ in range(RESTING_STEPS):
        _step(made, weight, partial(problem.loss, weight, 0.0))
        for group in made.param_groups:
            group["lr"] = group["lr"] * COOLING
    unit = float((maximum - mode).norm())
    if unit == 0:  # a decay that moves no weight leaves nothing to be measured in
        return math.nan, math.nan
    return float((weight.detach() - mode).norm()) / unit, float((weight.detach() - maximum).norm()) / unit


def _sentence(found: PriorAudit) -> str:
    told = f"eight decay {found.weight_decay:.12g} in {found.optimizer}"
    sizes = f"by {found.gap:.2g} at most over {STEPS} steps, where the decay itself moves them by {found.effect:.2g}"
    if found.is_prior is None:
        return (
            f"Undecided: w{told} and ½λ|w|² in the loss give weights that differ {sizes}, too near to rounding to tell."
        )
    if found.variance is not None:
        return (
            f"W{told} is the Gaussian prior N(0, {found.variance:.4g}) on each weight, variance 1/(nλ) with n ="
            f" {found.rows}, so the fit is MAP: with ½λ|w|² in the loss instead, the weights differ {sizes}. {_resting(found)}"
        )
    return (
        f"W{told} is not a Gaussian prior, so the fit is not MAP: with ½λ|w|² in the loss instead, the weights differ"
        f" {sizes}. {_resting(found)}"
    )


def _resting(found: PriorAudit) -> str:
    if found.left_mode < STAYS:
        return "Started at the posterior mode, it stays there."
    return (
        f"Started at the posterior mode, it walks {100 * found.left_mode:.3g} % of the way to the maximum of the likelihood"
        f" and ends {100 * found.from_maximum:.2g} % of that distance from it."
    )
