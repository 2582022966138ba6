"""What page and console say of a proof besides its sentence: its look, its facts, and a row for each question."""

from collections.abc import Sequence
from typing import NamedTuple

from mlnn.proving.answers import Part
from mlnn.proving.proof import Proof
from mlnn.proving.words import intervals, placed, sized

HEAD = ("question", "target", "answer", "where they differ", "by", "boxes")


class Look(NamedTuple):
    """The badge of a proof: symbol, word, colour, meaning."""

    symbol: str
    word: str
    colour: str
    meaning: str


LOOKS = {
    "equal": Look("✓", "proved", "#00664F", "equal for every raw output of the interval"),
    "shifted": Look("+", "shifted", "#8A5A00", "proved equal but for a number of the target: training is the same"),
    "scaled": Look("×", "scaled", "#8A5A00", "proved equal but for a factor: same optimum, other step size"),
    "differs": Look("≠", "differs", "#B0440A", "certainly not equal somewhere on the interval"),
    "undecided": Look("?", "undecided", "#55606B", "neither is proved"),
}


def look_of(proof: Proof) -> Look:
    """By the relation that is proved, else by the answer."""
    return LOOKS[proof.relation or proof.answer]


def titled(names: Sequence[str]) -> str:
    """`left against right`, by their names."""
    return " against ".join(names)


def facts_of(proof: Proof) -> list[tuple[str, str]]:
    """(word, value)."""
    found = [
        ("relation", proof.relation or "none proved"),
        (f"{proof.variable}s" if proof.variable == "raw output" else proof.variable, intervals([proof.domain])),
        ("targets", proof.targets),
        ("tolerance", f"{proof.tolerance:g} nats"),
        ("boxes", f"{proof.boxes:,}"),
    ]
    return [(word, value) for word, value in found if value]


def rows_of(proof: Proof) -> list[tuple[str, ...]]:
    """A row of HEAD for each question."""
    return [
        (part.question, part.target, part.answer, _where(part), _by(part), f"{part.boxes:,}") for part in proof.parts
    ]


def _where(part: Part) -> str:
    """Intervals, or the points that there are besides."""
    found = [intervals(part.differs)] if part.differs else []
    found += [f"at {placed(place)} alone" for place, _ in part.points[:1]]
    found += [f"undecided on {intervals(part.undecided)}"] if part.undecided else []
    return "; ".join(found)


def _by(part: Part) -> str:
    if part.size is None:
        size = part.points[0][1] if part.points else 0.0
        return "" if not part.points else "one side has no number" if size == float("inf") else f"{size:.4g}"
    return "one side has no value" if part.size[0] == float("inf") else sized(part.size)
