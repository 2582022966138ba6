"""The command line: the only file that imports Hydra. Composes, checks, runs a task, and turns errors into exit codes.

Heavy imports wait until a task starts, so that `--help` is quick.
"""

import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mlnn.errors import ConfigError, MlnnError, unknown

Task = Callable[[dict[str, Any]], None]
NULLABLE = frozenset({"batch_size", "device"})


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

    def job(config: DictConfig) -> None:
        try:
            task(settings(config, name))
        except MlnnError as problem:
            state = HydraConfig.get()
            prefix = f"job {state.job.num}: " if state.mode == RunMode.MULTIRUN else ""
            failures.append(_say(prefix + str(problem), problem.exit_code))

    try:
        hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)(job)()
    except (HydraException, OmegaConfBaseException) as problem:
        return _say(_explain(problem, name), ConfigError.exit_code)
    except KeyboardInterrupt:
        return _say("interrupted; nothing was written", 130)
    except Exception:  # not one of ours: a bug, and whoever mends it needs the traceback
        traceback.print_exc()
        return 70
    return max(failures, default=0)


def settings(config: DictConfig, name: str) -> dict[str, Any]:
    """The composed config as plain data, checked against the shipped one: unknown keys, wrong types, `trust` in a file."""
    from mlnn.trust import check_targets

    _check_interpolations(OmegaConf.to_container(config, resolve=False), "")
    plain: Any = OmegaConf.to_container(config, resolve=True)
    shipped = _compose(name, [])
    _check_keys(plain, shipped, "")
    state = HydraConfig.get()
    said = [text for text in state.overrides.task if re.match(r"\+*trust=", text)]
    if plain.get("trust") and not said:
        raise ConfigError("trust: is set in a config file; it counts on the command line only: trust=[my_zoo]")
    for key, node in plain.items():
        check_targets(node, plain.get("trust", ()), key)
    plain["names"] = _names(state.runtime.choices)
    plain["config"] = OmegaConf.to_yaml(config, resolve=False)
    plain["out"] = _own_folder(plain.get("out"), state)
    return plain


def ladder(settings: Mapping[str, Any], name: str = "growth") -> list[tuple[str, dict[str, Any]]]:
    """(rung name, settings) for every rung of `ladder` and every seed: this run's command line, then the rung's overrides."""
    rungs, seeds = settings["ladder"], settings["seeds"]
    if not isinstance(rungs, dict) or not all(isinstance(item, list) for item in rungs.values()):
        raise ConfigError("ladder: give names with lists of overrides, e.g. {shallow: [model=mlp, model.depth=1]}")
    if not seeds or not all(isinstance(seed, int) for seed in seeds) or not rungs:
        raise ConfigError(
            f"seeds: {seeds!r} with {len(rungs)} rungs; at least one whole number and one rung are needed"
        )
    return [(rung, _cell(settings, name, rung, list(map(str, rungs[rung])), seed)) for rung in rungs for seed in seeds]


def _cell(settings: Mapping[str, Any], name: str, rung: str, overrides: list[str], seed: int) -> dict[str, Any]:
    set_here = {text.split("=")[0].lstrip("+~") for text in [*overrides, "seed=0", "ladder=0", "seeds=0"]}
    mine = [text for text in HydraConfig.get().overrides.task if text.split("=")[0].lstrip("+~") not in set_here]
    try:
        config = hydra.compose(name, [*mine, *overrides, f"seed={seed}"], return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as problem:
        raise ConfigError(f"ladder.{rung}: {_explain(problem, name)}") from None
    choices = config.hydra.runtime.choices
    plain: Any = OmegaConf.to_container(
        OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]), resolve=True
    )
    plain["names"] = _names(choices)
    return {key: value for key, value in plain.items() if key not in ("ladder", "seeds")} | {"trust": settings["trust"]}


def _names(choices: Mapping[str, Any]) -> dict[str, str]:
    """What was chosen from each group, by the key it fills: model, data, optimizer, left, right, objective."""
    return {
        key.rpartition("@")[2]: choice for key, choice in choices.items() if choice and not key.startswith("hydra/")
    }


def _compose(name: str, overrides: list[str]) -> dict[str, Any]:
    composed: Any = OmegaConf.to_container(hydra.compose(name, overrides), resolve=False)
    return composed


def _own_folder(out: str | None, state: Any) -> str | None:
    """In a multirun every job gets a folder of its own under `out`."""
    if out is None or state.mode != RunMode.MULTIRUN:
        return out
    return str(Path(out) / f"{state.job.num}_{state.job.override_dirname.replace('/', '-')[:80]}".rstrip("_"))


def _check_interpolations(node: Any, where: str) -> None:
    """Refuse `${oc.env:…}` and other resolvers: in a received config they would expand secrets into the stored one."""
    if isinstance(node, dict):
        for key, value in node.items():
            _check_interpolations(value, f"{where}.{key}".lstrip("."))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _check_interpolations(value, f"{where}[{index}]")
    elif isinstance(node, str) and re.search(r"\$\{[^}]*:", node):
        raise ConfigError(
            f"{where}: '{node}' calls a resolver; only references to other keys, such as ${{seed}}, are read"
        )


def _check_keys(given: dict[str, Any], shipped: dict[str, Any], where: str) -> None:
    """Every key must be one that the shipped config has, with a value of its type; a `_target_` node checks itself later."""
    for key, value in given.items():
        path = f"{where}.{key}".lstrip(".")
        lane = where in ("left", "right")
        if key not in shipped:
            if lane or where.endswith("optimizer"):  # the objective's or optimiser's own arguments
                continue
            raise ConfigError(f"{path}: {unknown('key', str(key), shipped)}")
        standard = shipped[key]
        if path == "ladder" or (isinstance(standard, dict) and "_target_" in standard and not lane and where == ""):
            if path in ("left", "right"):
                _check_keys(value, standard, path)
            continue
        _check_value(path, value, standard)
        if isinstance(standard, dict):
            _check_keys(value, standard, path)


def _check_value(path: str, value: Any, standard: Any) -> None:
    if standard is None or (value is None and path in NULLABLE) or (path.endswith("_target_") or "._" in path):
        return
    kinds: tuple[type, ...] = (type(standard),)
    if isinstance(standard, float):
        kinds = (float, int)
    if not isinstance(value, kinds) or (isinstance(value, bool) and not isinstance(standard, bool)):
        word = {
            int: "a whole number",
            float: "a number",
            str: "a word",
            bool: "true or false",
            list: "a list",
            dict: "a group",
        }
        raise ConfigError(f"{path}: {value!r} is not {word[type(standard)]}")


def _explain(problem: Exception, name: str) -> str:
    """Hydra's message, cut down to what is wrong and the nearest thing that exists."""
    text = str(problem)
    if isinstance(problem, MissingConfigException) and problem.options:
        group, _, choice = (problem.missing_cfg_file or "").rpartition("/")
        return f"{group}: " + unknown(group, choice, (option for option in problem.options))
    missing = re.search(r"Could not override '([^']+)'", text)
    if missing:
        key = missing[1].split("@")[0] if "No match in the defaults list" in text else missing[1]
        return unknown("key", key, _known(name)).split(" Choices:")[0].rstrip(".") + "; --help lists all of them"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:3]) or type(problem).__name__


def _known(name: str) -> list[str]:
    """Every key and group that can be overridden, dotted."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        composed: Any = OmegaConf.to_container(compose(name), resolve=False)
    names: list[str] = [path.name for path in config_dir().iterdir() if path.is_dir()]

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
