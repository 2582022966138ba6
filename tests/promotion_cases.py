"""Losses that compute in a lower float than they are given, by every way a cast can hide; and kernels no dispatch sees."""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

f32, bf16 = torch.float32, torch.bfloat16
WEIGHT, WORKSPACE = torch.tensor([0.2, 0.3, 0.5]), torch.zeros(64, 3)
EYE = torch.eye(3)
Loss = Callable[[Tensor, Tensor], Tensor]


def ce(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, reduction="none")


def kernel(small: float = 0.0, factor: float = 1.0) -> Loss:
    """A cross-entropy with a backward of its own that upcasts; softmax entries below `small` are lost, gradients × factor."""

    class Kernel(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Tensor, y: Tensor) -> Tensor:
            raised = z.float()
            ctx.given = z.dtype
            ctx.save_for_backward(raised.softmax(1), y)
            return ce(raised, y)

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
            p, y = ctx.saved_tensors
            slope = factor * torch.where(p < small, 0.0, p) - F.one_hot(y, p.shape[1])
            return (slope * upstream.to(f32)[:, None]).to(ctx.given), None

    return lambda z, y: Kernel.apply(z, y)


class Weighted(nn.Module):
    """Class weights in a float32 buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", WEIGHT.clone())

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(z.float(), y, weight=self.weight.float())


def into_a_workspace(z: Tensor, y: Tensor) -> Tensor:
    part = WORKSPACE[: len(z)].detach()
    part.copy_(z)
    return ce(part, y)


def into_out(z: Tensor, y: Tensor) -> Tensor:
    total = torch.empty(len(z), dtype=f32)
    with torch.no_grad():
        torch.logsumexp(z.detach(), 1, out=total)
    exact = z.logsumexp(1)
    return exact - z.gather(1, y[:, None])[:, 0] + (total - exact.detach())


def under_autocast(z: Tensor, y: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=bf16):
        lowered = F.linear(z.float(), EYE)
    return ce(lowered.float(), y)


LOWERED: dict[str, tuple[Loss, str]] = {
    ".float()": (lambda z, y: ce(z.float(), y), "float32"),
    ".half()": (lambda z, y: ce(z.half(), y), "float16"),
    ".to": (lambda z, y: ce(z.to(f32), y), "float32"),
    ".type": (lambda z, y: ce(z.type("torch.FloatTensor"), y), "float32"),
    ".type_as": (lambda z, y: ce(z.type_as(WEIGHT), y), "float32"),
    "a mean of float64": (lambda z, y: ce(z, y).mean(dtype=f32), "float32"),
    "log_softmax(dtype=)": (lambda z, y: F.nll_loss(F.log_softmax(z, 1, dtype=f32), y), "float32"),
    "sum(dtype=)": (lambda z, y: z.logsumexp(1).sum(dtype=f32) - z.gather(1, y[:, None]).sum(dtype=f32), "float32"),
    "there and back": (lambda z, y: ce(z.float().double(), y), "float32"),
    "a constant": (lambda z, y: ce(z * torch.tensor(0.1) * 10, y), "float32"),
    "a constant that says so": (lambda z, y: ce(z * torch.tensor(0.1, dtype=f32) * 10, y), "float32"),
    "a custom backward": (kernel(), "float32"),
    "a buffer": (Weighted(), "float32"),
    "an empty one, filled": (lambda z, y: ce(torch.empty(z.shape, dtype=f32).copy_(z), y), "float32"),
    "a workspace": (into_a_workspace, "float32"),
    "out=": (into_out, "float32"),
    "autocast": (under_autocast, "bfloat16"),
    "checkpointing": (lambda z, y: checkpoint(lambda a: ce(a.float(), y), z, use_reentrant=False), "float32"),
    "bfloat16 on purpose": (lambda z, y: ce(z.to(bf16).float(), y), "bfloat16"),
    "class weights that torch refuses": (lambda z, y: F.cross_entropy(z, y, weight=WEIGHT), "float32"),
}
"""Each is a cross-entropy of three classes, and what it computes in."""


class _Numpy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, y: Tensor) -> Tensor:
        raw = z.detach().numpy().astype(np.float32)
        p = np.exp(raw - raw.max(1, keepdims=True))
        total = p.sum(1, keepdims=True)
        ctx.given, ctx.p, ctx.y = z.dtype, p / total, y
        value = np.log(total[:, 0]) + raw.max(1) - raw[np.arange(len(raw)), y.numpy()]
        return torch.from_numpy(value).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        slope = torch.from_numpy(ctx.p) - F.one_hot(ctx.y, ctx.p.shape[1])
        return (slope * upstream.float()[:, None]).to(ctx.given), None


def by_numpy(z: Tensor, y: Tensor) -> Tensor:
    """In float32 whatever it is given, where no dispatch sees it."""
    value: Tensor = _Numpy.apply(z, y)
    return value


@torch.library.custom_op("mlnn_tests::cross_entropy", mutates_args=())
def _op(z: Tensor, y: Tensor) -> list[Tensor]:
    raised = z.float()
    slope = raised.softmax(1) - F.one_hot(y, z.shape[1])
    return [ce(raised, y).to(z.dtype), slope.to(z.dtype)]


_op.register_autograd(
    lambda ctx, grads: (ctx.saved_tensors[0] * grads[0][:, None], None),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(output[1]),  # noqa: ARG005 - given by name
)


def by_custom_op(z: Tensor, y: Tensor) -> Tensor:
    """The casts are inside an op that is one to every dispatch mode."""
    value: Tensor = _op(z, y)[0]
    return value


SOURCE = """
#include <math.h>
void cross_entropy(const float *z, const long *y, float *value, float *slope, long n, long k, float small, float factor) {
    for (long i = 0; i < n; i++) {
        const float *row = z + i * k;
        float most = row[0], sum = 0;
        for (long j = 1; j < k; j++) if (row[j] > most) most = row[j];
        for (long j = 0; j < k; j++) sum += expf(row[j] - most);
        value[i] = logf(sum) + most - row[y[i]];
        for (long j = 0; j < k; j++) {
            float p = expf(row[j] - most) / sum;
            slope[i * k + j] = (p < small ? 0 : factor * p) - (j == y[i]);
        }
    }
}
"""
HAS_GCC = shutil.which("gcc") is not None


@cache
def library(folder: Path) -> ctypes.CDLL:
    """The kernel in C, compiled."""
    (folder / "kernel.c").write_text(SOURCE)
    subprocess.run(
        ["gcc", "-O2", "-shared", "-fPIC", "-o", "kernel.so", "kernel.c", "-lm"], cwd=folder, check=True, timeout=60
    )
    return ctypes.CDLL(str(folder / "kernel.so"))


def in_c(folder: Path, small: float = 0.0, factor: float = 1.0) -> Loss:
    """A cross-entropy in C on float32, behind a pointer. Promoted, it would read float64 numbers as float32 ones."""
    run = library(folder).cross_entropy

    class Compiled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Tensor, y: Tensor) -> Tensor:
            raised = z.detach().float().contiguous()
            value, slope = torch.zeros(len(z), dtype=f32), torch.zeros_like(raised)
            places = [ctypes.c_void_p(t.data_ptr()) for t in (raised, y, value, slope)]
            sizes = [ctypes.c_long(size) for size in z.shape]
            run(*places, *sizes, ctypes.c_float(small), ctypes.c_float(factor))
            ctx.given = z.dtype
            ctx.save_for_backward(slope)
            return value.to(z.dtype)

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
            (slope,) = ctx.saved_tensors
            return (slope * upstream.float()[:, None]).to(ctx.given), None

    return lambda z, y: Compiled.apply(z, y)
