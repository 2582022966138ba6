"""Recurrent layers written out step by step: torch's own are one operation, which has no rule for many lanes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

Cell = Callable[[Tensor, Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def written_out(module: nn.Module) -> nn.Module:
    """The module with its recurrent layers replaced by written-out ones of the same weights, by the same names."""
    for name, child in list(module.named_modules()):
        if type(child) in CELLS and _plain(child):
            if not name:
                return WrittenOut(child)
            parent, _, own = name.rpartition(".")
            setattr(module.get_submodule(parent), own, WrittenOut(child))
    return module


def _plain(layer: nn.Module) -> bool:
    """Whether a layer goes one way, without dropout between layers and without projections."""
    return isinstance(layer, nn.RNNBase) and not (layer.bidirectional or layer.dropout or layer.proj_size)


class WrittenOut(nn.Module):
    """A recurrent layer (`torch.nn.RNN`, `GRU` or `LSTM`), from x (n, t, i), or (t, n, i), to all states and the last ones."""

    def __init__(self, own: nn.Module) -> None:
        super().__init__()
        assert isinstance(own, nn.RNNBase)
        for name, weight in own.named_parameters():
            self.register_parameter(name, weight)
        self.cell, self.states = CELLS[type(own)](own)
        self.layers, self.biased, self.batch_first = own.num_layers, own.bias, own.batch_first

    def forward(
        self, x: Tensor, start: Tensor | tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
        steps = x.transpose(0, 1) if self.batch_first else x
        first = (start,) if isinstance(start, Tensor) else start
        last = []
        for layer in range(self.layers):
            ahead = linear(steps, *self._weights("ih", layer))
            width = getattr(self, f"weight_hh_l{layer}").shape[-1]
            still = x.new_zeros(*steps.shape[1:-1], width)
            state = tuple(part[layer] for part in first) if first else (still,) * self.states
            seen = []
            for step in ahead.unbind(0):
                state = self.cell(step, linear(state[0], *self._weights("hh", layer)), state)
                seen.append(state[0])
            steps = torch.stack(seen)
            last.append(state)
        ends = tuple(torch.stack(parts) for parts in zip(*last, strict=True))
        return steps.transpose(0, 1) if self.batch_first else steps, ends[0] if self.states == 1 else ends

    def _weights(self, kind: str, layer: int) -> list[Tensor]:
        return [getattr(self, f"{part}_{kind}_l{layer}") for part in ("weight", "bias")[: 1 + self.biased]]


def _gru(ahead: Tensor, back: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    reset, update, new = ahead.chunk(3, -1)
    reset_back, update_back, new_back = back.chunk(3, -1)
    fresh = (new + (reset + reset_back).sigmoid() * new_back).tanh()
    return (fresh + (update + update_back).sigmoid() * (state[0] - fresh),)


def _lstm(ahead: Tensor, back: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    enter, forget, fresh, leave = (ahead + back).chunk(4, -1)
    cell = forget.sigmoid() * state[1] + enter.sigmoid() * fresh.tanh()
    return leave.sigmoid() * cell.tanh(), cell


def _tanh(ahead: Tensor, back: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:  # noqa: ARG001 - as all cells
    return ((ahead + back).tanh(),)


def _relu(ahead: Tensor, back: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:  # noqa: ARG001 - as all cells
    return ((ahead + back).relu(),)


CELLS: dict[type[nn.Module], Callable[[nn.RNNBase], tuple[Cell, int]]] = {
    nn.GRU: lambda _: (_gru, 1),
    nn.LSTM: lambda _: (_lstm, 2),
    nn.RNN: lambda own: (_relu if own.mode == "RNN_RELU" else _tanh, 1),
}
"""By kind of layer: its cell, from what comes in, what comes back and the state to the next state, and how many states it has."""
