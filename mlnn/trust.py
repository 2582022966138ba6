"""What a config may name: which `_target_` is imported and called, and which is refused before anything is imported.

Allowed: mlnn's own classes and functions, torch.nn modules, torch.optim optimisers, and everything below a top-level
module that the user trusts by name. The name is checked first, the object it led to second, because a name inside an
allowed module can walk out of it (`torch.nn.functional.torch`, `my_zoo.os.system`).
"""

import difflib
import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from torch import nn, optim

from mlnn.errors import ConfigError, MlnnError, unknown

CLASSES = {"torch.nn": nn.Module, "torch.optim": optim.Optimizer}
# Parts of mlnn that hand out other callables or write files: a config that could call them could undo every check here.
MACHINERY = ("mlnn.app", "mlnn.report", "mlnn.runs", "mlnn.testing", "mlnn.trust")
SPECIAL = {
    "_partial_": (True, False),
    "_recursive_": (True, False),
    "_convert_": ("none", "partial", "object", "all"),  # accepted as Hydra writes it; values arrive as plain containers
}


def check_targets(node: object, trusted: Sequence[str] = (), where: str = "config") -> None:
    """Raise ConfigError, with the key path, for the first refused `_target_` below `node`. Imports nothing."""
    for key, value in _walk(node, where):
        if not isinstance(value, Mapping):
            continue
        if "_args_" in value:
            raise ConfigError(f"{key}._args_: positional arguments are not read from a config; name each argument")
        for special, choices in SPECIAL.items():
            if special in value and repr(value[special]) not in map(repr, choices):  # 1 is not True here
                raise ConfigError(f"{key}.{special}: found {value[special]!r}; choices: {', '.join(map(str, choices))}")
        if "_target_" in value:
            _area(value["_target_"], trusted, f"{key}._target_")


def resolve(target: str, trusted: Sequence[str] = (), where: str = "_target_") -> Callable[..., Any]:
    """Import what `target` names and return it, if the name and the object are allowed; ConfigError otherwise."""
    area = _area(target, trusted, where)
    if area in trusted and os.getcwd() not in sys.path:
        # A console script does not look in the current folder; last in line, it shadows nothing.
        sys.path.append(os.getcwd())
    found: Any = _module(area, where)
    if found is None:
        raise ConfigError(f"{where}: no module '{area}' in the current folder or the environment")
    parts = target.removeprefix(area).split(".")[1:]
    for index, part in enumerate(parts):
        found = _step(found, part, index == len(parts) - 1, where)
        if isinstance(found, ModuleType) and not _below(found.__name__, (area,)):
            raise _leak(where, target, f"module '{found.__name__}'")
    if isinstance(found, ModuleType) or not callable(found):
        raise ConfigError(f"{where}: '{target}' is a {type(found).__name__}, not a class or function")
    if not _is_allowed(found, area, trusted):
        raise _leak(where, target, f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', '?')}")
    return found


def check_arguments(function: Callable[..., Any], keys: Iterable[str], where: str) -> None:
    """Raise ConfigError for the first key that `function` has no parameter for, with the nearest one it has."""
    parameters = _parameters(function)
    if parameters is None or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    valid = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for key in keys:
        if key not in valid:
            raise ConfigError(f"{where}.{key}: {unknown('argument', str(key), valid)}")


def instantiate(node: Mapping[str, Any], trusted: Sequence[str] = (), where: str = "config", **extra: Any) -> Any:
    """Call what `node` describes with its keys and `extra` (which wins); `_partial_: true` gives a functools.partial.

    Inner nodes that have a `_target_` are built first, unless `_recursive_: false`. Raises ConfigError for a refused
    target anywhere inside, an unknown or missing argument, a value still '???', or a call that fails; an MlnnError of
    the called function passes through unchanged.
    """
    check_targets(node, trusted, where)
    if "_target_" not in node:
        raise ConfigError(f"{where}: no _target_ says what to build")
    given = {key: value for key, value in node.items() if key not in extra}
    for key, value in _walk(given, where):
        if isinstance(value, str) and value == "???":
            raise ConfigError(f"mandatory value {key} is missing")
    return _build(given, trusted, where, extra)


def _build(node: Mapping[str, Any], trusted: Sequence[str], where: str, extra: Mapping[str, Any]) -> Any:
    function = resolve(node["_target_"], trusted, f"{where}._target_")
    keys = [key for key in node if key != "_target_" and key not in SPECIAL]
    check_arguments(function, [*keys, *extra], where)
    partial = node.get("_partial_", False)
    if not partial:
        _check_required(function, [*keys, *extra], where)
    recursive = node.get("_recursive_", True)
    arguments = {key: _value(node[key], trusted, f"{where}.{key}", recursive) for key in keys} | dict(extra)
    if partial:
        return functools.partial(function, **arguments)
    try:
        return function(**arguments)
    except MlnnError:
        raise
    except Exception as error:
        raise ConfigError(f"{where}: {node['_target_']} raised {type(error).__name__}: {error}") from error


def _value(value: Any, trusted: Sequence[str], where: str, recursive: bool) -> Any:
    if isinstance(value, Mapping):
        if recursive and "_target_" in value:
            return _build(value, trusted, where, {})
        return {key: _value(item, trusted, f"{where}.{key}", recursive) for key, item in value.items()}
    if _is_list(value):
        return [_value(item, trusted, f"{where}[{index}]", recursive) for index, item in enumerate(value)]
    return value


def _check_required(function: Callable[..., Any], keys: Sequence[str], where: str) -> None:
    for name, p in (_parameters(function) or {}).items():
        needed = p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        if needed and name not in keys:
            raise ConfigError(f"{where}.{name}: {function.__qualname__} needs this argument and it is not given")


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """Parameters by name, `self` left out; None where a compiled function does not tell them."""
    own_init = inspect.isclass(function) and function.__init__ is not object.__init__
    try:
        # A class with a permissive __new__(*args, **kwargs) would hide the names that its __init__ insists on.
        found = list(inspect.signature(function.__init__ if own_init else function).parameters.items())
    except (TypeError, ValueError):
        return None
    return dict(found[1:] if own_init else found)


def _walk(node: object, where: str) -> Iterator[tuple[str, object]]:
    yield where, node
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _walk(value, f"{where}.{key}")
    elif isinstance(node, Sequence) and _is_list(node):
        for index, value in enumerate(node):
            yield from _walk(value, f"{where}[{index}]")


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _below(name: object, roots: Iterable[str]) -> bool:
    return isinstance(name, str) and any(name == root or name.startswith(root + ".") for root in roots)


def _area(target: object, trusted: Sequence[str], where: str) -> str:
    """The allowed module that the name lies below; ConfigError, before any import, where there is none."""
    if isinstance(trusted, str) or not all(isinstance(name, str) and name.isidentifier() for name in trusted):
        raise ConfigError(f"trust: found {trusted!r}; give a list of top-level module names, e.g. trust=[my_zoo]")
    parts = target.split(".") if isinstance(target, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ConfigError(f"{where}: {target!r} is not a dotted name such as torch.nn.Linear")
    area = next((root for root in (*trusted, "mlnn", *CLASSES) if _below(target, (root,)) and target != root), None)
    if area is None:
        raise ConfigError(
            f"{where}: '{target}' is refused; a config may name mlnn's own parts, torch.nn and torch.optim classes."
            f"\nIf you trust all code in '{parts[0]}', allow it on the command line: trust=[{parts[0]}]"
        )
    hidden = next((p for p in parts if p.startswith("__" if area in trusted else "_")), None)
    if hidden:
        raise ConfigError(f"{where}: '{target}' is refused: '{hidden}' begins with an underscore")
    if _below(target, MACHINERY):
        raise ConfigError(f"{where}: '{target}' is refused: this part of mlnn is not for configs")
    return area


def _module(name: str, where: str) -> ModuleType | None:
    """The imported module, or None where there is no such module."""
    try:
        return importlib.import_module(name)
    except MlnnError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            return None
        raise ConfigError(f"{where}: importing '{name}' raised {type(error).__name__}: {error}") from error


def _step(found: Any, part: str, last: bool, where: str) -> Any:
    """One part further. Where both are called `thing`, `pkg.thing` is the attribute, `pkg.thing.x` the submodule."""
    is_package = isinstance(found, ModuleType) and hasattr(found, "__path__")
    if not (last and hasattr(found, part)) and is_package:
        module = _module(f"{found.__name__}.{part}", where)
        if module is not None:
            return module
    if hasattr(found, part):
        return getattr(found, part)
    name = getattr(found, "__name__", type(found).__name__)
    near = difflib.get_close_matches(part, [n for n in dir(found) if not n.startswith("_")], n=1, cutoff=0.5)
    raise ConfigError(f"{where}: '{name}' has no '{part}'." + (f" Did you mean '{near[0]}'?" if near else ""))


def _is_allowed(found: Any, area: str, trusted: Sequence[str]) -> bool:
    """Whether the object itself is at home where its name began (a trusted module may pass on mlnn's and torch's)."""
    home = getattr(found, "__module__", None)
    own = (*trusted, "mlnn") if area in trusted else (area,)
    if area not in CLASSES and _below(home, own) and not _below(home, MACHINERY):
        return True
    roots = [root for root in CLASSES if area in (root, *trusted) and _below(home, (root,))]
    return inspect.isclass(found) and any(issubclass(found, CLASSES[root]) for root in roots)


def _leak(where: str, target: str, found: str) -> ConfigError:
    return ConfigError(f"{where}: '{target}' is refused: it leads to {found}, which a config may not name")
