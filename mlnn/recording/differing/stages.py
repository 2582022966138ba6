"""What two recordings have alike and apart, stage by stage: a line each of a table."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlnn.recording.differing.batches import WORDS
from mlnn.recording.differing.records import Apart, Row, Setting
from mlnn.visible import shown


@dataclass(frozen=True)
class Stage:
    """`bits`: the first step at which bits differ, None where none do; `beyond`: the first at which more than rounding does, where
    that can be told; `largest`: of its distances up to there, NaN for what has none; `word`: what is found, in words."""

    name: str
    word: str
    bits: int | None = None
    beyond: int | None = None
    largest: float = math.nan


def stages_of(
    rows: Sequence[Row], allowed: Sequence[float], settings: Sequence[Setting], stage: str | None, step: int | None
) -> tuple[Stage, ...]:
    """A line a stage; `allowed`: of each row; `stage` and `step`: where the two part."""
    count = f"{len(settings)} set otherwise" if settings else "alike"
    found = [Stage("environment", count)]
    words = {row.batch for row in rows} - {"same"}
    told = "; ".join(WORDS[word] for word in WORDS if word in words) or WORDS["same"]
    found.append(Stage("batch", told, _first(rows, lambda row: row.batch not in ("same", "unknown"))))
    names = sorted({name for row in rows for name in row.streams})
    found.append(
        Stage(
            "random state",
            ", ".join(map(shown, names[:8])) or "the same streams",
            _first(rows, lambda row: bool(row.streams)),
        )
    )
    upto = [(row, most) for row, most in zip(rows, allowed, strict=True) if step is None or row.step <= step]
    parts: dict[str, Callable[[Row], Apart | None]] = {
        "loss": lambda row: row.loss, "gradient": lambda row: row.gradient, "weights": lambda row: row.weights,
    }  # fmt: skip
    found += [_measured(name, part, rows, upto) for name, part in parts.items()]
    return tuple(_parted(one, stage, step) for one in found)


def _measured(
    name: str, part: Callable[[Row], Apart | None], rows: Sequence[Row], upto: Sequence[tuple[Row, float]]
) -> Stage:
    seen = [found for row in rows if (found := part(row)) is not None]
    if not seen:
        return Stage(name, "not recorded")
    sizes = [found.distance for row, _ in upto if (found := part(row)) is not None]
    bits = _first(rows, lambda row: (found := part(row)) is not None and not found.same)
    word = (
        "bit for bit the same"
        if bits is None
        else f"the same bits in {sum(one.same for one in seen)} of {len(seen)} steps"
    )
    return Stage(name, word, bits, None, max(sizes, default=math.nan))


def _parted(one: Stage, stage: str | None, step: int | None) -> Stage:
    return Stage(one.name, one.word, one.bits, step, one.largest) if one.name == stage else one


def _first(rows: Sequence[Row], differs: Callable[[Row], bool]) -> int | None:
    return next((row.step for row in rows if differs(row)), None)
