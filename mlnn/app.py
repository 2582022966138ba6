"""The command line: the only file that imports Hydra. Composes, checks, runs a task, and turns errors into exit codes.

Heavy imports wait until a task starts, so that `--help` is quick.
"""

import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mlnn.errors import ConfigError, MlnnError, unknown
from mlnn.schema import check_keys, check_references

Task = Callable[[dict[str, Any]], None]
OF_MANY = ("ladder", "catalogue", "seeds")
"""Keys that make one command many runs; a single one of them has none."""
SAID_ALOUD = ("trust", "loss")
"""Keys that import code, and so count on the command line only."""


def config_dir() -> Path:
    """The shipped configs: beside the package in a checkout, inside it once installed."""
    here = Path(__file__).resolve().parent
    return next(path for path in (here / "configs", here.parent / "configs") if path.is_dir())


def main(task: Task, name: str) -> None:
    """Compose `configs/<name>.yaml` with the command line, run `task(settings)`, and exit.

    Exit codes: 0 done; 1 `require=` not met; 2 bad usage or config; 3 bad data; 5 run folder trouble; 70 a bug in mlnn
    (with its traceback); 130 interrupted. MLNN_TRACEBACK=1 shows the traceback of any error.
    """
    sys.exit(run(task, name))


def run(task: Task, name: str) -> int:
    """Like `main`, returning the exit code. In a multirun a job that fails leaves the others alone; the worst code counts."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra then raises, and the sentence is ours
    failures: list[int] = []
    begun: list[str] = []

    def job(config: DictConfig) -> None:
        state = HydraConfig.get()
        prefix = f"job {state.job.num}: " if state.mode == RunMode.MULTIRUN else ""
        begun.append(prefix)
        try:
            task(settings(config, name))
        except MlnnError as problem:
            failures.append(_say(f"{prefix}{problem}", problem.exit_code))
        except (HydraException, OmegaConfBaseException) as problem:
            failures.append(_say(prefix + _explain(problem, name), ConfigError.exit_code))

    try:
        with patch.object(ConfigLoaderImpl, "load_configuration", _guarded(ConfigLoaderImpl.load_configuration)):
            hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)(job)()
    except (MlnnError, HydraException, OmegaConfBaseException) as problem:
        return _say(_explain(problem, name), getattr(problem, "exit_code", ConfigError.exit_code))
    except KeyboardInterrupt:
        return _say("interrupted; the run in progress was not written", 130)
    except Exception as problem:
        if not begun:  # Hydra could not compose: YAML that cannot be read, data=null
            return _say(_explain(problem, name), ConfigError.exit_code)
        traceback.print_exc()  # not one of ours: a bug, and whoever mends it needs the traceback
        return 70
    return max(failures, default=0)


def settings(config: DictConfig, name: str) -> dict[str, Any]:
    """The composed config as plain data, checked against the shipped one: unknown keys, wrong types, `trust` in a file."""
    plain = _checked(config, _compose(name, []))
    state = HydraConfig.get()
    said = {text.split("=")[0].lstrip("+") for text in state.overrides.task}
    for key in SAID_ALOUD:
        if plain.get(key) and key not in said:
            example = "trust=[my_zoo]" if key == "trust" else "loss=my_module:my_loss"
            raise ConfigError(f"{key}: is set in a config file; it counts on the command line only: {example}")
    _check_targets(plain, plain.get("trust", ()))
    plain["names"] = _names(state.runtime.choices)
    plain["config"] = OmegaConf.to_yaml(config, resolve=False)
    plain["out"] = _own_folder(plain.get("out"), state)
    return plain


def ladder(settings: Mapping[str, Any], name: str = "growth") -> list[tuple[str, dict[str, Any]]]:
    """(rung name, settings) for every rung of `ladder` and every seed: this command line, then the rung's overrides."""
    return _rungs(settings, name, "ladder", "{shallow: [model=mlp, model.depth=1]}", _seeds(settings))


def catalogue(settings: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(name, settings) for every entry of `catalogue`, as `ladder` does for rungs."""
    return _rungs(settings, "audit", "catalogue", "{on_labels: [objective=mse, targets=binary]}", [settings["seed"]])


def _rungs(
    settings: Mapping[str, Any], name: str, key: str, example: str, seeds: list[int]
) -> list[tuple[str, dict[str, Any]]]:
    rungs = settings[key]
    if not rungs or not all(isinstance(item, list) for item in rungs.values()):
        raise ConfigError(f"{key}: give names with lists of overrides, e.g. {example}")
    return [
        (rung, cell)
        for rung in rungs
        for cell in _cells(settings, name, f"{key}.{rung}", list(map(str, rungs[rung])), seeds)
    ]


def seeded(settings: Mapping[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    """(model name, settings) of this very run, once for every seed of `seeds`."""
    model = settings["names"]["model"]
    return [(model, cell) for cell in _cells(settings, name, "seeds", [], _seeds(settings))]


def _seeds(settings: Mapping[str, Any]) -> list[int]:
    seeds = settings["seeds"]
    whole = isinstance(seeds, list) and all(isinstance(seed, int) and not isinstance(seed, bool) for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds: {seeds!r}; give different whole numbers, e.g. [0, 1, 2]")
    return seeds


def _cells(
    settings: Mapping[str, Any], name: str, where: str, overrides: list[str], seeds: list[int]
) -> list[dict[str, Any]]:
    """This run's settings with `overrides` over them, composed once and then read with each of the seeds."""
    set_here = {text.split("=")[0].lstrip("+~") for text in [*overrides, *(f"{key}=0" for key in OF_MANY)]}
    mine = [text for text in HydraConfig.get().overrides.task if text.split("=")[0].lstrip("+~") not in set_here]
    try:
        config = hydra.compose(name, [*mine, *overrides], return_hydra_config=True)
        extra = {"trust": settings["trust"], "names": _names(config.hydra.runtime.choices)}
        config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        shipped, cells = _compose(name, []), []
        for seed in seeds:
            config.seed = seed
            plain = _checked(config, shipped)
            _check_targets(plain, settings["trust"])
            cells.append({key: value for key, value in plain.items() if key not in OF_MANY} | extra)
    except (ConfigError, HydraException, OmegaConfBaseException) as problem:
        raise ConfigError(f"{where}: {_explain(problem, name)}") from None
    return cells


def _checked(config: DictConfig, shipped: dict[str, Any]) -> dict[str, Any]:
    check_references(OmegaConf.to_container(config, resolve=False))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    check_keys(plain, shipped)
    return plain


def _check_targets(plain: Mapping[str, Any], trusted: Sequence[str]) -> None:
    from mlnn.trust import check_targets

    for key, node in plain.items():
        check_targets(node, trusted, key)


def _guarded(load: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """Hydra acts on callbacks, logging and variables before a job begins; a received config must not name any."""

    def loaded(*args: Any, **kwargs: Any) -> DictConfig:
        config = load(*args, **kwargs)
        named = {f"hydra.{key}": config.hydra[key] or {} for key in ("job_logging", "hydra_logging")}
        said = [key for key, node in named.items() if set(node) - {"version", "root", "disable_existing_loggers"}]
        said += [key for key in ("hydra.callbacks", "hydra.job.env_set") if OmegaConf.select(config, key)]
        if said:
            raise ConfigError(f"{said[0]}: is set, and could run any code; mlnn does not use it, so take it out")
        return config

    return loaded


def _names(choices: Mapping[str, Any]) -> dict[str, str]:
    """What was chosen from each group, by the key it fills: model, data, optimizer, left, right, objective."""
    return {
        key.rpartition("@")[2]: choice for key, choice in choices.items() if choice and not key.startswith("hydra/")
    }


def _compose(name: str, overrides: list[str]) -> dict[str, Any]:
    composed: Any = OmegaConf.to_container(hydra.compose(name, overrides), resolve=False)
    return composed


def _own_folder(out: str | None, state: Any) -> str | None:
    """In a multirun every job gets a folder of its own under `out`, named by what the sweep changes."""
    if out is None or state.mode != RunMode.MULTIRUN:
        return out
    swept = ",".join(text for text in state.overrides.task if text not in sys.argv)
    return str(Path(out) / re.sub(r"[^\w.,=@+-]", "-", f"{state.job.num}_{swept}"[:80]).rstrip("_"))


def _explain(problem: Exception, name: str) -> str:
    """Hydra's message, cut down to what is wrong and the nearest thing that exists."""
    text = str(problem)
    if isinstance(problem, MissingConfigException) and problem.options:
        group, _, choice = (problem.missing_cfg_file or "").rpartition("/")
        return f"{group}: " + unknown(group, choice, (option for option in problem.options))
    missing = re.search(r"(?:In '([^']+)': )?Could not override '([^']+)'", text)
    if missing:
        file = f"{missing[1]}: " if missing[1] and missing[1] != name else ""
        return f"{file}{unknown('key', missing[2], _known(name)).split(' Choices:')[0].rstrip('.')}; --help lists all"
    if isinstance(problem, OverrideParseException):
        return f"{problem.override}: cannot be read ({text.splitlines()[0]}); quote it: 'key=\"a=b\"', 'key=[a,b]'"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:3]) or type(problem).__name__


def _known(name: str) -> list[str]:
    """Every key and group that can be overridden, dotted."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose(name, return_hydra_config=True)
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


def _say(message: str, code: int) -> int:
    if os.environ.get("MLNN_TRACEBACK"):
        traceback.print_exc()
    print(f"error: {message}" if code != 130 else message, file=sys.stderr)
    return code
