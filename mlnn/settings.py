"""From composed settings (plain data) to the things they describe. Knows nothing of how they were composed."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from mlnn.arguments import first_line
from mlnn.data import Dataset
from mlnn.errors import ConfigError
from mlnn.keys import (
    AuditModelSettings,
    AuditSettings,
    BaseSettings,
    BeyondOneNodeSettings,
    ComparedSettings,
    EstimateSettings,
    EstimatorSettings,
    Lane,
    ModelSettings,
    Node,
    ProveSettings,
    TrainedSettings,
    TrainSettings,
)
from mlnn.objectives import Objective
from mlnn.signature import spaces
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe, Recipe, parse_device, parse_dtype
from mlnn.trust import check_finite, instantiate, resolve

OnData = ModelSettings | EstimateSettings
Optimised = TrainedSettings | ComparedSettings | AuditModelSettings | EstimateSettings
Trained = TrainSettings | EstimatorSettings | BeyondOneNodeSettings | ComparedSettings


def pin_threads(settings: BaseSettings) -> None:
    """Fix torch's thread count: it changes bits in some architectures."""
    torch.set_num_threads(settings.threads)


def dataset(settings: OnData) -> Dataset:
    """The data set of `data`."""
    made = instantiate(settings.data, settings.trust, "data")
    if not isinstance(made, Dataset):
        raise ConfigError(f"data: {settings.data.get('_target_')} made a {type(made).__name__}, not a Dataset")
    return made


def model_factory(
    node: Node, data: Dataset, outputs: int, settings: BaseSettings, where: str = "model"
) -> Callable[[], nn.Module]:
    """A factory () → module from rows of `data` to raw outputs; the module is drawn when it is called, after seeding."""
    return partial(instantiate({**node, "_partial_": True}, settings.trust, where), data.input_shape, outputs)


def optimizer_factory(
    settings: Optimised, overlay: Node | None = None, where: str = "optimizer"
) -> Callable[..., torch.optim.Optimizer]:
    """A factory (params) → optimiser; `overlay`, said as `where`, replaces single arguments (a lane's own)."""
    own = {key: value for key, value in (overlay or {}).items() if value is not None}
    check_finite(settings.optimizer, "optimizer")
    check_finite(own, where)
    node = {**settings.optimizer, **own, "_partial_": True}
    made: Callable[..., torch.optim.Optimizer] = instantiate(node, settings.trust, "optimizer")
    return made


def objective(node: Node, settings: BaseSettings, targets: TargetSpace, where: str, outputs: str) -> Objective:
    """The objective of a config node, named as in `settings.names`."""
    made = instantiate(node, settings.trust, where)
    return Objective.of(made, targets, outputs, settings.names.get(where))


def audited(settings: AuditSettings, name: str | None = None) -> tuple[Any, str, str]:
    """What an audit is given: the loss itself, its target space, its name. The loss is `loss` if that is set, else `objective`."""
    made, own = _loss(settings, settings.objective, "objective")
    return made, settings.targets or _targets_of([made], settings.classes), name or own


def proved(settings: ProveSettings) -> tuple[tuple[Any, Any], str, tuple[str, str]]:
    """What a proof is given: both losses, their target space, their names. Right is `loss` if that is set."""
    left, right = instantiate(settings.left, settings.trust, "left"), _loss(settings, settings.right, "right")
    targets = settings.targets or _targets_of([left, right[0]], settings.classes)
    return (left, right[0]), targets, (settings.names["left"], right[1])


def _loss(settings: AuditSettings | ProveSettings, node: Node, where: str) -> tuple[Any, str]:
    """A loss and its name: `loss` if that is set, else what a node describes."""
    if settings.loss is not None:
        return of_ones_own(settings.loss, "loss"), settings.loss
    return instantiate(node, settings.trust, where), settings.names[where]


def _targets_of(losses: Sequence[Any], classes: int) -> str:
    """The target space that the first of some losses that says one is for."""
    said = (spaces(getattr(one, "nll", one)) for one in losses)
    kind = next((takes[0] for takes in said if takes), "binary")
    return f"{kind}({classes})" if kind in ("classes", "ordinal") else kind


def of_ones_own(text: str, key: str) -> Any:
    """What `module:name` names, imported from the current folder or the environment; an instance where that is a class.

    Raises ConfigError, with the `key` that said it, where it cannot be had.
    """
    module, colon, name = text.partition(":")
    if not colon or not module or not name:
        raise ConfigError(f"{key}: '{text}' is not of the form my_module:my_{key}")
    found = resolve(f"{module}.{name}", (module.split(".")[0],), key)
    try:
        return found() if isinstance(found, type) else found
    except Exception as problem:
        raise ConfigError(f"{key}: {name}() raised {type(problem).__name__}: {first_line(problem)}") from problem


def lanes(settings: ComparedSettings, data: Dataset) -> tuple[LaneRecipe, LaneRecipe]:
    """The recipes of the left and right lane."""
    return (
        _lane("left", settings.left, settings.lanes.left, settings, data),
        _lane("right", settings.right, settings.lanes.right, settings, data),
    )


def _lane(side: str, node: Node, how: Lane, settings: ComparedSettings, data: Dataset) -> LaneRecipe:
    if "_target_" not in node:
        raise ConfigError(f"{side}: no objective; choose one with pair=… or objective@{side}=…")
    where = f"lanes.{side}"
    own = objective(node, settings, data.targets, side, how.outputs)
    return LaneRecipe(
        own,
        optimizer_factory(settings, how.optimizer, f"{where}.optimizer"),
        how.accumulate,
        how.compile,
        None if how.autocast is None else parse_dtype(how.autocast),
        model_factory(how.model, data, own.targets.outputs, settings, f"{where}.model") if how.model else None,
        resolve(how.mapping, settings.trust, f"{where}.mapping") if how.mapping else None,
        how.prior,
        _update(how.update, settings, f"{where}.update") if how.update else None,
    )


def _update(named: str, settings: ComparedSettings, where: str) -> Any:
    """A lane's own update: a function as it is named, of a class one made without arguments."""
    found = resolve(named, settings.trust, where)
    try:
        return found() if isinstance(found, type) else found
    except Exception as problem:
        raise ConfigError(f"{where}: {named}() raised {type(problem).__name__}: {first_line(problem)}") from problem


def recipe(settings: Trained, data: Dataset, outputs: int, steps: int) -> Recipe:
    """What all lanes share; `outputs`: raw outputs per row that the objective reads."""
    return Recipe(
        data,
        model_factory(settings.model, data, outputs, settings),
        steps,
        settings.batch_size,
        parse_dtype(settings.dtype),
        parse_device(settings.device),
        settings.seed,
    )
