"""One entry of the catalogues: two objectives, and what is known of them beforehand, as plain data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Generator, Tensor, nn
from torch.distributions import Distribution
from torch.optim import Optimizer

Function = Callable[..., Tensor]
"""An objective, (raw output, target, extras by name) → loss, or a step, (model, batch) → loss."""
Batch = dict[str, Tensor]
Update = Callable[[nn.Module, Optimizer, Sequence[Batch]], float]
"""A loop's own step: (model, optimiser, the window's batches) → loss."""
Extras = Callable[[Generator, int], Batch]
Settings = dict[str, Any]

SAME = ("bitwise", "equal")
FAINT = ("indistinguishable", "different")
LOWERED = ("indistinguishable",)
"""A side that computes in less than the run does: the same mathematics, and told apart from one that does not."""
BY_BATCH = ("scaled", "different")
"""A factor that depends on the number of rows: one factor in full batches, none that holds for the short last one."""
BITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
"""Binary digits of a number, by dtype."""


@dataclass(frozen=True)
class Pair:
    """A pair with a verdict known beforehand.

    `kind`: "equal" (the same training on paper) or "unequal". `relations`: the verdicts that are right; for an unequal
    pair, the right names of the fault. `note`: where it comes from, or is met. `size`: relative size of the fault; None
    where it is gross. `safe`: raw outputs between which the fault does nothing; a verdict that ends its domain there has
    told. `partial`: an equal pair of which one side loses its accuracy far out, so that a domain is no false alarm. `point`: a
    fault at isolated raw outputs alone, which a verdict tells as points. `dtypes`, `optimizers`: where the pair means what it
    says. `outputs`: what (left, right) take. `accumulate`, `compile`: right's own. `left_optimizer`, `right_optimizer`: change
    one side's optimiser settings. `once`: slow, one architecture, optimiser and dtype are enough.

    `family`: "textbook", or "field" for losses and loops as people run them. `shape`: positions of a row. `extras`:
    (generator, rows) → what the objectives take by name. `step`: left and right are (model, batch) → loss. `update`: the
    two loops' own steps. `model`: a factory () → module of its own; None: the benchmark's architectures. `steps`: where
    the benchmark's number would not do. `cause`: regular expression that a right cause must hold; None: none may be
    named. `inside`: precisions that (left, right) compute in of themselves. `shows`: from ordinary raw outputs to some
    at which the fault shows; None: at those already.
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
    point: bool = False
    dtypes: tuple[str, ...] = ("float32", "float64")
    optimizers: tuple[str, ...] = ("sgd", "adam")
    outputs: tuple[str, str] = ("raw", "raw")
    accumulate: int = 1
    compile: bool = False
    left_optimizer: Callable[[Settings], Settings] | None = None
    right_optimizer: Callable[[Settings], Settings] | None = None
    once: bool = False
    family: str = "textbook"
    shape: tuple[int, ...] = ()
    extras: Extras | None = None
    step: bool = False
    update: tuple[Update, Update] | None = None
    model: Callable[[], nn.Module] | None = None
    steps: int | None = None
    cause: str | None = None
    inside: tuple[str, str] = ("float64", "float64")
    shows: Callable[[Tensor], Tensor] | None = None

    @property
    def same_training(self) -> bool:
        """Whether both sides take the same steps on paper: a fixed tolerance on losses ought to pass such a pair."""
        return self.kind == "equal" and "scaled" not in self.relations

    def computes_in(self, dtype: str) -> dict[str, str]:
        """The sides that compute in less than a run's own dtype, and what they compute in."""
        sides = zip(("left", "right"), self.inside, strict=True)
        return {side: inside for side, inside in sides if BITS[inside] < BITS[dtype]}

    def expected(self, dtype: str) -> tuple[str, ...]:
        """The relations that are right in a run of a dtype: of equal sides, rounding of a lower precision is no more."""
        faint = self.kind == "equal" and self.computes_in(dtype) and "indistinguishable" not in self.relations
        return (*self.relations, "indistinguishable") if faint else self.relations


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
