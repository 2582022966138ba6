"""A linear layer of many lanes at once: one batched product forward, three backward, none of them copied."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode


class RowsOfLinear(TorchFunctionMode):
    """Inside a `vmap` over lanes, `torch.nn.functional.linear` becomes one batched product with its own backward.

    torch's own rule for it takes four times as many operations, transposed copies of every weight's gradient among them.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function is not linear:
            return function(*args, **kwargs)
        named = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
        x, weight, bias = named["input"], named["weight"], named.get("bias")
        if x.ndim < 2 or weight.ndim != 2 or x.dtype != weight.dtype or torch.is_autocast_enabled(x.device.type):
            return function(*args, **kwargs)
        return _PerLane.apply(x, weight, bias)  # type: ignore[no-untyped-call]


class _PerLane(torch.autograd.Function):
    """x (…, i), weight (o, i), bias (o,) → (…, o), of which only the rule over lanes is ever used."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:  # noqa: ARG004 - torch calls it by name
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        x, weight = ctx.saved_tensors
        (slope,) = slopes
        flat = slope.reshape(-1, slope.shape[-1])
        return slope @ weight, flat.mT @ x.reshape(-1, x.shape[-1]), flat.sum(0)

    @staticmethod
    def vmap(info: Any, dims: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, int]:
        lanes = info.batch_size
        x, weight = _first(x, dims[0], lanes), _first(weight, dims[1], lanes)
        bias = None if bias is None else _first(bias, dims[2], lanes)
        flat = x.reshape(lanes, -1, x.shape[-1])
        out: Tensor = _Batched.apply(flat, weight, bias)  # type: ignore[no-untyped-call]
        return out.reshape(*x.shape[:-1], weight.shape[1]), 0


def _first(part: Tensor, at: int | None, lanes: int) -> Tensor:
    """The axis of the lanes first; what all lanes share, once for each."""
    return part.expand(lanes, *part.shape) if at is None else part.movedim(at, 0)


class _Batched(torch.autograd.Function):
    """x (lanes, n, i), weight (lanes, o, i), bias (lanes, o) or None → (lanes, n, o)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        return torch.bmm(x, weight.mT) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight.mT)

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        x, weight = ctx.saved_tensors
        (slope,) = slopes
        below = torch.bmm(slope, weight) if ctx.needs_input_grad[0] else None
        return below, torch.bmm(slope.mT, x), slope.sum(1) if ctx.biased else None
