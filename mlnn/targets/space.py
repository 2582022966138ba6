"""A target space as the rest of mlnn asks it: its name, its size, and the facts that follow."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Generator, Tensor

from mlnn.arguments import shown, whole
from mlnn.errors import ConfigError, DataError, unknown
from mlnn.targets.events import drawn_kept
from mlnn.targets.facts import LINE, Coordinate, Facts
from mlnn.targets.spaces import SEVERAL, SPACES

MOST_CLASSES = 2**20
"""More than any vocabulary has; a number mistyped is then an error at once, and no end of memory."""


MOST_RAW = 2**20
"""Raw outputs of one position, at most."""
_SIZE, _SETTING = r"\d+", r"(?:ignore|axis|raw)\s*=\s*-?\d+"
_WRITTEN = re.compile(rf"\s*(\w+)\s*(?:\(\s*((?:{_SIZE}|{_SETTING})\s*(?:,\s*{_SETTING}\s*)*)\))?\s*", re.ASCII)
_OPTION = re.compile(r"(ignore|axis|raw)\s*=\s*(-?\d+)", re.ASCII)

OFFSET = "offset"
"""The extra of a row that is added to its raw output: the log of an exposure, say."""


@dataclass(frozen=True)
class TargetSpace:
    """What one target may be: `binary` {0, 1}, `classes(K)` {0 … K−1}, `real`, `counts` {0, 1, …}, `positive` (0, ∞), `unit`
    [0, 1]; several numbers at a position: `real(m)`, `multilabel(m)`, `simplex(K)`; `ordinal(K)`, with K − 1 raw outputs.

    It describes one position: a batch may have any leading shape, (n,) or (n, t). `classes`: the size that is written. `raw`:
    raw outputs per position where an objective reads more than the space itself needs: a mean and a variance are 2, written
    `real(raw=2)`. `ignore`: a label that says that its position does not count. `axis`: where a batch has its raw outputs if
    not last: 1 for (n, K, t).
    """

    kind: str
    classes: int | None = None
    raw: int | None = None
    ignore: int | None = None
    axis: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in SPACES:
            raise ConfigError("targets: " + unknown("target space", str(self.kind), SPACES))
        if self.classes is not None and not _may_have_a_size(self.kind):
            raise ConfigError(f"targets: '{self.kind}' with classes={shown(self.classes)}; only {_sized()} has a K")
        for name, value, least, most in (("classes", self.classes, 2, MOST_CLASSES), ("raw", self.raw, 1, MOST_RAW)):
            if value is not None:
                object.__setattr__(self, name, whole(f"targets: {name}", value, least, most))
        self._check_options()

    def _check_options(self) -> None:
        """Raise ConfigError for a label to ignore, or an axis, that the space cannot have."""
        if self.ignore is not None:
            object.__setattr__(self, "ignore", whole("targets: ignore", self.ignore, -(2**62), 2**62))
            if not self.labels:
                raise ConfigError(
                    f"targets: ignore={self.ignore} with '{self.kind}'; only labels can be ignored: give a mask"
                )
        if self.axis is not None:
            object.__setattr__(self, "axis", None if self.axis == -1 else whole("targets: axis", self.axis, 1, 1))
            if self.outputs < 2:
                raise ConfigError(
                    f"targets: axis=1 with '{self.kind}', which has one raw output per position, and no axis of them"
                )

    @classmethod
    def parse(cls, text: "str | TargetSpace") -> "TargetSpace":
        """Read `"binary"`, `"classes(3)"`, `"counts(raw=2)"`, `"classes(50, ignore=-100, axis=1)"`, …; ConfigError for others."""
        if isinstance(text, TargetSpace):
            return text
        given = text if isinstance(text, str) and len(text) < 200 else shown(text)
        match = _WRITTEN.fullmatch(given)
        if not match or match[1] not in SPACES:
            raise ConfigError("targets: " + unknown("target space", given, map(_written, SPACES)))
        kind, size, options = match[1], re.match(r"\d+", match[2] or ""), _OPTION.findall(match[2] or "")
        count = int(size[0]) if size else None
        wanted = callable(SPACES[kind]) or (count is not None and kind in SEVERAL)
        if wanted != (count is not None) or (count is not None and count < 2):
            raise ConfigError(f"targets: '{given}' is not a target space; classes are written {_sized()} with K ≥ 2")
        settings = {key: int(value) for key, value in options}
        if len(settings) < len(options):
            raise ConfigError(f"targets: '{given}' says {', '.join(settings)} more than once")
        return cls(kind, count, **settings)

    def __str__(self) -> str:
        settings = (("ignore", self.ignore), ("axis", self.axis), ("raw", self.raw))
        options = [f"{name}={value}" for name, value in settings if value is not None]
        inside = [*([str(self.classes)] if self.classes else []), *options]
        return f"{self.kind}({', '.join(inside)})" if inside else self.kind

    @property
    def facts(self) -> Facts:
        """Everything that is known of the space; the questions asked most have a name of their own below."""
        found = SEVERAL[self.kind] if self.classes and self.kind in SEVERAL else SPACES[self.kind]
        return _made(found, self.classes or 0) if callable(found) else found

    @property
    def outputs(self) -> int:
        """Raw outputs per position that a model needs for this space."""
        return self.raw or self.facts.outputs

    @property
    def event(self) -> tuple[int, ...]:
        """The shape of one target: () where it is one number."""
        return () if self.facts.event is None else (self.facts.event,)

    def positions(self, target: Tensor) -> tuple[int, ...]:
        """The shape of a row's positions, of targets (n, *positions, *event): () where a row is one."""
        return tuple(target.shape[1 : target.ndim - len(self.event)])

    def arranged(self, values: Tensor) -> Tensor:
        """Values (n, *positions, m) with m on the axis where a batch has it; those with one number per position as they are."""
        return values if self.axis is None or values.ndim < 3 else values.movedim(-1, self.axis)

    def canonical(self, values: Tensor) -> Tensor:
        """A batch's values with m on the last axis: `arranged` undone."""
        return values if self.axis is None or values.ndim < 3 else values.movedim(self.axis, -1)

    def kept(self, target: Tensor) -> Tensor | None:
        """Mask (n, *positions) of the targets that count; None where all do."""
        return None if self.ignore is None else target != self.ignore

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
        return not self.finite and not self.event and self.coordinate is None

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
        """Random targets of that many positions, of any ordinary kind; some of them ignored where that can be."""
        drawn = self.facts.draw(torch.rand((*shape, *self.event), generator=draws, dtype=torch.float64))
        return drawn if self.ignore is None else drawn_kept(drawn, self.ignore, draws)

    def follow(self, output: Tensor, draws: Generator) -> Tensor:
        """Random targets (…) that depend on raw outputs (…, m)."""
        uniform = torch.rand(output.shape[:-1], generator=draws, dtype=torch.float64)
        noise = torch.randn(output.shape, generator=draws, dtype=torch.float64)
        found = self.facts.follow(output, uniform, noise, draws)
        return found if self.ignore is None else drawn_kept(found, self.ignore, draws)

    def extreme(self, y: Any) -> Any:
        """Mask (tensor or array, as y) of the targets that grow likelier without end along raw outputs."""
        return y != y if self.facts.extreme is None else self.facts.extreme(y)  # of numbers, none

    def cast(self, y: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
        """Targets as they are stored: int64 for labels, `dtype` otherwise."""
        return y.to(self.facts.dtype if self.labels else dtype)

    def check(self, y: Tensor, where: str = "y") -> None:
        """Raise DataError, with place and value, for the first target of y (n, …) outside the space (NaN and infinity too)."""
        flat = y.detach().to(torch.float64)
        if self.event and (not y.ndim or y.shape[-1:] != self.event):
            raise DataError(
                f"{where}: targets of shape {tuple(y.shape)}; '{self}' needs {self.event[0]} numbers on the last axis"
            )
        inside, finite = self.facts.inside(flat), torch.isfinite(flat)
        outside = ~(inside & (finite if inside.ndim == finite.ndim else finite.all(-1)))
        if self.ignore is not None:
            outside &= flat != self.ignore
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


def _may_have_a_size(kind: str) -> bool:
    return callable(SPACES[kind]) or kind in SEVERAL


def _sized() -> str:
    return " or ".join(f"{kind}(K)" for kind in SPACES if _may_have_a_size(kind))


@lru_cache(maxsize=256)  # asked ten thousand times in a comparison
def _made(space: Callable[[int], Facts], classes: int) -> Facts:
    return space(classes)
