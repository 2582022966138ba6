"""Randomness split by purpose: one seed, and for each purpose a stream of its own.

Changing how often one purpose draws (say, dropout) then leaves the others (row order, initial weights) as they were.
"""

import hashlib

import torch

from mlnn.arguments import whole


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for a purpose, e.g. `derive(0, "dropout", step)`. Every seed counts, 0 included.

    Raises ConfigError for a seed that is no whole number of at most 64 bits: 1.5 would otherwise be seed 1.
    """
    text = "/".join([str(whole("seed", seed, -(2**64), 2**64)), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for a purpose (`data`, `rows`, `weights`, `dropout`, `null`)."""
    return torch.Generator().manual_seed(derive(seed, *purpose))
