"""The directions that never lower a likelihood: the rows' margins, in coordinates where no scale is bad.

See `separation` for what a margin is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from mlnn.targets import TargetSpace

Array = np.ndarray
EPS = float(np.finfo(np.float64).eps)
MARGIN_ROUNDING = 64 * EPS
"""A margin is zero up to this times Σ_j |x_j δ_j|."""
RANK = 1e-12
"""A singular value below this share of the largest is rounding."""


@dataclass(frozen=True)
class Cone:
    """{γ: margins γ ≥ 0}, where δ = back γ for every class but 0."""

    z: Array  # (n, d), with the constant
    pinned: Array  # (n,) bool
    pairs: Array  # (3, m): the row of each margin, its class, the other class
    margins: scipy.sparse.csr_matrix  # (m, r (K−1)), rows of length 1, or 0 where x is 0
    back: Array  # (d, r)
    known: Array  # (d,) bool: coefficients that the columns of x tell apart
    classes: int

    def coefficients(self, gamma: Array) -> Array:
        """δ (d, K), zeros for class 0."""
        free = self.back @ gamma.reshape(self.classes - 1, -1).T
        delta: Array = np.c_[np.zeros(len(self.back)), free]
        return delta

    def check(self, gamma: Array) -> tuple[Array, bool]:
        """On the data themselves: which margins gain (m,), and that no margin moves back and no pinned row moves.

        A gain exceeds the rounding of its own sum; standing still includes slipping by the rounding of δ, in columns' units.
        """
        delta, size = self.coefficients(gamma), np.abs(self.z)
        score, sums = self.z @ delta, MARGIN_ROUNDING * (size @ np.abs(delta))
        row, own, other = self.pairs
        margin, rounding = score[row, own] - score[row, other], sums[row, own] + sums[row, other]
        unit = np.maximum(size.max(0), np.finfo(np.float64).tiny)
        slip = MARGIN_ROUNDING * (size / unit).sum(1) * (unit[:, None] * np.abs(delta)).max()
        still = np.abs(score[self.pinned]).max(1, initial=0) <= slip[self.pinned]
        gains = (margin > rounding) & (self.margins @ gamma > 0)
        return gains, bool((margin >= -slip[row]).all() and still.all())


def cone_of(x: Array, y: Array, space: TargetSpace, intercept: bool) -> Cone:
    pinned = ~space.extreme(y)
    q, back, known = _coordinates(x, intercept)
    free = null_space(q[pinned])
    q, back = q @ free, moved(back, free)
    length = np.linalg.norm(q, axis=1, keepdims=True)
    q = q / np.where(length > RANK, length, np.inf)
    classes = space.classes or 2
    row, other = (part.ravel() for part in np.indices((len(y), classes)))
    own = y[row].astype(int)
    pairs = np.stack([row, own, other])[:, (other != own) & ~pinned[row]]
    z = np.c_[x, np.ones((len(x), int(intercept)))]
    return Cone(z, pinned, pairs, _margins(q, pairs, classes), back, known, classes)


def _coordinates(x: Array, intercept: bool) -> tuple[Array, Array, Array]:
    """Orthonormal q = [x, 1] back, where no scale is bad and no direction null, and which coefficients the columns determine."""
    mean = x.mean(0) if intercept else np.zeros(x.shape[1])
    z = x - mean
    z[:, np.linalg.norm(z, axis=0) <= 8 * EPS * np.linalg.norm(x, axis=0)] = 0  # a constant less its mean is rounding
    z = np.c_[z, np.ones(len(x))] if intercept else z
    unit = 1 / np.where(z.any(axis=0), np.linalg.norm(z, axis=0), 1)
    u, s, vt = np.linalg.svd(z * unit, full_matrices=False)
    lost = 8 * EPS * (np.linalg.norm(x, axis=0) * unit[: x.shape[1]]).max(initial=0)  # digits that centring cost
    rank = int((s > max(RANK, lost) * s.max(initial=0)).sum())
    back, null, size = vt[:rank].T / s[:rank] * unit[:, None], null_space(vt[:rank]) * unit[:, None], unit
    if intercept:
        back[-1] -= mean @ back[:-1]
        null[-1] -= mean @ null[:-1]
        size = np.r_[unit[:-1], unit[-1] + np.abs(mean) @ unit[:-1]]
    return u[:, :rank], back, np.linalg.norm(null, axis=1) <= 1e-9 * size


def _margins(q: Array, pairs: Array, classes: int) -> scipy.sparse.csr_matrix:
    """Each margin as a row of length 1: q in the block of its own class, −q in that of the other, none for class 0."""
    (row, own, other), m, r = pairs, pairs.shape[1], q.shape[1]
    sides = np.c_[own, other].ravel() - 1
    at = np.flatnonzero(sides >= 0)
    margin, block = at // 2, sides[at, None]
    starts = np.r_[0, np.cumsum(np.bincount(margin, minlength=m))]
    sign = np.where(at % 2, -1, 1) / np.sqrt(np.diff(starts))[margin]
    data, columns = sign[:, None] * q[row[margin]], block * r + np.arange(r)
    return scipy.sparse.csr_matrix((data.ravel(), columns.ravel(), starts * r), shape=(m, r * (classes - 1)))


def null_space(rows: Array) -> Array:
    """Orthonormal columns v with rows·v = 0; all directions if there is no row."""
    if len(rows) > rows.shape[1]:
        rows = np.asarray(np.linalg.qr(rows, mode="r"))  # the same null space, fewer rows
    _, s, vt = np.linalg.svd(rows)
    return np.asarray(vt[int((s > RANK * s.max(initial=0)).sum()) :]).T


def moved(back: Array, free: Array) -> Array:
    """back @ free, with rows that are nothing but rounding at exactly 0."""
    found: Array = back @ free
    found[np.linalg.norm(found, axis=1) <= 1e-9 * np.linalg.norm(back, axis=1)] = 0
    return found
