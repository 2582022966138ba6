"""Densities of several raw outputs for the audit's tests: two outputs, and what their integrals were found to be."""

from typing import Any

import torch
from asked_cases import asked as asked_of
from asked_cases import f64, normal

from mlnn.auditing.ask import Loss
from mlnn.auditing.integrals import Total
from mlnn.auditing.record import Witness
from mlnn.auditing.vouching import Cloud

OUTPUTS = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=f64)
SHOWN = Witness(says="shown")


def asked(function: Any = normal, targets: str = "real(raw=2)") -> Loss:
    return asked_of(function, targets)


def total(off: float = 0.0, error: float = 0.0, level: float = 1.0, count: int = 9) -> Total:
    z = torch.full((count,), level, dtype=f64)
    z[-1] = level * (1 + off)
    return Total(z, error, torch.full_like(z, error), "it is wild")


def near(off: float = 0.0, error: float = 0.0, level: float = 1.0) -> Cloud:
    return Cloud(OUTPUTS, total(off, error, level))
