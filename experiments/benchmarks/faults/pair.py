"""One entry of the catalogues: two objectives, and what is known of them beforehand, as plain data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.distributions import Distribution

Function = Callable[[Tensor, Tensor], Tensor]
Settings = dict[str, Any]

SAME = ("bitwise", "equal")
FAINT = ("indistinguishable", "different")
BY_BATCH = ("scaled", "different")
"""A factor that depends on the number of rows: one factor in full batches, none that holds for the short last one."""


@dataclass(frozen=True)
class Pair:
    """A pair with a verdict known beforehand.

    `kind`: "equal" (the same training on paper) or "unequal". `relations`: the verdicts that are right; for an unequal
    pair, the right names of the fault. `note`: where it comes from, or is met. `size`: relative size of the fault; None
    where it is gross. `safe`: raw outputs between which the fault does nothing; a verdict that ends its domain there has
    told. `partial`: an equal pair of which one side loses its accuracy far out, so that a domain is no false alarm.
    `dtypes`, `optimizers`: where the pair means what it says. `outputs`: what (left, right) take. `accumulate`,
    `compile`: right's own. `left_optimizer`, `right_optimizer`: change one side's optimiser settings. `once`: slow, one
    architecture, optimiser and dtype are enough.
    """

    kind: str
    name: str
    targets: str
    left: Function
    right: Function
    note: str
    relations: tuple[str, ...] = SAME
    size: float | None = None
    safe: tuple[float, float] | None = None
    partial: bool = False
    dtypes: tuple[str, ...] = ("float32", "float64")
    optimizers: tuple[str, ...] = ("sgd", "adam")
    outputs: tuple[str, str] = ("raw", "raw")
    accumulate: int = 1
    compile: bool = False
    left_optimizer: Callable[[Settings], Settings] | None = None
    right_optimizer: Callable[[Settings], Settings] | None = None
    once: bool = False

    @property
    def same_training(self) -> bool:
        """Whether both sides take the same steps on paper: a fixed tolerance on losses ought to pass such a pair."""
        return self.kind == "equal" and "scaled" not in self.relations


def equal(name: str, targets: str, left: Function, right: Function, note: str, **more: Any) -> Pair:
    """A pair that is equal on paper."""
    return Pair("equal", name, targets, left, right, note, **more)


def fault(name: str, targets: str, left: Function, right: Function, note: str, **more: Any) -> Pair:
    """A pair of which right is wrong; unless it says otherwise, the right name for it is `different`."""
    return Pair("unequal", name, targets, left, right, note, **{"relations": ("different",)} | more)


def nll_of(distribution: Distribution, value: Tensor) -> Tensor:
    """−log of a torch distribution at a value, as somebody would write it who has the distribution at hand."""
    found: Tensor = -distribution.log_prob(value)
    return found
