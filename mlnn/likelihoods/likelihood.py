"""What a likelihood is, and the facts that follow from it: estimating, auditing and training ask the likelihood and nobody else.

Only `nll` is asked of a class from elsewhere (see `adopted`). Every other fact has a default here, which is what autograd and
the class's own numbers can tell; a family says more where it knows more.
"""

import inspect
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mlnn.errors import ConfigError
from mlnn.likelihoods.counterpart import Counterpart
from mlnn.signature import raw_outputs, spaces


@dataclass(frozen=True)
class Question:
    """A model inside a likelihood of several raw outputs: columns that separate its targets leave that without a maximum.

    output: the raw output that answers. kind: "binary", or "counts" where 0 is the only target that wants it down for ever.
    target: (k,) of the `rows` (k,), a mask or numbers of rows, all of them where None. beside: (k, q) columns in place of the
    constant, None where the constant stands.
    """

    output: int
    kind: str
    target: Tensor
    rows: Tensor | None = None
    beside: Tensor | None = None


class Likelihood:
    """A conditional distribution of the target given raw outputs; shapes as each one's docstrings say.

    `free`: the number that is estimated too where the likelihood is given by name; `counted`: AIC and BIC count it, as
    statsmodels' tables do; `separate`: the coefficients' maximum does not depend on it. `canonical`: minus the second
    derivative in the raw output is the same for every target. `kinked`: piecewise linear, so that its maximum is a linear
    programme's. `robust`: its tails are heavier than the normal's, and it has a `majorant`. `squares`: the coefficients'
    maximum is that of least squares. `baseline`: raw outputs are free up to a constant per row, so class 0 is held at 0.
    `periodic`: targets are angles. `centred`: what `centre` is. `limit`: the family that it becomes as its free number runs
    to infinity. `outputs`: a name for each raw output where there are several. `in_units`: the numbers that are measured in
    the target's unit. `conventions`: names of the dispersion by maximum likelihood and of the unbiased one. `firth`: with half
    the log determinant of its information as a penalty the coefficients lose their bias of order 1/n (a canonical link and
    nothing else to estimate). `quantile`, `flat`: of a kinked one, which quantile its raw output is, and the half width of its
    flat top. `within`: the likelihood of the catalogue that it is at the far end of its second raw output. `constant_after`:
    raw outputs from this one on have a constant alone in a linear model. `jointly`: coefficients of all raw outputs and the
    free number are estimated in one, with observed information.
    """

    free: ClassVar[str | None] = None
    counted: ClassVar[bool] = False
    separate: ClassVar[bool] = False
    canonical: ClassVar[bool] = False
    kinked: ClassVar[bool] = False
    centred: ClassVar[str] = "mean"
    limit: ClassVar["type[Likelihood] | None"] = None
    squares: ClassVar[bool] = False
    baseline: ClassVar[bool] = False
    periodic: ClassVar[bool] = False
    robust: ClassVar[bool] = False
    firth: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...]] = ("",)
    within: ClassVar[str | None] = None
    constant_after: ClassVar[int | None] = None
    jointly: ClassVar[bool] = False
    in_units: ClassVar[tuple[str, ...]] = ()
    conventions: ClassVar[tuple[str, str] | None] = None
    quantile: float = 0.5
    flat: float = 0.0

    def nll(self, output: Any, target: Any) -> Tensor:
        """−log of the probability or density of each target, nats per row, nothing dropped."""
        raise NotImplementedError

    def mean(self, output: Tensor) -> Tensor:
        """The mean of the target given the raw output."""
        raise NotImplementedError

    def centre(self, output: Tensor) -> Tensor:
        """What a prediction is of, in the target's unit, as `centred` names it: the mean, unless the family says otherwise."""
        return self.mean(output)

    def variance(self, output: Tensor) -> Tensor | float | None:
        """V, the variance of the target given the raw output over `dispersion`; None where no closed form is known."""
        return None

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of the target per row."""
        raise NotImplementedError

    def least(self, target: Tensor) -> Tensor | None:
        """The smallest nll per row that any raw output comes near, the saturated model; None where it is not known."""
        return None

    @property
    def name(self) -> str:
        """What it is called in tables and messages."""
        return type(self).__name__

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers it is made with and keeps under their own names, by the name of the argument."""
        return _numbers(self)

    def at(self, **numbers: float) -> "Likelihood":
        """The same with other numbers."""
        return type(self)(**_kept(self) | numbers)

    @property
    def predicts(self) -> bool:
        """Whether it knows what a prediction is of."""
        own = (getattr(part, "__func__", None) for part in (self.mean, self.centre))
        return tuple(own) != (Likelihood.mean, Likelihood.centre)

    @property
    def samples(self) -> bool:
        """Whether it can draw targets."""
        return getattr(self.sample, "__func__", None) is not Likelihood.sample

    @property
    def counterpart(self) -> Counterpart | None:
        """The same family in statsmodels; None where it has none."""
        return None

    def same(self, other: "Likelihood") -> bool:
        """Whether the other is of the same family, whatever its numbers."""
        return type(self) is type(other)

    @property
    def kind(self) -> str:
        """The kind of target space that it is for."""
        return (spaces(self.nll) or ("real",))[0]

    @property
    def dispersion(self) -> float:
        """φ of Var(y) = φ V(μ); 1 of a family without one."""
        return 1.0

    def pearson(self, target: Tensor, mean: Tensor) -> Tensor:
        """(y − μ)²/V(μ) per row, whose mean estimates φ; (n,), (n,) to (n,). Asked of families with `conventions` only."""
        return (target - mean) ** 2

    def derivatives(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
        """(nll, gradient, curvature in the raw output) of a `canonical` one, (n,) each, made together; None: by autograd."""
        return None

    def information(self, output: Tensor) -> Tensor | float | None:
        """Fisher information of a row in its raw output, (n,) to (n,) or one number; None where no closed form is known."""
        return None

    def typical(self, output: Tensor) -> list[Tensor] | None:
        """Targets (n,) at which second derivatives, averaged, equal their expectation; None where none are known."""
        return None

    def majorant(self, residual: Tensor) -> Tensor:
        """ρ′(r)/r of a `robust` density, the weight of a row with residual r in reweighted least squares; (n,) to (n,).

        The parabola it bends lies above the nll everywhere and touches it at r (Huber 1964; Lange et al. 1989), so a step
        on it never raises the nll.
        """
        raise NotImplementedError

    def above(self, output: Tensor, target: Tensor) -> Tensor:
        """nll − least per row, not below 0: half a row's deviance, over φ."""
        least = self.least(target)
        assert least is not None
        return (self.nll(output, target) - least).clamp(min=0)

    def impossible(self, target: Tensor) -> tuple[Tensor, str] | None:
        """(rows (n,) without a finite density whatever the raw output, why), of targets inside the space; None of most."""
        return None

    def level(self, target: Tensor, weight: Tensor) -> Tensor | None:
        """The raw output (), or raw outputs (m,), of rows that share them; None where the link of the target space tells it."""
        return None

    def cuts(self, constants: Tensor) -> Tensor | None:
        """Thresholds at the constants (m,) of a linear model, which its answer tells in their place; None of most."""
        return None

    def questions(self, target: Tensor) -> list[Question]:
        """The models inside one of several raw outputs, by which it may have no maximum; none of most."""
        return []

    def rescaled(self, unit: float, centre: float, output: int) -> tuple[float, float]:
        """(factor, shift) of a raw output when the target is measured in units of `unit` around `centre`."""
        return unit, centre

    def no_number(self, down: bool) -> str | None:
        """What it means that the free number runs to 0 (`down`) or to infinity, and how to go on; None: nothing special."""
        return None


class Adopted(Likelihood):
    """A likelihood from elsewhere: its own `nll`, `mean`, `sample` and `least` where it has them, the names of its raw outputs
    (`outputs`) and of its numbers that are to be estimated (`free`: one name or several), and nothing else of it."""

    def __init__(self, given: Any) -> None:
        self.given = given
        names = getattr(given, "outputs", ())
        if isinstance(names, tuple | list) and names and all(isinstance(name, str) for name in names):
            self.outputs = tuple(names)  # type: ignore[misc]
        self.nll = given.nll  # type: ignore[method-assign]
        for part in ("mean", "sample", "least"):
            if callable(getattr(given, part, None)):
                setattr(self, part, getattr(given, part))

    @property
    def name(self) -> str:
        return type(self.given).__name__

    def same(self, other: Likelihood) -> bool:
        return isinstance(other, Adopted) and type(self.given) is type(other.given)

    @property
    def numbers(self) -> dict[str, float]:
        return _numbers(self.given)

    def at(self, **numbers: float) -> "Adopted":
        return Adopted(type(self.given)(**_kept(self.given) | numbers))


def _kept(made: Any) -> dict[str, Any]:
    """The arguments that something is made with and keeps under their own names."""
    try:
        keys = list(inspect.signature(type(made)).parameters)
    except (TypeError, ValueError):  # compiled code does not tell
        return {}
    return {key: getattr(made, key) for key in keys if hasattr(made, key)}


def _numbers(made: Any) -> dict[str, float]:
    return {k: v for k, v in _kept(made).items() if isinstance(v, int | float) and not isinstance(v, bool)}


def adopted(given: Any) -> Likelihood:
    """A likelihood as the rest of mlnn asks it: one of mlnn's, or any object with `nll(output, target)`.

    Raises ConfigError for a class in place of an instance, and for what has no `nll`.
    """
    if isinstance(given, type):
        raise ConfigError(f"likelihood: {given.__name__} is a class; give an instance, {given.__name__}()")
    if isinstance(given, Likelihood):
        return given
    if not callable(getattr(given, "nll", None)):
        raise ConfigError(
            f"likelihood: {type(given).__name__} has no nll(output, target); give its name or an instance"
        )
    return Adopted(given)


def freed(likelihood: Likelihood) -> tuple[str, ...]:
    """The numbers that a class from elsewhere says are to be estimated, by `free`: a name, or several.

    Raises ConfigError where it keeps no number above 0 under such a name, or cannot be made anew with another.
    """
    made = likelihood.given if isinstance(likelihood, Adopted) else likelihood
    owner = next((kind for kind in type(made).__mro__ if "free" in vars(kind)), None)
    said = getattr(made, "free", None)
    if said is None or (owner is not None and owner.__module__.startswith("mlnn.")):
        return ()
    names = (said,) if isinstance(said, str) else said
    numbers = likelihood.numbers
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) and name in numbers for name in names):
        kept = ", ".join(numbers) or "none"
        raise ConfigError(
            f"likelihood: {likelihood.name}.free is {said!r}, the numbers that are to be estimated; of those that it is made"
            f" with and keeps under their own names ({kept})"
        )
    for name in names:
        if not 0 < numbers[name] < math.inf:
            raise ConfigError(
                f"likelihood: {likelihood.name}.{name} is {numbers[name]:g}; a number that is estimated must be above 0 and stay"
                " so: make it its exponential, or a raw output"
            )
    try:
        moved = likelihood.at(**dict.fromkeys(names, 1.5)).numbers
    except Exception as problem:  # whatever somebody's own class raises
        told = str(problem).splitlines()[0] if str(problem) else ""
        raise ConfigError(
            f"likelihood: {likelihood.name} cannot be made with other numbers ({type(problem).__name__}: {told}); each argument"
            " must be kept under its own name"
        ) from problem
    if any(moved.get(name) != 1.5 for name in names):
        raise ConfigError(f"likelihood: {likelihood.name} does not keep {', '.join(names)} as given to its constructor")
    return tuple(names)


def own_outputs(likelihood: Likelihood) -> int | None:
    """Raw outputs per row that its signature asks for; None where the target space tells."""
    return raw_outputs(likelihood.nll)
