"""Two losses proved equal on an interval of raw outputs by ball arithmetic, or the place where they part."""

from typing import TYPE_CHECKING, Any

from mlnn.errors import ConfigError

if TYPE_CHECKING:
    from mlnn.proving.proof import Proof
    from mlnn.proving.prove import prove

__all__ = ["Proof", "prove"]


def __getattr__(name: str) -> Any:
    """Load on first use; ball arithmetic is an extra."""
    if name not in __all__:
        raise AttributeError(f"module 'mlnn.proving' has no attribute '{name}'")
    try:
        import flint  # noqa: F401
    except ImportError:
        raise ConfigError("mlnn.prove needs python-flint, which is not installed: pip install 'mlnn[proof]'") from None
    from importlib import import_module

    return getattr(import_module(f"mlnn.proving.{name.lower()}"), name)
