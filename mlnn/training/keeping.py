"""What training asks of whoever keeps its state, so that it goes on where another process has ended."""

from collections.abc import Sequence
from typing import Any, Protocol

from mlnn.data import Dataset, Stream
from mlnn.training.recipe import Recipe

STILL = (Recipe, Dataset, Stream)
"""Classes whose objects are made anew from a run's settings, and stay as they are while it trains."""


class Keep(Protocol):
    """Keeps the state of a run, from one process to the next."""

    def begin(self, engine: str, roots: Sequence[Any], fixed: tuple[type, ...], data: str) -> int:
        """How many steps are done already, the roots and all that hangs together with them then standing where these have led.

        engine: how it is trained, in words; fixed: classes whose objects stay as they are; data: its fingerprint.
        """

    def done(self, step: int) -> None:
        """So many steps are done. Raises KeyboardInterrupt where the run is to stop here."""

    def finished(self) -> None:
        """There are no more steps."""
