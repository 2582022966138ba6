"""A small model as a function of one flat vector of its parameters: raw outputs, the summed nll, and their derivatives."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, jacrev, vjp
from torch.nn.parameter import is_lazy

from mlnn.errors import ConfigError, DataError, MlnnError
from mlnn.estimating.catalogue import Family, family_of
from mlnn.estimating.linear.design import Design
from mlnn.estimating.network.flat import FlatModel
from mlnn.likelihoods import Normal
from mlnn.seeding import derive, generator
from mlnn.targets import TargetSpace
from mlnn.world import own_world

EPS = torch.finfo(torch.float64).eps
FEW_OUTPUTS = 64
"""Raw outputs up to which a Jacobian goes row by row in no time; one of more that has at least twice as many rows as columns
goes parameter by parameter (of 1000 rows and 41 parameters 3 ms for 64)."""


def made(factory: Any, seed: int) -> nn.Module:
    """A fresh model of the factory, float64 on the CPU, its weights drawn from `seed`.

    Raises ConfigError for what is no factory, or makes no model whose weights can be estimated.
    """
    if isinstance(factory, nn.Module) or not callable(factory):
        raise ConfigError(
            f"model: give a factory, lambda: MyNet(…), that makes a fresh model; found {type(factory).__name__}"
        )
    with own_world(None, derive(seed, "weights")), _of_the_model("the factory"):
        module = factory()
    if not isinstance(module, nn.Module):
        raise ConfigError(f"model: the factory made a {type(module).__name__}, not an nn.Module")
    _check_weights(module)
    with _of_the_model("its .double()"):
        return module.to("cpu").double()


def _check_weights(module: nn.Module) -> None:
    for name, part in [*module.named_parameters(), *module.named_buffers()]:
        if is_lazy(part):
            raise ConfigError(
                f"model: {name} has no shape yet (a lazy layer); give the layer its sizes, or let the factory run a row"
                " through the model"
            )
        if part.is_complex():
            raise ConfigError(f"model: {name} is complex ({part.dtype}); a real model is needed")
        if part.is_quantized or part.layout != torch.strided or part.device.type == "meta":
            kind = (
                "quantized" if part.is_quantized else "on the meta device" if part.device.type == "meta" else "sparse"
            )
            raise ConfigError(f"model: {name} is {kind}; dense numbers are needed")


def _check_double(module: nn.Module, x: Tensor) -> None:
    parts = [part for part in module.parameters() if part.requires_grad]
    if not parts or any(part.dtype != torch.float64 for part in [*parts, x]):
        raise ConfigError("fit_model: the model and x must be float64 and the model must have weights; call .double()")


@contextmanager
def _of_the_model(what: str) -> Iterator[None]:
    """An exception of a user's model as a ConfigError of a line or two."""
    try:
        yield
    except MlnnError:
        raise
    except Exception as error:
        told = (str(error).strip().splitlines() or [""])[0][:200]
        raise ConfigError(f"model: {what} raised {type(error).__name__}: {told}") from error


def unheard() -> None:
    """Nobody is told of a step."""


class Problem:
    """The summed nll over one flat vector of parameters, and its derivatives.

    x (n, …), y (n,) float64 or classes, weights (n,) or None, offset (n,), added to the first raw output, or None.
    Parameters that do not require a gradient stay as they are. `stepped` is called at every step of a descent.
    Raises ConfigError for a model that is not float64, has nothing to estimate, cannot be copied or called on x, or gives
    other than the raw outputs that the likelihood reads; DataError for rows that do not fit.
    """

    def __init__(
        self,
        family: Family,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        weights: Tensor | None,
        offset: Tensor | None = None,
    ) -> None:
        _check_weights(model)
        _check_double(model, x)
        with _of_the_model("copying it (copy.deepcopy)"):
            copied = copy.deepcopy(model).eval()
        self.network = FlatModel(copied, family.likelihood.baseline)
        self.x, self.family, self.normal, self.offset = x, family, family.likelihood.squares, offset
        self.counts = None if weights is None else weights.to(torch.float64)
        self.weights = torch.ones(len(x), dtype=torch.float64) if self.counts is None else self.counts
        self.stepped: Callable[[], None] = unheard
        first = self._asked()
        self.low = first.dtype != torch.float64
        if family.space.labels and not family.space.classes and first.ndim == 2:
            self.family = family.over(TargetSpace("classes", first.shape[1]))
        classes = y.dtype == torch.int64 and (self.output(self.flat).ndim == 2 or self.family.space.labels)
        self.y = y if classes else y.to(torch.float64)
        self._check_rows()

    @property
    def flat(self) -> Tensor:
        """The model's own parameters (p,)."""
        return self.network.flat

    def _check_rows(self) -> None:
        x, y, weights = self.x, self.y, self.weights
        fits = len(x) == len(y) == len(weights) and self._nll_shape() == x.shape[:1]
        if not fits or not bool(torch.isfinite(x).all() and torch.isfinite(y).all() and (weights >= 0).all()):
            raise DataError(
                "fit_model: x (n, …), y and weights (n,) must be finite, weights not negative, and give an nll (n,); found"
                f" x {tuple(x.shape)}, y {tuple(y.shape)}, weights {tuple(weights.shape)}"
            )

    def _asked(self) -> Tensor:
        """The raw output at the first weights, once it is certain that it is one."""
        told = f"called on x {tuple(self.x.shape)} it"
        with torch.no_grad(), _of_the_model(told):
            first, again = (self.network.output(self.flat, self.x.clone()) for _ in range(2))
        if not isinstance(first, Tensor):
            raise ConfigError(
                f"model: {told} gave a {type(first).__name__}, not a tensor of raw outputs; return the tensor"
            )
        if not first.is_floating_point():
            raise ConfigError(f"model: {told} gave {first.dtype}; raw outputs are real numbers")
        columns = self._columns()
        fits = first.shape[:1] == self.x.shape[:1] and (
            first.ndim in (1, 2)
            if columns is None
            else tuple(first.shape[1:]) in (((), (1,)) if columns == 1 else ((columns,),))
        )
        if not fits:
            rows = len(self.x)
            wanted = f"({rows},) or ({rows}, 1)" if columns in (1, None) else f"({rows}, {columns})"
            raise ConfigError(f"model: {told} gave raw outputs {tuple(first.shape)}; {self.family.name} reads {wanted}")
        if not torch.equal(first.nan_to_num(), again.nan_to_num()):
            raise ConfigError(
                "model: in evaluation mode it gives other outputs for the same rows a second time, by chance or because it"
                " counts its calls; an estimate needs a function"
            )
        return first

    def _columns(self) -> int | None:
        """Raw outputs per row that the likelihood reads; None where that is not known."""
        space = self.family.space
        if not self.family.name or (space.labels and not space.classes):
            return None
        return self.family.outputs + self.family.likelihood.baseline  # which reads class 0 as well

    def _nll_shape(self) -> torch.Size:
        try:
            return self.rows(self.flat).shape
        except (RuntimeError, IndexError, ValueError):  # x, y and weights of different lengths
            return torch.Size()

    def at(self, family: Family) -> "Problem":
        """The same with another value of the likelihood's number."""
        other = copy.copy(self)
        other.family = family
        return other

    def squared(self) -> "Problem":
        """The same rows and model under least squares; of one raw output per row."""
        other = copy.copy(self)
        other.family, other.normal = family_of(Normal()), True
        return other

    def bare(self) -> "Problem":
        """The same without the offset: the model's own raw outputs."""
        other = copy.copy(self)
        other.offset = None
        return other

    @cached_property
    def design(self) -> Design:
        """Targets and weights in the form that the linear estimate has them, without a column."""
        empty = torch.empty(len(self.y), 0, dtype=torch.float64)
        return Design(empty, self.y, self.counts, False, empty.new_zeros(0), (), offset=self.offset)

    @property
    def nobs(self) -> float:
        """Σ of the weights."""
        return float(self.weights.sum())

    def starts(self, count: int, seed: int) -> Iterator[Tensor]:
        """The model's own weights, then displacements of them by the size of each weight tensor."""
        yield self.flat
        for k in range(1, count):
            yield self.moved(seed, k)

    def moved(self, seed: int, k: int) -> Tensor:
        """The k-th displacement of the model's own weights."""
        spread = torch.cat([part.square().mean().sqrt().expand(part.numel()) for part in self.network.parts.values()])
        spread = torch.where(spread > 0, spread, 1)
        noise = torch.randn(len(self.flat), generator=generator(seed, "weights", k), dtype=torch.float64)
        return self.flat + 0.5 * spread * noise

    def output(self, theta: Tensor) -> Tensor:
        """Raw outputs (n,) or (n, K) of the rows."""
        out = self.network.output(theta, self.x.clone())
        out = out.squeeze(1) if out.ndim == 2 and out.shape[1] == 1 else out
        return self._moved_up(out[:, None])[:, 0] if out.ndim == 1 else self._moved_up(out)

    def free(self, theta: Tensor, x: Tensor | None = None) -> Tensor:
        """Free raw outputs (n, m) of the rows, or the model's own of other rows x: of classes relative to class 0."""
        if x is not None:
            return self.network.free(theta, x.clone())
        return self._moved_up(self.network.free(theta, self.x.clone()))

    def _moved_up(self, output: Tensor) -> Tensor:
        """Raw outputs (n, m) with the offset added to the first."""
        if self.offset is None:
            return output
        return torch.cat([output[:, :1] + self.offset[:, None].to(output.dtype), output[:, 1:]], dim=1)

    def rows(self, theta: Tensor) -> Tensor:
        """What is minimised, per row: weighted nll; for a Normal half the squared residual, whose minimum is the same."""
        output = self.output(theta)
        nll = 0.5 * (self.y - output) ** 2 if self.normal else self.family.likelihood.nll(output, self.y)
        return self.weights * nll

    def value(self, theta: Tensor) -> float:
        """The sum of the rows; inf where it is not finite."""
        with torch.no_grad():
            value = float(self.rows(theta).sum())
        return value if math.isfinite(value) else math.inf

    def rounding(self, theta: Tensor) -> float:
        """How far off float64 may have the value: four roundings of each row's nll, and of a normal's raw outputs and targets."""
        with torch.no_grad():
            summed = float(self.rows(theta).abs().sum())
            if self.normal:  # a residual has the rounding of what it is the difference of
                output = self.output(theta)
                moved = (self.y - output) * torch.maximum(self.y.abs(), output.abs())
                summed += float((self.weights * moved.abs()).sum())
        return 4 * EPS * summed

    def slopes(self, theta: Tensor) -> Tensor:
        """(n, p): the gradient of every row."""
        return _jacobian(self.rows, theta, len(self.y))

    def hessian(self, theta: Tensor) -> Tensor:
        """(p, p) of the sum of the rows."""

        def total(at: Tensor) -> Tensor:
            return self.rows(at).sum()

        with _of_the_model("taking its second derivatives"):
            found: Tensor = jacrev(grad(total))(theta)
        return found.detach()

    def jacobian(self, theta: Tensor, free: bool = True) -> Tensor:
        """(n, m, p) of the free raw outputs, or of the raw ones."""
        function = self.free if free else self.output
        return _jacobian(function, theta, function(theta).numel()).reshape(len(self.y), -1, len(theta))


def jacobian_of(function: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
    """Derivatives (*output, p) of a function of the parameters (p,) of a model."""
    with torch.no_grad():
        size = function(theta).numel()
    return _jacobian(function, theta, size)


def _jacobian(function: Callable[[Tensor], Tensor], theta: Tensor, size: int) -> Tensor:
    with _of_the_model("taking its derivatives"):
        found: Tensor = (
            _by_parameter(function, theta) if size > max(FEW_OUTPUTS, 2 * len(theta)) else jacrev(function)(theta)
        )
    return found.detach()


def _by_parameter(function: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
    """The Jacobian in as many backward passes as there are parameters: the derivative of u ↦ Jᵀu, which is linear."""
    taken = vjp(function, theta)
    output, pull = taken[0], taken[1]
    by_parameter: Tensor = jacrev(lambda u: pull(u)[0])(torch.zeros_like(output))  # (p, *output)
    return by_parameter.movedim(0, -1)
