"""A target space as the rest of mlnn asks it: its name, its size, and the facts that follow."""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from mlnn.arguments import shown, whole
from mlnn.errors import ConfigError, DataError, unknown
from mlnn.targets.facts import LINE, Coordinate, Facts
from mlnn.targets.spaces import SPACES

MOST_CLASSES = 2**20
"""More than any vocabulary has; a number mistyped is then an error at once, and no end of memory."""


@dataclass(frozen=True)
class TargetSpace:
    """A target space: `binary` {0, 1}, `classes(K)` {0 … K−1}, `real`, `counts` {0, 1, …}, `positive` (0, ∞), `unit` [0, 1].

    `raw`: raw outputs per position where an objective reads more than the space itself needs (a mean and a variance).
    """

    kind: str
    classes: int | None = None
    raw: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in SPACES:
            raise ConfigError("targets: " + unknown("target space", str(self.kind), SPACES))
        if self.classes is not None and not callable(SPACES[self.kind]):
            raise ConfigError(f"targets: '{self.kind}' with classes={shown(self.classes)}; only {_sized()} has a K")
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
        if not match or match[1] not in SPACES:
            raise ConfigError("targets: " + unknown("target space", given, map(_written, SPACES)))
        kind, count = match[1], match[2]
        if callable(SPACES[kind]) != (count is not None) or (count is not None and int(count) < 2):
            raise ConfigError(f"targets: '{given}' is not a target space; classes are written {_sized()} with K ≥ 2")
        return cls(kind, int(count) if count else None)

    def __str__(self) -> str:
        return f"{self.kind}({self.classes})" if self.classes else self.kind

    @property
    def facts(self) -> Facts:
        """Everything that is known of the space; the questions asked most have a name of their own below."""
        found = SPACES[self.kind]
        return found(self.classes or 0) if callable(found) else found

    @property
    def outputs(self) -> int:
        """Raw outputs per position that a model needs for this space."""
        return self.raw or self.facts.outputs

    @property
    def finite(self) -> bool:
        """Whether its targets are finitely many."""
        return self.facts.values is not None

    @property
    def labels(self) -> bool:
        """Whether its targets are labels of classes, which say no more than which class."""
        return not self.facts.dtype.is_floating_point

    @property
    def countable(self) -> bool:
        """Whether its targets are whole numbers without end, so that what others integrate is a sum."""
        return not self.finite and self.coordinate is None

    @property
    def whole_line(self) -> bool:
        """Whether a target may be any number, as a raw output may: a residual is then their difference."""
        return self.facts.support == LINE

    @property
    def coordinate(self) -> Coordinate | None:
        """The line that targets of a continuous space lie on."""
        return self.facts.coordinate

    @property
    def separable(self) -> bool:
        """Whether rows of such targets may leave a likelihood without a maximum."""
        return self.facts.separable

    def link(self, output: Tensor) -> Tensor:
        """The mean (…) of the target at raw outputs (…); of labels, the probabilities (…, K) at (…, K)."""
        return self.facts.link(output)

    @property
    def probe_points(self) -> Tensor:
        """Targets (Y,) at which two objectives are compared, those on the boundary of the space included."""
        return self._points(self.facts.probe_points)

    @property
    def wide_points(self) -> Tensor:
        """Targets (Y,) out to where rows of ordinary data lie; of very many classes some."""
        # Numbers that float32 has: so certificates have always seen them, and a loss of low precision is given the same.
        return torch.tensor(self.facts.wide_points, dtype=torch.float32).to(self.facts.dtype)

    @property
    def inner_points(self) -> Tensor:
        """Targets (Y,) at which a loss is looked at: all of a finite space, else a few, none on the boundary of the space."""
        if self.facts.values is not None:
            return self._points(self.facts.values)
        points = self.probe_points
        return points if self.coordinate is None else points[torch.isfinite(self.coordinate.back(points))]

    @property
    def fitted_points(self) -> Tensor:
        """Targets (Y,) so far apart that a function of the target that fits there is that function."""
        return self._points(self.facts.fitted_points)

    def draw(self, draws: Generator, shape: tuple[int, ...]) -> Tensor:
        """Random targets of that shape, of any ordinary kind."""
        return self.facts.draw(torch.rand(shape, generator=draws, dtype=torch.float64))

    def follow(self, output: Tensor, draws: Generator) -> Tensor:
        """Random targets (…) that depend on raw outputs (…, m)."""
        uniform = torch.rand(output.shape[:-1], generator=draws, dtype=torch.float64)
        noise = torch.randn(output.shape, generator=draws, dtype=torch.float64)
        return self.facts.follow(output, uniform, noise, draws)

    def extreme(self, y: Any) -> Any:
        """Mask (tensor or array, as y) of the targets that grow likelier without end along raw outputs."""
        return y != y if self.facts.extreme is None else self.facts.extreme(y)  # of numbers, none

    def cast(self, y: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
        """Targets as they are stored: int64 for labels, `dtype` otherwise."""
        return y.to(self.facts.dtype if self.labels else dtype)

    def check(self, y: Tensor, where: str = "y") -> None:
        """Raise DataError, with place and value, for the first target of y (n, …) outside the space (NaN and infinity too)."""
        flat = y.detach().to(torch.float64)
        outside = ~(self.facts.inside(flat) & torch.isfinite(flat))
        if not bool(outside.any()):
            return
        first = outside.nonzero()[0].tolist()
        bad, what = int(outside.sum()), "row" if y.ndim == 1 else "target"
        place = f"row {first[0]}" + "".join(f", position {at}" for at in first[1:]) if first else "the only target"
        raise DataError(
            f"{where}: {place} holds {flat[tuple(first)].tolist()!r}, which is not in the target space '{self}'"
            f" ({bad} such {what}{'s' if bad > 1 else ''} of {flat.numel()})"
        )

    def _points(self, points: object) -> Tensor:
        return torch.tensor(points, dtype=self.facts.dtype)


def _written(kind: str) -> str:
    """The name as users write it, with its size."""
    return f"{kind}(K)" if callable(SPACES[kind]) else kind


def _sized() -> str:
    return " or ".join(_written(kind) for kind in SPACES if callable(SPACES[kind]))
