"""What the speed of training is measured on: networks, their data, and the one recipe that all sides train."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import nn

from mlnn.data import Dataset, breast_cancer, digits_parity, from_arrays
from mlnn.errors import ConfigError, unknown
from mlnn.models import MLP, Conv, Recurrent, ResMLP, ResNet, SigmoidNode, Transformer
from mlnn.objectives import bce_with_logits
from mlnn.training import LaneRecipe, Recipe

ROWS, BATCH = 448, 32
"""An epoch is 14 batches of one size: what is fitted to a shape is fitted once."""
ADAM = partial(torch.optim.Adam, lr=1e-3)
NETWORKS: dict[str, tuple[Callable[..., nn.Module], Callable[..., Dataset]]] = {
    "node": (SigmoidNode, breast_cancer),
    "mlp_1x32": (partial(MLP, depth=1, width=32), breast_cancer),
    "mlp_4x64": (partial(MLP, depth=4, width=64), breast_cancer),
    "mlp_8x64": (partial(MLP, depth=8, width=64), breast_cancer),
    "conv": (Conv, digits_parity),
    "transformer": (Transformer, digits_parity),
    "resmlp": (ResMLP, breast_cancer),
    "resnet": (ResNet, digits_parity),
    "recurrent": (Recurrent, digits_parity),
}
STEPS, FEWER = 1000, {"conv": 400, "transformer": 200, "resnet": 400, "recurrent": 400}
"""Of a whole comparison; of some networks."""
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Cell:
    """A network of NETWORKS in a precision of DTYPES; ConfigError for another."""

    network: str
    dtype: str

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ConfigError("networks: " + unknown("network", self.network, NETWORKS))
        if self.dtype not in DTYPES:
            raise ConfigError("dtypes: " + unknown("dtype", self.dtype, DTYPES))

    @property
    def torch_dtype(self) -> torch.dtype:
        """As torch calls it."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    def data(self) -> Dataset:
        """ROWS rows, float64."""
        return _rows(self.network)

    def model(self) -> nn.Module:
        """A new network, from rows of the data to raw outputs (n, 1)."""
        return NETWORKS[self.network][0](tuple(self.data().x.shape[1:]), 1)

    def recipe(self, steps: int) -> Recipe:
        """What a lane of mlnn trains."""
        return Recipe(self.data(), self.model, steps, BATCH, self.torch_dtype)


@cache
def _rows(network: str) -> Dataset:
    data = NETWORKS[network][1]()
    return from_arrays(data.x[:ROWS], data.y[:ROWS])


def lane() -> LaneRecipe:
    """The one lane: torch's cross-entropy on logits, under Adam."""
    return LaneRecipe(bce_with_logits, ADAM)
