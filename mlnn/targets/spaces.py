"""The target spaces, a record each. A new one is a record more, here and nowhere else."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from mlnn.targets.events import multilabel, ordinal, reals, simplex
from mlnn.targets.facts import COUNTS, HALF_LINE, LINE, UNIT_INTERVAL, Coordinate, Facts

MANY = 256
"""Of more classes than this only some are looked at where every pair of them costs."""
HIGHEST_LOGIT = 20.0
"""Targets in (0, 1) are integrated over their logit: beyond 20 float64 has too few digits left for 1−y."""


def _same(v: Tensor) -> Tensor:
    return v


def _logit_slope(v: Tensor) -> Tensor:
    return torch.nn.functional.logsigmoid(v) + torch.nn.functional.logsigmoid(-v)


def _is_whole(y: Tensor) -> Tensor:
    return (y >= 0) & (y == y.round())


def _follow_rate(output: Tensor, _uniform: Tensor, _noise: Tensor, draws: Generator) -> Tensor:
    return torch.poisson(torch.exp(0.5 * output[..., 0]), generator=draws)


BINARY = Facts(
    support="{0, 1}",
    inside=lambda y: (y == 0) | (y == 1),
    link=torch.sigmoid,
    inverse=torch.logit,
    link_name="σ(f)",
    means=(0.0, 1.0),
    probe_points=(0.0, 1.0),
    wide_points=(0.0, 1.0),
    draw=lambda uniform: (uniform < 0.5).double(),
    follow=lambda output, uniform, _noise, _draws: uniform < torch.sigmoid(output[..., 0]),
    usual="bernoulli",
    values=(0.0, 1.0),
    variance=lambda mean: mean * (1 - mean),
    extreme=lambda y: (y == 0) | (y == 1),
    separable=True,
)


def classes(count: int) -> Facts:
    """The facts of K classes."""
    return Facts(
        support="{0 … K−1}",
        inside=lambda y: (y < count) & _is_whole(y),
        link=lambda output: torch.softmax(output, dim=-1),
        inverse=torch.log,
        link_name="softmax(f)",
        means=(0.0, 1.0),
        probe_points=range(min(count, 4)),
        wide_points=range(0, count, count // (MANY + 1) + 1),
        draw=lambda uniform: (uniform * (count or 1)).long(),
        follow=lambda output, _uniform, noise, _draws: (output + noise).argmax(-1),
        usual="categorical",
        outputs=count or 1,
        dtype=torch.int64,
        values=range(count),
        extreme=lambda y: y >= 0,
        separable=True,
    )


REAL = Facts(
    support=LINE,
    inside=torch.isfinite,
    link=_same,
    inverse=_same,
    link_name="f",
    means=(-torch.inf, torch.inf),
    probe_points=(-2.53, 0.0, 0.71, 10.3),
    wide_points=(-40.3, -11.2, -2.53, -0.4, 0.71, 10.3, 35.7),
    draw=lambda uniform: 3 * uniform - 1,
    follow=lambda output, _uniform, noise, _draws: output[..., 0] + 0.3 * noise[..., 0],
    usual="normal",
    coordinate=Coordinate(
        "y", _same, torch.zeros_like, _same, (-5.0, 5.0),
        far=tuple(10.0**k for k in range(40, 145, 5)),
        farthest=((1e10, 1e20, 1e40, 1e60), (-1e10, -1e20, -1e40, -1e60)),
        tail=(1e3, 1e4, 1e5),
    ),
    fitted_points=(-41.3, -13.7, -3.1, -0.7, 0.4, 2.2, 5.3, 16.1, 37.9),
    plain_points=(-2.53, -0.4, 0.71, 10.3),
    ordered_points=(-3.0, 1.0, 4.0),
    far_output=40.0,
    farthest_output=60.0,
)  # fmt: skip
COUNTING = Facts(
    support=COUNTS,
    inside=_is_whole,
    link=torch.exp,
    inverse=torch.log,
    link_name="exp(f)",
    means=(0.0, torch.inf),
    probe_points=(0.0, 1.0, 2.0, 3.0, 7.0, 20.0),
    wide_points=(*map(float, range(31)), 100.0),
    draw=lambda uniform: (6 * uniform).floor(),
    follow=_follow_rate,
    usual="poisson",
    extreme=lambda y: y == 0,
    separable=True,
    fitted_points=(*map(float, range(61)), 97.0, 150.0, 251.0, 1000.0),
    far_points=(1e5, 1e7, 1e9, 1e11),
)
POSITIVE = Facts(
    support=HALF_LINE,
    inside=lambda y: y > 0,
    link=torch.exp,
    inverse=torch.log,
    link_name="exp(f)",
    means=(0.0, torch.inf),
    probe_points=(0.05, 0.8, 2.3, 30.0),
    wide_points=(1e-3, 0.05, 0.8, 2.3, 30.0, 211.0),
    draw=lambda uniform: 0.1 + 3 * uniform,
    follow=lambda output, _uniform, noise, _draws: torch.exp(0.5 * output[..., 0] + 0.3 * noise[..., 0]),
    usual="gamma",
    coordinate=Coordinate(
        "log y", torch.exp, _same, torch.log, (0.02, 6.0),
        overflows=True,
        far=tuple(map(float, range(100, 700, 10))),
        farthest=((100.0, 200.0, 300.0, 400.0, 600.0), (-100.0, -200.0, -300.0, -400.0, -600.0)),
        residual=40.0,
        tail=(6.0, 60.0, 600.0),
    ),
    fitted_points=(1e-3, 0.02, 0.2, 0.9, 1.7, 3.3, 8.1, 21.0, 60.0, 300.0, 5000.0),
    plain_points=(0.05, 0.8, 2.3, 30.0),
)  # fmt: skip
UNIT = Facts(
    support=UNIT_INTERVAL,
    inside=lambda y: (y >= 0) & (y <= 1),
    link=torch.sigmoid,
    inverse=torch.logit,
    link_name="σ(f)",
    means=(0.0, 1.0),
    probe_points=(0.0, 0.1, 0.3, 0.5, 0.9, 0.999, 1.0),
    wide_points=(0.003, 0.1, 0.31, 0.5, 0.9, 0.999),
    draw=_same,
    follow=lambda output, _uniform, noise, _draws: torch.sigmoid(output[..., 0] + noise[..., 0]),
    usual="beta",
    coordinate=Coordinate(
        "logit y", torch.sigmoid, _logit_slope, torch.logit, (0.01, 0.99),
        low=-HIGHEST_LOGIT,
        high=HIGHEST_LOGIT,
        digits=1e-9,
        beyond=True,
        farthest=((11.0, 13.0, 15.0, 17.0), (-20.0, -50.0, -100.0, -300.0, -600.0)),
        residual=12.0,
        dense=34.0,
    ),
    extreme=lambda y: (y == 0) | (y == 1),
    fitted_points=(0.001, 0.07, 0.3, 0.5, 0.8, 0.93, 0.999),
    plain_points=(0.1, 0.4, 0.7, 0.95),
    ordered_points=(0.2, 0.5, 0.7),
    near_output=1.2,  # a beta's mass near 1 is lost in float64 sooner than the others'
    farthest_output=5.0,
)  # fmt: skip

SPACES: dict[str, Facts | Callable[[int], Facts]] = {
    "binary": BINARY,
    "classes": classes,
    "real": REAL,
    "counts": COUNTING,
    "positive": POSITIVE,
    "unit": UNIT,
    "multilabel": multilabel,
    "simplex": simplex,
    "ordinal": ordinal,
}
"""By the name that users write; of a space that has a size, written classes(3), a function of it."""
SEVERAL: dict[str, Callable[[int], Facts]] = {"real": reals}
"""Spaces of single numbers of which a position may have several, written real(3)."""
