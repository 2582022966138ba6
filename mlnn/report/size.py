"""The form of a figure for a paper: its format, its sides, the size of its letters."""

from dataclasses import dataclass
from typing import Any

from mlnn.errors import ConfigError, unknown

FORMATS = ("pdf", "svg", "png")
COLUMN = 89.0
"""Millimetres: the column of a journal."""
SIDES = (30.0, 1000.0)
"""Millimetres of a side: below the first no label fits, beyond the second is no paper."""
FONT = 7.5
"""Points of a label; journals ask for 5 to 7 at least."""
FONTS = (4.0, 40.0)
"""Points."""
DOTS = 300
"""Per inch, of a PNG."""
MILLIMETRES = 25.4
"""To an inch."""
# Text stays text and carries its letters: Type 42 is TrueType, which journals take, where Type 3 is refused by many.
LASTING = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "mlnn"}


@dataclass(frozen=True)
class Size:
    """`width` and `height` in millimetres (None: in proportion to the picture on the page), `font` in points."""

    format: str
    width: float = COLUMN
    height: float | None = None
    font: float = FONT

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError("format: " + unknown("format", str(self.format), FORMATS))
        for name, value, (least, most), unit in (
            ("width", self.width, SIDES, "millimetres"),
            ("height", SIDES[0] if self.height is None else self.height, SIDES, "millimetres"),
            ("font", self.font, FONTS, "points"),
        ):
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise ConfigError(f"{name}: must be {least:g} to {most:g} {unit}, found {value!r}")

    @property
    def settings(self) -> dict[str, Any]:
        """What matplotlib is set to while it draws."""
        return LASTING | {"font.size": self.font, "axes.linewidth": 0.6, "axes.unicode_minus": True}

    @property
    def saved(self) -> dict[str, Any]:
        """How a figure is saved: no date in it, so that the same picture has the same bytes."""
        undated = {
            "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
            "svg": {"Date": None, "Creator": None},
        }.get(self.format, {})
        return {"format": self.format, "dpi": DOTS, "metadata": undated}
