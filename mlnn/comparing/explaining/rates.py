"""Are the steps of two optimisers apart by their learning rates, and by nothing else?"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.comparing.explaining.trial import Cause

ROUNDING = 1e-12
"""Relative: two steps this near are one. After a right repair 1e-16 to 1e-14 was measured."""
LOST = 4 * torch.finfo(torch.float64).eps
"""Of the weights' size: a step is told as a difference of weights, and holds no more digits than these leave it."""
Pair = tuple[float, float]


@dataclass
class Rates:
    """What the steps have shown. `first`: (step, left's rate, right's) of the first two that are apart; `before`, `after`: the
    largest gap of two steps, and what is left of it once right's is multiplied by the ratio of the rates."""

    first: tuple[int, float, float] | None = None
    before: float = 0.0
    after: float = 0.0
    other: bool = False
    _last: Pair | None = None

    def see(
        self,
        step: int,
        rates: Pair | None,
        start: Tensor,
        left: Tensor,
        right: Tensor,
        before: Pair | None = None,
    ) -> None:
        """Take in one step: the learning rates after it, the weights before, and those where either side arrives, in float64.

        before: the rates before it, where the step before it was not seen.
        """
        known = {before or self._last, rates} - {None}  # a schedule may have set them before the step, or after
        self._last = rates
        one, two = left - start, right - start
        size = max(float(one.norm()), float(two.norm()))
        gap = float((two - one).norm())
        allowed = ROUNDING * size + LOST * float(start.norm())
        if not gap > allowed:
            return
        rest, pair = _least(known, one, two)
        if pair is None or not rest <= allowed:
            self.other = True
            return
        self.first = self.first or (step, *pair)
        self.before, self.after = max(self.before, gap / size), max(self.after, rest / size)

    def see_none(self, rates: Pair | None) -> None:
        """Take in a step that is the same on both sides, with the rates after it."""
        self._last = rates

    @property
    def cause(self) -> Cause | None:
        """The cause that the rates are apart, where that is all that keeps the steps apart."""
        if self.first is None or self.other:
            return None
        step, left, right = self.first
        since = f", from step {step} on" if step else ""
        return Cause(f"right's learning rate is {right:.6g} where left's is {left:.6g}{since}", self.before, self.after)


def _least(known: Collection[Pair | None], one: Tensor, two: Tensor) -> tuple[float, Pair | None]:
    """What is left of the gap with the rates that explain most of it, and these."""
    apart = [pair for pair in known if pair and pair[0] != pair[1]]
    found = [(float((two * pair[0] - one * pair[1]).norm()) / max(pair), pair) for pair in apart]
    return min(found, default=(math.inf, None))
