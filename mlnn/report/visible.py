"""Names made safe to show, for those who print results; the functions live below everything that raises an error."""

from mlnn.visible import visible

__all__ = ["visible"]
