"""Targets of more than one number a row: several labels, soft rows of a teacher or of mixup, ordered classes, several reals."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from faults.pair import Batch, Function, Pair, equal, fault

TEMPERATURE = 2.0
POSITIVE = torch.tensor([1.0, 2.0, 0.5, 1.5], dtype=torch.float64)

# Several labels: both (n, m).


def labels_mean(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y)


def labels_by_hand(z: Tensor, y: Tensor) -> Tensor:
    return (torch.logaddexp(z, torch.zeros_like(z)) - z * y).mean()


def labels_soft_margin(z: Tensor, y: Tensor) -> Tensor:
    return F.multilabel_soft_margin_loss(z, y)


def labels_summed(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y, reduction="none").sum(1).mean()


def labels_weighted(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y, pos_weight=POSITIVE.to(z))


def labels_as_distribution(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y)


def one_label_dropped(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z[:, :-1], y[:, :-1])


def labels_by_mask(z: Tensor, y: Tensor, known: Tensor) -> Tensor:
    """Some labels of a row are not known."""
    return (F.binary_cross_entropy_with_logits(z, y, reduction="none") * known).sum() / known.sum()


def labels_as_weight(z: Tensor, y: Tensor, known: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y, weight=known, reduction="sum") / known.count_nonzero()


def labels_mask_averaged(z: Tensor, y: Tensor, known: Tensor) -> Tensor:
    per_row = (F.binary_cross_entropy_with_logits(z, y, reduction="none") * known).sum(1) / known.sum(1)
    return per_row.mean()


# Soft rows: both (n, K), a target is a distribution.


def soft_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y)


def soft_by_hand(z: Tensor, y: Tensor) -> Tensor:
    return torch.sum(-y * F.log_softmax(z, dim=-1), dim=-1)


def divergence(z: Tensor, y: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(z, 1), y, reduction="batchmean")


def divergence_by_hand(z: Tensor, y: Tensor) -> Tensor:
    return (torch.xlogy(y, y) - y * F.log_softmax(z, 1)).sum(1).mean()


def divergence_mean(z: Tensor, y: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(z, 1), y, reduction="none").mean()


def divergence_reversed(z: Tensor, y: Tensor) -> Tensor:
    logs = F.log_softmax(z, 1)
    return (logs.exp() * (logs - y.log())).sum(1).mean()


def entries_mean(z: Tensor, y: Tensor) -> Tensor:
    return -(y * F.log_softmax(z, 1)).mean()


def hardened(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y.argmax(1))


def distilled(z: Tensor, y: Tensor) -> Tensor:
    logs = F.log_softmax(z / TEMPERATURE, 1)
    return F.kl_div(logs, _softened(y), reduction="batchmean") * TEMPERATURE**2


def distilled_by_hand(z: Tensor, y: Tensor) -> Tensor:
    teacher, logs = _softened(y), F.log_softmax(z / TEMPERATURE, 1)
    return TEMPERATURE**2 * (teacher * (teacher.log() - logs)).sum() / len(z)


def distilled_unscaled(z: Tensor, y: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(z / TEMPERATURE, 1), _softened(y), reduction="batchmean")


def distilled_teacher_hard(z: Tensor, y: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(z / TEMPERATURE, 1), y, reduction="batchmean") * TEMPERATURE**2


def _softened(y: Tensor) -> Tensor:
    return torch.softmax(y.log() / TEMPERATURE, 1)


def mixed_targets(z: Tensor, y: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Mixup by a soft target."""
    hot = partial(F.one_hot, num_classes=z.shape[1])
    return F.cross_entropy(z, share[:, None] * hot(y).to(z) + (1 - share[:, None]) * hot(other).to(z))


def mixed_losses(z: Tensor, y: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Mixup by two losses."""
    one, two = (F.cross_entropy(z, labels, reduction="none") for labels in (y, other))
    return (share * one + (1 - share) * two).mean()


def mixed_first_share(z: Tensor, y: Tensor, other: Tensor, share: Tensor) -> Tensor:
    return share[0] * F.cross_entropy(z, y) + (1 - share[0]) * F.cross_entropy(z, other)


# Ordered classes: outputs (n, K − 1), output k answers for "above class k".


def above(y: Tensor, z: Tensor) -> Tensor:
    return (y[:, None] > torch.arange(z.shape[1])).to(z)


def cumulative(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, above(y, z), reduction="none").sum(1).mean()


def cumulative_logsigmoid(z: Tensor, y: Tensor) -> Tensor:
    levels = above(y, z)
    return -(F.logsigmoid(z) * levels + (F.logsigmoid(z) - z) * (1 - levels)).sum(1)


def cumulative_margins(z: Tensor, y: Tensor) -> Tensor:
    return torch.logaddexp(torch.zeros_like(z), (1 - 2 * above(y, z)) * z).sum(1)


def cumulative_off_by_one(z: Tensor, y: Tensor) -> Tensor:
    levels = (y[:, None] >= torch.arange(z.shape[1])).to(z)
    return F.binary_cross_entropy_with_logits(z, levels, reduction="none").sum(1).mean()


def cumulative_mean(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, above(y, z))


def conditional(z: Tensor, y: Tensor) -> Tensor:
    """A threshold counts only for rows that have passed the one before."""
    reached = (y[:, None] >= torch.arange(z.shape[1])).to(z)
    return (F.binary_cross_entropy_with_logits(z, above(y, z), reduction="none") * reached).sum(1).mean()


# Several reals: both (n, m).


def squared_mean(z: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(z, y)


def squared_by_rows(z: Tensor, y: Tensor) -> Tensor:
    return (z - y).square().sum(1).mean() / z.shape[1]


def squared_sum(z: Tensor, y: Tensor) -> Tensor:
    return (z - y).square().sum(1).mean()


def square_of_sum(z: Tensor, y: Tensor) -> Tensor:
    return (z - y).sum(1).square().mean() / z.shape[1]


def one_column_halved(z: Tensor, y: Tensor) -> Tensor:
    return ((z - y).square() * torch.tensor([1.0, 1.0, 0.5]).to(z)).mean()


def columns_rolled(z: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(z, y.roll(1, 1))


def second_labels(draws: torch.Generator, rows: int) -> Batch:
    return {
        "other": torch.randint(0, 5, (rows,), generator=draws),
        "share": torch.rand(rows, generator=draws, dtype=torch.float64),
    }


def known_labels(draws: torch.Generator, rows: int) -> Batch:
    known = (torch.rand(rows, 4, generator=draws) < 0.6).double()
    known[:, 0] = 1.0
    return {"known": known}


def _same(name: str, targets: str, left: Function, right: Function, note: str, **more: Any) -> Pair:
    return equal(f"spaces: {name}", targets, left, right, note, family="field", **more)


def _wrong(name: str, targets: str, left: Function, right: Function, note: str, **more: Any) -> Pair:
    return fault(f"spaces: {name}", targets, left, right, note, family="field", **more)


LABELS, SOFT, MIXED, ORDERED, REALS = "multilabel(4)", "simplex(5)", "classes(5)", "ordinal(4)", "real(3)"
SUM = r"factor|sum|mean"
PAIRS = (
    _same("labels by hand", LABELS, labels_mean, labels_by_hand, "log(1 + e^z) − z y over all labels"),
    _same("labels soft margin", LABELS, labels_mean, labels_soft_margin, "MultiLabelSoftMarginLoss is the same mean"),
    _same("known labels", LABELS, labels_by_mask, labels_as_weight, "a mask, or weight= and a count", extras=known_labels),
    _same("soft rows by hand", SOFT, soft_entropy, soft_by_hand, "timm's SoftTargetCrossEntropy"),
    _same("divergence for cross-entropy", SOFT, soft_entropy, divergence, "apart by the entropy of the target",
          relations=("shifted",)),
    _same("divergence by hand", SOFT, divergence, divergence_by_hand, "Σ t (log t − log q)"),
    _same("distillation", SOFT, distilled, distilled_by_hand, "T² KL, teacher softened"),
    _same("mixup", MIXED, mixed_targets, mixed_losses, "CutMix-PyTorch#37: mixed target or mixed losses", extras=second_labels),
    _same("cumulative logits", ORDERED, cumulative, cumulative_logsigmoid, "CORAL, K − 1 outputs"),
    _same("cumulative margins", ORDERED, cumulative, cumulative_margins, "signed margins, K − 1 outputs"),
    _same("several reals", REALS, squared_mean, squared_by_rows, "mean over rows and columns"),
    _wrong("labels summed", LABELS, labels_mean, labels_summed, "mindcv#284: sum over labels", relations=("scaled",), cause=SUM),
    _wrong("label weights forgotten", LABELS, labels_weighted, labels_mean, "pos_weight forgotten", cause=r"weight"),
    _wrong("labels as a distribution", LABELS, labels_mean, labels_as_distribution, "softmax over labels that do not exclude"),
    _wrong("one label dropped", LABELS, labels_mean, one_label_dropped, "slicing off a background class",
           cause=r"leaves out output"),
    _wrong("known labels by row", LABELS, labels_by_mask, labels_mask_averaged, "per row first, then the mean",
           extras=known_labels, cause=r"row|kept|mask|sequence"),
    _wrong("divergence over entries", SOFT, soft_entropy, divergence_mean, "LD#74: kl_div's mean over rows and classes",
           relations=("scaled",), cause=SUM),
    _wrong("mean over entries", SOFT, soft_entropy, entries_mean, "continual-learning#5: .mean() without .sum(1)",
           relations=("scaled",), cause=SUM),
    _wrong("divergence reversed", SOFT, divergence, divergence_reversed, "student and teacher in each other's place"),
    _wrong("hard targets", SOFT, soft_entropy, hardened, "argmax of a soft row"),
    _wrong("temperature not made good", SOFT, distilled, distilled_unscaled, "transformers#1181: T² forgotten",
           relations=("scaled",), cause=r"factor|temperature"),
    _wrong("teacher not softened", SOFT, distilled, distilled_teacher_hard, "temperature on the student alone",
           cause=r"temperature|target"),
    _wrong("mixup by the first share", MIXED, mixed_targets, mixed_first_share, "one λ for the batch", extras=second_labels,
           cause=r"weight|share|first row|couples"),
    _wrong("thresholds off by one", ORDERED, cumulative, cumulative_off_by_one, "y ≥ k for y > k"),
    _wrong("thresholds averaged", ORDERED, cumulative, cumulative_mean, "mean over K − 1 thresholds", relations=("scaled",),
           cause=SUM),
    _wrong("thresholds conditional", ORDERED, cumulative, conditional, "CORN for CORAL"),
    _wrong("columns summed", REALS, squared_mean, squared_sum, "sum over columns", relations=("scaled",), cause=SUM),
    _wrong("square of the sum", REALS, squared_mean, square_of_sum, "summed before squared"),
    _wrong("one column halved", REALS, squared_mean, one_column_halved, "a weight left on one target", cause=r"weight"),
    _wrong("columns rolled", REALS, squared_mean, columns_rolled, "targets in another order"),
)  # fmt: skip
