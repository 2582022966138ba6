"""What mlnn ships beside its code: the configs, and the constructors that they name."""

import re
from functools import cache
from pathlib import Path

_TARGET = re.compile(r"^[ \t]*(?:- *)?_target_: *([\w.]+)[ \t]*(?:#.*)?$", re.MULTILINE | re.ASCII)


def config_dir() -> Path:
    """The shipped configs: beside the package in a checkout, inside it once installed."""
    here = Path(__file__).resolve().parent
    return next(path for path in (here / "configs", here.parent / "configs") if path.is_dir())


@cache
def targets() -> frozenset[str]:
    """Every `_target_` of a shipped config, as it is written there."""
    files = sorted(config_dir().rglob("*.yaml"))
    return frozenset(name for file in files for name in _TARGET.findall(file.read_text(encoding="utf-8")))
