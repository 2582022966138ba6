"""What is done around a per-row objective, rightly and wrongly: f(rows, output, target), to be used with `partial`."""

from collections.abc import Callable

import torch
from torch import Tensor

from faults.pair import Function

# Right: the mean of the rows, written differently.


def mean(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    return rows(output, target).mean()


def reversed_rows(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    return rows(output.flip(0), target.flip(0)).mean()


def sum_over_length(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    return rows(output, target).sum() / len(target)


def einsum_mean(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    values = rows(output, target)
    return torch.einsum("i,i->", values, torch.full_like(values, 1 / len(values)))


def chunked_sums(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    parts = zip(output.split(5), target.split(5), strict=True)
    return torch.stack([rows(o, t).sum() for o, t in parts]).sum() / len(target)


def double_sum(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    values = rows(output, target)
    return values.double().mean().to(values.dtype)


def running_mean(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    total = output.new_zeros(())
    for count, (o, t) in enumerate(zip(output.split(1), target.split(1), strict=True), start=1):
        total = total + (rows(o, t).sum() - total) / count
    return total


# Wrong: what people do to it by mistake.


def summed(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    return rows(output, target).sum()


def mean_of_means(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    parts = zip(output.split(5), target.split(5), strict=True)
    return torch.stack([rows(o, t).mean() for o, t in parts]).mean()


def first_dropped(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    return rows(output[1:], target[1:]).mean() if len(target) > 1 else rows(output, target).mean()


def first_doubled(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    return rows(torch.cat([output, output[:1]]), torch.cat([target, target[:1]])).mean()


def odd_row_dropped(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    keep = max(len(target) // 2 * 2, 1)
    return rows(output[:keep], target[:keep]).mean()


def stale_targets(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    return rows(output, target.roll(1)).mean()


def bfloat_mean(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    values = rows(output, target)
    return values.bfloat16().mean().to(values.dtype)


def whole_normaliser(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    return rows(output, target).sum() / max(len(target) // 4 * 4, 1)


def worst_half(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    return rows(output, target).topk((len(target) + 1) // 2).values.mean()


def times(rows: Function, output: Tensor, target: Tensor, factor: float) -> Tensor:
    return factor * rows(output, target)


def plus(rows: Function, output: Tensor, target: Tensor, constant: float) -> Tensor:
    return rows(output, target) + constant


def wrong_value(rows: Function, output: Tensor, target: Tensor, factor: float) -> Tensor:
    values = rows(output, target)
    return values + (factor - 1) * values.detach()


def wrong_gradient(rows: Function, output: Tensor, target: Tensor, factor: float) -> Tensor:
    """Straight through: the value is right, the gradient is that of another temperature."""
    values, others = rows(output, target), rows(factor * output, target)
    return values.detach() + others - others.detach()


def output_penalty(rows: Function, output: Tensor, target: Tensor, weight: float) -> Tensor:
    return rows(output, target) + weight * (output**2 if output.ndim == 1 else (output**2).sum(1))


def through_half(rows: Function, output: Tensor, target: Tensor) -> Tensor:
    return rows(output.half().to(output.dtype), target)


def noisy(rows: Function, output: Tensor, target: Tensor, size: float) -> Tensor:
    values = rows(output, target)
    return values * (1 + size * torch.randn_like(values))


class _ClippedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, output: Tensor, bound: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.bound = bound
        return output.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        return gradient * (ctx.bound / gradient.norm().clamp_min(ctx.bound)), None


def clipped_gradient(rows: Function, output: Tensor, target: Tensor, bound: float) -> Tensor:
    clipped: Callable[[Tensor, float], Tensor] = _ClippedGradient.apply
    return rows(clipped(output, bound), target).mean()


class MovingScale:
    """The loss divided by a moving average of itself."""

    def __init__(self, rows: Function) -> None:
        self.rows, self.average = rows, 1.0

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        values = self.rows(output, target)
        self.average = 0.9 * self.average + 0.1 * float(values.detach().mean())
        return values / self.average


class LaterFactor:
    """The loss, and after a number of calls on whole batches a factor times the loss."""

    def __init__(self, rows: Function, calls: int, factor: float) -> None:
        self.rows, self.calls, self.factor, self.seen = rows, calls, factor, 0

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        self.seen += output.requires_grad and len(target) > 1
        return self.rows(output, target) * (self.factor if self.seen > self.calls else 1.0)
