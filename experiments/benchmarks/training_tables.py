"""The speed of training in tables: ratios of processor time, round by round, beside wall time."""

from collections.abc import Sequence

from tables import Listing
from training_growth import Point
from training_race import Raced, Ratio

NONE = "–"


def training_listings(raced: Sequence[Raced], models: Sequence[int]) -> list[Listing]:
    """Of trainings: what the loop takes, and how many times faster others are, then JAX, then what comes before the steps."""
    return [
        _faster(raced, models, "processor"),
        _faster(raced, models, "wall"),
        _beside_jax(raced, models),
        _starts(raced, models),
    ]


def comparing_listings(raced: Sequence[Raced]) -> list[Listing]:
    """Of comparisons: cost in units of the loop."""
    header = (
        "network",
        "dtype",
        "loop, µs/step",
        "study ÷ 2",
        "study ÷ 2, wall",
        "verdict 1/10",
        "verdict 1/100",
        "before and after a study, s",
        "engine",
    )
    lines = []
    for one in raced:
        study, wall = one.ratio("study", "loop", scale=2.0), one.ratio("study", "loop", "wall", 2.0)
        verdicts = [_told(one.ratio(f"verdict, {share}", "loop")) for share in ("1/10", "1/100")]
        start, end = one.middle("study", "start"), one.middle("study", "end")
        lines.append(
            (one.cell.network, one.cell.dtype, _micro(one.middle("loop")), _told(study), _told(wall), *verdicts,
             f"{start:.2f}, {end:.2f}", one.engine)
        )  # fmt: skip
    return [Listing("Cost of a comparison in plain runs: a study of two, a verdict of one", header, lines)]


def growth_listing(points: Sequence[Point]) -> Listing:
    """The points of the figure."""
    lines = [
        (one.axis, str(one.size), f"{one.processor:.2f}", f"{one.wall:.2f}", f"{one.memory:.0f}") for one in points
    ]
    return Listing("Growth, one size at a time", ("size", "is", "processor, s", "wall, s", "peak, MiB"), lines)


def _faster(raced: Sequence[Raced], models: Sequence[int], time: str) -> Listing:
    others = ("loader", "lightning", "one lane", *(f"mlnn {count}" for count in models))
    header = ("network", "dtype", "loop, µs", *(f"{name}" for name in others), "engine", "first losses apart")
    lines = []
    for one in raced:
        found = [_told(one.ratio("loop", name, time)) for name in others]
        lines.append(
            (one.cell.network, one.cell.dtype, _micro(one.middle("loop", time)), *found, one.engine, f"{one.apart:.0e}")
        )
    return Listing(f"Times as fast as the loop, per model-step, {time} time: median (least–most)", header, lines)


def _beside_jax(raced: Sequence[Raced], models: Sequence[int]) -> Listing:
    own = [one for one in raced if any(block.side.startswith("jax") for block in one.blocks)]
    header = (
        "network",
        "dtype",
        *(f"jax {count}, µs" for count in (1, *models)),
        *(f"mlnn ÷ jax, {count}" for count in models),
    )
    lines = [
        (one.cell.network, one.cell.dtype, *(_micro(one.middle(f"jax {count}")) for count in (1, *models)),
         *(_told(one.ratio(f"mlnn {count}", f"jax {count}")) for count in models))
        for one in own
    ]  # fmt: skip
    return Listing("Beside JAX, jit(scan(vmap)), processor time", header, lines)


def _starts(raced: Sequence[Raced], models: Sequence[int]) -> Listing:
    sides = ("lightning", *(f"mlnn {count}" for count in models), *(f"jax {count}" for count in models))
    lines = []
    for one in raced:
        longest = [max((block.start for block in one.named(side)), default=None) for side in sides]
        lines.append((one.cell.network, one.cell.dtype, *(NONE if told is None else f"{told:.2f}" for told in longest)))
    return Listing(
        "Before the steps, seconds of processor time, the longest of the rounds", ("network", "dtype", *sides), lines
    )


def _told(ratio: Ratio | None) -> str:
    return NONE if ratio is None else str(ratio)


def _micro(seconds: float | None) -> str:
    return NONE if seconds is None else f"{seconds * 1e6:.3g}"
