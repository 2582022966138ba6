"""At which steps right is asked at left's weights: all of them, or some, its looks."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from mlnn.arguments import shown, whole
from mlnn.errors import ConfigError, unknown

MODES = ("study", "verdict")
"""All lanes train, for the drift between them; or left alone, and right is asked from its state."""
ENGINES = ("auto", "plain", "stacked")
"""Lanes one by one, or as rows of one computation; or the second where it can be."""
SHARE = 10
"""A verdict looks at one step in so many, unless it is told otherwise: at four networks from one node to eight layers of 64 that
was the least often at which each pair of the benchmark's sample kept its relation."""
LEAST = 8
"""Looks at least, where there are so many steps: of fewer one row that diverges would decide."""
FIRST = 4
"""Of the looks, so many at most are the first steps: a gradient that is never set to zero, or a state that is not kept, shows from
the second step on, and is told from other causes by three that follow one another."""


def check_mode(mode: Any) -> str:
    """A word of MODES; ConfigError for anything else."""
    if not isinstance(mode, str) or mode not in MODES:
        raise ConfigError("mode: " + unknown("mode", mode if isinstance(mode, str) else shown(mode), MODES))
    return mode


def check_engine(engine: Any, mode: str) -> str:
    """A word of ENGINES; ConfigError for anything else, and for stacks of a verdict, of which left alone trains."""
    if not isinstance(engine, str) or engine not in ENGINES:
        raise ConfigError("engine: " + unknown("engine", engine if isinstance(engine, str) else shown(engine), ENGINES))
    if engine == "stacked" and mode == "verdict":
        raise ConfigError("engine: 'stacked' with mode='verdict', of which left alone trains; leave engine out")
    return engine


def looks_at(mode: str, looks: Any, steps: int) -> Sequence[int]:
    """The steps that are looked at, in their order.

    looks: "all", how many, the steps themselves, or None: all of a study, one in SHARE of a verdict. Raises ConfigError for none,
    for a step that there is not, or twice.
    """
    if looks is None:
        looks = "all" if mode == "study" else max(min(LEAST, steps), -(-steps // SHARE))
    if isinstance(looks, str):
        if looks != "all":
            raise ConfigError(f"looks: {shown(looks)}; 'all', a number of looks or a list of steps is needed")
        return range(steps)
    if not isinstance(looks, Iterable) or getattr(looks, "ndim", 1) == 0:
        return spread(whole("looks", looks, 1, steps), steps)
    found = sorted(whole("looks: a step", step, 0, steps - 1) for step in looks)
    if not found:
        raise ConfigError("looks: no step is given; a comparison that never looks sees nothing")
    twice = next((one for one, other in pairwise(found) if one == other), None)
    if twice is not None:
        raise ConfigError(f"looks: step {twice} is given twice")
    return found


def spread(count: int, steps: int) -> Sequence[int]:
    """`count` of the steps: the first few, and from there on evenly to the last."""
    first = min(FIRST, count // 2)
    rest = count - first
    return [*range(first), *sorted(steps - 1 - place * (steps - first) // rest for place in range(rest))]


def planted_at(looks: Sequence[int]) -> set[int]:
    """The looks at which faults are planted: four over the run."""
    return {looks[place] for place in (0, len(looks) // 4, len(looks) // 2, len(looks) - 1)}
