"""A small transformer encoder that reads a row as a sequence."""

import torch
from torch import Tensor, nn

from mlnn.errors import ConfigError
from mlnn.models import layers
from mlnn.models.sizes import sequence_size, whole


class Transformer(nn.Module):
    """`depth` pre-norm blocks of self-attention (`heads` heads) and a perceptron, learned positions, mean over steps.

    x (n, *input_shape) → raw output (n, outputs). An image (channels, height, width) is read row by row, flat features
    one at a time, a (steps, features) row as it is. Raises ConfigError for an impossible size or shape, for heads that
    do not divide `width`, and for an unknown activation.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        depth: int = 2,
        width: int = 32,
        heads: int = 4,
        activation: str = "gelu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        steps, features = sequence_size("Transformer", input_shape)
        if whole("width", width, 1) % whole("heads", heads, 1):
            raise ConfigError(f"model.heads: must divide model.width={width}, found {heads}; {_divisors(width)} do")
        self.stem = nn.Linear(features, width)
        self.positions = nn.Parameter(0.02 * torch.randn(steps, width))
        middle, end = layers.activation(activation), layers.dropout(dropout)
        blocks = [_block(width, heads, middle, end) for _ in range(whole("depth", depth, 0))]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, whole("outputs", outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        steps = self.blocks(self.stem(layers.as_sequence(x)) + self.positions)
        raw: Tensor = self.head(self.norm(steps).mean(dim=1))
        return raw


class SelfAttention(nn.Module):
    """softmax(q·kᵀ/√d)·v over the steps of (n, steps, width), in `heads` parts of d = width/heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # No bias: softmax takes the key's off again, and its gradient would be pure rounding.
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.project(x).chunk(3, dim=-1)
        )  # each (n, heads, steps, d)
        # Scores with the keys first, (n, heads, keys, queries): softmax is about three times faster over this axis, and
        # on rows this short the formula written out is no slower than the fused kernel.
        scores = key @ (query * query.shape[-1] ** -0.5).transpose(-2, -1)
        mixed = scores.softmax(dim=-2).transpose(-2, -1) @ value
        merged: Tensor = self.merge(mixed.transpose(1, 2).flatten(2))
        return merged


def _block(width: int, heads: int, middle: nn.Module, end: nn.Module) -> nn.Module:
    wide, narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
    attention = nn.Sequential(nn.LayerNorm(width), SelfAttention(width, heads), end)
    perceptron = nn.Sequential(nn.LayerNorm(width), wide, middle, narrow, end)
    return nn.Sequential(layers.Residual(attention), layers.Residual(perceptron))


def _divisors(width: int) -> str:
    return ", ".join(str(heads) for heads in range(1, width + 1) if width % heads == 0)
