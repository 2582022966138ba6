"""An audit has a world of its own: what the caller has set does not change its answer, and what a loss sets does not stay."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from mlnn.seeding import derive
from mlnn.world import own_world


@contextmanager
def quiet_world() -> Iterator[None]:
    """`mlnn.world.own_world` with the caller's number of threads, and without warnings: a loss is asked far out."""
    with own_world(None, derive(0, "audit")), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
