"""Do composed settings say only what the shipped config lets them say? Keys, types, references; plain data throughout."""

import re
from typing import Any

from mlnn.errors import ConfigError, unknown

REFERENCE = re.compile(r"\$\{[\w.@\[\]-]+\}")
LANE_OPTIONS = ("outputs", "accumulate", "compile", "autocast", "optimizer", "model", "mapping", "prior")
"""How a side is run: said as `lanes.left.…`; what is said as `left.…` is an argument of the objective."""
NULLABLE = frozenset({"batch_size"})
# What a key that ships as null holds once it is set.
UNSET: dict[str, Any] = {
    **dict.fromkeys(("autocast", "likelihood", "loss", "mapping", "out", "page", "require", "targets"), ""),
    **dict.fromkeys(("foreach", "fused"), True),
    **dict.fromkeys(("batch_size", "jobs"), 1),
    **dict.fromkeys(("job_timeout", "weight_decay"), 1.0),
    **{key: [] for key in ("domain", "seeds")},
    **{key: {} for key in ("catalogue", "model", "objective")},
}
POSITIVE = ("jobs", "job_timeout")


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


def check_keys(given: dict[str, Any], shipped: dict[str, Any], where: str = "") -> None:
    """Raise ConfigError unless every key is one that the shipped config has, with a value of its type.

    A node with a `_target_`, such as a side's objective, is left to `mlnn.trust`, which knows the arguments of what it builds.
    """
    lost = next((key for key in shipped if not where and key not in given), None)
    if lost is not None:
        raise ConfigError(f"{lost}: was taken out, and is needed")
    for key, value in given.items():
        path = f"{where}.{key}".lstrip(".")
        if key not in shipped:
            if where.endswith("optimizer"):  # its own arguments, laid over the shared optimiser's
                continue
            raise ConfigError(f"{path}: {unknown('key', str(key), shipped)}")
        standard = shipped[key]
        _check_value(path, value, standard)
        if isinstance(standard, dict) and not (path in ("ladder", "catalogue") or "_target_" in standard):
            check_keys(value, standard, path)


def _check_value(path: str, value: Any, standard: Any) -> None:
    if standard is None and value is not None:
        standard = UNSET.get(path.rpartition(".")[2])
    if standard is None or (value is None and path in NULLABLE) or "._" in path:
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
    if path in POSITIVE and isinstance(value, int | float) and not value > 0:
        raise ConfigError(f"{path}: {value!r}; more than 0 is needed")
