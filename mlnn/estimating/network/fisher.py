"""Where a network stands on its likelihood: the value, the gradient, and the spectrum of the Fisher information.

The Fisher information of n independent rows is F = Σ_i J_iᵀ W_i J_i, with J_i the derivative of row i's raw outputs in the p
parameters and W_i the expected curvature of its nll in them (Amari 1998; for a linear model XᵀWX). F = BᵀB, B the stacked
W_i^½ J_i, so its eigenvalues are the squared singular values of B: that keeps twice the digits, and an eigenvalue that is 0
on paper comes out near 1e-32 of the largest, far below one that is only small. F has rank at most n·m, m free raw outputs.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor, nn
from torch.func import jacrev, vjp, vmap

from mlnn.errors import ConfigError, DataError
from mlnn.estimating.network import curvature
from mlnn.estimating.network.flat import FlatModel
from mlnn.likelihoods import Likelihood
from mlnn.likelihoods.likelihood import Adopted, adopted
from mlnn.world import own_world

FLAT = 1e-24
"""Of the largest eigenvalue, parameters in units of their own curvature: below it is rounding."""
THRESHOLDS = (1e-8, 1e-12, 1e-16, 1e-20, 1e-24, 1e-28)
"""At which flat directions are counted, to see if the choice matters."""
WHOLE = 2000
"""Parameters, or rows × outputs, up to which all eigenvalues are computed."""
NUMBERS = 2**22
"""In a chunk of Jacobians: 32 MiB."""
LEADING = 20
"""Eigenvalues where not all are computed."""
SHOWN = 5
"""Eigenvalues told of either end of a spectrum."""
EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of the Fisher information of p `parameters`, in descending order, nats per unit of a parameter squared.

    eigenvalues: all p, or where `whole` is False the leading ones. scaled: the same for parameters in units of their own
    curvature, so that a layer's units do not count; flat directions are counted on these. bound: n·m, F's largest rank.
    """

    parameters: int
    bound: int
    eigenvalues: np.ndarray
    scaled: np.ndarray
    whole: bool

    def below(self, threshold: float) -> int:
        """How many eigenvalues lie below `threshold` of the largest; where not all are known, at least so many."""
        if not self.whole:
            return max(0, self.parameters - self.bound)
        return int((self.scaled <= threshold * self.scaled[0]).sum())

    @property
    def flat(self) -> int:
        """Directions in which nothing changes: no data of this kind tell their points apart."""
        return self.below(FLAT)

    @property
    def flat_at(self) -> dict[str, int]:
        """How many directions would count as flat at other thresholds."""
        return {f"{threshold:.0e}": self.below(threshold) for threshold in THRESHOLDS}

    @property
    def leading(self) -> list[float]:
        """The largest few."""
        return [float(value) for value in self.eigenvalues[:SHOWN]]

    @property
    def trailing(self) -> list[float] | None:
        """The smallest few; None where not all are known."""
        return [float(value) for value in self.eigenvalues[-SHOWN:]] if self.whole else None

    def to_dict(self) -> dict[str, object]:
        """As plain data."""
        return {
            "parameters": self.parameters,
            "bound": self.bound,
            "whole": self.whole,
            "leading": self.leading,
            "trailing": self.trailing,
            "flat": self.flat,
            "flat_at": self.flat_at,
            "scaled": self.scaled.tolist(),
        }


@dataclass(frozen=True)
class Standing:
    """A network at its weights, over n rows. log_likelihood: nats, nothing dropped; unexplained: how far below that of raw
    outputs chosen freely for each row, ∞ where that has no bound.

    gradient_norm: of the mean nll. gradient_relative: largest |Σ_i s_ij| / Σ_i |s_ij| over the parameters, s_i the gradient
    of row i; 1e-12 at a stationary point, 1 far from one. gradient_in_errors: √(gᵀF⁺g), the gradient in standard errors;
    half its square is what one scoring step would gain, in nats; NaN where not all of F's eigenvalues are known.
    """

    log_likelihood: float
    unexplained: float
    gradient_norm: float
    gradient_relative: float
    gradient_in_errors: float
    spectrum: Spectrum


class Network:
    """A float64 copy of a module in evaluation mode, and the likelihood of its raw outputs.

    Raises ConfigError for a likelihood with kinks or from outside the catalogue, and a module with nothing to train.
    """

    def __init__(self, module: nn.Module, likelihood: Any) -> None:
        likelihood = adopted(likelihood)
        if likelihood.kinked or isinstance(likelihood, Adopted):
            raise ConfigError(
                f"likelihood: {likelihood.name} has no Fisher information here; give an instance of a smooth"
                " likelihood of mlnn.objectives"
            )
        if not any(part.requires_grad for part in module.parameters()):
            raise ConfigError(f"model: {type(module).__name__} has no trainable parameters")
        self.likelihood: Likelihood = likelihood
        self.model = FlatModel(copy.deepcopy(module).to("cpu", torch.float64).eval(), likelihood.baseline)

    @property
    def weights(self) -> Tensor:
        """The trained parameters in one vector (p,), as they stand."""
        return self.model.flat

    def free(self, x: Tensor) -> Tensor:
        """Free raw outputs (n, m) of rows x (n, *input_shape) at these weights."""
        return self.model.free(self.weights, x)

    def jacobian(self, x: Tensor) -> Tensor:
        """Derivative of the free raw outputs in the parameters, row by row; (b, *input_shape) to (b, m, p)."""

        def row(weights: Tensor, one: Tensor) -> Tensor:
            return self.model.free(weights, one[None])[0]

        try:
            found: Tensor = vmap(jacrev(row), in_dims=(None, 0))(self.weights, x)
        except RuntimeError:  # some layers (recurrent ones) have no batched form
            found = torch.stack([jacrev(row, chunk_size=1)(self.weights, one) for one in x])
        return found.detach()


@own_world(threads=None)
def stand(module: nn.Module, likelihood: Any, x: Tensor, y: Tensor) -> Standing:
    """Value, gradient and Fisher information at the module's weights; x (n, *input_shape), y (n,).

    In float64 and evaluation mode; one eigenvalue decomposition of cost n·m·p·min(n·m, p) while either is at most 2000,
    else the 20 leading ones by Lanczos steps. Raises ConfigError for a likelihood with kinks or from outside the
    catalogue, DataError where a raw output is not finite.
    """
    network = Network(module, likelihood)
    y = y if y.dtype == torch.int64 else y.double()
    with torch.no_grad():
        eta = network.free(x.double())
    if len(y) != len(eta) or not bool(torch.isfinite(eta).all()):
        raise DataError(
            f"network: {len(eta)} raw outputs for {len(y)} targets, {int((~torch.isfinite(eta)).sum())} not finite;"
            " has training diverged?"
        )
    nll, slope, weight = curvature.rows(likelihood, eta, y, "expected")
    sums = _Sums(network, x.double(), slope, curvature.root(weight))
    gradient, terms = sums.gradient, sums.terms
    spectrum, push = sums.spectrum()
    return Standing(
        log_likelihood=-float(nll.sum()),
        unexplained=float((nll - likelihood.least(y)).sum()),
        gradient_norm=float(gradient.norm()) / len(y),
        gradient_relative=float((gradient.abs() / torch.where(terms > 0, terms, 1)).max()),
        gradient_in_errors=push,
        spectrum=spectrum,
    )


class _Sums:
    """One pass over the rows: gradient and its terms (p,), Σ B² (p,), and B, or its QR factor where that is smaller."""

    def __init__(self, network: Network, x: Tensor, slope: Tensor, root: Tensor) -> None:
        self.network, self.x, self.root = network, x, root
        p, self.bound = len(network.weights), slope.numel()
        self.whole = min(p, self.bound) <= WHOLE
        self.gradient, self.terms, self.square = torch.zeros(3, p, dtype=torch.float64)
        kept: list[Tensor] = []
        for rows in _chunks(len(x), p * slope.shape[1]):
            jacobian = network.jacobian(x[rows])
            score = torch.einsum("nm,nmp->np", slope[rows], jacobian)
            part = (root[rows] @ jacobian).reshape(-1, p)
            self.gradient += score.sum(0)
            self.terms += score.abs().sum(0)
            self.square += part.square().sum(0)
            if self.whole:
                kept = _folded([*kept, part], p)
        self.factor = torch.cat(kept) if self.whole else None

    def spectrum(self) -> tuple[Spectrum, float]:
        """The spectrum, and the gradient in standard errors."""
        p, unit = len(self.gradient), _unit(self.square)
        if self.factor is None:
            found, scaled = (self._leading(by) for by in (torch.ones(p, dtype=torch.float64), unit))
            return Spectrum(p, self.bound, found, scaled, False), math.nan
        found = _padded(torch.linalg.svdvals(self.factor), p)
        _, singular, axes = torch.linalg.svd(self.factor / unit, full_matrices=False)
        kept = singular**2 > FLAT * singular[0] ** 2
        along = (axes[kept] @ (self.gradient / unit)) / singular[kept]
        return Spectrum(p, self.bound, found, _padded(singular, p), True), float(along.norm())

    def _leading(self, unit: Tensor) -> np.ndarray:
        """The leading eigenvalues of F in these units, without B: two products with the Jacobian per Lanczos step."""
        network, pull = self.network, self._pull()

        def forth(v: np.ndarray) -> np.ndarray:
            # J v as the derivative of u ↦ Jᵀu, which is linear: forward mode would need every layer to have one.
            zero = torch.zeros(self.root.shape[:2], dtype=torch.float64)
            along = vjp(pull, zero)[1](torch.from_numpy(v.ravel().copy()) / unit)[0]
            return torch.einsum("nab,nb->na", self.root, along).detach().reshape(-1).numpy()

        def back(u: np.ndarray) -> np.ndarray:
            wide = torch.from_numpy(u.copy()).reshape(self.root.shape[:2])
            return (pull(torch.einsum("nab,nb->na", self.root, wide)).detach() / unit).numpy()

        size = (self.bound, len(network.weights))
        operator = LinearOperator(size, matvec=forth, rmatvec=back, dtype=np.float64)
        count = min(LEADING, min(size) - 1)
        singular = svds(operator, k=count, return_singular_vectors=False, v0=np.ones(min(size)))
        return np.sort(singular**2)[::-1]

    def _pull(self) -> Callable[[Tensor], Tensor]:
        back = vjp(lambda weights: self.network.model.free(weights, self.x), self.network.weights)[1]
        return lambda u: back(u)[0]


def _chunks(rows: int, numbers: int) -> Iterator[slice]:
    size = max(1, NUMBERS // numbers)
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def _folded(parts: list[Tensor], p: int) -> list[Tensor]:
    """The same BᵀB in at most about 2p rows: the R of a QR decomposition stands for the rows that went into it."""
    if sum(len(part) for part in parts) <= 2 * max(p, WHOLE):
        return parts
    return [torch.linalg.qr(torch.cat(parts), mode="r")[1]]


def _unit(square: Tensor) -> Tensor:
    """Per parameter the root of its own curvature; 1 where that is nothing but rounding, so that it stays flat."""
    return torch.where(square > EPS**2 * square.max(), square, 1.0).sqrt()


def _padded(singular: Tensor, p: int) -> np.ndarray:
    """Eigenvalues (p,), zeros for those beyond the rank that n·m rows allow."""
    return np.concatenate([(singular**2).numpy(), np.zeros(p - len(singular))])
