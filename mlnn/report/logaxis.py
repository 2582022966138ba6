"""A log axis on which a gap of exactly zero stays in sight: zeros sit on a floor below the smallest positive gap."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ZERO_NOTE = "0 = bitwise"


@dataclass(frozen=True)
class LogAxis:
    """Exponents (base 10) of both ends, and whether the low end is the floor on which zeros are drawn."""

    low: int
    high: int
    zeros: bool

    def place(self, values: ArrayLike) -> np.ndarray:
        """Sizes as they are drawn, same shape: zeros on the floor, non-finite ones NaN (drawn as a break)."""
        size = np.abs(np.asarray(values, dtype=float))
        size = np.where(np.isfinite(size), size, np.nan)
        # Sizes below the axis (denormals) are kept on its low end too: seen, never hidden.
        return np.maximum(size, 10.0**self.low)

    def ticks(self, most: int = 8) -> tuple[list[float], list[str]]:
        """Positions and labels, at most about `most`; the floor is labelled 0."""
        first = self.low + 1 if self.zeros else self.low
        stride = max(1, -(-(self.high - first) // most))
        exponents = list(range(self.high, first - 1, -stride))[::-1]
        places = [10.0**e for e in exponents]
        labels = ["1" if e == 0 else "10" + str(e).translate(_SUPERSCRIPT) for e in exponents]
        return ([10.0**self.low, *places], ["0", *labels]) if self.zeros else (places, labels)


def log_axis(series: Iterable[ArrayLike]) -> LogAxis:
    """The axis that holds every finite value of every series; [1e-17, 1e-14] when there is none above zero."""
    values = np.concatenate([np.abs(np.asarray(one, dtype=float)).ravel() for one in series] or [np.zeros(0)])
    positive = values[np.isfinite(values) & (values > 0)]
    zeros = bool((values == 0).any())
    if not len(positive):
        return LogAxis(-17, -14, zeros)
    low = max(-300, int(np.floor(np.log10(positive.min()))))
    high = int(np.ceil(np.log10(positive.max())))
    return LogAxis(low - 1 if zeros else low, max(high, low + 1), zeros)
