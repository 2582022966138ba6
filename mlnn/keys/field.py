"""One key of a config: a field of a record, with what it means and what it must be beside its type."""

import copy
import dataclasses
import math
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, TypeVar

from mlnn.errors import unknown

T = TypeVar("T")
Node = Mapping[str, Any]
"""What a group holds: a `_target_` and its arguments, which are their own owner's (`mlnn.trust` checks them), or named lists."""
Check = Callable[[Any], str | None]
"""From a value of the right type to what is wrong with it; None where nothing is."""
KEY = "key"
DEVICES = ("cpu", "cuda", "hip", "hpu", "maia", "mps", "mtia", "npu", "privateuseone", "xla", "xpu")


@dataclass(frozen=True)
class Key:
    """A key of a record, told apart from the others.

    `kind`: int, float, str, bool, list, Mapping, or the record of a group of keys; `others`: what it may be instead.
    `nullable`: whether null says something. `default`: as it ships; of a group that is chosen, the name of the choice. `known`: a
    record of some keys of a free-form group, those of a known type.
    """

    name: str
    kind: type
    others: tuple[type, ...]
    nullable: bool
    default: Any
    meaning: str
    check: Check | None
    known: type | None


MOST_WHOLE = 1 << 53
"""Of a count: up to here a float64 holds every whole number."""


def key(default: T, meaning: str, check: Check | None = None, known: type | None = None) -> T:
    """The field of a key that ships as `default`."""
    said = {KEY: (default, meaning, check, known)}
    return field(default_factory=lambda: copy.copy(default), metadata=said)


def choice(name: str, meaning: str) -> Any:
    """The field of a group that ships as the choice `name`."""
    return field(metadata={KEY: (name, meaning, None, None)})


def nested(record: Callable[[], T], meaning: str) -> T:
    """The field of a group of keys, a record that ships as it is made."""
    shipped = dataclasses.asdict(record())  # type: ignore[call-overload]
    return field(default_factory=record, metadata={KEY: (shipped, meaning, None, None)})


def entries(record: type) -> dict[str, Key]:
    """The keys of a record by name, in the order of the composed config."""
    hints = typing.get_type_hints(record)
    fields = [one for one in dataclasses.fields(record) if KEY in one.metadata]
    found = {}
    for one in fields:
        (kind, *others), nullable = _kinds(hints[one.name])
        found[one.name] = Key(one.name, kind, tuple(others), nullable, *one.metadata[KEY])
    return found


def _kinds(hint: Any) -> tuple[list[type], bool]:
    """The types of a hint, and whether None is among them."""
    parts = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return [typing.get_origin(part) or part for part in parts if part is not NoneType], NoneType in parts


def at_least(least: float, most: float | None = None) -> Check:
    """A finite number that is not smaller, and not larger than `most`, if that is given; whole ones up to `MOST_WHOLE`."""
    if most is not None:
        return lambda value: None if least <= value <= most else f"{value!r}; {least} to {most} are possible"

    def wrong(value: float) -> str | None:
        if isinstance(value, int) and value > MOST_WHOLE:
            return f"{value!r}; at most {MOST_WHOLE:,} is possible"
        return None if least <= value < math.inf else f"{value!r}; at least {least} is needed"

    return wrong


def above(bound: float) -> Check:
    """A finite number that is larger."""
    return lambda value: None if bound < value < math.inf else f"{value!r}; a finite number above {bound} is needed"


def share(value: float) -> str | None:
    """A share of the rows that leaves some."""
    return None if 0 <= value < 1 else f"{value!r}; at least 0 and below 1 is needed"


def one_of(what: str, words: Sequence[str]) -> Check:
    """One of some words."""
    return lambda value: None if value in words else unknown(what, value, words)


def device(value: str) -> str | None:
    """A device that torch may have, with or without its number; whether it is there, is asked later."""
    known = re.fullmatch(rf"({'|'.join(DEVICES)})(:\d+)?", value)
    return None if known else f"{value!r} is no device; 'cpu' always is, 'cuda', 'cuda:1', 'mps', 'xpu' may be"


def seeds(value: Sequence[Any]) -> str | None:
    """Different whole numbers, at least one."""
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) for seed in value)
    good = whole and value and len(set(value)) == len(value)
    return None if good else f"{value!r}; give different whole numbers, e.g. [0, 1, 2]"


def looks(value: Any) -> str | None:
    """The word all, how many, or different steps."""
    if isinstance(value, int):
        return at_least(1)(value)
    whole = isinstance(value, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)
    good = value == "all" or (whole and value and len(set(value)) == len(value) and min(value) >= 0)
    return None if good else f"{value!r}; give all, how many, or different steps, e.g. [0, 10, 100]"


def interval(value: Sequence[Any]) -> str | None:
    """Two numbers, the smaller one first."""
    numbers = len(value) == 2 and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
    return None if numbers and value[0] < value[1] else f"{value!r}; two raw outputs are needed, e.g. [-15, 15]"


def two(value: Sequence[Any]) -> str | None:
    """Two texts."""
    good = len(value) == 2 and all(isinstance(one, str) for one in value)
    return None if good else f"{value!r}; two paths are needed, e.g. [one, two]"


def written(value: str) -> str | None:
    """A text that is not blank."""
    return None if value.strip() else f"{value!r}; a word is needed"
