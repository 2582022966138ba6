"""matplotlib as it is shipped: whatever settings lie in the current folder, they are not read, and draw no picture."""

import importlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

# What is no matter of the look, and belongs to the caller.
_NOT_THE_LOOK = ("backend", "backend_fallback", "interactive", "timezone", "toolbar", "tk.window_focus", "webagg.address",
                 "webagg.open_in_browser", "webagg.port", "webagg.port_retries")  # fmt: skip


@contextmanager
def drawing(settings: Mapping[str, Any] | None = None) -> Iterator[tuple[Any, Any]]:
    """(Figure, its canvas), with every setting as matplotlib ships it, but for `settings`; the caller's are as before,
    afterwards."""
    matplotlib = _imported()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shipped = {key: value for key, value in matplotlib.rcParamsDefault.items() if key not in _NOT_THE_LOOK}
    with matplotlib.rc_context(shipped | dict(settings or {})):
        yield Figure, FigureCanvasAgg


def _imported() -> Any:
    """matplotlib; it looks for its settings once, on being imported, and in the current folder first of all.

    They may be somebody else's, could name code to import, or be a pipe that is never written to. No setting of
    matplotlib's own turns that look away, so for as long as the import takes, and in this thread only, that one file is
    not there. A file of settings that the user has elsewhere is read as ever.
    """
    if "matplotlib" not in sys.modules:
        found, me = os.path.exists, threading.get_ident()

        def exists(path: Any) -> bool:
            return not (threading.get_ident() == me and _is_in_the_current_folder(path)) and found(path)

        with patch.object(os.path, "exists", exists):
            importlib.import_module("matplotlib")
    return sys.modules["matplotlib"]


def _is_in_the_current_folder(path: Any) -> bool:
    """Whether this is the name of settings there, given as such or through a variable that names another place."""
    if path != os.environ.get("MATPLOTLIBRC") and os.path.basename(path) != "matplotlibrc":
        return False
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(os.getcwd()))
    return inside and Path(path).parent.name != "mpl-data"  # its own, where it is installed below this folder
