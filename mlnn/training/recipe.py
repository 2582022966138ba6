"""What is trained: what all lanes share (`Recipe`), and what one lane is (`LaneRecipe`)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.arguments import called, first_line, number, shown, truth, whole
from mlnn.data import Dataset, Stream, nested
from mlnn.errors import ConfigError, unknown
from mlnn.objectives import Objective, Step
from mlnn.objectives.layout import layout_of

DTYPES: dict[str, torch.dtype] = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
}
ModelFactory = Callable[[], nn.Module]
Data = tuple[Any, Tensor, dict[str, Tensor]]
"""Inputs, targets, extras by name."""
Mapping = Callable[[dict[str, Tensor]], dict[str, Tensor]]
OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def dtype_name(dtype: torch.dtype) -> str:
    """`torch.float32` → "float32"."""
    return str(dtype).removeprefix("torch.")


def parse_dtype(dtype: "str | torch.dtype") -> torch.dtype:
    """A floating dtype mlnn trains in; raises ConfigError for any other."""
    name = dtype_name(dtype) if isinstance(dtype, torch.dtype) else dtype if isinstance(dtype, str) else shown(dtype)
    if name not in DTYPES:
        raise ConfigError("dtype: " + unknown("dtype", name, DTYPES))
    return DTYPES[name]


def _lowered(dtype: "str | torch.dtype") -> torch.dtype:
    """A dtype that `torch.autocast` computes in; of any other it warns, and does nothing."""
    found = parse_dtype(dtype)
    if found not in (torch.bfloat16, torch.float16):
        raise ConfigError(f"autocast: torch.autocast computes in bfloat16 or float16, not in {dtype_name(found)}")
    return found


def parse_device(device: "str | torch.device") -> torch.device:
    """A device that is there; raises ConfigError otherwise."""
    if not isinstance(device, str | torch.device):
        raise ConfigError(f"device: {shown(device)} is no device; 'cpu' always is")
    try:
        parsed = torch.device(device)
        torch.zeros(1, device=parsed).item()  # `meta` is a device that holds no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as problem:
        first = first_line(problem)[:120]
        raise ConfigError(f"device: '{device}' is not available here ({first}); 'cpu' always is") from None
    return parsed


@dataclass(frozen=True)
class LaneRecipe:
    """What one lane is; left and right usually differ in the objective only.

    `objective`: an `Objective`, or any loss, which `compare` and `train` wrap for the targets at hand. `optimizer`: a
    factory (params) → Optimizer, or (model) → Optimizer where its parameter is called so: groups made by name.
    `accumulate`: micro-batches per step, each weighted by its share of the rows. `compile`: run through `torch.compile`.
    `autocast`: run the forward pass under `torch.autocast` in this dtype. `model`: another implementation of the model,
    whose state dict is `mapping(left's state dict)`; `mapping` may rename, reshape, permute and join entries, each used
    once, and is applied to gradients too. None: the same names and shapes. `prior` λ: a Gaussian prior on the trained
    weights, ½λ|w|² added to the loss that is stepped on; with a mean over n rows its variance is 1/(nλ).
    `update`: for a loop that is not a plain one, `update(model, optimizer, batches) → loss`, called once a step with the
    step's micro-batches (`accumulate` many, each as a `Step`'s batch), which does all of it: zero_grad, forward, backward,
    clipping, optimizer.step, schedule, scaler, averages. What it keeps from step to step belongs in its own object, of which
    each lane has a copy, made before the first step. The gradient compared is what stands in .grad when it calls
    optimizer.step. `objective` may then be left out.
    """

    objective: Any = None
    optimizer: OptimizerFactory = None  # type: ignore[assignment]
    accumulate: int = 1
    compile: bool = False
    autocast: torch.dtype | None = None
    model: ModelFactory | None = None
    mapping: Mapping | None = None
    prior: float = 0.0
    update: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        check_optimizer(self.optimizer)
        if self.update is None and self.objective is None:
            raise ConfigError("objective: none is given; a lane needs one, or an update that computes its own loss")
        if self.update is not None:
            called("update", self.update, "a function (model, optimizer, batches) → loss")
            if self.prior or self.autocast is not None:
                raise ConfigError("update: it does all of a step itself, so prior and autocast belong inside it")
        if self.model is not None:
            check_model(self.model)
        if self.mapping is not None:
            called("mapping", self.mapping, "a function from left's state dict to this model's")
        wanted = "a finite number, at least 0, is needed: it adds ½·prior·|w|²"
        for name, value in (
            ("accumulate", whole("accumulate", self.accumulate, 1)),
            ("compile", truth("compile", self.compile)),
            ("autocast", None if self.autocast is None else _lowered(self.autocast)),
            ("prior", number("prior", self.prior, 0.0, what=wanted)),
        ):
            object.__setattr__(self, name, value)

    def wrapped(self, data: Dataset | Stream, outputs: str = "raw") -> "LaneRecipe":
        """The same lane with its loss as an `Objective` of the data's rows. ConfigError as `Objective.of` and `Objective.over`."""
        if isinstance(self.objective, Step):
            return self
        if self.objective is None and self.update is not None:  # it computes its own loss, and gives the lane its name
            return replace(self, objective=Step(self.update))
        made = Objective.of(self.objective, data.targets, outputs)
        return replace(self, objective=made.over(layout_of(data.positions, data.extras, data.some_targets)))

    @property
    def rowwise(self) -> bool:
        """Whether its loss is one of raw outputs, which can be asked row by row; a `Step` and an update of its own are not."""
        return self.update is None and not isinstance(self.objective, Step)


@dataclass(frozen=True)
class Recipe:
    """What every lane of a run shares. `batch_size` None: the full batch, in the data's own order. `tokens`: whether the model
    takes the inputs as whole numbers (an embedding does), found when it is made."""

    dataset: Dataset | Stream
    model: ModelFactory
    steps: int
    batch_size: int | None
    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0
    tokens: bool = False
    _whole: dict[torch.dtype, Data] = field(init=False, default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, Dataset | Stream):
            raise ConfigError(
                f"data: {shown(self.dataset)} is not a Dataset; make one with mlnn.data.from_arrays(x, y)"
            )
        check_model(self.model)
        rows = len(self.dataset)
        size = None if self.batch_size is None else whole("batch_size", self.batch_size)
        if size is not None and not 1 <= size <= rows:
            raise ConfigError(
                f"batch_size: {shown(size)} with {rows} training rows in '{self.dataset.name}';"
                f" choose 1 to {rows}, or null for the full batch"
            )
        for name, value in (
            ("steps", whole("steps", self.steps, 1)),
            ("batch_size", size),
            ("dtype", parse_dtype(self.dtype)),
            ("seed", whole("seed", self.seed, -(2**64), 2**64)),
        ):
            object.__setattr__(self, name, value)

    @property
    def table(self) -> Dataset:
        """The data as whole arrays; raises ConfigError where they are batches."""
        if isinstance(self.dataset, Stream):
            raise ConfigError(
                f"data: '{self.dataset.name}' are batches; a Dataset is needed: mlnn.data.from_arrays(x, y)"
            )
        return self.dataset

    def whole_data(self, dtype: torch.dtype) -> Data:
        """All training rows as a lane in a dtype takes them, (x, y, extras): rounded, and moved to the device, once."""
        if dtype not in self._whole:
            data = self.table
            y, extras = (nested.cast(part, dtype, self.device, self.dtype) for part in (data.y, dict(data.extras)))
            self._whole[dtype] = self.inputs(data.x, dtype), y, extras
        return self._whole[dtype]

    def inputs(self, x: Any, dtype: torch.dtype) -> Any:
        """Inputs as a lane in a dtype takes them, rounded to the run's own dtype first; tokens as whole numbers."""
        return x.long().to(self.device) if self.tokens else nested.cast(x, dtype, self.device, self.dtype)


def check_model(model: Any) -> None:
    """Raise ConfigError unless it is something to call for a new module; a module itself would be trained by every lane."""
    if isinstance(model, nn.Module):
        raise ConfigError(
            f"model: a {type(model).__name__} itself; give a factory, lambda: net (each lane trains a copy)"
        )
    called("model", model, "a factory: a function without arguments that returns the module")


def check_optimizer(optimizer: Any) -> None:
    """Raise ConfigError unless it is something to call with weights for a new optimiser."""
    example = "a factory, e.g. partial(torch.optim.SGD, lr=0.1)"
    if isinstance(optimizer, torch.optim.Optimizer):
        kind = type(optimizer).__name__
        raise ConfigError(f"optimizer: an {kind} with weights of its own; each lane makes one: give {example}")
    called("optimizer", optimizer, example)
