"""What one row says of its raw outputs: −log likelihood, its gradient, and its observed or expected curvature.

By autograd in float64 on the likelihoods. Expected curvature (Fisher information), E over y given the raw output f, needs no
integral (McCullagh & Nelder 1989, ch. 2), as each likelihood knows:
- canonical link: gradient (μ−y)/φ and curvature μ′/φ, whatever y, so observed and expected are one;
- other links of an exponential family: μ′²/Var(y). Probit φ²/ΦΦ̄, gamma k, negative binomial θμ/(θ+μ);
- beta and the normal with a learned variance, linear and quadratic in a function of y: the curvature at a typical y;
- a location family: one number.
Of a likelihood from elsewhere it is not known; the observed curvature with its signs dropped then stands in for it.
"""

import torch
from torch import Tensor

from mlnn.likelihoods import Likelihood


def raw(likelihood: Likelihood, eta: Tensor) -> Tensor:
    """What the likelihood takes as its output, from the free raw outputs (n, m): class 0 gets 0, one output is (n,)."""
    if likelihood.baseline:
        return torch.cat([torch.zeros_like(eta[:, :1]), eta], dim=1)
    return eta[:, 0] if eta.shape[1] == 1 else eta


def nll(likelihood: Likelihood, eta: Tensor, y: Tensor) -> Tensor:
    """−log likelihood per row, nats; (n, m), (n,) to (n,)."""
    return likelihood.nll(raw(likelihood, eta), y)


def gradient(likelihood: Likelihood, eta: Tensor, y: Tensor) -> Tensor:
    """Derivative of the nll in the free raw outputs; (n, m), (n,) to (n, m)."""
    at = eta.detach().requires_grad_()
    return torch.autograd.grad(nll(likelihood, at, y).sum(), at)[0]


def root(weight: Tensor) -> Tensor:
    """Symmetric square roots of the rows' curvature (n, m, m), which is not negative but for rounding."""
    if weight.shape[1] == 1:
        return weight.clamp(min=0).sqrt()
    values: Tensor
    axes: Tensor
    values, axes = torch.linalg.eigh(weight)
    return (axes * values.clamp(min=0).sqrt()[:, None, :]) @ axes.mT


def rows(
    likelihood: Likelihood, eta: Tensor, y: Tensor, kind: str, damping: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """(nll (n,), gradient (n, m), curvature (n, m, m)) in nats, of free raw outputs (n, m) and targets (n,).

    `damping`: so many times a robust density's majorant is added to its observed curvature.
    """
    if likelihood.canonical:
        return _canonical(likelihood, eta, y)
    if kind == "observed":
        value, slope, bend = _observed(likelihood, eta, y)
        if damping:
            bend = bend + damping * likelihood.majorant(y - eta[:, 0])[:, None, None]
        return value, slope, bend
    known = expected(likelihood, eta)
    if known is None:
        value, slope, bend = _observed(likelihood, eta, y)
        return value, slope, _bent_upwards(bend)
    return nll(likelihood, eta, y), gradient(likelihood, eta, y), known


def expected(likelihood: Likelihood, eta: Tensor) -> Tensor | None:
    """Fisher information of a row in its free raw outputs (n, m), for a link that is not canonical; (n, m, m).

    None where it cannot be told without an integral over the targets.
    """
    closed = likelihood.information(eta[:, 0])
    if closed is not None:
        return torch.as_tensor(closed, dtype=torch.float64).expand(len(eta))[:, None, None]
    targets = likelihood.typical(raw(likelihood, eta))
    if targets is None:
        return None
    found = [_observed(likelihood, eta, y)[2] for y in targets]
    return sum(found[1:], found[0]) / len(found)


def typical(likelihood: Likelihood, eta: Tensor) -> list[Tensor]:
    """Targets (n,) at which derivatives, averaged, equal their expectation over y."""
    found = likelihood.typical(raw(likelihood, eta))
    assert found is not None
    return found


def _bent_upwards(bend: Tensor) -> Tensor:
    """Curvatures (n, m, m) with their eigenvalues' signs dropped: every step on them goes downhill."""
    if bend.shape[1] == 1:
        return bend.abs()
    values: Tensor
    vectors: Tensor
    values, vectors = torch.linalg.eigh((bend + bend.mT) / 2)
    return (vectors * values.abs()[:, None, :]) @ vectors.mT


def _canonical(likelihood: Likelihood, eta: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    together = None if likelihood.baseline else likelihood.derivatives(eta[:, 0], y)
    if together is not None:
        value, slope, bend = together
        return value, slope[:, None], bend[:, None, None]
    value = nll(likelihood, eta, y)
    if likelihood.baseline:
        p = likelihood.mean(raw(likelihood, eta))[:, 1:]
        is_class = y[:, None] == torch.arange(1, p.shape[1] + 1)
        return value, p - is_class.double(), torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    dispersion = likelihood.dispersion
    at = eta[:, 0].detach().requires_grad_()
    mean = likelihood.mean(at)
    (slope,) = torch.autograd.grad(mean.sum(), at)
    mean = mean.detach()
    return value, ((mean - y) / dispersion)[:, None], (slope / dispersion)[:, None, None]


def _observed(likelihood: Likelihood, eta: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    value, slope, bend = _differentiate(likelihood, eta, y)
    # The stable forms are built from |z| and min(z, 0). Exactly on such a fold autograd keeps the gradient and loses
    # the curvature, which is there: it is then taken a hair to the right.
    lost = (bend[:, 0, 0] == 0) if eta.shape[1] == 1 else torch.zeros(len(eta), dtype=torch.bool)
    if bool(lost.any()):
        beside = eta[lost] + 2.0**-40 * (1 + eta[lost].abs())
        bend[lost] = _differentiate(likelihood, beside, y[lost])[2]
    return value, slope, bend


def _differentiate(likelihood: Likelihood, eta: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    at = eta.detach().requires_grad_()
    value = nll(likelihood, at, y)
    (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
    columns = [slope] if slope.shape[1] == 1 else slope.unbind(1)
    bend = [torch.autograd.grad(column.sum(), at, retain_graph=True)[0] for column in columns]
    return value.detach(), slope.detach(), torch.stack(bend, dim=2)
