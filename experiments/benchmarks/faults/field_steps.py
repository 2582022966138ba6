"""Steps, (model, batch) → loss, for losses that are no function of raw outputs and targets: fused heads, two heads, terms of
the model, contrastive losses, a loss inside the model."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faults.causes import GRADIENT
from faults.field_models import LATENT, AutoEncoder, Tokens, TwoHeads, TwoTowers
from faults.pair import Batch, Function, Pair, equal, fault

IGNORE, CHUNK, LENGTH = -100, 7, 6


def heads(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor] = model(batch["x"])
    return found


def coded(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = model(batch["x"], batch["noise"])
    return found


def towers(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = model(batch["x"], batch["y"])
    return found


def inner_tokens(model: nn.Module, batch: Batch) -> Tensor:
    """What the head is given, positions laid flat."""
    found: Tensor = model.get_submodule("trunk")(batch["x"]).flatten(0, 1)
    return found


def head_then_loss(model: nn.Module, batch: Batch) -> Tensor:
    return F.cross_entropy(model(batch["x"]).flatten(0, 1), batch["y"].flatten())


def in_the_model(model: nn.Module, batch: Batch) -> Tensor:
    found: Tensor = model(batch["x"], labels=batch["y"])
    return found


def chunked_head(model: nn.Module, batch: Batch, means: bool = False, last_only: bool = False) -> Tensor:
    """Head and loss by chunks of positions, so that never all raw outputs are there."""
    inner, labels = inner_tokens(model, batch), batch["y"].flatten()
    total, parts = inner.new_zeros(()), list(zip(inner.split(CHUNK), labels.split(CHUNK), strict=True))
    for place, (part, wanted) in enumerate(parts):
        head = model.get_submodule("head") if not last_only or place == len(parts) - 1 else _frozen_head(model)
        count = (wanted != IGNORE).sum().clamp_min(1)
        value = F.cross_entropy(head(part), wanted, reduction="sum")
        total = total + (value / count / len(parts) if means else value)
    return total if means else total / (labels != IGNORE).sum()


def _frozen_head(model: nn.Module) -> Function:
    head = model.get_submodule("head")
    return partial(F.linear, weight=head.weight.detach(), bias=head.bias.detach())  # type: ignore[operator]


class _FusedHead(torch.autograd.Function):
    """Linear layer and mean cross-entropy in one; all gradients are made in the forward pass."""

    @staticmethod
    def forward(ctx, inner, weight, bias, y, wrong):  # type: ignore[no-untyped-def]
        keep = y != IGNORE
        logs = torch.log_softmax(inner @ weight.T + bias, -1)
        safe = y.clamp_min(0)
        slope = logs.exp() - F.one_hot(safe, logs.shape[-1]).to(logs)
        slope = slope * keep[:, None] / keep.sum()
        down = slope @ weight
        grad_bias = torch.zeros_like(bias) if wrong == "bias" else slope.sum(0)
        ctx.save_for_backward(down, slope.T @ inner, grad_bias)
        return -(logs.gather(-1, safe[:, None]).squeeze(-1) * keep).sum() / keep.sum()

    @staticmethod
    def backward(ctx, upstream):  # type: ignore[no-untyped-def]
        return *(upstream * gradient for gradient in ctx.saved_tensors), None, None


def fused_head(model: nn.Module, batch: Batch, wrong: str = "") -> Tensor:
    apply: Function = _FusedHead.apply
    inner, head = inner_tokens(model, batch), model.get_submodule("head")
    return apply(inner, head.weight, head.bias, batch["y"].flatten(), wrong)


def sequence_means(model: nn.Module, batch: Batch) -> Tensor:
    losses = F.cross_entropy(model(batch["x"]).transpose(1, 2), batch["y"], reduction="none")
    return (losses.sum(1) / (batch["y"] != IGNORE).sum(1)).mean()


def two_heads(model: nn.Module, batch: Batch, share: float = 0.5) -> Tensor:
    z, value = heads(model, batch)
    return F.cross_entropy(z, batch["y"]) + share * F.mse_loss(value, batch["second"])


def two_heads_by_hand(model: nn.Module, batch: Batch) -> Tensor:
    z, value = heads(model, batch)
    logs = torch.log_softmax(z, -1).gather(-1, batch["y"][:, None]).squeeze(-1)
    return ((value - batch["second"]).square() / 2 - logs).mean()


def two_heads_detached(model: nn.Module, batch: Batch) -> Tensor:
    z, value = heads(model, batch)
    return F.cross_entropy(z, batch["y"]) + 0.5 * F.mse_loss(value.detach(), batch["second"])


def bound(model: nn.Module, batch: Batch) -> Tensor:
    """Reconstruction and divergence from N(0, 1), summed over their dimensions, a mean over rows."""
    back, mean, log_variance = coded(model, batch)
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
    return ((back - batch["x"]).square().sum(1) / 2 + divergence).mean()


def bound_by_distributions(model: nn.Module, batch: Batch) -> Tensor:
    back, mean, log_variance = coded(model, batch)
    normal = torch.distributions.Normal
    prior = normal(torch.zeros_like(mean), torch.ones_like(mean))
    divergence = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), prior)
    return (F.mse_loss(back, batch["x"], reduction="sum") / 2 + divergence.sum()) / len(mean)


def bound_latent_mean(model: nn.Module, batch: Batch) -> Tensor:
    back, mean, log_variance = coded(model, batch)
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean(1)
    return ((back - batch["x"]).square().sum(1) / 2 + divergence).mean()


def bound_of_deviation(model: nn.Module, batch: Batch) -> Tensor:
    """The encoder's log-variance taken for a log-deviation in the divergence."""
    back, mean, spread = coded(model, batch)
    divergence = -0.5 * (1 + 2 * spread - mean.square() - (2 * spread).exp()).sum(1)
    return ((back - batch["x"]).square().sum(1) / 2 + divergence).mean()


def contrast(model: nn.Module, batch: Batch) -> Tensor:
    one, two, scale = towers(model, batch)
    logits, own = scale * one @ two.T, torch.arange(len(one))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def contrast_by_hand(model: nn.Module, batch: Batch) -> Tensor:
    one, two, scale = towers(model, batch)
    logits = scale * one @ two.T
    both = torch.logsumexp(logits, 0) + torch.logsumexp(logits, 1)
    return (both / 2 - logits.diagonal()).mean()


def contrast_one_way(model: nn.Module, batch: Batch) -> Tensor:
    one, two, scale = towers(model, batch)
    return F.cross_entropy(scale * one @ two.T, torch.arange(len(one)))


def contrast_own_left_out(model: nn.Module, batch: Batch) -> Tensor:
    """The pair's own entry is missing from the sum below."""
    one, two, scale = towers(model, batch)
    logits = scale * one @ two.T
    others = logits.masked_fill(torch.eye(len(one), dtype=torch.bool), -torch.inf)
    return ((torch.logsumexp(others, 0) + torch.logsumexp(others, 1)) / 2 - logits.diagonal()).mean()


def contrast_scale_detached(model: nn.Module, batch: Batch) -> Tensor:
    one, two, scale = towers(model, batch)
    logits, own = scale.detach() * one @ two.T, torch.arange(len(one))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2 + 0 * scale


def second_target(draws: torch.Generator, rows: int) -> Batch:
    return {"second": torch.randn(rows, generator=draws, dtype=torch.float64)}


def latent_noise(draws: torch.Generator, rows: int) -> Batch:
    return {"noise": torch.randn(rows, LATENT, generator=draws, dtype=torch.float64)}


Settings = dict[str, Any]
TOKENS: Settings = {"targets": "classes(5, ignore=-100)", "shape": (LENGTH,), "model": Tokens}
HEADS: Settings = {"targets": "classes(5)", "model": TwoHeads, "extras": second_target}
LATENTS: Settings = {"targets": "real(3)", "model": AutoEncoder, "extras": latent_noise}
TOWERS: Settings = {"targets": "real(5)", "model": TwoTowers}


def _same(name: str, kind: Settings, left: Function, right: Function, note: str, **more: Any) -> Pair:
    return equal(f"steps: {name}", left=left, right=right, note=note, family="field", step=True, **kind | more)


def _wrong(name: str, kind: Settings, left: Function, right: Function, note: str, **more: Any) -> Pair:
    return fault(f"steps: {name}", left=left, right=right, note=note, family="field", step=True, **kind | more)


PAIRS = (
    _same("chunked head", TOKENS, head_then_loss, chunked_head, "head and loss by chunks, sums divided once"),
    _same("fused head", TOKENS, head_then_loss, fused_head, "Liger, cut-cross-entropy: gradients made in the forward"),
    _same("loss in the model", TOKENS, head_then_loss, in_the_model, "model(input, labels=…) of a library"),
    _same("two heads", HEADS, two_heads, two_heads_by_hand, "CE + ½ MSE, one mean for both"),
    _same("bound", LATENTS, bound, bound_by_distributions, "VAE: kl_divergence of torch.distributions; e^s overflows",
          partial=True),
    _same("contrast", TOWERS, contrast, contrast_by_hand, "CLIP's symmetric InfoNCE by logsumexp"),
    _wrong("chunked head, means", TOKENS, head_then_loss, partial(chunked_head, means=True), "means of chunks averaged",
           cause=r"chunk|micro-batch|mean"),
    _wrong("chunked head, last chunk's weights", TOKENS, head_then_loss, partial(chunked_head, last_only=True),
           "grad_weight overwritten where it should be added up", cause=GRADIENT),
    _wrong("fused head without bias", TOKENS, head_then_loss, partial(fused_head, wrong="bias"), "grad_bias never filled",
           cause=GRADIENT),
    _wrong("loss in the model by sequence", TOKENS, in_the_model, sequence_means, "verl#593: the trainer's own reduction",
           cause=r"sequence"),
    _wrong("second head weaker", HEADS, two_heads, partial(two_heads, share=0.49), "an auxiliary weight rounded", size=1e-2),
    _wrong("second head detached", HEADS, two_heads, two_heads_detached, "auxiliary loss logged, never trained",
           cause=GRADIENT),
    _wrong("bound, mean over latent", LATENTS, bound, bound_latent_mean, "keras-molecules#59, keras-io#270"),
    _wrong("bound of a deviation", LATENTS, bound, bound_of_deviation, "log σ taken for log σ²"),
    _wrong("contrast one way", TOWERS, contrast, contrast_one_way, "one direction of a symmetric loss"),
    _wrong("contrast, own left out", TOWERS, contrast, contrast_own_left_out, "pytorch-metric-learning#699"),
    _wrong("contrast, scale detached", TOWERS, contrast, contrast_scale_detached, "a learned temperature that never learns",
           cause=GRADIENT),
)  # fmt: skip
