"""Training rows that stood somewhere: how many of them, and the first step that one did."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Standing:
    """Of places by their number: the rows that stood there, and the first step with one. What nobody asked about is in neither."""

    rows: dict[int, int] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)

    def see(self, step: int, masks: Iterable[Tensor]) -> None:
        """Take in a step's rows, a mask (n,) of them for each place."""
        for place, mask in enumerate(masks):
            rows = int(mask.sum())
            self.rows[place] = self.rows.get(place, 0) + rows
            if rows:
                self.first.setdefault(place, step)
