"""Loops' own steps, (model, optimiser, batches) → loss: clipping, zeroing, dividing and scheduling around accumulation.

A window of batches is cut into micro-batches of four rows, whatever way it comes. What a loop keeps between steps lies with
its optimiser, so that every lane has its own.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import StepLR

from faults.field_models import Tokens
from faults.field_steps import IGNORE, LENGTH, head_then_loss
from faults.pair import Batch, Pair, Update, equal, fault

ROWS, MOST, DROP = 4, 0.2, 45


def micro(batches: Sequence[Batch]) -> list[tuple[Tensor, Tensor]]:
    """The window's micro-batches, (x, y) each."""
    return [
        part
        for batch in batches
        for part in zip(batch["x"].split(ROWS), batch["y"].split(ROWS), strict=True)
    ]  # fmt: skip


def summed(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum")


def kept(y: Tensor) -> int:
    return int((y != IGNORE).sum())


def backward(model: nn.Module, batches: Sequence[Batch]) -> Iterator[float]:
    """Add up the gradient of the mean over the window's kept tokens; yields after each micro-batch, with its share."""
    parts = micro(batches)
    count = sum(kept(y) for _, y in parts)
    for x, y in parts:
        loss = summed(model, x, y) / count
        loss.backward()
        yield loss.item()


def rate(optimizer: Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] *= factor


def schedule(optimizer: Optimizer) -> StepLR:
    """The optimiser's own schedule: halved every four steps."""
    if not hasattr(optimizer, "schedule"):
        optimizer.schedule = StepLR(optimizer, 4, 0.5)  # type: ignore[attr-defined]
    made: StepLR = optimizer.schedule  # type: ignore[attr-defined]
    return made


# Right.


def by_token_count(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    optimizer.zero_grad()
    loss = sum(backward(model, batches))
    optimizer.step()
    return loss


def whole_window(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    optimizer.zero_grad()
    parts = micro(batches)
    x, y = torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
    loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    loss.backward()
    optimizer.step()
    return loss.item()


def shares_of_means(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    parts = micro(batches)
    count, total = sum(kept(y) for _, y in parts), 0.0
    for x, y in parts:
        loss = summed(model, x, y) / max(kept(y), 1) * (kept(y) / count)
        loss.backward()
        total += loss.item()
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)  # afterwards, for the next window
    return total


def clipped(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    optimizer.zero_grad()
    loss = sum(backward(model, batches))
    nn.utils.clip_grad_norm_(model.parameters(), MOST)
    optimizer.step()
    return loss


def clipped_by_hand(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    optimizer.zero_grad()
    loss = sum(backward(model, batches))
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    for gradient in gradients:
        gradient.mul_((MOST / (norm + 1e-6)).clamp_max(1.0))
    optimizer.step()
    return loss


def scheduled(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    plan = schedule(optimizer)
    loss = by_token_count(model, optimizer, batches)
    plan.step()
    return loss


def scheduled_by_hand(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    loss = by_token_count(model, optimizer, batches)
    taken = optimizer.param_groups[0]["taken"] = optimizer.param_groups[0].get("taken", 0) + 1
    if taken % 4 == 0:
        rate(optimizer, 0.5)
    return loss


def clipped_values(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    optimizer.zero_grad()
    loss = sum(backward(model, batches))
    nn.utils.clip_grad_value_(model.parameters(), 0.02)
    optimizer.step()
    return loss


def clamped_values(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    optimizer.zero_grad()
    loss = sum(backward(model, batches))
    for weight in model.parameters():
        weight.grad = None if weight.grad is None else weight.grad.clamp(-0.02, 0.02)
    optimizer.step()
    return loss


def averaged(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    """A moving average of the weights is kept for evaluation; training does not see it."""
    loss = by_token_count(model, optimizer, batches)
    for weight in model.parameters():
        state = optimizer.state[weight]
        average = state.setdefault("average", weight.detach().clone())
        average.lerp_(weight.detach(), 0.1)
    return loss


# Wrong.


def clipped_in_parts(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    optimizer.zero_grad()
    loss = 0.0
    for share in backward(model, batches):
        loss += share
        nn.utils.clip_grad_norm_(model.parameters(), MOST)
    optimizer.step()
    return loss


def clipped_while_scaled(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    """The gradient is clipped before the loss scale is taken off."""
    optimizer.zero_grad()
    loss = sum(backward(model, batches))
    for weight in model.parameters():
        if weight.grad is not None:
            weight.grad.mul_(16.0)
    nn.utils.clip_grad_norm_(model.parameters(), MOST)
    for weight in model.parameters():
        if weight.grad is not None:
            weight.grad.div_(16.0)
    optimizer.step()
    return loss


def never_zeroed(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    loss = sum(backward(model, batches))
    optimizer.step()
    return loss


def zeroed_in_parts(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    parts, loss = micro(batches), 0.0
    count = sum(kept(y) for _, y in parts)
    for x, y in parts:
        optimizer.zero_grad()
        value = summed(model, x, y) / count
        value.backward()
        loss += value.item()
    optimizer.step()
    return loss


def mean_of_means(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch], divided: bool = True) -> float:
    optimizer.zero_grad()
    parts, total = micro(batches), 0.0
    for x, y in parts:
        loss = summed(model, x, y) / max(kept(y), 1) / (len(parts) if divided else 1)
        loss.backward()
        total += loss.item()
    optimizer.step()
    return total


def means_added(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    return mean_of_means(model, optimizer, batches, divided=False)


def scheduled_in_parts(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    plan = schedule(optimizer)
    loss = by_token_count(model, optimizer, batches)
    for _ in micro(batches):
        plan.step()
    return loss


def dropped_later(model: nn.Module, optimizer: Optimizer, batches: Sequence[Batch]) -> float:
    taken = optimizer.param_groups[0]["taken"] = optimizer.param_groups[0].get("taken", 0) + 1
    if taken == DROP:
        rate(optimizer, 0.1)
    return by_token_count(model, optimizer, batches)


def _settings(left: Update, right: Update) -> dict[str, Any]:
    return {
        "targets": "classes(5, ignore=-100)", "left": head_then_loss, "right": head_then_loss, "update": (left, right),
        "shape": (LENGTH,), "model": Tokens, "step": True, "family": "field",
    }  # fmt: skip


def _same(name: str, left: Update, right: Update, note: str, **more: Any) -> Pair:
    return equal(f"updates: {name}", note=note, **_settings(left, right) | more)


def _wrong(name: str, left: Update, right: Update, note: str, **more: Any) -> Pair:
    return fault(f"updates: {name}", note=note, **_settings(left, right) | more)


MEANS = r"micro-batch|kept|mean"
PAIRS = (
    _same("accumulated by token count", whole_window, by_token_count, "torchtune#1875: one count for the window"),
    _same("accumulated by shares", by_token_count, shares_of_means, "mlx-lm#1413: means weighted by tokens, zeroed at the end"),
    _same("clipped by hand", clipped, clipped_by_hand, "norm and factor by hand, once per window"),
    _same("scheduled by hand", scheduled, scheduled_by_hand, "a schedule, or lr halved by the loop"),
    _same("values clamped by hand", clipped_values, clamped_values, "clip_grad_value_ by clamp"),
    _same("average kept aside", by_token_count, averaged, "a moving average of the weights for evaluation only"),
    _wrong("mean of micro-batch means", by_token_count, mean_of_means, "transformers, torchtitan#1842: unequal token counts",
           cause=MEANS),
    _wrong("means added", by_token_count, means_added, "guided-diffusion#111: never divided", cause=rf"{MEANS}|factor|sum"),
    _wrong("clipped in parts", clipped, clipped_in_parts, "transformers#1563, lingua#59: clipped per micro-batch", cause=r"clip"),
    _wrong("clipped while scaled", clipped, clipped_while_scaled, "clipped before the loss scale is taken off",
           cause=r"clip|factor"),
    _wrong("never zeroed", by_token_count, never_zeroed, "zero_grad forgotten", cause=r"zero|earlier|accumul"),
    _wrong("zeroed in parts", by_token_count, zeroed_in_parts, "zero_grad in the inner loop", cause=r"zero|micro-batch"),
    _wrong("scheduled in parts", scheduled, scheduled_in_parts, "accelerate#963: a schedule step per micro-batch",
           cause=r"rate|schedule|lr"),
    _wrong("rate drops at step 45", by_token_count, dropped_later, "a schedule on one side, seen late", steps=64,
           cause=r"rate|schedule|lr"),
)  # fmt: skip
