"""What stood in the way of a maximum that was not reached: only what can be so for this likelihood and this model."""

import math

import torch
from torch import Tensor

from mlnn.estimating.network.descent import End
from mlnn.estimating.network.problem import Problem
from mlnn.estimating.network.trust_region import linear_at

FAR = 1e3
"""Times the size of the first weights: a parameter that is farther off runs away."""
WENT = 10.0
"""Times its first size (or 1): the parameter that went farthest is named."""
ALIKE = 1e-6
"""Least over largest singular value, columns of length 1: parameters that do the same to every raw output, to all purposes."""
SHARE = 0.3
"""Of a direction of length 1: a parameter that takes part in it."""
SMALL = 1e-3
"""Of its terms: a gradient on a slope that leads nearly nowhere."""
BESIDE = 1e-7
"""Of a parameter's size (or of 1): how far to either side of an end its gradient is asked for."""
JUMP = 0.1
"""Of the gradients' terms to either side: a difference over so short a way that no smooth model makes; of jumps, how alike."""


def not_reached(problem: Problem, ends: list[End], starts: int) -> str:
    """Why there is no answer, in one line, and what may help."""
    nearest = min((end.gradient for end in ends if math.isfinite(end.gradient)), default=math.nan)
    told = f"fit_model: none of {starts} starts reached a maximum, "
    if math.isnan(nearest):
        where = _not_finite(problem)
        return f"{told}the likelihood or its gradient is not finite at any of them{where}: start elsewhere, or rescale x and y"
    best = min(ends, key=lambda end: end.value)
    why = ["the MLE may not exist (separation)"] * problem.family.space.separable
    why += ["the model computes in a lower precision than float64"] * problem.low
    if problem.family.likelihood.kinked:
        why += [f"{problem.family.name} has kinks, which no Newton step ends at"]
    else:
        why += _of_the_model(problem, best)
    return f"{told}the gradient stayed at {nearest:.1e} of its terms; {', or '.join(why)}: start nearer, or take more starts"


def _of_the_model(problem: Problem, best: End) -> list[str]:
    """What is seen of the model at the likeliest end."""
    kink = _kink(problem, best.theta)
    why = [f"the model has a kink at {kink}"] * bool(kink)
    size, before = best.theta.abs(), problem.flat.abs().max()
    if float(size.max()) > FAR * (1 + float(before)):
        at = int(size.argmax())
        why += [f"{problem.network.names()[at]} runs away, to {float(best.theta[at]):.2g}"]
    elif float((went := (best.theta - problem.flat).abs() / (1 + problem.flat.abs())).max()) > WENT:
        at = int(went.argmax())
        first, last = float(problem.flat[at]), float(best.theta[at])
        why += [f"{problem.network.names()[at]} has gone from {first:.2g} to {last:.2g}"]
    alike = _alike(problem, best.theta)
    why += [f"{alike} cannot be told apart there (a singular direction)"] * bool(alike)
    if best.region is not None and best.region.lost:
        why += [
            "the raw outputs are not finite a step further (an exponential that overflows, a logarithm or power below 0)"
        ]
    slow = not kink and (best.gradient < SMALL or not why)
    return ["the likelihood is all but flat on the way"] * slow + why


def _not_finite(problem: Problem) -> str:
    """The first row of the first start whose raw output is not finite."""
    with torch.no_grad():
        outputs = problem.free(problem.flat)
    bad = torch.nonzero(~torch.isfinite(outputs).all(1))[:, 0]
    if not len(bad):
        return f" (raw outputs at the first weights reach {float(outputs.abs().max()):.1e})"
    row = int(bad[0])
    value = next(v for v in outputs[row].tolist() if not math.isfinite(v))
    return f" (raw output {value} at the first weights for {len(bad)} of {len(outputs)} rows, row {row} first)"


def _alike(problem: Problem, theta: Tensor) -> str:
    """Names of the parameters that a singular direction is made of; "" where there is none."""
    root = linear_at(problem, theta).root
    if not bool(torch.isfinite(root).all()):
        return ""
    length = root.norm(dim=0)
    alive = torch.nonzero(length > 0)[:, 0]
    if len(alive) < 2 or len(root) < len(alive):
        return ""
    _, singular, axes = torch.linalg.svd(root[:, alive] / length[alive], full_matrices=False)
    if float(singular[-1]) > ALIKE * float(singular[0]):
        return ""
    names = problem.network.names()
    part = [names[int(alive[k])] for k in range(len(alive)) if abs(float(axes[-1, k])) >= SHARE]
    return ", ".join(part[:-1]) + f" and {part[-1]}" if len(part) > 1 else ""


def _kink(problem: Problem, theta: Tensor) -> str:
    """The name and value of a parameter along which the gradient jumps at `theta`; "" where there is none."""
    for k, name in enumerate(problem.network.names()):
        jumps = [_jump(problem, theta, k, share * BESIDE) for share in (1, 0.3, 0.1)]
        # A smooth gradient differs by less over less, rounding by anything; a jump stays the same.
        if min(map(abs, jumps)) > JUMP and max(jumps) - min(jumps) < JUMP * max(map(abs, jumps)):
            return f"{name} = {float(theta[k]):.4g}"
    return ""


def _jump(problem: Problem, theta: Tensor, k: int, share: float) -> float:
    """How much the slope along parameter k differs between the two sides of `theta`, in its own terms."""
    beside = torch.zeros_like(theta)
    beside[k] = share * max(1.0, abs(float(theta[k])))
    before, after = (problem.slopes(theta + sign * beside)[:, k] for sign in (-1, 1))
    terms = float(before.abs().sum() + after.abs().sum())
    return float((after - before).sum()) / terms if terms > 0 else 0.0
