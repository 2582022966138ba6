"""A small residual convolutional network with batch norm."""

from torch import Tensor, nn

from mlnn.models import layers
from mlnn.models.sizes import image_size, whole


class ResNet(nn.Module):
    """A 3×3 stem of `width` channels that halves the image, `blocks` residual blocks of two 3×3 convolutions, the mean
    over pixels, a head.

    Images x (n, channels, height, width), of any size → raw output (n, outputs). Batch norm makes the rows of a
    training batch depend on one another; in eval mode they do not. Raises ConfigError for rows that are not images, an
    impossible size or an unknown activation.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        width: int = 8,
        blocks: int = 2,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        channels, _, _ = image_size("ResNet", input_shape)
        end = layers.activation(activation)
        self.stem = nn.Sequential(*_convolution(channels, whole("width", width, 1), stride=2), end)
        self.blocks = nn.Sequential(*(_block(width, end) for _ in range(whole("blocks", blocks, 0))))
        self.head = nn.Linear(width, whole("outputs", outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        raw: Tensor = self.head(self.blocks(self.stem(x)).mean(dim=(2, 3)))
        return raw


def _convolution(inputs: int, width: int, stride: int = 1) -> list[nn.Module]:
    # No bias: the batch norm behind it would take it off again.
    return [nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width)]


def _block(width: int, end: nn.Module) -> nn.Module:
    branch = nn.Sequential(*_convolution(width, width), end, *_convolution(width, width))
    return nn.Sequential(layers.Residual(branch), end)
