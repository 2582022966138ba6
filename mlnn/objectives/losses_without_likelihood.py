"""Losses with no likelihood partner: exp(−loss) does not sum to the same number over the targets for every raw output.

Margins and proper scores for binary targets (z the raw output, u = ±z the margin), then variations for several classes.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from mlnn.errors import ConfigError
from mlnn.likelihoods.parameters import fraction, positive
from mlnn.signature import Classes, HardBinary


def hinge(output: Tensor, target: HardBinary) -> Tensor:
    """max(1 − u, 0), the support-vector classifier; (n,), (n,) to (n,). No link: no probability can be read from z."""
    return torch.relu(1 - _margin(output, target))


def squared_hinge(output: Tensor, target: HardBinary) -> Tensor:
    """max(1 − u, 0)²; (n,), (n,) to (n,). Proper with the link p = (1+z)/2 on [−1, 1], but no likelihood."""
    return torch.relu(1 - _margin(output, target)) ** 2


def exponential(output: Tensor, target: HardBinary) -> Tensor:
    """e^(−u), the loss of AdaBoost; (n,), (n,) to (n,). Proper with the link p = σ(2z), but no likelihood."""
    return torch.exp(-_margin(output, target))


def focal(output: Tensor, target: HardBinary, gamma: float = 2.0) -> Tensor:
    """−(1−p)^γ log p, p the probability σ(u) of the target; (n,), (n,) to (n,). Calibrated, with a link other than σ.

    Raises ConfigError unless γ > 0 (γ = 0 would be the Bernoulli NLL). Source: Lin et al. (2017).
    """
    margin = _margin(output, target)
    log_p = torch.minimum(margin, torch.zeros_like(margin)) - torch.log1p(torch.exp(-margin.abs()))
    return -(torch.sigmoid(-margin) ** positive("gamma", gamma)) * log_p


def brier(output: Tensor, target: HardBinary) -> Tensor:
    """(σ(z) − y)², squared error on probabilities; (n,), (n,) to (n,). Strictly proper, but no likelihood."""
    return (torch.sigmoid(output) - target) ** 2


def mae_on_sigmoid(output: Tensor, target: HardBinary) -> Tensor:
    """|σ(z) − y|; (n,), (n,) to (n,). Elicits the likelier class only: no link."""
    return (torch.sigmoid(output) - target).abs()


def weighted_bce(output: Tensor, target: HardBinary, positive_weight: float = 2.0) -> Tensor:
    """`torch.nn.BCEWithLogitsLoss(pos_weight=w)`; (n,), (n,) to (n,). Proper with the link σ(z − log w): no likelihood."""
    weight = torch.tensor(positive("positive_weight", positive_weight), dtype=output.dtype, device=output.device)
    return F.binary_cross_entropy_with_logits(output, target, pos_weight=weight, reduction="none")


def label_smoothing(output: Tensor, target: Classes, smoothing: float = 0.1) -> Tensor:
    """`torch.nn.CrossEntropyLoss(label_smoothing=ε)`; (n, K), (n,) int64 to (n,).

    The probabilities it implies leave the simplex for some raw outputs: no likelihood.
    """
    return F.cross_entropy(output, target, label_smoothing=fraction("smoothing", smoothing), reduction="none")


def weighted_cross_entropy(output: Tensor, target: Classes, weight: list[float] | None = None) -> Tensor:
    """`torch.nn.CrossEntropyLoss(weight=w)` per row, w_y times the cross-entropy; (n, K), (n,) int64 to (n,).

    `weight`: one number above 0 per class; left out, class k weighs k+1. Raises ConfigError for another count of them.
    Rows are averaged over rows; the framework's own mean divides by the sum of the weights it met.
    """
    classes = output.shape[1]
    weights = [positive("weight", w) for w in weight] if weight else [1.0 + k for k in range(classes)]
    if len(weights) != classes:
        raise ConfigError(f"objective.weight: {len(weights)} weights for {classes} classes; give one per class")
    given = torch.tensor(weights, dtype=output.dtype, device=output.device)
    return F.cross_entropy(output, target, weight=given, reduction="none")


def multi_margin(output: Tensor, target: Classes) -> Tensor:
    """`torch.nn.MultiMarginLoss`, Σ_{k≠y} max(1 − z_y + z_k, 0) / K; (n, K), (n,) int64 to (n,). No link."""
    return F.multi_margin_loss(output, target, reduction="none")


def _margin(output: Tensor, target: Tensor) -> Tensor:
    return (2 * target - 1) * output
