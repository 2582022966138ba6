"""What separated classes tend to: the softmax among the classes that each row does not leave behind for ever.

Along a direction that separates, the probability of the classes a row leaves behind goes to 0 and the others keep their
ratios. The log-likelihood's supremum is the maximum with each row's softmax over those others only (for two classes: over
the rows that overlap), and coefficients that no separating direction moves are the same at every such maximum.
"""

import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.linear.separation import Separation

MOST_STEPS, LAST_PUSH = 100, 1e-9
"""Newton's steps at most, and the push in standard errors at which one more is taken."""
IDLE = 1e-11
"""An eigenvalue below this share of the largest is a direction that changes nothing."""


def class_limit(
    x: Tensor, y: Tensor, intercept: bool, found: Separation, weights: Tensor | None = None
) -> tuple[Tensor, float]:
    """(coefficients (p, K−1) against class 0, log-likelihood in nats) of quasi-separated classes, in the limit.

    x (n, d), y (n,) int64, weights (n,); `found` is `find_separation` of the same rows. A coefficient that runs away is
    ±∞, NaN where its sign is not determined or the columns do not tell it from others. The constant is last. Raises
    DataError if the limit's own maximum is not reached.
    """
    assert found.infinite is not None
    assert found.determined is not None
    x = x.double()
    shift = x.mean(0) if intercept else torch.zeros(x.shape[1], dtype=torch.float64)
    scale = (x - shift).abs().amax(0)
    scale = torch.where(scale > 0, scale, 1.0)
    z = torch.cat([(x - shift) / scale, torch.ones(len(x), int(intercept), dtype=torch.float64)], dim=1)
    count = torch.ones(len(x), dtype=torch.float64) if weights is None else weights.double()
    beta, llf = _maximum(z, y, count, found.behind)
    beta[: x.shape[1]] /= scale[:, None]
    if intercept:
        beta[-1] -= shift @ beta[:-1]
    limit = found.infinite[:, 1:].double() * torch.inf  # 0 · ∞ is NaN
    return torch.where(found.determined[:, 1:], beta, limit), llf


def _maximum(z: Tensor, y: Tensor, count: Tensor, behind: Tensor) -> tuple[Tensor, float]:
    """(a maximum (p, K−1), its log-likelihood), by Newton's method in the directions that change something."""
    one = torch.nn.functional.one_hot(y, behind.shape[1])[:, 1:].double()

    def at(beta: Tensor) -> tuple[float, Tensor]:
        raw = torch.cat([torch.zeros(len(z), 1, dtype=torch.float64), z @ beta], dim=1).masked_fill(behind, -torch.inf)
        log_p = raw.log_softmax(1)
        return float(count @ log_p.gather(1, y[:, None])[:, 0]), log_p.exp()[:, 1:]

    beta = torch.zeros(z.shape[1], one.shape[1], dtype=torch.float64)
    value, p = at(beta)
    for _ in range(MOST_STEPS):
        gradient = (z.T @ (count[:, None] * (one - p))).T.reshape(-1)
        bend = count[:, None, None] * (torch.diag_embed(p) - p[:, :, None] * p[:, None, :])
        hessian = torch.einsum("njk,na,nb->jakb", bend, z, z).reshape(len(gradient), -1)
        values, vectors = torch.linalg.eigh(hessian)
        keep = values > IDLE * values[-1]
        pushed = vectors[:, keep].T @ gradient / values[keep].sqrt()
        step = (vectors[:, keep] @ (pushed / values[keep].sqrt())).reshape(one.shape[1], -1).T
        push = float(pushed.norm())
        if push < LAST_PUSH:
            return beta + step, at(beta + step)[0]
        for halving in range(60):
            trial, probability = at(beta + step * 0.5**halving)
            if trial >= value - 1e-13 * abs(value):
                break
        beta, value, p = beta + step * 0.5**halving, trial, probability
    raise DataError(
        f"separation: the classes that are left have no maximum that was reached ({push:.1e} standard errors)"
    )
