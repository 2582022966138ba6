"""A loss as somebody wrote it, taken in: given copies of what it may write into, and held to an answer that can be read."""

import copy
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.errors import ConfigError, unknown
from mlnn.objectives import Objective
from mlnn.targets import SPACES, TargetSpace

MOST_CLASSES = 1000
"""More take gigabytes and minutes, and a formula that is the same for any number of classes can be audited with fewer."""
LONGEST = 40
"""No name of a target space has more letters."""
PRECISIONS = {
    torch.float64: "float64", torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"
}  # fmt: skip


class Guarded(Objective):
    """An objective whose callable may write into its arguments: it is asked with copies, and its answer is checked."""

    def rows(self, output: Tensor, target: Tensor, **extras: Tensor) -> Tensor:
        """As `Objective.rows`; raises ConfigError also for an answer that is not where the output is."""
        value = super().rows(output, target, **extras)
        if value.device != output.device:
            raise ConfigError(
                f"loss '{self.name}' returned a tensor on {value.device}; one on {output.device}, where its output and target"
                " are, is needed"
            )
        return value


def guarded(loss: Any, space: TargetSpace, outputs: str, name: str | None) -> Guarded:
    """A copy of a loss (what it keeps of its calls is not the caller's), as an objective. Raises as `Objective.of`."""
    if outputs not in ("raw", "probabilities"):
        raise ConfigError("outputs: " + unknown("kind of outputs", str(outputs), ("raw", "probabilities")))
    if isinstance(loss, nn.Module):
        weights = [key for key, weight in loss.named_parameters() if weight.requires_grad]
        if weights:
            raise ConfigError(
                f"loss {type(loss).__name__} has weights of its own ({', '.join(weights[:4])}), and is another loss for each of"
                " their values; freeze them (requires_grad_(False)) to audit it as it stands"
            )
    try:
        own = copy.deepcopy(loss)
    except Exception:  # it holds what cannot be copied: then it is asked itself
        own = loss
    made = Objective.of(own, space, outputs, None if name is None else str(name))
    if isinstance(loss, Objective):  # it has a space of its own
        made = replace(made, targets=target_space(made.targets))
    return Guarded(**{part.name: getattr(made, part.name) for part in fields(made)})


def target_space(targets: Any) -> TargetSpace:
    """The target space that was asked for; raises ConfigError for another, or one of too many classes to be looked at."""
    text = str(targets)
    if len(text) > LONGEST:
        raise ConfigError("targets: " + unknown("target space", f"{text[:LONGEST]}…", SPACES))
    space = TargetSpace.parse(targets)
    if space.kind in SPACES and space.facts.event is not None:
        raise ConfigError(
            f"targets: a target of '{space}' is {space.facts.event} numbers, and an audit looks at losses of one; audit what the"
            " loss makes of one of them, or of its class"
        )
    space = replace(space, ignore=None, axis=None)  # an audit looks at one position, which counts
    count = space.classes
    if count is None and callable(SPACES[space.kind]):
        raise ConfigError(
            f"targets: {space!r} is no target space; give one of {', '.join(SPACES)}, classes as classes(K)"
        )
    if count is not None and count > MOST_CLASSES:
        raise ConfigError(
            f"targets: '{space}' has more classes than the {MOST_CLASSES} that an audit looks at; a formula that is the same"
            " for any number of classes can be audited with fewer, such as classes(10)"
        )
    return space


def floating(dtype: Any) -> torch.dtype:
    """The precision that was asked for, as a dtype or by name; raises ConfigError for any but PRECISIONS."""
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or found not in PRECISIONS:
        name = str(dtype)[:40].removeprefix("torch.")
        raise ConfigError("dtype: " + unknown("floating dtype", name, PRECISIONS.values()))
    return found


def unreadable(x: Tensor) -> str | None:
    """What kind of tensor it is, if it is none of plain real numbers in memory: sparse, quantized, nested, meta, complex."""
    if x.is_nested or x.is_quantized or x.is_meta or x.is_complex():
        return "nested" if x.is_nested else "quantized" if x.is_quantized else "meta" if x.is_meta else "complex"
    return None if x.layout == torch.strided else str(x.layout).removeprefix("torch.")
