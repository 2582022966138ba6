"""Two losses proved equal on an interval of raw outputs by ball arithmetic, or the place where they part."""

from typing import TYPE_CHECKING, Any

from mlnn.errors import ConfigError

if TYPE_CHECKING:
    from mlnn.proving.equal import prove
    from mlnn.proving.proof import Proof

__all__ = ["Proof", "prove"]
_HOMES = {"Proof": "mlnn.proving.proof", "prove": "mlnn.proving.equal"}


def __getattr__(name: str) -> Any:
    """Load on first use; ball arithmetic is an extra."""
    if name not in __all__:
        raise AttributeError(f"module 'mlnn.proving' has no attribute '{name}'")
    try:
        import flint  # noqa: F401
    except ImportError:
        raise ConfigError("mlnn.prove needs python-flint, which is not installed: pip install 'mlnn[proof]'") from None
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
