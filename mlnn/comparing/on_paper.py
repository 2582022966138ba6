"""What is proved of two objectives on paper, beside a verdict that rests on floating point."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from mlnn.comparing import stored
from mlnn.comparing.standing import Standing

RAW, RESIDUAL = "raw output", "raw output − target"
"""What intervals and places are about, where rows can be held to them."""
WEAKER = ("equal", "shifted", "scaled", "different")
AROUND = "row by row: what differs is how rows are joined, floating point, or the training around the two"
Interval = tuple[float, float]


@dataclass(frozen=True)
class Alone:
    """A raw output, or a residual, at which the two gradients differ by `size`, and nowhere near. `rows`: training rows that stood
    there, `step`: the first step with one; None without training."""

    place: float
    size: float
    rows: int | None = None
    step: int | None = None

    @classmethod
    def from_dict(cls, told: stored.Stored) -> "Alone":
        """One of a stored verdict's; ValueError names what is not what belongs there."""
        place, size = (stored.number_or(told, key, 0.0) for key in ("place", "size"))
        return cls(place, size, stored.whole(told, "rows"), stored.whole(told, "step"))


@dataclass(frozen=True)
class OnPaper:
    """A proof as a verdict has it.

    `answer`: "proved", "differs", "undecided" or "not run"; `says`: one line. `relation`: the strongest that is proved of all raw
    outputs in `domain`, None without. `where`: intervals on which `differing` ("value", else "gradient") differs, `size`: bounds of
    the largest difference. `variable`: what intervals and `alone` are about. `probed`: whether the probe looked at one of these
    intervals; `rows`: training rows that came there. `boxes`: how many it took.
    """

    answer: str
    says: str
    relation: str | None = None
    domain: Interval | None = None
    tolerance: float | None = None
    variable: str = RAW
    differing: str | None = None
    where: tuple[Interval, ...] = ()
    size: Interval | None = None
    alone: tuple[Alone, ...] = ()
    boxes: int = 0
    probed: bool = False
    rows: int | None = None

    def masks(self, output: Tensor, target: Tensor) -> list[Tensor]:
        """Masks (n,) of the rows, a position of which stands on each of `alone`, and last of those that came to `where`."""
        if self.variable not in (RAW, RESIDUAL) or output.shape != target.shape:  # of several raw outputs, or none told
            return []
        at = (output - target if self.variable == RESIDUAL else output).detach().cpu()
        here = [at == torch.tensor(one.place, dtype=at.dtype) for one in self.alone]
        inside = torch.zeros_like(at, dtype=torch.bool)
        for low, high in self.where:
            inside |= (at >= low) & (at <= high)
        return [mask.reshape(len(mask), prod(mask.shape[1:])).any(1) for mask in (*here, inside)]

    @classmethod
    def from_dict(cls, told: stored.Stored) -> "OnPaper":
        """What a stored verdict has of it; ValueError names what is not what belongs there."""
        alone = (Alone.from_dict(one) for one in stored.tables(told, "alone"))
        return cls(
            stored.word_or(told, "answer", "not run"), stored.word_or(told, "says", ""), stored.word(told, "relation"),
            stored.interval(told, "domain"), stored.number(told, "tolerance"), stored.word_or(told, "variable", RAW),
            stored.word(told, "differing"), stored.intervals(told, "where"), stored.interval(told, "size"), tuple(alone),
            stored.whole(told, "boxes") or 0, stored.yes(told, "probed"), stored.whole(told, "rows"),
        )  # fmt: skip


def beside(found: OnPaper, relation: str, domain: str | Interval, seen: Standing) -> OnPaper:
    """A proof beside what floating point says: with the rows that stood where it is about, and what the two say of one another.

    `relation`, `domain`: of the verdict; `seen`: of the masks that the proof gave."""
    alone = tuple(
        replace(one, rows=seen.rows.get(place), step=seen.first.get(place)) for place, one in enumerate(found.alone)
    )
    told = replace(found, alone=alone, rows=seen.rows.get(len(alone)) if found.where else None)
    parts = [told.says, _stood(alone), _against(told, relation, domain)]
    return replace(told, says="; ".join(part for part in parts if part))


def _stood(alone: Sequence[Alone]) -> str:
    """Whether training stood on places at which gradients alone are wrong."""
    known = [one for one in alone if one.rows is not None]
    rows = sum(one.rows or 0 for one in known)
    if not known:
        return ""
    if not rows:
        return "no training row stood there"
    first = min(one.step for one in known if one.step is not None)
    return f"{rows} training row{'s' if rows > 1 else ''} stood there, the first at step {first}"


def _against(found: OnPaper, relation: str, domain: str | Interval) -> str:
    """How both can be true, where proof and verdict sound as if they were not."""
    if found.relation is not None:
        weaker = relation in (*WEAKER[WEAKER.index(found.relation) + 1 :], "broken")
        return AROUND if weaker and not any(one.rows for one in found.alone) else ""
    if found.answer != "differs" or relation not in ("bitwise", "equal"):
        return ""
    if not isinstance(domain, str) and found.variable == RAW:
        low, high = domain
        if all(last <= low or high <= first for first, last in found.where):
            return "the verdict holds inside"
    if not found.probed and not found.rows:
        return "no raw output of the probe" + ("" if found.rows is None else " or of a training row") + " lies there"
    return "at the raw outputs looked at in floating point it is no more than rounding of the values there"
