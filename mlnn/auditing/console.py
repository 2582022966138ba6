"""The console after an audit: one certificate in a panel, a catalogue in a table. Names are shown as plain text."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mlnn.auditing.certificate import Certificate, certificate_facts, distribution, temperature
from mlnn.auditing.record import Witness
from mlnn.auditing.witness_words import witness_lines
from mlnn.auditing.words import chain, grouped, kind_of, lead, precision, working_domain
from mlnn.report.said import said
from mlnn.report.words import number

NAME = 23
"""Names up to this length stay on one line, in a terminal of 100 columns."""
PROOF = {"proved": "green", "refuted": "red", "undecided": "dim", "not run": "dim"}
SIGNS = {True: ("✓", "bold green"), False: ("✗", "bold red"), None: ("?", "dim")}


def audit_table(certificates: Sequence[Certificate]) -> Table:
    """One line per loss, below a line with its kind; the counts at the foot."""
    dtype = precision(certificates)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    table.caption = said(lead(certificates))
    longest = max((len(one.name) for one in certificates), default=0)
    table.add_column("loss", overflow="fold", min_width=min(longest, NAME))
    table.add_column("targets", no_wrap=True)
    table.add_column("distribution", overflow="fold", max_width=15)
    table.add_column("τ", no_wrap=True)
    table.add_column("link", overflow="fold", max_width=12)
    table.add_column(f"in {dtype}" if dtype else "holds", no_wrap=True)
    table.add_column("residual", justify="right", no_wrap=True)
    for kind, found in grouped(certificates):
        table.add_row(said(f"{kind.symbol} {kind.word}", style=f"bold {kind.colour}"))
        for one in found:
            table.add_row(*map(said, _line(one, say_dtype=dtype is None)))
        table.add_section()
    return table


def _line(one: Certificate, say_dtype: bool) -> list[str]:
    dtype, domain = working_domain(one)
    domain += f" in {dtype}" if dtype and say_dtype else ""
    told = [one.name, one.targets, distribution(one), temperature(one), one.link or "–", domain]
    return [*told, number(one.residual, 2)]


def certificate_panel(certificate: Certificate) -> RenderableType:
    """A panel: kind, sentence, notes, the chain from loss to likelihood, the facts, and the witness on a no."""
    kind = kind_of(certificate)
    head = Text.assemble((f" {kind.symbol} {kind.word} ", f"bold white on {kind.colour}"), f"  {kind.meaning}")
    parts: list[RenderableType] = [head, Text(), said(certificate.sentence)]
    parts += (
        [said(f"\n{certificate.proof.sentence}", style=PROOF[certificate.proof.answer])] if certificate.proof else []
    )
    parts += [said(f"\n{note}", style="dim") for note in certificate.notes]
    parts += [Text(), _chain(certificate), Text(), _pairs(certificate_facts(certificate))]
    witness = certificate.witness
    if witness:
        parts += [Text(), said(f"Witness: {witness.says}", style="dim"), _witness(witness)]
    return Panel(
        Group(*parts), title=said(certificate.name), title_align="left", border_style=kind.colour, padding=(1, 2)
    )


def _chain(certificate: Certificate) -> Table:
    lines = Table.grid(padding=(0, 2))
    for step in chain(certificate):
        sign, style = SIGNS[step.holds]
        formula = said(step.formula, style="dim strike" if step.holds is False else "")
        lines.add_row(said(sign, style=style), formula, said(step.note, style="dim"))
    return lines


def _pairs(facts: Sequence[tuple[str, str]]) -> Table:
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    for word, value in facts:
        lines.add_row(said(word), said(value))
    return lines


def _witness(witness: Witness) -> Table:
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim", no_wrap=True)
    for line in witness_lines(witness):
        style = "bold red" if line.loud else ""
        lines.add_row(said(line.word), *(said(value, style=style, justify="right") for value in line.values))
    return lines
