"""Several positions a row where the target is no class: labels, reals and a teacher's rows at every position, and a kernel."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from faults.causes import GRADIENT
from faults.field_kernels import kernel, plain
from faults.pair import BY_BATCH, Batch, Function, Pair, equal, fault

LENGTH, IGNORE = 4, -100


def entries_mean(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y)


def entries_by_hand(z: Tensor, y: Tensor) -> Tensor:
    """Sum over labels, mean over positions, then rows."""
    return (torch.logaddexp(z, torch.zeros_like(z)) - z * y).sum(-1).mean(-1).mean() / z.shape[-1]


def labels_masked(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return (F.binary_cross_entropy_with_logits(z, y, reduction="none") * mask).sum() / mask.sum()


def labels_selected(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z[mask > 0], y[mask > 0])


def labels_mask_on_output(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """Masked outputs are set to 0, and still count log 2 each."""
    return F.binary_cross_entropy_with_logits(z * mask, y * mask)


def residuals_masked(f: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return ((f - y).square() * mask).sum() / mask.sum()


def residuals_weighted(f: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return torch.einsum("nt,nt->", (f - y).square(), mask / mask.sum())


def residuals_by_row(f: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return (((f - y).square() * mask).sum(1) / mask.sum(1)).mean()


def residuals_over_all(f: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return F.mse_loss(f * mask, y * mask)


def teacher_by_position(z: Tensor, y: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(z, -1).flatten(0, 1), y.flatten(0, 1), reduction="batchmean")


def teacher_by_hand(z: Tensor, y: Tensor) -> Tensor:
    return (y * (y.log() - torch.log_softmax(z, -1))).sum(-1).mean()


def teacher_by_row(z: Tensor, y: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(z, -1), y, reduction="batchmean")


def kept_rows(z: Tensor, y: Tensor, rows: Function) -> Tensor:
    """A loss per row over the kept positions, laid flat."""
    keep = y != IGNORE
    return rows(z[keep], y[keep]).mean()


def last_position(draws: torch.Generator, rows: int) -> Batch:
    """Sequences of unequal length."""
    length = torch.randint(1, LENGTH + 1, (rows, 1), generator=draws)
    return {"mask": (torch.arange(LENGTH) < length).double()}


def _same(name: str, targets: str, left: Function, right: Function, note: str, **more: Any) -> Pair:
    return equal(f"positions: {name}", targets, left, right, note, family="field", shape=(LENGTH,), **more)


def _wrong(name: str, targets: str, left: Function, right: Function, note: str, **more: Any) -> Pair:
    return fault(f"positions: {name}", targets, left, right, note, family="field", shape=(LENGTH,), **more)


UPCAST: dict[str, Any] = {"inside": ("float64", "float32")}
TOKENS = "classes(7, ignore=-100)"
PAIRS = (
    _same("labels at every position", "multilabel(3)", entries_mean, entries_by_hand, "several labels a token"),
    _same("binary, masked", "binary", labels_masked, labels_selected, "a reward a token, padding masked", extras=last_position),
    _same("real, masked", "real", residuals_masked, residuals_weighted, "forecasts of unequal length", extras=last_position),
    _same("teacher", "simplex(5)", teacher_by_position, teacher_by_hand, "distillation, a mean over tokens"),
    _same("kernel over kept positions", TOKENS, partial(kept_rows, rows=plain), partial(kept_rows, rows=kernel),
          "an upcasting kernel on a flattened view", **UPCAST),
    _wrong("binary, output masked", "binary", labels_masked, labels_mask_on_output, "z · mask for loss · mask",
           extras=last_position, cause=r"mask|kept"),
    _wrong("real, mean of rows", "real", residuals_masked, residuals_by_row, "per sequence first", extras=last_position,
           cause=r"sequence|row"),
    _wrong("real, mean over all", "real", residuals_masked, residuals_over_all, "masked residuals in the mean",
           extras=last_position, relations=BY_BATCH, cause=r"mask|kept|factor"),
    _wrong("teacher by row", "simplex(5)", teacher_by_position, teacher_by_row,
           "sparseml#592: batchmean divides by rows, not tokens", relations=("scaled",), cause=r"factor|sum|mean"),
    _wrong("kernel, small probabilities dropped", TOKENS, partial(kept_rows, rows=plain),
           partial(kept_rows, rows=partial(kernel, wrong="small ones dropped")), "below 1e-3, on tokens", size=1e-3,
           cause=rf"1e-3|0\.001|small|{GRADIENT}", **UPCAST),
)  # fmt: skip
