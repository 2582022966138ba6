"""A whole training step as the thing to compare: `fn(model, batch) → loss`, for losses that raw outputs alone do not give."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mlnn.arguments import called
from mlnn.errors import ConfigError


@dataclass(frozen=True, repr=False)
class Step:
    """`fn(model, batch)` → the loss of a batch, a scalar tensor with a gradient to the model's weights.

    For a loss that owns weights (a projection fused with its cross-entropy), has several heads, a term of the model (the KL
    of a VAE), couples rows (contrastive), or is computed inside `model.forward`. `batch`: (x, y) or (x, y, extras) of a data
    set, else what the loader gave, floats in the lane's precision; a copy, that fn may write into. fn neither calls backward
    nor changes weights nor keeps state: a step of that kind is a `LaneRecipe(update=…)`. Raises ConfigError for what cannot
    be called.
    """

    function: Callable[..., Any]
    name: str = ""

    def __init__(self, fn: Callable[..., Any], name: str | None = None) -> None:
        called("step", fn, "a function (model, batch) → loss")
        object.__setattr__(self, "function", fn)
        object.__setattr__(self, "name", name or named(fn))

    @property
    def rowwise(self) -> bool:
        """Whether it can be asked for rows of raw outputs: never, it wants a model and a batch."""
        return False

    def __repr__(self) -> str:
        return f"Step({self.name!r})"

    def __call__(self, model: nn.Module, batch: Any) -> Tensor:
        """The loss of a batch; raises ConfigError where fn returns anything but one real number with a gradient."""
        value = self.function(model, batch)
        if not isinstance(value, Tensor):
            raise ConfigError(
                f"step '{self.name}' returned {type(value).__name__}, not a tensor; return the loss alone, without .item()"
            )
        if value.ndim or not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise ConfigError(
                f"step '{self.name}' returned {kind} of shape {tuple(value.shape)}; one real number is needed, e.g. loss.mean()"
            )
        return value


def named(function: Any) -> str:
    """What a callable is called: its own name, that of what a partial holds, or its class."""
    inner = getattr(function, "func", function)
    return getattr(inner, "__name__", None) or type(inner).__name__
