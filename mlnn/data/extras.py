"""Packages that only some data sets need, imported when first used."""

import importlib
from typing import Any

from mlnn.errors import ConfigError


def optional(module: str, user: str) -> Any:
    """Import an optional module; raises ConfigError, with the command that installs it, where it is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise ConfigError(f"{user} needs {package}, which is not installed: pip install 'mlnn[data]'") from error
