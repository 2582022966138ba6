"""The verdict benchmark in tables: what was told rightly, what was not, and how fixed tolerances did on the same runs."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

from mlnn.report.said import said

JUDGES = {
    "mlnn": "mlnn",
    "first_loss": "assert_close on the first loss",
    "five_decimals": "first loss, five decimals",
    "tight_curve": "loss curve, rtol 1e-5, atol 1e-8",
    "bfloat_curve": "loss curve, rtol 1.6e-2, atol 1e-5",
    "loose_curve": "loss curve, 5 %, 1 % of steps free",
}
OUTCOMES = ("agreed", "false alarm", "caught", "misnamed", "below resolution", "missed", "raised")
CAUSES = ("right", "none", "wrong", "unknown")
FINE = 1e-9
"""The resolution that is asked for wherever float64 can be reached."""
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Listing:
    """A table without a look: for the screen (`rich_table`) and for the page (`markdown`)."""

    title: str
    header: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]


def listings(rows: Rows) -> list[Listing]:
    """All tables of a benchmark."""
    apart = by_family(rows)
    judged = [confusion(own, f" ({family})") for family, own in apart.items()] if len(apart) > 1 else []
    return [
        confusion(rows),
        *judged,
        decisions(rows),
        wrong(rows),
        wrong_causes(rows),
        smallest(rows),
        resolutions(rows),
    ]


def by_family(rows: Rows) -> dict[str, Rows]:
    """The runs of each family of pairs."""
    return {
        family: [row for row in rows if row["family"] == family] for family in sorted({row["family"] for row in rows})
    }


def confusion(rows: Rows, of: str = "") -> Listing:
    """One line per judge. A tolerance knows pass and fail only; pairs that are equal up to a factor are not put to it."""
    lines = []
    for judge, words in JUDGES.items():
        told = [
            outcome(row, judge) for row in rows if judge == "mlnn" or row["kind"] == "unequal" or row["same_training"]
        ]
        lines.append((words, *(str(told.count(kind)) for kind in OUTCOMES)))
    header = ("judge", *OUTCOMES)
    return Listing(f"Equal and unequal pairs, by judge{of}", header, lines)


def decisions(rows: Rows) -> Listing:
    """By family and kind: how many runs were decided and judged rightly, what causes were named, what the sides compute in.

    Of the causes, "of faults" counts the runs of which the catalogue says what a right one holds.
    """
    header = (
        "family",
        "kind",
        "runs",
        "decided",
        "right",
        *(f"cause {word}" for word in CAUSES),
        "right of faults",
        "computes in",
    )
    lines = []
    for family, own in by_family(rows).items():
        for kind in sorted({row["kind"] for row in own}):
            some = [row for row in own if row["kind"] == kind]
            causes = [str(sum(row["named"] == word for row in some)) for word in CAUSES]
            nameable = [row for row in some if row["nameable"]]
            told = [row["computes_in_told"] for row in some if row["computes_in_told"] is not None]
            lines.append(
                (family, kind, str(len(some)), _share(row["decided"] for row in some),
                 _share(row["outcome"] in ("agreed", "caught") for row in some), *causes,
                 _share(row["named"] == "right" for row in nameable), _share(told))
            )  # fmt: skip
    return Listing("Decided, and causes named", header, lines)


def wrong_causes(rows: Rows) -> Listing:
    """Every cause that was named and is not the one, with the sentence of the first run."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["named"] == "wrong":
            groups.setdefault((row["pair"], str(row["cause"])), []).append(row)
    lines = [(pair, cause, str(len(found)), found[0]["sentence"]) for (pair, cause), found in sorted(groups.items())]
    return Listing("Wrong causes", ("pair", "cause named", "runs", "sentence of the first"), lines)


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
    """By family and dtype, the resolution that the verdicts on equal pairs stated: quantiles over the runs that had one."""
    lines = []
    for family, members in by_family(rows).items():
        for dtype in sorted({row["dtype"] for row in members if row["kind"] == "equal"}):
            own = [row for row in members if row["dtype"] == dtype and row["kind"] == "equal"]
            stated = [row["resolution"] for row in own if row["resolution"] is not None]
            shown = [f"{quantile(stated, share):.1e}" for share in (0.1, 0.5, 0.9, 1.0)] if stated else ["–"] * 4
            lines.append(
                (family, dtype, str(len(own)), str(len(stated)), *shown, _share(size <= FINE for size in stated))
            )
    header = ("family", "dtype", "runs", "with one", "10 %", "median", "90 %", "worst", f"within {FINE:.0e}")
    return Listing("Resolution stated for equal pairs", header, lines)


def quantile(values: Sequence[float], share: float) -> float:
    """The least of the values that at least this share of them does not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def _share(told: Iterable[Any]) -> str:
    """How many of some runs, in words; a dash of none."""
    found = list(told)
    return f"{sum(map(bool, found))} of {len(found)}" if found else "–"


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
    return in_markdown(f"Verdict benchmark: {len(rows)} runs of {len({row['pair'] for row in rows})} pairs", found)


def in_markdown(title: str, found: Sequence[Listing], notes: Sequence[str] = ()) -> str:
    """A page of listings, after some notes."""
    parts = [f"# {title}", *notes]
    for listing in found:
        lines = [listing.header, ("---",) * len(listing.header), *listing.lines]
        parts.append(
            f"## {listing.title}\n\n" + "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
        )
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
