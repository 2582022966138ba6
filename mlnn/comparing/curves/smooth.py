"""The mean of the last few values of a curve, segment by segment: for the eye, and said on the page."""

from dataclasses import replace

import numpy as np

from mlnn.comparing.curves.curve import Curve
from mlnn.logs import segments


def smoothed(curve: Curve, window: int) -> Curve:
    """The curve with each value replaced by the mean of the last `window` of its segment, fewer at its beginning.

    A mean over a value that is not finite is not finite.
    """
    loss = np.empty_like(curve.loss)
    for part in segments(curve.step):
        loss[part] = _means(curve.loss[part], window)
    return replace(curve, loss=loss)


def _means(values: np.ndarray, window: int) -> np.ndarray:
    finite = np.isfinite(values)
    sums = np.cumsum(np.where(finite, values, 0))
    bad = np.cumsum(~finite)
    count = np.minimum(np.arange(1, len(values) + 1), window)
    sums[window:], bad[window:] = sums[window:] - sums[:-window], bad[window:] - bad[:-window]
    return np.where(bad > 0, np.nan, sums / count)
