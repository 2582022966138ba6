"""How far rounding drives two runs of one training: the yardstick that a distance between recordings is held to.

Rounding moves a gradient by κ·(ε + d), relative to its size: ε is that of the dtype that was computed in, d how far the weights
are apart already, κ how strongly this training answers a change of its weights. Over 8 architectures, rows permuted or cut, other
threads, weights moved by an ulp, in float32 and float64, κ was 1 to 2 in the middle, below 5 in 19 of 20 cases at first weights,
below 10 after 200 steps, and 32 at most; 8,000 where a rectifier's input had crossed its kink. Along 120 steps of SGD and Adam it
stayed so, in bfloat16 too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlnn.errors import MlnnError
from mlnn.recording.capsule import TOLD, Null
from mlnn.recording.records import Recording
from mlnn.runs import read_hashed

EPS = {
    "float64": 2.0**-52, "complex128": 2.0**-52, "float32": 2.0**-23, "complex64": 2.0**-23, "float16": 2.0**-10,
    "bfloat16": 2.0**-7, "float8_e4m3fn": 2.0**-3, "float8_e5m2": 2.0**-2,
}  # fmt: skip
TF32 = {"high": ("float32 in TF32", 2.0**-10), "medium": ("float32 in bfloat16", 2.0**-7)}
"""What products of float32 matrices may be computed in, by the setting that allows it."""
KAPPA, LEAST_KAPPA = 16.0, 8.0
DRAW = 5.0
"""Healthy pairs were up to 4.7 times as far apart as one change of every weight by an ulp had moved them, kinks aside."""
KINK = 0.03
"""A gradient alone that is apart by less may be a kink that rounding has crossed."""
HORIZON = 0.1
"""Where rounding may have moved a gradient by more than this, its distance tells nothing."""


@dataclass(frozen=True)
class Precision:
    """What a recording was computed in: `name`, and the distance from 1 to the next number in it."""

    name: str
    eps: float


@dataclass(frozen=True)
class Yardstick:
    """`precision`: the coarser of both recordings'. `nulls`: by step, how far one ulp moved the gradient and the loss of a
    capsule's step, relative."""

    precision: Precision
    nulls: Mapping[int, Null]

    def kappa(self, step: int) -> float:
        """How strongly the training answers a change of its weights, at most."""
        null = self._null(step)
        if null is None:
            return KAPPA
        return max(LEAST_KAPPA, DRAW * max(null.gradient, null.loss) / self.precision.eps)

    def allowed(self, step: int, before: float) -> float:
        """How far rounding may have driven loss and gradient apart at a step before which the weights were `before` apart."""
        return self.kappa(step) * (self.precision.eps + before)

    def words(self, step: int) -> str:
        """Which yardstick is used at a step."""
        null, at = self._null(step), self._step(step)
        usual = f"rounding of {self.precision.name}"
        if null is None:
            return f"{usual}: {KAPPA:.0f} times its ε = {self.precision.eps:.2g}, as healthy trainings have it"
        return (
            f"{usual}, as it moves this very training: one ulp in every weight moved the gradient of step {at} by"
            f" {null.gradient:.2g}, and {self.allowed(step, 0.0):.2g} is allowed"
        )

    def _step(self, step: int) -> int | None:
        return max((at for at in self.nulls if at <= step), default=min(self.nulls, default=None))

    def _null(self, step: int) -> Null | None:
        at = self._step(step)
        return None if at is None else self.nulls[at]


def precision_of(recording: Recording) -> Precision:
    """The coarsest dtype that it is known to have computed in: of its parameters, of autocast, of products of matrices."""
    found = [
        Precision(name, EPS[name]) for name in sorted({one.dtype for one in recording.settings.parameters} & EPS.keys())
    ]
    autocast = {forward.autocast for step in recording.steps[:3] for forward in step.forwards} - {""}
    found += [Precision(f"autocast to {name}", EPS[name]) for name in autocast if name in EPS]
    allowed = TF32.get(str(recording.settings.environment.get("float32_matmul_precision")))
    if allowed and any(one.name == "float32" for one in found):
        found.append(Precision(*allowed))
    return max(found, key=lambda one: one.eps, default=Precision("an unknown dtype", math.inf))


def nulls_of(recordings: Sequence[Recording], offset: int) -> dict[int, Null]:
    """The nulls of all capsules, by the step in the first recording; of two of one step the larger."""
    found: dict[int, Null] = {}
    for recording, ahead in zip(recordings, (0, offset), strict=True):
        for step, folder in recording.capsules.items():
            null = null_in(folder)
            if null is not None:
                held = found.get(step + ahead)
                found[step + ahead] = null if held is None or held.gradient < null.gradient else held
    return found


def null_in(folder: Path) -> Null | None:
    """The null that a capsule tells, without its tensors being read; None where it has none or is damaged."""
    try:
        told = read_hashed(folder / TOLD).get("null")
        null = Null(float(told["loss"]), float(told["gradient"]), told["again"] is True) if told else None
    except (MlnnError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    sizes = () if null is None else (null.loss, null.gradient)
    return null if all(math.isfinite(size) and size >= 0 for size in sizes) else None
