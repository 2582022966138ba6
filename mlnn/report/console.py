"""The console: plain tables, where the files are, and how far a run has come."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from mlnn.report.said import Harmless
from mlnn.report.words import number
from mlnn.visible import visible

MOST_SHOWN = 40


def show(renderable: RenderableType) -> None:
    """Print to standard output; into a file or a pipe 100 columns wide, so that tables keep their lines."""
    # Text between brackets is somebody's, never markup of ours.
    console = Console(width=None if sys.stdout.isatty() else 100, markup=False, emoji=False)
    console.print(Harmless(console.render_str(renderable) if isinstance(renderable, str) else renderable))


def paths(files: Mapping[str, str | Path]) -> None:
    """Print where each file is, one a line, never wrapped: a path can be copied whole."""
    for word, path in files.items():
        Console(soft_wrap=True, highlight=False).print(
            Text.assemble((visible(f"{word:<8}", keep=""), "dim"), visible(path, keep=""))
        )


FIRST_LINE, BETWEEN_LINES = 10.0, 10.0
"""Seconds of silence before the first line of progress into a file, and from then on between two."""


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, gone when done, for `advance(steps done, steps)`; into a file or a log a line now and then."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(visible(what, keep=""))
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(escape(visible(what, keep="")))
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str) -> Callable[[int, int], None]:
    begun = time.monotonic()
    due = begun + FIRST_LINE

    def advance(done: int, total: int) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due:
            due = now + BETWEEN_LINES
            print(f"{what}: {done} of {total} after {now - begun:.0f} s", file=sys.stderr, flush=True)

    return advance


def plain_table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Table:
    """Rows by column as they are, numbers short, at most 40 of them; what a row lacks is left empty."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(visible(name), overflow="fold")
    for row in rows[:MOST_SHOWN]:
        table.add_row(*(_cell(row.get(name)) for name in columns))
    if len(rows) > MOST_SHOWN:
        table.add_row(Text(f"… and {len(rows) - MOST_SHOWN} more"))
    return table


LONGEST, GUTTER = 32, 3
"""Characters of a cell of a table that has many columns, and those that a column takes beside its own."""


def fitted_table(
    columns: Sequence[str], rows: Sequence[Mapping[str, object]], weightiest: Sequence[str], width: int | None = None
) -> tuple[Table, list[str]]:
    """(a table of those columns that fit side by side, the names of the others), long cells cut.

    `weightiest`: in which order they are taken; those that are not named come last. width: characters; None: what `show` has.
    """
    if width is None:
        width = Console().width if sys.stdout.isatty() else 100
    cut = [{name: _short(row.get(name)) for name in columns} for row in rows]
    taken: list[str] = []
    left = width
    for name in [*(name for name in weightiest if name in columns), *(n for n in columns if n not in weightiest)]:
        needed = max(len(name), *(len(row[name]) for row in cut[:MOST_SHOWN]), 1) + GUTTER
        if needed <= left or not taken:
            taken.append(name)
            left -= needed
    shown = [name for name in columns if name in taken]
    return plain_table(shown, cut), [name for name in columns if name not in taken]


def _short(value: object) -> str:
    text = _cell(value).plain.split("\n")[0]
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _cell(value: object) -> Text:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Text(number(value))
    return Text("" if value is None else visible(value, keep=""))
