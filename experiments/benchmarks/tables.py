"""The verdict benchmark in tables: what was told rightly, what was not, and how fixed tolerances did on the same runs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich import box
from rich.table import Table

from mlnn.report.said import said

JUDGES = {
    "mlnn": "mlnn",
    "first_loss": "assert_close on the first loss",
    "tight_curve": "loss curve, rtol 1e-5, atol 1e-8",
    "loose_curve": "loss curve, 5 %, 1 % of steps free",
}
OUTCOMES = ("agreed", "false alarm", "caught", "misnamed", "below resolution", "missed", "raised")
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Listing:
    """A table without a look: for the screen (`rich_table`) and for the page (`markdown`)."""

    title: str
    header: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]


def listings(rows: Rows) -> list[Listing]:
    """All tables of a benchmark."""
    return [confusion(rows), wrong(rows), smallest(rows), resolutions(rows)]


def confusion(rows: Rows) -> Listing:
    """One line per judge. A tolerance knows pass and fail only; pairs that are equal up to a factor are not put to it."""
    lines = []
    for judge, words in JUDGES.items():
        told = [
            outcome(row, judge) for row in rows if judge == "mlnn" or row["kind"] == "unequal" or row["same_training"]
        ]
        lines.append((words, *(str(told.count(kind)) for kind in OUTCOMES)))
    header = ("judge", *OUTCOMES)
    return Listing("Equal and unequal pairs, by judge", header, lines)


def outcome(row: Mapping[str, Any], judge: str) -> str:
    """What a judge made of a run: mlnn's own outcome, or a tolerance's pass or fail in the same words."""
    if judge == "mlnn" or row["outcome"] == "raised":
        return str(row["outcome"])
    if row["kind"] == "equal":
        return "agreed" if row[judge] else "false alarm"
    return "missed" if row[judge] else "caught"


def wrong(rows: Rows) -> Listing:
    """Every false alarm, miss, misnamed fault and failure of mlnn, with its sentence; runs of one pair and relation together."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["outcome"] in ("false alarm", "missed", "misnamed", "raised"):
            groups.setdefault((row["outcome"], row["pair"], row["relation"] or "–"), []).append(row)
    lines = [
        (told, pair, relation, str(len(found)), " ".join(sorted({row["dtype"] for row in found})), found[0]["sentence"])
        for (told, pair, relation), found in sorted(groups.items())
    ]
    return Listing("Wrong verdicts", ("outcome", "pair", "relation", "runs", "dtypes", "sentence of the first"), lines)


def smallest(rows: Rows) -> Listing:
    """Per kind of fault and dtype, the smallest size that was caught in every run, and the largest that was not."""
    kinds: dict[tuple[str, str], dict[float, bool]] = {}
    for row in rows:
        if row["size"] is not None:
            sizes = kinds.setdefault((_family(row["pair"]), row["dtype"]), {})
            sizes[row["size"]] = sizes.get(row["size"], True) and row["outcome"] in ("caught", "misnamed")
    lines = [
        (kind, dtype, _least(size for size, told in sizes.items() if told),
         _most(size for size, told in sizes.items() if not told))
        for (kind, dtype), sizes in sorted(kinds.items())
    ]  # fmt: skip
    return Listing("Smallest faults", ("kind", "dtype", "smallest caught", "largest not caught"), lines)


def resolutions(rows: Rows) -> Listing:
    """Per dtype, the resolution that the verdicts on equal pairs stated: median and worst over the runs that had one."""
    lines = []
    for dtype in sorted({row["dtype"] for row in rows if row["kind"] == "equal"}):
        own = [row for row in rows if row["dtype"] == dtype and row["kind"] == "equal"]
        stated = [row["resolution"] for row in own if row["resolution"] is not None]
        both = (f"{median(stated):.1e}", f"{max(stated):.1e}") if stated else ("–", "–")
        lines.append((dtype, str(len(own)), str(len(stated)), *both))
    return Listing("Resolution stated for equal pairs", ("dtype", "runs", "with one", "median", "worst"), lines)


def _family(name: str) -> str:
    """The kind of fault: a pair's name without its size."""
    return re.sub(r"[\s=]+[αβγδεθ₂]?[=\s]*[\d.]+(e-?\d+)?$", "", name)


def _least(sizes: Iterator[float]) -> str:
    return f"{least:.1e}" if (least := min(sizes, default=None)) is not None else "–"


def _most(sizes: Iterator[float]) -> str:
    return f"{most:.1e}" if (most := max(sizes, default=None)) is not None else "–"


def rich_table(listing: Listing) -> Table:
    """A listing for the screen; names and sentences as plain text."""
    table = Table(title=listing.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in listing.header:
        table.add_column(name, overflow="fold")
    for line in listing.lines or [("none", *[""] * (len(listing.header) - 1))]:
        table.add_row(*(said(entry) for entry in line))
    return table


def markdown(rows: Rows, found: Sequence[Listing]) -> str:
    """The results page: the listings in Markdown."""
    parts = [f"# Verdict benchmark: {len(rows)} runs of {len({row['pair'] for row in rows})} pairs"]
    for listing in found:
        lines = [listing.header, ("---",) * len(listing.header), *listing.lines]
        parts.append(
            f"## {listing.title}\n\n" + "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
        )
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
