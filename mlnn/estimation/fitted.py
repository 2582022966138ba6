"""The information-matrix check of an estimate: is its likelihood the one that made these rows?"""

import torch

from mlnn.estimation import curvature
from mlnn.estimation.information import InformationCheck, information_check
from mlnn.estimation.newton import evaluate
from mlnn.estimation.result import Estimate

MOST = 20_000_000
"""Numbers in the rows' Hessians that are kept together; of more rows than that allows every k-th is taken."""


def check_estimate(found: Estimate) -> InformationCheck | None:
    """tr(A⁻¹B)/p over the coefficients, σ and the like kept at their estimates; None where there is no smooth maximum."""
    if found.information is None:
        return None
    family, beta = found.information.family, found.information.beta
    p, m = beta.shape
    every = max(1, -(-len(found.information.design.y) * (p * m) ** 2 // MOST))
    # On a subset the gradients no longer sum to zero, and the mean Hessian of all rows is the better one.
    design = found.information.design
    scores, hessians = [], []
    for rows, x in design.chunks():
        eta, y = x @ beta, design.y[rows]
        _, slope, bend = curvature.rows(family.likelihood, eta, y, "observed")
        scores.append((slope[:, :, None] * x[:, None, :]).reshape(len(x), -1))
        if every == 1:
            hessians.append(torch.einsum("njk,na,nb->njakb", bend, x, x).reshape(len(x), p * m, p * m))
    hessian = torch.cat(hessians) if every == 1 else evaluate(family, design, beta, "observed").hessian / len(design.y)
    return information_check(torch.cat(scores), hessian)
