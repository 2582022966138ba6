"""What an argument must be: a whole number, a number, one word per side. Each refuses with the argument's name and a way out."""

import math
import operator
from collections.abc import Mapping
from typing import Any

from mlnn.errors import ConfigError

SHOWN = 60
"""Characters of a wrong value that an error shows."""


def whole(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """A whole number (Python's or numpy's), `least` ≤ value ≤ `most`, as an int; raises ConfigError for anything else.

    True, "3" and 2.0 are none: who writes them means something else, or has read a file without types.
    """
    try:
        number = None if _is_truth(value) else operator.index(value)
    except Exception:  # of whatever type the value is, it has said that it is no whole number
        number = None
    if number is None:
        raise ConfigError(f"{name}: {shown(value)} is not a whole number, such as {max(least or 0, 1)}")
    if (least is not None and number < least) or (most is not None and number > most):
        wanted = f"at least {least} is needed" if most is None else f"{least} to {most} is needed"
        raise ConfigError(f"{name}: {shown(number)}; {wanted}")
    return number


def number(name: str, value: Any, least: float = -math.inf, below: float = math.inf, what: str = "") -> float:
    """A finite real number, `least` ≤ value < `below`, as a float; raises ConfigError for anything else, NaN included."""
    wanted = what or "a finite number is needed"
    try:
        found = None if _is_truth(value) or isinstance(value, str | bytes) else float(value)
    except Exception:  # no number, or one of more digits than a float holds
        found = None
    if found is None or not (least <= found < below and math.isfinite(found)):
        raise ConfigError(f"{name}: {shown(value)}; {wanted}")
    return found


def truth(name: str, value: Any) -> bool:
    """True or False (Python's or numpy's); raises ConfigError for anything else, the word "false" included."""
    if not _is_truth(value):
        raise ConfigError(f"{name}: {shown(value)} is neither True nor False")
    return bool(value)


def interval(name: str, value: Any) -> tuple[float, float] | None:
    """(low, high) with low < high, infinite ends allowed, or None; raises ConfigError for anything else."""
    if value is None:
        return None
    try:
        low, high = (float(end) for end in value if not _is_truth(end) and not isinstance(end, str | bytes))
    except Exception:  # not two numbers, in whatever way
        low, high = math.nan, math.nan
    if not low < high:
        raise ConfigError(
            f"{name}: {shown(value)}; two numbers are needed, the lower raw output comes first, e.g. (-15, 15)"
        )
    return low, high


def sides(name: str, value: Any) -> tuple[str, str]:
    """One word for both sides, or one word per side; raises ConfigError for anything else."""
    pair = (value, value) if isinstance(value, str) else value
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(word, str) for word in pair):
        raise ConfigError(f"{name}: {shown(value)}; one word is needed, or two, (left's, right's)")
    return pair[0], pair[1]


def called(name: str, value: Any, example: str) -> None:
    """Raise ConfigError unless the value can be called; `example` says what it should look like."""
    if not callable(value):
        raise ConfigError(f"{name}: {shown(value)} cannot be called; give {example}")


def mapping(name: str, value: Any) -> dict[str, Any]:
    """A dict of names, empty for None; raises ConfigError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{name}: {shown(value)}; a dict by names is needed")
    return dict(value)


def shown(value: Any) -> str:
    """A value as an error shows it: a short one as it is written, of a long one its type."""
    if value is None or isinstance(value, bool | float | str | bytes):
        text = repr(float(value) if isinstance(value, float) else value)
        return text if len(text) <= SHOWN else text[: SHOWN - 2] + "…" + text[0]
    if isinstance(value, int):
        return str(value) if value.bit_length() < 4 * SHOWN else f"a number of {value.bit_length()} bits"
    try:
        text = repr(value)
    except Exception:  # an object of the caller's that cannot even show itself
        text = ""
    short = 0 < len(text) <= SHOWN and "\n" not in text
    return text if short else f"an object of type {type(value).__name__}"


def first_line(problem: BaseException) -> str:
    """The first line of what an exception says, empty where it cannot say anything. After it torch tells its C++ stack."""
    try:
        return next(iter(str(problem).strip().splitlines()), "")[:300]
    except Exception:  # an exception of the caller's whose message fails
        return ""


def _is_truth(value: Any) -> bool:
    """Whether a value is a truth value: Python's, numpy's or torch's."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")
