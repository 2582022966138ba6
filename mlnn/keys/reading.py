"""The keys of the commands that read what is stored, in the order of their YAML in configs/."""

from dataclasses import dataclass

from mlnn.keys.field import (
    above,
    at_least,
    key,
    nested,
    one_of,
    two,
    written,
)
from mlnn.keys.shared import FigureSettings, Settings

RELATIONS = ("bitwise", "equal", "indistinguishable", "shifted", "scaled")
ALIGNS = ("step", "tokens", "time")
CERTIFICATES = ("likelihood", "scaled likelihood", "likelihood family", "proper", "calibrated", "no link", "unnormalisable",
                "batch-coupled", "undecided")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CurvesSettings(Settings):
    """mlnn curves"""

    runs: list[str] = key([], "run folders and logs of other tools; without a key: curves RUN LOG …")
    metric: str | list[str] | None = key(
        None, "which series of a log; null: its training loss, and the page says which"
    )
    align: str = key(
        "step", "what lies below each other: step, tokens, or time since the first point", one_of("place", ALIGNS)
    )
    group: str | None = key(
        None, "a word, e.g. seed: runs whose paths differ only in the number after it become one band", written
    )
    margin: float = key(0.05, "of the equivalence test of the groups' final losses, as a share of the first", above(0))
    smooth: int | None = key(
        None, "draw the mean of so many values; differences stay as logged; null: none", at_least(2)
    )
    null_pair: list[str] | None = key(
        None, "two runs or logs that differ by rounding alone, whose difference is shown beside: [A, B]", two
    )
    step: str | None = key(
        None, "the column or field of the step in a log; null: step, global_step, _step, iteration, …"
    )
    most_bytes: int = key(200_000_000, "of one log; command line only", at_least(1))
    most_points: int = key(10_000_000, "of one log, all series together; command line only", at_least(1))
    most_series: int = key(10_000, "of one log; command line only", at_least(1))
    figure: FigureSettings = nested(FigureSettings, "the page's pictures as files, in figures/ beside it")
    page: str | None = key(None, "where to write the page; null: curves.html in the current folder; command line only")


@dataclass(frozen=True, kw_only=True)
class DiffSettings(Settings):
    """mlnn diff"""

    recordings: list[str] = key([], "two folders that mlnn.record has written; without a key: diff A B")
    require: str | None = key(
        None, f"weakest relation that passes: {', '.join(RELATIONS)}", one_of("relation", RELATIONS)
    )
    page: str | None = key(None, "where to write the page; null: diff.html in the current folder; command line only")


@dataclass(frozen=True, kw_only=True)
class ReplaySettings(Settings):
    """mlnn replay"""

    capsule: list[str] = key([], "the folder of one recorded step; without a key: replay CAPSULE")
    factory: str | None = key(
        None,
        "what makes the model: my_module:make, or its class if that takes no arguments; imported; command line only",
    )
    loss: str | None = key(
        None, "my_module:my_loss of (raw output, target), in place of the recorded loss; imported; command line only"
    )
    step: str | None = key(None, "my_module:my_step of (model, batch), in its place; imported; command line only")
    target: str | None = key(None, "the recorded tensor that is the target, where several may be: its name")
    require: str | None = key(
        None, f"weakest relation that passes: {', '.join(RELATIONS)}", one_of("relation", RELATIONS)
    )
    page: str | None = key(None, "where to write the page; null: replay.html in the current folder; command line only")


@dataclass(frozen=True, kw_only=True)
class LiftSettings(Settings):
    """mlnn lift"""

    capsule: list[str] = key([], "the folder of one recorded step; without a key: lift CAPSULE")
    target: str | None = key(None, "the recorded tensor that is the target, where several may be: its name")
    targets: str | None = key(
        None,
        "binary, classes(K), real, counts, positive, unit, each with (raw=m); null: as far as the recorded targets tell",
    )
    require: str | None = key(
        None, "the kind it must be, e.g. likelihood (scaled ones and families pass too)", one_of("kind", CERTIFICATES)
    )
    page: str | None = key(None, "where to write the page; null: lift.html in the current folder; command line only")


@dataclass(frozen=True, kw_only=True)
class RunsSettings(Settings):
    """mlnn runs"""

    ask: list[str] = key([], "list, verify, show or clean, then folders; without a key: runs verify FOLDER …")
    interrupted: bool = key(False, "clean takes away runs that could go on too; command line only")
