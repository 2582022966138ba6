"""What rounding alone makes of a gradient in a half precision: the left objective once more, at raw outputs moved by an ulp.

float64 tells how many ulps a formula loses, but with eight bits of a number that says little. A raw output comes rounded to half
an ulp, so an objective cannot be held to less than what an ulp of its outputs makes of its own gradient.
"""

import math

import torch

from mlnn.comparing.sample import Sample, answer
from mlnn.objectives import Objective

HALVES = (torch.bfloat16, torch.float16)
DRAWS = 4
"""Moves of all raw outputs, each up or down at random; the largest is taken."""
LEAST = 0.25
"""Of a unit roundoff: what a gradient is off by where its outputs' ulps move it not at all, as that of an absolute value."""


def null_draw(left: Objective, right: Objective, sample: Sample, factor: float) -> tuple[float, float] | None:
    """(gap of the pair, gap of the null draws) on a batch in its own precision, both relative to left's gradient.

    None where there is no gradient, or it is not finite.
    """
    one, two = answer(left, sample)[1], answer(right, sample)[1]
    size = factor * float(one.norm())
    draws, moved = torch.Generator().manual_seed(sample.step or 0), []
    for _ in range(DRAWS):
        up = torch.rand(sample.output.shape, generator=draws) < 0.5
        towards = torch.where(up, torch.inf, -torch.inf).to(sample.output)
        nudged = Sample(torch.nextafter(sample.output, towards), sample.target, sample.extras)
        moved.append(float((answer(left, nudged)[1] - one).norm()) * factor)
    gap, null = float((two - factor * one).norm()), max(moved)
    if not size > 0 or not math.isfinite(gap + null):
        return None
    return gap / size, math.hypot(null / size, LEAST * torch.finfo(sample.output.dtype).eps)
