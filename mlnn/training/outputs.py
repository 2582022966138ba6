"""A model's raw outputs inside somebody's own step: told as they pass, or put somewhere else on their way to the loss."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.data.nested import replaced
from mlnn.seeding import generator

NAME = "logits"
"""An answer that has an entry or attribute of this name beside others has its raw outputs there."""


@dataclass(frozen=True)
class Place:
    """Where raw outputs f are put: scale·f + moved + drawn·(a fixed draw from N(0, 1)); `name`: in words.

    The draw is one per entry of the last axis, the same for all rows: a side may ask its model in one call or in several.
    """

    name: str
    scale: float = 1.0
    moved: float = 0.0
    drawn: float = 0.0

    def put(self, output: Tensor) -> Tensor:
        """Raw outputs put there; the gradient goes on to the model as it comes, so that a scale of 0 does not hide it."""
        there = self.scale * output.detach() + self.moved
        if self.drawn:
            size = output.shape[1:][-1:]
            draws = generator(0, "places", str(tuple(size)))
            there = there + self.drawn * torch.randn(size, generator=draws, dtype=torch.float64).to(output)
        return there + (output - output.detach())


@dataclass
class Told:
    """The raw outputs that a model gave while it was watched: `outputs`, one a call, detached; `largest` in size."""

    place: Place | None = None
    outputs: list[Tensor] = field(default_factory=list)
    largest: float = 0.0

    def see(self, _module: nn.Module, _inputs: Any, answer: Any) -> Any:
        """A forward hook."""
        if self.place is None:
            _on_raw_outputs(answer, self._tell)
            return None
        return _on_raw_outputs(answer, self._put)

    def _put(self, output: Tensor) -> Tensor:
        assert self.place is not None
        return self._tell(self.place.put(output))

    def _tell(self, output: Tensor) -> Tensor:
        seen = output.detach()
        self.outputs.append(seen)
        if seen.numel():
            self.largest = max(self.largest, float(seen.abs().max()))
        return output

    def as_rows(self, count: int) -> Tensor:
        """The raw outputs of `count` rows, (n,) or (n, …): of micro-batches one after the other, several heads or views side by
        side, (n, all their entries); (0,) where the calls gave something else.
        """
        seen = self.outputs
        if len(seen) > 1 and all(one.ndim and len(one) == count for one in seen):
            return torch.cat([one.reshape(count, -1) for one in seen], 1)
        if not seen or any(not one.ndim or one.shape[1:] != seen[0].shape[1:] for one in seen):
            return torch.empty(0)
        output = torch.cat(seen)
        if len(output) != count:
            return torch.empty(0)
        return output.squeeze(1) if output.ndim == 2 and output.shape[1] == 1 else output


@contextmanager
def watched(module: nn.Module, place: Place | None = None) -> Iterator[Told]:
    """Watch what a module answers when it is called as a whole, and put its raw outputs elsewhere if a place is given."""
    told = Told(place)
    handle = module.register_forward_hook(told.see)
    try:
        yield told
    finally:
        handle.remove()


def _on_raw_outputs(answer: Any, change: Any) -> Any:
    """An answer with its raw outputs changed: `logits` of what has them, else every tensor of real numbers."""
    if isinstance(answer, Mapping) and NAME in answer:
        new: Any = copy.copy(answer)
        new[NAME] = change(answer[NAME])
        return new
    if not isinstance(answer, Tensor | Mapping) and isinstance(getattr(answer, NAME, None), Tensor):
        if hasattr(answer, "_replace"):
            return answer._replace(logits=change(answer.logits))
        new = copy.copy(answer)
        if dataclasses.is_dataclass(new) or hasattr(new, "__dict__"):
            object.__setattr__(new, NAME, change(answer.logits))
        return new
    # One number is no raw output: it is the loss of a model that makes its own.
    return replaced(answer, lambda tensor: change(tensor) if tensor.is_floating_point() and tensor.ndim else tensor)
