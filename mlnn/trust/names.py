"""What a config may name: which `_target_` is imported and called, and which is refused before anything is imported.

Allowed: the constructors that a shipped config names, exactly as it names them; the module classes of torch.nn and the
optimisers of torch.optim; everything below a top-level module that the user trusts by name. For a trusted module the
name is checked first, the object it led to second, because a name inside it can walk out of it (`my_zoo.os.system`).
"""

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from torch import nn, optim

from mlnn.arguments import first_line
from mlnn.errors import ConfigError, MlnnError
from mlnn.shipped import targets
from mlnn.visible import shown

# Where a name may begin, what it must lead to, and where that must be at home. Not all of torch.nn: its parallel modules
# open sockets, its utilities take over other modules.
CLASSES = {"torch.nn": (nn.Module, "torch.nn.modules"), "torch.optim": (optim.Optimizer, "torch.optim")}
MOST_DEPTH, MOST_VALUES, LONGEST_NAME = 64, 200_000, 500
SPECIAL = {
    "_partial_": (True, False),
    "_recursive_": (True, False),
    "_convert_": ("none", "partial", "object", "all"),  # accepted as Hydra writes it; values arrive as plain containers
}


def check_targets(node: object, trusted: Sequence[str] = (), where: str = "config") -> None:
    """Raise ConfigError, with the key path, for the first refused `_target_` below `node`. Imports nothing."""
    for key, value in walk(node, where):
        if not isinstance(value, Mapping):
            continue
        if "_args_" in value:
            raise ConfigError(f"{key}._args_: positional arguments are not read from a config; name each argument")
        for special, choices in SPECIAL.items():
            if special in value and not _is_one_of(value[special], choices):
                raise ConfigError(
                    f"{key}.{special}: found {shown(value[special])}; choices: {', '.join(map(str, choices))}"
                )
        if "_target_" in value:
            _allowed(value["_target_"], trusted, f"{key}._target_")


def resolve(target: str, trusted: Sequence[str] = (), where: str = "_target_") -> Callable[..., Any]:
    """Import what `target` names and return it, if the name and the object are allowed; ConfigError otherwise."""
    area = _allowed(target, trusted, where)
    if area in trusted:
        return _trusted(target, area, trusted, where)
    if area in CLASSES:
        return _torch_class(target, area, where)
    module, _, name = target.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _trusted(target: str, area: str, trusted: Sequence[str], where: str) -> Callable[..., Any]:
    """What `target` names below the trusted module `area`."""
    if os.getcwd() not in sys.path:
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
    if not _may_pass_on(found, trusted):
        raise _leak(where, target, _home(found))
    passed: Callable[..., Any] = found
    return passed


def walk(node: object, where: str) -> Iterator[tuple[str, object]]:
    """Every (key path, value) below `node`, itself first, in order; ConfigError where it is too deep or too large."""
    waiting, seen = [(where, node, 0)], 0
    while waiting:
        path, value, depth = waiting.pop()
        seen += 1
        if depth > MOST_DEPTH or seen > MOST_VALUES:
            limit = f"nested more than {MOST_DEPTH} deep" if depth > MOST_DEPTH else f"more than {MOST_VALUES:,} values"
            raise ConfigError(f"{shown(where)}: {limit}; no setting of mlnn is")
        yield path, value
        waiting += [(name, item, depth + 1) for name, item in reversed(_inside(value, path))]


def _inside(value: object, path: str) -> list[tuple[str, object]]:
    """What a mapping or a list holds, each with its key path."""
    if isinstance(value, Mapping):
        return [(f"{path}.{shown(key)}", item) for key, item in value.items()]
    if not (isinstance(value, Sequence) and is_list(value)):
        return []
    if len(value) > MOST_VALUES:
        raise ConfigError(f"{path}: more than {MOST_VALUES:,} values; no setting of mlnn has as many")
    return [(f"{path}[{index}]", item) for index, item in enumerate(value)]


def _is_one_of(value: object, choices: Iterable[object]) -> bool:
    # 1 is not True here, and what is nested is not looked into.
    return isinstance(value, bool | str) and any(type(value) is type(one) and value == one for one in choices)


def is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _below(name: object, roots: Iterable[str]) -> bool:
    return isinstance(name, str) and any(name == root or name.startswith(root + ".") for root in roots)


def _allowed(target: object, trusted: Sequence[str], where: str) -> str:
    """Where the name begins: a trusted module, torch.nn, torch.optim, or mlnn. ConfigError, before any import, if refused."""
    if isinstance(trusted, str) or not all(isinstance(name, str) and name.isidentifier() for name in trusted):
        raise ConfigError(f"trust: found {shown(trusted)}; give a list of top-level module names, e.g. trust=[my_zoo]")
    name = _dotted(target, where)
    parts = name.split(".")
    area = _root_of(name, trusted)
    _refuse_hidden(name, parts, "__" if area else "_", where)
    if area is not None:
        return area
    area = _root_of(name, CLASSES)
    if area is not None:
        _torch_class(name, area, where)
        return area
    if name not in targets():
        raise _refusal(name, parts[0], where)
    return "mlnn"


def _dotted(target: object, where: str) -> str:
    """The name, as plain text, if it is two or more words with dots between them."""
    parts = target.split(".") if isinstance(target, str) and len(target) <= LONGEST_NAME else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        found = f"'{shown(target)}'" if isinstance(target, str) else shown(target)
        raise ConfigError(f"{where}: {found} is not a dotted name such as torch.nn.Linear")
    return ".".join(parts)


def _root_of(name: str, roots: Iterable[str]) -> str | None:
    return next((root for root in roots if _below(name, (root,))), None)


def _refuse_hidden(target: str, parts: Sequence[str], mark: str, where: str) -> None:
    hidden = next((part for part in parts if part.startswith(mark)), None)
    if hidden:
        raise ConfigError(f"{where}: '{shown(target)}' is refused: '{shown(hidden)}' begins with an underscore")


def _refusal(target: str, root: str, where: str) -> ConfigError:
    if not target.isascii():
        odd = next(letter for letter in target if not letter.isascii())
        return ConfigError(f"{where}: {target!a} is refused: it holds {odd!a}, which only looks like another letter")
    if root == "mlnn":
        hint = _nearest(target, targets(), 0.8)
        return ConfigError(
            f"{where}: '{target}' is refused: of mlnn's own parts a config may name those that a shipped config names.{hint}"
        )
    return ConfigError(
        f"{where}: '{target}' is refused; a config may name what mlnn's own configs name, torch.nn and torch.optim classes."
        f"\nIf you trust all code in '{root}', allow it on the command line: trust=[{root}]"
    )


def _torch_class(target: str, area: str, where: str) -> type:
    """The class that a name in torch.nn or torch.optim leads to: one step from a module that torch has imported itself."""
    parts = target.split(".")
    known = {area, *sys.modules}
    length = max(n for n in range(1, len(parts) + 1) if ".".join(parts[:n]) in known)
    module, rest = ".".join(parts[:length]), parts[length:]
    if not rest:
        raise ConfigError(f"{where}: '{target}' is a module, not a class or function")
    if not target.isascii():
        raise _refusal(target, parts[0], where)
    names = vars(sys.modules[module])
    found = names.get(rest[0])
    if found is None:
        hint = _nearest(rest[0], [name for name in names if name[0] != "_"])
        raise ConfigError(f"{where}: '{target}' is refused: '{module}' has no '{shown(rest[0])}'.{hint}")
    if len(rest) > 1:
        raise _leak(where, target, f"what lies inside '{module}.{rest[0]}'")
    if not _is_torch_class(found, area):
        raise _leak(where, target, _home(found))
    made: type = found
    return made


def _nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """A sentence that names the nearest thing that exists; empty where nothing is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f" Did you mean '{near[0]}'?" if near else ""


def _is_torch_class(found: object, area: str) -> bool:
    kind, home = CLASSES[area]
    return inspect.isclass(found) and issubclass(found, kind) and _below(found.__module__, (home,))


def _module(name: str, where: str) -> ModuleType | None:
    """The imported module, or None where there is no such module."""
    try:
        return importlib.import_module(name)
    except MlnnError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            return None
        raise ConfigError(f"{where}: importing '{name}' raised {type(error).__name__}: {first_line(error)}") from error


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
    hint = _nearest(part, [n for n in dir(found) if not n.startswith("_")])
    raise ConfigError(f"{where}: '{name}' has no '{part}'.{hint}")


def _may_pass_on(found: Any, trusted: Sequence[str]) -> bool:
    """Whether a trusted module may hand out this object: its own, or what a config could have named itself."""
    home, name = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    if _below(home, trusted) or any(_is_torch_class(found, area) for area in CLASSES):
        return True
    if not _below(home, ("mlnn",)):
        return False
    if inspect.isclass(found) and issubclass(found, MlnnError):
        return True
    return any(resolve(target) is found for target in _shipped_as(name))


def _shipped_as(name: object) -> Iterator[str]:
    """What of mlnn's own a shipped config names so at its end."""
    return (target for target in targets() if _below(target, ("mlnn",)) and target.rpartition(".")[2] == name)


def _home(found: object) -> str:
    if isinstance(found, ModuleType):
        return f"module '{found.__name__}'"
    return f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', type(found).__name__)}"


def _leak(where: str, target: str, found: str) -> ConfigError:
    return ConfigError(f"{where}: '{target}' is refused: it leads to {found}, which a config may not name")
