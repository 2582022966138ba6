"""Which row of a batch makes an answer that is not finite: asked within its batch, since a loss may couple the rows."""

from collections.abc import Callable

import torch
from torch import Tensor


def first_row(answers: Callable[[Tensor], bool], output: Tensor) -> int | None:
    """The place of a row at which the answer turns: finite with it and all after it replaced, not finite with it in place.

    answers: whether loss and gradient are finite at raw outputs (n, …). The others stay where they are and are replaced by
    ordinary ones; for a loss that adds up over rows this is the first row at fault. None where ordinary outputs in all rows
    give no finite answer either: then no row can be told from the others.
    """
    # No two rows alike: a loss over pairs may divide by their distance.
    draws = torch.randn(output.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(output)
    ordinary = next((one for one in (draws, 0.01 * draws, draws.abs(), -draws.abs()) if answers(one)), None)
    if ordinary is None:
        return None

    def finite(rows: int) -> bool:
        return answers(torch.cat([output[:rows], ordinary[rows:]]))

    low, high = 0, len(output)  # finite with `low` rows in place, not finite with `high`
    if finite(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if finite(middle) else (low, middle)
    return low
