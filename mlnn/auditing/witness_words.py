"""A witness as a small table: the outputs side by side, and the numbers that would have to agree and do not."""

from typing import NamedTuple

from mlnn.auditing.record import Output, Row, Witness
from mlnn.report.words import number

MOST = 4
"""Entries of an output, and probabilities, that are shown; more would not fit beside one another."""


class Line(NamedTuple):
    """A row of the table: a word, its values, and whether they are the numbers that disagree."""

    word: str
    values: list[str]
    loud: bool = False


def witness_lines(witness: Witness | None) -> list[Line]:
    """The table of a witness, outputs in the first line; empty without one. What a witness does not use is left out."""
    if witness is None:
        return []
    if witness.ranges:
        return _growing(witness)
    if witness.rows is not None:
        return _apart(witness)
    outputs = [Line("raw output f", [_output(f) for f in witness.outputs])] if witness.outputs else []
    return [*outputs, *_numbers(witness), *_elsewhere(witness), *_excess(witness)]


def _numbers(witness: Witness) -> list[Line]:
    """One number per output and line; loud are those of the first sort, in this order, that a witness has."""
    of = "" if witness.target is None else f" of target {number(witness.target)}"
    temperature, expected = (
        _line(f"τ it would need{of}", witness.temperature),
        _line(f"expected loss{of}", witness.expected),
    )
    loss, z = _losses(witness, of), _line("Z", witness.z)
    decisive = next((lines for lines in (temperature, expected, loss, z) if lines), [])
    lines = [*temperature, *_probability(witness, of), *expected, *loss, *z]
    return [line._replace(loud=witness.lives is None and line in decisive) for line in lines]


def _line(word: str, row: Row) -> list[Line]:
    """One number per output; no line without numbers."""
    return [Line(word, [number(one, 5) for one in row])] if row else []


def _probability(witness: Witness, of: str) -> list[Line]:
    """One number for all outputs, one per output, or (where an expectation is told) of every target at the first output."""
    found, word = witness.probability, f"implied probability{of}"
    if isinstance(found, float):
        return _line(word, (found,) * len(witness.outputs))
    if witness.expected and found:
        return [Line("probabilities implied by the first", [", ".join(number(one, 4) for one in found[:MOST])])]
    return _line(word, found)


def _losses(witness: Witness, of: str) -> list[Line]:
    """The loss of the one target, or of each of several."""
    found = witness.loss
    several = [one for one in found if isinstance(one, tuple)]
    if several:
        by_target = zip(witness.targets, zip(*several, strict=True), strict=True)
        return [Line(f"loss of target {number(target)}", [number(one, 5) for one in row]) for target, row in by_target]
    return _line(f"loss{of}", tuple(one for one in found if not isinstance(one, tuple)))


def _elsewhere(witness: Witness) -> list[Line]:
    """Where the only family there could be lives, against what the targets are."""
    if witness.lives is None:
        return []
    return [
        Line(f"the {witness.family or '–'} lives on", [witness.lives], True),
        Line("the targets are", [witness.space or "–"], True),
    ]


def _excess(witness: Witness) -> list[Line]:
    return [] if witness.excess is None else [Line("excess, over every target, at least", [number(witness.excess, 4)])]


def _growing(witness: Witness) -> list[Line]:
    """An integral that never settles, against how far out it was taken."""
    return [
        Line("target taken out to", [number(end, 5) for end in witness.ranges]),
        Line(
            f"∫ exp(−loss) at f = {_output(witness.outputs[0])}",
            [number(z, 5) for z in witness.z if not isinstance(z, tuple)],
            True,
        ),
    ]


def _apart(witness: Witness) -> list[Line]:
    """A batch whose loss is not what its parts give."""
    whole, parts = (number(one, 8) for one in witness.loss if not isinstance(one, tuple))
    return [
        Line("rows", [number(witness.rows)]),
        Line("loss of the whole batch", [whole], True),
        Line("expected from two parts of it", [parts], True),
    ]


def _output(output: Output) -> str:
    """A raw output, or the first few entries of one."""
    if isinstance(output, tuple):
        return "(" + ", ".join(_output(part) for part in output[:MOST]) + (", …)" if len(output) > MOST else ")")
    return f"{output:.4g}".replace("nan", "NaN").replace("inf", "∞")
