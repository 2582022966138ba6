"""From a node of a config to the object it describes, once its names are allowed."""

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mlnn.arguments import first_line
from mlnn.errors import ConfigError, MlnnError, unknown
from mlnn.trust.names import SPECIAL, check_targets, is_list, resolve, walk


def check_arguments(function: Callable[..., Any], keys: Iterable[str], where: str) -> None:
    """Raise ConfigError for the first key that `function` has no parameter for, with the nearest one it has."""
    parameters = _parameters(function)
    if parameters is None or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    valid = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for key in keys:
        if key not in valid:
            raise ConfigError(f"{where}.{key}: {unknown('argument', str(key), valid)}")


def check_finite(node: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError for the first number in a node that is not finite."""
    for key, value in walk(node, where):
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{key}: {value!r}; a finite number is needed")


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
    for key, value in walk(given, where):
        if isinstance(value, str) and value == "???":
            raise ConfigError(f"mandatory value {key} is missing")
        if isinstance(value, float) and math.isnan(value):
            raise ConfigError(f"{key}: is nan, which is no value for anything")
    return _build(given, trusted, where, extra)


def _build(node: Mapping[str, Any], trusted: Sequence[str], where: str, extra: Mapping[str, Any]) -> Any:
    function = resolve(node["_target_"], trusted, f"{where}._target_")
    keys = [key for key in node if key != "_target_" and key not in SPECIAL]
    check_arguments(function, [*keys, *extra], where)
    _check_numbers(function, {key: node[key] for key in keys}, where)
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
        raise ConfigError(f"{where}: {node['_target_']} raised {type(error).__name__}: {first_line(error)}") from error


def _value(value: Any, trusted: Sequence[str], where: str, recursive: bool) -> Any:
    if isinstance(value, Mapping):
        if recursive and "_target_" in value:
            return _build(value, trusted, where, {})
        return {key: _value(item, trusted, f"{where}.{key}", recursive) for key, item in value.items()}
    if is_list(value):
        return [_value(item, trusted, f"{where}[{index}]", recursive) for index, item in enumerate(value)]
    return value


def _check_numbers(function: Callable[..., Any], arguments: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError for true or false in place of a number: Python would count them as 1 and 0."""
    parameters = _parameters(function) or {}
    for key, value in arguments.items():
        usual = parameters[key].default if key in parameters else None
        several = isinstance(usual, tuple) and is_list(value)
        for one in value if several else [value]:
            if isinstance(one, bool) and all(map(_is_number, usual if isinstance(usual, tuple) else [usual])):
                raise ConfigError(f"{where}.{key}: {one}; a number is needed")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
