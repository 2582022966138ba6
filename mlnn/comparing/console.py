"""The console after a comparison: a verdict in a panel, a ladder and stored curves in tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mlnn.comparing.evidence_words import verdict_lines
from mlnn.comparing.rungs import rungs
from mlnn.report.said import said
from mlnn.report.words import badge, facts, number, title
from mlnn.visible import visible


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
