"""Does the maximum exist? A certificate from Newton's own numbers, else a linear programme; and what is left if it does not."""

import math
from dataclasses import replace
from itertools import pairwise, takewhile

import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.ancillary import linear, maximise, total
from mlnn.estimating.linear.class_limit import class_limit
from mlnn.estimating.linear.design import Design, same_columns, too_few
from mlnn.estimating.linear.newton import Fit
from mlnn.estimating.linear.separation import Separation, find_separation, overlap_is_certain, separation_beside_rank
from mlnn.estimating.linear.sharing import share
from mlnn.estimating.linear.start import start
from mlnn.estimating.network import curvature
from mlnn.targets import TargetSpace

FAR = (5.0, 20.0, 80.0, 320.0, 1e4, 1e6, 1e8, 1e10)
"""Largest raw outputs along the direction of a separation at which the likelihood of somebody's own class is asked, as far as it
has numbers there: the tail of a Cauchy is a certainty to 1e-6 from 1e6 on only."""
FAR_ALONG = 0.25
"""Of the row that goes farthest: how far along a row must go to be asked whether it has become certain."""
CERTAIN = 1e-6
"""Nats that a row may still lack of certainty that far out."""
BUDGET = 300
"""Iterations towards a supremum, whatever the caller allowed for the maximum."""


def certain(family: Family, design: Design, fit: Fit) -> bool:
    """Whether a fit proves that the maximum is finite.

    Along a direction Δ that separates, −g·Δ = Σ w |g_i| |x_i·Δ| over the rows that can run away, at least
    q √w_least ‖XΔ‖₂ with q the least push |g_i| among them; and |g·Δ| ≤ λ √(ΔᵀHΔ) ≤ λ √h ‖XΔ‖₂, h the largest of their
    curvatures, as XᵀWX ≤ h XᵀX. So λ √h < q √w_least leaves no Δ. For classes q is the least probability of a wrong class
    and h = ¼: a variance is at most a quarter of the range squared, and the range at most the sum of a row's margins.
    """
    if not family.space.separable:
        return True
    if not family.knows_information:  # the bounds are those of the catalogue's links
        return False
    parts = [fit.point.pull] if fit.point.pull else share(design, lambda part: _least_push(family, part, fit))
    push, bend = min(push for push, _ in parts), max(bend for _, bend in parts)
    if push == math.inf:  # every row pins its own linear predictor
        return True
    least = 1.0 if design.weights is None else min(1.0, float(design.weights.min()))
    return overlap_is_certain(fit.push * math.sqrt(bend), push * math.sqrt(least))


def _least_push(family: Family, design: Design, fit: Fit) -> tuple[float, float]:
    """(q, h) of `certain`, over the rows that can run away; (inf, 0) if there are none."""
    push, bend = math.inf, 0.0
    for rows, x in design.chunks():
        eta, y = design.raw(rows, x, fit.point.beta), design.y[rows]
        free = _can_run(family, y)
        if not bool(free.any()):
            continue
        if family.space.classes:
            p = family.likelihood.mean(curvature.raw(family.likelihood, eta))[free]
            wrong = torch.where(torch.arange(p.shape[1]) == y[free, None], torch.inf, p)
            push, bend = min(push, float(wrong.min())), 0.25
        else:
            _, slope, curve = curvature.rows(family.likelihood, eta[free], y[free], fit.point.kind)
            push, bend = min(push, float(slope.abs().min())), max(bend, float(curve.max()))
    return push, bend


def separation_of(family: Family, design: Design) -> Separation:
    """What the linear programme says of the rows."""
    y, space = _pinning(family, design)
    return find_separation(design.x, y, space, design.intercept)


def rises_along(family: Family, design: Design, found: Separation) -> bool:
    """Whether the likelihood rises for ever along the direction of a separation, to 1 if all rows are separated.

    Of the catalogue's likelihoods it does. Of one from elsewhere it is asked: a link may level off short of 0 and 1.
    """
    if family.knows_information:
        return True
    along = _along(family, design, found)
    if along is None:
        return False
    shift = along.clone()
    if design.intercept:  # the direction is of the features as they came
        shift[-1] += design.shift @ along[:-1]
    reach = max(float((x @ shift).abs().max()) for _rows, x in design.chunks())
    eta = linear(replace(design, offset=None), shift / reach)  # far enough out no offset counts
    asked = [(far, total(family, design, far * eta)) for far in FAR]
    reached = list(takewhile(lambda one: math.isfinite(one[1]), asked))
    falls = all(later <= earlier + 1e-12 * abs(earlier) for (_, earlier), (_, later) in pairwise(reached))
    if not reached or not falls:
        return False
    last = curvature.nll(family.likelihood, reached[-1][0] * eta, design.y)
    if (
        family.space.kind == "classes" and found.kind == "quasi"
    ):  # which of the other classes a row keeps is told by none
        return True
    return bool((last[eta.abs().amax(1) >= FAR_ALONG] <= CERTAIN).all())


def _along(family: Family, design: Design, found: Separation) -> Tensor | None:
    """The direction of a separation in the raw outputs (p, m); None where they are no raw output a class, or but the first."""
    if found.direction is None:
        return None
    direction = found.direction.double().reshape(design.width, -1)
    if family.space.kind != "classes":
        return direction if family.outputs == direction.shape[1] else None
    direction = direction - direction[:, :1]
    return {direction.shape[1]: direction, direction.shape[1] - 1: direction[:, 1:]}.get(family.outputs)


def beside_rank(family: Family, design: Design) -> str:
    """What else to say where columns depend on each other: a clause if the rows are separated as well, else nothing."""
    if not family.space.separable:
        return ""
    y, space = _pinning(family, design)
    return separation_beside_rank(design.x, y, space, design.intercept) or ""


def besides(family: Family, design: Design) -> str:
    """What else to say where something other than the columns is refused: the same, in words of its own."""
    return beside_rank(family, design).replace("without them the rows are", "besides, the rows are", 1)


def check_determined(family: Family, design: Design) -> None:
    """Raise DataError where there are fewer rows than coefficients, with everything else that leaves them undetermined."""
    short = too_few(design, family)
    if not short:
        return
    same = same_columns(design)
    beside = f"; besides, {same}" if same else ""
    raise DataError(f"data: {short}{beside}{besides(family, design)}")


def _pinning(family: Family, design: Design) -> tuple[Tensor, TargetSpace]:
    """Targets and space as far as separation goes: which rows pin their linear predictor."""
    kind = family.space.kind
    space = TargetSpace("unit") if kind == "binary" else family.space  # a share strictly inside (0, 1) pins its row
    if kind == "ordinal" and family.outputs == 1:  # the least and the greatest label want it out, the others pin it
        return design.y / (design.y.max().clamp(min=1)), TargetSpace("unit")
    # A count is 0 or it pins its row, whatever its size.
    return design.y.clamp(max=1) if kind == "counts" else design.y, space


def supremum(family: Family, design: Design, found: Separation) -> tuple[Family, Tensor, float]:
    """(family, coefficients (p, m), log-likelihood) that separated rows tend to: ±∞, a number, or NaN if undetermined.

    The rows that keep a finite linear predictor fix the coefficients whose unit vector lies in their row space; the rest
    of the likelihood tends to 1. With classes a row may keep some of its margins only: see `class_limit`.
    """
    assert found.infinite is not None
    runs = found.infinite[:, 1:] if found.infinite.ndim == 2 else found.infinite[:, None]
    beta = runs.double() * torch.inf  # 0 · ∞ is NaN
    if found.kind == "complete":
        return family, beta, 0.0
    if found.infinite.ndim == 2 and not family.knows_information:  # the limit below is the softmax's
        return family, beta, math.nan
    if found.infinite.ndim == 2:
        return family, *class_limit(design.x, design.y, design.intercept, found, design.weights)
    keep = found.overlap
    x = design.x[keep].double()
    x = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], dim=1) if design.intercept else x
    length = x.norm(dim=0).clamp(min=torch.finfo(torch.float64).tiny)
    _, values, basis = torch.linalg.svd(x / length, full_matrices=False)
    basis = basis[values > 1e-12 * values[0]]
    names = tuple(f"direction {k}" for k in range(len(basis)))
    rest = design.taken(keep)
    part = replace(rest, x=x / length @ basis.T, intercept=False, shift=torch.zeros(len(basis)), features=names)
    family, fit = maximise(family, part, start(family, part), BUDGET)
    inside = (basis.T @ basis - torch.eye(len(length), dtype=torch.float64)).norm(dim=1) < 1e-9
    known = inside & (runs[:, 0] == 0)
    beta[known] = (basis.T @ fit.beta)[known] / length[known, None]
    return family, beta, -fit.point.value


def _can_run(family: Family, y: Tensor) -> Tensor:
    """Rows (n,) whose likelihood grows for ever along some direction: hard labels, zero counts."""
    found: Tensor = family.space.extreme(y)
    return found
