"""The console: tables of verdicts, growth and stored curves, where the files are, and how far a run has come."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from mlnn.report.evidence import verdict_lines
from mlnn.report.rungs import rungs
from mlnn.report.said import Harmless, said
from mlnn.report.words import badge, facts, likelihood_facts, number, title
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


def plain_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows by column as they are, numbers short, at most 40 of them; what a row lacks is left empty."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(visible(name), overflow="fold")
    for row in rows[:MOST_SHOWN]:
        table.add_row(*(_cell(row.get(name)) for name in columns))
    if len(rows) > MOST_SHOWN:
        table.add_row(Text(f"… and {len(rows) - MOST_SHOWN} more"))
    return table


def _cell(value: Any) -> Text:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Text("" if value is None else number(value) if is_number else visible(value, keep=""))


def verdict_panel(verdict: Mapping[str, Any], about: Mapping[str, Any]) -> RenderableType:
    """A panel: relation, sentence, what was run, and what the verdict rests on. Names are shown as plain text."""
    symbol, colour, meaning = badge(verdict.get("relation"))
    head = Text.assemble(
        (visible(f" {symbol} {verdict.get('relation', 'undecided')} "), f"bold white on {colour}"), f"  {meaning}"
    )
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column()
    for word, value in verdict_lines(verdict):
        lines.add_row(said(word), said(value))
    run = said(" · ".join(f"{word} {value}" for word, value in facts(about)), style="dim")
    parts: list[RenderableType] = [head, Text(), said(str(verdict.get("sentence", ""))), Text(), lines]
    if run.plain:
        parts += [Text(), run]
    return Panel(Group(*parts), title=said(title(about)), title_align="left", border_style=colour, padding=(1, 2))


def likelihood_table(reading: Mapping[str, Any] | None) -> Table:
    """What a trained model's likelihood is, one line per number and caveat; `reading` as `likelihood_facts` takes it."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    lines.add_column()
    for word, value in likelihood_facts(reading):
        lines.add_row(said(word), said(value))
    return lines


def growth_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line per architecture, in ladder order: over its seeds the worst relation and the largest gaps."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    for name in ("parameters", "loss gap", "gradient gap", "weight gap"):
        table.add_column(name, justify="right")
    table.add_column("null band", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for rung in rungs(rows):
        symbol, colour, _ = badge(rung.relation)
        table.add_row(
            said(rung.model),
            number(rung.parameters),
            number(rung.loss_gap, 2),
            number(rung.gradient_gap, 2),
            number(rung.weight_gap, 2),
            f"{number(rung.null_low, 2)} … {number(rung.null_high, 2)}" if rung.null_high is not None else "–",
            said(f"{symbol} {rung.relation}", style=f"bold {colour}"),
        )
    return table


def curves_table(runs: Sequence[Mapping[str, Any]], differences: Sequence[Mapping[str, Any]] = ()) -> Table:
    """Stored runs side by side: steps, first, lowest and last loss; then the largest difference of each pair.

    `runs` and `differences` are as `curves_page` takes them. A loss that ends non-finite says NaN.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", overflow="fold")
    for name in ("steps", "first", "lowest", "last", "largest difference", "at step"):
        table.add_column(name, justify="right")
    for run in runs:
        for column in ("loss", "loss_left", "loss_right"):
            if column in run["trace"]:
                name = run["name"] if column == "loss" else f"{run['name']} ({column.removeprefix('loss_')})"
                table.add_row(said(str(name)), *_losses(run["trace"][column]), "", "")
    if differences:
        table.add_section()
    for one in differences:
        gap = np.abs(np.asarray(one["trace"]["abs_loss_gap"], dtype=float))
        at = number(int(one["trace"]["step"][int(np.argmax(gap))])) if len(gap) else "–"
        table.add_row(said(str(one["name"])), number(len(gap)), "", "", "", number(gap.max() if len(gap) else None), at)
    return table


def _losses(values: Any) -> tuple[str, str, str, str]:
    loss = np.asarray(values, dtype=float)
    if not len(loss):
        return "0", "–", "–", "–"
    lowest = np.nanmin(loss) if not np.isnan(loss).all() else np.nan
    return number(len(loss)), number(loss[0]), number(lowest), number(loss[-1])
