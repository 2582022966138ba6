"""What the places of a local probe have shown, and what is said of it: relation, size, place, and up to where it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from mlnn.comparing.differences import BELOW, ULPS
from mlnn.comparing.domain import ALL, Interval
from mlnn.comparing.evidence import Judged
from mlnn.comparing.gaps import CommonGap
from mlnn.comparing.probed import Part

MUCH_MORE = 2.0
"""The largest difference is told beside the first one where it is more than this many times as large."""


@dataclass
class Seen:
    """What the places have shown: differences beyond `factor`, by place, in every precision."""

    factor: float
    shift: float
    gradient: Judged = field(default_factory=Judged)
    value: Judged = field(default_factory=Judged)
    names: list[str] = field(default_factory=list)
    bitwise: dict[str, bool] = field(default_factory=lambda: {"value": True, "gradient": True})
    undefined: list[str] = field(default_factory=list)
    loss_factor: float = 1.0
    tells: bool = False
    parted: list[tuple[str, str, str, float]] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    largest: dict[str, tuple[float, str]] = field(default_factory=lambda: {"value": (0.0, ""), "gradient": (0.0, "")})

    def see(self, name: str, gaps: Mapping[str, CommonGap], largest: float) -> None:
        """Take in one place. `largest`: of the raw outputs in size, 0 where they are not told."""
        odd = {dtype: gap.finite for dtype, gap in gaps.items() if not all(gap.finite)}
        for dtype, (left, right) in odd.items():
            if left != right:
                self.parted.append((name, "right" if left else "left", dtype, largest))
        if odd:
            self.undefined += [name] * (not any(place == name for place, *_ in self.parted))
            return
        self.sizes.append(largest)
        exact = gaps["float64"]
        self.names.append(name)
        for what, same in (
            ("gradient", all(torch.equal(gap.left_gradient, gap.right_gradient) for gap in gaps.values())),
            ("value", all(gap.left == gap.right for gap in gaps.values())),
        ):
            self.bitwise[what] &= same
        size = self.factor * float(exact.left_gradient.norm())
        if size or float(exact.right_gradient.norm()):
            self._judge("gradient", {d: gap.residual(self.factor) for d, gap in gaps.items()}, size)
        factor = self.factor if self.shift else exact.of_loss(self.factor)
        self.loss_factor = factor
        values = {d: abs(gap.right - factor * gap.left - self.shift) for d, gap in gaps.items()}
        self._judge("value", values, max(abs(factor * exact.left), abs(self.shift)))

    def _judge(self, which: str, differences: Mapping[str, float], size: float) -> None:
        judged: Judged = getattr(self, which)
        before, place = judged.real, len(self.names) - 1
        judged.see(place, differences, size)
        if judged.real > before:
            self.largest[which] = judged.real, self.names[place]


def lowered(judged: Judged, floor: float, own: str) -> float:
    """How far a coarser float inside moves what is judged in the working precision, beyond its own rounding; 0 if not."""
    eps, gap = float(torch.finfo(getattr(torch, own)).eps), judged.largest.get(own, 0.0)
    return gap if floor > eps and gap > ULPS * eps else 0.0


def part_of(seen: Seen, which: str, own: str) -> Part:
    """What is said of values, or of gradients, over the places."""
    judged, eps = getattr(seen, which), float(torch.finfo(getattr(torch, own)).eps)
    if seen.bitwise[which] and seen.names:
        return Part("bitwise")
    if not judged.steps:
        return Part("undecided")
    real = judged.first_real
    if real and (judged.real > BELOW * eps or own == "float64"):
        most, where = seen.largest[which]
        also = f" and by up to {most:.2g} at {where}" if most > MUCH_MORE * real[1] else ""
        return Part("different", real[1], place=f"{_place(seen, real[0])}{also}")
    rough = judged.unexplained(own)
    if rough:
        return Part("different", rough[1], place=f"{_place(seen, rough[0])} in {own}, more than its rounding explains")
    moved, factor = (seen.shift, seen.loss_factor) if which == "value" else (0.0, seen.factor)
    for relation, size in (("scaled", abs(factor - 1)), ("shifted", abs(moved))):
        if size > BELOW * eps:
            return Part(relation, size)
    size = max(judged.real, abs(factor - 1), abs(moved))
    return Part("indistinguishable", size) if size else Part("equal")


def _place(seen: Seen, step: int) -> str:
    return f"at {seen.names[step]}"


def domain_of(seen: Seen) -> tuple[Interval, str | None]:
    """Up to where one side alone is not finite, by the size of raw outputs; in words where no size is told."""
    if not seen.parted:
        return ALL, None
    name, side, dtype, size = min(seen.parted, key=lambda one: one[3])
    reach = max((one for one in seen.sizes if one < size), default=0.0)
    if reach >= 1 and seen.tells:
        return (-reach, reach), None
    return ALL, f"at {name}, {side} is not finite in {dtype} where the other side is"


def notes_of(seen: Seen) -> list[str]:
    told = [
        f"at {name}, {side} is not finite in {dtype} where the other side is" for name, side, dtype, _ in seen.parted
    ]
    return told + [f"at {name}, both sides are not finite: the place says nothing" for name in seen.undefined]
