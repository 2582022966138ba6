"""From first weights to where they lead: a few cheap descents each, and a long one for the likeliest only."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor

from mlnn.estimating.network.descent import MOST_STEPS, End, descend
from mlnn.estimating.network.problem import Problem
from mlnn.estimating.network.trust_region import Region, approach, begin

BOLD, NEWTON = 200, 60
"""Steps of a cheap descent: what has a maximum near takes ten or twenty of either, NIST's hardest set 150 bold ones."""
MANY = 1000
"""Steps within a trust region for the likeliest end."""
ROUNDS = 3
"""Of these, each with Newton's steps after it and a fresh region: what three do not reach runs away as a rule."""


def reached(problem: Problem, start: Tensor) -> End:
    """Where a start (p,) leads: the first of the ways that ends at a stationary point, else the likeliest end.

    Of least squares a trust region goes first: from far off, Newton's steps follow curvature that says nothing of the maximum.
    Elsewhere Newton's steps go first. Of heavy tails the third way begins at the least squares, which see rows from any distance.
    """
    ways: list[Callable[[Problem, Tensor], End]] = [_boldly, _by_newton] if problem.normal else [_by_newton, _boldly]
    ways += [_from_least_squares] * problem.family.likelihood.robust
    ways = ways[:1] if problem.family.likelihood.kinked else ways  # piecewise linear: no curvature to go by
    ends = []
    for way in ways:
        end = way(problem, start)
        if end.converged:
            return end
        ends.append(end)
    return min(ends, key=lambda end: end.value)


def further(problem: Problem, end: End) -> End:
    """An end that is no stationary point taken on, as long as that gains something."""
    for _ in range(0 if problem.family.likelihood.kinked else ROUNDS):
        before, region = end, end.region
        if region is None or region.done or region.value > end.value:
            region = begin(problem, end.theta)
        region = approach(problem, region, MANY)
        end = _lower(end, replace(descend(problem, region.theta), region=region))
        if end.converged or torch.equal(end.theta, before.theta):
            break
    return end


def telling(progress: Callable[[int, int], None], starts: int) -> Callable[[], None]:
    """What is called at every step and tells `progress` of it: steps done, and how many there may be at most."""
    most, done = starts * (BOLD + NEWTON) + ROUNDS * (MANY + MOST_STEPS), count(1)
    return lambda: progress(next(done), most)


def _by_newton(problem: Problem, start: Tensor) -> End:
    return descend(problem, start, NEWTON)


def _boldly(problem: Problem, start: Tensor) -> End:
    region = approach(problem, begin(problem, start), BOLD)
    return _polished(problem, region)


def _from_least_squares(problem: Problem, start: Tensor) -> End:
    squares = problem.squared()
    region = approach(squares, begin(squares, start), BOLD)
    return _polished(problem, approach(problem, begin(problem, region.theta), BOLD))


def _polished(problem: Problem, region: Region) -> End:
    """A region's end after Newton's steps, which end at the last digits; not those where it was still on its way."""
    end = descend(problem, region.theta, NEWTON if region.done else 0)
    return replace(end, region=region)


def _lower(one: End, other: End) -> End:
    """The lower of two ends, the one that converged of two as low."""
    if not math.isfinite(one.value):
        return other
    same = abs(one.value - other.value) <= 1e-12 * abs(one.value)
    return other if other.value < one.value or (same and other.converged) else one
