"""How far two curves are apart, place by place, and where the digits that their logs keep first differ."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlnn.comparing.curves.curve import Curve, Difference, common, repeated

DECIMALS, MOST_DECIMALS = 6, 12
"""A log that writes no more decimals than the first rounds its values; up to the second, if they are not what float32 has."""
DIGITS = {"float64": 16.0, "float32": 7.2}
"""Significant decimal digits of a number."""
MOST_CURVES = 8
"""Of more, each is compared with the first alone."""
_WORDS = {"float32": "float32, about 7 digits", "float64": "full digits"}


@dataclass(frozen=True)
class Kept:
    """In what a log keeps its values: `form` float64, float32 or decimals, of which there are `decimals`."""

    form: str
    decimals: int = 0

    def __str__(self) -> str:
        if self.form == "decimals":
            return f"{self.decimals} decimal{'s' if self.decimals != 1 else ''}" if self.decimals else "whole numbers"
        return _WORDS[self.form]

    def cut(self, values: np.ndarray) -> np.ndarray:
        """Values (n,) as such a log would have them."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self.form == "decimals":
                return np.round(values, self.decimals)
            return values.astype(np.float32).astype(np.float64) if self.form == "float32" else values

    def units(self, one: float, two: float) -> float:
        """How many units in the last place two values are apart; inf where one is not finite."""
        if not np.isfinite([one, two]).all():
            return float("inf")
        if self.form == "decimals":
            return float(round(abs(one - two) * 10.0**self.decimals))
        number = np.float32 if self.form == "float32" else np.float64
        spacing = np.spacing(number(max(abs(one), abs(two))))
        return abs(one - two) / float(spacing)

    def shown(self, value: float) -> str:
        """All the digits that are kept."""
        if self.form == "decimals":
            return f"{value:.{self.decimals}f}"
        return str(np.float32(value)) if self.form == "float32" else repr(float(value))

    @property
    def unit(self) -> str:
        """What `units` counts."""
        return "in the last decimal" if self.form == "decimals" else "ulps"


@dataclass(frozen=True)
class First:
    """Where two curves first differ: the place, both values as kept, and by how many units in the last place."""

    place: float
    left: str
    right: str
    units: float
    unit: str


@dataclass(frozen=True)
class Apart:
    """Two curves at the `count` places that both have; at `undefined` more both are NaN, which says nothing.

    `answer`: same, differs or undecided, and why in `reason`; `kept`: the digits that the coarser of the two logs keeps, in words,
    and `coarser`, its name where the other keeps more; `first`: where they part.
    """

    left: str
    right: str
    count: int
    answer: str
    kept: str = ""
    coarser: str | None = None
    first: First | None = None
    reason: str = ""
    undefined: int = 0


def kept(values: np.ndarray) -> Kept:
    """What all finite values (n,) of a log are written in."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Kept("float64")
    with np.errstate(over="ignore", invalid="ignore"):
        single = np.array_equal(finite.astype(np.float32).astype(np.float64), finite)
        for decimals in range((DECIMALS if single else MOST_DECIMALS) + 1):
            if np.array_equal(np.round(finite, decimals), finite):
                return Kept("decimals", decimals)
    return Kept("float32" if single else "float64")


def pairs(found: Sequence[Curve]) -> list[tuple[Curve, Curve]]:
    """Which curves are compared: every two; beyond a few, each with the first."""
    if len(found) <= MOST_CURVES:
        return list(itertools.combinations(found, 2))
    return [(found[0], other) for other in found[1:]]


def differences(found: Sequence[Curve]) -> tuple[list[Difference], list[str]]:
    """Step-by-step |difference| of every pair that saw the same batches; for the others a note that says why not."""
    apart, notes = [], []
    if len(found) > MOST_CURVES:
        notes.append(f"Of {len(found)} curves each is compared with the first, {found[0].name}.")
    for curve in found:
        if again := repeated(curve):
            where = (
                f"{again:,} of its steps are logged more than once" if again > 1 else "1 of its steps is logged twice"
            )
            notes.append(f"{curve.name}: {where}; all are drawn, the later one is compared.")
    for one, two in pairs(found):
        pair, unlike = f"{one.name} and {two.name}", one.ground.unlike(two.ground)
        if unlike:
            notes.append(f"{pair} are not compared step by step: they differ in {', '.join(unlike)}.")
            continue
        places, first, second = common(one, two)
        if len(places) < max(len(one.place), len(two.place)):
            counts = f"losses of {len(one.place)} and {len(two.place)} steps are kept"
            notes.append(f"{pair}: {counts}; compared on the {len(places)} they share.")
        if len(places):
            with np.errstate(invalid="ignore"):
                gap = np.abs(one.loss[first] - two.loss[second])
            apart.append(Difference(f"{one.name} − {two.name}", places, gap))
    return apart, notes


def apart(one: Curve, two: Curve) -> Apart:
    """What the digits of two curves say at the places that both have."""
    places, i, j = common(one, two)
    left, right, count = one.loss[i], two.loss[j], len(places)
    if not count:
        return Apart(one.name, two.name, 0, "undecided", reason="they have no step in common")
    forms = kept(one.loss), kept(two.loss)
    form = min(forms, key=lambda kind: DIGITS.get(kind.form, kind.decimals))
    coarser = None if forms[0] == forms[1] else (one.name if form == forms[0] else two.name)
    left, right = form.cut(left), form.cut(right)
    undefined = np.isnan(left) & np.isnan(right)
    other = np.flatnonzero(~((left == right) | undefined))
    still = " and ".join(curve.name for curve, loss in ((one, left), (two, right)) if _never_moved(loss))
    void = int(undefined.sum())
    told = (one.name, two.name, count - void)
    if still:
        reason = f"the loss of {still} never moved, so that it says nothing of a training"
        return Apart(*told, "undecided", str(form), coarser, reason=reason)
    if not len(other):
        return Apart(*told, "same", str(form), coarser, undefined=void)
    at = int(other[0])
    a, b = float(left[at]), float(right[at])
    first = First(float(places[at]), form.shown(a), form.shown(b), form.units(a, b), form.unit)
    return Apart(*told, "differs", str(form), coarser, first, undefined=void)


def _never_moved(loss: np.ndarray) -> bool:
    """Whether the values (n,) are all one, or none is finite; of a single one nothing is known."""
    finite = loss[np.isfinite(loss)]
    return not len(finite) or bool((finite == finite[0]).all())
