"""Two losses of a raw output and a soft label, equal by an identity or wrong on a little of the rectangle: what is proved of them?

python experiments/benchmarks/proof_plane.py [pairs=60] [seed=0] [start=0]: a line for each pair, then how many got which answer

Equal pairs are an identity of two functions of z and y, inside of something that both sides share. Unequal ones have a fault:
a bump or a ridge, an edge or one label at which they are wrong, a gradient that is off in a region. An answer is wrong where an
equal pair is called different, an unequal one proved, or a stored proof is not found again by the replay.
"""

import math
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import mlnn
from mlnn.proving import Proof
from mlnn.proving.replay import replay

Loss = Callable[[Tensor, Tensor], Tensor]
Two = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of two numbers u and v, and of the label."""
HEIGHT = 1e-9


@dataclass(frozen=True)
class Pair:
    """Two losses on an interval of raw outputs. `equal`: whether they are; `what`: by which identity, and with which fault."""

    name: str
    equal: bool
    what: str
    domain: tuple[float, float]
    left: Loss
    right: Loss


def soft(u: Tensor) -> Tensor:
    return F.softplus(u, threshold=1e9)


def _huber(u: Tensor) -> Tensor:
    return torch.where(u.abs() < 1, 0.5 * u * u, u.abs() - 0.5)


SMOOTH: dict[str, tuple[Two, Two]] = {
    "a sine of twice": (lambda u, _v, _y: torch.sin(2 * u), lambda u, _v, _y: 2 * torch.sin(u) * torch.cos(u)),
    "product to sum": (
        lambda u, v, _y: torch.sin(u) * torch.cos(v),
        lambda u, v, _y: (torch.sin(u + v) + torch.sin(u - v)) / 2,
    ),
    "an angle": (lambda u, _v, _y: torch.atan(torch.sinh(u / 2)), lambda u, _v, _y: 2 * torch.atan(torch.tanh(u / 4))),
    "a logarithm of a power": (
        lambda u, _v, y: torch.log((1 + u * u) ** (1 + y)),
        lambda u, _v, y: (1 + y) * torch.log(1 + u * u),
    ),
    "two softpluses": (
        lambda u, v, _y: torch.log(1 + torch.exp(u) + torch.exp(v) + torch.exp(u + v)),
        lambda u, v, _y: soft(u) + soft(v),
    ),
    "a tangent of a sum": (
        lambda u, v, _y: torch.tanh((u + v) / 4),
        lambda u, v, _y: (torch.tanh(u / 4) + torch.tanh(v / 4)) / (1 + torch.tanh(u / 4) * torch.tanh(v / 4)),
    ),
    "a completed square": (
        lambda u, v, _y: torch.exp((2 * u * v - u * u) / 8),
        lambda u, v, _y: torch.exp(v * v / 8) * torch.exp(-(((u - v) / 4) ** 2) * 2),
    ),
    "a mixture": (
        lambda u, _v, y: -torch.log(y * torch.sigmoid(u) + (1 - y) * torch.sigmoid(-u)),
        lambda u, _v, y: soft(u) - torch.log(1 - y + y * torch.exp(u)),
    ),
    "smoothed in a logarithm": (
        lambda u, _v, y: -torch.log(0.05 + 0.9 * (y * torch.sigmoid(u) + (1 - y) * torch.sigmoid(-u))),
        lambda u, _v, y: soft(u) - torch.log(0.05 * (1 + torch.exp(u)) + 0.9 * (y * torch.exp(u) + 1 - y)),
    ),
    "a hyperbolic cosine": (
        lambda u, _v, _y: torch.log(torch.cosh(u)),
        lambda u, _v, _y: soft(2 * u) - u - math.log(2),
    ),
    "a root": (lambda u, _v, _y: torch.sqrt(1 + u * u), lambda u, _v, _y: torch.exp(0.5 * torch.log1p(u * u))),
    "Jensen–Shannon": (
        lambda u, v, _y: torch.logaddexp(u, v) - (u + v) / 2,
        lambda u, v, _y: math.log(2) + torch.log(torch.cosh((u - v) / 2)),
    ),
}
KINKED: dict[str, tuple[Two, Two]] = {
    "a clamp": (lambda u, _v, _y: u.clamp(-1, 1), lambda u, _v, _y: torch.relu(u + 1) - torch.relu(u - 1) - 1),
    "a size": (lambda u, _v, _y: u.abs(), lambda u, _v, _y: torch.relu(u) + torch.relu(-u)),
    "the larger": (lambda u, v, _y: torch.maximum(u, v), lambda u, v, _y: (u + v + (u - v).abs()) / 2),
    "Huber's": (
        lambda u, _v, _y: _huber(u),
        lambda u, _v, _y: 0.5 * u.abs().clamp(max=1) ** 2 + torch.relu(u.abs() - 1),
    ),
    "a leaky unit": (
        lambda u, _v, _y: F.leaky_relu(u, 0.25),
        lambda u, _v, _y: torch.where(u > 0, u, 0.25 * u),
    ),
    "a softplus by cases": (
        lambda u, _v, _y: torch.relu(u) + torch.log1p(torch.exp(-u.abs())),
        lambda u, _v, _y: soft(u),
    ),
    "a hinge of a wave": (
        lambda u, v, _y: torch.relu(u - v) * torch.sin(2 * u),
        lambda u, v, _y: 2 * torch.relu(u - v) * torch.sin(u) * torch.cos(u),
    ),
}
IDENTITIES = SMOOTH | KINKED
INNER: dict[str, Loss] = {
    "z + y²": lambda z, y: z + y * y,
    "z·y + y": lambda z, y: z * y + y,
    "(1 − 2y)·z + y²": lambda z, y: (1 - 2 * y) * z + y * y,
    "z − 4y": lambda z, y: z - 4 * y,
    "z·(1 + y²)/2": lambda z, y: z * (1 + y * y) / 2,
    "z + y/3": lambda z, y: z + y / 3,
}
OUTER: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "itself": lambda f, _z, _y: f,
    "beside a likelihood": lambda f, z, y: f + soft(z) - y * z,
    "times a weight of y": lambda f, _z, y: (1 + y) * f,
    "in a softplus": lambda f, _z, _y: soft(f / 4),
    "times one of z": lambda f, z, _y: f * torch.sigmoid(z),
}
DOMAINS = ((-1.0, 1.0), (-3.0, 3.0), (-8.0, 8.0))


def _written(identity: Two, u: Loss, v: Loss, outer: str) -> Loss:
    return lambda z, y: OUTER[outer](identity(u(z, y), v(z, y), y), z, y)


def _bell(z: Tensor, y: Tensor, at: tuple[float, float], wide: float) -> Tensor:
    return torch.exp(-(((y - at[1]) / wide) ** 2) - ((z - at[0]) / wide) ** 2)


def _hat(z: Tensor, y: Tensor, at: tuple[float, float], wide: float) -> Tensor:
    return torch.relu(1 - ((z - at[0]).abs() + (y - at[1]).abs()) / wide)


def by_gradient(loss: Loss, off: Loss) -> Loss:
    """The same values, with gradients off by something."""
    return lambda z, y: loss(z, y) + off(z.detach(), y) * (z - z.detach())


class Clipped(torch.autograd.Function):
    """A number as it is, with a gradient of it that is clipped."""

    @staticmethod
    def forward(_ctx: Any, z: Tensor) -> Tensor:
        return z.clone()

    @staticmethod
    def backward(_ctx: Any, up: Tensor) -> Tensor:
        return up.clamp(-0.3, 0.3)


_clipped: Callable[[Tensor], Tensor] = Clipped.apply
Place = tuple[float, float]
FAULTS: dict[str, Callable[[Loss, Place, float], Loss]] = {
    "a bump": lambda f, at, wide: lambda z, y: f(z, y) + HEIGHT * _bell(z, y, at, wide),
    "a hat": lambda f, at, wide: lambda z, y: f(z, y) + HEIGHT * _hat(z, y, at, wide),
    "a ridge": lambda f, at, wide: lambda z, y: (
        f(z, y) + HEIGHT * torch.exp(-(((z - at[0] - y + at[1]) / wide) ** 2))
    ),
    "the label 0": lambda f, _at, _wide: lambda z, y: f(z, y) + 1e-3 * z * (y == 0),
    "the label 1": lambda f, _at, _wide: by_gradient(f, lambda _z, y: 1e-3 * (y == 1)),
    "one label": lambda f, _at, _wide: lambda z, y: f(z, y) + 1e-3 * z * (y == 0.25),
    "a gradient in a bump": lambda f, at, wide: by_gradient(f, lambda z, y: HEIGHT * _bell(z, y, at, wide)),
    "a gradient in a hat": lambda f, at, wide: by_gradient(f, lambda z, y: 1e-3 * _hat(z, y, at, 10 * wide)),
    "a gradient beyond a curve": lambda f, at, _wide: by_gradient(f, lambda z, y: 1e-3 * (z > at[0] + y - at[1])),
    "a gradient of a band of labels": lambda f, at, wide: by_gradient(
        f, lambda _z, y: 1e-3 * ((y - at[1]).abs() < wide)
    ),
    "a clipped gradient": lambda f, _at, _wide: lambda z, y: f(_clipped(z), y),
    "a detached part": lambda f, _at, _wide: lambda z, y: f(z, y) + y * (1 - y) * (torch.sin(z) - torch.sin(z)).detach()
    + (y * torch.sin(z)).detach() - y * torch.sin(z).detach() + 0.1 * (y * z * z - (y * z * z).detach()),
}  # fmt: skip


def pairs(count: int = 60, seed: int = 0) -> Iterator[Pair]:
    """One equal pair and one with a fault in turn, every identity and every fault over and over."""
    for number in range(count):
        draws = random.Random(seed + number)
        name = [*IDENTITIES][(number // 2 + seed) % len(IDENTITIES)]
        inner, other = draws.sample([*INNER], 2)
        outer, domain = draws.choice([*OUTER]), draws.choice(DOMAINS)
        left, right = (_written(one, INNER[inner], INNER[other], outer) for one in IDENTITIES[name])
        if draws.random() < 0.5:
            left, right = right, left
        told = f"{name} of {inner}, {other}, {outer}"
        if number % 2 == 0:
            yield Pair(f"{number}", True, told, domain, left, right)
            continue
        fault = [*FAULTS][(number // 2 + seed) % len(FAULTS)]
        at = draws.uniform(*domain) * 0.95, draws.uniform(0.05, 0.95)
        wide = 10 ** draws.uniform(-4, -1)
        yield Pair(f"{number}", False, f"{fault}: {told}", domain, left, FAULTS[fault](right, at, wide))


def judged(pair: Pair, found: Proof) -> str:
    """What is wrong with an answer, nothing if it is right."""
    if found.answer == ("differs" if pair.equal else "proved"):
        return "WRONG"
    return "" if found.answer != "proved" or replay(found).holds else "NOT REPLAYED"


def main(count: int, seed: int, start: int) -> None:
    counts, slow = Counter[tuple[bool, str]](), []
    for pair in [*pairs(count, seed)][start:]:
        begun = time.process_time()
        found = mlnn.prove(pair.left, pair.right, "unit", domain=pair.domain)
        spent = time.process_time() - begun
        wrong = judged(pair, found)
        again = time.process_time() - begun - spent
        counts[pair.equal, wrong or found.answer] += 1
        slow.append(spent)
        print(
            f"{pair.name:>3} {'=' if pair.equal else '≠'} {found.answer:9} {wrong:12} {spent:5.1f}s {again:5.1f}s {found.boxes:5} "
            f"[{pair.domain[0]:g}, {pair.domain[1]:g}] {pair.what} | {found.targets} | {found.sentence[:90]}",
            flush=True,
        )
    for (equal, answer), many in sorted(counts.items()):
        print(f"{'equal' if equal else 'unequal':8} {answer:12} {many}")
    print(f"seconds: {sum(slow):.0f} in all, {sorted(slow)[len(slow) // 2]:.1f} at the median, {max(slow):.1f} at most")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    told = dict(one.split("=") for one in sys.argv[1:])
    main(int(told.get("pairs", 60)), int(told.get("seed", 0)), int(told.get("start", 0)))
