"""A model as a function of one flat vector of its trained parameters."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call


class FlatModel:
    """A float64 module in evaluation mode, the caller's own copy, as a function of its trained parameters in one vector.

    parts: these parameters by name, as they stand; flat (p,): the same in one vector. Parameters that require no gradient
    stay as they are. baseline: raw outputs of classes are free up to a constant per row, so that of class 0 is taken off.
    """

    def __init__(self, module: nn.Module, baseline: bool) -> None:
        self.module, self.baseline = module, baseline
        self.parts = {name: part.detach() for name, part in module.named_parameters() if part.requires_grad}
        self.flat = torch.cat([part.reshape(-1) for part in self.parts.values()])

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """A flat vector (p,) as the model's parameters."""
        pieces = torch.split(flat, [part.numel() for part in self.parts.values()])
        return {name: piece.view_as(part) for (name, part), piece in zip(self.parts.items(), pieces, strict=True)}

    def output(self, flat: Tensor, x: Tensor) -> Tensor:
        """What the module gives for rows x (n, …). It may work on x in place: a caller who keeps x gives a clone."""
        output: Tensor = functional_call(self.module, self.named(flat), (x,))
        return output

    def free(self, flat: Tensor, x: Tensor) -> Tensor:
        """Free raw outputs (n, m) of rows x: of classes, relative to class 0."""
        output = self.output(flat, x).reshape(len(x), -1)
        return output[:, 1:] - output[:, :1] if self.baseline else output

    def names(self) -> tuple[str, ...]:
        """`weight[0,1]` for each entry of the flat vector."""
        at = ((name, index) for name, part in self.parts.items() for index in np.ndindex(tuple(part.shape)))
        return tuple(f"{name}[{','.join(map(str, index))}]" if index else name for name, index in at)
