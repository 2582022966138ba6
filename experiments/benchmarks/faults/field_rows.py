"""Plain rows: ignored classes, weights by class and by row, large vocabularies in chunks, losses that write in place, kinks."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faults.causes import GRADIENT
from faults.equal_classes import per_row
from faults.pair import BY_BATCH, Batch, Function, Pair, equal, fault
from faults.rows import FEATURES

WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.5], dtype=torch.float64)
LARGE, CHUNK, IGNORE = "classes(1000)", 256, -100
logistic = partial(F.binary_cross_entropy_with_logits, reduction="none")


def ignoring_two(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, ignore_index=2)


def masked_two(z: Tensor, y: Tensor) -> Tensor:
    keep = (y != 2).to(z)
    return -(torch.log_softmax(z, 1).gather(1, y[:, None]).squeeze(1) * keep).sum() / keep.sum()


def weighted_ignoring(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, weight=WEIGHTS.to(z), ignore_index=IGNORE)


def weighted_by_hand(z: Tensor, y: Tensor) -> Tensor:
    keep = y != IGNORE
    weight = WEIGHTS.to(z)[y[keep]]
    return (weight * per_row(z[keep], y[keep])).sum() / weight.sum()


def weighted_over_kept(z: Tensor, y: Tensor) -> Tensor:
    keep = y != IGNORE
    return F.cross_entropy(z, y, weight=WEIGHTS.to(z), reduction="sum") / keep.sum()


def ignored_in_denominator(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, reduction="none").mean()


def ignoring(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y)


def in_place_target(z: Tensor, y: Tensor) -> Tensor:
    """−100 is overwritten by 0 in the caller's own targets, once the mask is made."""
    keep = y != IGNORE
    y[~keep] = 0
    return (per_row(z, y) * keep).sum() / keep.sum()


def in_place_output(z: Tensor, y: Tensor) -> Tensor:
    """The largest entry is taken off the caller's own outputs."""
    z -= z.detach().amax(1, keepdim=True)
    return z.exp().sum(1).log() - z.gather(1, y[:, None]).squeeze(1)


def chunked_partition(z: Tensor, y: Tensor) -> Tensor:
    parts = torch.stack([torch.logsumexp(part, 1) for part in z.split(CHUNK, 1)], 1)
    return torch.logsumexp(parts, 1) - z.gather(1, y[:, None]).squeeze(1)


def last_chunk_dropped(z: Tensor, y: Tensor) -> Tensor:
    parts = torch.stack([torch.logsumexp(z[:, k * CHUNK : (k + 1) * CHUNK], 1) for k in range(z.shape[1] // CHUNK)], 1)
    return torch.logsumexp(parts, 1) - z.gather(1, y[:, None]).squeeze(1)


def online_partition(z: Tensor, y: Tensor, rescaled: bool = True) -> Tensor:
    """A running largest and a running sum, block by block, as fused kernels over a vocabulary do."""
    largest = torch.full_like(z[:, 0], -torch.inf)
    total = torch.zeros_like(z[:, 0])
    for part in z.split(CHUNK, 1):
        new = torch.maximum(largest, part.detach().amax(1))
        total = total * torch.exp(largest - new) if rescaled else total
        total = total + torch.exp(part - new[:, None]).sum(1)
        largest = new
    return largest + total.log() - z.gather(1, y[:, None]).squeeze(1)


def weighted_mean(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    return (weight * per_row(z, y)).sum() / weight.sum()


def weighted_einsum(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("n,n->", weight / weight.sum(), per_row(z, y))


def weights_of_mean_one(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    return (weight / weight.mean() * per_row(z, y)).mean()


def mean_of_weighted(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    return (weight * per_row(z, y)).mean()


def weights_squared(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    return (weight * weight * per_row(z, y)).sum() / (weight * weight).sum()


def weights_unread(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:  # noqa: ARG001 the fault itself
    return per_row(z, y).mean()


def weights_broadcast(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """(n, 1) times (n,): every weight meets every row."""
    return (weight[:, None] * per_row(z, y)).sum() / (weight.sum() * len(y))


def nonzero_counted(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    return (weight * per_row(z, y)).sum() / (weight != 0).sum()


def modulated(z: Tensor, y: Tensor) -> Tensor:
    value = per_row(z, y)
    return (1 - torch.exp(-value)) ** 2 * value


def modulation_detached(z: Tensor, y: Tensor) -> Tensor:
    value = per_row(z, y)
    return (1 - torch.exp(-value.detach())) ** 2 * value


def floored(z: Tensor, y: Tensor) -> Tensor:
    return per_row(z.clamp_min(-30), y)


def padded_vocabulary(z: Tensor, y: Tensor) -> Tensor:
    """Columns that fill the vocabulary up to a round size stand at −50 and are not masked."""
    return per_row(torch.cat([z, z.new_full((len(z), 3), -50.0)], 1), y)


def padded_and_masked(z: Tensor, y: Tensor) -> Tensor:
    return per_row(torch.cat([z, z.new_full((len(z), 3), -torch.inf)], 1), y)


def capped(z: Tensor, y: Tensor) -> Tensor:
    return per_row(30 * torch.tanh(z / 30), y)


def with_relu_and_abs(z: Tensor, y: Tensor) -> Tensor:
    return F.relu(z) - z * y + torch.log1p(torch.exp(-z.abs()))


def with_clamp_and_abs(z: Tensor, y: Tensor) -> Tensor:
    return z.clamp_min(0) - z * y + torch.log1p(torch.exp(-z.abs()))


def margins(z: Tensor, y: Tensor) -> Tensor:
    """Of every positive over every negative row; none where a batch has one label only."""
    return (z[y == 1][:, None] - z[y == 0]).flatten()


def ranked(z: Tensor, y: Tensor) -> Tensor:
    return F.softplus(-margins(z, y), threshold=50).mean()


def ranked_by_mask(z: Tensor, y: Tensor) -> Tensor:
    pairs = (y[:, None] > y).to(z)
    losses = torch.logaddexp(torch.zeros_like(pairs), z[None, :] - z[:, None])
    return (losses * pairs).sum() / pairs.sum()


def ranked_over_all(z: Tensor, y: Tensor) -> Tensor:
    pairs = (y[:, None] > y).to(z)
    return (torch.logaddexp(torch.zeros_like(pairs), z[None, :] - z[:, None]) * pairs).mean()


def zero_head() -> nn.Module:
    """A linear model that starts at 0, so that every first raw output is exactly 0."""
    model = nn.Linear(FEATURES, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


def weight_of_class(z: Tensor, y: Tensor, table: Tensor) -> Tensor:
    """Class weights that change from window to window: a row of `table` a row."""
    weight = table.gather(1, y[:, None]).squeeze(1)
    return (weight * per_row(z, y)).sum() / weight.sum()


def weight_by_one_hot(z: Tensor, y: Tensor, table: Tensor) -> Tensor:
    hot = F.one_hot(y, z.shape[1]) * table
    return -(hot * torch.log_softmax(z, 1)).sum() / hot.sum()


def weight_of_prediction(z: Tensor, y: Tensor, table: Tensor) -> Tensor:
    weight = table.gather(1, z.argmax(1, keepdim=True)).squeeze(1)
    return (weight * per_row(z, y)).sum() / weight.sum()


def class_tables(draws: torch.Generator, rows: int) -> Batch:
    return {"table": (0.2 + torch.rand(1, 4, generator=draws, dtype=torch.float64)).repeat(rows, 1)}


def row_weights(draws: torch.Generator, rows: int) -> Batch:
    return {"weight": 0.1 + 2 * torch.rand(rows, generator=draws, dtype=torch.float64)}


def _same(name: str, targets: str, left: Function, right: Function, note: str, **more: Any) -> Pair:
    return equal(f"rows: {name}", targets, left, right, note, family="field", **more)


def _wrong(name: str, targets: str, left: Function, right: Function, note: str, **more: Any) -> Pair:
    return fault(f"rows: {name}", targets, left, right, note, family="field", **more)


KEPT, FIVE = "classes(5, ignore=-100)", "classes(5)"
weighed = partial(_same, extras=row_weights)
misweighed = partial(_wrong, extras=row_weights, cause=r"weight")
PAIRS = (
    _same("class 2 ignored", "classes(5, ignore=2)", ignoring_two, masked_two, "ignore_index=2 against a mask"),
    _same("weights with ignored rows", KEPT, weighted_ignoring, weighted_by_hand, "Σ w l / Σ w over kept rows"),
    _same("target overwritten", KEPT, ignoring, in_place_target, "label[~mask] = 0, in place"),
    _same("output overwritten", FIVE, per_row, in_place_output, "the largest subtracted in place"),
    _same("chunked partition", LARGE, per_row, chunked_partition, "logsumexp of logsumexps over 1000 classes"),
    _same("online partition", LARGE, per_row, online_partition, "running largest and sum over 1000 classes"),
    _same("8192 classes", "classes(8192)", per_row, online_partition, "a vocabulary, block by block", once=True),
    _same("pairs of rows", "binary", ranked, ranked_by_mask, "ranking: undefined on one row, on both sides"),
    _wrong("pairs over all", "binary", ranked, ranked_over_all, "mean over n² pairs, most of them masked", relations=BY_BATCH,
           cause=r"factor|pairs|mask|rows"),
    _same("padding masked", FIVE, per_row, padded_and_masked, "padded vocabulary set to −∞"),
    _same("kink of relu and abs", "binary", logistic, with_relu_and_abs, "autograd is wrong at exactly 0, and nowhere else"),
    weighed("row weights", "classes(4)", weighted_mean, weighted_einsum, "weights divided by their sum first"),
    weighed("row weights of mean 1", "classes(4)", weighted_mean, weights_of_mean_one, "weights divided by their mean"),
    _same("class weights by name", "classes(4)", weight_of_class, weight_by_one_hot, "class weights that change",
          extras=class_tables),
    _wrong("weight of the prediction", "classes(4)", weight_of_class, weight_of_prediction, "weights looked up by argmax",
           extras=class_tables, cause=r"weight"),
    _wrong("weights over kept rows", KEPT, weighted_ignoring, weighted_over_kept, "Σ w l / n over kept rows: torch/nn#926",
           relations=BY_BATCH, cause=r"weight|factor"),
    _wrong("ignored in the denominator", KEPT, ignoring, ignored_in_denominator, "smp#852: zeros counted in the mean",
           relations=BY_BATCH, cause=r"ignored|kept|factor"),
    _wrong("online, not rescaled", LARGE, per_row, partial(online_partition, rescaled=False),
           "the running sum not rescaled when the largest changes"),
    _wrong("last chunk dropped", LARGE, per_row, last_chunk_dropped, "1000 classes are not a multiple of 256"),
    _wrong("floored at -30", FIVE, per_row, floored, "outputs clamped from below: they part once all are low", safe=(-30, math.inf),
           shows=lambda z: z - 30, cause=r"clip|clamp|floor"),
    _wrong("padding not masked", FIVE, per_row, padded_vocabulary, "padded columns at −50: seen once all outputs are low",
           safe=(-40, math.inf), shows=lambda z: z - 48),
    _wrong("soft cap, moved together", FIVE, per_row, capped, "30·tanh(z/30) with all outputs far down", shows=lambda z: z - 100,
           cause=r"cap|clip|satur"),
    _wrong("kink under a zero head", "binary", logistic, with_clamp_and_abs, "zero-initialised head: step 1 stands on the kink",
           model=zero_head, shows=torch.zeros_like),
    _wrong("modulation detached", FIVE, modulated, modulation_detached, "focal weight under no_grad", cause=GRADIENT),
    misweighed("mean of weighted", "classes(4)", weighted_mean, mean_of_weighted, "RePlay#91, keras#7394: Σ w l / n",
               relations=BY_BATCH),
    misweighed("weights squared", "classes(4)", weighted_mean, weights_squared, "weighted by the sampler and by the loss"),
    misweighed("weights unread", "classes(4)", weighted_mean, weights_unread, "the weight column is loaded and never used"),
    misweighed("weights broadcast", "classes(4)", weighted_mean, weights_broadcast, "(n, 1) × (n,): weights cancel",
               cause=r"weight|broadcast|n × n"),
    misweighed("nonzero weights counted", "classes(4)", weighted_mean, nonzero_counted, "keras#7394: over the number of w ≠ 0",
               relations=BY_BATCH),
)  # fmt: skip
