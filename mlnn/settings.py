"""From composed settings (plain data) to the things they describe. Knows nothing of how they were composed."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from mlnn.data import Dataset
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.signature import spaces
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe, Recipe, parse_device, parse_dtype
from mlnn.trust import instantiate, resolve

Settings = Mapping[str, Any]


def pin_threads(settings: Settings) -> None:
    """Fix torch's thread count: it changes bits in some architectures."""
    if settings["threads"] < 1:
        raise ConfigError(f"threads: {settings['threads']}; at least 1 is needed")
    torch.set_num_threads(settings["threads"])


def dataset(settings: Settings) -> Dataset:
    """The data set of `data`."""
    made = instantiate(settings["data"], settings["trust"], "data")
    if not isinstance(made, Dataset):
        raise ConfigError(f"data: {settings['data']['_target_']} made a {type(made).__name__}, not a Dataset")
    return made


def model_factory(
    holder: Settings, data: Dataset, outputs: int, settings: Settings, where: str = "model"
) -> Callable[[], nn.Module]:
    """A factory () → module from rows of `data` to raw outputs; the module is drawn when it is called, after seeding."""
    node = dict(holder["model"]) | {"_partial_": True}
    return partial(instantiate(node, settings["trust"], where), data.input_shape, outputs)


def optimizer_factory(
    settings: Settings, overlay: Mapping[str, Any] | None = None
) -> Callable[..., torch.optim.Optimizer]:
    """A factory (params) → optimiser; `overlay` replaces single arguments (a lane's own)."""
    own = {key: value for key, value in (overlay or {}).items() if value is not None}
    node = dict(settings["optimizer"]) | own | {"_partial_": True}
    return instantiate(node, settings["trust"], "optimizer")


def objective(node: Mapping[str, Any], settings: Settings, targets: TargetSpace, where: str, outputs: str) -> Objective:
    """The objective of a config node, named as in `settings["names"]`."""
    made = instantiate(node, settings["trust"], where)
    return Objective.of(made, targets, outputs, settings["names"].get(where))


def audited(settings: Settings, name: str | None = None) -> tuple[Any, str, str]:
    """What an audit is given: the loss itself, its target space, its name. The loss is `loss` if that is set, else `objective`."""
    if settings["loss"] is not None:
        made, own = _loss(settings["loss"]), settings["loss"]
    else:
        made = instantiate(settings["objective"], settings["trust"], "objective")
        own = settings["names"]["objective"]
    takes = spaces(getattr(made, "nll", made)) or ("binary",)
    kind = f"classes({settings['classes']})" if takes[0] == "classes" else takes[0]
    return made, settings["targets"] or kind, name or own


def _loss(text: str) -> Any:
    """The function or loss module that `module:name` names, imported from the current folder or the environment."""
    module, colon, name = text.partition(":")
    if not colon or not module or not name:
        raise ConfigError(f"loss: '{text}' is not of the form my_module:my_loss")
    found = resolve(f"{module}.{name}", (module.split(".")[0],), "loss")
    try:
        return found() if isinstance(found, type) else found
    except Exception as problem:
        raise ConfigError(f"loss: {name}() raised {type(problem).__name__}: {problem}") from problem


def lane(side: str, settings: Settings, data: Dataset) -> LaneRecipe:
    """The recipe of the left or right lane."""
    if "_target_" not in settings[side]:
        raise ConfigError(f"{side}: no objective; choose one with pair=… or objective@{side}=…")
    node, where = settings["lanes"][side], f"lanes.{side}"
    own = objective(settings[side], settings, data.targets, side, node["outputs"])
    return LaneRecipe(
        own,
        optimizer_factory(settings, node["optimizer"]),
        node["accumulate"],
        node["compile"],
        None if node["autocast"] is None else parse_dtype(node["autocast"]),
        model_factory(node, data, own.targets.outputs, settings, f"{where}.model") if node["model"] else None,
        resolve(node["mapping"], settings["trust"], f"{where}.mapping") if node["mapping"] else None,
        node["prior"],
    )


def recipe(settings: Settings, data: Dataset, outputs: int) -> Recipe:
    """What all lanes share; `outputs`: raw outputs per row that the objective reads."""
    return Recipe(
        data,
        model_factory(settings, data, outputs, settings),
        settings["steps"],
        settings["batch_size"],
        parse_dtype(settings["dtype"]),
        parse_device(settings["device"]),
        settings["seed"],
    )
