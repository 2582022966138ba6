"""Operations as plain data: which ones a loss is lifted from, and how one is called again."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import torch
from torch import Tensor

from mlnn.objectives.promotion import lower_than

POINTWISE = """abs neg positive exp expm1 exp2 log log1p log2 log10 sqrt rsqrt square sin cos tan asin acos atan atan2 sinh cosh
 tanh asinh acosh atanh sigmoid log_sigmoid_forward erf erfc erfinv lgamma digamma polygamma special_entr special_erfcx
 special_log_ndtr special_ndtri special_ndtr special_i0e special_i1 special_i1e special_xlog1py special_zeta i0 reciprocal sign
 floor ceil round trunc frac clamp clamp_min clamp_max maximum minimum fmax fmin add sub rsub mul div remainder fmod
 floor_divide pow hypot logaddexp logaddexp2 xlogy where lerp addcmul addcdiv relu leaky_relu elu gelu silu mish softplus hardtanh
 hardsigmoid hardswish threshold logit sinc heaviside copysign nan_to_num isnan isinf eq ne lt le gt ge logical_and logical_or
 logical_not logical_xor bitwise_and bitwise_or bitwise_not bitwise_xor fill zero copy masked_fill clone detach alias lift_fresh
 lift_fresh_copy _to_copy _softmax _log_softmax"""
REDUCTIONS = """sum mean nansum prod amax amin max min aminmax logsumexp std var var_mean linalg_vector_norm cumsum cumprod
 logcumsumexp cummax cummin any all argmax argmin sort topk median nanmedian mode kthvalue count_nonzero"""
VIEWS = """view _unsafe_view _reshape_alias expand permute transpose t squeeze unsqueeze slice select split split_with_sizes unbind
 diagonal unfold cat stack flip roll repeat constant_pad_nd tril triu"""
INDEXING = """index gather index_select scatter scatter_add scatter_reduce index_put index_add index_fill masked_select nonzero
 masked_scatter searchsorted bucketize take isin"""
LOSSES = """nll_loss_forward nll_loss2d_forward binary_cross_entropy binary_cross_entropy_with_logits mse_loss smooth_l1_loss
 huber_loss soft_margin_loss multi_margin_loss multilabel_margin_loss_forward"""
PRODUCTS = "mm bmm addmm dot mv addmv addbmm baddbmm _cdist_forward _euclidean_dist linalg_cross"
MAKERS = "zeros ones full zeros_like ones_like full_like new_zeros new_ones new_full scalar_tensor arange linspace eye"
PACKETS = frozenset(" ".join((POINTWISE, REDUCTIONS, VIEWS, INDEXING, LOSSES, PRODUCTS, MAKERS)).split())
"""The ATen operations that losses are made of, in place too. None reads a file, draws a number, or shows memory as it finds it."""
NAME = re.compile(r"aten\.([A-Za-z0-9_]{1,60})\.([A-Za-z0-9_]{1,60})", re.ASCII)

Argument: TypeAlias = Any
"""None, a truth value, a number, a word, a dtype, a memory format, a `Slot`, `HERE`, or a tuple of such."""


@dataclass(frozen=True)
class Slot:
    """A tensor of a recording, by its place among raw outputs, constants, and what the operations gave."""

    place: int


@dataclass(frozen=True)
class Here:
    """The device of the raw outputs, whatever it was when the loss was recorded."""


HERE = Here()


@dataclass(frozen=True)
class Operation:
    """One call. `gave`: where what it gives goes; `gradient`: whether gradients flow through it."""

    name: str
    args: tuple[Argument, ...]
    kwargs: tuple[tuple[str, Argument], ...]
    gave: tuple[int, ...]
    gradient: bool

    def slots(self) -> list[int]:
        """The places that it reads."""
        found: list[int] = []
        _walk((self.args, tuple(value for _, value in self.kwargs)), found)
        return found


def _walk(value: Argument, into: list[int]) -> None:
    if isinstance(value, Slot):
        into.append(value.place)
    elif isinstance(value, tuple):
        for part in value:
            _walk(part, into)


def is_liftable(name: str) -> bool:
    """Whether an operation, "aten.mul.Tensor", is one of those that losses are made of."""
    match = NAME.fullmatch(name)
    if match is None:
        return False
    packet = match[1]
    in_place = packet.endswith("_") and not packet.endswith("__")
    return (packet[:-1] if in_place else packet) in PACKETS


@cache
def resolved(name: str) -> Any:
    """torch's own operation of a name; ValueError for one that losses are not made of, or that this torch does not have."""
    match = NAME.fullmatch(name)
    if match is None or not is_liftable(name):
        raise ValueError(f"'{name}' is none of the operations that losses are made of")
    try:
        found = getattr(getattr(torch.ops.aten, match[1]), match[2])
    except AttributeError:
        found = None
    if not isinstance(found, torch._ops.OpOverload):
        raise ValueError(f"'{name}' is no operation of torch {torch.__version__}")
    if torch.Tag.nondeterministic_seeded in found.tags or any(
        one.name == "generator" for one in found._schema.arguments
    ):
        raise ValueError(f"'{name}' draws random numbers")
    return found


def filled(
    value: Argument, slots: Sequence[Tensor] | Mapping[int, Tensor], device: torch.device, to: torch.dtype | None
) -> Any:
    """An argument with its tensors in place; with `to`, every lower float that an operation is told is raised to it."""
    if isinstance(value, Slot):
        return slots[value.place]
    if isinstance(value, tuple):
        return [filled(part, slots, device, to) for part in value]
    if isinstance(value, Here):
        return device
    if isinstance(value, torch.dtype) and to is not None and value.is_floating_point and value in lower_than(to):
        return to
    return value


def written(noted_args: Sequence[Any], noted_kwargs: Mapping[str, Any], place: Callable[[Tensor], int]) -> Any:
    """Arguments of a call as they are kept; ValueError for what has no place in plain data."""
    return tuple(_kept(value, place) for value in noted_args), tuple(
        (name, _kept(value, place)) for name, value in noted_kwargs.items() if not _idle(name, value)
    )


def _idle(name: str, value: Any) -> bool:
    """Options that say nothing about the numbers."""
    return name in ("pin_memory", "layout") and (value in (None, False) or value is torch.strided)


def _kept(value: Any, place: Callable[[Tensor], int]) -> Argument:
    if isinstance(value, Tensor):
        return Slot(place(value))
    if value is None or isinstance(value, bool | int | float | str | torch.dtype | torch.memory_format):
        return value
    if isinstance(value, torch.device):
        return HERE
    if isinstance(value, list | tuple):
        return tuple(_kept(part, place) for part in value)
    raise ValueError(f"an argument of type {type(value).__name__}")
