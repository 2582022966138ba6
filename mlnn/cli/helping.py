"""The page of --help: what a command does, the choices of every group, its keys, and the composed config."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, OmegaConf

from mlnn.keys import Lane, Lanes, Settings, entries

GROUPS = "== Configuration groups ==\nCompose your configuration from those groups (group=option)\n"
CONFIG = "== Config ==\nOverride anything in the config (foo.bar=value)\n"


def help_page(config: DictConfig, told: Any, record: type[Settings], resolve: bool) -> str:
    """The page of a command. `told`: the words of its own config on the page, `header` and `footer`; `record`: its keys;
    resolve: references in the config filled in. Hydra is to be ready to compose."""
    groups = "\n".join(
        f"{group}: {', '.join(sorted(_listed(group, ObjectType.CONFIG)))}" for group in sorted(_groups(""))
    )
    composed = OmegaConf.to_yaml(config, resolve=resolve)
    return (
        f"{told['header']}\n{GROUPS}\n{groups}\n\n\n{keys_table(record)}\n{CONFIG}\n{composed}\n\n{told['footer']}\n\n"
    )


def _groups(parent: str) -> Iterator[str]:
    """Every group that has choices, those of Hydra's own left out, subfolders too."""
    for name in _listed(parent, ObjectType.GROUP):
        group = f"{parent}/{name}" if parent else name
        if group != "hydra":
            yield from [group] if _listed(group, ObjectType.CONFIG) else []
            yield from _groups(group)


def _listed(group: str, kind: ObjectType) -> list[str]:
    """What lies in a group. Asked of the files themselves: Hydra's own list copies all it knows for every group (0.3 s in all)."""
    loader: Any = GlobalHydra.instance().config_loader()
    found: list[str] = loader.repository.get_group_options(group, kind)
    return found


def keys_table(record: type[Settings]) -> str:
    """A line a key: its name, as it ships, and what it means."""
    rows = list(_rows(record, ""))
    names, defaults = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"{name:<{names}}  {default:<{defaults}}  {meaning}" for name, default, meaning in rows]
    return (
        "\n".join(["== Keys ==", "What each is, with what it is unless it is set (key=value)", "", *lines, ""]) + "\n"
    )


def _rows(record: type, where: str) -> Iterator[tuple[str, str, str]]:
    for name, key in entries(record).items():
        if key.kind is Lanes:  # both sides have the same keys
            yield from _rows(Lane, f"{where}{name}.<side>.")
            continue
        if dataclasses.is_dataclass(key.kind):
            yield from _rows(key.kind, f"{where}{name}.")
            continue
        yield f"{where}{name}", _written(key.default), key.meaning
        if key.known is not None:
            yield from _rows(key.known, f"{where}{name}.")


def _written(default: object) -> str:
    """A default as it is typed."""
    if isinstance(default, list):
        return f"[{', '.join(map(_written, default))}]"
    if isinstance(default, dict):
        return ""
    return default if isinstance(default, str) else json.dumps(default)
