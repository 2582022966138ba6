"""Batches as somebody's own loader gives them: drawn once, in their order, recorded, and the same for all lanes."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from mlnn.arguments import first_line, shown, whole
from mlnn.data import nested
from mlnn.data.arrays import as_targets, extra, infer_targets
from mlnn.errors import ConfigError, DataError, MlnnError
from mlnn.targets import TargetSpace

TARGET_NAMES = ("labels", "label", "targets", "target", "y")
"""Names under which a batch that is a dict may have its targets."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """One batch: inputs `x`, a tensor, or a dict of what a model takes by name; targets `y` (n, …); extras by name.

    `given`: the batch as it came, for a step that takes it whole; None where nobody does.
    """

    x: Any
    y: Tensor
    extras: Mapping[str, Tensor]
    given: Any = None

    def __len__(self) -> int:
        return len(self.y)

    def some(self, rows: Tensor) -> "Recorded":
        """Some of its rows; what has not one entry for each row (a count for the whole batch) as it is."""

        def picked(part: Tensor) -> Tensor:
            return part[rows] if part.ndim and len(part) == len(self) else part

        extras = {name: picked(part) for name, part in self.extras.items()}
        given = nested.replaced(self.given, picked)
        return Recorded(nested.replaced(self.x, picked), self.y[rows], extras, given)


@dataclass(frozen=True, repr=False)
class Stream:
    """Recorded batches, a step each. Raises DataError for a batch whose parts do not line up, or targets outside the space."""

    name: str
    batches: tuple[Recorded, ...]
    targets: TargetSpace
    whole: bool = False
    x_held_out: Tensor = field(default_factory=lambda: torch.empty(0))

    def __repr__(self) -> str:
        return f"Stream({self.name!r}: {len(self.batches)} batches, {len(self)} rows in all, targets {self.targets})"

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    @property
    def positions(self) -> tuple[int, ...]:
        """Shape of the positions of a row of the first batch."""
        return self.targets.positions(self.batches[0].y)

    @property
    def extras(self) -> Mapping[str, Tensor]:
        """The extras of the first batch's rows."""
        return self.batches[0].extras

    @property
    def some_targets(self) -> Tensor:
        """The targets of the rows whose extras are `extras`."""
        return self.batches[0].y

    def first(self, count: int) -> Any:
        """The inputs of the first rows of the first batch, at most `count`."""
        return self.seen(count)

    def seen(self, count: int) -> Any:
        """The inputs on which predictions are compared: those of the first rows of the first batch."""
        batch = self.batches[0]
        return batch.some(torch.arange(min(count, len(batch)))).x

    def rows(self) -> Iterator[tuple[Tensor, Recorded]]:
        """Each batch with the numbers of its rows, counted on from batch to batch."""
        start = 0
        for batch in self.batches:
            yield torch.arange(start, start + len(batch)), batch
            start += len(batch)

    def fingerprint(self) -> str:
        """SHA-256 (16 hex digits) of everything a run can see of the batches."""
        digest = hashlib.sha256(str(self.targets).encode())
        for batch in self.batches:
            for part in (*nested.tensors(batch.x), batch.y, *(batch.extras[name] for name in sorted(batch.extras))):
                digest.update(repr((tuple(part.shape), str(part.dtype))).encode())
                digest.update(part.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if part.numel() else b"")
        return digest.hexdigest()[:16]

    def to_dict(self) -> dict[str, object]:
        """What a run folder records of the data (never the data itself)."""
        return {
            "name": self.name,
            "rows": len(self),
            "batches": len(self.batches),
            "held_out": 0,
            "positions": list(self.positions),
            "targets": str(self.targets),
            "extras": sorted(self.extras),
            "fingerprint": self.fingerprint(),
        }


def from_batches(
    given: Iterable[Any], steps: int, targets: str | TargetSpace | None, name: str = "batches", keep: bool = False
) -> Stream:
    """The first `steps` batches of an iterable, each (x, y), (x, y, {"name": extra}) or a dict with its targets as "labels".

    `keep`: each as it came, too, for a step that takes it whole.
    Raises DataError for fewer batches than steps (none is used twice), a batch of another form, and targets outside the space.
    """
    drawn = [_recorded(batch, f"{name}: batch {place}", keep) for place, batch in enumerate(_drawn(given, steps, name))]
    space = (
        infer_targets(torch.cat([batch.y.flatten() for batch in drawn]))
        if targets is None
        else TargetSpace.parse(targets)
    )
    batches = []
    for place, batch in enumerate(drawn):
        y = space.canonical(batch.y) if space.event else batch.y
        space.check(y, f"{name}: batch {place}: target")
        batches.append(Recorded(batch.x, space.cast(y), batch.extras, batch.given))
    return Stream(name, tuple(batches), space)


def from_steps(given: Iterable[Any], steps: int, name: str = "batches") -> Stream:
    """The first `steps` batches of an iterable, of any structure, for steps that take them whole: which part is a target is
    known to them alone. Raises DataError for fewer batches than steps, and for a batch without a tensor.
    """
    drawn = _drawn(given, steps, name)
    batches = []
    for place, batch in enumerate(drawn):
        if not any(True for _ in nested.tensors(batch)):
            raise DataError(f"{name}: batch {place} holds no tensor ({shown(batch)})")
        copy = nested.replaced(batch, _copied)
        batches.append(Recorded(copy, torch.zeros(nested.rows(batch) or 1), {}, copy))
    return Stream(name, tuple(batches), TargetSpace("real"))


def _copied(part: Tensor) -> Tensor:
    return part.detach().cpu().clone()


def _drawn(given: Iterable[Any], steps: int, name: str) -> list[Any]:
    """The first batches of an iterable, as many as steps."""
    drawn = _first(given, whole("steps", steps, 1), name)
    if len(drawn) < steps:
        raise DataError(
            f"{name}: {len(drawn)} batches for {steps} steps; give as many, or take fewer steps: none is used twice"
        )
    return drawn


def _first(given: Iterable[Any], steps: int, name: str) -> list[Any]:
    try:
        return list(islice(iter(given), steps))
    except MlnnError:
        raise
    except Exception as problem:  # a loader of the caller's own, and a data set behind it
        raise DataError(f"{name}: drawing batches raised {type(problem).__name__}: {first_line(problem)}") from problem


def _recorded(batch: Any, what: str, keep: bool) -> Recorded:
    """A batch as somebody's loader gave it, copied."""
    x, y, extras = _in_three(batch, what)
    x = nested.replaced(x, _copied)
    if not isinstance(x, Tensor) and not isinstance(x, Mapping):
        x = extra(x, f"{what}: x")
    target = as_targets(y, f"{what}: y")
    if not target.ndim or not len(target):
        raise DataError(f"{what}: targets of shape {tuple(target.shape)}; one or more rows are needed")
    for part in nested.tensors(x):
        if isinstance(x, Tensor) and len(part) != len(target):
            raise DataError(f"{what}: x has {len(part)} rows and y {len(target)}")
        if part.is_floating_point() and not bool(torch.isfinite(part).all()):
            raise DataError(f"{what}: an input is not finite; remove or fill such values first")
    named = {key: extra(part, f"{what}: extra '{key}'") for key, part in extras.items()}
    return Recorded(x, target, named, nested.replaced(batch, _copied) if keep else None)


def _in_three(batch: Any, what: str) -> tuple[Any, Any, Mapping[str, Any]]:
    """Inputs, targets and extras of a batch; of a dict, all tensors but the targets may be inputs, or extras, by their names."""
    if isinstance(batch, Mapping):
        key = next((name for name in TARGET_NAMES if name in batch), None)
        if key is None:
            raise DataError(
                f"{what} is a dict of {', '.join(map(str, batch))}; its targets must be one of {', '.join(TARGET_NAMES)}"
            )
        rest = {str(name): part for name, part in batch.items() if name != key}
        return rest, batch[key], {name: part for name, part in rest.items() if isinstance(part, Tensor | int | float)}
    if isinstance(batch, tuple | list) and len(batch) in (2, 3):
        extras = batch[2] if len(batch) == 3 else {}
        if not isinstance(extras, Mapping):
            raise DataError(f"{what}: its third part is {shown(extras)}; extras are a dict by names")
        return batch[0], batch[1], extras
    raise DataError(
        f"{what} is {shown(batch)}; (x, y), (x, y, {{name: extra}}) or a dict with 'labels' is needed, or mlnn.Step for a loss"
        " that takes the whole batch"
    )


def are_batches(data: Any) -> bool:
    """Whether `data` is an iterable of batches and not arrays: a loader, a generator, or a list of tuples, dicts or [x, y]."""
    if isinstance(data, list):
        return bool(data) and _is_batch(data[0])
    arrays = (
        isinstance(data, tuple | str | bytes | Mapping | Tensor) or hasattr(data, "__array__") or hasattr(data, "iloc")
    )
    return not arrays and hasattr(data, "__iter__")


def _is_batch(item: Any) -> bool:
    if isinstance(item, Mapping | tuple):
        return True
    parts = item if isinstance(item, list) and len(item) in (2, 3) else []
    shapes = {tuple(part.shape) if isinstance(part, Tensor) else None for part in parts}
    return len(shapes) > 1 or (bool(parts) and all(isinstance(part, Tensor) and part.ndim > 1 for part in parts))


def check_whole_batches(batch_size: object) -> None:
    """Raise ConfigError where batches come as they are and a size is asked for besides."""
    if batch_size is not None:
        raise ConfigError(
            f"batch_size: {shown(batch_size)}, but the data are batches already, one a step; give batch_size=None"
        )
