"""A witness as a small table: the outputs side by side, and the numbers that would have to agree and do not."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mlnn.report.words import number, plain

WORDS = {
    "probability": "implied probability",
    "temperature": "τ it would need",
    "expected": "expected loss",
    "loss": "loss",
    "z": "Z",
}
DECIDES = ("temperature", "expected", "loss", "z")
"""The first of these that a witness has is the one whose numbers disagree."""
MOST = 4


class Line(NamedTuple):
    """A row of the table: a word, its values, and whether they are the numbers that disagree."""

    word: str
    values: list[str]
    loud: bool = False


def witness_lines(witness: Mapping[str, Any] | None) -> list[Line]:
    """The table of a witness, outputs in the first line; empty without one. Unknown entries are left out."""
    if not witness:
        return []
    if "ranges" in witness:
        return _growing(witness)
    if "rows" in witness:
        return _apart(witness)
    lines = [Line("raw output f", [_output(f) for f in witness.get("outputs", [])])]
    columns = len(lines[0].values)
    decisive = next((key for key in DECIDES if key in witness and "lives" not in witness), None)
    for key in ("temperature", "probability", "expected", "loss", "z"):
        lines += _values(key, witness, columns, key == decisive)
    if "lives" in witness:
        whose = f"the {plain(witness.get('family'))} lives on"
        lines += [
            Line(whose, [plain(witness["lives"])], True),
            Line("the targets are", [plain(witness.get("space"))], True),
        ]
    if "excess" in witness:
        lines.append(Line("excess, over every target, at least", [number(witness["excess"], 4)]))
    return [line for line in lines if line.values]


def _values(key: str, witness: Mapping[str, Any], columns: int, loud: bool) -> list[Line]:
    """The lines of one entry: one number, one per output, or per output one for each of several targets."""
    found = witness.get(key)
    if found is None:
        return []
    if not isinstance(found, Sequence) or isinstance(found, str):
        found = [found] * columns
    if key == "probability" and "expected" in witness:  # of every target, at the first output
        return [Line("probabilities implied by the first", [", ".join(number(one, 4) for one in found[:MOST])])]
    if any(isinstance(one, list) for one in found):
        return [
            Line(f"{WORDS[key]} of target {plain(target)}", [number(one[i], 5) for one in found], loud)
            for i, target in enumerate(witness.get("targets", []))
        ]
    about = f" of target {plain(witness['target'])}" if "target" in witness and key != "z" else ""
    return [Line(WORDS[key] + about, [number(one, 5) for one in found], loud)]


def _growing(witness: Mapping[str, Any]) -> list[Line]:
    """An integral that never settles, against how far out it was taken."""
    return [
        Line("target taken out to", [number(end, 5) for end in witness["ranges"]]),
        Line(f"∫ exp(−loss) at f = {_output(witness['outputs'][0])}", [number(z, 5) for z in witness["z"]], True),
    ]


def _apart(witness: Mapping[str, Any]) -> list[Line]:
    """A batch whose loss is not what its parts give."""
    whole, parts = (number(one, 8) for one in witness["loss"])
    return [
        Line("rows", [number(witness["rows"])]),
        Line("loss of the whole batch", [whole], True),
        Line("expected from two parts of it", [parts], True),
    ]


def _output(output: Any) -> str:
    """A raw output, or the first few of several."""
    if isinstance(output, list):
        return "(" + ", ".join(_output(part) for part in output[:MOST]) + (", …)" if len(output) > MOST else ")")
    return "–" if output is None else f"{float(output):.4g}".replace("nan", "NaN").replace("inf", "∞")
