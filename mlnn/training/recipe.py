"""What is trained: what all lanes share (`Recipe`), and what one lane is (`LaneRecipe`)."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mlnn.data import Dataset
from mlnn.errors import ConfigError, unknown
from mlnn.objectives import Objective

DTYPES: dict[str, torch.dtype] = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
}
ModelFactory = Callable[[], nn.Module]
Mapping = Callable[[dict[str, Tensor]], dict[str, Tensor]]
OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def dtype_name(dtype: torch.dtype) -> str:
    """`torch.float32` → "float32"."""
    return str(dtype).removeprefix("torch.")


def parse_dtype(dtype: "str | torch.dtype") -> torch.dtype:
    """A floating dtype mlnn trains in; raises ConfigError for any other."""
    name = dtype if isinstance(dtype, str) else dtype_name(dtype)
    if name not in DTYPES:
        raise ConfigError("dtype: " + unknown("dtype", str(name), DTYPES))
    return DTYPES[name]


def parse_device(device: "str | torch.device") -> torch.device:
    """A device that is there; raises ConfigError otherwise."""
    try:
        parsed = torch.device(device)
        torch.zeros(1, device=parsed).item()  # `meta` is a device that holds no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as problem:
        first = str(problem).splitlines()[0][:120]
        raise ConfigError(f"device: '{device}' is not available here ({first}); 'cpu' always is") from None
    return parsed


@dataclass(frozen=True)
class LaneRecipe:
    """What one lane is; left and right usually differ in the objective only.

    `accumulate`: micro-batches per step, each weighted by its share of the rows. `compile`: run through `torch.compile`.
    `autocast`: run the forward pass under `torch.autocast` in this dtype. `model`: another implementation of the model,
    whose state dict is `mapping(left's state dict)`; `mapping` may rename, reshape, permute and join entries, each used
    once, and is applied to gradients too. None: the same names and shapes. `prior` λ: a Gaussian prior on the trained
    weights, ½λ|w|² added to the loss that is stepped on; with a mean over n rows its variance is 1/(nλ).
    """

    objective: Objective
    optimizer: OptimizerFactory
    accumulate: int = 1
    compile: bool = False
    autocast: torch.dtype | None = None
    model: ModelFactory | None = None
    mapping: Mapping | None = None
    prior: float = 0.0

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise ConfigError(f"accumulate: {self.accumulate} micro-batches; at least 1 is needed")
        if not 0 <= self.prior < math.inf:
            raise ConfigError(f"prior: {self.prior}; a finite number, at least 0, is needed: it adds ½·prior·|w|²")


@dataclass(frozen=True)
class Recipe:
    """What every lane of a run shares. `batch_size` None: the full batch, in the data's own order."""

    dataset: Dataset
    model: ModelFactory
    steps: int
    batch_size: int | None
    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0

    def __post_init__(self) -> None:
        rows = len(self.dataset)
        if self.steps < 1:
            raise ConfigError(f"steps: {self.steps}; at least 1 is needed")
        if self.batch_size is not None and not 1 <= self.batch_size <= rows:
            raise ConfigError(
                f"batch_size: {self.batch_size} with {rows} training rows in '{self.dataset.name}';"
                f" choose 1 to {rows}, or null for the full batch"
            )
