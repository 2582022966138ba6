"""Target spaces of a size whose targets are several numbers at a position, or labels in an order."""

import torch
from torch import Generator, Tensor

from mlnn.targets.facts import LINE, Facts

ROUNDED = 1e-5
"""How far from 1 a row of a simplex may add up to: a softmax in float32 over 100,000 classes is off by less."""


def _pattern(size: int, *cycle: float) -> list[float]:
    """A target that repeats a few numbers."""
    return [cycle[place % len(cycle)] for place in range(size)]


def multilabel(size: int) -> Facts:
    """The facts of m labels, each of them there or not."""
    return Facts(
        support="{0, 1}^m",
        inside=lambda y: (y == 0) | (y == 1),
        link=torch.sigmoid,
        inverse=torch.logit,
        link_name="σ(f)",
        means=(0.0, 1.0),
        probe_points=[_pattern(size, *cycle) for cycle in ((0.0,), (1.0,), (1.0, 0.0), (0.0, 0.0, 1.0))],
        wide_points=[_pattern(size, *cycle) for cycle in ((0.0,), (1.0,), (1.0, 0.0))],
        draw=lambda uniform: (uniform < 0.5).double(),
        follow=lambda output, _uniform, noise, _draws: (output + noise > 0).double(),
        usual="bernoulli",
        outputs=size,
        event=size,
    )


def simplex(size: int) -> Facts:
    """The facts of K probabilities that add up to 1: a teacher's, mixed or smoothed labels."""
    corner = [float(place == 0) for place in range(size)]
    ramp = [2.0 * (place + 1) / (size * (size + 1)) for place in range(size)]
    near = [0.9 * one + 0.1 / size for one in corner]
    return Facts(
        support="the simplex of K probabilities",
        inside=_on_simplex,
        link=lambda output: torch.softmax(output, dim=-1),
        inverse=torch.log,
        link_name="softmax(f)",
        means=(0.0, 1.0),
        probe_points=[corner, [1.0 / size] * size, near, ramp],
        wide_points=[[1.0 / size] * size, near, ramp],
        draw=_drawn_simplex,
        follow=lambda output, _uniform, noise, _draws: torch.softmax(output + noise, dim=-1),
        usual="categorical",
        outputs=size,
        event=size,
    )


def _on_simplex(y: Tensor) -> Tensor:
    """Mask (…) of rows (…, K) that are not negative and add up to 1."""
    return (y >= 0).all(-1) & ((y.sum(-1) - 1).abs() <= ROUNDED)


def _drawn_simplex(uniform: Tensor) -> Tensor:
    """Rows spread evenly over the simplex, from uniform numbers (…, K)."""
    shares = -torch.log1p(-uniform) + torch.finfo(torch.float64).tiny  # exponential numbers over their sum
    return shares / shares.sum(-1, keepdim=True)


def ordinal(size: int) -> Facts:
    """The facts of K classes in an order, of which a model tells K − 1 raw outputs: one for each step up."""
    few = sorted({0, 1, size // 2, size - 1})
    return Facts(
        support="{0 < … < K−1}",
        inside=lambda y: (y >= 0) & (y < size) & (y == y.round()),
        link=torch.sigmoid,
        inverse=torch.logit,
        link_name="σ(f)",
        means=(0.0, 1.0),
        probe_points=few,
        wide_points=range(size) if size <= 256 else few,
        draw=lambda uniform: (uniform * size).long(),
        follow=lambda output, _uniform, noise, _draws: (output + noise > 0).sum(-1),
        usual="categorical",
        outputs=size - 1,
        dtype=torch.int64,
        values=range(size),
        separable=True,
    )


def reals(size: int) -> Facts:
    """The facts of m real numbers."""
    return Facts(
        support=LINE,
        inside=torch.isfinite,
        link=lambda v: v,
        inverse=lambda v: v,
        link_name="f",
        means=(-torch.inf, torch.inf),
        probe_points=[_pattern(size, *cycle) for cycle in ((0.0,), (-2.53, 0.71), (10.3, 0.4, -1.7))],
        wide_points=[_pattern(size, *cycle) for cycle in ((0.0,), (-11.2, 0.71, 35.7))],
        draw=lambda uniform: 3 * uniform - 1,
        follow=lambda output, _uniform, noise, _draws: output + 0.3 * noise,
        usual="normal",
        outputs=size,
        event=size,
    )


def drawn_kept(y: Tensor, ignore: int, draws: Generator) -> Tensor:
    """Targets (n, …) of which about a fifth is ignored, though of no row all, and not the first row of plain ones."""
    left_out = torch.rand(y.shape, generator=draws, dtype=torch.float64) < 0.2
    left_out[(..., -1) if y.ndim > 1 else 0] = False
    return torch.where(left_out, ignore, y)
