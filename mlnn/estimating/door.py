"""A likelihood from elsewhere at the door: is its nll one real number per row, of that row alone, of a density that adds up to 1?

What is asked here holds of every likelihood. What cannot be told, as of a density too narrow for the places looked at, passes.
"""

import copy
import math

import torch
from torch import Tensor

from mlnn.arguments import first_line
from mlnn.errors import ConfigError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.network import curvature

FEW = 3
"""Rows that are asked."""
ALONE = 1e-9
"""Relative difference between a row among others and alone: rounding is below, a mean over the batch far above."""
TOTAL = 1e-6
"""How far from 1 probabilities may add up to."""
INTEGRAL, SETTLED = 1e-2, 1e-4
"""How far from 1 the integral of a density may be, and how far from that with half the places for it to be believed."""
MOST_COUNTS = 4000
"""Counts that are added up: the last of them must have nothing left."""
SPAN, PLACES = 36.0, 4001
"""Of u in y = centre + scale · sinh(u), beyond which nothing of a density with two moments is left, and places in it."""


def check_nll(family: Family, y: Tensor) -> Family:
    """Raise ConfigError where a likelihood from elsewhere is none. y (n,), the targets.

    The family comes back knowing whether its raw outputs of classes are free up to a constant.
    """
    if family.knows_information or family.likelihood.jointly:
        return family
    _check_shape(family, y)
    _check_alone(family, y)
    _check_total(family, y)
    return _with_baseline(family, y)


def check_one_number(family: Family) -> None:
    """Raise ConfigError where several numbers are to be estimated: beside a model one is."""
    if family.several:
        raise ConfigError(
            f"model: {family.name} has several numbers to estimate ({', '.join(family.several)}), which the linear estimate can;"
            " beside a model name one, or none, in `free`"
        )


def _zeros(family: Family, rows: int) -> Tensor:
    return torch.zeros(rows, family.outputs, dtype=torch.float64)


def _check_shape(family: Family, y: Tensor) -> None:
    rows = slice(0, min(len(y), FEW))
    eta = _zeros(family, rows.stop)
    shapes = f"output {tuple(curvature.raw(family.likelihood, eta).shape)}, target ({rows.stop},)"
    try:
        found = curvature.nll(family.likelihood, eta.requires_grad_(), y[rows])
    except Exception as problem:  # whatever somebody's own class raises
        told = f"{type(problem).__name__}: {first_line(problem)}"
        raise ConfigError(f"likelihood: {family.name}.nll raised {told} on {shapes}") from problem
    if not isinstance(found, Tensor) or found.shape != (rows.stop,):
        given = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ConfigError(
            f"likelihood: {family.name}.nll gave {given} for {shapes}; one number per row, ({rows.stop},)"
        )
    if not found.requires_grad:
        raise ConfigError(
            f"likelihood: {family.name}.nll does not depend on the raw output; keep it in torch, undetached"
        )
    (slope,) = torch.autograd.grad(found.sum(), eta, create_graph=True)
    if not slope.requires_grad:
        raise ConfigError(
            f"likelihood: the gradient of {family.name}.nll does not depend on the raw output: the nll is a straight line in it,"
            " which no density is, or part of it is computed outside torch; keep all of it in torch, undetached"
        )


def _check_alone(family: Family, y: Tensor) -> None:
    """Different rows together and one by one."""
    rows = y[torch.linspace(0, len(y) - 1, min(len(y), FEW)).long()]
    eta = _zeros(family, len(rows)) + 0.3 * torch.arange(1, len(rows) + 1)[:, None]
    with torch.no_grad():
        together = curvature.nll(family.likelihood, eta, rows)
        alone = torch.cat([curvature.nll(family.likelihood, eta[k : k + 1], rows[k : k + 1]) for k in range(len(rows))])
    both = torch.isfinite(together) & torch.isfinite(alone)
    if bool(((together - alone).abs() > ALONE * (1 + alone.abs()))[both].any()):
        raise ConfigError(
            f"likelihood: {family.name}.nll couples the rows: one of them has another value beside others than alone; a"
            " likelihood here is a product over the rows"
        )


def _check_total(family: Family, y: Tensor) -> None:
    """Over all targets, at raw outputs where the class has numbers."""
    for level in (0.0, 0.7):
        at = _zeros(family, 1) + level * torch.linspace(1, 2, family.outputs, dtype=torch.float64)
        total = _total(family, at, y)
        if total is not None:
            raise ConfigError(
                f"likelihood: {family.name} is not normalised: exp(−nll) adds up to {total:.6g} over the targets of"
                f" '{family.space}' at the raw output {[round(v, 3) for v in at[0].tolist()]}, not to 1; keep every constant of"
                " the density (mlnn audit says what a loss is)"
            )


def _total(family: Family, at: Tensor, y: Tensor) -> float | None:
    """Σ or ∫ exp(−nll) where that is known not to be 1, else None."""
    space = family.space
    if space.finite or space.countable:
        targets = space.inner_points if space.finite else torch.arange(MOST_COUNTS, dtype=torch.float64)
        mass = _mass(family, at, targets)
        total = float(mass.sum())
        if not space.finite and float(mass[-1]) >= float(mass[MOST_COUNTS // 2]) > 0:  # and never will
            return math.inf
        fades = space.finite or float(mass[-10:].sum()) < TOTAL / MOST_COUNTS
        return total if fades and abs(total - 1) > TOTAL else None
    if space.coordinate is None:
        return None
    coordinate = space.coordinate
    own = coordinate.back(y)
    own = own[torch.isfinite(own)]
    if not len(own):
        return None
    scale = max(float(own.std()) if len(own) > 1 else 0.0, 1.0)
    u = torch.linspace(-SPAN, SPAN, PLACES, dtype=torch.float64)
    v = float(own.median()) + scale * torch.sinh(u)
    inside = (v > coordinate.low) & (v < coordinate.high) & (v.abs() < (700 if coordinate.overflows else 1e150))
    density = _mass(family, at, coordinate.target(v[inside])) * torch.exp(coordinate.log_slope(v[inside]))
    values = torch.zeros_like(u)
    values[inside] = density * scale * torch.cosh(u[inside])
    fine, coarse = (float(values[::step].sum()) * step * 2 * SPAN / (PLACES - 1) for step in (1, 2))
    return fine if abs(fine - coarse) < SETTLED * abs(fine) and abs(fine - 1) > INTEGRAL else None


def _mass(family: Family, at: Tensor, targets: Tensor) -> Tensor:
    """exp(−nll) of targets (k,) at one raw output (1, m)."""
    with torch.no_grad():
        return torch.exp(-curvature.nll(family.likelihood, at.expand(len(targets), -1), targets))


def _with_baseline(family: Family, y: Tensor) -> Family:
    """Of K raw outputs for K classes that nothing tells apart from the same plus a constant, class 0 is held at 0."""
    if family.space.kind != "classes" or family.outputs != family.space.classes:
        return family
    rows = y[:FEW]
    eta = 0.3 * torch.arange(len(rows) * family.outputs, dtype=torch.float64).sin().reshape(len(rows), -1)
    with torch.no_grad():
        first, moved = (curvature.nll(family.likelihood, eta + by, rows) for by in (0.0, 1.7))
    if not torch.allclose(first, moved, rtol=ALONE, atol=ALONE):
        return family
    held = copy.copy(family.likelihood)
    held.baseline = True  # type: ignore[misc]
    return family.by(held)
