"""Which link is it? Names for the probability, or the mean, that a loss implies at each raw output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

AFFINE_IN_OUTPUT = 1e-8
"""Misfit of a straight line in the output that is rounding, and slopes and shifts below it are 0 (or 1): of a
probability of 1e-4, read off gradients, twelve digits are left."""
INSIDE, INSIDE_MANY = 1e-4, 1e-6
"""Probabilities nearer to 0 (or 1) than this are left out: their logit has lost digits. Of many classes smaller ones count."""
ENOUGH = 4
"""Outputs from which a straight line is fitted: two determine it, the others can contradict."""

SLOPE_DECIMALS = 7
"""A slope of 1 to so many decimals is not written."""

Link = Callable[[Tensor], Tensor]
# Links, as they are written around a·f + b, and the transformations that make them affine in the raw output.
PROBABILITIES: dict[str, Link] = {
    "σ({})": torch.logit,
    "Φ({})": torch.special.ndtri,
    "{}": lambda p: p,
    "1 − exp(−exp({}))": lambda p: torch.log(-torch.log1p(-p)),
    "½ + arctan({})/π": lambda p: torch.tan(torch.pi * (p - 0.5)),
}


def softplus_inverse(value: Tensor) -> Tensor:
    """x where log(1 + e^x) is the value."""
    return value + torch.log(-torch.expm1(-value))


LEAST = (1.0, 2.0, 1e-3, 1e-4, 1e-5, 1e-6)
"""What is added to a width or to degrees of freedom so that they stay above it."""


def _above(least: float, undo: Link, link: Link) -> tuple[Link, Link]:
    """A link and what undoes it, with `least` added to it."""
    return lambda value: undo(value - least), lambda f: least + link(f)


POSITIVE: dict[str, tuple[Link, Link]] = {
    "exp({})": (torch.log, torch.exp),
    "softplus({})": (softplus_inverse, torch.nn.functional.softplus),
}
ENTRIES: dict[str, tuple[Link, Link]] = {
    "{}": (lambda value: value, lambda f: f),
    **POSITIVE,
    "σ({})": (torch.logit, torch.sigmoid),
    **{f"{least:g} + {form}": _above(least, *pair) for least in LEAST for form, pair in POSITIVE.items()},
}
"""Links of one entry of an output, as they are written, with what undoes them."""
MEANS: dict[str, Link] = {"{}": lambda mean: mean, "exp({})": torch.log, "σ({})": torch.logit}


def log_odds(output: Tensor, p: Tensor) -> tuple[float, float] | None:
    """(a, b) where p (n,) is σ(a·f + b); None where it is not."""
    inside = (p > INSIDE) & (p < 1 - INSIDE)
    return affine(output[inside], torch.logit(p[inside])) if int(inside.sum()) >= ENOUGH else None


def probability_link(output: Tensor, p: Tensor) -> str | None:
    """The name of the map from f (n,) to the probability p (n,) of target 1; None where it has none."""
    inside = (p > INSIDE) & (p < 1 - INSIDE)
    return _named(output[inside], p[inside], PROBABILITIES) if int(inside.sum()) >= ENOUGH else None


def mean_link(output: Tensor, mean: Tensor) -> str | None:
    """The name of the map from f (n,) to a mean (n,); None where it has none."""
    return _named(output, mean, MEANS)


@dataclass(frozen=True)
class EntryLink:
    """A number that is a link of a·f_k + b, of one entry f_k of the output, with that link in words."""

    entry: int
    slope: float
    shift: float
    link: Link
    words: str

    def of(self, output: Tensor) -> Tensor:
        """The number (…) at outputs (…, m)."""
        return self.link(self.slope * output[..., self.entry] + self.shift)


def read_entry(output: Tensor, value: Tensor, rounding: float = AFFINE_IN_OUTPUT) -> EntryLink | None:
    """Of outputs (F, m), the entry and its link that give the values (F,), to that share; None where none does."""
    for form, (undo, link) in ENTRIES.items():
        straight = undo(value)
        if not bool(torch.isfinite(straight).all()):
            continue
        for entry in range(output.shape[1]):
            found = affine(output[:, entry], straight, rounding)
            if found and abs(found[0]) > rounding:
                slope, shift = (round(part, 3) if abs(part - round(part, 3)) <= rounding else part for part in found)
                words = _write(form, slope, shift, f"f{subscript(entry + 1)}")
                return EntryLink(entry, slope, shift, link, words)
    return None


def subscript(number: int) -> str:
    """Its digits, below the line."""
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def softmax_link(output: Tensor, p: Tensor) -> str | None:
    """Softmax of a·f + b, from f (n, K) and probabilities p (n, K); None where it is not that."""
    inside = (p > INSIDE_MANY).all(1)
    if p.shape != output.shape or int(inside.sum()) < ENOUGH:
        return None
    odds, apart = ((side[:, 1:] - side[:, :1]) for side in (p[inside].log(), output[inside]))
    columns = [affine(apart[:, k], odds[:, k]) for k in range(odds.shape[1])]
    straight = [column for column in columns if column]
    if len(straight) < len(columns):
        return None
    slopes, shifts = zip(*straight, strict=True)
    return f"softmax({_inner(slopes[0], [0.0, *shifts])})" if max(slopes) - min(slopes) <= AFFINE_IN_OUTPUT else None


def _inner(slope: float, shifts: Sequence[float]) -> str:
    """a·f + b of several outputs, in words."""
    inner = "f" if abs(slope - 1) <= AFFINE_IN_OUTPUT else f"{slope:.6g}·f"
    if max(map(abs, shifts)) > AFFINE_IN_OUTPUT:
        inner += " + (" + ", ".join(f"{shift:.4g}" for shift in shifts) + ")"
    return inner


def _named(output: Tensor, value: Tensor, forms: dict[str, Link]) -> str | None:
    for form, transform in forms.items():
        straight = transform(value)
        if not bool(torch.isfinite(straight).all()):
            continue
        found = affine(output, straight)
        if found and abs(found[0]) > AFFINE_IN_OUTPUT:
            return _write(form, *found)
    return None


def affine(output: Tensor, straight: Tensor, rounding: float = AFFINE_IN_OUTPUT) -> tuple[float, float] | None:
    """(a, b) if the values are a·f + b up to rounding; None otherwise."""
    design = torch.stack([output, torch.ones_like(output)], 1)
    a, b = torch.linalg.lstsq(design, straight[:, None]).solution.squeeze(1).tolist()
    off = (straight - a * output - b).abs().max()
    return (a, b) if float(off) <= rounding * max(1.0, float(straight.abs().max())) else None


def _write(form: str, a: float, b: float, entry: str = "f") -> str:
    """A link of a·f + b; one that is affine itself and goes from 0 at −1 to 1 at 1 is the half margin of a hinge."""
    if form == "{}" and entry == "f" and abs(a - 0.5) <= AFFINE_IN_OUTPUT and abs(b - 0.5) <= AFFINE_IN_OUTPUT:
        return "(1+f)/2"
    size = round(a, SLOPE_DECIMALS)
    slope = entry if size == 1 else f"−{entry}" if size == -1 else f"{a:.6g}·{entry}"
    shift = "" if abs(b) <= AFFINE_IN_OUTPUT else f" {'+' if b > 0 else '−'} {abs(b):.6g}"
    return form.format(slope + shift)
