"""Steps as people write them: fused losses, two heads, a VAE, contrastive pairs, a loss inside forward; right ones and wrong."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

draws = torch.Generator().manual_seed(7)
WORDS, WIDTH, STEPS = 11, 8, 6


class Tokens(nn.Module):
    """A small language model; its head may be used without it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.body = nn.Embedding(WORDS, WIDTH), nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh())
        self.head = nn.Linear(WIDTH, WORDS, bias=False)

    def hidden(self, ids: Tensor) -> Tensor:
        return self.body(self.embedding(ids))

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.hidden(ids))


def token_batch(place: int) -> dict[str, Tensor]:
    batch = {name: torch.randint(0, WORDS, (4, 6), generator=draws) for name in ("input_ids", "labels")}
    batch["labels"][0, 2 + place % 3 :] = -100
    return batch


TOKENS = [token_batch(place) for place in range(STEPS)]


def kept(logits: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    labels = batch["labels"].flatten()
    return logits.flatten(0, 1)[labels != -100], labels[labels != -100]


def token_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch["input_ids"]).flatten(0, 1), batch["labels"].flatten(), ignore_index=-100)


def fused(model: Tokens, batch: dict[str, Tensor], cap: float = 0.0, per: str = "kept") -> Tensor:
    """Projection and cross-entropy in one, three chunks of positions at a time; the model is never called as a whole."""
    hidden, labels = kept(model.hidden(batch["input_ids"]), batch)
    total = torch.zeros((), dtype=hidden.dtype)
    for rows, wanted in zip(hidden.chunk(3), labels.chunk(3), strict=True):
        logits = rows @ model.head.weight.T
        logits = cap * torch.tanh(logits / cap) if cap else logits
        total = total + (torch.logsumexp(logits, 1) - logits.gather(1, wanted[:, None])[:, 0]).sum()
    return total / (len(labels) if per == "kept" else batch["labels"].numel())


def changed(model: nn.Module, batch: dict[str, Tensor], change: Any) -> Tensor:
    """The token loss of logits that were changed on their way."""
    return F.cross_entropy(*kept(change(model(batch["input_ids"])), batch))


def smoothed_where_sure(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    logits, labels = kept(model(batch["input_ids"]), batch)
    plain, smooth = (F.cross_entropy(logits, labels, reduction="none", label_smoothing=size) for size in (0.0, 0.1))
    return torch.where(logits.softmax(1).amax(1) > 0.999, smooth, plain).mean()


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.kind, self.size = nn.Linear(5, 7), nn.Linear(7, 3), nn.Linear(7, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(x).tanh()
        return self.kind(hidden), self.size(hidden)[:, 0]


HEADS = [
    (
        torch.randn(16, 5, generator=draws),
        (torch.randint(0, 3, (16,), generator=draws), torch.randn(16, generator=draws)),
    )
    for _ in range(STEPS)
]


def heads_loss(model: nn.Module, batch: Any) -> Tensor:
    x, (kind, size) = batch
    logits, found = model(x)
    return F.cross_entropy(logits, kind) + 0.5 * F.mse_loss(found, size)


def heads_by_hand(model: nn.Module, batch: Any, weight: float = 0.5) -> Tensor:
    x, (kind, size) = batch
    logits, found = model(x)
    return -logits.log_softmax(1).gather(1, kind[:, None]).mean() + weight * (found - size).square().sum() / len(size)


class Variational(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(2, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return self.decoder(mean + (0.5 * log_variance).exp() * torch.randn_like(mean)), mean, log_variance


PICTURES = [torch.rand(16, 6, generator=draws) for _ in range(STEPS)]


def elbo(model: nn.Module, x: Tensor) -> Tensor:
    logits, mean, log_variance = model(x)
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1).mean()
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x) + divergence


def elbo_by_hand(model: nn.Module, x: Tensor, divergence_per: str = "row") -> Tensor:
    logits, mean, log_variance = model(x)
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
    divergence = divergence.sum(1).mean() if divergence_per == "row" else divergence.mean()
    return (F.softplus(logits, threshold=1000) - x * logits).sum(1).mean() + divergence


def encoder() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 4))


VIEWS = [(torch.randn(12, 5, generator=draws), torch.randn(12, 5, generator=draws)) for _ in range(STEPS)]


def contrast(model: nn.Module, batch: Any, both: bool = True) -> Tensor:
    one, two = (F.normalize(model(view), dim=1) for view in batch)
    alike, right = one @ two.T / 0.2, torch.arange(len(one))
    return (
        (F.cross_entropy(alike, right) + F.cross_entropy(alike.T, right)) / 2 if both else F.cross_entropy(alike, right)
    )


def contrast_by_hand(model: nn.Module, batch: Any) -> Tensor:
    one, two = (F.normalize(model(view), dim=1) for view in batch)
    alike = one @ two.T / 0.2
    return -(alike.log_softmax(1).diagonal() + alike.log_softmax(0).diagonal()).mean() / 2


@dataclass
class Answer:
    loss: Tensor
    logits: Tensor


class WithLoss(Tokens):
    """A model whose forward computes the loss."""

    def forward(self, input_ids: Tensor, labels: Tensor) -> Answer:
        logits = super().forward(input_ids)
        return Answer(F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100), logits)


def inside(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return model(**batch).loss


def outside(model: nn.Module, batch: dict[str, Tensor], per: str = "kept") -> Tensor:
    logits, labels = kept(model(**batch).logits, batch)
    total = F.cross_entropy(logits, labels, reduction="sum")
    return total / (len(labels) if per == "kept" else batch["labels"].numel())


KINDS: dict[str, tuple[Any, list[Any], Any, Any, Any]] = {
    "fused projection": (Tokens, TOKENS, token_loss, fused, partial(fused, per="all")),
    "two heads": (TwoHeads, HEADS, heads_loss, heads_by_hand, partial(heads_by_hand, weight=1.0)),
    "variational": (Variational, PICTURES, elbo, elbo_by_hand, partial(elbo_by_hand, divergence_per="entry")),
    "contrastive": (encoder, VIEWS, contrast, contrast_by_hand, partial(contrast, both=False)),
    "loss inside forward": (WithLoss, TOKENS, inside, outside, partial(outside, per="all")),
}
"""kind → model, batches, the step as it was, a right and a wrong one in its place."""
