"""torch's plain gradient descent, made and stepped without torch's compiler.

The first optimiser of torch's that a process makes, and the first step that it takes, import the compiler: 1.3 s of
processor time, for a check that trains a small network for 12 steps. This one comes about as an unpickled one does, and takes the
same step, bit for bit.
"""

import inspect
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

SETTINGS: dict[str, Any] = {
    name: one.default for name, one in inspect.signature(torch.optim.SGD).parameters.items() if name != "params"
}
"""torch's own settings of it, as they ship."""
_step = inspect.unwrap(torch.optim.SGD.step)


class SGD(torch.optim.SGD):
    """`torch.optim.SGD(params, lr)`, all else as it ships. params: weights, or groups of them, at least one."""

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float) -> None:
        given: list[Any] = list(params)
        if not given:
            raise ValueError("optimizer got an empty parameter list")
        settings = SETTINGS | {"lr": lr}
        groups = [settings | one for one in (given if isinstance(given[0], dict) else [{"params": given}])]
        held = {"defaults": settings, "state": defaultdict(dict), "param_groups": groups}
        self.__setstate__(held)  # type: ignore[no-untyped-call]

    def step(self) -> None:  # type: ignore[override]
        """Move every weight that has a gradient against it."""
        with torch.no_grad():
            _step(self)
