"""Does a side's gradient still hold that of the step before?"""

from dataclasses import dataclass

from torch import Tensor

from mlnn.comparing.explaining.trial import Cause

KNOWN = 1e-9
"""Relative: of a gradient that is carried over, 1e-16 to 1e-14 is left once it is taken off."""
FEWEST = 3
"""Steps that follow one another on which it must have held, after the first."""


@dataclass
class Carried:
    """What the steps have shown of one side, `name`. `before`, `after`: the largest gap to the other side's gradient, and what is
    left of it once that of the step before is taken off: left's, from which right is led too."""

    name: str
    before: float = 0.0
    after: float = 0.0
    steps: int = 0
    _last: tuple[int, Tensor] | None = None

    def see(self, step: int, left: Tensor, right: Tensor) -> None:
        """Take in the gradients of one step at common weights, in float64; one that does not follow the last tells nothing."""
        scale = max(float(left.norm()), float(right.norm()))
        gap = right - left if self.name == "right" else left - right
        last = self._last if self._last is not None and self._last[0] == step - 1 else None
        skipped = self._last is not None and last is None
        rest = gap if last is None else gap - last[1]
        self.steps += last is not None
        self._last = step, left.clone()
        if scale and not skipped:
            self.before = max(self.before, float(gap.norm()) / scale)
            self.after = max(self.after, float(rest.norm()) / scale)

    @property
    def cause(self) -> Cause | None:
        """The cause that it is never set to zero, where it held on every step."""
        if self.steps < FEWEST or not self.after <= KNOWN or not self.before > KNOWN:
            return None
        words = f"{self.name} keeps the gradient of the steps before: it is never set to zero"
        return Cause(words, self.before, self.after)
