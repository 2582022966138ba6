"""From composed plain data to the record of a command: every key known, of its type, within its bounds; references only."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from mlnn.errors import ConfigError, unknown
from mlnn.keys import Key, Lane, entries

REFERENCE = re.compile(r"\$\{[\w.@\[\]-]+\}")
LANE_OPTIONS = tuple(entries(Lane))
"""How a side is run: said as `lanes.left.…`; what is said as `left.…` is an argument of the objective."""
KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a word",
    bool: "true or false",
    list: "a list",
    Mapping: "a group",
}
Record = TypeVar("Record")


def renamed(path: str) -> str | None:
    """What to say where `path` is the old spelling of an option of a lane; None for any other key."""
    old = re.fullmatch(rf"(?:\w+@)?(left|right)\.({'|'.join(LANE_OPTIONS)})((?:\..*)?)", path)
    if old is None:
        return None
    group = path.partition("@")[0] + "@" if "@" in path else ""
    new = f"{group}lanes.{old[1]}.{old[2]}{old[3]}"
    return f"{path}: is now said as {new} (an argument of that name of the objective itself is added with +{path}=…)"


def check_references(node: Any, where: str = "") -> None:
    """Refuse `${oc.env:…}` and other resolvers: in a received config they would expand secrets into the stored one."""
    if isinstance(node, dict):
        for key, value in node.items():
            check_references(value, f"{where}.{key}".lstrip("."))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            check_references(value, f"{where}[{index}]")
    elif isinstance(node, str) and "${" in REFERENCE.sub("", node):
        raise ConfigError(
            f"{where}: '{node}' calls a resolver; only references to other keys, such as ${{seed}}, are read"
        )


def typed(record: type[Record], given: Mapping[str, Any], where: str = "") -> Record:
    """The record of these values; raises ConfigError unless every key is there, of its type and within its bounds.

    A free-form group, such as a side's objective, is left to `mlnn.trust`, which knows the arguments of what it builds.
    """
    known = entries(record)
    lost = next((name for name in known if name not in given), None)
    if lost is not None:
        raise ConfigError(f"{_below(where, lost)}: was taken out, and is needed")
    values = {}
    for name, value in given.items():
        path = _below(where, name)
        if name not in known:
            raise ConfigError(f"{path}: {unknown('key', str(name), known)}")
        values[name] = _value(known[name], value, path)
    return record(**values)


def _value(key: Key, value: Any, path: str) -> Any:
    if value is None and key.nullable:
        return None
    nested = dataclasses.is_dataclass(key.kind)
    _check_kind((Mapping if nested else key.kind, *key.others), value, path)
    wrong = key.check(value) if key.check else None
    if wrong is not None:
        raise ConfigError(f"{path}: {wrong}")
    if key.known is not None:
        for name, inner in entries(key.known).items():
            if name in value:
                _value(inner, value[name], _below(path, name))
    return typed(key.kind, value, path) if nested else value


def _check_kind(kinds: tuple[type, ...], value: Any, path: str) -> None:
    taken = (*kinds, int) if float in kinds else kinds
    if not isinstance(value, taken) or (isinstance(value, bool) and bool not in kinds):
        raise ConfigError(f"{path}: {value!r} is not {' or '.join(KINDS[kind] for kind in kinds)}")


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
