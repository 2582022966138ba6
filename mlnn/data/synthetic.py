"""Data sets drawn by chance: from a likelihood with known weights, and the two moons.

Samplers use torch only and never mlnn.objectives: a likelihood cannot then be confirmed by its own mistake.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from mlnn.arguments import number, shown, whole
from mlnn.data.dataset import Dataset
from mlnn.data.prepare import prepare
from mlnn.errors import ConfigError, unknown
from mlnn.seeding import generator
from mlnn.targets import TargetSpace

MOST_NUMBERS = 250_000_000
"""Drawn at most: 2 GB at 8 bytes, what a table may have."""


def synthetic(
    *,
    likelihood: str = "bernoulli",
    rows: int = 512,
    features: int = 4,
    weights: Sequence[float] | Sequence[Sequence[float]] | None = None,
    intercept: float = 0.0,
    dispersion: float = 1.0,
    classes: int = 3,
    standardize: bool = False,
    held_out: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Features N(0, 1), raw output η = x·weights + intercept, target drawn from `likelihood` at η.

    η is the logit of bernoulli, the probit of bernoulli_probit, the logits of categorical, the mean of normal and
    laplace, the log of the mean of poisson, gamma and negative_binomial. `dispersion`: standard deviation of normal,
    scale b of laplace, shape k of gamma, θ of negative_binomial (variance μ + μ²/θ); the others have none.
    `weights`: `features` numbers, for categorical `features` rows of `classes` numbers; left out, they are drawn from
    N(0, 1), with class 0 (the reference) at 0. The truth is in `notes`, as "true_weights" and "true_intercept", in
    the units of `x` as returned. Raises ConfigError for an unknown likelihood or weights of the wrong shape.
    """
    _check_arguments(likelihood, rows, features, classes, dispersion, intercept)
    shape = (features, classes) if likelihood == "categorical" else (features,)
    truth = _draw_weights(shape, seed) if weights is None else _read_weights(weights, shape)
    x = torch.randn(rows, features, dtype=torch.float64, generator=generator(seed, "synthetic", "x"))
    kind, sample = SAMPLERS[likelihood]
    y = sample(x @ truth + intercept, dispersion, generator(seed, "synthetic", "y"))
    space = TargetSpace(kind, classes if kind == "classes" else None)
    data = prepare(f"synthetic {likelihood}", x, y, space, standardize=standardize, held_out=held_out, seed=seed)
    return dataclasses.replace(data, notes=_truth(truth, intercept, data.standardised))


def two_moons(
    *, rows: int = 512, noise: float = 0.2, standardize: bool = False, held_out: float = 0.2, seed: int = 0
) -> Dataset:
    """Two interleaving half circles of radius 1, `x` (n, 2), blurred by N(0, noise²). Half the rows are class 1."""
    whole("data.rows", rows)
    number("data.noise", noise)
    if rows < 2 or noise < 0:
        raise ConfigError(f"data: two moons need rows ≥ 2 and a finite noise ≥ 0, found rows={rows}, noise={noise}")
    _check_size(rows, 2)
    y = torch.arange(rows) % 2
    angle = math.pi * torch.rand(rows, dtype=torch.float64, generator=generator(seed, "two_moons", "angle"))
    upper = torch.stack([angle.cos(), angle.sin()], dim=1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
    blur = torch.randn(rows, 2, dtype=torch.float64, generator=generator(seed, "two_moons", "noise"))
    x = torch.where(y.unsqueeze(1) == 0, upper, lower) + noise * blur
    return prepare(
        "two_moons",
        x,
        y,
        TargetSpace("binary"),
        standardize=standardize,
        held_out=held_out,
        seed=seed,
        features=("x1", "x2"),
    )


def _check_arguments(
    likelihood: str, rows: int, features: int, classes: int, dispersion: float, intercept: float
) -> None:
    if likelihood not in SAMPLERS:
        raise ConfigError("data.likelihood: " + unknown("likelihood", likelihood, SAMPLERS))
    for key, value, least in (("rows", rows, 1), ("features", features, 1), ("classes", classes, 2)):
        if whole(f"data.{key}", value) < least:
            raise ConfigError(f"data.{key}: must be at least {least}, found {value}")
    if isinstance(dispersion, str) or not 0 < dispersion < math.inf:
        raise ConfigError(f"data.dispersion: must be positive and finite, found {shown(dispersion)}")
    number("data.intercept", intercept)
    _check_size(rows, features * (classes if likelihood == "categorical" else 1))


def _check_size(rows: int, columns: int) -> None:
    """A config may come from somebody else, and rows are drawn in memory."""
    if rows * columns > MOST_NUMBERS:
        raise ConfigError(
            f"data.rows: {rows:,} rows of {columns:,} numbers are more than {MOST_NUMBERS:,} together; draw fewer"
        )


def _draw_weights(shape: tuple[int, ...], seed: int) -> Tensor:
    drawn = torch.randn(shape, dtype=torch.float64, generator=generator(seed, "synthetic", "weights"))
    if len(shape) == 2:
        drawn[:, 0] = 0  # only differences between classes can be found again
    return drawn


def _read_weights(weights: Sequence[float] | Sequence[Sequence[float]], shape: tuple[int, ...]) -> Tensor:
    wanted = " rows of ".join(map(str, shape)) + " finite numbers"
    try:
        given = torch.tensor([list(row) if isinstance(row, Sequence) else row for row in weights], dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"data.weights: must be {wanted}: {error}") from error
    if tuple(given.shape) != shape or not bool(given.isfinite().all()):
        raise ConfigError(f"data.weights: must be {wanted}, found {given.tolist()}")
    return given


def _truth(weights: Tensor, intercept: float, standardised: dict[str, list[float]] | None) -> dict[str, object]:
    """The true weights for `x` as the model sees it: x·w + b = z·(scale w) + (b + mean·w), z = (x − mean) / scale."""
    shift = torch.zeros(weights.shape[1:], dtype=torch.float64) + intercept
    if standardised:
        mean = torch.tensor(standardised["mean"], dtype=torch.float64)
        scale = torch.tensor(standardised["scale"], dtype=torch.float64)
        shift = shift + mean @ weights
        weights = scale.reshape(-1, *[1] * (weights.ndim - 1)) * weights
    return {"true_weights": weights.tolist(), "true_intercept": shift.tolist()}


def _gamma(shape: float, like: Tensor, source: Generator) -> Tensor:
    # torch has no public gamma sampler that takes a generator; torch.distributions calls this one.
    return torch._standard_gamma(torch.full_like(like, shape), generator=source) / shape


def _laplace(mean: Tensor, scale: float, source: Generator) -> Tensor:
    up, down = (torch.empty_like(mean).exponential_(generator=source) for _ in range(2))
    return mean + scale * (up - down)


# likelihood → (kind of target, sampler (η, dispersion, generator) → y)
SAMPLERS: dict[str, tuple[str, Callable[[Tensor, float, Generator], Tensor]]] = {
    "bernoulli": ("binary", lambda eta, _, g: torch.bernoulli(eta.sigmoid(), generator=g)),
    "bernoulli_probit": ("binary", lambda eta, _, g: torch.bernoulli(torch.special.ndtr(eta), generator=g)),
    "categorical": ("classes", lambda eta, _, g: torch.multinomial(eta.softmax(1), 1, generator=g).squeeze(1)),
    "normal": ("real", lambda eta, sd, g: eta + sd * torch.randn(eta.shape, dtype=eta.dtype, generator=g)),
    "laplace": ("real", _laplace),
    "poisson": ("counts", lambda eta, _, g: torch.poisson(eta.exp(), generator=g)),
    "gamma": ("positive", lambda eta, k, g: eta.exp() * _gamma(k, eta, g)),
    "negative_binomial": ("counts", lambda eta, k, g: torch.poisson(eta.exp() * _gamma(k, eta, g), generator=g)),
}
