"""Fingerprints of many small tensors at once: one by one each of them would cost more in calls than in numbers.

They are laid side by side in one vector, each on words of its own, with a number for every word's place and for every entry's sign
and bucket. What comes out is what `Printer` makes of each alone, to rounding of the sketch's sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SMALL = 12_000
"""Entries of a tensor that is small; at 14,000 both ways take as long, at 1,000 one by one takes five times as long."""


@dataclass(frozen=True, eq=False)
class Part:
    """What a small tensor brings: how many entries (`size`), zeros `before` and `after` it that fill its words, `places`: what each
    word is multiplied with (w,), `signs` (size,) and `buckets` (size,) of its entries."""

    size: int
    before: int
    after: int
    places: Tensor
    signs: Tensor
    buckets: Tensor


class Together:
    """Small tensors of one dtype on one device."""

    def __init__(self, parts: Sequence[Part], dtype: torch.dtype, device: torch.device, buckets: int) -> None:
        self.dtype, self.buckets = dtype, buckets
        room = torch.zeros(max(max(part.before, part.after) for part in parts), dtype=dtype, device=device)
        self.before = [room[: part.before] for part in parts]
        self.after = [room[: part.after] for part in parts]
        self.places = torch.cat([part.places for part in parts])
        self.ends = torch.tensor([len(part.places) for part in parts], device=device).cumsum(0) - 1
        self.signs = torch.cat([_filled(part, part.signs) for part in parts])
        self.held = torch.cat([_filled(part, part.buckets) for part in parts])
        # Memory that is there already: new memory of this size takes as long as all else.
        self.laid = torch.empty(len(self.held), dtype=dtype, device=device)
        self.words, self.values = torch.empty_like(self.places), torch.empty_like(self.signs)

    def of(self, flat: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The sketch (K,) of all, norms (n,) float64 and hashes (n,) int64 of each; `flat`: one-dimensional, as many as parts."""
        torch.cat([one for three in zip(self.before, flat, self.after, strict=True) for one in three], out=self.laid)
        sums = torch.mul(self.laid.view(torch.int64), self.places, out=self.words).cumsum_(0)[self.ends]
        hashes = torch.cat([sums[:1], sums[1:] - sums[:-1]])
        values = self.values.copy_(self.laid).mul_(self.signs)
        sketch = values.new_zeros(self.buckets).index_add_(0, self.held, values)
        counted = None if self.dtype in (torch.float32, torch.float64) else torch.float32
        norms = torch.stack(torch._foreach_norm(list(flat), 2, dtype=counted)).double()
        return sketch, norms, hashes


def _filled(part: Part, entries: Tensor) -> Tensor:
    return torch.cat([entries.new_zeros(part.before), entries, entries.new_zeros(part.after)])
