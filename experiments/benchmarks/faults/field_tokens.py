"""Token sequences: cross-entropy over the kept positions of unequally long rows, and what becomes of it in training code.

Outputs (n, t, K), targets (n, t) with −100 where nothing is to be predicted; `axis=1`: outputs (n, K, t).
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from faults.pair import BY_BATCH, Batch, Function, Pair, equal, fault

IGNORE, CLASSES, LENGTH, EPSILON, CHUNK = -100, 5, 6, 0.1, 7


def flattened(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.reshape(-1, z.shape[-1]), y.reshape(-1), ignore_index=IGNORE)


def per_token(z: Tensor, y: Tensor) -> Tensor:
    """(n, t), 0 where the target is ignored."""
    return F.cross_entropy(z.transpose(1, 2), y, ignore_index=IGNORE, reduction="none")


def kept(y: Tensor, z: Tensor) -> Tensor:
    return (y != IGNORE).to(z)


# Right: the mean over kept positions, written differently.


def transposed(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.transpose(1, 2), y)


def masked(z: Tensor, y: Tensor) -> Tensor:
    logs = torch.log_softmax(z, -1).gather(-1, y.clamp_min(0)[..., None]).squeeze(-1)
    return -(logs * kept(y, z)).sum() / kept(y, z).sum()


def selected(z: Tensor, y: Tensor) -> Tensor:
    keep = y != IGNORE
    return F.cross_entropy(z[keep], y[keep])


def summed_over_count(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="sum") / (y != IGNORE).sum()


def upcast(z: Tensor, y: Tensor) -> Tensor:
    z = z.float()
    return F.cross_entropy(z.view(-1, z.size(-1)), y.view(-1), ignore_index=IGNORE)


def chunked_sums(z: Tensor, y: Tensor) -> Tensor:
    parts = zip(z.flatten(0, 1).split(CHUNK), y.flatten().split(CHUNK), strict=True)
    return torch.stack([F.cross_entropy(o, t, reduction="sum") for o, t in parts]).sum() / (y != IGNORE).sum()


def by_sequence(z: Tensor, y: Tensor) -> Tensor:
    total, count = z.new_zeros(()), 0
    for one, labels in zip(z, y, strict=True):
        keep = labels != IGNORE
        total = total + F.cross_entropy(one[keep], labels[keep], reduction="sum")
        count += int(keep.sum())
    return total / count


def shifted(z: Tensor, y: Tensor) -> Tensor:
    """Position i answers for target i + 1."""
    return flattened(z[:, :-1], y[:, 1:])


def shifted_by_padding(z: Tensor, y: Tensor) -> Tensor:
    return flattened(z, F.pad(y, (0, 1), value=IGNORE)[:, 1:])


def smoothed(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.flatten(0, 1), y.flatten(), label_smoothing=EPSILON)


def smoothed_by_hand(z: Tensor, y: Tensor) -> Tensor:
    logs = torch.log_softmax(z, -1)
    picked = logs.gather(-1, y.clamp_min(0)[..., None]).squeeze(-1)
    value = -(1 - EPSILON) * picked - EPSILON * logs.mean(-1)
    return value.masked_fill(y == IGNORE, 0.0).sum() / (y != IGNORE).sum()


def classes_first(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y)


def classes_first_by_hand(z: Tensor, y: Tensor) -> Tensor:
    return masked(z.movedim(1, -1), y)


def given_count(z: Tensor, y: Tensor, count: Tensor) -> Tensor:
    """The sum over a count that the loop knows, as `num_items_in_batch`."""
    return F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="sum") / count[0]


def given_count_by_hand(z: Tensor, y: Tensor, count: Tensor) -> Tensor:
    return (per_token(z, y) / count[:, None]).sum()


def mask_by_name(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    losses = F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="none").view_as(y)
    return (losses * mask).sum() / mask.sum()


def mask_into_target(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return flattened(z, y.masked_fill(mask == 0, IGNORE))


# Wrong.


def mean_over_all(z: Tensor, y: Tensor) -> Tensor:
    return per_token(z, y).mean()


def mean_of_sequence_means(z: Tensor, y: Tensor) -> Tensor:
    return (per_token(z, y).sum(1) / kept(y, z).sum(1)).mean()


def smoothing_counts_ignored(z: Tensor, y: Tensor) -> Tensor:
    logs = torch.log_softmax(z, -1)
    picked = -logs.gather(-1, y.clamp_min(0)[..., None]).squeeze(-1)
    hard = (picked * kept(y, z)).sum() / kept(y, z).sum()
    return (1 - EPSILON) * hard - EPSILON * logs.mean()


def smoothing_over_all(z: Tensor, y: Tensor) -> Tensor:
    value = F.cross_entropy(z.flatten(0, 1), y.flatten(), label_smoothing=EPSILON, reduction="sum")
    return value / y.numel()


def shifted_twice(z: Tensor, y: Tensor) -> Tensor:
    return flattened(z[:, :-2], y[:, 2:])


def end_dropped(z: Tensor, y: Tensor) -> Tensor:
    return flattened(z[:, :4], y[:, :4])


def chunk_means(z: Tensor, y: Tensor) -> Tensor:
    parts = zip(z.flatten(0, 1).split(CHUNK), y.flatten().split(CHUNK), strict=True)
    return torch.stack([F.cross_entropy(o, t) for o, t in parts if bool((t != IGNORE).any())]).mean()


def chunk_means_added(z: Tensor, y: Tensor) -> Tensor:
    parts = zip(z.flatten(0, 1).split(CHUNK), y.flatten().split(CHUNK), strict=True)
    return torch.stack([F.cross_entropy(o, t) for o, t in parts if bool((t != IGNORE).any())]).sum()


def remainder_dropped(z: Tensor, y: Tensor) -> Tensor:
    outputs, targets = z.flatten(0, 1), y.flatten()
    whole = len(targets) // CHUNK * CHUNK or len(targets)
    return F.cross_entropy(outputs[:whole], targets[:whole])


def padding_ignored(z: Tensor, y: Tensor) -> Tensor:
    return flattened(z, y.masked_fill(y == 0, IGNORE))


def padding_counted(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.flatten(0, 1), y.clamp_min(0).flatten())


def wrong_axis(z: Tensor, y: Tensor) -> Tensor:
    logs = torch.log_softmax(z, -1).movedim(1, -1)
    return F.nll_loss(logs.flatten(0, 1), y.flatten())


def own_count(z: Tensor, y: Tensor, count: Tensor) -> Tensor:  # noqa: ARG001 the fault itself
    return flattened(z, y)


def mask_counted_in_full(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return (F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="none").view_as(y) * mask).mean()


def summed(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.flatten(0, 1), y.flatten(), reduction="sum")


def squared_lengths(z: Tensor, y: Tensor) -> Tensor:
    """Each sequence's mean, times its length once more."""
    return (per_token(z, y).sum(1) * kept(y, z).sum(1)).sum() / (kept(y, z).sum(1) ** 2).sum()


def window_count(draws: torch.Generator, rows: int) -> Batch:  # noqa: ARG001 the same in every window
    return {"count": torch.full((rows,), 48.0, dtype=torch.float64)}


def unequal_mask(draws: torch.Generator, rows: int) -> Batch:
    length = torch.randint(1, LENGTH + 1, (rows, 1), generator=draws)
    return {"mask": (torch.arange(LENGTH) < length).double()}


def _same(name: str, left: Function, right: Function, note: str, **more: Any) -> Pair:
    return equal(f"tokens: {name}", more.pop("targets", TARGETS), left, right, note, **SHARED | more)


def _wrong(name: str, left: Function, right: Function, note: str, **more: Any) -> Pair:
    return fault(f"tokens: {name}", more.pop("targets", TARGETS), left, right, note, **SHARED | more)


SHARED: dict[str, Any] = {"family": "field", "shape": (LENGTH,)}
TARGETS, FIRST, PLAIN = (
    f"classes({CLASSES}, ignore=-100)",
    f"classes({CLASSES}, ignore=-100, axis=1)",
    f"classes({CLASSES})",
)
KEPT = r"ignored|kept|padding"
PAIRS = (
    _same("classes moved to axis 1", flattened, transposed, "transpose(1, 2) for a flattened view"),
    _same("masked", flattened, masked, "log-softmax, gather, mask, count"),
    _same("selected", flattened, selected, "kept positions picked by a boolean mask"),
    _same("sum over count", flattened, summed_over_count, "torchtitan#2206: reduction='sum' over the valid tokens"),
    _same("upcast", flattened, upcast, "transformers: logits.float(), then view", inside=("float64", "float32")),
    _same("chunked sums", flattened, chunked_sums, "torchtune#1390: sums by chunks, divided once"),
    _same("sequence by sequence", flattened, by_sequence, "a loop over sequences, one count for all"),
    _same("shift", shifted, shifted_by_padding, "torchtune#1390: labels padded with −100, logits not sliced"),
    _same("smoothing", smoothed, smoothed_by_hand, "smoothing over kept positions"),
    _same("axis 1", classes_first, classes_first_by_hand, "segmentation heads: (n, K, t)", targets=FIRST),
    _same("given count", given_count, given_count_by_hand, "num_items_in_batch", extras=window_count),
    _same("mask by name", mask_by_name, mask_into_target, "a completion mask for −100", targets=PLAIN, extras=unequal_mask),
    _wrong("mean over all positions", flattened, mean_over_all, "litgpt#751, Paddle#23708: ignored ones in the denominator",
           relations=BY_BATCH, cause=KEPT),
    _wrong("mean of sequence means", flattened, mean_of_sequence_means, "verl#593: per sequence first", cause=r"sequence"),
    _wrong("smoothing counts ignored", smoothed, smoothing_counts_ignored, "utils.pytorch#4, bert-summarizer#41", size=5e-2,
           cause=KEPT),
    _wrong("smoothing over all positions", smoothed, smoothing_over_all, "transformers#5919: divided by the number of rows",
           relations=BY_BATCH, cause=KEPT),
    _wrong("shifted twice", shifted, shifted_twice, "labels shifted by the collator and again by the loss"),
    _wrong("end dropped", flattened, end_dropped, "positions beyond the block size left out"),
    _wrong("mean of chunk means", flattened, chunk_means, "chunks of unequal kept counts", cause=r"chunk|micro-batch"),
    _wrong("chunk means added", flattened, chunk_means_added, "Automodel#3803: means of chunks summed",
           cause=r"chunk|micro-batch|sum"),
    _wrong("remainder dropped", flattened, remainder_dropped, "the last, shorter chunk never reached"),
    _wrong("class 0 ignored", flattened, padding_ignored, "transformers#23530: end of text is the padding id",
           cause=r"ignored|class 0|target"),
    _wrong("padding counted", flattened, padding_counted, "−100 clamped to class 0, mask forgotten", cause=KEPT),
    _wrong("softmax over positions", classes_first, wrong_axis, "softmax over the last axis of (n, K, t)", targets=FIRST),
    _wrong("own count", given_count, own_count, "unsloth-zoo#1023: each micro-batch by its own count", extras=window_count,
           relations=BY_BATCH, cause=r"count|kept|factor"),
    _wrong("mask counted in full", mask_by_name, mask_counted_in_full, "mean over a masked loss", targets=PLAIN,
           extras=unequal_mask, relations=BY_BATCH, cause=r"mask|kept|factor"),
    _wrong("sum for mean", flattened, summed, "reduction='sum' in a port", relations=BY_BATCH, cause=r"sum|factor"),
    _wrong("lengths squared", flattened, squared_lengths, "trl#6654: weighted by length once too often", cause=r"sequence|length"),
    _wrong("smoothing 1e-4", classes_first, partial(F.cross_entropy, label_smoothing=1e-4),
           "an axis-1 port with smoothing left on", size=1e-4, targets=FIRST, cause=r"smooth"),
)  # fmt: skip
