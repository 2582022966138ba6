"""What is claimed of a loss as a likelihood, and the answer of a proof of it. Needs no ball arithmetic to be read."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Interval = tuple[float, float]
CERTIFIED = ("proved", "refuted", "undecided", "not run")
EVERYWHERE = (-math.inf, math.inf)


@dataclass(frozen=True)
class Claim:
    """exp(−loss/`scale`)·h(y) adds up to 1 over the targets at every raw output; or, not `likely`, it does so for no scale and no h
    above 0.

    `log_base`: log h at some targets, at all of finitely many. `around`: a raw output at which it holds. `turns`: the target is an
    angle, and the integral over one turn. `infinite`: what is claimed is that the integral of exp(−loss) is infinite.
    """

    likely: bool
    scale: float = 1.0
    log_base: Mapping[float, float] = field(default_factory=dict)
    around: float = 0.0
    turns: bool = False
    infinite: bool = False


@dataclass(frozen=True)
class Certified:
    """The answer of a proof that exp(−loss/τ)·h(y) adds up to 1 over the targets, on a whole interval of raw outputs.

    `answer`: "proved" (within `tolerance` at every raw output of `domain`, for the τ and h of the certificate), "refuted" (for no
    τ > 0 and no h > 0, or with an infinite integral where that is what the certificate says), "undecided" (`reason`), "not run".
    `by`: what it rests on: "the sum, box by box", "the form", "an integral", "a closed sum". `where`: raw outputs of those asked
    about at which it does not hold, `size` what it is off there at most, bounded from both sides. `total`: bounds of the sum or
    integral of exp(−loss/τ) times what depends on the target alone, where that is one number. `boxes`: how many were looked at.
    `paper`: what `mlnn.proving.replay_certificate` checks it with.
    """

    answer: str
    sentence: str
    domain: Interval | None = None
    tolerance: float | None = None
    by: str | None = None
    where: tuple[Interval, ...] = ()
    size: Interval | None = None
    total: Interval | None = None
    boxes: int = 0
    reason: str | None = None
    paper: tuple[dict[str, object], ...] = ()

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Certified":
        """The record of plain data, as JSON holds it; keys that it does not know are left out."""
        known = {one.name: stored[one.name] for one in dataclasses.fields(cls) if one.name in stored}
        for name in ("domain", "size", "total"):
            known[name] = None if known.get(name) is None else _pair(known[name])
        known["where"] = tuple(map(_pair, known.get("where", ())))
        known["paper"] = tuple(known.get("paper", ()))
        return cls(**known)

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        return dataclasses.asdict(self)


def _pair(ends: Sequence[float | str]) -> Interval:
    """An interval, whose ends may be "inf" in text."""
    low, high = map(float, ends)
    return low, high


def not_run(why: str) -> Certified:
    """The answer where there was no proof."""
    return Certified("not run", f"proof: not run ({why})", reason=why)


def undecided(reason: str, boxes: int = 0) -> Certified:
    return Certified("undecided", f"proof: undecided: {reason}", boxes=boxes, reason=reason)


def refuted(because: str, paper: tuple[dict[str, object], ...] = (), by: str = "places") -> Certified:
    return Certified("refuted", f"refuted: {because}", by=by, paper=paper)


def proved(
    by: str,
    domain: Interval = EVERYWHERE,
    tolerance: float = 0.0,
    *,
    total: Interval | None = None,
    where: tuple[Interval, ...] = (),
    size: Interval | None = None,
    boxes: int = 0,
    paper: tuple[dict[str, object], ...] = (),
) -> Certified:
    """A proof, in a sentence."""
    inside = "at every raw output" if domain == EVERYWHERE else f"on [{shown(domain[0])}, {shown(domain[1])}]"
    exactly = "adds up to 1" + (f" within {tolerance:.2g}" if tolerance else "")
    counted = f", {boxes} boxes" if boxes else ""
    text = f"proved {inside}: exp(−loss/τ)·h(y) {exactly} (by {by}{counted})"
    if where:
        named = ", ".join(f"[{shown(low)}, {shown(high)}]" for low, high in where[:2])
        most = f", by up to {size[0]:.3g}" if size and math.isfinite(size[0]) else ""
        text += f"; not on {named}{' and more' if len(where) > 2 else ''}{most}"
    return Certified("proved", text, domain, tolerance, by, where, size, total, boxes, None, paper)


def shown(value: float) -> str:
    """A raw output to twelve digits."""
    return f"{value:.12g}".replace("-", "−").replace("inf", "∞")
