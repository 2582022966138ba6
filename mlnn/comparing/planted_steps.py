"""Faults planted into a side that gives no raw outputs to plant them in: into its gradient at left's weights."""

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from mlnn.comparing.evidence import SMALL, Evidence
from mlnn.comparing.gaps import common_gap
from mlnn.training import StepRecord

Fault = Callable[[Tensor, Tensor | None], Tensor]
"""What is added to a gradient (P,) by a fault of size 1; also given: the gradient of half the rows, None where there is none."""


def _scale(gradient: Tensor, _half: Tensor | None) -> Tensor:
    return gradient


def _half_batch(gradient: Tensor, half: Tensor | None) -> Tensor:
    """Half the rows are lost: the gradient is that of the others."""
    return gradient * 0 if half is None else half - gradient


def _clip(gradient: Tensor, _half: Tensor | None) -> Tensor:
    """Every entry's part beyond the median size is lost."""
    bound = float(gradient.abs().median())
    return gradient.clamp(-bound, bound) - gradient


STEP_PLANTS: dict[str, Fault] = {"scale": _scale, "half batch": _half_batch, "clip of the gradient": _clip}


def gaps_of_faults(record: StepRecord, evidence: Evidence) -> Callable[[str, float], float]:
    """A function of (kind, size): the gap that the fault makes, measured as the evidence measures it; 0 where it cannot be."""
    assert record.look is not None
    common = record.common["float64"]
    factor = evidence.factors.get(len(record.batch.rows), 1.0)
    right, found = common.right.gradient, record.look.half()
    half = None if found is None or found.stop is not None else found.gradient
    sound = right
    if evidence.gradient.real:  # right is at fault already: plant into left, or every size would seem to be caught
        sound, factor = common.gradient, 1.0
    faults = {kind: plant(right, half) for kind, plant in STEP_PLANTS.items()}

    def gap(kind: str, size: float) -> float:
        faulty = common_gap(replace(common, right=replace(common.right, gradient=sound + size * faults[kind])))
        scale = max(factor * float(faulty.left_gradient.norm()), SMALL * evidence.gradient.scale)
        residual = faulty.residual(factor)
        return residual / scale if scale and math.isfinite(residual) else 0.0

    return gap
