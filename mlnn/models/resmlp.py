"""The residual perceptron with layer norm."""

from torch import Tensor, nn

from mlnn.models import layers
from mlnn.models.sizes import flat_size, whole


class ResMLP(nn.Module):
    """A linear stem, then `depth` residual blocks h + W₂·act(W₁·LayerNorm(h)) of `width` units, then norm and head.

    x (n, *input_shape), flattened → raw output (n, outputs). Raises ConfigError for an impossible size or an unknown
    activation.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        depth: int = 2,
        width: int = 32,
        activation: str = "gelu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = nn.Linear(flat_size(input_shape), whole("width", width, 1))
        middle, end = layers.activation(activation), layers.dropout(dropout)
        blocks = [_block(width, middle, end) for _ in range(whole("depth", depth, 0))]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, whole("outputs", outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        raw: Tensor = self.head(self.norm(self.blocks(self.stem(x.flatten(1)))))
        return raw


def _block(width: int, middle: nn.Module, end: nn.Module) -> nn.Module:
    first, second = nn.Linear(width, width), nn.Linear(width, width)
    return layers.Residual(nn.Sequential(nn.LayerNorm(width), first, middle, second, end))
