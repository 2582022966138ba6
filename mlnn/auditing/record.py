"""What a certificate holds beside its single values: the witness of a no, and the curves behind its figure."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mlnn.proving.certified import Certified

Interval = tuple[float, float]
Domain = str | Interval
"""Raw outputs: "all", "none", or an interval of them."""
Row = tuple[float, ...]
"""One number per output, per target, or per point of a curve."""
Output = float | Row
"""One raw output, of several entries where the targets are classes."""


@dataclass(frozen=True)
class Witness:
    """Numbers that a likelihood would make equal, and this loss does not. `says`: why they show it; what is not used is empty.

    `outputs`: where it is looked at; per output `z`, Σ or ∫ exp(−loss), `loss`, of `target` (or of each of `targets`),
    `probability`, the implied one of `target` (one number: the same at all), `temperature`, the τ that a likelihood would
    need, `expected`, the expected loss under `probability`, which is then of every target at the first output.
    `ranges`: how far out an integral is taken, `z` its value. `rows`: of a batch, whose `loss` should be that of its parts.
    `excess`: by how much the first output's loss is larger at least. `family`, `lives`, `space`: the only family there
    could be, where it lives, and the targets, which are elsewhere.
    """

    rows: int | None = None
    outputs: tuple[Output, ...] = ()
    ranges: Row = ()
    z: Row = ()
    target: int | None = None
    targets: Row = ()
    temperature: Row = ()
    probability: float | Row = ()
    expected: Row = ()
    loss: Row | tuple[Row, ...] = ()
    excess: float | None = None
    family: str | None = None
    lives: str | None = None
    space: str | None = None
    says: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without what is not used."""
        return {key: plain(value) for key, value in vars(self).items() if value is not None and value != ()}


@dataclass(frozen=True)
class Curves:
    """Numbers behind the figure, along `output` f. None: not drawn for this loss; (): asked, but infinite or not settled.

    `z`: Σ or ∫ exp(−loss) over the targets; `z_held`: with temperature and base measure put in, 1 for a likelihood. Of
    labels, `implied`: the probability of target `about` by the loss, `declared`: by the usual link. Of numbers, `densities`:
    per raw output the density that the loss implies, along `target`.
    """

    output: Row | None = None
    z: Row | None = None
    about: int | None = None
    implied: Row | None = None
    declared: Row | None = None
    z_held: Row | None = None
    target: Row | None = None
    densities: dict[float, Row] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without what is not drawn; null for what did not settle."""
        return {key: None if value == () else plain(value) for key, value in vars(self).items() if value is not None}


def raw_output(at: Tensor) -> Output:
    """One raw output, () or (m,), as a record holds it."""
    return row(at) if at.ndim else float(at)


def row(numbers: Tensor) -> Row:
    """Numbers (n,) as a record holds them."""
    return tuple(numbers.tolist())


def plain(value: object) -> object:
    """Dicts with text keys, lists, and numbers; a number that is not finite as text: "inf", "-inf", "nan"."""
    if isinstance(value, Witness | Curves):
        return value.to_dict()
    if isinstance(value, Certified):
        return plain(value.to_dict())
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
