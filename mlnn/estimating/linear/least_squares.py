"""The triangular root R of an information matrix, RᵀR = H: by Cholesky where that is accurate, else by QR of the rows.

Forming H squares the condition number. Below `WELL` that costs the covariance at most six of sixteen digits, and the
coefficients none, because the next step corrects them. Above it R comes from a tall-skinny QR, chunk by chunk (Demmel et
al. 2012): R of [R so far; √W chunk], so Q is never stored and memory stays that of a chunk.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.catalogue import Family
from mlnn.estimating.linear.design import Design
from mlnn.estimating.network import curvature

WELL = 1e6
"""Condition number of H with a unit diagonal: the covariance then keeps ten digits."""
TINY = 1e-150
"""A length whose square underflows."""
EPS = torch.finfo(torch.float64).eps


def cholesky_root(hessian: Tensor) -> Tensor | None:
    """Upper R with RᵀR = `hessian` (k, k); None where it is not positive definite, or too ill-conditioned for this way."""
    if not len(hessian):
        return hessian
    diagonal = hessian.diagonal()
    if not bool(((diagonal > 0) & torch.isfinite(diagonal)).all()):
        return None
    scale = diagonal.sqrt()
    unit = hessian / scale / scale[:, None]
    if not bool(torch.isfinite(unit).all()):
        return None
    values = torch.linalg.eigvalsh(unit)
    if values[0] * WELL < values[-1]:
        return None
    root: Tensor = torch.linalg.cholesky(unit, upper=True)
    return root * scale


def qr_root(family: Family, design: Design, beta: Tensor, kind: str, damping: float = 0.0) -> Tensor | None:
    """The same from the rows at coefficients `beta` (p, m); None where some row's observed curvature is negative."""
    may_be_negative = kind == "observed" and not family.likelihood.canonical

    def weighted(rows: slice, x: Tensor) -> Tensor | None:
        bend = design.weigh(
            rows, curvature.rows(family.likelihood, design.raw(rows, x, beta), design.y[rows], kind, damping)[2]
        )
        if beta.shape[1] == 1:
            negative = may_be_negative and bool((bend < 0).any())
            return None if negative else x * bend[:, :, 0].clamp(min=0).sqrt()
        values, vectors = torch.linalg.eigh(bend)
        if may_be_negative and bool((values[:, 0] < 0).any()):
            return None
        roots = vectors * values.clamp(min=0).sqrt()[:, None, :]  # (b, m, m), a column per eigenvalue
        return torch.einsum("bjk,bp->bkjp", roots, x).reshape(-1, beta.numel())

    return _stacked_qr(design, weighted, beta.numel())


def residual_step(design: Design, beta: Tensor) -> tuple[float, Tensor]:
    """(length of the part of the residuals that the columns span, least-squares step (p, 1)) at coefficients (p, 1).

    By QR of the rows with their residual as one more column: normal equations never enter, so the error is that of one
    condition number and not of its square.
    """

    def beside(rows: slice, x: Tensor) -> Tensor:
        both = torch.cat([x, design.y[rows, None] - design.raw(rows, x, beta)], dim=1)
        return both if design.weights is None else both * design.weights[rows, None].sqrt()

    root = _stacked_qr(design, beside, design.width + 1)
    assert root is not None
    spanned = root[:-1, -1:]
    return float(spanned.norm()), torch.linalg.solve_triangular(root[:-1, :-1], spanned, upper=True)


class RankError(DataError):
    """Columns that have no coefficient of their own: they depend on others, or hold nothing."""


def check_rank(design: Design) -> None:
    """Raise RankError, naming them, if columns are linear combinations of those before them (the constant first).

    A column counts as dependent if what the others leave of it is below 8·eps·n of its own length, as it came.
    """
    root = _stacked_qr(design, lambda _rows, x: x, design.width)
    assert root is not None
    size = _lengths(design, root)
    dependent = [design.names[column] for column in _dependent(design, root, size)]
    if dependent:
        raise RankError(
            f"x: {len(dependent)} of {design.width} columns depend on the others and have no coefficient of their own:"
            f" {', '.join(dependent)}; leave them out"
        )


def _lengths(design: Design, root: Tensor) -> Tensor:
    """Of the columns as they came. Raises RankError for one without any."""
    shift = design.shift if design.intercept else torch.zeros(0, dtype=torch.float64)
    size: Tensor = root.norm(dim=0)
    size[: len(shift)] = torch.hypot(size[: len(shift)], shift * len(design.y) ** 0.5)  # a length before the shift
    if bool((size < TINY).any()):
        empty = ", ".join(name for name, length in zip(design.names, size.tolist(), strict=True) if length < TINY)
        raise RankError(f"x: {empty}: nothing but 0, or numbers too small to square; leave out, or rescale")
    return size


def _dependent(design: Design, root: Tensor, size: Tensor) -> Iterator[int]:
    """The columns of which those before them, the constant first, leave nothing but rounding."""
    least = 8 * EPS * max(len(design.y), design.width)
    basis: list[Tensor] = []
    order = [design.width - 1, *range(design.width - 1)] if design.intercept else [*range(design.width)]
    for column in order:
        rest = root[:, column].clone()
        for _ in range(2):  # once more: the first pass leaves what it cancelled
            for direction in basis:
                rest -= (direction @ rest) * direction
        if rest.norm() <= least * size[column]:
            yield column
        else:
            basis.append(rest / rest.norm())


def _stacked_qr(design: Design, weighted: Callable[[slice, Tensor], Tensor | None], width: int) -> Tensor | None:
    root = torch.zeros(0, width, dtype=torch.float64)
    for rows, x in design.chunks():
        part = weighted(rows, x)
        if part is None:
            return None
        root = torch.linalg.qr(torch.cat([root, part]), mode="r")[1]
    return torch.cat([root, torch.zeros(width - len(root), width, dtype=torch.float64)])
