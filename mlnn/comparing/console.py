"""The console after a comparison: a verdict in a panel, a ladder and stored curves in tables, a training's likelihood."""

from collections.abc import Iterable, Sequence

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mlnn.comparing.badges import badge
from mlnn.comparing.curves.curve import Curve, Difference
from mlnn.comparing.evidence_words import verdict_lines
from mlnn.comparing.records import GrowthRow, RunInfo
from mlnn.comparing.rungs import rungs
from mlnn.comparing.trained import likelihood_facts
from mlnn.comparing.verdict import Verdict
from mlnn.objectives import Reading
from mlnn.report.said import said
from mlnn.report.words import number
from mlnn.visible import visible


def fact_grid(lines: Iterable[tuple[str, str]]) -> Table:
    """(word, value) pairs, one a line."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for word, value in lines:
        grid.add_row(said(word), said(value))
    return grid


def verdict_panel(verdict: Verdict, run: RunInfo) -> RenderableType:
    """A panel: relation, sentence, what was run, and what the verdict rests on. Names are shown as plain text."""
    symbol, colour, meaning = badge(verdict.relation)
    head = Text.assemble((visible(f" {symbol} {verdict.relation} "), f"bold white on {colour}"), f"  {meaning}")
    ran = said(" · ".join(f"{word} {value}" for word, value in run.facts()), style="dim")
    parts: list[RenderableType] = [head, Text(), said(verdict.sentence), Text(), fact_grid(verdict_lines(verdict))]
    if ran.plain:
        parts += [Text(), ran]
    return Panel(Group(*parts), title=said(run.title), title_align="left", border_style=colour, padding=(1, 2))


def likelihood_table(reading: Reading | None) -> Table:
    """What a trained model's likelihood is, one line per number and caveat."""
    return fact_grid(likelihood_facts(reading))


def growth_table(rows: Sequence[GrowthRow]) -> Table:
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


def curves_table(curves: Sequence[Curve], differences: Sequence[Difference] = (), at: str = "step") -> Table:
    """Runs side by side: points, first, lowest and last loss; then the largest difference of each pair, and where; `at`: by what
    they are laid side by side.

    A loss that ends non-finite says NaN.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", overflow="fold")
    for name in ("steps", "first", "lowest", "last", "largest difference", f"at {at}"):
        table.add_column(name, justify="right")
    for curve in curves:
        table.add_row(said(curve.name), *_losses(curve.loss), "", "")
    if differences:
        table.add_section()
    for one in differences:
        most = int(np.argmax(one.gap))
        table.add_row(
            said(one.name), number(len(one.gap)), "", "", "", number(one.gap.max()), number(int(one.step[most]))
        )
    return table


def _losses(loss: np.ndarray) -> tuple[str, str, str, str]:
    if not len(loss):
        return "0", "–", "–", "–"
    lowest = np.nanmin(loss) if not np.isnan(loss).all() else np.nan
    return number(len(loss)), number(loss[0]), number(lowest), number(loss[-1])
