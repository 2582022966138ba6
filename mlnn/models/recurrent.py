"""A gated recurrent network that reads a row as a sequence."""

from torch import Tensor, nn

from mlnn.models import layers
from mlnn.models.sizes import sequence_size, whole


class Recurrent(nn.Module):
    """`depth` stacked GRU layers of `width` units; the head reads the last step.

    x (n, *input_shape) → raw output (n, outputs). An image (channels, height, width) is read row by row, flat features
    one at a time, a (steps, features) row as it is. Raises ConfigError for an impossible size or shape.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int, depth: int = 1, width: int = 32) -> None:
        super().__init__()
        _, features = sequence_size("Recurrent", input_shape)
        self.gru = nn.GRU(features, whole("width", width, 1), whole("depth", depth, 1), batch_first=True)
        self.head = nn.Linear(width, whole("outputs", outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.gru(layers.as_sequence(x))
        raw: Tensor = self.head(states[:, -1])
        return raw
