"""One batch on which a supposed cause is tried, and a cause that has stood the test."""

import math
from dataclasses import dataclass

from torch import Tensor

from mlnn.comparing.sample import Sample, answer
from mlnn.objectives import Objective


@dataclass(frozen=True)
class Cause:
    """`words`: what it is; `before`, `after`: the largest gap, and what is left of it once the one side is repaired so, None where
    the difference is the cause itself; `scales`: that it is no more than a constant factor, which leaves no difference beside."""

    words: str
    before: float | None = None
    after: float | None = None
    scales: bool = False

    @property
    def sentence(self) -> str | None:
        """For a person; None where the difference itself has said it."""
        if self.before is None:
            return None
        return f"Cause: {self.words} (repaired so, the gap falls from {self.before:.1g} to {self.after:.1g})."


@dataclass(frozen=True, eq=False)
class Trial:
    """One batch: value and gradient of one side, and of the other, which is the first one with a fault, as is supposed."""

    sample: Sample
    value: float
    gradient: Tensor
    other_value: float
    other_gradient: Tensor

    @property
    def scale(self) -> float:
        """The size of the gradients, which a gap is measured against."""
        return max(float(self.gradient.norm()), float(self.other_gradient.norm()))

    @property
    def gap(self) -> float:
        """Between the two gradients, relative."""
        return float((self.gradient - self.other_gradient).norm()) / self.scale

    @property
    def mirrored(self) -> "Trial":
        """The same, the sides changed over."""
        return Trial(self.sample, self.other_value, self.other_gradient, self.value, self.gradient)


def trial_of(left: Objective, right: Objective, sample: Sample) -> Trial | None:
    """Both sides on a batch; None where one refuses it, or is not finite, or neither has a gradient."""
    try:
        one, two = answer(left, sample), answer(right, sample)
    except Exception:  # a refusal, with whatever exception: the probe reports it
        return None
    trial = Trial(sample, *one, *two)
    return trial if 0 < trial.scale < math.inf else None
