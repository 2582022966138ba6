"""Before: an ordinary training script. A small model of characters; parameter groups, warmup and cosine, clipping, accumulation,
autocast to bfloat16, an average of the weights."""

import argparse
import copy
import math
import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TEXT = "the quick brown fox jumps over the lazy dog and the lazy dog sleeps in the sun while the quick fox runs "
LETTERS = sorted(set(TEXT))
LENGTH, IGNORED = 24, -100


class Model(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), width)
        self.position = nn.Parameter(0.02 * torch.randn(LENGTH, width))
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.norm, self.last_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.body = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.head = nn.Linear(width, len(LETTERS), bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.embedding(ids) + self.position
        normed = self.norm(hidden)
        hidden = hidden + F.scaled_dot_product_attention(
            self.query(normed), self.key(normed), self.value(normed), is_causal=True
        )
        return self.head(self.last_norm(hidden + self.body(hidden)))


def examples(rows: int, draws: random.Random) -> dict[str, Tensor]:
    """Sequences of unequal length; what lies beyond the end of one is ignored."""
    ids = torch.zeros(rows, LENGTH, dtype=torch.long)
    labels = torch.full((rows, LENGTH), IGNORED)
    for row in range(rows):
        start, length = draws.randrange(len(TEXT)), draws.randrange(LENGTH // 3, LENGTH + 1)
        piece = [LETTERS.index((TEXT + TEXT)[start + place]) for place in range(length + 1)]
        ids[row, :length] = torch.tensor(piece[:-1])
        labels[row, :length] = torch.tensor(piece[1:])
    return {"ids": ids, "labels": labels}


def grouped(model: nn.Module, decay: float) -> list[dict]:
    """Matrices decay; norms, positions and embeddings do not."""
    matrices = [
        weight
        for name, weight in model.named_parameters()
        if weight.ndim > 1 and "emb" not in name and "pos" not in name
    ]
    kept = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in kept]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def rate(step: int, warmup: int, steps: int) -> float:
    """A linear warmup, then a half cosine to a tenth."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * done))


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rows", type=int, default=8, help="of a micro-batch")
    parser.add_argument("--accumulate", type=int, default=4)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--ema", type=float, default=0.95)
    parser.add_argument("--seed", type=int, default=0)
    said = parser.parse_args()

    torch.manual_seed(said.seed)
    draws = random.Random(said.seed)
    model = Model()
    optimizer = torch.optim.AdamW(grouped(model, said.decay), lr=said.lr, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, said.steps // 10, said.steps))
    average = copy.deepcopy(model).requires_grad_(False)

    for step in range(said.steps):
        batches = [examples(said.rows, draws) for _ in range(said.accumulate)]
        counted = sum(int((batch["labels"] != IGNORED).sum()) for batch in batches)
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for batch in batches:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(batch["ids"])
            loss = loss_of(logits, batch["labels"]) / counted
            loss.backward()
            total += loss.item()
        norm = nn.utils.clip_grad_norm_(model.parameters(), said.clip)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for mean, weight in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(weight, 1 - said.ema)
        if step % 10 == 0 or step == said.steps - 1:
            print(f"step {step:3d}  loss {total:.4f}  norm {float(norm):.3f}  rate {schedule.get_last_lr()[0]:.2e}")

    held = examples(64, random.Random(said.seed + 1))
    with torch.no_grad():
        ended = loss_of(average(held["ids"]), held["labels"]) / (held["labels"] != IGNORED).sum()
    print(f"held out, averaged weights: {float(ended):.4f}")


if __name__ == "__main__":
    main()
