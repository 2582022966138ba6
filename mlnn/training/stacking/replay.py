"""A function of tensors recorded once as the operations it came down to, and played again without Python's way there.

A recording holds for the shapes it was made with, and for a function that does the same at every call: what it decides in
Python is decided once. See `mlnn.training.stacking.making` for who may be recorded.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

Function = Callable[[Sequence[Tensor]], Sequence[Tensor]]
IDLE = ("aten.detach.default", "aten.alias.default")
RESHAPES = ("aten.view.default", "aten._unsafe_view.default", "aten.expand.default", "aten.reshape.default")
OF_A_SHAPE = ("aten.zeros_like.default", "aten.ones_like.default", "aten.new_zeros.default", "aten.new_ones.default")
"""What depends on no more than the shape of what it is given."""


@dataclass(frozen=True)
class Recording:
    """A function recorded for inputs of some shapes; `draws`: whether it draws random numbers."""

    play: Function
    draws: bool


def recorded(function: Function, inputs: Sequence[Tensor]) -> Recording:
    """The operations of `function(inputs)`, which is called on copies; what it raises is raised.

    What does nothing, or the same at every call, is left out or done once, and torch's own bindings, where they take the same
    arguments, cost half of what dispatching by name does; the result is held to the bits of the operations as they were recorded.
    """
    from torch.fx.experimental.proxy_tensor import make_fx  # 0.8 s to import, for those alone who record

    traced = make_fx(lambda *parts: tuple(function(parts)))(*_copies(inputs))
    as_it_was = _played(traced.graph, {}, bind=False)
    _drop_idle(traced.graph)
    shortened = _played(traced.graph, _constants(traced, inputs), bind=True)
    play = shortened if _same(as_it_was, shortened, inputs) else as_it_was
    draws = any(map(_draws, traced.graph.nodes))
    return Recording(play, draws)


def _draws(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _writes(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _copies(parts: Sequence[Tensor]) -> list[Tensor]:
    """Of the same strides too: whether a shape is a view of another depends on them."""
    return [part.clone() if 0 in part.stride() else _room(part).copy_(part) for part in parts]


def _room(part: Tensor) -> Tensor:
    return torch.empty_strided(part.shape, part.stride(), dtype=part.dtype, device=part.device)


def _drop_idle(graph: fx.Graph) -> None:
    """Take out what changes nothing (a tensor detached, or given the shape that it has) and what nobody uses."""
    for node in list(graph.nodes):
        name = str(node.target)
        same_axes = name == "aten.permute.default" and list(node.args[1]) == list(range(len(node.args[1])))
        if name in IDLE or same_axes or (name in RESHAPES and _shape(node) == _shape(node.args[0]) is not None):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op == "call_function" and not (_writes(node) or _draws(node)):
            graph.erase_node(node)


def _constants(traced: fx.GraphModule, inputs: Sequence[Tensor]) -> Mapping[fx.Node, Tensor]:
    """Values that are the same at every call: they come of no input, nothing is written into them, and they are not returned."""
    nodes, fixed, shared = traced.graph.nodes, set[fx.Node](), set[fx.Node]()
    for node in nodes:
        known = str(node.target) in OF_A_SHAPE or all(used in fixed for used in node.all_input_nodes)
        if node.op == "call_function" and known and not (_writes(node) or _draws(node)):
            fixed.add(node)
    for node in reversed(list(nodes)):  # what a value shares memory with is among what it was made of
        if _writes(node) or node.op == "output" or node in shared:
            shared |= fixed.intersection(node.all_input_nodes)
    fixed -= shared
    for node in nodes:
        if node in fixed and str(node.target) not in OF_A_SHAPE and not fixed.issuperset(node.all_input_nodes):
            fixed.discard(node)
    return _values(traced, fixed, inputs) if fixed else {}


def _values(traced: fx.GraphModule, wanted: Collection[fx.Node], inputs: Sequence[Tensor]) -> Mapping[fx.Node, Tensor]:
    found: dict[fx.Node, Tensor] = {}

    class Seeing(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if n in wanted:
                found[n] = value
            return value

    with torch.no_grad():
        Seeing(traced).run(*_copies(inputs))
    return found


def _shape(node: Any) -> tuple[int, ...] | None:
    meta = node.meta.get("tensor_meta") if isinstance(node, fx.Node) else None
    return None if meta is None else tuple(meta.shape)


def _played(graph: fx.Graph, constants: Mapping[fx.Node, Tensor], bind: bool) -> Function:
    """A graph as one Python function of a line per operation; what is used no more is let go."""
    known: dict[str, Any] = {}
    nodes = [node for node in graph.nodes if node not in constants]
    names = {node: f"t{place}" for place, node in enumerate(nodes)}
    last = {used: node for node in nodes for used in node.all_input_nodes if used in names}
    kept = {node: _kept(value, known) for node, value in constants.items()}
    lines, given = [], []

    def told(value: Any) -> str:
        if isinstance(value, fx.Node):
            return names.get(value) or kept[value]
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(told, value)) + "]"
        if value is None or isinstance(value, bool | int):
            return repr(value)
        return _kept(value, known)

    for node in nodes:
        if node.op == "placeholder":
            given.append(names[node])
        elif node.op == "get_attr":
            lines.append(f"{names[node]} = {_kept(getattr(graph.owning_module, node.target), known)}")
        elif node.op == "output":
            lines.append(f"return {told(node.args[0])}")
        else:
            call = _kept(_binding(node.target) if bind else node.target, known)
            named = [f"{name}={told(value)}" for name, value in node.kwargs.items()]
            lines.append(f"{names[node]} = {call}({', '.join([*map(told, node.args), *named])})")
            done = [names[used] for used in node.all_input_nodes if last.get(used) is node]
            done += [] if node in last else [names[node]]
            if done:
                lines.append(f"del {', '.join(done)}")
    source = f"def play(parts):\n    {''.join(f'{name}, ' for name in given)}= parts\n    " + "\n    ".join(lines)
    exec(compile(source, "<recording>", "exec"), known)
    return _without_gradients(known["play"])


def _kept(value: Any, known: dict[str, Any]) -> str:
    """The name under which the function finds a value."""
    name = f"k{len(known)}"
    known[name] = value
    return name


def _binding(operation: Any) -> Any:
    """torch's own function or method for an operation; the operation where there is none of its name."""
    name = getattr(getattr(operation, "overloadpacket", None), "__name__", None)
    if name is None or name.startswith("_") or operation.namespace != "aten":
        return operation
    return getattr(torch, name, None) or getattr(Tensor, name, None) or operation


def _without_gradients(play: Function) -> Function:
    def quietly(parts: Sequence[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            return play(parts)

    return quietly


def _same(one: Function, two: Function, inputs: Sequence[Tensor]) -> bool:
    """Whether two ways to play a recording leave the same bits, in what they return and in what they are given."""
    found: list[list[Tensor]] = []
    for play in (one, two):
        parts = _copies(inputs)
        with torch.random.fork_rng([part.device for part in inputs[:1] if part.is_cuda]):
            try:
                found.append([*play(parts), *parts])
            except (TypeError, RuntimeError, ValueError):  # a binding with other arguments
                return False
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(*found, strict=True))
