"""How numbers, plain values and colours are shown. Rounding happens here, on screen, and nowhere else."""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import SupportsFloat

# Okabe and Ito's palette: told apart by colour-blind readers, and in print.
LEFT, RIGHT, TWIN, NULL, INK, FAINT = "#0072B2", "#D55E00", "#009E73", "#8A94A0", "#1F2933", "#C9D1D9"
SERIES = (LEFT, RIGHT, TWIN, "#CC79A7", "#B8860B", "#56B4E9", "#5B4B8A", "#4D4D4D")
RUN_FACTS = ("model", "parameters", "data", "optimizer", "steps", "mode", "looks", "batch_size", "dtype", "seed",
             "not_bitwise")  # fmt: skip


def number(value: SupportsFloat | None, digits: int = 3) -> str:
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
    if isinstance(value, list | tuple):
        return "[" + ", ".join(plain(item) for item in value) + "]"
    return str(value)


def facts(about: Mapping[str, object]) -> list[tuple[str, str]]:
    """What was run, as (word, value) pairs in a fixed order, of plain values by name; what is not said is left out."""
    return [(key.replace("_", " "), plain(about[key])) for key in RUN_FACTS if key in about and about[key] is not None]
