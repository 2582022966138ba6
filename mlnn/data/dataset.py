"""What a data set is: checked inputs, targets, their space, and a held-out split."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mlnn.arguments import shown
from mlnn.data.formula import Terms
from mlnn.data.frames import told_dropped
from mlnn.errors import DataError
from mlnn.targets import OFFSET, TargetSpace


@dataclass(frozen=True, repr=False)
class Dataset:
    """Inputs `x` (n, *shape) float64, targets `y` (n, *positions[, event]) and extras by name (n, …), checked at the door.

    `held_out` rows are kept from training and serve for prediction gaps. `standardised` records the mean and scale that
    were taken off each feature (None: the inputs are as they came). `whole`: whether the inputs came as whole numbers
    (tokens, perhaps). `terms`: how a formula made the features of a frame. `dropped`: rows left out for a missing value. The
    extra `offset` is added to the raw output; `extras_held_out` has that of the held-out rows. Raises DataError for NaN or
    infinity (with row and column), labels outside the target space, no rows, rows that do not line up, or a single class.
    """

    name: str
    x: Tensor
    y: Tensor
    targets: TargetSpace
    x_held_out: Tensor
    y_held_out: Tensor
    features: tuple[str, ...] = ()
    standardised: dict[str, list[float]] | None = None
    notes: dict[str, object] = field(default_factory=dict)
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    whole: bool = False
    terms: Terms | None = None
    dropped: int = 0
    extras_held_out: Mapping[str, Tensor] = field(default_factory=dict)

    def __repr__(self) -> str:
        held = f", {len(self.x_held_out)} held out" if len(self.x_held_out) else ""
        return f"Dataset({self.name!r}: {len(self.x)} rows of shape {self.input_shape}{held}, targets {self.targets})"

    def __post_init__(self) -> None:
        for what in ("x", "y", "x_held_out", "y_held_out"):
            check_tensor(getattr(self, what), f"{self.name}: {what}")
        check(self.name, self.x, self.y, self.targets, self.features)
        _check_extras(self.name, self.extras, len(self.x))
        _check_extras(f"{self.name} (held-out)", self.extras_held_out, len(self.x_held_out))
        if len(self.x_held_out):
            _check_values(f"{self.name} (held-out)", self.x_held_out, self.features)
            self.targets.check(self.y_held_out, f"{self.name} (held-out): target")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one row of `x`."""
        return tuple(self.x.shape[1:])

    @property
    def positions(self) -> tuple[int, ...]:
        """Shape of the positions of one row: () where a row is one."""
        return self.targets.positions(self.y)

    @property
    def left_out(self) -> str:
        """What to say of rows that were dropped; nothing where none were."""
        return told_dropped(self.dropped, self.dropped + len(self.x) + len(self.x_held_out)) if self.dropped else ""

    @property
    def some_targets(self) -> Tensor:
        """The targets of the rows whose extras are `extras`."""
        return self.y

    def check_plain(self) -> None:
        """Raise DataError unless a row is one target that counts, beside it an offset at most: what an estimate can be made of."""
        beside = [name for name in self.extras if name != OFFSET]
        odd = {
            f"rows of {self.positions} positions": bool(self.positions),
            f"targets of {self.targets.event} numbers": bool(self.targets.event),
            f"extras ({', '.join(beside)})": bool(beside),
            f"rows whose label {self.targets.ignore} is ignored": bool(_any_ignored(self.targets, self.y)),
        }
        found = [words for words, holds in odd.items() if holds]
        if found:
            raise DataError(
                f"{self.name}: {' and '.join(found)}; an estimate takes one target a row, all of which count"
            )

    def first(self, count: int) -> Tensor:
        """The inputs of the first rows, at most `count`."""
        return self.x[:count]

    def seen(self, count: int) -> Tensor:
        """The inputs on which predictions are compared: held-out rows, or the first ones where none were held out."""
        return (self.x_held_out if len(self.x_held_out) else self.x)[:count]

    def __len__(self) -> int:
        return len(self.x)

    def fingerprint(self) -> str:
        """SHA-256 (16 hex digits) of everything a run can see of the data: same fingerprint, same data."""
        digest = hashlib.sha256(str(self.targets).encode())
        extras = [part[name] for part in (self.extras, self.extras_held_out) for name in sorted(part)]
        for part in (self.x, self.y, self.x_held_out, self.y_held_out, *extras):
            digest.update(repr(tuple(part.shape)).encode())
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def to_dict(self) -> dict[str, object]:
        """What a run folder records of the data (never the data itself)."""
        return {
            "name": self.name,
            "rows": len(self.x),
            "held_out": len(self.x_held_out),
            "input_shape": list(self.input_shape),
            "targets": str(self.targets),
            "features": list(self.features),
            "standardised": self.standardised,
            **({"positions": list(self.positions)} if self.positions else {}),
            **({"formula": self.terms.formula} if self.terms else {}),
            **({"dropped": self.dropped, "left_out": self.left_out} if self.dropped else {}),
            **({"extras": sorted(self.extras)} if self.extras else {}),
            "fingerprint": self.fingerprint(),
            **self.notes,
        }


def check(name: str, x: Tensor, y: Tensor, targets: TargetSpace, features: tuple[str, ...] = ()) -> None:
    """Raise DataError unless `x` (n, *shape) and `y` (n, …) line up, are finite, fit the space and hold two classes."""
    if x.ndim < 2:
        raise DataError(f"{name}: x must be (rows, features …), found shape {tuple(x.shape)}")
    if y.ndim < 1 + len(targets.event) or len(y) != len(x):
        wanted = f"({len(x)}, {', '.join(map(str, targets.event))})" if targets.event else f"({len(x)},)"
        raise DataError(f"{name}: y must be {wanted} to match x {tuple(x.shape)}, found shape {tuple(y.shape)}")
    if targets.positions(y) and 0 in y.shape:
        raise DataError(f"{name}: y of shape {tuple(y.shape)} has rows without a position")
    if features and tuple(x.shape[1:]) != (len(features),):
        raise DataError(f"{name}: {len(features)} feature names for rows of shape {tuple(x.shape[1:])}")
    if x.numel() == 0:
        raise DataError(f"{name}: no rows or no features, x has shape {tuple(x.shape)}")
    _check_values(name, x, features)
    targets.check(y, f"{name}: target")
    if targets.finite:
        kept = targets.kept(y)
        found = torch.unique(y if kept is None else y[kept])
        if not len(found):
            raise DataError(
                f"{name}: all {y.numel()} targets are {targets.ignore}, which is ignored; nothing can be learned"
            )
        if len(found) < 2:
            raise DataError(
                f"{name}: all {y.numel()} training targets are {found[0].item():g}; two classes or more are needed"
            )


def _any_ignored(targets: TargetSpace, y: Tensor) -> bool:
    kept = targets.kept(y)
    return kept is not None and not bool(kept.all())


def _check_extras(name: str, extras: Mapping[str, Tensor], rows: int) -> None:
    """Raise DataError for an extra that has not one entry (of any shape) for each row, or holds NaN or infinity."""
    for key, part in extras.items():
        check_tensor(part, f"{name}: extra '{key}'")
        if not part.ndim or len(part) != rows:
            raise DataError(
                f"{name}: extra '{key}' has shape {tuple(part.shape)}; one entry for each of the {rows} rows is needed"
            )
        if not bool(torch.isfinite(part).all()):
            row = int((~torch.isfinite(part)).nonzero()[0, 0])
            raise DataError(f"{name}: extra '{key}' is not finite in row {row}; remove or fill it first")


def check_tensor(tensor: object, what: str) -> None:
    """Raise DataError unless it is an ordinary tensor of real numbers: dense, in memory, of one shape for all rows."""
    if not isinstance(tensor, Tensor):
        raise DataError(f"{what} must be a tensor, found {shown(tensor)}")
    if isinstance(tensor, torch.masked.MaskedTensor):
        raise DataError(f"{what} is a masked tensor; fill the masked entries, or drop their rows, first")
    if tensor.is_nested:
        raise DataError(f"{what} is a nested tensor; every row needs the same shape: pad with .to_padded_tensor(value)")
    if tensor.layout != torch.strided:
        raise DataError(f"{what} is sparse ({str(tensor.layout).removeprefix('torch.')}); give .to_dense()")
    if tensor.is_quantized:
        raise DataError(f"{what} is quantized ({tensor.dtype}); give .dequantize()")
    if tensor.is_meta:
        raise DataError(f"{what} is on the device 'meta', where a tensor holds no numbers; give one that does")
    if tensor.is_complex():
        raise DataError(
            f"{what} must hold real numbers, found dtype {tensor.dtype}; give its .real, or both parts as columns"
        )


def _check_values(name: str, x: Tensor, features: tuple[str, ...]) -> None:
    bad = ~torch.isfinite(x)
    if not bool(bad.any()):
        return
    where = bad.nonzero()[0].tolist()
    row, column = where[0], where[1:]
    label = f"'{features[column[0]]}'" if len(column) == 1 and features else ",".join(map(str, column))
    value = x[tuple(where)].item()
    raise DataError(
        f"{name}: row {row}, column {label} is {value} ({int(bad.sum())} such values); remove or fill them first"
    )
