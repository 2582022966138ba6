"""A few lines for an interactive session: what `print(result)` and the end of a notebook cell show."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from mlnn.visible import visible


@dataclass(frozen=True)
class Brief:
    """A title, one sentence, facts as (word, value), and a small table whose first row is its head."""

    title: str
    sentence: str
    facts: Sequence[tuple[str, str]] = ()
    table: Sequence[Sequence[str]] = field(default=())

    def text(self) -> str:
        """For `__repr__`: plain text, no line longer than its longest cell or sentence."""
        width = max((len(word) for word, _ in self.facts), default=0)
        lines = [self.title, self.sentence, *(f"  {word:<{width}}  {value}" for word, value in self.facts)]
        if self.table:
            widths = [max(len(row[place]) for row in self.table) for place in range(len(self.table[0]))]
            lines += [
                "  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
                for row in self.table
            ]
        return visible("\n".join(line for line in lines if line))

    def html(self) -> str:
        """For `_repr_html_`: a heading, the sentence and plain tables; every name escaped, no script, no style sheet."""
        parts = []
        if self.title or self.sentence:
            parts += [Markup("<p><b>{}</b><br>{}</p>").format(visible(self.title), visible(self.sentence))]
        if self.facts:
            parts += [_table([], [[word, value] for word, value in self.facts])]
        if self.table:
            parts += [_table(self.table[0], self.table[1:])]
        return str(Markup("<div>") + Markup("").join(parts) + Markup("</div>"))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    top = Markup("<tr>{}</tr>").format(_cells("th", head)) if head else Markup("")
    body = Markup("").join(Markup("<tr>{}</tr>").format(_cells("td", row)) for row in rows)
    return Markup("<table>{}{}</table>").format(top, body)


def _cells(tag: str, row: Sequence[str]) -> Markup:
    return Markup("").join(Markup(f"<{tag}>") + escape(visible(cell)) + Markup(f"</{tag}>") for cell in row)
