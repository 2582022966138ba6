"""The model without inputs: the raw output is a parameter."""

import torch
from torch import Tensor, nn

from mlnn.models.sizes import flat_size, whole


class Free(nn.Module):
    """One learned constant per output, the same for every row: x (n, *input_shape) is counted and not read.

    Training it fits a fixed parametric family, e.g. the one probability of a Bernoulli sample, by the very loop that
    trains a network. It starts at N(0, 0.1²), not at 0, where symmetric outputs would stay equal for ever.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        flat_size(input_shape)
        self.constant = nn.Parameter(0.1 * torch.randn(whole("outputs", outputs, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.constant.expand(len(x), -1)
