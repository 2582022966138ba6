"""A function of tensors recorded once as the operations it came down to, and played again without Python's way there.

A recording holds for the shapes it was made with, and for a function that does the same at every call: what it decides in
Python is decided once. See `mlnn.training.stacking.making` for who may be recorded.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

Function = Callable[[Sequence[Tensor]], Sequence[Tensor]]
IDLE = ("aten.detach.default", "aten.alias.default")
RESHAPES = ("aten.view.default", "aten._unsafe_view.default", "aten.expand.default", "aten.reshape.default")


def recorded(function: Function, inputs: Sequence[Tensor]) -> Function:
    """The operations of `function(inputs)`, which is called on copies; what it raises is raised.

    Played with torch's own bindings where they take the same arguments, which cost half of what dispatching by name does; the two
    ways are held to the same bits first.
    """
    from torch.fx.experimental.proxy_tensor import make_fx  # 0.8 s to import, for those alone who record

    graph = make_fx(lambda *parts: tuple(function(parts)))(*_copies(inputs)).graph
    _drop_idle(graph)
    by_name, bound = _played(graph, bind=False), _played(graph, bind=True)
    return bound if _same(by_name, bound, inputs) else by_name


def _copies(parts: Sequence[Tensor]) -> list[Tensor]:
    """Of the same strides too: whether a shape is a view of another depends on them."""
    return [part.clone() if 0 in part.stride() else _room(part).copy_(part) for part in parts]


def _room(part: Tensor) -> Tensor:
    return torch.empty_strided(part.shape, part.stride(), dtype=part.dtype, device=part.device)


def _drop_idle(graph: fx.Graph) -> None:
    """Take out what changes nothing: a tensor detached, or given the shape that it has."""
    for node in list(graph.nodes):
        name = str(node.target)
        if name in IDLE or (name in RESHAPES and _shape(node) == _shape(node.args[0]) is not None):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def _shape(node: Any) -> tuple[int, ...] | None:
    meta = node.meta.get("tensor_meta") if isinstance(node, fx.Node) else None
    return None if meta is None else tuple(meta.shape)


def _played(graph: fx.Graph, bind: bool) -> Function:
    """A graph as one Python function of a line per operation; what is used no more is let go."""
    known: dict[str, Any] = {}
    names = {node: f"t{place}" for place, node in enumerate(graph.nodes)}
    last = {used: node for node in graph.nodes for used in node.all_input_nodes}
    lines, given = [], []

    def told(value: Any) -> str:
        if isinstance(value, fx.Node):
            return names[value]
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(told, value)) + "]"
        if value is None or isinstance(value, bool | int):
            return repr(value)
        return _kept(value, known)

    for node in graph.nodes:
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
            done = [names[used] for used in node.all_input_nodes if last[used] is node] + (
                [] if node in last else [names[node]]
            )
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
        parts, state = _copies(inputs), torch.get_rng_state()
        try:
            found.append([*play(parts), *parts])
        except (TypeError, RuntimeError, ValueError):  # a binding with other arguments
            return False
        finally:
            torch.set_rng_state(state)
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(*found, strict=True))
