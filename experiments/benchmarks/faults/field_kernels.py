"""Hand-written kernels that upcast: one fused cross-entropy with its own backward, right, and wrong in one place each."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from faults.causes import GRADIENT
from faults.pair import BY_BATCH, Function, Pair, equal, fault

SMOOTHING, PENALTY, CAP = 0.1, 1e-2, 5.0


class _Kernel(torch.autograd.Function):
    """Cross-entropy per row of z (n, K) in float32: smoothing, a penalty on the squared log-partition, a soft cap.

    The softmax is made anew in the backward pass from saved outputs and log-partition, as fused kernels do.
    """

    @staticmethod
    def forward(ctx, z, y, smoothing, penalty, cap, wrong):  # type: ignore[no-untyped-def]
        inner = z.float()
        if cap:
            inner = cap * torch.tanh(inner / cap)
        largest = inner.amax(-1)
        partition = (inner - largest[:, None]).exp().sum(-1).log()
        picked = inner.gather(-1, y[:, None]).squeeze(-1)
        others = inner.shape[-1]
        value = partition + largest - (1 - smoothing) * picked - smoothing * inner.mean(-1)
        if wrong == "K - 1":
            value = partition + largest - (1 - smoothing) * picked - smoothing * (inner.sum(-1) - picked) / (others - 1)
        ctx.save_for_backward(inner, y, largest, partition)
        ctx.settings = smoothing, penalty, cap, wrong
        return (value + penalty * (partition + largest) ** 2).to(z.dtype)

    @staticmethod
    def backward(ctx, upstream):  # type: ignore[no-untyped-def]
        inner, y, largest, partition = ctx.saved_tensors
        smoothing, penalty, cap, wrong = ctx.settings
        if wrong == "another row's largest":
            largest = largest[:1].expand_as(largest)
        p = (inner - (largest + partition)[:, None]).exp()
        if wrong == "small ones dropped":
            p = torch.where(p < 1e-3, 0.0, p)
        target = _target(y, inner, smoothing, wrong)
        if wrong != "penalty left out":
            p = p * (1 + 2 * penalty * (partition + largest))[:, None]
        slope = p - target
        if cap and wrong != "cap left out":
            slope = slope * (1 - (inner / cap) ** 2)
        scale = {"not multiplied": torch.ones_like(upstream), "first row's": upstream[:1].expand_as(upstream)}
        slope = slope * scale.get(wrong, upstream).float()[:, None]
        return slope.to(upstream.dtype), None, None, None, None, None


def _target(y: Tensor, inner: Tensor, smoothing: float, wrong: str) -> Tensor:
    """The smoothed target of the backward pass."""
    classes = inner.shape[-1]
    hot = F.one_hot(y, classes).to(inner)
    if wrong in ("K - 1", "K - 1 in the backward"):
        return (1 - smoothing) * hot + smoothing * (1 - hot) / (classes - 1)
    return (1 - smoothing) * hot + smoothing / classes


def kernel(
    z: Tensor, y: Tensor, smoothing: float = 0.0, penalty: float = 0.0, cap: float = 0.0, wrong: str = ""
) -> Tensor:
    apply: Function = _Kernel.apply
    return apply(z, y, smoothing, penalty, cap, wrong)


def plain(z: Tensor, y: Tensor, smoothing: float = 0.0, penalty: float = 0.0, cap: float = 0.0) -> Tensor:
    """The same by autograd, in the precision it is given."""
    if cap:
        z = cap * torch.tanh(z / cap)
    value = F.cross_entropy(z, y, reduction="none", label_smoothing=smoothing)
    return value + penalty * torch.logsumexp(z, -1) ** 2


class _Mean(torch.autograd.Function):
    """The mean over rows, its gradient made in the forward pass, as fused kernels that save memory do."""

    @staticmethod
    def forward(ctx, z, y, divided):  # type: ignore[no-untyped-def]
        logs = torch.log_softmax(z.float(), -1)
        slope = logs.exp()
        slope[torch.arange(len(y)), y] -= 1.0
        ctx.save_for_backward(slope / len(y) if divided else slope)
        return F.nll_loss(logs, y).to(z.dtype)

    @staticmethod
    def backward(ctx, upstream):  # type: ignore[no-untyped-def]
        (slope,) = ctx.saved_tensors
        return (slope * upstream.float()).to(upstream.dtype), None, None


def mean_kernel(z: Tensor, y: Tensor, divided: bool = True) -> Tensor:
    apply: Function = _Mean.apply
    return apply(z, y, divided)


def mean_of_rows(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y)


def after_weights(z: Tensor, y: Tensor, weight: Tensor, rows: Function) -> Tensor:
    """A kernel per row under weights of the rows: its upstream gradient is not uniform."""
    return (rows(z, y) * weight).sum() / weight.sum()


def row_weights(draws: torch.Generator, rows: int) -> dict[str, Tensor]:
    return {"weight": 0.1 + 2 * torch.rand(rows, generator=draws, dtype=torch.float64)}


def _same(name: str, note: str, targets: str = "classes(7)", far: bool = False, **settings: Any) -> Pair:
    """`far`: it loses its accuracy far out."""
    left, right, inside = partial(plain, **settings), partial(kernel, **settings), ("float64", "float32")
    return equal(f"kernel: {name}", targets, left, right, note, inside=inside, family="field", partial=far)


def _wrong(name: str, wrong: str, note: str, settings: dict[str, Any] | None = None, **more: Any) -> Pair:
    left, right = partial(plain, **settings or {}), partial(kernel, wrong=wrong, **settings or {})
    more = {"targets": "classes(7)", "inside": ("float64", "float32"), "family": "field"} | more
    return fault(f"kernel: {name}", more.pop("targets"), left, right, note, **more)


ALL: dict[str, Any] = {"smoothing": SMOOTHING, "penalty": PENALTY, "cap": CAP}
PAIRS = (
    _same("plain", "a fused kernel that upcasts, with its own backward"),
    _same("many classes", "the same over 1000 classes", "classes(1000)"),
    _same("smoothing", "Liger-Kernel#198: smoothing over all K classes", smoothing=SMOOTHING),
    _same("log-partition penalty", "Liger-Kernel#239: z-loss inside the kernel", penalty=PENALTY),
    _same("soft cap", "Liger-Kernel#423: tanh cap inside the kernel", cap=CAP),
    _same("smoothing, penalty and cap", "all options at once; 1 − (c/30)² cancels in float32 once the cap is reached", far=True,
          **ALL),
    equal("kernel: mean made in the forward", "classes(7)", mean_of_rows, mean_kernel, "gradient made in the forward pass",
          inside=("float64", "float32"), family="field"),
    equal("kernel: under row weights", "classes(7)", partial(after_weights, rows=plain),
          partial(after_weights, rows=kernel), "reduction='none', then weights", inside=("float64", "float32"),
          family="field", extras=row_weights),
    _wrong("small probabilities dropped", "small ones dropped", "backward zeroes softmax entries below 1e-3", size=1e-3,
           cause=rf"1e-3|0\.001|small|{GRADIENT}"),
    _wrong("another row's largest", "another row's largest", "the first row's maximum taken off in the backward only",
           cause=rf"couples|another row|{GRADIENT}"),
    _wrong("upstream not multiplied", "not multiplied", "grad_output taken for 1 per row", relations=BY_BATCH,
           cause=rf"factor|rows|sum|upstream|{GRADIENT}"),
    _wrong("first row's upstream", "first row's", "Liger-Kernel#1298, #968: grad_output[0] for every row",
           cause=rf"upstream|first row|{GRADIENT}"),
    fault("kernel: first row's upstream, weighted", "classes(7)", partial(after_weights, rows=plain),
          partial(after_weights, rows=partial(kernel, wrong="first row's")), "the same once rows are weighted",
          inside=("float64", "float32"), family="field", extras=row_weights, cause=rf"upstream|first row|weight|{GRADIENT}"),
    fault("kernel: mean not divided", "classes(7)", mean_of_rows, partial(mean_kernel, divided=False),
          "1/n missing in the backward", inside=("float64", "float32"), family="field", relations=BY_BATCH,
          cause=rf"factor|rows|sum|{GRADIENT}"),
    _wrong("smoothing over K - 1", "K - 1", "ε spread over the other classes only: pytorch#7455, mlx#166",
           {"smoothing": SMOOTHING}, size=2e-2, cause=r"smooth"),
    _wrong("smoothing over K - 1 in the backward", "K - 1 in the backward", "forward over K, backward over K − 1",
           {"smoothing": SMOOTHING}, size=2e-2, cause=rf"smooth|{GRADIENT}"),
    _wrong("penalty left out of the gradient", "penalty left out", "z-loss in the value only", {"penalty": PENALTY},
           size=2e-2, cause=GRADIENT),
    _wrong("cap left out of the gradient", "cap left out", "tanh' forgotten in the backward", {"cap": CAP}, size=2e-2,
           cause=GRADIENT),
)  # fmt: skip
