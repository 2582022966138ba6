"""Configs from a folder of the user's own (`--config-dir`), read as data: what one may hold is checked before Hydra sees it.

A folder may have come from somebody else. Its files may set mlnn's own keys only: nothing under `hydra:`, no key that counts
on the command line alone, no resolver that reads the world, no way out of the folder. Sizes are bounded before anything is
read, and a YAML alias that would unfold into millions of nodes is counted before it is unfolded.
"""

import io
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mlnn.cli.said import ALOUD, MOST_CONFIG_BYTES, is_text, parse
from mlnn.cli.schema import check_references
from mlnn.errors import ConfigError

MOST_NODES, MOST_DEPTH = 50_000, 40
"""Of one file with its aliases unfolded: the largest shipped one has 260 nodes, 4 deep."""
LISTS_OF_OVERRIDES = ("ladder", "catalogue")
PROTECTED = ("hydra", *ALOUD)
"""Keys that a file sets nothing of."""
CLIMBS = re.compile(r"(^|[/\\])\.\.?([/\\]|$)|^[/~\\]|[\\\x00-\x1f]|://")


class Received(ConfigSource):
    """Hydra's way of reading a folder, with a check before each file."""

    most_bytes: ClassVar[int] = MOST_CONFIG_BYTES

    @staticmethod
    def scheme() -> str:
        return "received"

    def load_config(self, config_path: str) -> ConfigResult:
        file = self._inside(self._normalize_file_name(config_path))
        if not file.is_file():
            raise ConfigLoadError(f"no config file {file}")
        text = read_bounded(file, self.most_bytes)
        found = check_text(text, self._normalize_file_name(config_path))
        header = ConfigSource._get_header_dict(text[:512])
        check_package(header.get("package"), config_path, found)
        return ConfigResult(
            provider=self.provider, path=self.full_path(), config=OmegaConf.create(found), header=header
        )

    def available(self) -> bool:
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        return self._inside(config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        return self._inside(self._normalize_file_name(config_path)).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        files: list[str] = []
        for name in sorted(os.listdir(self._inside(config_path))):
            self._list_add_result(files, f"{config_path}/{name}".lstrip("/"), name, results_filter)
        return files

    def _inside(self, path: str) -> Path:
        root = Path(self.path).resolve()
        found = Path(os.path.realpath(root / path.lstrip("/")))
        if found != root and root not in found.parents:
            raise ConfigError(f"{path}: leads out of the folder {self.path}; config choices stay inside it")
        return found


class ReceivedFolder(SearchPathPlugin):
    """Puts the folder, if there is one, behind mlnn's own configs: it can add choices, and replace none."""

    folder: ClassVar[str | None] = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if self.folder is not None:
            search_path.append("received", f"received://{self.folder}")


def look_in(folder: str | None, most_bytes: int) -> None:
    """From now on Hydra also looks in `folder`; raises ConfigError where it is none."""
    if folder is not None and not Path(folder).is_dir():
        raise ConfigError(f"--config-dir: there is no folder '{folder}'")
    for plugin in (Received, ReceivedFolder):
        Plugins.instance().register(plugin)
    ReceivedFolder.folder = None if folder is None else str(Path(folder).resolve())
    Received.most_bytes = most_bytes


def read_bounded(file: Path, most: int) -> str:
    """The text of a regular file of at most `most` bytes; never waits for a pipe, never reads a device."""
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as opened:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise ConfigError(f"{file}: is not an ordinary file")
        data = opened.read(most + 1)
    if len(data) > most:
        raise ConfigError(f"{file}: is larger than {most} bytes; most_config_bytes=… on the command line allows more")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise ConfigError(f"{file}: byte {problem.start} is not UTF-8 text") from None


def check_text(text: str, where: str) -> dict[str, Any]:
    """The mapping that a config file holds, checked; ConfigError names file and key of what it may not say."""
    try:
        _check_size(text, where)
        config = OmegaConf.load(io.StringIO(text)) if text.strip() else OmegaConf.create({})
        found: Any = OmegaConf.to_container(config, resolve=False)
    except yaml.YAMLError as problem:
        raise ConfigError(f"{where}: {' '.join(str(problem).split())[:200]}") from None
    except (ValueError, OSError, RecursionError, OverflowError, OmegaConfBaseException) as problem:
        raise ConfigError(f"{where}: cannot be read: {' '.join(str(problem).split())[:120]}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: holds a {type(found).__name__}; key: value belongs there")
    _check_keys(found, where)
    try:
        check_references(found)
    except ConfigError as problem:
        raise ConfigError(f"{where}: {problem}") from None
    _check_defaults(found.get("defaults"), where)
    if re.match(r"(ladder|catalogue)/", where):
        check_rungs(found, where)
    for key in LISTS_OF_OVERRIDES:
        if isinstance(found.get(key), dict):
            check_rungs(found[key], f"{where}: {key}")
    return found


def check_package(package: str | None, where: str, found: dict[str, Any]) -> None:
    """Where a file's keys go must not be one of the protected places."""
    place = package or ""
    root = root_of(place)
    if root in PROTECTED or "$" in place:
        raise ConfigError(f"{where}: '# @package {package}' is refused; a config file sets mlnn's own keys only")
    at_root = (not root and place.endswith("_global_")) or "/" not in where
    said = next((str(key) for key in found if str(key).split(".")[0] in ALOUD), None)
    if at_root and said is not None:
        raise only_aloud(said, where)


def root_of(package: str) -> str:
    """The first key of the place that a package means; Hydra forgets all that stands before the last `_global_`."""
    parts = re.split(r"[.@]", package.strip().strip("."))
    last = max((place for place, part in enumerate(parts) if part == "_global_"), default=-1)
    return next((part for part in parts[last + 1 :] if part), "")


def check_rungs(rungs: Mapping[str, Any], where: str) -> None:
    """Overrides in a file are held to what the file itself may say; a name that becomes a folder is a plain one."""
    for name, words in rungs.items():
        if name == "defaults" or not isinstance(words, list):
            continue
        check_name(str(name), where)
        for override in parse([str(word) for word in words]):
            _check_override(override, f"{where}.{name}")


def _check_override(override: Override, where: str) -> None:
    key = override.key_or_group
    root = re.split(r"[./]", key.strip("/"))[0]
    place = root_of(override.package or "")
    if "hydra" in (root, place):
        raise ConfigError(
            f"{where}: '{override.get_key_element()}' is refused; a config file holds nothing of Hydra's own"
        )
    if place in ALOUD:
        raise only_aloud(place, where)
    if root in ALOUD or key.rpartition(".")[2].startswith("most_"):
        raise only_aloud(key, where)


def check_name(name: str, where: str) -> None:
    """A name that becomes a folder: letters, digits, `_`, `-`, `+`, `.`, `=`, not beginning with a dot, at most 80."""
    if not re.fullmatch(r"(?!\.)[\w.+=-]{1,80}", name):
        raise ConfigError(f"{where}: the name {name[:60]!r} becomes a folder; use letters, digits, '_', '-' and '.'")


def only_aloud(key: str, where: str) -> ConfigError:
    """The error for a key that a file sets and only the command line may."""
    example = {"trust": "trust=[my_zoo]", "loss": "loss=my_module:my_loss"}.get(key, f"{key}=…")
    return ConfigError(f"{where}: {key}: is set in a config file; it counts on the command line only: {example}")


def climbs(choice: str) -> bool:
    """Whether the name of a choice would lead out of its folder."""
    return CLIMBS.search(choice) is not None


def _check_keys(node: Any, where: str, above: str = "") -> None:
    """No key of Hydra's at the root, no bound moved anywhere, no key that YAML reads as something other than a word."""
    if isinstance(node, list):
        for value in node:
            _check_keys(value, where, above)
    if isinstance(node, str) and not is_text(node):
        raise ConfigError(f"{where}: {above}: holds half of a character, which is no text")
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        path = f"{above}.{key}".lstrip(".")
        if not is_text(path):
            raise ConfigError(f"{where}: the key {path!r} holds half of a character, which is no text")
        if not above and str(key).split(".")[0].split("/")[0] == "hydra":
            raise ConfigError(f"{where}: {_deepest(path, value)}: is refused; a config file holds nothing under hydra:")
        if str(key).rpartition(".")[2].startswith("most_"):
            raise only_aloud(path, where)
        _check_keys(value, where, path)


def _deepest(path: str, value: Any) -> str:
    """The path down to where a node says more than one thing."""
    while isinstance(value, dict) and len(value) == 1:
        ((key, value),) = value.items()
        path = f"{path}.{key}"
    return path


def _check_defaults(entries: Any, where: str) -> None:
    for entry in entries if isinstance(entries, list) else []:
        for key, value in entry.items() if isinstance(entry, dict) else [(entry, None)]:
            _check_default(str(key), value if isinstance(value, list) else [value], where)


def _check_default(key: str, choices: list[Any], where: str) -> None:
    name = re.sub(r"^\s*(override\s+|optional\s+)*", "", key).strip()
    group, _, package = name.partition("@")
    if group.strip("/").split("/")[0] == "hydra" or root_of(package) in PROTECTED:
        raise ConfigError(f"{where}: defaults: '{name}' is refused; a config file holds nothing of Hydra's own")
    told = [str(choice) for choice in choices if choice is not None]
    if any(climbs(choice) for choice in told) or ".." in group.split("/"):
        raise ConfigError(f"{where}: defaults: '{name}: {', '.join(told)}' leads out of the config folder")


def _check_size(text: str, where: str) -> None:
    """Nodes and depth with every alias unfolded, found without unfolding one."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise ConfigError(f"{where}: is nested more than {MOST_DEPTH} deep")
    root, sizes = yaml.compose(text, yaml.SafeLoader), {}

    def size(node: Any, open_: frozenset[int] = frozenset()) -> int:
        if id(node) in open_:
            raise ConfigError(f"{where}: an alias holds itself")
        if id(node) not in sizes:
            sizes[id(node)] = 1 + sum(size(child, open_ | {id(node)}) for child in _children(node))
        return sizes[id(node)]

    if root is not None and size(root) > MOST_NODES:
        raise ConfigError(f"{where}: unfolds to more than {MOST_NODES} nodes; take its aliases apart")


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
