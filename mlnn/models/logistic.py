"""The linear model: weighted sums of the inputs and a bias."""

from torch import Tensor, nn

from mlnn.models.sizes import flat_size, whole


class Logistic(nn.Module):
    """Raw output w·x + b (n, outputs) of x (n, *input_shape), flattened.

    Under the Bernoulli likelihood it is logistic regression, under the Normal linear regression, under the Poisson
    log-linear regression: the link belongs to the objective.
    """

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.head = nn.Linear(flat_size(input_shape), whole("outputs", outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        raw: Tensor = self.head(x.flatten(1))
        return raw
