"""From the words of a command line to checked settings: Hydra composes, nothing of it acts.

Only Hydra's compose API is used, so that no folder is made, no logger set up and no callback run on a config's behalf.
"""

import dataclasses
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mlnn.cli import received
from mlnn.cli.said import ALOUD, MOST_CONFIG_BYTES, MOST_JOBS, PATHS, Said
from mlnn.cli.schema import LANE_OPTIONS, check_references, renamed, typed
from mlnn.errors import ConfigError, unknown
from mlnn.keys import (
    COMMANDS,
    OF_MANY,
    AuditSettings,
    BeyondOneNodeSettings,
    CompareSettings,
    EstimatorSettings,
    GrowthSettings,
    Node,
    Settings,
    entries,
)
from mlnn.shipped import config_dir
from mlnn.visible import shorten, shown

Made = TypeVar("Made", bound=Settings)
Climbing = TypeVar("Climbing", GrowthSettings, EstimatorSettings, BeyondOneNodeSettings)
NOTED = {"overrides", "runtime", "job"}
"""Where Hydra notes the call itself."""
COMPOSING = (HydraException, OmegaConfBaseException)
"""What Hydra raises where it cannot compose."""

_turn = [threading.RLock()]
if hasattr(os, "register_at_fork"):  # the child has one thread: nobody else is there whose turn it could be
    os.register_at_fork(after_in_child=lambda: _turn.__setitem__(0, threading.RLock()))


@contextmanager
def composing(said: Said) -> Iterator[None]:
    """Hydra, ready to compose from the shipped configs and from the folder of the user's own.

    A process has one Hydra: commands in several threads take turns, each as if it were alone.
    """
    received.look_in(said.config_dir, said.limit("most_config_bytes", MOST_CONFIG_BYTES))
    with _turn[0]:
        GlobalHydra.instance().clear()
        setup_globals()
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3", job_name=said.command):
            yield


def settings(said: Said, record: type[Settings] | None = None) -> Settings:
    """What a command is told, checked; raises ConfigError. `record`: its keys, for a command that is not mlnn's own."""
    _check_choices(said)
    try:
        config, names = _compose(said.command, said.task_words)
        found = _checked(config, said, record or COMMANDS[said.command])
    except COMPOSING as problem:
        raise ConfigError(explain(problem, said.command)) from None
    if said.paths:
        key = PATHS[said.command]
        paths: Any = {key: [*getattr(found, key), *said.paths]}
        found = dataclasses.replace(found, **paths)
    return dataclasses.replace(found, names=names, config=OmegaConf.to_yaml(config, resolve=False))


def composed(said: Said) -> DictConfig:
    """The config, its keys not yet checked; ConfigError where it does not compose, or sets anything of Hydra's own."""
    return _compose(said.command, said.task_words)[0]


def told(name: str) -> Node:
    """The words of a command's shipped config for the page of --help."""
    words: Node = _shipped_hydra(name)["help"]
    return words


def ladder(own: Climbing, said: Said) -> list[tuple[str, Climbing]]:
    """(rung name, settings) for every rung of `ladder` and every seed: this command line, then the rung's overrides."""
    example = "{shallow: [model=mlp, model.depth=1]}"
    return _rungs(type(own), said, "ladder", own.ladder, example, own.seeds)


def catalogue(own: AuditSettings, said: Said) -> list[tuple[str, AuditSettings]]:
    """(name, settings) for every entry of `catalogue`, as `ladder` does for rungs."""
    example = "{on_labels: [objective=mse, targets=binary]}"
    return _rungs(AuditSettings, said, "catalogue", own.catalogue or {}, example, [own.seed])


def seeded(own: CompareSettings, said: Said) -> list[tuple[str, CompareSettings]]:
    """(model name, settings) of this very run, once for every seed of `seeds`."""
    model = own.names["model"]
    received.check_name(model, "model")
    return [(model, cell) for cell in _cells(CompareSettings, said, "seeds", [], own.seeds or [])]


def _rungs(
    record: type[Made], said: Said, key: str, rungs: Node, example: str, seeds: list[int]
) -> list[tuple[str, Made]]:
    if not rungs or not all(isinstance(item, list) for item in rungs.values()):
        raise ConfigError(f"{key}: give names with lists of overrides, e.g. {example}")
    most = said.limit("most_jobs", MOST_JOBS)
    if len(rungs) * len(seeds) > most:
        raise ConfigError(f"{key}: {len(rungs) * len(seeds)} runs, more than {most}; most_jobs=… allows more")
    received.check_rungs(rungs, key)
    return [
        (rung, cell)
        for rung, words in rungs.items()
        for cell in _cells(record, said, f"{key}.{rung}", list(map(str, words)), seeds)
    ]


def _cells(record: type[Made], said: Said, where: str, overrides: list[str], seeds: list[int]) -> list[Made]:
    """This run's settings with `overrides` over them, composed once and then read with each of the seeds."""
    set_here = {text.split("=")[0].lstrip("+~") for text in [*overrides, *(f"{key}=0" for key in OF_MANY)]}
    mine = [text for text in said.task_words if text.split("=")[0].lstrip("+~") not in set_here]
    cells = []
    try:
        config, names = _compose(said.command, [*mine, *overrides])
        for seed in seeds:
            config.seed = seed
            cells.append(dataclasses.replace(_checked(config, said, record), names=names))
    except ConfigError as problem:
        raise ConfigError(f"{where}: {problem}") from None
    except COMPOSING as problem:
        raise ConfigError(f"{where}: {explain(problem, said.command)}") from None
    return cells


def _compose(name: str, words: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
    """The config less what is Hydra's own, and what was chosen from each group, by the key it fills."""
    try:
        config = hydra.compose(name, list(words), return_hydra_config=True)
    except Exception as problem:  # Hydra tells of some mistakes by a bare ValueError or TypeError
        raise ConfigError(explain(problem, name)) from None
    _check_hydra(config, name)
    names = _chosen(config.hydra.runtime.choices)
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]), names


def _chosen(choices: Mapping[str, str | None]) -> dict[str, str]:
    """What was chosen from each group, by the key it fills; ConfigError for a choice that is not in its folder."""
    found = {key: value for key, value in choices.items() if value}
    climbing = next((f"{key}={value}" for key, value in found.items() if received.climbs(str(value))), None)
    if climbing is not None:
        raise ConfigError(f"{climbing}: leads out of the config folder")
    return {key.rpartition("@")[2]: value for key, value in found.items() if not key.startswith("hydra/")}


def _check_hydra(config: DictConfig, name: str) -> None:
    """Hydra's own node is what was shipped, less what it notes of this call: whatever way a file found to it is met here."""
    own: Any = OmegaConf.to_container(config.hydra, resolve=False)
    shipped = _shipped_hydra(name)
    changed = next((key for key in own if key not in NOTED and own[key] != shipped.get(key)), None)
    if changed is not None:
        raise ConfigError(f"hydra.{changed}: is set by a config file or a rung; they hold nothing of Hydra's own")


def _checked(config: DictConfig, said: Said, record: type[Made]) -> Made:
    raw: Any = OmegaConf.to_container(config, resolve=False)
    check_references(raw)
    for name, key in entries(record).items():
        if name in ALOUD and name in raw and raw[name] != said.value(name, key.default):
            raise received.only_aloud(name, "config")
    plain: Any = OmegaConf.to_container(config, resolve=True)
    found = typed(record, plain)
    from mlnn.trust import check_targets

    for key, node in plain.items():
        check_targets(node, plain.get("trust", ()), key)
    for side in ("left", "right"):
        _check_side(side, plain.get(side) or {}, plain.get("trust", ()))
    return found


@cache
def _shipped_hydra(name: str) -> Node:
    """Hydra's own node of a command's shipped config; read-only."""
    plain: Any = OmegaConf.to_container(hydra.compose(name, return_hydra_config=True).hydra, resolve=False)
    own: Node = plain
    return own


def _check_side(side: str, node: Mapping[str, Any], trusted: Sequence[str]) -> None:
    """An option of a lane in the node of the objective is the old spelling, unless the objective takes such an argument."""
    options = [option for option in LANE_OPTIONS if option in node]
    if not options:
        return
    from mlnn.trust import check_arguments, resolve

    for option in options:
        try:
            check_arguments(resolve(node.get("_target_", ""), trusted, f"{side}._target_"), [option], side)
        except ConfigError as problem:
            if "unknown argument" not in str(problem):
                raise
            raise ConfigError(renamed(f"{side}.{option}")) from None


def _check_choices(said: Said) -> None:
    """A choice typed here stays inside its folder too; what `trust` or `loss` say is not looked at."""
    groups = {path.name for path in config_dir().iterdir() if path.is_dir()}
    for override in said.overrides:
        if not override.key_or_group:
            raise ConfigError(f"{shown(override.input_line)}: no key stands before the '='")
        if override.key_or_group in groups:
            _check_choice(override)
        if override.key_or_group in groups and any(received.climbs(str(name)) for name in _choices(override.value())):
            raise ConfigError(
                f"{shown(override.input_line)}: leads out of the config folder; --config-dir DIR adds your own"
            )


def _check_choice(override: Override) -> None:
    """A group is filled by the name of one choice; an experiment by several."""
    group, value = override.key_or_group, override.value()
    if override.is_delete() or override.is_sweep_override() or isinstance(value, str):
        return
    if group != "experiment" or not isinstance(value, list):
        names = ", ".join(sorted(path.stem for path in (config_dir() / group).glob("*.yaml")))
        told = f"{shown(override.input_line, 60)}: of this group one choice is needed by its name"
        raise ConfigError(f"{told}: {shorten(names, 220)}; --config-dir DIR adds your own")


def _choices(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def explain(problem: Exception, name: str) -> str:
    """Hydra's message, cut down to what is wrong and the nearest thing that exists."""
    text = str(problem)
    if isinstance(problem.__cause__, ConfigError):
        return str(problem.__cause__)
    if isinstance(problem, MissingConfigException) and problem.options:
        group, _, choice = (problem.missing_cfg_file or "").rpartition("/")
        return f"{group}: " + unknown(group, choice, problem.options)
    missing = re.search(r"(?:In '([^']+)': )?Could not override '([^']+)'", text)
    if missing:
        return _no_such_key(missing[1], missing[2], name)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:3]) or type(problem).__name__


def _no_such_key(file: str | None, key: str, name: str) -> str:
    """What to say of a key that the command `name` has not; `file`: which config sets it, None for the command line."""
    where = f"{file}: " if file and file != name else ""
    nearest = unknown("key", key, _known(name)).split(" Choices:")[0].rstrip(".")
    return where + (renamed(key) or f"{nearest}; --help lists all")


def _known(name: str) -> list[str]:
    """Every key and group that can be overridden, dotted."""
    config = hydra.compose(name, return_hydra_config=True)
    names = [key for key in config.hydra.runtime.choices if not key.startswith("hydra/")]
    composed: Any = OmegaConf.to_container(config, resolve=False)
    del composed["hydra"]

    def walk(node: Any, where: str) -> None:
        for key, value in node.items():
            names.append(f"{where}{key}")
            if isinstance(value, dict):
                walk(value, f"{where}{key}.")

    walk(composed, "")
    return names
