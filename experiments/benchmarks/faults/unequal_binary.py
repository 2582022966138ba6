"""Binary targets: losses that are nearly, but not, the Bernoulli negative log-likelihood."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from faults import reductions
from faults.equal_binary import logaddexp, softplus
from faults.pair import BY_BATCH, FAINT, LOWERED, Function, Pair, fault, nll_of
from mlnn.objectives import bernoulli_nll_clipped, bernoulli_nll_naive
from mlnn.objectives import bernoulli_nll_log1p as log1p

INF = math.inf


def broadcast(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z[:, None].expand(-1, len(z)), y.expand(len(z), -1))


def double_sigmoid(z: Tensor, y: Tensor) -> Tensor:
    return log1p(torch.sigmoid(z), y)


def no_logarithm(z: Tensor, y: Tensor) -> Tensor:
    return -(y * torch.sigmoid(z) + (1 - y) * torch.sigmoid(-z))


def positives_weighted(z: Tensor, y: Tensor, weight: float) -> Tensor:
    return log1p(z, y) * torch.where(y == 1, weight, 1.0)


def weights_normalised(z: Tensor, y: Tensor) -> Tensor:
    weights = torch.where(y == 1, 2.0, 1.0).to(z)
    return (weights * log1p(z, y)).sum() / weights.sum()


def smoothed(z: Tensor, y: Tensor, size: float) -> Tensor:
    return log1p(z, y * (1 - size) + size / 2)


def epsilon_in_log(z: Tensor, y: Tensor, size: float) -> Tensor:
    p = torch.sigmoid(z)
    return -(y * torch.log(p + size) + (1 - y) * torch.log(1 - p + size))


def half_detached(z: Tensor, y: Tensor) -> Tensor:
    return -(y * F.logsigmoid(z) + ((1 - y) * F.logsigmoid(-z)).detach())


def focal(z: Tensor, y: Tensor, gamma: float) -> Tensor:
    return log1p(z, y) * torch.sigmoid((1 - 2 * y) * z) ** gamma


def temperature(z: Tensor, y: Tensor, by: float) -> Tensor:
    return log1p(z / by, y)


def quick_exponential(z: Tensor, y: Tensor) -> Tensor:
    """In float32 only, e^−|z| as (1 − |z|/1024)^1024."""
    a = z.abs()
    small = torch.exp(-a) if z.dtype == torch.float64 else (1 - a / 1024).clamp_min(0) ** 1024
    return torch.maximum(z, torch.zeros_like(z)) - y * z + torch.log1p(small)


def sign_flipped(z: Tensor, y: Tensor) -> Tensor:
    return log1p(torch.where(y == 1, -z, z), y)


def labels_swapped(z: Tensor, y: Tensor) -> Tensor:
    return log1p(z, 1 - y)


def labels_rounded(z: Tensor, y: Tensor) -> Tensor:
    return log1p(z, y.round())


def entropy_bonus(z: Tensor, y: Tensor, weight: float) -> Tensor:
    return log1p(z, y) - weight * log1p(z, torch.sigmoid(z))


def with_margin(z: Tensor, y: Tensor, size: float) -> Tensor:
    return log1p(z - size * (2 * y - 1), y)


def hinge(z: Tensor, y: Tensor) -> Tensor:
    return (1 - (2 * y - 1) * z).clamp_min(0)


def brier(z: Tensor, y: Tensor) -> Tensor:
    return (torch.sigmoid(z) - y) ** 2


def outputs_clamped(z: Tensor, y: Tensor, bound: float) -> Tensor:
    return log1p(z.clamp(-bound, bound), y)


def probabilities_in_distribution(z: Tensor, y: Tensor) -> Tensor:
    return nll_of(torch.distributions.Bernoulli(probs=torch.sigmoid(z)), y)


def relu_form(z: Tensor, y: Tensor) -> Tensor:
    """max(z, 0) by relu: slope 0, not ½, at z = 0."""
    return torch.relu(z) - y * z + torch.log1p(torch.exp(-z.abs()))


def other_branch_overflows(z: Tensor, y: Tensor) -> Tensor:
    return torch.where(z > 0, z + torch.log1p(torch.exp(-z)), torch.log1p(torch.exp(z))) - y * z


def logs_clamped(z: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    return -(y * torch.log(p).clamp_min(-100) + (1 - y) * torch.log(1 - p).clamp_min(-100))


def far_branch_wrong(z: Tensor, y: Tensor, form: Function) -> Tensor:
    """4 % too large beyond 17, where the textbook form has lost float32 but not float64."""
    value = form(z, y)
    return torch.where(z > 17, 1.04 * value, value)


def exponential_overflows(z: Tensor, y: Tensor) -> Tensor:
    return torch.log(1 + torch.exp(z)) - y * z


def balanced_mean(z: Tensor, y: Tensor) -> Tensor:
    values, counts = log1p(z, y), torch.stack([(y == k).sum() for k in (0, 1)])
    return torch.stack([values[y == k].mean() for k in (0, 1) if counts[k]]).mean()


def made(how: Any, **settings: float) -> Function:
    return partial(how, logaddexp, **settings)


def _binary(name: str, right: Any, note: str, **more: Any) -> Pair:
    return fault(f"binary: {name}", "binary", log1p, right, note, **more)


GROSS = (
    ("broadcast (n, 1) × (n,)", broadcast, "head without squeeze; 0.5 % in the loss, 98 % in the gradient"),
    ("sum for mean", made(reductions.summed), "reduction='sum' in a port: the factor is the batch's own", BY_BATCH),
    ("mean of micro-batch means", made(reductions.mean_of_means), "gradient accumulation divided by the number of chunks"),
    ("double sigmoid", double_sigmoid, "model ends in a sigmoid, loss takes logits"),
    ("no logarithm", no_logarithm, "nll_loss fed probabilities"),
    ("log2", made(reductions.times, factor=1 / math.log(2)), "bits for nats", ("scaled",)),
    ("log10", made(reductions.times, factor=1 / math.log(10)), "numpy habit", ("scaled",)),
    ("detached term", half_detached, "one half of the loss logged with .detach()"),
    ("stale targets", made(reductions.stale_targets), "a prefetching loader one batch behind"),
    ("sign flipped for one class", sign_flipped, "labels ±1 and 0/1 mixed"),
    ("labels swapped", labels_swapped, "alphabetic label encoding"),
    ("hinge", hinge, "SVM head for logistic head"),
    ("Brier", brier, "MSE on probabilities"),
    ("first row dropped", made(reductions.first_dropped), "shifted slice"),
    ("first row doubled", made(reductions.first_doubled), "padding a batch by wrapping round"),
    ("odd row dropped", made(reductions.odd_row_dropped), "pairs of rows packed into one vector register"),
    ("whole-number normaliser", made(reductions.whole_normaliser), "rows counted as 4 · (n // 4)"),
    ("worst half", made(reductions.worst_half), "hard-example mining left on"),
    ("mean over classes", balanced_mean, "macro average for micro average"),
    ("moving scale", reductions.MovingScale(logaddexp), "loss balancing by its own average", ("undecided", "different")),
    ("later factor", reductions.LaterFactor(logaddexp, 40, 1.5), "a warm-up schedule inside the loss",
     ("undecided", "different", "scaled")),
)  # fmt: skip
PAIRS = (
    *(_binary(name, right, note, **({"relations": more[0]} if more else {})) for name, right, note, *more in GROSS),
    *(_binary(f"label smoothing {s:g}", partial(smoothed, size=s), "a regulariser left on", size=s, relations=FAINT)
      for s in (1e-2, 1e-3, 1e-4, 1e-6)),
    *(_binary(f"epsilon in log {s:g}", partial(epsilon_in_log, size=s), "log(p + ε) against log 0", size=s, relations=FAINT)
      for s in (1e-3, 1e-5, 1e-7, 1e-9, 1e-12)),
    *(_binary(f"clip {s:g}", partial(bernoulli_nll_clipped, epsilon=s), "p.clamp(ε, 1−ε)", safe=(-at, at))
      for s, at in ((1e-3, 6.91), (1e-7, 16.12))),
    *(_binary(f"clamped outputs {b:g}", partial(outputs_clamped, bound=b), "logits clamped 'for stability'", safe=(-b, b))
      for b in (3.0, 10.0, 30.0)),
    *(_binary(f"focal γ={g:g}", partial(focal, gamma=g), "focal loss with a small γ", size=g) for g in (0.1, 0.01)),
    *(_binary(f"temperature {t:g}", partial(temperature, by=t), "calibration left in", size=t - 1, relations=FAINT)
      for t in (1.001, 1.00001)),
    *(_binary(f"entropy bonus {w:g}", partial(entropy_bonus, weight=w), "exploration bonus, confidence penalty", size=w)
      for w in (1e-3, 1e-5)),
    *(_binary(f"margin {m:g}", partial(with_margin, size=m), "margin softmax", size=m) for m in (0.1, 1e-4)),
    _binary("positives weighted 2", partial(positives_weighted, weight=2.0), "pos_weight forgotten on the left"),
    _binary("positives weighted 1.001", partial(positives_weighted, weight=1.001), "pos_weight from rounded counts", size=1e-3),
    fault("binary: weights normalised", "binary", partial(positives_weighted, weight=2.0), weights_normalised,
          "Σ w l / n against Σ w l / Σ w"),
    fault("binary: soft labels rounded", "unit", log1p, labels_rounded, "labels cast through int"),
    fault("binary: soft labels, broadcast", "unit", log1p, broadcast, "distillation targets of shape (n, 1)"),
    _binary("factor 1.00001", made(reductions.times, factor=1.00001), "a rounded constant", size=1e-5, relations=("scaled",)),
    _binary("wrong value", made(reductions.wrong_value, factor=1.1), "custom backward right, forward wrong"),
    _binary("wrong gradient", made(reductions.wrong_gradient, factor=1.01), "straight-through estimator", size=1e-2),
    _binary("output penalty 1e-4", made(reductions.output_penalty, weight=1e-4), "activity regulariser", size=1e-4),
    _binary("through float16", made(reductions.through_half), "outputs stored in half precision", size=5e-4, relations=LOWERED),
    _binary("bfloat16 mean", made(reductions.bfloat_mean), "reduction under autocast", size=4e-3, relations=LOWERED),
    _binary("noise 1e-6", made(reductions.noisy, size=1e-6), "non-deterministic reduction", size=1e-6, relations=("undecided",)),
    _binary("gradient clipped inside", made(reductions.clipped_gradient, bound=0.05), "a clipping hook on the outputs"),
    _binary("quick exponential", quick_exponential, "fast-math kernel, float32 only", size=1e-3, dtypes=("float32",)),
    _binary("softplus in float64", softplus, "F.softplus is z above 20: 2e-9 off", size=2e-9, safe=(-INF, 20.0),
            dtypes=("float64",)),
    *(_binary(f"far branch, {name}", partial(far_branch_wrong, form=form), "asymptotic branch with a wrong coefficient",
              safe=(-INF, 17.0), dtypes=("float64",)) for name, form in (("stable", log1p), ("textbook", bernoulli_nll_naive))),
    _binary("relu at exactly 0", relu_form, "slope 0, not ½, at z = 0: zero-initialised heads", point=True),
    _binary("where's other branch, float32", other_branch_overflows, "inf · 0 = NaN in the gradient", safe=(-88.8, 88.8),
            dtypes=("float32",)),
    _binary("where's other branch, float64", other_branch_overflows, "the same beyond 709", safe=(-709.8, 709.8),
            dtypes=("float64",)),
    _binary("logs clamped, float32", logs_clamped, "right value, NaN gradient", safe=(-100.0, 16.7), dtypes=("float32",)),
    _binary("textbook, float32", bernoulli_nll_naive, "NaN on a confident, correct row", safe=(-104.0, 16.7), dtypes=("float32",)),
    _binary("overflow, float32", exponential_overflows, "log(1 + e^z)", safe=(-INF, 88.8), dtypes=("float32",)),
    _binary("overflow, float16", exponential_overflows, "right in float32", safe=(-INF, 11.1), dtypes=("float16",)),
    # Above, the clip at 1−eps shows only where σ itself has rounded to 1: between 15.95 and 16.64 σ is as coarse as the clip.
    _binary("Bernoulli(probs), float32", probabilities_in_distribution, "probs clipped to [eps, 1−eps]", safe=(-15.95, 16.64),
            dtypes=("float32",)),
    _binary("Bernoulli(probs), float64", probabilities_in_distribution, "the same in float64", safe=(-36.1, 36.1),
            dtypes=("float64",)),
)  # fmt: skip
