"""The relations between two objectives, strongest first."""

from mlnn.errors import ConfigError, unknown

ORDER = ("bitwise", "equal", "indistinguishable", "shifted", "scaled", "different", "broken", "undecided")
REQUIRABLE = ORDER[:5]


def weakest(*relations: str) -> str:
    """The weakest of several relations."""
    return max(relations, key=ORDER.index)


def check_require(require: str | None) -> None:
    """Raise ConfigError for a `require` that names no relation that can pass."""
    if require is not None and require not in REQUIRABLE:
        raise ConfigError("require: " + unknown("relation", str(require), REQUIRABLE))
