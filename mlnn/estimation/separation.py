"""Does the maximum of the likelihood exist? Separation of the rows, by linear programming.

Albert & Anderson (1984): a logistic model has no finite MLE iff there is a direction δ along which no row loses and some
row gains for ever. Written as margins: a row of class y has x·(δ_y − δ_k) ≥ 0 for every k ≠ y; binary rows and zero counts
are the case of two classes with δ_0 = 0. A row whose likelihood is best at a finite output (a count above zero, a soft
label, any real or positive target) pins x·δ = 0. A δ with X δ = 0 changes nothing and is no separation.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from scipy.optimize import linprog, minimize
from scipy.special import expit
from torch import Tensor

from mlnn.errors import DataError
from mlnn.targets import TargetSpace

Array = np.ndarray
EPS = float(np.finfo(np.float64).eps)
ROUNDING = 64 * EPS  # a margin is zero up to this times Σ_j |x_j δ_j|
RANK = 1e-12  # a singular value below this share of the largest is rounding
LP = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}
SIGN_WORK = 3e7  # entries, summed over the programmes for signs, beyond which signs are left open


@dataclass(frozen=True)
class Separation:
    """What `find_separation` found; `kind` is "none", "quasi" or "complete".

    direction: (d,), or (d, K) with zeros for class 0; the constant last; largest entry ±1; None if none. infinite: the same
    shape, the sign with which a coefficient of the MLE runs away, 0 where it is finite or its sign is not determined.
    overlap: (n,) bool, rows that keep a finite linear predictor (for classes(K): some finite margin).
    """

    kind: str
    direction: Tensor | None
    infinite: Tensor | None
    overlap: Tensor


@dataclass(frozen=True)
class _Cone:
    """{γ: margins γ ≥ 0}, where δ = back γ for every class but 0."""

    z: Array  # (n, d), with the constant
    pinned: Array  # (n,) bool
    pairs: Array  # (3, m): the row of each margin, its class, the other class
    margins: sp.csr_matrix  # (m, r (K−1)), rows of length 1, or 0 where x is 0
    back: Array  # (d, r)
    known: Array  # (d,) bool: coefficients that the columns of x tell apart
    classes: int

    def coefficients(self, gamma: Array) -> Array:
        """δ (d, K), zeros for class 0."""
        return np.c_[np.zeros(len(self.back)), self.back @ gamma.reshape(self.classes - 1, -1).T]

    def check(self, gamma: Array) -> tuple[Array, bool]:
        """On the data themselves: which margins gain (m,), and that no margin moves back and no pinned row moves.

        A gain exceeds the rounding of its own sum; standing still includes slipping by the rounding of δ, in columns' units.
        """
        delta, size = self.coefficients(gamma), np.abs(self.z)
        score, sums = self.z @ delta, ROUNDING * (size @ np.abs(delta))
        row, own, other = self.pairs
        margin, rounding = score[row, own] - score[row, other], sums[row, own] + sums[row, other]
        unit = np.maximum(size.max(0), np.finfo(np.float64).tiny)
        slip = ROUNDING * (size / unit).sum(1) * (unit[:, None] * np.abs(delta)).max()
        still = np.abs(score[self.pinned]).max(1, initial=0) <= slip[self.pinned]
        gains = (margin > rounding) & (self.margins @ gamma > 0)
        return gains, bool((margin >= -slip[row]).all() and still.all())


def overlap_is_certain(scaled_gradient: float, least_wrong_probability: float) -> bool:
    """Whether a gradient proves, with no linear programme, that the rows overlap and a finite MLE exists.

    scaled_gradient: ‖R⁻ᵀ g‖₂ where RᵀR = XᵀX and g, (d,) or (d, K) with all K columns, is the gradient of the summed nll at
    any coefficients. least_wrong_probability: q, the smallest probability given to a wrong class; for counts the smallest
    |∂nll/∂f| of a zero (Poisson: the smallest mean fitted to one).

    If δ separates, −g·δ = Σ_i Σ_{k≠y} p_ik x_i·(δ_y − δ_k) ≥ q Σ |margins| ≥ q ‖Xδ‖₂ (classes: with the δ_k shifted to add
    up to 0, which changes neither g·δ nor a margin). But |g·δ| ≤ ‖R⁻ᵀ g‖₂ ‖Rδ‖₂ = ‖R⁻ᵀ g‖₂ ‖Xδ‖₂. So ‖R⁻ᵀ g‖₂ < q leaves
    only Xδ = 0. Asked for is half of q, and a q above 1e-8, because both are computed with rounding.
    """
    return bool(least_wrong_probability > 1e-8 and scaled_gradient < least_wrong_probability / 2)


def find_separation(x: Tensor, y: Tensor, space: TargetSpace, intercept: bool) -> Separation:
    """Separation of x (n, d), without the constant column, with y (n,) in `space`.

    A smooth fit comes first and often proves "none" or "complete"; else the programme max Σ s_i, Aδ ≥ s, 0 ≤ s ≤ 1, whose
    optimum marks all that can run away (Konis 2007). Directions are checked on the data against rounding. One class only is
    complete if there is an intercept. Signs in `infinite` stay 0 where they would take over `SIGN_WORK` entries.
    Raises DataError for data that do not fit and for rows too near to touching to tell (a gap of about 1e-10).
    """
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise DataError(f"separation: x must be (n, d) and y (n,), found {tuple(x.shape)} and {tuple(y.shape)}")
    space.check(y)
    if not bool(torch.isfinite(x).all()):
        raise DataError("separation: x holds NaN or infinity; remove or fill such values first")
    table = np.c_[x.detach().to(torch.float64).numpy(), y.detach().to(torch.float64).numpy()]
    rows, inverse = np.unique(table, axis=0, return_inverse=True)
    cone = _cone(rows[:, :-1], rows[:, -1], space, intercept)
    gamma, gains = _direction(cone)
    if gamma is None:
        return Separation("none", None, None, torch.ones(len(x), dtype=torch.bool))
    overlap = cone.pinned.copy()
    overlap[cone.pairs[0, ~gains]] = True
    delta, infinite = _signs(cone, gamma, gains)
    kind, parts = "quasi" if overlap.any() else "complete", (delta / np.abs(delta).max(), infinite)
    direction, signs = (torch.from_numpy(part if space.classes else part[:, 1].copy()) for part in parts)
    return Separation(kind, direction, signs, torch.from_numpy(overlap[inverse.reshape(-1)]))


def _cone(x: Array, y: Array, space: TargetSpace, intercept: bool) -> _Cone:
    inside = {"binary": False, "classes": False, "counts": y > 0, "unit": (y > 0) & (y < 1)}
    pinned = np.zeros(len(y), dtype=bool) | inside.get(space.kind, True)
    q, back, known = _coordinates(x, intercept)
    free = _null_space(q[pinned])
    q, back = q @ free, _moved(back, free)
    length = np.linalg.norm(q, axis=1, keepdims=True)
    q = q / np.where(length > RANK, length, np.inf)
    classes = space.classes or 2
    row, other = (part.ravel() for part in np.indices((len(y), classes)))
    own = y[row].astype(int)
    pairs = np.stack([row, own, other])[:, (other != own) & ~pinned[row]]
    z = np.c_[x, np.ones((len(x), int(intercept)))]
    return _Cone(z, pinned, pairs, _margins(q, pairs, classes), back, known, classes)


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
    back, null, size = vt[:rank].T / s[:rank] * unit[:, None], _null_space(vt[:rank]) * unit[:, None], unit
    if intercept:
        back[-1] -= mean @ back[:-1]
        null[-1] -= mean @ null[:-1]
        size = np.r_[unit[:-1], unit[-1] + np.abs(mean) @ unit[:-1]]
    return u[:, :rank], back, np.linalg.norm(null, axis=1) <= 1e-9 * size


def _margins(q: Array, pairs: Array, classes: int) -> sp.csr_matrix:
    """Each margin as a row of length 1: q in the block of its own class, −q in that of the other, none for class 0."""
    (row, own, other), m, r = pairs, pairs.shape[1], q.shape[1]
    sides = np.c_[own, other].ravel() - 1
    at = np.flatnonzero(sides >= 0)
    margin, block = at // 2, sides[at, None]
    starts = np.r_[0, np.cumsum(np.bincount(margin, minlength=m))]
    sign = np.where(at % 2, -1, 1) / np.sqrt(np.diff(starts))[margin]
    data, columns = sign[:, None] * q[row[margin]], block * r + np.arange(r)
    return sp.csr_matrix((data.ravel(), columns.ravel(), starts * r), shape=(m, r * (classes - 1)))


def _direction(cone: _Cone) -> tuple[Array | None, Array]:
    """A γ along which as many margins gain as can (None: no margin can), and which do (m,)."""
    (m, size), nothing = cone.margins.shape, np.zeros(cone.margins.shape[0], dtype=bool)
    gamma, none = _smooth(cone.margins) if m and size else (nothing, True)
    if none:
        return None, nothing
    gains, holds = cone.check(gamma)
    if holds and gains.all():
        return gamma, gains
    slack, bounds = sp.hstack([-cone.margins, sp.identity(m)]).tocsc(), [(None, None)] * size + [(0, 1)] * m
    method = "highs-ipm" if m > 5000 else "highs-ds"  # 40,000 margins: 4 s by inner points, 12 s by the simplex
    cost = np.r_[np.zeros(size), -np.ones(m)]
    found = linprog(cost, slack, np.zeros(m), bounds=bounds, method=method, options=LP)
    runs = found.x[size:] > 0.5 if found.status == 0 else ~nothing
    if not runs.any():
        return None, nothing
    if found.status == 0:
        # Zero margins were held to 1e-9 only: the direction is laid into the null space of those that must not move.
        free = _null_space(cone.margins[~runs].toarray())
        gamma = free @ (free.T @ found.x[:size])
    gains, holds = cone.check(gamma)
    if not holds or (runs & ~gains).any():
        raise DataError(
            "separation: rows of different targets touch to about 1e-10, too near to tell; round or drop them"
        )
    return gamma, runs


def _smooth(margins: sp.csr_matrix) -> tuple[Array, bool]:
    """γ of a logistic fit to the margins, which often separates completely, and whether its gradient proves "none"."""

    def loss(gamma: Array) -> tuple[float, Array]:
        margin = margins @ gamma
        return float(np.logaddexp(0, -margin).sum()), -(margins.T @ expit(-margin))

    def separated(gamma: Array) -> None:
        if (margins @ gamma).min() > 1e-6 * np.linalg.norm(gamma):
            raise StopIteration

    start, steps = np.zeros(margins.shape[1]), {"maxiter": 300, "ftol": 0.0, "gtol": 1e-9}
    gamma = minimize(loss, start, jac=True, method="L-BFGS-B", callback=separated, options=steps).x
    gradient, wrong = loss(gamma)[1], expit(-(margins @ gamma))
    gram = (margins.T @ margins).toarray()  # RᵀR
    scaled = float(np.sqrt(gradient @ np.linalg.lstsq(gram, gradient, rcond=None)[0]))
    return gamma, overlap_is_certain(scaled, float(wrong.min()))


def _null_space(rows: Array) -> Array:
    """Orthonormal columns v with rows·v = 0; all directions if there is no row."""
    if len(rows) > rows.shape[1]:
        rows = np.asarray(np.linalg.qr(rows, mode="r"))  # the same null space, fewer rows
    _, s, vt = np.linalg.svd(rows)
    return vt[int((s > RANK * s.max(initial=0)).sum()) :].T


def _moved(back: Array, free: Array) -> Array:
    """back @ free, with rows that are nothing but rounding at exactly 0."""
    moved = back @ free
    moved[np.linalg.norm(moved, axis=1) <= 1e-9 * np.linalg.norm(back, axis=1)] = 0
    return moved


def _signs(cone: _Cone, gamma: Array, gains: Array) -> tuple[Array, Array]:
    """δ (d, K) with finite coefficients at exactly 0, and the sign with which each of the others runs away, if one does."""
    free = _null_space(cone.margins[~gains].toarray())
    gaining = np.asarray(cone.margins[gains] @ free)
    delta, infinite = cone.coefficients(gamma), np.zeros((len(cone.back), cone.classes))
    heading = free.T @ gamma / np.linalg.norm(gamma)
    moves = np.stack([_moved(cone.back, block) for block in np.split(free, cone.classes - 1)], axis=1)
    moving = moves.any(axis=2)
    delta[:, 1:][~moving] = 0
    open_signs = np.argwhere(moving & cone.known[:, None])
    for j, k in open_signs if gaining.size * len(open_signs) <= SIGN_WORK else ():
        infinite[j, k + 1] = _sign(gaining, moves[j, k] / np.linalg.norm(moves[j, k]), heading)
    return delta, infinite


def _sign(gaining: Array, row: Array, heading: Array) -> int:
    """The sign of row·ζ over all ζ with gaining ζ ≥ 0, of which `heading` is one; 0 if it takes both."""

    def can(sign: int) -> bool:
        if sign * float(row @ heading) > 1e-9:
            return True
        equal = {"A_eq": sign * row[None], "b_eq": [1.0], "bounds": (None, None)}
        return bool(linprog(np.zeros(len(row)), -gaining, np.zeros(len(gaining)), **equal, options=LP).status != 2)

    return int(can(1)) - int(can(-1))
