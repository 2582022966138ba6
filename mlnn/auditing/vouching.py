"""Is Z one number over several raw outputs, near 0 and far out? Looked at on a cloud, and on shells around it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.careful import careful_z
from mlnn.auditing.integrals import Z_ROUNDING, Base, Total, partition
from mlnn.auditing.record import Witness, raw_output, row
from mlnn.auditing.unproven import endless
from mlnn.seeding import generator
from mlnn.targets import TargetSpace

NEAR = 9
"""Outputs near 0 at which Z must be known and one number; of some densities it is known at few, so more are drawn …"""
DRAWN = 27
"""… up to so many."""
USUAL = 1.8
"""How near 0 outputs are where every density has its digits, in most spaces: the cloud is as much smaller as that is."""
SHELLS = (1.0, 2.0, 3.5, 5.0, 8.0)
"""Sizes of the largest entry of the outputs looked at farther out."""
INNER, HALF = 1.0, 2.0
"""Z must be known at every output of the shells up to the one, and at half of those up to the other."""
DIRECTIONS = 4
"""Drawn at random on each shell, beside every entry alone, up and down."""
BESIDE = 0.00123
"""Moves outputs off the round numbers."""
AGREE = 1e-6
"""Share to which Z must be known, and be the same, on the shells."""


@dataclass(frozen=True)
class Vouched:
    """How far out Z is one number: `radius`; `why` it is not vouched for even near, with a `witness` where Z differs."""

    radius: float
    why: str = ""
    witness: Witness | None = None


@dataclass(frozen=True)
class Cloud:
    """Outputs (F, m) near 0 at which Z is looked at, and the `total`."""

    outputs: Tensor
    total: Total

    @property
    def known(self) -> Tensor:
        return self.total.known(Z_ROUNDING) & (self.total.z > 0)

    @property
    def off(self) -> float:
        """How far Z is from constant where it is known; infinite where it is known at too few outputs."""
        z = self.total.z[self.known]
        return float((z / z.median() - 1).abs().max()) if len(z) >= NEAR else math.inf

    @property
    def middle(self) -> float:
        return float(self.total.z[self.known].median())


def cloud(loss: Loss, tau: float = 1.0, log_base: Base | None = None) -> Cloud:
    """Outputs from N(0, 1), so many that Z is known at NEAR of them if it can be."""
    drawn = near_zero(loss.space, DRAWN, 2)
    if endless(loss, drawn[:NEAR], tau, log_base):
        none = torch.full((NEAR,), math.nan, dtype=torch.float64)
        return Cloud(drawn[:NEAR], Total(none, math.inf, torch.full_like(none, math.inf), "it adds up without end"))
    found = Cloud(drawn[:NEAR], totals(loss, drawn[:NEAR], tau, log_base))
    return found if bool(found.known.all()) else Cloud(drawn, totals(loss, drawn, tau, log_base))


def totals(loss: Loss, outputs: Tensor, tau: float = 1.0, log_base: Base | None = None) -> Total:
    """Z at outputs (F, m). Towards 1 a target loses its digits, and is integrated piece by piece, short of where it does."""
    along = loss.space.coordinate
    if along is None or not along.beyond:
        return partition(loss, outputs, tau, log_base)
    return _by_pieces(loss, outputs, tau, log_base)


def _by_pieces(loss: Loss, outputs: Tensor, tau: float, log_base: Base | None) -> Total:
    found = torch.tensor([careful_z(loss, output, tau, log_base) for output in outputs], dtype=torch.float64)
    z, errors = found[:, 0], found[:, 1].nan_to_num(math.inf)
    why = "exp(−loss) does not fall off as a power towards 0 or 1, or not at one rate"
    return Total(z, float(errors.max()), errors, why if bool(torch.isnan(z).any()) else "")


def once_more(loss: Loss, here: Cloud, tau: float = 1.0, log_base: Base | None = None) -> Cloud:
    """The first outputs of the cloud integrated piece by piece, where a narrow peak or a heavy tail may have been missed."""
    along = loss.space.coordinate
    if along is None or along.beyond or bool(torch.isnan(here.total.z).all()):
        return here
    return Cloud(here.outputs[:NEAR], _by_pieces(loss, here.outputs[:NEAR], tau, log_base))


def near_zero(space: TargetSpace, count: int, seed: int) -> Tensor:
    """Outputs (F, m) from N(0, 1), or nearer to 0 where densities lose their digits sooner."""
    drawn = torch.randn(count, space.outputs, generator=generator(seed, "audit"), dtype=torch.float64)
    return drawn * (space.facts.near_output / USUAL)


def shell(count: int, size: float) -> Tensor:
    """Outputs (F, m) whose largest entry is about `size`: one entry alone, up and down, and some at random."""
    drawn = torch.randn(DIRECTIONS, count, generator=generator(5, "audit"), dtype=torch.float64)
    ways = torch.eye(count, dtype=torch.float64)
    return size * torch.cat([ways, -ways, drawn / drawn.abs().amax(1, keepdim=True)]) + BESIDE


def vouched(loss: Loss, middle: float, tau: float = 1.0, log_base: Base | None = None) -> Vouched:
    """How far out Z is `middle`, as it is near 0."""
    radius, still = 0.0, True
    for size in SHELLS:
        outputs = shell(loss.space.outputs, size)
        total = totals(loss, outputs, tau, log_base)
        z, known = _twice(loss, outputs, total, middle, tau, log_base, size <= HALF)
        off = torch.where(known, (z / middle - 1).abs(), 0.0)
        if float(off.max()) > AGREE:
            return Vouched(radius, "Z differs", _differs(outputs[int(off.argmax())], middle, float(z[off.argmax()])))
        share = float(known.double().mean())
        if (size <= INNER and share < 1) or (size <= HALF and share < 0.5):
            return Vouched(radius, total.why or "its error is too large")
        still = still and share == 1
        radius = size if still else radius
    return Vouched(radius)


def _twice(
    loss: Loss, outputs: Tensor, total: Total, middle: float, tau: float, log_base: Base | None, needed: bool
) -> tuple[Tensor, Tensor]:
    """Z (F,) and where it is known (F,): what is not `middle` is looked at once more, and both must agree.

    `needed`: what did not settle is looked at once more too.
    """
    z, known = total.z.clone(), total.known(AGREE) & (total.z > 0)
    if loss.space.coordinate is None or loss.space.coordinate.beyond:
        return z, known
    doubted = (known & ((z / middle - 1).abs() > AGREE)) | (~known if needed else False)
    for at in doubted.nonzero().squeeze(1).tolist():
        again, _ = careful_z(loss, outputs[at], tau, log_base)
        agrees = abs(again / float(z[at]) - 1) <= AGREE if bool(known[at]) and again > 0 else False
        if abs(again / middle - 1) <= AGREE:  # found where a narrow peak, or a tail, had been missed
            z[at], known[at] = again, True
        else:
            known[at] = agrees
    return z, known


def _differs(output: Tensor, middle: float, z: float) -> Witness:
    return Witness(
        outputs=(raw_output(torch.zeros_like(output)), raw_output(output)),
        z=row(torch.tensor([middle, z], dtype=torch.float64)),
        says="as the loss stands, exp(−loss) adds up to two different numbers over the targets",
    )
