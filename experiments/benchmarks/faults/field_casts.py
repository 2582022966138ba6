"""Losses that compute in a precision of their own, rightly and wrongly: casts, dtype arguments, weights of another dtype."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from faults.causes import GRADIENT
from faults.equal_classes import per_row
from faults.pair import Function, Pair, equal, fault

WEIGHTS = torch.tensor([1.0, 0.5, 2.0, 0.25, 4.0])  # exact in every dtype: the cast of a weight is no fault here
logistic = partial(F.binary_cross_entropy_with_logits, reduction="none")


def float_inside(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.float(), y)


def double_inside(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.double(), y)


def mean_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y)


def dtype_argument(z: Tensor, y: Tensor) -> Tensor:
    return F.nll_loss(F.log_softmax(z, -1, dtype=torch.float32), y)


def bfloat_logs(z: Tensor, y: Tensor) -> Tensor:
    return F.nll_loss(F.log_softmax(z, -1).to(torch.bfloat16).float(), y)


def bfloat_outputs(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.to(torch.bfloat16).float(), y)


def float_back_again(z: Tensor, y: Tensor) -> Tensor:
    logs = torch.log_softmax(z.to(torch.float32), dim=-1).to(z.dtype)
    return -logs.gather(-1, y[:, None]).squeeze(-1)


def weighted(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, weight=WEIGHTS.to(z))


def float_weighted(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.float(), y, weight=WEIGHTS)


def without_autocast(z: Tensor, y: Tensor) -> Tensor:
    with torch.autocast(z.device.type, enabled=False):
        return F.binary_cross_entropy_with_logits(z.float(), y.float())


def float_likelihood(z: Tensor, y: Tensor) -> Tensor:
    found: Tensor = -torch.distributions.Categorical(logits=z.float()).log_prob(y)
    return found


def labels_through_bfloat(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.float(), y.to(torch.bfloat16).long().clamp_max(z.shape[-1] - 1))


def epsilon_in_log(z: Tensor, y: Tensor) -> Tensor:
    p = torch.softmax(z, -1, dtype=torch.float32)
    return -torch.log(p + 1e-4).gather(-1, y[:, None]).squeeze(-1)


def temperature_left_in(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.float() / 1.01, y)


def normaliser_detached(z: Tensor, y: Tensor) -> Tensor:
    z32 = z.float()
    largest = z32.amax(-1, keepdim=True)
    total = (z32 - largest).exp().sum(-1).log().detach() + largest.squeeze(-1)
    return (total - z32.gather(-1, y[:, None]).squeeze(-1)).mean()


def weights_forgotten(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.float(), y)


def smoothing_left_on(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.float(), y, label_smoothing=1e-3)


def positive_weight(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z.float(), y.float(), pos_weight=torch.tensor(1.02))


def _same(name: str, left: Function, right: Function, note: str, inside: tuple[str, str], **more: Any) -> Pair:
    return equal(
        f"casts: {name}", more.pop("targets", "classes(5)"), left, right, note, inside=inside, family="field", **more
    )


def _wrong(name: str, left: Function, right: Function, note: str, **more: Any) -> Pair:
    settings = {"inside": ("float64", "float32"), "family": "field"} | more
    return fault(f"casts: {name}", settings.pop("targets", "classes(5)"), left, right, note, **settings)


ONE, BOTH = ("float64", "float32"), ("float32", "float32")
PAIRS = (
    _same("logits.float()", mean_entropy, float_inside, "torchtitan#551: the upcast moved into the loss", ONE),
    _same("dtype argument", per_row, dtype_argument, "log_softmax(…, dtype=float32), as in RL trainers", ONE),
    _same("float32 and back", per_row, float_back_again, "eager attention's habit: .to(float32) … .to(dtype)", ONE),
    _same("float32 on both sides", float_inside, dtype_argument, "two upcasting ports", BOTH),
    _same("float32 against float64", float_inside, double_inside, "one port upcasts to float32, the other to float64",
          ("float32", "float64")),
    _same("bfloat16 log-probabilities", per_row, bfloat_logs, "log-probabilities stored in bfloat16 between two models",
          ("float64", "bfloat16")),
    _same("bfloat16 outputs", mean_entropy, bfloat_outputs, "modalities#464: the head answers in bfloat16; beyond 256 no fraction",
          ("float64", "bfloat16"), partial=True),
    _same("float32 weights", weighted, float_weighted, "class weights kept in float32", ONE),
    _same("autocast switched off", logistic, without_autocast, "BCE upcast inside autocast(enabled=False)", ONE,
          targets="binary"),
    _same("float32 distribution", per_row, float_likelihood, "Categorical(logits=logits.float())", ONE),
    _wrong("labels through bfloat16", mean_entropy, labels_through_bfloat, "class numbers above 256 cast with the batch",
           targets="classes(1000)"),
    _wrong("epsilon in log", per_row, epsilon_in_log, "softmax in float32, then log(p + 1e-4)", size=1e-4,
           cause=r"log|ε|epsilon|clip"),
    _wrong("temperature 1.01", mean_entropy, temperature_left_in, "upcast and divided by a temperature", size=1e-2,
           cause=r"temperature"),
    _wrong("normaliser detached", mean_entropy, normaliser_detached, "logsumexp under no_grad: softmax gone from the gradient",
           cause=GRADIENT),
    _wrong("weights forgotten", weighted, weights_forgotten, "the upcasting branch without class weights", cause=r"weight"),
    _wrong("smoothing 1e-3", mean_entropy, smoothing_left_on, "label smoothing in the upcasting branch only", size=1e-3,
           cause=r"smooth"),
    _wrong("positive weight 1.02", logistic, positive_weight, "pos_weight in the upcasting branch only", size=2e-2,
           targets="binary", cause=r"weight"),
)  # fmt: skip
