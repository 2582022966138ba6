"""Does a side's gradient still hold that of the step before?"""

from dataclasses import dataclass

from torch import Tensor

from mlnn.comparing.explaining.trial import Cause

KNOWN = 1e-9
"""Relative: of a gradient that is carried over, 1e-16 to 1e-14 is left once it is taken off."""
FEWEST = 3
"""Steps after the first on which it must have held."""


@dataclass
class Carried:
    """What the steps have shown of one side, `name`. `before`, `after`: the largest gap to the other side's gradient, and what is
    left of it once that of the step before is taken off: left's, from which right is led too."""

    name: str
    before: float = 0.0
    after: float = 0.0
    steps: int = 0
    _last: Tensor | None = None

    def see(self, left: Tensor, right: Tensor) -> None:
        """Take in the gradients of one step at common weights, in float64."""
        scale = max(float(left.norm()), float(right.norm()))
        gap = right - left if self.name == "right" else left - right
        rest = gap if self._last is None else gap - self._last
        self.steps += self._last is not None
        self._last = left.clone()
        if scale:
            self.before = max(self.before, float(gap.norm()) / scale)
            self.after = max(self.after, float(rest.norm()) / scale)

    @property
    def cause(self) -> Cause | None:
        """The cause that it is never set to zero, where it held on every step."""
        if self.steps < FEWEST or not self.after <= KNOWN or not self.before > KNOWN:
            return None
        words = f"{self.name} keeps the gradient of the steps before: it is never set to zero"
        return Cause(words, self.before, self.after)
