"""Values of a stored JSON object, asked for by name and by type; ValueError says which is none of that type.

A run folder may be anybody's: its records are read back through here, so that what lies behind holds what its type says.
"""

from collections.abc import Mapping
from typing import TypeVar

from mlnn.comparing.relations import ORDER
from mlnn.visible import shown

Stored = Mapping[str, object]
T = TypeVar("T")
_NOT_FINITE = ("nan", "inf", "-inf")  # as JSON holds them


def _damaged(key: str, value: object) -> ValueError:
    return ValueError(f"no {key} is {shown(value)}")


def _said(stored: Stored, key: str, kind: type[T]) -> T | None:
    value = stored.get(key)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    raise _damaged(key, value)


def word(stored: Stored, key: str) -> str | None:
    """A text, or None where nothing is said."""
    return _said(stored, key, str)


def yes(stored: Stored, key: str) -> bool:
    """A truth value; no where nothing is said."""
    value = stored.get(key, False)
    if not isinstance(value, bool):
        raise _damaged(key, value)
    return value


def word_or(stored: Stored, key: str, otherwise: str) -> str:
    """A text; `otherwise` where nothing is said."""
    value = word(stored, key)
    return otherwise if value is None else value


def whole(stored: Stored, key: str) -> int | None:
    """A whole number, or None where nothing is said."""
    return _said(stored, key, int)


def table(stored: Stored, key: str) -> dict[str, object] | None:
    """Values by name, or None where nothing is said."""
    return _said(stored, key, dict)


def tables(stored: Stored, key: str) -> list[dict[str, object]]:
    """Several of these; [] where nothing is said."""
    value = stored.get(key)
    if value is None:
        return []
    if not isinstance(value, list | tuple) or not all(isinstance(one, dict) for one in value):
        raise _damaged(key, value)
    return list(value)


def plain(stored: Stored, key: str) -> str | int | float | None:
    """A text or a number, or None where nothing is said."""
    value = stored.get(key)
    if not isinstance(value, str | int | float | None):
        raise _damaged(key, value)
    return value


def number(stored: Stored, key: str) -> float | None:
    """A number, finite or not, or None where nothing is said."""
    value = plain(stored, key)
    return None if value is None else _float(key, value)


def number_or(stored: Stored, key: str, otherwise: float) -> float:
    """A number, finite or not; `otherwise` where nothing is said."""
    value = number(stored, key)
    return otherwise if value is None else value


def _float(key: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value in _NOT_FINITE:
        return float(value)
    raise _damaged(key, value)


def relation(stored: Stored, key: str) -> str:
    """One of the relations; it must be there."""
    value = word(stored, key)
    if value is None or value not in ORDER:
        raise _damaged(key, value)
    return value


def domain(stored: Stored, key: str) -> str | tuple[float, float]:
    """`all`, `none` or the two ends of an interval; it must be there."""
    value = stored.get(key)
    if value in ("all", "none"):
        return str(value)
    return _interval(key, value)


def interval(stored: Stored, key: str) -> tuple[float, float] | None:
    """The two ends of an interval, or None where nothing is said."""
    return None if stored.get(key) is None else _interval(key, stored[key])


def intervals(stored: Stored, key: str) -> tuple[tuple[float, float], ...]:
    """Several of them; () where nothing is said."""
    value = stored.get(key)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise _damaged(key, value)
    return tuple(_interval(key, one) for one in value)


def _interval(key: str, value: object) -> tuple[float, float]:
    if isinstance(value, list | tuple) and len(value) == 2:
        return _float(key, value[0]), _float(key, value[1])
    raise _damaged(key, value)


def sizes(stored: Stored, key: str) -> dict[str, float | None]:
    """Numbers by name, some of them not known; {} where nothing is said."""
    found = table(stored, key) or {}
    return {name: number(found, name) for name in found}


def words(stored: Stored, key: str) -> dict[str, str]:
    """Texts by name; {} where nothing is said."""
    found = table(stored, key) or {}
    return {name: word_or(found, name, "") for name in found}


def shift(stored: Stored, key: str) -> float | dict[float, float]:
    """A number, or one per target; 0 where nothing is said."""
    value = stored.get(key)
    if not isinstance(value, dict):
        return number_or(stored, key, 0.0)
    try:
        return {float(target): _float(key, size) for target, size in value.items()}
    except ValueError:
        raise _damaged(key, value) from None
