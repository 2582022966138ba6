"""Runs that are alike but for a number in their names as one group: a band of their curves, and a test of their final losses."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from mlnn.comparing.curves.curve import Curve
from mlnn.comparing.seeds import Equivalence, equivalence
from mlnn.errors import ConfigError
from mlnn.visible import shown


@dataclass(frozen=True)
class Group:
    """Curves that are alike but for a number, by that number."""

    name: str
    members: dict[int, Curve]


@dataclass(frozen=True)
class Band:
    """Over the curves of a group, at the places that all of them have: lowest, middle and highest loss, (n,) each."""

    name: str
    place: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Finals:
    """The final losses of two groups, paired by their numbers, at `place`, the last one that all of these runs have."""

    left: str
    right: str
    numbers: tuple[int, ...]
    place: float
    test: Equivalence


def groups(found: Sequence[Curve], word: str) -> list[Group]:
    """The curves by what is left of their paths without the number after `word`; ConfigError where none has such a number."""
    number = re.compile(rf"(?<![a-z]){re.escape(word)}[ =_-]*(\d{{1,18}})", re.IGNORECASE)
    made: dict[str, dict[int, Curve]] = {}
    for curve in found:
        match = number.search(curve.path)
        if match is None:
            raise ConfigError(
                f"group: '{shown(curve.path.strip(), 200)}' has no number after '{shown(word)}',"
                f" as {word}=3, {word}_3 or {word}3 would be"
            )
        rest = number.sub("", curve.path)
        if int(match[1]) in made.setdefault(rest, {}):
            raise ConfigError(
                f"group: two runs '{shown(rest.strip(), 200)}' have the number {match[1]} after '{shown(word)}'"
            )
        made[rest][int(match[1])] = curve
    names = _told_apart([re.sub(r"[ =_/.-]+", " ", rest).split() for rest in made])
    return [Group(name, members) for name, members in zip(names, made.values(), strict=True)]


def _told_apart(words: list[list[str]]) -> list[str]:
    """Of names in words, those words that not all of them share; the number of the group where nothing is left."""
    shared = set(words[0]).intersection(*map(set, words[1:])) if len(words) > 1 else set()
    names = [" ".join(map(shown, [word for word in name if word not in shared][-4:])) for name in words]
    if len(set(names)) < len(names) or not all(names):
        return [f"{shown(' '.join(name[-2:]))} ({place})" for place, name in enumerate(words, 1)]
    return names


def band(group: Group) -> Band:
    """Where the curves of a group lie; a loss that is not finite makes all three of its place not finite."""
    members = list(group.members.values())
    place = reduce(np.intersect1d, [curve.place[np.isfinite(curve.place)] for curve in members])
    losses = np.stack([_at(curve, place) for curve in members])
    return Band(f"{group.name} ({len(members)} runs)", place, losses.min(0), np.median(losses, 0), losses.max(0))


def finals(one: Group, two: Group, margin: float) -> Finals | str:
    """The equivalence of the final losses of two groups within `margin`, a share of the first's mean; or why there is none."""
    numbers = tuple(sorted(one.members.keys() & two.members.keys()))
    if len(numbers) < 2:
        return (
            f"{one.name} and {two.name} share {len(numbers)} of their numbers; final losses are tested over at least 2"
        )
    sides = [[group.members[number] for number in numbers] for group in (one, two)]
    place = sides[0][0].place
    for curve in [*sides[0], *sides[1]]:
        place = np.intersect1d(place[np.isfinite(place)], curve.place)
    if not len(place):
        return f"{one.name} and {two.name} have no step that all of their runs share"
    last = place[-1:]
    left, right = ([float(_at(curve, last)[0]) for curve in side] for side in sides)
    return Finals(one.name, two.name, numbers, float(last[0]), equivalence(left, right, margin, unit=""))


def _at(curve: Curve, place: np.ndarray) -> np.ndarray:
    """Its loss at places (n,) that it has; of one that is there twice, the later."""
    found, index = np.unique(curve.place[::-1], return_index=True)
    return curve.loss[::-1][index[np.searchsorted(found, place)]]
