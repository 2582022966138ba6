"""Where the process's random streams stand: kept, told in a word each, and put back."""

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from mlnn.errors import DataError

WORDS = 624
"""State words of the Mersenne Twister, which Python's and numpy's streams are; a place follows."""
Streams = Mapping[str, Tensor]


def streams() -> dict[str, Tensor]:
    """All streams that a forward pass may draw from, by name: "torch", "cuda:0", …, "python", "numpy"."""
    found = {"torch": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        found |= {f"cuda:{at}": torch.cuda.get_rng_state(at) for at in range(torch.cuda.device_count())}
    return found | _python(*random.getstate()) | _numpy()


@lru_cache(maxsize=1)  # few loops draw from it between two steps
def _python(version: int, words: tuple[int, ...], gauss: float | None) -> dict[str, Tensor]:
    state = np.array([*words, version], np.int64)
    rest = [] if gauss is None else [gauss]
    return {"python": torch.from_numpy(state), "python_gauss": torch.tensor(rest, dtype=torch.float64)}


def _numpy() -> dict[str, Tensor]:
    _, keys, place, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - the global stream is just what is meant
    state = np.empty(WORDS + 2, np.int64)
    state[:WORDS], state[WORDS:] = keys, (place, has_gauss)
    return {"numpy": torch.from_numpy(state), "numpy_gauss": torch.tensor([cached], dtype=torch.float64)}


def told(found: Streams) -> dict[str, str]:
    """A word for where each stream stands: 16 hexadecimal digits."""
    return {name: hashlib.blake2b(state.numpy().tobytes(), digest_size=8).hexdigest() for name, state in found.items()}


def put_back(found: Streams) -> None:
    """Let the streams stand where they stood; DataError where a state is none of theirs, or a device is not here."""
    for name, state in found.items():
        if name.startswith("cuda:") and not torch.cuda.is_available():
            continue  # a replay on a processor draws from that processor's own stream
        try:
            _put(name, state, found)
        except (ValueError, RuntimeError, TypeError, IndexError, KeyError, OverflowError) as problem:
            raise DataError(f"its random state '{name[:40]}' is damaged") from problem


def _put(name: str, state: Tensor, found: Streams) -> None:
    if name == "torch":
        torch.set_rng_state(state)
    elif name.startswith("cuda:"):
        torch.cuda.set_rng_state(state, int(name.removeprefix("cuda:")))
    elif name == "python":
        *words, version = state.tolist()
        gauss = found["python_gauss"].tolist()
        random.setstate((version, tuple(words), gauss[0] if gauss else None))
    elif name == "numpy":
        *keys, place, has_gauss = state.tolist()
        cached = float(found["numpy_gauss"][0])
        np.random.set_state(("MT19937", np.array(keys, np.uint32), place, has_gauss, cached))  # noqa: NPY002


@contextmanager
def kept() -> Iterator[None]:
    """The streams as they are now, again afterwards."""
    before = streams()
    try:
        yield
    finally:
        put_back(before)
