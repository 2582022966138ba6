"""Target spaces: which values `y` may take, and how many raw outputs a model then needs."""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.arguments import shown, whole
from mlnn.errors import ConfigError, DataError, unknown

KINDS = ("binary", "classes", "real", "counts", "positive", "unit")
MOST_CLASSES = 2**20
"""More than any vocabulary has; a number mistyped is then an error at once, and no end of memory."""


@dataclass(frozen=True)
class TargetSpace:
    """A target space: `binary` {0, 1}, `classes(K)` {0 … K−1}, `real`, `counts` {0, 1, …}, `positive` (0, ∞), `unit` [0, 1].

    `raw`: raw outputs per row where an objective reads more than the space itself needs (a mean and a variance).
    """

    kind: str
    classes: int | None = None
    raw: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError("targets: " + unknown("target space", str(self.kind), KINDS))
        if self.kind != "classes" and self.classes is not None:
            raise ConfigError(f"targets: '{self.kind}' with classes={shown(self.classes)}; only classes(K) has a K")
        for name, value, least in (("classes", self.classes, 2), ("raw", self.raw, 1)):
            if value is not None:
                object.__setattr__(self, name, whole(f"targets: {name}", value, least, MOST_CLASSES))

    @classmethod
    def parse(cls, text: "str | TargetSpace") -> "TargetSpace":
        """Read `"binary"`, `"classes(3)"`, …; raises ConfigError for anything else."""
        if isinstance(text, TargetSpace):
            return text
        given = text if isinstance(text, str) and len(text) < 200 else shown(text)
        match = re.fullmatch(r"\s*(\w+)\s*(?:\(\s*(\d+)\s*\))?\s*", given, re.ASCII)
        if not match or match[1] not in KINDS:
            raise ConfigError("targets: " + unknown("target space", given, (*KINDS[:1], "classes(K)", *KINDS[2:])))
        kind, count = match[1], match[2]
        if (kind == "classes") != (count is not None) or (count is not None and int(count) < 2):
            raise ConfigError(f"targets: '{given}' is not a target space; classes are written classes(K) with K ≥ 2")
        return cls(kind, int(count) if count else None)

    def __str__(self) -> str:
        return f"{self.kind}({self.classes})" if self.classes else self.kind

    @property
    def outputs(self) -> int:
        """Raw outputs per row that a model needs for this space."""
        return self.raw or self.classes or 1

    def cast(self, y: Tensor) -> Tensor:
        """Targets as they are stored: int64 for classes, float64 otherwise."""
        return y.to(torch.int64 if self.kind == "classes" else torch.float64)

    def check(self, y: Tensor, where: str = "y") -> None:
        """Raise DataError, with row and value, for the first target outside the space (NaN and infinity included)."""
        flat = y.detach().to(torch.float64)
        finite = torch.isfinite(flat)
        inside = {
            "binary": (flat == 0) | (flat == 1),
            "classes": (flat >= 0) & (flat < (self.classes or 0)) & (flat == flat.round()),
            "real": finite,
            "counts": (flat >= 0) & (flat == flat.round()),
            "positive": flat > 0,
            "unit": (flat >= 0) & (flat <= 1),
        }[self.kind] & finite
        if bool(inside.all()):
            return
        row = int((~inside).nonzero()[0, 0])
        bad = int((~inside).sum())
        raise DataError(
            f"{where}: row {row} holds {flat[row].tolist()!r}, which is not in the target space '{self}'"
            f" ({bad} such row{'s' if bad > 1 else ''} of {len(flat)})"
        )
