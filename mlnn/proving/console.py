"""The console after a proof: answer, findings, and a line for each question. Names are shown as plain text."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mlnn.proving.briefly import line
from mlnn.proving.proof import Proof
from mlnn.proving.told import HEAD, facts_of, look_of, rows_of, titled
from mlnn.report.said import said


def proof_panel(proof: Proof, names: Sequence[str]) -> RenderableType:
    """A panel. `names`: of left and right."""
    look = look_of(proof)
    head = Text.assemble((f" {look.symbol} {look.word} ", f"bold white on {look.colour}"), f"  {look.meaning}")
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    for word, value in facts_of(proof):
        facts.add_row(said(word), said(value))
    parts: list[RenderableType] = [head, Text(), said(line(proof)), Text(), facts]
    parts += [said(finding, style="dim") for finding in proof.findings]
    if proof.parts:
        parts += [Text(), _questions(proof)]
    return Panel(Group(*parts), title=said(titled(names)), title_align="left", border_style=look.colour, padding=(1, 2))


def _questions(proof: Proof) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for word in HEAD:
        table.add_column(word, overflow="fold", justify="right" if word == "boxes" else "left")
    for row in rows_of(proof):
        table.add_row(*map(said, row))
    return table
