"""A small convolutional network in the manner of LeNet."""

from torch import Tensor, nn

from mlnn.models import layers
from mlnn.models.sizes import image_size, whole


class Conv(nn.Module):
    """Two 3×3 convolutions of `width` and 2·`width` channels, each halved by average pooling, then a hidden layer.

    Images x (n, channels, height, width), of any size → raw output (n, outputs). Raises ConfigError for rows that are
    not images, an impossible size or an unknown activation.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        width: int = 8,
        hidden: int = 32,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        channels, high, wide = image_size("Conv", input_shape)
        whole("width", width, 1)
        middle, end = layers.activation(activation), layers.dropout(dropout)
        self.features = nn.Sequential(_stage(channels, width, middle), _stage(width, 2 * width, middle))
        first = nn.Linear(2 * width * _quarter(high) * _quarter(wide), whole("hidden", hidden, 1))
        self.hidden = nn.Sequential(first, middle, end)
        self.head = nn.Linear(hidden, whole("outputs", outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        raw: Tensor = self.head(self.hidden(self.features(x).flatten(1)))
        return raw


def _stage(inputs: int, channels: int, middle: nn.Module) -> nn.Module:
    # Rounding the pooled size up keeps one pixel of one: images of every size fit.
    return nn.Sequential(nn.Conv2d(inputs, channels, 3, padding=1), middle, nn.AvgPool2d(2, ceil_mode=True))


def _quarter(pixels: int) -> int:
    """Pixels left after two halvings, each rounded up."""
    return -(-pixels // 4)
