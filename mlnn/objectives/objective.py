"""What an objective is to the rest of mlnn: any callable, given a name, and reduced in one place."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.arguments import shown
from mlnn.errors import ConfigError, unknown
from mlnn.signature import raw_outputs, spaces
from mlnn.targets import SPACES, TargetSpace

LINKS: dict[str, Callable[[Tensor], Tensor]] = {kind: TargetSpace(kind).link for kind in SPACES}
"""The link of every target space, by its name; mlnn itself asks the space."""


@dataclass(frozen=True, repr=False)
class Objective:
    """A callable (output, target) → (n,) or scalar, with what is needed to call it.

    `outputs`: "raw", or "probabilities" for a callable that takes σ(z), softmax(z), … (then the link of the target space
    is applied first). `targets`: the target space, with the raw outputs per row that the callable's signature asks for.
    """

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    outputs: str = "raw"
    targets: TargetSpace = field(default_factory=lambda: TargetSpace("binary"))

    @classmethod
    def of(cls, given: Any, targets: TargetSpace, outputs: str = "raw", name: str | None = None) -> "Objective":
        """Wrap a function, an `nn.Module` loss, or a likelihood (anything with `.nll`).

        Raises ConfigError for anything else, and for targets that the callable's signature does not take.
        """
        if isinstance(given, cls):
            return given
        if outputs not in ("raw", "probabilities"):
            raise ConfigError("outputs: " + unknown("kind of outputs", outputs, ("raw", "probabilities")))
        if isinstance(given, type):
            raise ConfigError(f"objective: {given.__name__} is a class; give an instance, {given.__name__}()")
        if isinstance(given, nn.Module) and any(weight.requires_grad for weight in given.parameters()):
            raise ConfigError(
                f"objective {type(given).__name__} has weights of its own, which no lane would train; freeze them"
            )
        function = getattr(given, "nll", given)
        if not callable(function):
            raise ConfigError(
                f"objective: {shown(given)} is neither callable nor a likelihood with .nll(output, target)"
            )
        inner = getattr(given, "func", given)  # a functools.partial carries its function
        own = getattr(inner, "__name__", None) or type(inner).__name__
        takes = spaces(function)
        if takes is not None and targets.kind not in takes:
            raise ConfigError(
                f"objective '{name or own}': takes {' or '.join(takes)} targets, but the data's are '{targets}';"
                " choose other data or another objective"
            )
        return cls(name or own, function, outputs, replace(targets, raw=raw_outputs(function)))

    @property
    def rowwise(self) -> bool:
        """Whether it can be asked for rows of raw outputs: always; a `Step` cannot."""
        return True

    def __repr__(self) -> str:
        return f"Objective({self.name!r}, {self.outputs} outputs, targets {self.targets})"

    def rows(self, output: Tensor, target: Tensor) -> Tensor:
        """The callable's own answer, (n,) or scalar; raises ConfigError for any other shape, or what is no real number.

        It is given copies: one that writes into its output or its targets changes its own and nobody else's.
        """
        output, target = output.clone(), target.clone()
        linked = self.targets.link(output) if self.outputs == "probabilities" else output
        value = _at_dtype(self.function, output.dtype)(linked, target)
        if not isinstance(value, Tensor):
            raise ConfigError(
                f"objective '{self.name}' returned {type(value).__name__}, not a tensor; a value made with .item(), float()"
                " or numpy has no gradient to train with"
            )
        if not value.is_floating_point() or value.layout != torch.strided or value.is_nested:
            odd = value.layout != torch.strided or value.is_nested
            kind = "sparse or nested" if odd else str(value.dtype).removeprefix("torch.")
            raise ConfigError(
                f"objective '{self.name}' returned {kind} numbers; real, dense, floating-point ones are needed"
            )
        if value.ndim and value.shape != output.shape[:1]:
            raise ConfigError(
                f"objective '{self.name}' returned shape {tuple(value.shape)} for output {tuple(output.shape)} and target"
                f" {tuple(target.shape)}; one value per row ({len(output)},) or a scalar is expected (did it broadcast?)"
            )
        return value

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The objective of a batch, a scalar: the mean over rows. The only place where rows are reduced.

        NaN where a raw output is not finite: a training that has diverged has no loss, and some losses raise instead.
        """
        if not bool(torch.isfinite(output).all()):
            return (output * torch.nan).sum()
        value = self.rows(output, target)
        return value.mean() if value.ndim else value


def _at_dtype(function: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss module with buffers (class weights) in the dtype of the raw output; anything else as it is."""
    if not isinstance(function, nn.Module):
        return function
    if all(part.dtype == dtype for part in [*function.buffers(), *function.parameters()] if part.is_floating_point()):
        return function
    return copy.deepcopy(function).to(dtype)
