"""What each operation of torch is on paper, value and gradient, against torch itself; a rule that is changed is noticed."""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from flint import arb
from torch import Tensor
from torch.nn import functional as F

from mlnn.proving.balls import Evaluation, UnsureError, digits
from mlnn.proving.graph import Graph
from mlnn.proving.pointwise import POINTWISE
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.reductions import SHAPED
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.tracing import UntracedError, traced

Function = Callable[[Tensor, Tensor], Tensor]
BCE = F.binary_cross_entropy_with_logits


def in_place(z: Tensor, y: Tensor) -> Tensor:
    found = z.clone()
    found[:, 1:] *= 2
    found[y > 0] = 0.5
    found.clamp_(-1, 1).add_(y)
    return found * z


def masked(z: Tensor, y: Tensor) -> Tensor:
    found = z.clone()
    found[z > 0.1] = 0.5
    found[y == 1] += 1
    found[:, 1][z[:, 1] < 0] = 7
    return found * z + y * found


def one_hot(z: Tensor, _: Tensor) -> Tensor:
    return -(F.one_hot(torch.tensor([1]), 3) * F.log_softmax(z, 1)).sum(1)


USES: dict[str, Function] = {
    "sums": lambda z, y: torch.add(z, y, alpha=2) - torch.rsub(z, y, alpha=3) + torch.sub(z, y, alpha=4) - z.neg() * z / (2 + y),
    "powers": lambda z, y: z.square() + z.pow(3) + z.exp().pow(2.5) + (2**z) + z.exp() ** y + z.exp().sqrt() + z.exp().rsqrt(),
    "raised": lambda z, y: z ** (2 + 2 * y) + z.clamp(min=0) ** (1 + y) + (z - z) ** y * z + (2 + z) ** -y + z ** (-1 - y),
    "inverses": lambda z, y: (3 + z.abs()).reciprocal() + torch.addcdiv(y, z, 2 + y, value=3) + torch.addcmul(z, z, y, value=2),
    "mixes": lambda z, y: torch.lerp(z, y, 0.3) + torch.lerp(z, 2 * y, z) + z.exp2() + z.expm1(),
    "logs": lambda z, y: (2 + z * z).log() + (z * z).log1p() + (2 + z * z).log2() + (3 + z * z).log10() + y,
    "waves": lambda z, y: z.sin() + z.cos() * y + z.atan() + z.sinh() + z.cosh() + z.tanh(),
    "errors": lambda z, y: z.erf() + z.erfc() * y + torch.special.ndtr(z) + torch.special.log_ndtr(z)
    + torch.special.erfcx(2 * z),
    "gammas": lambda z, y: (2 + z * z).lgamma() + (2 + z * z).digamma() + torch.polygamma(1, 2 + z * z) * y,
    "log-odds": lambda z, y: z.sigmoid().logit() * y + torch.logit(0.2 + 0.5 * z.sigmoid(), 0.3),
    "sigmoids": lambda z, y: z.sigmoid() + F.logsigmoid(z) * y + F.softplus(z, 2, 1) + torch.logaddexp(z, y),
    "kinks": lambda z, y: z.relu() + z.abs() * y + z.sign() + z.sgn() * z + F.threshold(z, 0.2, 5) + torch.heaviside(z.detach(), y),
    "leaks": lambda z, y: F.leaky_relu(z.detach(), 0.1) * z + F.elu(z, 0.7) + F.hardtanh(z.detach(), -0.5, 0.4) * z * y,
    "clamps": lambda z, y: z.clamp(-0.5, 0.6) + z.clamp_min(0.1) * y + z.clamp_max(-0.1) + z.clamp(max=0.3) + z.clamp(y - 1, y),
    "extremes": lambda z, y: torch.maximum(z, y) + torch.minimum(z, y) * z + torch.fmax(z, y * y) + torch.fmin(z, 2 * y),
    "choices": lambda z, y: torch.where(z > 0.1, z, y) + z.masked_fill(z <= y, 7) + (z == y) * z + (z != y) * 3 + (z >= 0) * z
    + (z < 0.1) * z + (z <= y) * z * 2 + (z > y) * y,
    "truths": lambda z, y: ((z > 0) & (y > 0)) * z + ((z < 0) | (y > 0)) * z * 2 + ((z > 0) ^ (y > 0)) * z * 3 + (~(z > y)) * z,
    "logic": lambda z, y: z * torch.logical_and(z > 0, y > 0) + z * torch.logical_or(z < 0, y > 0) * 2
    + z * torch.logical_xor(z > 0, y > 0) * 5 + z * torch.logical_not(z > 0) * 7,
    "entropies": lambda z, y: torch.xlogy(y, z.exp()) + torch.special.xlog1py(y, z * z) + torch.special.entr(z.exp()),
    "bce": lambda z, y: F.binary_cross_entropy(z.sigmoid(), y, weight=2 + y, reduction="none"),
    "bce_with_logits": lambda z, y: BCE(z, y, weight=1 + y, pos_weight=torch.tensor(3.0), reduction="none") + BCE(z, y),
    "distances": lambda z, y: F.mse_loss(z, y, reduction="none") + F.smooth_l1_loss(z, y, beta=0.4, reduction="none")
    + F.huber_loss(z, y, delta=0.3, reduction="none") + F.l1_loss(z, y, reduction="none") + F.smooth_l1_loss(z, y, beta=0),
    "margins": lambda z, y: F.soft_margin_loss(z, 2 * y - 1, reduction="none") + F.soft_margin_loss(z, y),
    "means": lambda z, y: F.mse_loss(z, y) + F.huber_loss(z, y, reduction="sum") + z.mean(1) + z.sum() * y.mean()
    + z.sum(1, keepdim=True),
    "over": lambda z, y: z.amax(1) + z.amin(1) * 2 + z.logsumexp(1) + (y + 2).prod(1) * z.sum()
    + (z > y).any() * z.sum() + (z > y).all() * z.sum(),
    "softmax": lambda z, y: F.softmax(z, 1) * y + F.log_softmax(z, 1) + F.nll_loss(F.log_softmax(z, 1), torch.tensor([2])),
    "none_of_nll": lambda z, _: F.nll_loss(F.log_softmax(z, 1), torch.tensor([1]), reduction="none"),
    "picked": lambda z, _: z.gather(1, torch.tensor([[2, 0]])) * z[:, :2] + z[:, torch.tensor([1, 1])] + z.select(1, 2),
    "joined": lambda z, y: torch.cat([z, y], 1).sin() + torch.stack([z, y], 1).cos().reshape(1, 6),
    "scattered": lambda z, y: z.scatter(1, torch.tensor([[0]]), 5.0) * z + z.scatter(1, torch.tensor([[1]]), y) * z
    + z.scatter_add(1, torch.tensor([[1, 1]]), z[:, :2]) + z.index_put((torch.tensor([0]), torch.tensor([2])), y[0, :1]),
    "in_place": in_place,
    "masked": masked,
    "one_hot": one_hot,
    "arcs": lambda z, y: (z / 2).asin() + (z / 2).acos() * y + torch.atan2(z, y + 1) + z.tan() + torch.atan2(y, z),
    "areas": lambda z, y: z.asinh() + (1 + z.exp()).acosh() + (z / 2).atanh() * y + torch.hypot(z, y + 1) + torch.logaddexp2(z, y),
    "bessel": lambda z, y: torch.special.i0(z) + torch.special.i0e(z) * y + torch.special.i1(z) + torch.special.i1e(z) + z.sinc(),
    "incomplete": lambda z, y: torch.special.gammainc(y + 1, z.exp()) + torch.special.gammaincc(y + 1.5, z.exp()) * z
    + torch.special.erfcx(z),
    "finite": lambda z, y: torch.where(torch.isnan(z), y, z) + torch.isinf(z) * z + torch.nan_to_num(z) * torch.isfinite(z),
    "bends": lambda z, y: F.leaky_relu(z, 0.1) + F.hardtanh(z, -0.5, 0.4) * y + F.hardshrink(z, 0.1) + F.softshrink(z, 0.1),
    "parts": lambda z, y: F.gelu(z) + F.gelu(z, approximate="tanh") * y + F.silu(z) + F.mish(z) + F.celu(z, 0.5)
    + F.layer_norm(z, (3,)) * y,
    "weighted": lambda z, _: F.cross_entropy(z, torch.tensor([2]), weight=torch.tensor([1.0, 2, 3]).double())
    + F.cross_entropy(z, torch.tensor([1]), weight=torch.tensor([1.0, 2, 3]).double(), reduction="none", label_smoothing=0.1),
    "ignored": lambda z, _: F.cross_entropy(z.repeat(2, 1), torch.tensor([2, -100]))
    + F.cross_entropy(z.repeat(2, 1), torch.tensor([2, 1]), ignore_index=1, reduction="sum"),
    "hinges": lambda z, _: F.multi_margin_loss(z, torch.tensor([2]), p=2, margin=0.7, reduction="none")
    + F.multi_margin_loss(z, torch.tensor([1])),
    "products": lambda z, y: torch.einsum("nk,nk->n", z, y + z) + (z @ (y + z).T).sum() + torch.dot(z[0], y[0]),
    "spread": lambda z, y: z.var(1) + z.std(1, correction=0) + torch.var_mean(z * y + z, 1)[0]
    + torch.linalg.vector_norm(z - 2),
    "scans": lambda z, y: z.cumsum(1) * y + z.logcumsumexp(1) + (z.detach() + 2).cumprod(1) * z,
    "turned": lambda z, y: z.flip(1) * y + z.roll(1, 1) * z + F.pad(z, (1, 1))[:, :3] + z.repeat(2, 1)[1:] * z
    + z.detach().tril() * z + z.detach().triu() * y,
    "largest": lambda z, y: z.max(1).values + z.min(1, keepdim=True).values * y[:, :1]
    + torch.zeros_like(z).scatter(1, z.argmax(1, keepdim=True), 2.0) * z,
    "without": lambda z, y: torch.logsumexp(z.masked_fill(y.bool(), -torch.inf), 1)
    + F.softmax(z.masked_fill(y > 1, -torch.inf), 1),
    "checked": lambda z, y: torch.distributions.Bernoulli(probs=z.sigmoid(), validate_args=True).log_prob(y)
    + torch.distributions.OneHotCategorical(logits=z, validate_args=True).log_prob(F.one_hot(torch.tensor([1]), 3).double()),
}  # fmt: skip
"""Each uses some operations; every rule is used by one of them."""


ACCURACY = {"gammas": 1e-9}
"""torch's polygamma has ten digits."""


def difference(use: str, seed: int = 0) -> float:
    """The largest distance of values and gradients on paper from torch's own, relative."""
    draws = random.Random(f"{use} {seed}")
    z = torch.tensor([[draws.uniform(-0.9, 0.9) for _ in range(3)]], dtype=torch.float64)
    y = torch.tensor([[draws.choice((0.0, 1.0)) for _ in range(3)]], dtype=torch.float64)
    graph = Graph()
    values, gradients, _ = traced(USES[use], z, y, graph)
    leaf = z.clone().requires_grad_()
    wanted = USES[use](leaf, y)
    (slope,) = torch.autograd.grad(wanted.sum(), leaf)
    numbers = {("z", place): graph.const(one) for place, one in enumerate(z.flatten().tolist())}
    numbers |= {("y", place): graph.const(one) for place, one in enumerate(y.flatten().tolist())}
    roots = rebuilt(graph, (*values, *gradients), graph, numbers)
    with digits(128, 2):
        at = Evaluation(graph, arb(0), {}, 2)
        found = [float(at[root][0].mid()) for root in roots]
    told = torch.cat([wanted.detach().flatten(), slope.flatten()])
    return float(((torch.tensor(found, dtype=torch.float64) - told).abs() / (1 + told.abs())).max())


def is_noticed(use: str, seed: int = 0) -> bool:
    """Whether something is wrong with what an operation is on paper: other numbers, or none."""
    try:
        return not difference(use, seed) < ACCURACY.get(use, 1e-12)
    except (OutsideError, VagueError, UnsureError, UntracedError):
        return True


@pytest.mark.parametrize("use", USES)
def test_an_operation_is_on_paper_what_torch_computes(use: str) -> None:
    assert max(difference(use, seed) for seed in range(3)) < ACCURACY.get(use, 1e-12)


TABLES: dict[str, dict[str, Callable[..., Any]]] = {"entry by entry": POINTWISE, "across entries": SHAPED}


def users(table: dict[str, Callable[..., Any]], monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """By rule, what uses it."""
    used: dict[str, list[str]] = {name: [] for name in table}
    now: list[str] = []

    def noted(name: str, rule: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        used[name] += now
        return rule(*args, **kwargs)

    for name, rule in table.items():
        monkeypatch.setitem(table, name, partial(noted, name, rule))
    for use in USES:
        now[:] = [use]
        difference(use)
    monkeypatch.undo()
    return used


def wrong(rule: Callable[..., Any], at: Any, *args: Any, **kwargs: Any) -> Any:
    """A rule, off by a millionth."""
    found = rule(at, *args, **kwargs)
    if isinstance(found, int):
        return at.linear([(1, found)], 2**-20)
    moved = [at.graph.linear([(1, one)], 2**-20) for one in found[0].flatten().tolist()]
    return [torch.tensor(moved).reshape(found[0].shape), *found[1:]]


@pytest.mark.sampled(2, 1)
@pytest.mark.parametrize("kind", TABLES)
def test_every_rule_is_used_and_one_that_is_wrong_is_noticed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = TABLES[kind]
    used = users(table, monkeypatch)
    assert [name for name, uses in used.items() if not uses] == []
    rules_of = Counter(use for uses in used.values() for use in set(uses))
    for name, rule in list(table.items()):
        monkeypatch.setitem(table, name, partial(wrong, rule))
        quick = sorted(set(used[name]), key=lambda use: (rules_of[use], use))
        assert any(is_noticed(use, seed) for use in quick for seed in range(3)), name
        monkeypatch.undo()
