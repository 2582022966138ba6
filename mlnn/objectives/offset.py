"""What a row adds to the raw output before the objective sees it: the extra `offset`, with a coefficient of 1."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mlnn.errors import ConfigError
from mlnn.targets import OFFSET, TargetSpace


def added(takes: frozenset[str] | None, extras: Mapping[str, Tensor]) -> bool:
    """Whether rows have an offset that is added for an objective: one that takes an extra of that name, or any, gets it itself."""
    return OFFSET in extras and takes is not None and OFFSET not in takes


def moved(output: Tensor, offset: Tensor, space: TargetSpace) -> Tensor:
    """Raw outputs (n, *positions[, m]) with the offset added: of their shape, or one number a position or row.

    Where a position has several raw outputs, one number is added to the first of them (the location). Raises ConfigError for
    another shape, and for classes, where one number added to all of them changes nothing.
    """
    offset = offset.to(output.dtype)
    offset = offset.squeeze(-1) if offset.shape == (*output.shape, 1) else offset  # a column, as a target's
    if offset.shape == output.shape:
        return output + offset
    several = space.outputs > 1
    whole = output.shape[:-1] if several else output.shape
    if not (offset.shape in (whole, output.shape[:1]) and not space.labels and not space.event):
        raise ConfigError(
            f"extras: an offset of shape {tuple(offset.shape)} goes with no raw output of shape {tuple(output.shape)}; give"
            f" {'one for each of them' if space.labels or space.event else 'one number a row'}, or call the extra otherwise"
        )
    offset = offset.reshape(*offset.shape, *[1] * (len(whole) - offset.ndim)).expand(whole)
    if not several:
        return output + offset
    return torch.cat([output[..., :1] + offset[..., None], output[..., 1:]], dim=-1)
