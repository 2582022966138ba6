"""Is a stationary point a maximum? The least eigenvalue of the observed information says: negative, and it is a saddle."""

import math
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor
from torch.func import grad, vjp

from mlnn.estimating.network import curvature
from mlnn.estimating.network.fisher import Network
from mlnn.seeding import generator
from mlnn.world import own_world

ASKED = 300
"""Rounds of Lanczos steps, after which the answer is NaN."""


@own_world(threads=None)
def least_curvature(network: Network, x: Tensor, y: Tensor) -> float:
    """Least eigenvalue of the Hessian of the summed nll, over its largest in size; 0 for no curvature, NaN if not found.

    x (n, *input_shape), y (n,). Lanczos steps from a random start: a symmetric start would miss the directions that tell
    equal units apart. One step costs about two gradients.
    """
    y = y if y.dtype == torch.int64 else y.double()

    def total(weights: Tensor) -> Tensor:
        return curvature.nll(network.likelihood, network.model.free(weights, x.double()), y).sum()

    size = len(network.weights)
    pull = vjp(grad(total), network.weights)[1]

    def product(v: np.ndarray) -> np.ndarray:  # the Hessian is symmetric: vᵀH is Hv
        along: Tensor = pull(torch.from_numpy(v.ravel().copy()))[0]
        return along.detach().numpy()

    if size < 3:  # fewer than Lanczos steps can handle
        values = np.linalg.eigvalsh(np.stack([product(unit) for unit in np.eye(size)]))
        return float(values[0] / np.abs(values).max()) if values.any() else 0.0
    start = torch.randn(size, generator=generator(0, "null"), dtype=torch.float64).numpy()
    if not product(start).any():
        return 0.0
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    asked: dict[str, Any] = {"k": 1, "v0": start, "tol": 1e-6, "maxiter": ASKED, "return_eigenvectors": False}
    try:
        least, largest = (float(eigsh(operator, which=end, **asked)[0]) for end in ("SA", "LM"))
    except ArpackNoConvergence:
        return math.nan
    return least / abs(largest)
