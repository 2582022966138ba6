"""The console after a diff: relation and sentence in a panel, and a line a stage."""

import math

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mlnn.comparing.badges import badge
from mlnn.recording.differing.diff import Diff
from mlnn.recording.differing.page import MEANINGS
from mlnn.report.said import said
from mlnn.report.words import number
from mlnn.visible import visible


def diff_panel(found: Diff) -> RenderableType:
    """A panel: relation, sentence, stage by stage, what it rests on."""
    symbol, colour, _ = badge(found.relation)
    meaning = MEANINGS[found.relation]
    head = Text.assemble((visible(f" {symbol} {found.relation} "), f"bold white on {colour}"), f"  {meaning}")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for word, value in found.facts():
        grid.add_row(said(word), said(value))
    parts: list[RenderableType] = [head, Text(), said(found.sentence), Text(), grid]
    if found.rows:
        parts += [Text(), _stages(found)]
    return Panel(
        Group(*parts), title=said("Two recorded trainings"), title_align="left", border_style=colour, padding=(1, 2)
    )


def _stages(found: Diff) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    table.add_column("found", overflow="fold")
    for name in ("bits from step", "beyond rounding", "largest"):
        table.add_column(name, justify="right")
    for one in found.stages:
        sizes = "–" if math.isnan(one.largest) else number(one.largest, 2)
        steps = ("–" if step is None else number(step) for step in (one.bits, one.beyond))
        table.add_row(said(one.name), said(one.word), *steps, sizes)
    return table
