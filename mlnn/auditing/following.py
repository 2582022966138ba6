"""What are the best outputs of a loss that is no likelihood? Those that make its expectation least, for a few distributions."""

import math
from collections.abc import Callable

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.links import EntryLink, read_entry
from mlnn.targets import COUNTS, HALF_LINE, LINE, UNIT_INTERVAL

ATOMS: dict[str, tuple[tuple[float, ...], ...]] = {
    LINE: ((-1.1, 0.2, 2.3), (0.4, 1.7, 4.9), (-3.0, -0.4, 0.9), (-0.2, 0.9, 1.4)),
    HALF_LINE: ((0.3, 1.1, 2.6), (0.9, 2.2, 5.1), (0.2, 0.7, 1.2), (1.4, 1.9, 4.0)),
    UNIT_INTERVAL: ((0.12, 0.3, 0.71), (0.4, 0.63, 0.91), (0.08, 0.21, 0.44), (0.31, 0.52, 0.66)),
    COUNTS: ((0.0, 1.0, 4.0), (0.0, 3.0, 8.0), (0.0, 2.0, 3.0), (0.0, 5.0, 9.0)),
}
"""By the support of the targets: distributions on three of them each, none symmetric, so that no mean is a median."""
FEWEST = 3
"""Of the distributions, for which there must be a best output."""
SHARES = ((0.3, 0.45, 0.25), (0.2, 0.35, 0.45), (0.5, 0.2, 0.3), (0.25, 0.6, 0.15))
"""Of the three, for each distribution its own."""
BOX = 25.0
"""Outputs larger than this are on the way to no least value at all."""
ON, SMALLER = 3.0, 1e-9
"""How far along an entry it is looked whether an expectation goes on falling, and by what share of it."""
FAR = 5.0
"""An entry beyond this, farther out from which nothing is lost, is on its way."""
SAME = 2e-4
"""To which a mean and the output that stands for it must agree: a minimum is found to half of the digits."""


def follows(loss: Loss) -> tuple[str, str | None, str]:
    """The kind ("proper", "calibrated", "no link") of a loss that is no likelihood, the link of the mean, and what is said."""
    best, means = [], []
    for atoms, shares in zip(ATOMS[loss.space.facts.support], SHARES, strict=True):
        found = best_output(loss, torch.tensor(atoms, dtype=torch.float64), torch.tensor(shares, dtype=torch.float64))
        if found is not None:
            best.append(found)
            means.append(float(np.dot(atoms, shares)))
    if len(best) < FEWEST:
        return "no link", None, "its expectation is least at no output: it goes on falling as outputs grow"
    outputs, mean = torch.stack(best), torch.tensor(means, dtype=torch.float64)
    link = read_entry(outputs, mean, SAME)
    if link and _holds_elsewhere(loss, link, float(mean[-1])):
        return "proper", link.words, "one of its outputs is made the mean"
    if float((outputs - outputs[0]).abs().max()) <= SAME:
        return "no link", None, "its best outputs do not follow the target"
    return "calibrated", None, "its best outputs follow the target, but none is its mean"


def _holds_elsewhere(loss: Loss, link: EntryLink, mean: float) -> bool:
    """Whether the last distribution's best output has that mean where it is looked for from another side too.

    Where outputs are best together, such as all with one difference, each is what the search made of it.
    """
    atoms, shares = ATOMS[loss.space.facts.support][-1], SHARES[-1]
    found = best_output(loss, torch.tensor(atoms, dtype=torch.float64), torch.tensor(shares, dtype=torch.float64), -1.0)
    return found is not None and abs(float(link.of(found)) - mean) <= SAME * max(1.0, abs(mean))


def best_output(loss: Loss, atoms: Tensor, share: Tensor, side: float = 1.0) -> Tensor | None:
    """The output (m,) at which the expected loss is least; None where it is least at none within the box.

    `side`: 1 or −1, of two places from which it is looked for.
    """

    def risk(output: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = loss.both(torch.from_numpy(output.copy()).expand(len(atoms), -1), atoms)
        total = float((share * value).sum())
        if not math.isfinite(total):
            return 1e300, np.zeros_like(output)
        return total, (share[:, None] * slope).sum(0).nan_to_num(0.0, 0.0, 0.0).numpy()

    count = loss.space.outputs
    start = side * np.linspace(-0.5, 0.7, count)
    with np.errstate(all="ignore"):
        least = scipy.optimize.minimize(risk, start, jac=True, method="L-BFGS-B", bounds=[(-BOX, BOX)] * count,
                                        options={"maxiter": 200, "ftol": 1e-15, "gtol": 1e-10})  # fmt: skip
    at = torch.from_numpy(least.x)
    return None if float(at.abs().max()) > BOX - 1 or _falls_on(risk, least.x, float(least.fun)) else at


def _falls_on(risk: Callable[[np.ndarray], tuple[float, np.ndarray]], at: np.ndarray, least: float) -> bool:
    """Whether the expectation is smaller still a long way along one entry: where it falls ever more slowly a search gives up."""
    for k in range(len(at)):
        for side in (-1.0, 1.0):
            change = risk(at + side * ON * np.eye(len(at))[k])[0] - least
            flat = side * at[k] > FAR and change <= SMALLER * max(abs(least), 1.0)
            if flat or change < -SMALLER * abs(least):
                return True
    return False
