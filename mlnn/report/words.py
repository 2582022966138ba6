"""How numbers, relations and colours are shown. Rounding happens here, on screen, and nowhere else."""

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

# Okabe and Ito's palette: told apart by colour-blind readers, and in print.
LEFT, RIGHT, TWIN, NULL, INK, FAINT = "#0072B2", "#D55E00", "#009E73", "#8A94A0", "#1F2933", "#C9D1D9"
SERIES = (LEFT, RIGHT, TWIN, "#CC79A7", "#B8860B", "#56B4E9", "#5B4B8A", "#4D4D4D")

# From the mildest finding to the gravest; `undecided` is graver than a known factor, milder than a known difference.
SEVERITY = ("bitwise", "equal", "indistinguishable", "shifted", "scaled", "undecided", "different", "broken")
BADGE = {
    "bitwise": ("✓", "#00664F"),
    "equal": ("✓", "#00664F"),
    "indistinguishable": ("≈", "#005A8C"),
    "shifted": ("+", "#8A5A00"),
    "scaled": ("×", "#8A5A00"),
    "undecided": ("?", "#55606B"),
    "different": ("≠", "#B0440A"),
    "broken": ("!", "#8E1652"),
}
MEANING = {
    "bitwise": "every bit the same",
    "equal": "equal down to float64 rounding",
    "indistinguishable": "a real difference, smaller than the working dtype's rounding",
    "shifted": "values differ by something that depends on the target only: same training",
    "scaled": "gradients equal up to a factor: same optimum, other step size",
    "undecided": "the evidence does not settle it",
    "different": "the two objectives train differently",
    "broken": "one side is non-finite where the other is not",
}


def badge(relation: object) -> tuple[str, str, str]:
    """Symbol, colour and meaning of a relation; an unknown one is shown as `?`, never as a pass."""
    symbol, colour = BADGE.get(str(relation), BADGE["undecided"])
    return symbol, colour, MEANING.get(str(relation), "not a relation this report knows")


def severity(relation: str) -> int:
    """Place in SEVERITY; a relation that this report does not know is graver than all."""
    return SEVERITY.index(relation) if relation in SEVERITY else len(SEVERITY)


def number(value: Any, digits: int = 3) -> str:
    """A number for the eye: `digits` significant digits, `1,234` for whole numbers, `–` for none, `NaN` said aloud."""
    if value is None:
        return "–"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    x = float(value)
    if not math.isfinite(x):
        return "NaN" if math.isnan(x) else ("∞" if x > 0 else "-∞")
    if x == 0:
        return "0"
    if 1e-2 <= abs(x) < 1e4:
        return f"{x:.{digits}g}" if abs(x) < 1e3 else f"{x:,.0f}"
    mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def plain(value: object) -> str:
    """Any plain value (number, text, list, dict, None) as one short text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, Real):
        return number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items()) or "–"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(plain(item) for item in value) + "]"
    return str(value)


def title(about: Mapping[str, Any]) -> str:
    """`left against right`, from the names given."""
    return f"{about.get('left', 'left')} against {about.get('right', 'right')}"


def facts(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was run, as (word, value) pairs, in a fixed order; absent ones left out."""
    found = []
    for key in ("model", "parameters", "data", "optimizer", "steps", "batch_size", "dtype", "engine", "seed"):
        value = about.get(key)
        if isinstance(value, Mapping):  # data: its name and rows say enough
            rows = f", {number(value['rows'])} rows" if value.get("rows") is not None else ""
            value = f"{value.get('name', key)}{rows}"
        if value is not None:
            found.append((key.replace("_", " "), plain(value)))
    return found


def likelihood_facts(reading: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """A likelihood reading (`Reading.to_dict`), as (word, value) pairs; says so where no likelihood is known."""
    if reading is None:
        return [("likelihood", "none is known for this objective: exp(−loss) is not read as one")]
    words = {
        "likelihood": reading["likelihood"],
        "log-likelihood": f"{number(reading['log_likelihood'], 7)} nats over {number(reading['rows'])} training rows",
        "log-likelihood per row": f"{number(reading['per_row'], 7)} nats",
        "likelihood per row": f"{number(reading['geometric_mean'], 7)} (geometric mean)",
        "deviance": number(reading["deviance"], 7),
        "AIC, BIC": f"{number(reading['aic'], 7)}, {number(reading['bic'], 7)} with {number(reading['parameters'])} parameters",
    }
    return [*words.items(), *(("caveat", caveat) for caveat in reading["caveats"])]
