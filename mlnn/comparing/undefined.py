"""Points of the probe that say nothing: both sides undefined alike, as 0/0 is on a batch of ignored rows alone.

A target whose every raw output is undefined says nothing. A region of raw outputs where both are undefined ends the domain
instead, as long as the domain reaches ±1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.comparing.differences import DOUBLE, Both
from mlnn.objectives.grid import Curves

NEAR = 1.0
"""A region of undefined raw outputs that comes nearer to 0 than this would leave no domain: there it is left out."""


@dataclass(frozen=True)
class LeftOut:
    """`mask` (G, Y) of the points that say nothing; `told`: that in words, None where every point speaks; `example`: one of them.

    `alone`: no point says anything, so that single rows cannot be compared at all.
    """

    mask: Tensor
    told: str | None = None
    example: str | None = None
    alone: bool = False

    @property
    def facts(self) -> dict[str, object]:
        """As plain data: how many points of how many, and one of them."""
        return {"points": int(self.mask.sum()), "of": self.mask.numel(), "example": self.example}


def left_out(both: Both) -> LeftOut:
    """What of the probe says nothing, told by float64."""
    left, right = both.left[DOUBLE], both.right[DOUBLE]
    void = [_undefined(side) for side in (left, right)]
    nothing = [_is_zero(side) for side in (left, right)]
    empty = [a | b for a, b in zip(void, nothing, strict=True)]
    columns = (empty[0] & empty[1]).all(0) & (void[0] | void[1]).any(0)
    mask = columns.expand_as(void[0]).clone()
    alike = empty[0] & empty[1] & (void[0] | void[1])
    if bool((alike & ~mask)[both.grid.strength.abs() <= NEAR].any()):
        mask |= alike
    if bool((mask | (empty[0] & empty[1])).all()):
        return LeftOut(torch.ones_like(mask), alone=True)
    if not bool(mask.any()):
        return LeftOut(mask)
    example = _example(both, mask, columns)
    return LeftOut(
        mask,
        f"{int(mask.sum())} of {mask.numel()} points of the probe say nothing: {_why(mask, void)} there ({example})",
        example,
    )


def one_sided(both: Both) -> list[tuple[str, int]]:
    """(side, column) of the targets at which one side alone is undefined at every raw output."""
    void = [_undefined(side) for side in (both.left[DOUBLE], both.right[DOUBLE])]
    found = []
    for column in range(len(both.grid.target)):
        whole, any_ = ([bool(test(side[:, column])) for side in void] for test in (torch.all, torch.any))
        if whole[0] != whole[1] and any_[0] != any_[1]:
            found.append(("left" if whole[0] else "right", column))
    return found


def _why(mask: Tensor, void: list[Tensor]) -> str:
    """Who is undefined at the points left out."""
    sides = [bool(side[mask].all()) for side in void]
    if all(sides):
        return "both sides are undefined"
    undefined, other = ("left", "right") if sides[0] else ("right", "left")
    return f"{undefined} is undefined (0/0) and {other} is 0 with a gradient of 0"


def _example(both: Both, mask: Tensor, columns: Tensor) -> str:
    """One of the points left out: a target, or a raw output."""
    if bool(columns.any()):
        return f"e.g. target {both.grid.labels[int(columns.nonzero()[0, 0])]:g}"
    row = int(mask.any(1).nonzero()[0, 0])
    return f"e.g. raw output {float(both.grid.strength[row]):.4g}"


def _undefined(side: Curves) -> Tensor:
    return side.value.isnan() | side.gradient.isnan().any(-1)


def _is_zero(side: Curves) -> Tensor:
    return (side.value == 0) & (side.gradient == 0).all(-1)
