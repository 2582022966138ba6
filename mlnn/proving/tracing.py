"""A loss traced to its graph: the operations that it comes down to, entry by entry, its own backward pass included.

Every tensor has a shadow, a tensor of node numbers that lies in memory as it does: views and writes in place need no rules of
their own. What the loss computes with numbers goes on as ever beside it, promoted to float64, so that what is traced is meant
in real numbers and its casts round nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from mlnn.objectives.promotion import memory_written, promoted, tensors_in
from mlnn.proving.dtypes import WRAPS, as_it_adds, truth, unlike_numbers
from mlnn.proving.exact import exact
from mlnn.proving.graph import Graph, Id
from mlnn.proving.met import unlike
from mlnn.proving.pointwise import POINTWISE
from mlnn.proving.reductions import SHAPED
from mlnn.proving.shadows import LostError, Shadows, each

COPIES = ("_to_copy", "clone", "lift_fresh_copy", "lift_fresh", "copy", "fill", "zero")
MAKERS = ("zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "scalar_tensor",
          "arange", "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "set_", "resize_",
          "_local_scalar_dense")  # fmt: skip
"""Operations whose answers hang on no more than shapes and numbers of Python's."""


EXITS = ("numpy", "__array__", "__dlpack__", "data_ptr", "tolist", "const_data_ptr", "to_dlpack")
"""Ways of a tensor's numbers out of torch's sight."""
WHOLE = ("floor", "ceil", "round", "trunc")
"""What whole numbers are left as by."""
REST = ("remainder", "fmod")
VIEWS = ("_unsafe_view", "_reshape_alias")
"""Views whose schema does not say so."""


class UntracedError(Exception):
    """A loss that is no graph, and why."""


class CoupledError(UntracedError):
    """A loss whose batch is not worth what its rows are worth alone, and why."""


class _Exits(TorchFunctionMode):
    """Refuses what would compute with the raw output where no operation is seen."""

    def __init__(self, shadows: Shadows) -> None:
        super().__init__()
        self.shadows = shadows

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(function, "__name__", "")
        for part in tensors_in(args) if name in EXITS else ():
            if self.shadows.hangs_on_output(part):
                raise UntracedError(f"the raw output leaves torch's operations ({name})")
            self.shadows.note_read(part)
        return function(*args, **(kwargs or {}))


class Tracer(TorchDispatchMode, Shadows):
    """Follows every operation, forward and backward, in a graph."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Told to skip, torch would import its compiler at the first operation."""
        return False

    def __init__(self, graph: Graph) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        Shadows.__init__(self, graph)
        self._within: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        packet = function._schema.name.removeprefix("aten::")
        given = list(tensors_in((args, tuple(kwargs.values()))))
        follows = [self.follows(part) for part in given]
        if torch.Tag.nondeterministic_seeded in function.tags and packet not in MAKERS:
            raise UntracedError(f"{packet} draws random numbers")
        before = memory_written(function, args, kwargs) if function._schema.is_mutable else set()
        shadows = None
        if any(follows) and packet not in MAKERS:
            shadows = self._shadow_of(function, packet, args, kwargs)
        elif (
            any(follows)
            and packet == "_local_scalar_dense"
            and self.hangs_on_output(given[0])
            and not self.fixed(given[0])
        ):
            raise UntracedError(
                "Python reads a number that hangs on the raw output (aten._local_scalar_dense: .item(), if)"
            )
        elif before:
            self.forget(before)
        if packet == "_local_scalar_dense":
            self.note_read(given[0])
        found = function(*args, **kwargs)
        if shadows is not None:
            for part, shadow in zip(tensors_in(found), shadows, strict=False):
                self.put(part, shadow)
        return found

    def _shadow_of(
        self, function: Any, packet: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> list[Tensor] | None:
        """The shadows of what an operation gives; None of one whose answers are views of what it is given."""
        schema = function._schema
        if packet in VIEWS or any(one.alias_info and not one.alias_info.is_write for one in schema.arguments):
            return None  # a view: the memory is the same, and so is its shadow
        named = {one.name: one.default_value for one in schema.arguments if one.has_default_value()}
        named |= dict(zip((one.name for one in schema.arguments), args, strict=False)) | dict(kwargs)
        name = packet[:-1] if packet.endswith("_") and not packet.endswith("__") else packet
        why = unlike_numbers(name, named)
        try:
            if why is not None:
                return self._opaque(why, function, args, kwargs)
            if name in COPIES:
                return [self._copied(name, named)]
            name = as_it_adds(name, named)
            if name in SHAPED:
                return SHAPED[name](self, **named)
            if name in POINTWISE or name.removesuffix("_forward") == "log_sigmoid":
                return [self.pointwise(POINTWISE[name.removesuffix("_forward")], named)]
        except LostError as lost:
            raise UntracedError(f"{packet}: {lost}") from None
        except (NotImplementedError, ValueError) as problem:
            raise UntracedError(f"{packet}: {problem}") from None
        whole = self._of_whole(name, named)
        if whole is not None:
            return [whole]
        if not any(self.hangs_on_output(part) for part in tensors_in((args, tuple(kwargs.values())))):
            return self._as_numbers(function, args, kwargs)
        return self._in_parts(function, packet, args, kwargs)

    def _in_parts(self, function: Any, packet: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
        """What an operation without a rule gives as torch itself writes it in smaller ones, those followed in turn."""
        from torch._decomp import decomposition_table  # half a second, and few losses need it

        parts = decomposition_table.get(function)
        if parts is None and function._can_decompose():
            parts = function.decompose
        if parts is None or function._schema.is_mutable or packet in self._within:
            raise UntracedError(f"{packet} has no rule on paper")
        self._within.append(packet)
        try:
            with self:
                found = parts(*args, **kwargs)
        finally:
            self._within.pop()
        return [self.shadow(part).clone() for part in tensors_in(found if isinstance(found, tuple) else (found,))]

    def _as_numbers(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor] | None:
        """What is made of targets and constants alone, by an operation without a rule: the numbers that it gave."""
        if function._schema.is_mutable:
            raise UntracedError(f"{function._schema.name} writes in place and has no rule on paper")
        for part in tensors_in((args, tuple(kwargs.values()))):
            self.note_read(part)
        given, named = tree_map(self.unrounded, (args, dict(kwargs)))
        return [self.numbers(part) for part in tensors_in(function(*given, **named))]

    def _copied(self, name: str, named: dict[str, Any]) -> Tensor:
        if name == "zero":
            return torch.full_like(self.shadow(named["self"]), self.graph.zero)
        source = named["src"] if name == "copy" else named["value"] if name == "fill" else named["self"]
        shadow = self.shadow(source) if isinstance(source, Tensor) else torch.tensor(self.graph.const(source))
        dtype = named.get("dtype") if name == "_to_copy" else named["self"].dtype if name in ("copy", "fill") else None
        numbers = isinstance(source, Tensor) and source.dtype != torch.bool
        if dtype == torch.bool and (self._is_followed(source) if numbers else not isinstance(source, Tensor)):
            shadow = each(shadow, partial(truth, self.graph))
        elif dtype is not None and not dtype.is_floating_point and numbers and self._is_cut(source, dtype):
            if self.hangs_on_output(source):
                raise LostError("a raw output cast to a whole number")
            self.note_read(source)
            return self.numbers(source.to(dtype))
        return shadow.expand(named["self"].shape).clone() if name in ("copy", "fill") else shadow.clone()

    def _is_followed(self, source: Tensor) -> bool:
        """Whether a cast to truth values is: of broken numbers of targets, masks of entries mostly, each is taken as it is."""
        return self.hangs_on_output(source) or not source.is_floating_point() or self.whole(source)

    def _of_whole(self, name: str, named: dict[str, Any]) -> Tensor | None:
        """What rounding, or a rest beside whole ones, leaves of counts; None of anything else."""
        other = named.get("other")
        by_one = name in REST and isinstance(other, int | float) and other == 1
        if not (by_one or (name in WHOLE and not named.get("decimals"))) or not self.whole(named["self"]):
            return None
        shadow = self.shadow(named["self"])
        return torch.full_like(shadow, self.graph.zero) if by_one else shadow.clone()

    def _is_cut(self, source: Tensor, dtype: torch.dtype) -> bool:
        """Whether numbers may come out of a cast to whole ones otherwise than they went in."""
        return (dtype in WRAPS and source.dtype != dtype) or (source.is_floating_point() and not self.whole(source))

    def _opaque(self, why: str, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor] | None:
        """What an operation gives that is none of real numbers: at each target what it gave."""
        if any(self.hangs_on_output(part) for part in tensors_in((args, tuple(kwargs.values())))):
            raise LostError(why)
        return self._as_numbers(function, args, kwargs)


def traced(
    call: Callable[[Tensor, Tensor], Tensor],
    output: Tensor,
    target: Tensor,
    graph: Graph,
    weights: Sequence[float] = (),
) -> tuple[list[Id], list[Id], bool]:
    """The nodes of a loss's values and of its own gradient, entry by entry, and whether the target's numbers were read as such.

    `call`: (output, target) → values; output (n[, m]) float64, target as the loss takes it. The gradient is that of the values'
    sum, each times its weight where there are `weights` (as many as values, or more). Variables: ("z", entry of output), ("y",
    entry of target). Raises UntracedError, with the operation, for a loss that is no graph, and whatever the loss raises.
    """
    tracer = Tracer(graph)
    output, target = output.clone(), target.clone()
    tracer.name(output, "z")
    tracer.name(target, "y")
    graph.targets = {
        ("y", place): exact(one) for place, one in enumerate(target.flatten().tolist()) if math.isfinite(one)
    }
    output.requires_grad_()
    with tracer, promoted(), _Exits(tracer):
        value = call(output, target)
        values = tracer.entries(value)
        if not value.requires_grad:
            return values, [graph.zero] * output.numel(), tracer.read
        above = torch.tensor(weights[: value.numel()] or [1.0] * value.numel(), dtype=value.dtype).reshape(value.shape)
        tracer.put(above, tracer.numbers(above))  # followed: its way through constants alone rounds nothing
        (gradient,) = torch.autograd.grad(value, output, above, allow_unused=True)
        none = gradient is None
        gradients = [graph.zero] * output.numel() if none else tracer.entries(gradient)
    places = graph.targets | {("z", at): Fraction(one) for at, one in enumerate(output.detach().flatten().tolist())}
    for nodes, numbers in ((values, value), (gradients, gradient)):
        apart = unlike(graph, nodes, numbers, places)
        if apart is not None:
            raise UntracedError(
                f"what it computes is not what was followed: {apart[1]:.6g}, and {apart[0]:.6g} on paper"
            )
    return values, gradients, tracer.read
