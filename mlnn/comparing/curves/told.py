"""What curves alone say of two runs, in sentences, and what it would take to know more."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlnn.comparing.curves.apart import Apart, apart, pairs
from mlnn.comparing.curves.curve import Curve, Difference, common
from mlnn.comparing.curves.groups import Finals
from mlnn.comparing.curves.growth import Growth, growth
from mlnn.report.words import number

MORE = (
    "Curves do not tell rounding from a fault, nor why two runs part. To know more: record both runs with mlnn.record and"
    " compare the recordings with mlnn diff, or compare the two losses with mlnn compare."
)


@dataclass(frozen=True)
class Told:
    """What is said of curves side by side. `null`: the difference of a pair that is known to be rounding, if one was given."""

    sentences: list[str]
    null: Difference | None = None


def told(
    found: Sequence[Curve],
    differences: Sequence[Difference],
    null: tuple[Curve, Curve] | None = None,
    word: str = "step",
) -> Told:
    """Sentences about every pair that is compared; `word`: what a place is called."""
    apart_by_name = {one.name: one for one in differences}
    compared = [(one, two) for one, two in pairs(found) if f"{one.name} − {two.name}" in apart_by_name]
    rounding = None if null is None else _difference(*null)
    null_growth = None if rounding is None else growth(rounding.step, rounding.gap)
    sentences = []
    for one, two in compared:
        digits = apart(one, two)
        sentences.append(_digits(digits, word))
        if digits.answer == "differs":
            own = apart_by_name[f"{one.name} − {two.name}"]
            sentences.append(_growth(own.name, growth(own.step, own.gap), word))
            if rounding is not None and null_growth is not None:
                sentences.append(_beside(own, rounding, null_growth, word))
    return Told([*sentences, MORE] if sentences else [], rounding)


def final_words(found: Finals | str, smooth: int | None, word: str = "step") -> str:
    """The equivalence test of two groups, in words."""
    if isinstance(found, str):
        return f"{found}."
    what = f"mean of the last {smooth} values up to" if smooth else "loss at"
    numbers = ", ".join(map(str, found.numbers[:12])) + (", …" if len(found.numbers) > 12 else "")
    return (
        f"{found.right} against {found.left}, {what} {word} {number(found.place)}, {len(found.numbers)} runs each, paired"
        f" by number ({numbers}): {found.test.sentence}"
    )


def _difference(one: Curve, two: Curve) -> Difference:
    places, i, j = common(one, two)
    with np.errstate(invalid="ignore"):
        return Difference(f"null pair {one.name} − {two.name}", places, np.abs(one.loss[i] - two.loss[j]))


def _digits(found: Apart, word: str) -> str:
    pair = f"{found.left} and {found.right}"
    if found.answer == "undecided":
        return f"{pair}: undecided; {found.reason}."
    void = f"; at {found.undefined:,} more both are NaN, which says nothing" if found.undefined else ""
    keeps = f"{found.coarser} keeps {found.kept}" if found.coarser else f"both keep {found.kept}"
    if found.first is None:
        return f"{pair}: the same at all {found.count:,} places that both have, in what is kept ({keeps}{void})."
    first = found.first
    return (
        f"{pair}: first differ at {word} {_at(first.place)}, {first.left} against {first.right}, {number(first.units)}"
        f" {first.unit} apart ({keeps}; {found.count:,} places in common{void})."
    )


def _growth(name: str, found: Growth | str, word: str) -> str:
    if isinstance(found, str):
        return f"{name}: no doubling time; {found}."
    span = f"fitted over {word} {_at(found.first)} to {_at(found.last)}, {found.points} points"
    if not found.grows:
        return (
            f"{name}: not shown to grow ({span}; a doubling takes {number(found.quickest)} or more, if there is one)."
        )
    return (
        f"{name}: doubles every {number(found.doubling)} {_unit(word)} (95 %: {number(found.quickest)} to"
        f" {number(found.slowest)}; {span})."
    )


def _beside(own: Difference, null: Difference, found: Growth | str, word: str) -> str:
    """The null pair's growth, and the sizes side by side."""
    _, i, j = np.intersect1d(own.step, null.step, assume_unique=True, return_indices=True)
    both = (own.gap[i] > 0) & (null.gap[j] > 0) & np.isfinite(own.gap[i]) & np.isfinite(null.gap[j])
    said = _growth(null.name, found, word)
    if not both.any():
        return said
    low, middle, high = np.quantile(own.gap[i][both] / null.gap[j][both], (0.1, 0.5, 0.9))
    ratio = f"{number(middle)} (at 8 of 10 places {number(low)} to {number(high)})"
    return f"{said} The median ratio of {own.name} to it is {ratio}."


def _at(place: float) -> str:
    return f"{int(place):,}" if float(place).is_integer() else number(place)


def _unit(word: str) -> str:
    return "steps" if word == "step" else word
