"""Binary targets: the Bernoulli negative log-likelihood in the forms that people write, all one formula on paper."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faults import reductions
from faults.pair import Function, equal, nll_of
from mlnn.objectives import Bernoulli, bce
from mlnn.objectives import bernoulli_nll_log1p as log1p


def softplus(z: Tensor, y: Tensor) -> Tensor:
    return F.softplus(z) - y * z


def softplus_far(z: Tensor, y: Tensor) -> Tensor:
    return F.softplus(z, threshold=50) - y * z


def logaddexp(z: Tensor, y: Tensor) -> Tensor:
    return torch.logaddexp(z, torch.zeros_like(z)) - y * z


def logaddexp_twice(z: Tensor, y: Tensor) -> Tensor:
    zero = torch.zeros_like(z)
    return y * torch.logaddexp(zero, -z) + (1 - y) * torch.logaddexp(zero, z)


def logsigmoid(z: Tensor, y: Tensor) -> Tensor:
    return -(y * F.logsigmoid(z) + (1 - y) * F.logsigmoid(-z))


def margin(z: Tensor, y: Tensor) -> Tensor:
    return -F.logsigmoid((2 * y - 1) * z)


def margin_log1p(z: Tensor, y: Tensor) -> Tensor:
    m = (2 * y - 1) * z
    return torch.log1p(torch.exp(-m.abs())) + torch.maximum(-m, torch.zeros_like(m))


def two_classes(z: Tensor, y: Tensor) -> Tensor:
    logs = torch.log_softmax(torch.stack([torch.zeros_like(z), z], 1), 1)
    return -(y * logs[:, 1] + (1 - y) * logs[:, 0])


def two_class_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(torch.stack([torch.zeros_like(z), z], 1), y.long(), reduction="none")


def symmetric_classes(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(torch.stack([-z / 2, z / 2], 1), y.long(), reduction="none")


def log_cosh(z: Tensor, y: Tensor) -> Tensor:
    """log(2 cosh(z/2)) + z/2 − y z."""
    return z.abs() / 2 + torch.log1p(torch.exp(-z.abs())) + z / 2 - y * z


def distribution(z: Tensor, y: Tensor) -> Tensor:
    return nll_of(torch.distributions.Bernoulli(logits=z), y)


def binomial(z: Tensor, y: Tensor) -> Tensor:
    return nll_of(torch.distributions.Binomial(1, logits=z), y)


def categorical(z: Tensor, y: Tensor) -> Tensor:
    return nll_of(torch.distributions.Categorical(logits=torch.stack([torch.zeros_like(z), z], 1)), y.long())


def soft_margin(z: Tensor, y: Tensor) -> Tensor:
    return F.soft_margin_loss(z, 2 * y - 1, reduction="none")


def vmapped(z: Tensor, y: Tensor) -> Tensor:
    found: Tensor = torch.vmap(lambda one, label: torch.logaddexp(one, torch.zeros_like(one)) - label * one)(z, y)
    return found


def by_selection(z: Tensor, y: Tensor) -> Tensor:
    both = torch.stack([torch.logaddexp(z, torch.zeros_like(z)), torch.logaddexp(-z, torch.zeros_like(z))], 1)
    return both.gather(1, y.long()[:, None]).squeeze(1)


def sum_of_logs(z: Tensor, y: Tensor) -> Tensor:
    """log(e^0 + e^z) − y z by logsumexp."""
    return torch.logsumexp(torch.stack([torch.zeros_like(z), z]), 0) - y * z


class _OwnBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z: Tensor, y: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(z, y)
        return log1p(z, y)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        z, y = ctx.saved_tensors
        return upstream * (torch.sigmoid(z) - y), None


def own_backward(z: Tensor, y: Tensor) -> Tensor:
    apply: Function = _OwnBackward.apply
    return apply(z, y)


def probabilities_log1p(p: Tensor, y: Tensor) -> Tensor:
    return -(y * torch.log(p) + (1 - y) * torch.log1p(-p))


def probabilities_xlogy(p: Tensor, y: Tensor) -> Tensor:
    return -(torch.xlogy(y, p) + torch.xlogy(1 - y, 1 - p))


def probability_of_label(p: Tensor, y: Tensor) -> Tensor:
    return -torch.log(torch.where(y == 1, p, 1 - p))


FORMS = (
    ("likelihood", Bernoulli().nll, "log σ(z) and log σ(−z), each by its own stable form"),
    ("softplus, threshold 50", softplus_far, "softplus(z) − y z, the threshold out of reach of rounding"),
    ("logaddexp", logaddexp, "scientific code: log(e^z + e^0) − y z"),
    ("logaddexp twice", logaddexp_twice, "one logaddexp per label"),
    ("log cosh", log_cosh, "physics: log(2 cosh(z/2)) + z/2 − y z"),
    ("two-class log-softmax", two_classes, "a softmax head over (0, z)"),
    ("two-class cross-entropy", two_class_entropy, "binary head ported to a two-class head"),
    ("symmetric two-class", symmetric_classes, "a two-class head with outputs ±z/2"),
    ("margin", margin_log1p, "labels ±1: log(1 + e^(−m))"),
    ("logsumexp", sum_of_logs, "the partition function over two states"),
    ("categorical distribution", categorical, "torch.distributions.Categorical over (0, z)"),
    ("vmap", vmapped, "one row at a time, vectorised by torch.vmap"),
    ("selection", by_selection, "both labels' losses, then the label's own gathered"),
    ("own backward", own_backward, "a fused kernel: custom autograd function with gradient σ(z) − y"),
)
FRAMEWORK = (
    ("BCEWithLogitsLoss", nn.BCEWithLogitsLoss(), "the framework's fused loss"),
    ("logsigmoid", logsigmoid, "F.logsigmoid of z and −z"),
    ("margin logsigmoid", margin, "ranking losses: −logsigmoid((2y−1) z)"),
    ("Bernoulli distribution", distribution, "torch.distributions.Bernoulli(logits=z)"),
    ("binomial distribution", binomial, "torch.distributions.Binomial(1, logits=z)"),
)
INACCURATE = (
    ("BCELoss", bce, "sigmoid, then the framework's loss on probabilities: gradient lost beyond −28 and 17"),
    ("soft margin", soft_margin, "F.soft_margin_loss with labels ±1: overflows beyond 88"),
)
ON_PROBABILITIES = (
    ("probabilities, log1p", probabilities_log1p, "log(1−p) by log1p(−p)"),
    ("probabilities, xlogy", probabilities_xlogy, "0·log 0 taken care of by xlogy"),
    ("probability of the label", probability_of_label, "textbook: −log P(label)"),
)
MEANS = (
    (reductions.mean, "rows reduced by the objective itself"),
    (reductions.reversed_rows, "rows in another order"),
    (reductions.sum_over_length, "sum() / len()"),
    (reductions.chunked_sums, "large batches summed by chunks, divided once"),
    (reductions.double_sum, "rows added up in float64 and cast back"),
)
PAIRS = (
    *(equal(f"binary: {name}", "binary", log1p, form, note) for name, form, note in (*FORMS, *FRAMEWORK)),
    *(equal(f"binary: {name}", "binary", log1p, form, note, partial=True) for name, form, note in INACCURATE),
    *(
        equal(f"binary: {name}", "binary", log1p, form, note, partial=True, outputs=("raw", "probabilities"))
        for name, form, note in ON_PROBABILITIES
    ),
    *(
        equal(f"binary: {how.__name__}", "binary", logaddexp, partial(how, logaddexp), note) for how, note in MEANS
    ),
    equal("binary: softplus in float32", "binary", log1p, softplus, "F.softplus is z above 20: 2e-9 off, below float32",
          relations=("equal", "indistinguishable"), dtypes=("float32",)),
    equal("binary: plus 1e-3", "binary", log1p, partial(reductions.plus, log1p, constant=1e-3),
          "a constant in the reported loss", relations=("shifted",)),
    equal("binary: accumulate 4", "binary", log1p, log1p, "four micro-batches, each weighted by its rows", accumulate=4),
    equal("binary: accumulate 3", "binary", log1p, log1p, "three micro-batches of unequal sizes", accumulate=3),
    equal("binary: foreach", "binary", log1p, log1p, "the optimiser's multi-tensor implementation",
          right_optimizer=lambda settings: settings | {"foreach": True}),
    equal("binary: compiled", "binary", log1p, log1p, "right's model through torch.compile", compile=True, once=True),
)  # fmt: skip
