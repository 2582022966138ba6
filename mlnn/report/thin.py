"""Thinning a long curve for the page without losing a spike."""

import numpy as np

MOST = 400


def thin(x: np.ndarray, y: np.ndarray, most: int = MOST) -> tuple[np.ndarray, np.ndarray]:
    """At most `most` points of the curve (x, y), both (n,): both ends, and the lowest and highest point of each bin.

    A stretch without a finite value keeps one point, so that the line still breaks there.
    """
    n = len(y)
    if n <= most:
        return x, y
    keep = {0, n - 1}
    for piece in np.array_split(np.arange(n), (most - 2) // 2):
        finite = piece[~np.isnan(y[piece])]
        keep |= {int(finite[y[finite].argmin()]), int(finite[y[finite].argmax()])} if len(finite) else {int(piece[0])}
    index = np.array(sorted(keep))
    return x[index], y[index]
