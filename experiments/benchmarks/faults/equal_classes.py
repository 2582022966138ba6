"""Class targets: the categorical negative log-likelihood with a softmax link, rewritten."""

from functools import partial, reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faults import reductions
from faults.pair import equal, nll_of

per_row = partial(F.cross_entropy, reduction="none")


def lse_minus_gather(z: Tensor, y: Tensor) -> Tensor:
    return torch.logsumexp(z, 1) - z.gather(1, y[:, None]).squeeze(1)


def lse_of_margins(z: Tensor, y: Tensor) -> Tensor:
    return torch.logsumexp(z - z.gather(1, y[:, None]), 1)


def indexed(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log_softmax(z, 1)[torch.arange(len(y)), y]


def nll_of_log_softmax(z: Tensor, y: Tensor) -> Tensor:
    return F.nll_loss(F.log_softmax(z, 1), y, reduction="none")


def one_hot_einsum(z: Tensor, y: Tensor) -> Tensor:
    return -torch.einsum("nk,nk->n", F.one_hot(y, z.shape[1]).to(z), torch.log_softmax(z, 1))


def one_hot_sum(z: Tensor, y: Tensor) -> Tensor:
    return torch.logsumexp(z, 1) - (F.one_hot(y, z.shape[1]).to(z) * z).sum(1)


def soft_targets(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, F.one_hot(y, z.shape[1]).to(z), reduction="none")


def largest_off_detached(z: Tensor, y: Tensor) -> Tensor:
    z = z - z.detach().amax(1, keepdim=True)
    return z.exp().sum(1).log() - z.gather(1, y[:, None]).squeeze(1)


def largest_off(z: Tensor, y: Tensor) -> Tensor:
    z = z - z.amax(1, keepdim=True)
    return z.exp().sum(1).log() - z.gather(1, y[:, None]).squeeze(1)


def first_off(z: Tensor, y: Tensor) -> Tensor:
    return per_row(z - z[:, :1], y)


def chain(z: Tensor, y: Tensor) -> Tensor:
    return reduce(torch.logaddexp, z.unbind(1)) - z.gather(1, y[:, None]).squeeze(1)


def cumulative(z: Tensor, y: Tensor) -> Tensor:
    return torch.logcumsumexp(z, 1)[:, -1] - z.gather(1, y[:, None]).squeeze(1)


def divergence(z: Tensor, y: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(z, 1), F.one_hot(y, z.shape[1]).to(z), reduction="none").sum(1)


def categorical(z: Tensor, y: Tensor) -> Tensor:
    return nll_of(torch.distributions.Categorical(logits=z), y)


def one_hot_categorical(z: Tensor, y: Tensor) -> Tensor:
    return nll_of(torch.distributions.OneHotCategorical(logits=z), F.one_hot(y, z.shape[1]).to(z))


def multinomial(z: Tensor, y: Tensor) -> Tensor:
    return nll_of(torch.distributions.Multinomial(1, logits=z), F.one_hot(y, z.shape[1]).to(z))


def log_of_softmax(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log(torch.softmax(z, 1).gather(1, y[:, None]).squeeze(1))


def two_sigmas(z: Tensor, y: Tensor) -> Tensor:
    """−log σ(z_y − logsumexp of the others)."""
    others = z.masked_fill(F.one_hot(y, z.shape[1]).bool(), -torch.inf)
    gap = torch.logsumexp(others, 1) - z.gather(1, y[:, None]).squeeze(1)
    return torch.logaddexp(gap, torch.zeros_like(gap))


FORMS = (
    ("logsumexp − gather", lse_minus_gather, "the usual hand-written form"),
    ("logsumexp of margins", lse_of_margins, "log Σ exp(z_k − z_y)"),
    ("indexing", indexed, "log_softmax[arange, y]"),
    ("nll_loss", nll_of_log_softmax, "the framework's two halves"),
    ("one-hot einsum", one_hot_einsum, "ports from other frameworks"),
    ("one-hot sum", one_hot_sum, "logsumexp − Σ onehot · z"),
    ("soft targets", soft_targets, "cross_entropy with one-hot probabilities"),
    ("largest taken off, detached", largest_off_detached, "stable softmax by hand"),
    ("largest taken off", largest_off, "the same with the gradient through the largest, which cancels"),
    ("first taken off", first_off, "outputs relative to a reference class"),
    ("logaddexp chain", chain, "classes added one by one"),
    ("logcumsumexp", cumulative, "last entry of the cumulative logsumexp"),
    ("KL divergence", divergence, "KL from a one-hot target, whose entropy is 0"),
    ("categorical distribution", categorical, "torch.distributions.Categorical"),
    ("one-hot distribution", one_hot_categorical, "torch.distributions.OneHotCategorical"),
    ("multinomial distribution", multinomial, "torch.distributions.Multinomial of one draw"),
    ("one against the rest", two_sigmas, "−log σ(z_y − logsumexp of the others)"),
)
MEANS = (
    (reductions.reversed_rows, "rows in another order"),
    (reductions.einsum_mean, "rows times 1/n"),
    (reductions.running_mean, "a meter's running mean, row by row"),
)
EVEN = torch.full((4,), 2.0, dtype=torch.float64)


def even_weights(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, weight=EVEN.to(z))


PAIRS = (
    *(equal(f"classes: {name}", "classes(3)", per_row, form, note) for name, form, note in FORMS),
    *(
        equal(f"classes: {how.__name__}", "classes(4)", per_row, partial(how, lse_minus_gather), note)
        for how, note in MEANS
    ),
    equal("classes: module", "classes(4)", lse_minus_gather, nn.CrossEntropyLoss(), "the framework's module"),
    equal("classes: smoothing 0", "classes(4)", lse_minus_gather, nn.CrossEntropyLoss(label_smoothing=0.0), "the default, said"),
    equal("classes: even weights", "classes(4)", per_row, even_weights, "weights of 2 cancel in the weighted mean"),
    equal("classes: ignore nothing", "classes(4)", per_row, partial(F.cross_entropy, ignore_index=-100),
          "an ignored label that never occurs"),
    equal("classes: log of softmax", "classes(4)", per_row, log_of_softmax, "underflows far out", partial=True),
    equal("classes: accumulate 4", "classes(4)", per_row, per_row, "four micro-batches, weighted by rows", accumulate=4),
)  # fmt: skip
