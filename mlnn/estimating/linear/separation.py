"""Does the maximum of the likelihood exist? Separation of the rows, by linear programming.

Albert & Anderson (1984): a logistic model has no finite MLE iff there is a direction δ along which no row loses and some
row gains for ever. Written as margins: a row of class y has x·(δ_y − δ_k) ≥ 0 for every k ≠ y; binary rows and zero counts
are the case of two classes with δ_0 = 0. A row whose likelihood is best at a finite output (a count above zero, a soft
label, any real or positive target) pins x·δ = 0. A δ with X δ = 0 changes nothing and is no separation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.linear.cone import Array, Cone, cone_of, moved, null_space
from mlnn.targets import TargetSpace
from mlnn.world import own_world

LP = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}
TOUCH = 1e-9
"""A margin of unit length that is zero to the linear programme."""
WORKING = 4000
"""Rows that a linear programme begins with; rows that object to its answer are added."""
SIGN_WORK = 3e7
"""Entries, summed over the programmes for signs, beyond which signs are left open."""


@dataclass(frozen=True)
class Separation:
    """What `find_separation` found; `kind` is "none", "quasi" or "complete".

    direction: (d,), or (d, K) with zeros for class 0; the constant last; largest entry ±1; None if none. infinite: the same
    shape, the sign with which a coefficient of the MLE runs away, 0 where it is finite or its sign is not determined.
    determined: the same shape, bool, coefficients (of classes: against class 0) that no separating direction moves, so that
    the rows that are left fix a finite value. overlap: (n,) bool, rows that keep a finite linear predictor (for classes(K):
    some finite margin). behind: (n, K) bool, K = 2 but for classes, the classes that a row leaves behind for ever.
    """

    kind: str
    direction: Tensor | None
    infinite: Tensor | None
    determined: Tensor | None
    overlap: Tensor
    behind: Tensor


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


@own_world(threads=None)
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
    inverse = inverse.reshape(-1)
    cone = cone_of(rows[:, :-1], rows[:, -1], space, intercept)
    gamma, gains = _direction(cone)
    behind = np.zeros((len(rows), cone.classes), dtype=bool)
    if gamma is None:
        everywhere = torch.ones(len(x), dtype=torch.bool)
        return Separation("none", None, None, None, everywhere, torch.from_numpy(behind[inverse]))
    row, _own, other = cone.pairs
    behind[row[gains], other[gains]] = True
    overlap = cone.pinned.copy()
    overlap[row[~gains]] = True
    kind, (delta, infinite, determined) = "quasi" if overlap.any() else "complete", _signs(cone, gamma, gains)
    parts = (delta / np.abs(delta).max(), infinite, determined)
    told = (torch.from_numpy(part if space.classes else part[:, 1].copy()) for part in parts)
    rest = (torch.from_numpy(part[inverse]) for part in (overlap, behind))
    return Separation(kind, *told, *rest)


def separation_beside_rank(x: Tensor, y: Tensor, space: TargetSpace, intercept: bool) -> str | None:
    """What to add where columns are refused as dependent: that without them the rows are still separated; None if not.

    A direction along which no raw output changes is no separation, so dependent columns need not be taken out first.
    """
    try:
        kind = find_separation(x, y, space, intercept).kind
    except DataError:  # too near to tell: nothing is said
        return None
    if kind == "none":
        return None
    how = {"complete": "completely", "quasi": "quasi-completely"}[kind]
    return f"; without them the rows are {how} separated, and there is no finite maximum either"


def _direction(cone: Cone) -> tuple[Array | None, Array]:
    """A γ along which as many margins gain as can (None: no margin can), and which do (m,)."""
    margins, nothing = cone.margins, np.zeros(cone.margins.shape[0], dtype=bool)
    gamma, none = _smooth(margins) if all(margins.shape) else (nothing, True)
    if none:
        return None, nothing
    gains, holds = cone.check(gamma)
    if holds and gains.all():
        return gamma, gains
    return _by_programme(cone, _first(margins @ gamma))


def _by_programme(cone: Cone, working: Array) -> tuple[Array | None, Array]:
    """The same by linear programmes over rows that are `working` (m,), more of them until no other row objects."""
    margins = cone.margins
    while True:
        gamma, runs, free = _widest(margins[working])
        objection = _objection(margins, working, gamma, free)
        if not objection.any():
            break
        working[np.argsort(-objection)[: min(WORKING // 2, np.count_nonzero(objection))]] = True
    every = margins @ gamma > TOUCH * np.linalg.norm(gamma)
    every[working] = runs
    if not every.any():
        return None, np.zeros(margins.shape[0], dtype=bool)
    gains, holds = cone.check(gamma)
    if not holds or (every & ~gains).any():
        raise DataError(
            "separation: rows of different targets touch to about 1e-10, too near to tell; round or drop them"
        )
    return gamma, every


def _objection(margins: scipy.sparse.csr_matrix, working: Array, gamma: Array, free: Array) -> Array:
    """How much each row left out objects (m,): it goes back, or stands still though no combination of rows that must."""
    values, near = margins @ gamma, TOUCH * np.linalg.norm(gamma)
    undecided = (values <= near) & ~working
    objection = np.where(undecided & (values < -near), -values / max(near, TOUCH), 0)
    if not objection.any() and free.shape[1]:
        size = np.linalg.norm(margins @ free, axis=1)
        objection = np.where(undecided & (size > TOUCH), size, 0)
    return np.asarray(objection)


def _first(values: Array) -> Array:
    """A mask of rows to begin with: half of them the nearest to going back, half spread over all."""
    working = np.zeros(len(values), dtype=bool)
    working[np.argsort(values)[: WORKING // 2]] = True
    working[:: max(1, 2 * len(values) // WORKING)] = True
    return working if len(values) > WORKING else ~np.zeros_like(working)


def _widest(margins: scipy.sparse.csr_matrix) -> tuple[Array, Array, Array]:
    """(γ, which of these margins gain along it, the null space of the others), by the programme of `find_separation`."""
    m, size = margins.shape
    slack, bounds = (
        scipy.sparse.hstack([-margins, scipy.sparse.identity(m)]).tocsc(),
        [(None, None)] * size + [(0, 1)] * m,
    )
    method = "highs-ipm" if m > 5000 else "highs-ds"  # 40,000 margins: 4 s by inner points, 12 s by the simplex
    cost = np.r_[np.zeros(size), -np.ones(m)]
    found = scipy.optimize.linprog(cost, slack, np.zeros(m), bounds=bounds, method=method, options=LP)
    if found.status != 0:
        raise DataError(f"separation: the linear programme failed ({found.message}); rescale or round the features")
    runs = found.x[size:] > 0.5
    # Zero margins were held to 1e-9 only: the direction is laid into the null space of those that must not move.
    free = null_space(margins[~runs].toarray())
    return free @ (free.T @ found.x[:size]) if runs.any() else np.zeros(size), runs, free


def _smooth(margins: scipy.sparse.csr_matrix) -> tuple[Array, bool]:
    """γ of a logistic fit to the margins, which often separates completely, and whether its gradient proves "none"."""

    def loss(gamma: Array) -> tuple[float, Array]:
        margin = margins @ gamma
        return float(np.logaddexp(0, -margin).sum()), -(margins.T @ scipy.special.expit(-margin))

    def separated(gamma: Array) -> None:
        if (margins @ gamma).min() > 1e-6 * np.linalg.norm(gamma):
            raise StopIteration

    start, steps = np.zeros(margins.shape[1]), {"maxiter": 300, "ftol": 0.0, "gtol": 1e-9}
    gamma = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", callback=separated, options=steps).x
    gradient, wrong = loss(gamma)[1], scipy.special.expit(-(margins @ gamma))
    gram = (margins.T @ margins).toarray()  # RᵀR
    scaled = float(np.sqrt(gradient @ np.linalg.lstsq(gram, gradient, rcond=None)[0]))
    return gamma, overlap_is_certain(scaled, float(wrong.min()))


def _signs(cone: Cone, gamma: Array, gains: Array) -> tuple[Array, Array, Array]:
    """δ (d, K) with finite coefficients at exactly 0, the sign with which each other one runs away, if one does, and which
    are determined: the cone is as wide as the null space of the margins that stand still, so what moves in one moves in both.
    """
    free = null_space(cone.margins[~gains].toarray())
    gaining = np.asarray(cone.margins[gains] @ free)
    delta, infinite = cone.coefficients(gamma), np.zeros((len(cone.back), cone.classes))
    heading = free.T @ gamma / np.linalg.norm(gamma)
    moves = np.stack([moved(cone.back, block) for block in np.split(free, cone.classes - 1)], axis=1)
    moving = moves.any(axis=2)
    delta[:, 1:][~moving] = 0
    open_signs = np.argwhere(moving & cone.known[:, None])
    for j, k in open_signs if gaining.size * len(open_signs) <= SIGN_WORK else ():
        infinite[j, k + 1] = _sign(gaining, moves[j, k] / np.linalg.norm(moves[j, k]), heading)
    return delta, infinite, np.c_[cone.known, ~moving & cone.known[:, None]]


def _sign(gaining: Array, row: Array, heading: Array) -> int:
    """The sign of row·ζ over all ζ with gaining ζ ≥ 0, of which `heading` is one; 0 if it takes both."""

    def can(sign: int) -> bool:
        if sign * float(row @ heading) > 1e-9:
            return True
        equal = {"A_eq": sign * row[None], "b_eq": [1.0], "bounds": (None, None)}
        working = _first(gaining @ heading)
        while True:
            part = gaining[working]
            found = scipy.optimize.linprog(np.zeros(len(row)), -part, np.zeros(len(part)), **equal, options=LP)
            if found.status != 0:
                return bool(found.status != 2)
            values = gaining @ found.x
            back = (values < -TOUCH * np.linalg.norm(found.x)) & ~working
            if not back.any():
                return True
            working[np.argsort(np.where(back, values, np.inf))[: min(WORKING // 2, int(back.sum()))]] = True

    return int(can(1)) - int(can(-1))
