"""The multilayer perceptron."""

from torch import Tensor, nn

from mlnn.models import layers
from mlnn.models.sizes import flag, flat_size, whole


class MLP(nn.Module):
    """`depth` hidden layers (linear, norm, activation, dropout) of `width` units; depth 0 is the linear model.

    x (n, *input_shape), flattened → raw output (n, outputs). `residual` adds its input to every hidden layer but the
    first, whose input has another width. Raises ConfigError for an impossible size or an unknown activation or norm.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        depth: int = 2,
        width: int = 32,
        activation: str = "relu",
        norm: str = "none",
        dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        super().__init__()
        size = flat_size(input_shape)
        whole("width", width, 1)
        skip = flag("residual", residual)
        make_norm, end = layers.norm(norm), [layers.activation(activation), layers.dropout(dropout)]
        self.hidden = nn.Sequential()
        for _ in range(whole("depth", depth, 0)):
            # Batch norm takes off any bias put before it: such a bias would only gather rounding as its gradient.
            linear = nn.Linear(size, width, bias=norm != "batch")
            layer = nn.Sequential(linear, make_norm(width), *end)
            self.hidden.append(layers.Residual(layer) if skip and len(self.hidden) else layer)
            size = width
        self.head = nn.Linear(size, whole("outputs", outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        raw: Tensor = self.head(self.hidden(x.flatten(1)))
        return raw
