"""How a relation is shown: symbol, colour, meaning, and how grave it is beside the others."""

from typing import NamedTuple

# From the mildest finding to the gravest; `undecided` is graver than a known factor, milder than a known difference.
SEVERITY = ("bitwise", "equal", "indistinguishable", "shifted", "scaled", "undecided", "different", "broken")


class Badge(NamedTuple):
    """The look of a relation and its meaning in a few words."""

    symbol: str
    colour: str
    meaning: str


BADGES = {
    "bitwise": Badge("✓", "#00664F", "every bit the same"),
    "equal": Badge("✓", "#00664F", "equal down to float64 rounding"),
    "indistinguishable": Badge("≈", "#005A8C", "whatever difference there is, the working dtype cannot resolve it"),
    "shifted": Badge("+", "#8A5A00", "values differ by something that depends on the target only: same training"),
    "scaled": Badge("×", "#8A5A00", "gradients equal up to a factor: same optimum, other step size"),
    "undecided": Badge("?", "#55606B", "the evidence does not settle it"),
    "different": Badge("≠", "#B0440A", "the two objectives train differently"),
    "broken": Badge("!", "#8E1652", "one side is non-finite where the other is not"),
}
_UNKNOWN = BADGES["undecided"]._replace(meaning="not a relation this report knows")


def badge(relation: str) -> Badge:
    """The badge of a relation; an unknown one is shown as `?`, never as a pass."""
    return BADGES.get(relation, _UNKNOWN)


def severity(relation: str) -> int:
    """Place in SEVERITY; a relation that is not known is graver than all."""
    return SEVERITY.index(relation) if relation in SEVERITY else len(SEVERITY)
