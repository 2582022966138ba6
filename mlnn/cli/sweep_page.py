"""What is told of a sweep: the table on the console, as many columns as fit, and the page, a row a job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from rich.console import Group, RenderableType

from mlnn.cli.jobs import Job

if TYPE_CHECKING:
    from mlnn.comparing.badges import Badge
    from mlnn.runs.jobs import JobRow

Found = Sequence[tuple[Job, "JobRow"]]
FIRST, LAST = ("relation", "kind", "resolution", "weight_gap", "loss"), ("seconds", "error")
"""What counts most of a job's headline, and what is told of every job after it."""


@dataclass(frozen=True)
class Line:
    """A job on the page: what is swept and what its answer says, in the order of the columns; `page`, `log`: links, or None."""

    name: str
    swept: Sequence[str]
    status: str
    code: int | None
    badge: "Badge | None"
    relation: str | None
    values: Sequence[object]
    seconds: float | None
    error: str | None
    page: str | None
    log: str | None


def console_table(found: Found) -> RenderableType:
    """The jobs as a table that is readable in the width that there is; what does not fit is named below it."""
    from mlnn.report.console import fitted_table
    from mlnn.runs.jobs import DONE

    swept, headline = _columns(found)
    errors = ["error"] if any(row.error for _, row in found) else []
    columns = [*(swept or ["job"]), "status", *headline, "seconds", *errors]
    failed = any(row.status != DONE for _, row in found)
    weightiest = [*(swept or ["job"]), "status", *(errors if failed else []), *FIRST, *headline]
    rows = [{**row.told(job.name), **job.swept, "status": _ended(row)} for job, row in found]
    table, left = fitted_table(columns, rows, weightiest)
    return Group(table, f"not shown for want of width: {', '.join(left)}") if left else table


def _ended(row: "JobRow") -> str:
    return f"{row.status} ({row.code})" if row.code else row.status


def sweep_page(found: Found, command: str, folder: Path) -> str:
    """The page of a sweep: how it ended in a sentence, the table, and what the jobs that failed said."""
    from mlnn.report.html import render
    from mlnn.runs.jobs import FAILED

    swept, headline = _columns(found)
    headline = [name for name in headline if name != "relation"]
    lines = [_line(job, row, swept, headline, folder) for job, row in found]
    failed = [line for line in lines if line.status == FAILED]
    return render(
        "sweep.html", [],
        title=f"Sweep of {command} over {', '.join(swept)}" if swept else f"Sweep of {command}",
        lead=lead([row for _, row in found]), swept=swept, headline=headline, lines=lines, failed=failed,
        related=any(line.relation for line in lines),
    )  # fmt: skip


def lead(rows: Sequence["JobRow"]) -> str:
    """How the jobs ended, in a sentence or two."""
    from mlnn.runs.jobs import FAILED

    failed = sum(row.status == FAILED for row in rows)
    unmet = sum(row.code == 1 for row in rows)
    told = (
        f"{len(rows) - failed} of {len(rows)} jobs gave an answer."
        if failed
        else f"All {len(rows)} jobs gave an answer."
    )
    if unmet:
        told += f" Of {unmet} it is not what was required."
    if failed:
        told += f" {failed} failed; each is named below with what it said."
    return told


def _columns(found: Found) -> tuple[list[str], list[str]]:
    """(what is swept, what the answers say), each column once, in the order in which they come up."""
    swept = dict.fromkeys(key for job, _ in found for key in job.swept)
    headline = dict.fromkeys(key for _, row in found for key in row.found)
    return list(swept), [key for key in headline if key not in swept]


def _line(job: Job, row: "JobRow", swept: Sequence[str], headline: Sequence[str], folder: Path) -> Line:
    from mlnn.comparing.badges import badge

    found: Mapping[str, object] = row.found
    relation = found.get("relation")
    return Line(
        name=job.name,
        swept=[job.swept.get(key, "") for key in swept],
        status=row.status,
        code=row.code,
        badge=badge(str(relation)) if relation is not None else None,
        relation=None if relation is None else str(relation),
        values=[found.get(key) for key in headline],
        seconds=row.seconds,
        error=row.error,
        page=_link(folder, f"{job.name}/report.html"),
        log=_link(folder, f"{job.name}.log"),
    )


def _link(folder: Path, name: str) -> str | None:
    """A file beside the page as a link of it; None where it is not there or says nothing."""
    path = folder / name
    return quote(name) if path.is_file() and path.stat().st_size else None
