"""Losses: objectives that call the framework's own function, one value per row."""

import torch
from torch import Tensor, nn

_BCE = nn.BCELoss(reduction="none")
_BCE_WITH_LOGITS = nn.BCEWithLogitsLoss(reduction="none")


def bce(output: Tensor, target: Tensor) -> Tensor:
    """`torch.nn.BCELoss` on the sigmoid of the raw output: −[y log p + (1−y) log(1−p)], p = σ(z), nats per row.

    output, target: (n,), target in [0, 1]. Returns (n,). The framework clamps both logarithms at −100 and divides its
    gradient by max(p(1−p), 1e-12), so in float32 value and gradient follow the formula for z in about [−27, 16] only.
    """
    return _BCE(torch.sigmoid(output), target)


def bce_with_logits(output: Tensor, target: Tensor) -> Tensor:
    """`torch.nn.BCEWithLogitsLoss`: (1−y) z + log(1 + e^(−z)), nats per row.

    output, target: (n,). Returns (n,). Labels outside [0, 1] are not noticed by the framework; mlnn's data are checked.
    """
    return _BCE_WITH_LOGITS(output, target)
