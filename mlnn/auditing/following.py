"""What are the best outputs of a loss that is no likelihood? Those that make its expectation least, for a few distributions."""

import math

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.links import entry_link
from mlnn.targets import COUNTS, HALF_LINE, LINE, UNIT_INTERVAL

ATOMS: dict[str, tuple[tuple[float, ...], ...]] = {
    LINE: ((-1.1, 0.2, 2.3), (0.4, 1.7, 4.9), (-3.0, -0.4, 0.9), (-0.2, 0.9, 1.4)),
    HALF_LINE: ((0.3, 1.1, 2.6), (0.9, 2.2, 5.1), (0.2, 0.7, 1.2), (1.4, 1.9, 4.0)),
    UNIT_INTERVAL: ((0.12, 0.3, 0.71), (0.4, 0.63, 0.91), (0.08, 0.21, 0.44), (0.31, 0.52, 0.66)),
    COUNTS: ((0.0, 1.0, 4.0), (1.0, 3.0, 8.0), (0.0, 2.0, 3.0), (0.0, 5.0, 9.0)),
}
"""By the support of the targets: distributions on three of them each, none symmetric, so that no mean is a median."""
SHARES = (0.3, 0.45, 0.25)
"""Of the three."""
BOX = 25.0
"""Outputs larger than this are on the way to no least value at all."""
SAME = 2e-4
"""To which a mean and the output that stands for it must agree: a minimum is found to half of the digits."""


def follows(loss: Loss) -> tuple[str, str | None, str]:
    """The kind ("proper", "calibrated", "no link") of a loss that is no likelihood, the link of the mean, and what is said."""
    best, means = [], []
    for atoms in ATOMS[loss.space.facts.support]:
        found = _best(loss, torch.tensor(atoms, dtype=torch.float64))
        if found is None:
            return "no link", None, "at no output is its expectation least: it goes on falling as outputs grow"
        best.append(found)
        means.append(float(np.dot(atoms, SHARES)))
    outputs, mean = torch.stack(best), torch.tensor(means, dtype=torch.float64)
    link = entry_link(outputs, mean, SAME)
    if link:
        return "proper", link, "one of its outputs is made the mean"
    if float((outputs - outputs[0]).abs().max()) <= SAME:
        return "no link", None, "its best outputs do not follow the target"
    return "calibrated", None, "its best outputs follow the target, but none is its mean"


def _best(loss: Loss, atoms: Tensor) -> Tensor | None:
    """The output (m,) at which the expected loss is least; None where it is least at none within the box."""
    share = torch.tensor(SHARES, dtype=torch.float64)

    def risk(output: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = loss.both(torch.from_numpy(output.copy()).expand(len(atoms), -1), atoms)
        total = float((share * value).sum())
        if not math.isfinite(total):
            return 1e300, np.zeros_like(output)
        return total, (share[:, None] * slope).sum(0).nan_to_num(0.0, 0.0, 0.0).numpy()

    count = loss.space.outputs
    starts = [np.full(count, 0.1) * np.arange(1, count + 1), np.linspace(-0.5, 0.7, count)]
    with np.errstate(all="ignore"):
        ends = [
            scipy.optimize.minimize(risk, start, jac=True, method="L-BFGS-B", bounds=[(-BOX, BOX)] * count,
                                    options={"maxiter": 400, "ftol": 1e-15, "gtol": 1e-10})
            for start in starts
        ]  # fmt: skip
    least = min(ends, key=lambda end: float(end.fun))
    return None if float(np.abs(least.x).max()) > BOX - 1 else torch.from_numpy(least.x)
