"""The one-node network: a weighted sum of the inputs, no bias."""

from torch import Tensor, nn

from mlnn.models.sizes import flat_size, whole


class SigmoidNode(nn.Module):
    """f_w(x) = σ(Σ w_j x_j) without its σ: the raw output is the sum (n, outputs) of x (n, *input_shape), flattened.

    There is no bias; to have one, add a column of ones or take `Logistic`.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.head = nn.Linear(flat_size(input_shape), whole("outputs", outputs, 1), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        raw: Tensor = self.head(x.flatten(1))
        return raw
