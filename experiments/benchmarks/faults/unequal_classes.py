"""Class targets: losses that are nearly, but not, the categorical negative log-likelihood."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from faults import reductions
from faults.equal_classes import lse_minus_gather, per_row
from faults.pair import BY_BATCH, FAINT, Function, Pair, fault

WEIGHTS = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)


def wrong_axis(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log_softmax(z, 0).gather(1, y[:, None]).squeeze(1).mean()


def double_softmax(z: Tensor, y: Tensor) -> Tensor:
    return per_row(torch.softmax(z, 1), y)


def no_logarithm(z: Tensor, y: Tensor) -> Tensor:
    return F.nll_loss(torch.softmax(z, 1), y, reduction="none")


def next_class(z: Tensor, y: Tensor) -> Tensor:
    return per_row(z, (y + 1) % z.shape[1])


def margin(z: Tensor, y: Tensor, size: float) -> Tensor:
    return per_row(z - size * F.one_hot(y, z.shape[1]).to(z), y)


def class_means(z: Tensor, y: Tensor) -> Tensor:
    values = per_row(z, y)
    return torch.stack([values[y == k].mean() for k in y.unique()]).mean()


def weighted(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, weight=WEIGHTS.to(z))


def weighted_over_rows(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, weight=WEIGHTS.to(z), reduction="sum") / len(y)


def ignoring(z: Tensor, y: Tensor) -> Tensor:
    return (per_row(z, y) * (y != 0)).sum() / (y != 0).sum().clamp_min(1)


def ignored_in_denominator(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, ignore_index=0, reduction="sum") / len(y)


def divergence_mean(z: Tensor, y: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(z, 1), F.one_hot(y, z.shape[1]).to(z), reduction="none").mean()


def one_against_all(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, F.one_hot(y, z.shape[1]).to(z), reduction="none").sum(1)


def sign_flipped(z: Tensor, y: Tensor) -> Tensor:
    return per_row(torch.cat([-z[:, :1], z[:, 1:]], 1), y)


def partition_penalty(z: Tensor, y: Tensor) -> Tensor:
    return per_row(z, y) + 1e-4 * torch.logsumexp(z, 1) ** 2


def capped(z: Tensor, y: Tensor) -> Tensor:
    return per_row(30 * torch.tanh(z / 30), y)


def class_left_out(z: Tensor, y: Tensor) -> Tensor:
    return torch.logsumexp(z[:, :-1], 1) - z.gather(1, y[:, None]).squeeze(1)


def partition_detached(z: Tensor, y: Tensor) -> Tensor:
    return torch.logsumexp(z, 1).detach() - z.gather(1, y[:, None]).squeeze(1)


def focal(z: Tensor, y: Tensor) -> Tensor:
    value = per_row(z, y)
    return (1 - torch.exp(-value)) ** 0.1 * value


def temperature(z: Tensor, y: Tensor) -> Tensor:
    return per_row(z / 1.001, y)


def clipped(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log(torch.softmax(z, 1).clamp(1e-7, 1 - 1e-7)).gather(1, y[:, None]).squeeze(1)


def with_epsilon(z: Tensor, y: Tensor, size: float) -> Tensor:
    return -torch.log(torch.softmax(z, 1) + size).gather(1, y[:, None]).squeeze(1)


def _made(how: Any, **settings: float) -> Function:
    return partial(how, lse_minus_gather, **settings)


def _classes(name: str, right: Any, note: str, **more: Any) -> Pair:
    return fault(f"classes: {name}", "classes(3)", per_row, right, note, **more)


PAIRS = (
    _classes("softmax over rows", wrong_axis, "dim=0, the default for 1-d input"),
    _classes("double softmax", double_softmax, "model ends in a softmax, loss takes logits"),
    _classes("no logarithm", no_logarithm, "nll_loss fed probabilities"),
    _classes("next class", next_class, "labels from 1 to K"),
    _classes("margin 0.1", partial(margin, size=0.1), "face recognition's additive margin", size=0.1),
    _classes("margin 1e-5", partial(margin, size=1e-5), "the same, switched off badly", size=1e-5, relations=FAINT),
    _classes("mean over classes", class_means, "macro average for micro average"),
    _classes("weights forgotten", weighted, "left without class weights"),
    fault("classes: weights over rows", "classes(3)", weighted, weighted_over_rows, "Σ w l / n against Σ w l / Σ w"),
    fault("classes: ignored in the denominator", "classes(3)", ignoring, ignored_in_denominator, "padding tokens counted"),
    fault("classes: ignored label counted", "classes(3)", ignoring, per_row, "ignore_index forgotten"),
    _classes("mean over entries", divergence_mean, "kl_div's reduction='mean' divides by rows × classes",
             relations=("scaled",)),
    _classes("one against all", one_against_all, "binary cross-entropy per class"),
    _classes("sign flipped for one class", sign_flipped, "reference class with the other sign"),
    _classes("partition penalty 1e-4", partition_penalty, "z-loss left on", size=1e-4),
    _classes("soft-capped outputs", capped, "30·tanh(z/30)"),
    _classes("last class left out", class_left_out, "sampled softmax, vocabulary padding"),
    _classes("partition detached", partition_detached, "partition function taken for a constant"),
    _classes("focal γ=0.1", focal, "focal loss with a small γ", size=0.1),
    _classes("temperature 1.001", temperature, "calibration left in", size=1e-3),
    _classes("clip 1e-7", clipped, "probabilities clipped, as some frameworks do", safe=(-8.1, 8.1)),
    *(_classes(f"epsilon in log {s:g}", partial(with_epsilon, size=s), "log(p + ε)", size=s, relations=FAINT)
      for s in (1e-4, 1e-10)),
    *(_classes(f"label smoothing {s:g}", partial(F.cross_entropy, label_smoothing=s), "a regulariser left on", size=s,
               relations=FAINT) for s in (1e-3, 1e-5)),
    _classes("mean of micro-batch means", _made(reductions.mean_of_means), "accumulation divided by the number of chunks"),
    _classes("last odd row dropped", _made(reductions.odd_row_dropped), "rows packed in pairs"),
    _classes("sum for mean", _made(reductions.summed), "reduction='sum' in a port", relations=BY_BATCH),
    _classes("bits for nats", _made(reductions.times, factor=1 / math.log(2)), "log2", relations=("scaled",)),
)  # fmt: skip
