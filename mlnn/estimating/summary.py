"""An estimate on a page of text: a header and a table of coefficients, or why there is none."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mlnn.report.brief import Brief

WIDTH = 84
"""Characters of a line: seven columns of eleven and a name."""
FEW, MORE = 3, 4
"""Decimals of a column; coefficients and their standard errors have more."""


class Summary(str):
    """Text that prints as it is; at the end of a notebook's cell, and only there, `html` stands in for it."""

    html: str

    def __new__(cls, text: str, html: str = "") -> "Summary":
        made = super().__new__(cls, text)
        made.html = html
        return made

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str | None:
        return self.html or None


def html(
    title: str,
    entries: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[str]],
    notes: Sequence[str],
) -> str:
    """The same as tables of a notebook: a header block, rows of cells whose first are their heads, and notes below."""
    above = Brief(title, "", [(name.rstrip(":"), value) for name, value in entries], rows).html()
    return above + (Brief("", "; ".join(notes)).html() if notes else "")


def table(
    title: str,
    entries: Sequence[tuple[str, str]],
    columns: Mapping[str, np.ndarray],
    names: Sequence[str],
    outputs: Sequence[str],
    notes: Sequence[str],
) -> Summary:
    """Header block of (word, value) entries in two columns, then a table per output: `columns` of numbers, by their heads.

    Each column is (p,) or (p, m), p `names` and m `outputs`.
    """
    lines = [title.center(WIDTH).rstrip(), "=" * WIDTH]
    half = (len(entries) + 1) // 2
    for left, right in zip(entries[:half], [*entries[half:], ("", "")], strict=False):
        lines.append("   ".join(f"{name:<18}{value:>22}" for name, value in (left, right)).rstrip())
    heading = "".join(f"{name:>11}" for name in columns)
    numbers = {head: np.asarray(part).reshape(len(names), -1) for head, part in columns.items()}
    for column, output in enumerate(outputs):
        lines += ["=" * WIDTH, f"{output:<18}{heading}", "-" * WIDTH]
        for row, name in enumerate(names):
            if held_at_0({head: part[row, column] for head, part in numbers.items()}):
                continue
            cells = _cells(numbers, [part[row, column] for part in numbers.values()])
            lines.append(f"{name[:17]:<18}" + "".join(f"{cell:>11}" for cell in cells))
    lines.append("=" * WIDTH)
    text = "\n".join([*lines, *(f"- {note}" for note in notes)])
    labelled = [f"{output}: {name}" if output else name for output in outputs for name in names]
    stacked = [[part.T.reshape(-1)[row] for part in numbers.values()] for row in range(len(labelled))]
    shown = [[name, *_cells(numbers, line)] for name, line in zip(labelled, stacked, strict=True)]
    return Summary(text, html(title, entries, [["", *columns], *shown], notes))


def held_at_0(cells: Mapping[str, float]) -> bool:
    """Whether a coefficient is held at 0 and was not estimated: it has no row."""
    return cells.get("coef") == 0 and bool(np.isnan(cells.get("std err", 0.0)))


def statement(
    rows: str,
    separation: str,
    llf: float,
    params: Mapping[str, float],
    direction: Mapping[str, np.ndarray],
    notes: Sequence[str],
) -> Summary:
    """What separated rows say instead of a table: what runs where, along which direction, and what training does.

    rows: likelihood and number of rows, in words; params by their labels, ±inf and NaN among them; direction by feature.
    """
    told: dict[str, list[str]] = {"direction": [], "runs away": [], "stays finite": [], "not determined": []}
    for name, values in direction.items():
        told["direction"].append(f"{name} {' '.join(f'{v:.4g}' for v in values)}")
    for name, value in params.items():
        word, text = _end(name, value)
        told[word].append(text)
    lines = [
        f"No finite maximum-likelihood estimate: {separation} separation ({rows}).",
        "Along the direction below no row's likelihood falls, and some rows' rises for ever.",
        *(f"{word}: {', '.join(parts)}" for word, parts in told.items() if parts),
        f"log-likelihood: {_supremum(llf)}, which no coefficients reach; no standard errors",
        "Under gradient descent the norm of the weights grows like the logarithm of the number of steps.",
        *(f"- {note}" for note in notes),
    ]
    return Summary("\n".join(lines), Brief(lines[0], "", [("", line) for line in lines[1:]]).html())


def _supremum(llf: float) -> str:
    return "below its supremum" if np.isnan(llf) else f"below {llf:.6g}, its supremum"


def _end(name: str, value: float) -> tuple[str, str]:
    """Where a coefficient of separated rows ends: (under which word it is told, what is told)."""
    if np.isnan(value):
        return "not determined", name
    if np.isinf(value):
        return "runs away", f"{name} → {'+' if value > 0 else '−'}∞"
    return "stays finite", f"{name} = {value:.6g}"


def _cells(heads: Iterable[str], values: Sequence[float]) -> list[str]:
    """A row's numbers."""
    return [
        _cell(value, MORE if head in ("coef", "std err") else FEW) for head, value in zip(heads, values, strict=True)
    ]


def _cell(value: float, digits: int) -> str:
    """At most ten characters; a number too large or small for fixed point in scientific notation."""
    text = f"{value:.{digits}f}"
    plain = not np.isfinite(value) or (len(text) <= 10 and (abs(value) >= 10.0**-digits or value == 0 or digits == FEW))
    return text if plain else f"{value:.3e}"
