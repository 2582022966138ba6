"""Child processes that do not look for modules in the current folder, where somebody's `numpy.py` may lie."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def safe_children() -> Iterator[None]:
    """Python started inside the block puts the current folder nowhere on its path.

    A worker of joblib is started as `python -m …`, which looks there first of all; what the parent had on its own path
    is handed to it afterwards.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("PYTHONSAFEPATH", None)
        else:
            os.environ["PYTHONSAFEPATH"] = before
