"""Steps of all kinds, with small models and batches, whose objective is taken out of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS, CLASSES = 6, 3
DRAWS = torch.Generator().manual_seed(4)
X = torch.randn(ROWS, 5, generator=DRAWS)
LABELS = torch.tensor([0, 2, 1, 1, 0, 2])
BITS = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
REALS = torch.randn(ROWS, generator=DRAWS)
COUNTS = torch.tensor([0.0, 3.0, 1.0, 2.0, 0.0, 5.0])
IDS = torch.randint(CLASSES, (3, 4), generator=DRAWS)
TOKENS = torch.tensor([[0, 1, 2, -100], [-100, -100, 1, 0], [2, 2, 0, 1]])

TOKENS_IN_ALL = 14


class Single(nn.Module):
    """One number, or `outputs` of them, a row."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.layer, self.outputs = nn.Linear(5, outputs), outputs

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x)
        return found.squeeze(-1) if self.outputs == 1 else found


class Pair(nn.Module):
    """A mean and a log-variance."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.log_variance = Single(), Single()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(x), self.log_variance(x)


class Hidden(nn.Module):
    """The loss inside of the forward, as language models have it: each token is told the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(CLASSES, 4), nn.Linear(4, CLASSES)

    def forward(self, ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.table(ids))
        before, after = logits[:, :-1].reshape(-1, CLASSES), labels[:, 1:].reshape(-1)
        return {"loss": F.cross_entropy(before, after, ignore_index=-100), "logits": logits}


class Padded(Hidden):
    """The same as a well-known trainer has it: labels padded and shifted, a sum over the tokens of all micro-batches."""

    def forward(self, ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.table(ids)).float()
        after = F.pad(labels, (0, 1), value=-100)[..., 1:].contiguous().view(-1)
        loss = F.cross_entropy(logits.view(-1, CLASSES), after, ignore_index=-100, reduction="sum")
        return {"loss": loss / TOKENS_IN_ALL, "logits": logits}


class Features(nn.Module):
    """What a projection fused with its loss is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(5, 4), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x).tanh()
        return found


class Doubled(torch.autograd.Function):
    """A cross-entropy with a backward pass of its own, which is twice the gradient."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        probabilities = logits.softmax(1)
        ctx.save_for_backward(probabilities, labels)
        return -probabilities.gather(1, labels[:, None]).log().mean()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        probabilities, labels = ctx.saved_tensors
        return 2 * upstream * (probabilities - F.one_hot(labels, CLASSES)) / len(labels), None


@dataclass(frozen=True)
class Case:
    """A step with its model and batch."""

    step: Callable[[Any, Any], Tensor]
    model: Callable[[], nn.Module]
    batch: Any


def of_loss(loss: Callable[..., Tensor], y: Tensor, outputs: int = 1) -> Case:
    """A model of so many outputs, and a loss of (output, y)."""
    return Case(lambda model, batch: loss(model(batch[0]), batch[1]), lambda: Single(outputs), (X, y))


def focal(logits: Tensor, labels: Tensor) -> Tensor:
    surprise = F.cross_entropy(logits, labels, reduction="none")
    return ((1 - torch.exp(-surprise)) ** 2 * surprise).mean()


def over(loss: Callable[..., Tensor], **options: Any) -> Callable[..., Tensor]:
    return lambda output, target: loss(output, target, **options)


def made(name: str) -> tuple[Callable[[Any, Any], Tensor], nn.Module, Any]:
    """Step, model and batch of a case; the model's weights are always the same."""
    case = CASES[name]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return case.step, case.model(), case.batch


CASES = {
    "cross-entropy": of_loss(F.cross_entropy, LABELS, CLASSES),
    "bce": of_loss(F.binary_cross_entropy_with_logits, BITS),
    "mse": of_loss(F.mse_loss, REALS),
    "gaussian": Case(
        lambda model, batch: (lambda out: F.gaussian_nll_loss(out[0], batch[1], out[1].exp()))(model(batch[0])), Pair, (X, REALS)
    ),
    "poisson": of_loss(F.poisson_nll_loss, COUNTS),
    "smoothed": of_loss(over(F.cross_entropy, label_smoothing=0.1), LABELS, CLASSES),
    "focal": of_loss(focal, LABELS, CLASSES),
    "hinge": of_loss(lambda z, y: (1 - y * z).clamp(min=0).mean(), 2 * BITS - 1),
    "hidden": Case(lambda model, batch: model(**batch)["loss"], Hidden, {"ids": IDS, "labels": TOKENS}),
    "doubled": of_loss(lambda z, y: 2 * F.cross_entropy(z, y), LABELS, CLASSES),
    "wrong divisor": of_loss(lambda z, y: F.cross_entropy(z, y, reduction="sum") / 5, LABELS, CLASSES),
    "summed": of_loss(over(F.cross_entropy, reduction="sum"), LABELS, CLASSES),
    "log-probabilities": Case(
        lambda model, batch: F.nll_loss(model(batch[0]), batch[1]),
        lambda: nn.Sequential(Single(CLASSES), nn.LogSoftmax(1)), (X, LABELS),
    ),
    "probabilities": Case(
        lambda model, batch: F.binary_cross_entropy(model(batch[0]), batch[1]),
        lambda: nn.Sequential(Single(), nn.Sigmoid()), (X, BITS),
    ),
    "in place": of_loss(lambda z, y: F.cross_entropy(z.div_(2.0), y), LABELS, CLASSES),
    "by a mask": of_loss(lambda z, y: F.cross_entropy(z[y != 9], y[y != 9]), torch.where(LABELS == 1, 9, LABELS), CLASSES),
    "from its largest": of_loss(lambda z, y: F.cross_entropy(z - z.data.amax(1, keepdim=True), y), LABELS, CLASSES),
    "own backward": of_loss(Doubled.apply, LABELS, CLASSES),
    "penalty": Case(
        lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]) + 0.1 * model.layer.weight.square().sum(),
        lambda: Single(CLASSES), (X, LABELS),
    ),
    "frozen": of_loss(lambda z, y: F.cross_entropy(z / z.abs().max().item(), y), LABELS, CLASSES),
    "class weights": of_loss(over(F.cross_entropy, weight=torch.tensor([1.0, 2.0, 3.0])), LABELS, CLASSES),
    "pairs": of_loss(lambda z, y: F.cross_entropy(z @ z.T, y), torch.arange(ROWS), CLASSES),
    "padded": Case(lambda model, batch: model(**batch)["loss"], Padded, {"ids": IDS, "labels": TOKENS}),
    "fused": Case(lambda model, batch: F.cross_entropy(model(batch[0]) @ model.head.weight.T, batch[1]), Features, (X, LABELS)),
    "past the model": Case(
        lambda model, batch: F.cross_entropy(batch[0] @ model.layer.weight.T, batch[1]), lambda: Single(CLASSES), (X, LABELS)
    ),
    "branch": of_loss(lambda z, y: F.cross_entropy(z, y) if z.max() > 0 else z.sum(), LABELS, CLASSES),
    "second axis": Case(
        lambda model, batch: F.cross_entropy(model(batch[0]).transpose(1, 2), batch[1]),
        lambda: nn.Embedding(CLASSES, CLASSES), (IDS, IDS),
    ),
    "noise": of_loss(lambda z, y: F.cross_entropy(F.dropout(z), y), LABELS, CLASSES),
}  # fmt: skip
EIGHT = ("cross-entropy", "bce", "mse", "gaussian", "poisson", "smoothed", "focal", "hinge")
