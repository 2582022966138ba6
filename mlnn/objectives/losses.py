"""Losses: objectives that call the framework's own function, one value per row, each with the likelihood behind it.

NLL = s·loss + c, c depending on the target only; `mlnn.objectives.partners` holds the pairs.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlnn.signature import Binary, Classes, Counts, HardBinary, Real, TwoOutputs

_BCE = nn.BCELoss(reduction="none")
_BCE_WITH_LOGITS = nn.BCEWithLogitsLoss(reduction="none")


def bce(output: Tensor, target: Binary) -> Tensor:
    """`torch.nn.BCELoss` on the sigmoid of the raw output: −[y log p + (1−y) log(1−p)], p = σ(z), nats per row.

    output, target: (n,), target in [0, 1]. Returns (n,). The framework clamps both logarithms at −100 and divides its
    gradient by max(p(1−p), 1e-12), so in float32 value and gradient follow the formula for z in about [−27, 16] only.
    """
    value: Tensor = _BCE(torch.sigmoid(output), target)
    return value


def bce_with_logits(output: Tensor, target: Binary) -> Tensor:
    """`torch.nn.BCEWithLogitsLoss`: (1−y) z + log(1 + e^(−z)), nats per row.

    output, target: (n,). Returns (n,). Labels outside [0, 1] are not noticed by the framework; mlnn's data are checked.
    """
    value: Tensor = _BCE_WITH_LOGITS(output, target)
    return value


def soft_margin(output: Tensor, target: HardBinary) -> Tensor:
    """`torch.nn.SoftMarginLoss` of labels −1 and +1, made from 0 and 1: log(1 + e^(∓z)); (n,), (n,) to (n,).

    Bernoulli, logit link, s = 1, c = 0. The framework overflows to ∞ for a wrong z beyond 88 in float32 (709 in float64).
    """
    return F.soft_margin_loss(output, 2 * target - 1, reduction="none")


def cross_entropy(output: Tensor, target: Classes) -> Tensor:
    """`torch.nn.CrossEntropyLoss`; (n, K), (n,) int64 to (n,). Categorical, softmax link, s = 1, c = 0."""
    return F.cross_entropy(output, target, reduction="none")


def nll_loss(output: Tensor, target: Classes) -> Tensor:
    """`torch.nn.NLLLoss` of log_softmax; (n, K), (n,) int64 to (n,). Categorical, softmax link, s = 1, c = 0.

    The framework's NLLLoss alone is no negative log-likelihood: it only picks out the entry it is given.
    """
    return F.nll_loss(F.log_softmax(output, dim=1), target, reduction="none")


def kl_divergence(output: Tensor, target: Classes) -> Tensor:
    """`torch.nn.KLDivLoss` of log_softmax against the one-hot target, summed over classes; (n, K), (n,) int64 to (n,).

    Categorical, softmax link, s = 1, c = H(target), which is 0 for one-hot targets.
    """
    one_hot = F.one_hot(target, output.shape[1]).to(output.dtype)
    return F.kl_div(F.log_softmax(output, dim=1), one_hot, reduction="none").sum(1)


def mse(output: Tensor, target: Real) -> Tensor:
    """`torch.nn.MSELoss`, (f−y)²; (n,), (n,) to (n,). Normal(f, σ²), s = 1/2σ², c = ½ log 2πσ²; gradient 2(f−y)."""
    return F.mse_loss(output, target, reduction="none")


def gaussian_nll(output: TwoOutputs, target: Real) -> Tensor:
    """`torch.nn.GaussianNLLLoss` with variance e^s; (n, 2) as mean f and log variance s, (n,) to (n,).

    Normal with learned variance, s = 1, c = ½ log 2π. The framework holds the variance at 1e-6 or more (log: −13.8), in
    its forward only.
    """
    mean, log_variance = output.unbind(1)
    return F.gaussian_nll_loss(mean, target, torch.exp(log_variance), reduction="none")


def l1(output: Tensor, target: Real) -> Tensor:
    """`torch.nn.L1Loss`, |f−y|; (n,), (n,) to (n,). Laplace(f, 1), s = 1, c = log 2."""
    return F.l1_loss(output, target, reduction="none")


def huber(output: Tensor, target: Real, delta: float = 1.0) -> Tensor:
    """`torch.nn.HuberLoss`; (n,), (n,) to (n,). Huber density, s = 1, c = log(√2π erf(δ/√2) + (2/δ) e^(−δ²/2))."""
    return F.huber_loss(output, target, reduction="none", delta=delta)


def smooth_l1(output: Tensor, target: Real, delta: float = 1.0) -> Tensor:
    """`torch.nn.SmoothL1Loss` with beta = δ, the Huber loss over δ; (n,), (n,) to (n,). Huber density, s = δ, c as Huber's."""
    return F.smooth_l1_loss(output, target, reduction="none", beta=delta)


def poisson_nll(output: Tensor, target: Counts) -> Tensor:
    """`torch.nn.PoissonNLLLoss` of the log mean, e^f − y f; (n,), (n,) to (n,). Poisson, log link, s = 1, c = log y!.

    (Its full=True would put Stirling's approximation for log y!, which is wrong by up to 0.04 nats.)
    """
    return F.poisson_nll_loss(output, target, log_input=True, full=False, reduction="none")
