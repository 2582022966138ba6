"""The relations between two objectives, strongest first."""

from mlnn.arguments import shown
from mlnn.errors import ConfigError, unknown

ORDER = ("bitwise", "equal", "indistinguishable", "shifted", "scaled", "different", "broken", "undecided")
REQUIRABLE = ORDER[:5]


def weakest(*relations: str) -> str:
    """The weakest of several relations."""
    return max(relations, key=ORDER.index)


def check_require(require: str | None) -> None:
    """Raise ConfigError for a `require` that names no relation that can pass."""
    if require is not None and not (isinstance(require, str) and require in REQUIRABLE):
        given = require if isinstance(require, str) else shown(require)
        raise ConfigError("require: " + unknown("relation", given, REQUIRABLE))
