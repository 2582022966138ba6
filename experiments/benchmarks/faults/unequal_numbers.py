"""Real and count targets: wrong regressions, and wrong optimisers."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from faults import reductions
from faults.equal_numbers import (
    absolute,
    half_squared,
    huber,
    huber_where,
    negative_binomial,
    poisson,
    poisson_hand,
    product,
    squared,
)
from faults.pair import BY_BATCH, FAINT, LOWERED, Pair, Settings, fault


def broadcast(f: Tensor, y: Tensor) -> Tensor:
    return ((f[:, None] - y) ** 2).mean()


def one_sided(f: Tensor, y: Tensor) -> Tensor:
    return (f - y).clamp_min(0) ** 2


def profiled(f: Tensor, y: Tensor) -> Tensor:
    return 0.5 * torch.log(((f - y) ** 2).mean())


def profiled_detached(f: Tensor, y: Tensor) -> Tensor:
    mean = ((f - y) ** 2).mean()
    return 0.5 * mean / mean.detach()


def root_of_square(f: Tensor, y: Tensor) -> Tensor:
    return torch.sqrt((f - y) ** 2)


def root_of_mean(f: Tensor, y: Tensor) -> Tensor:
    return torch.sqrt(((f - y) ** 2).mean())


def smoothed(f: Tensor, y: Tensor, size: float) -> Tensor:
    return torch.sqrt((f - y) ** 2 + size**2)


def whole_targets(f: Tensor, y: Tensor) -> Tensor:
    return (f - y.trunc()) ** 2


def residual_clamped(f: Tensor, y: Tensor) -> Tensor:
    return (f - y).clamp(-3, 3) ** 2


def target_through_half(f: Tensor, y: Tensor) -> Tensor:
    return (f - y.half().to(y)) ** 2


def unbiased(f: Tensor, y: Tensor) -> Tensor:
    return ((f - y) ** 2).sum() / max(len(y) - 1, 1)


def residual_detached(f: Tensor, y: Tensor) -> Tensor:
    return (f - y) * (f - y).detach()


def poisson_identity(f: Tensor, y: Tensor) -> Tensor:
    return F.poisson_nll_loss(f, y, log_input=False, reduction="none")


def poisson_softplus(f: Tensor, y: Tensor) -> Tensor:
    mean = F.softplus(f)
    return mean - y * torch.log(mean)


def poisson_capped(f: Tensor, y: Tensor, bound: float) -> Tensor:
    return torch.exp(f.clamp(max=bound)) - y * f


def poisson_target_off(f: Tensor, y: Tensor) -> Tensor:
    return torch.exp(f) - (y + 1e-4) * f


def poisson_log_epsilon(f: Tensor, y: Tensor) -> Tensor:
    return torch.exp(f) - y * torch.log(torch.exp(f) + 1e-6)


def exposure_forgotten(f: Tensor, y: Tensor) -> Tensor:
    return torch.exp(f + 0.1) - y * f


def binomial_other(f: Tensor, y: Tensor, theta: float) -> Tensor:
    return (y + theta) * torch.logaddexp(f, torch.full_like(f, math.log(theta))) - y * f


def squared_counts(f: Tensor, y: Tensor) -> Tensor:
    return (torch.exp(f) - y) ** 2


def _real(name: str, left: Any, right: Any, note: str, **more: Any) -> Pair:
    return fault(f"real: {name}", "real", left, right, note, **more)


def _counts(name: str, right: Any, note: str, left: Any = poisson, **more: Any) -> Pair:
    return fault(f"counts: {name}", "counts", left, right, note, **more)


def _optimizer(name: str, note: str, left: Settings | None = None, right: Settings | None = None, **more: Any) -> Pair:
    """An optimiser fault: settings laid over either side's."""
    overlays = {
        "left_optimizer": None if left is None else (lambda settings: settings | left),
        "right_optimizer": None if right is None else (lambda settings: settings | right),
    }
    return fault(f"optimizer: {name}", "real", squared, squared, note, **overlays | more)


REAL = (
    _real("broadcast (n, 1) × (n,)", squared, broadcast, "head without squeeze, the classic"),
    _real("½ forgotten", squared, half_squared, "MSE against ½ MSE", relations=("scaled",)),
    _real("absolute for squared", squared, absolute, "MAE for MSE"),
    _real("root of the mean", squared, root_of_mean, "RMSE for MSE"),
    _real("Huber δ 0.71", huber, partial(huber_where, delta=0.71), "a threshold off by 1 %"),
    _real("Huber δ 1", huber, F.huber_loss, "the default threshold"),
    _real("smooth L1 for Huber", huber, partial(F.smooth_l1_loss, beta=0.7), "a factor β between the two",
          relations=("scaled",)),
    _real("Huber for squared", half_squared, partial(F.huber_loss, delta=5.0), "squared up to |r| = 5 only"),
    _real("variance detached", profiled, profiled_detached, "Gaussian NLL with σ² taken for a constant: gradient right"),
    _real("one-sided", squared, one_sided, "only overestimates cost"),
    _real("NaN at zero residual", absolute, root_of_square, "√(r²) has gradient 0/0 at r = 0", point=True),
    *(_real(f"smoothed L1 {s:g}", absolute, partial(smoothed, size=s), "√(r² + ε²) against a kink", size=s,
            relations=FAINT if s < 1e-6 else ("different",)) for s in (1e-1, 1e-3, 1e-5, 1e-8)),
    _real("whole targets", squared, whole_targets, "targets read as integers"),
    _real("targets through float16", squared, target_through_half, "targets stored in half precision", size=5e-4,
          relations=LOWERED),
    _real("clamped residual", squared, residual_clamped, "outliers cut at |r| = 3"),
    _real("n − 1", squared, unbiased, "unbiased variance for the mean", relations=BY_BATCH),
    _real("residual detached", squared, residual_detached, "half of a product detached: gradient halved"),
    _real("stale targets", squared, partial(reductions.stale_targets, product), "a loader one row behind"),
    _real("sum for mean", squared, partial(reductions.summed, product), "reduction='sum'", relations=BY_BATCH),
    _real("bfloat16 mean", squared, partial(reductions.bfloat_mean, product), "reduction under autocast", size=4e-3,
          relations=LOWERED),
    _real("output penalty 1e-6", squared, partial(reductions.output_penalty, product, weight=1e-6),
          "activity regulariser", size=1e-6, relations=FAINT),
    _real("wrong value", squared, partial(reductions.wrong_value, product, factor=1.001), "logging bug", size=1e-3),
)  # fmt: skip
COUNTS = (
    _counts(
        "no log link",
        poisson_identity,
        "log_input=False on a log-mean: log of a negative number",
        relations=("different", "broken"),
    ),
    _counts("softplus link", poisson_softplus, "another inverse link under the same name"),
    _counts(
        "capped at 3", partial(poisson_capped, bound=3.0), "exponent clamped against overflow", safe=(-math.inf, 3.0)
    ),
    _counts(
        "capped at 20", partial(poisson_capped, bound=20.0), "exponent clamped against overflow", safe=(-math.inf, 20.0)
    ),
    _counts("target off by 1e-4", poisson_target_off, "zero counts nudged", size=1e-4),
    _counts("log epsilon 1e-6", poisson_log_epsilon, "log(μ + ε)", size=1e-6, relations=FAINT),
    _counts("exposure forgotten", exposure_forgotten, "an offset in one term only"),
    _counts("squared error on the mean", squared_counts, "least squares for counts"),
    _counts("dispersion 2.6", partial(binomial_other, theta=2.6), "another dispersion", negative_binomial),
    _counts(
        "dispersion 2.5001", partial(binomial_other, theta=2.5001), "a rounded dispersion", negative_binomial, size=4e-5
    ),
    _counts("negative binomial for Poisson", negative_binomial, "overdispersion switched on"),
    _counts("mean of micro-batch means", partial(reductions.mean_of_means, poisson_hand), "accumulation by chunks"),
)
OPTIMIZERS = (
    fault("optimizer: rate 1.001", "real", squared, squared, "a schedule off by one step", size=1e-3,
          right_optimizer=lambda settings: settings | {"lr": 1.001 * settings["lr"]}),
    _optimizer("weight decay forgotten", "decay of 1e-3 on one side", left={"weight_decay": 1e-3}),
    _optimizer("weight decay 1e-6", "a small decay on one side", right={"weight_decay": 1e-6}, size=1e-6),
    _optimizer("momentum forgotten", "SGD's default", left={"momentum": 0.9}, optimizers=("sgd",)),
    _optimizer("Nesterov", "momentum of another kind", {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True},
               optimizers=("sgd",)),
    _optimizer("ε 1e-7", "another framework's default", right={"eps": 1e-7}, optimizers=("adam",)),
    _optimizer("β₂ 0.99", "another default", right={"betas": (0.9, 0.99)}, optimizers=("adam",)),
    _optimizer("AMSGrad", "a flag", right={"amsgrad": True}, optimizers=("adam",)),
    _optimizer("decoupled decay", "AdamW for Adam", {"weight_decay": 0.01},
               {"weight_decay": 0.01, "decoupled_weight_decay": True}, optimizers=("adam",)),
)  # fmt: skip
PAIRS = (*REAL, *COUNTS, *OPTIMIZERS)
