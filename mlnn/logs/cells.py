"""What a row of a log says: which of its fields is the step, which the time, and what a cell is as a number."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from mlnn.errors import ConfigError, unknown

STEPS = ("step", "global_step", "_step", "trainer/global_step", "train/global_step", "iteration", "iter", "iterations",
         "batch", "update", "epoch")  # fmt: skip
"""Names of a field that holds the step, in small letters; the first of them that is there counts."""
TIMES = ("_timestamp", "timestamp", "wall_time", "wall time", "time", "created_at", "_runtime", "runtime",
         "relative time (process)", "relative time (wall)")  # fmt: skip
BLANK = frozenset({"", "none", "null", "na", "n/a", "-"})
LARGEST = 1.7976931348623157e308
"""What MLflow makes of an infinity."""
_MILLISECONDS = 1e11
"""A time later than this is no count of seconds since 1970 of our days."""


def step_name(names: Iterable[str], asked: str | None) -> str | None:
    """The name among `names` that holds the step; `asked`: by the user, ConfigError where it is not there."""
    every = list(names)
    if asked is not None:
        if asked not in every:
            raise ConfigError(f"step: {unknown('column', asked, every)}")
        return asked
    return _first(every, STEPS)


def time_name(names: Iterable[str]) -> str | None:
    """The name among `names` that holds the time."""
    return _first(list(names), TIMES)


def _first(names: Sequence[str], known: Sequence[str]) -> str | None:
    small = {name.strip().lower(): name for name in reversed(names)}
    return next((small[word] for word in known if word in small), None)


def whole(cell: object) -> int | None:
    """A step: a whole number, also written 10.0; None of a blank cell. ValueError for anything else."""
    if isinstance(cell, str):
        if cell.strip().lower() in BLANK:
            return None
        try:
            found = int(cell)
        except ValueError:
            return whole(float(cell))
    elif cell is None:
        return None
    elif isinstance(cell, bool) or not isinstance(cell, int | float):
        raise ValueError
    elif isinstance(cell, float):
        if math.isnan(cell):
            return None
        if not cell.is_integer():  # an infinity is none either
            raise ValueError
        found = int(cell)
    else:
        found = cell
    if not -(2**63) <= found < 2**63:
        raise ValueError
    return found


def number(cell: object) -> float | None:
    """A cell as a number, the words nan and inf among them; None of a blank one. ValueError for text."""
    if isinstance(cell, str):
        try:
            return float(cell)
        except ValueError:
            if cell.strip().lower() in BLANK:
                return None
            raise
    if cell is None:
        return None
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise ValueError
    try:
        return float(cell)
    except OverflowError:
        return math.copysign(math.inf, cell)


def seconds(cell: object) -> float:
    """A time in seconds: a number (milliseconds too), or a date as ISO 8601 writes it; NaN of anything else."""
    try:
        found = number(cell)
    except ValueError:
        try:
            return datetime.fromisoformat(str(cell)).timestamp()
        except (ValueError, OverflowError, OSError):
            return math.nan
    if found is None:
        return math.nan
    return found / 1000 if _MILLISECONDS < abs(found) < math.inf else found
