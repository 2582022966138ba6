"""A recording on a GPU as one captured graph: its kernels are launched in one go, from inputs that are copied to where it reads."""

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

Function = Callable[[Sequence[Tensor]], Sequence[Tensor]]
WARM = 3
"""Calls before a capture, in which libraries choose their kernels and take their workspaces."""


def captured(play: Function, inputs: Sequence[Tensor], written: Collection[int]) -> Function | None:
    """`play` for inputs of these shapes as a captured graph; None where it waits for the GPU, or does not give the same bits.

    written: the places of inputs that it writes into. What it returns is a copy, which the next call leaves as it is.
    """
    held = [part.clone() for part in inputs]
    try:
        graph, returned = _capture(play, held)
    except RuntimeError:  # an operation that cannot be captured
        return None

    def replayed(parts: Sequence[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            torch._foreach_copy_(held, list(parts))
            graph.replay()
            for place in written:
                parts[place].copy_(held[place])
            return [part.clone() for part in returned]

    one, two = [part.clone() for part in inputs], [part.clone() for part in inputs]
    pairs = zip([*play(one), *one], [*replayed(two), *two], strict=True)
    return replayed if all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs) else None


def _capture(play: Function, held: Sequence[Tensor]) -> tuple[torch.cuda.CUDAGraph, Sequence[Tensor]]:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM):
            play(held)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        returned = play(held)
    return graph, returned
