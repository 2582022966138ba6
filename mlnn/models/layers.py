"""The small parts that several models share: activation, norm, dropout, residual sum, a row read as a sequence."""

from collections.abc import Callable

from torch import Tensor, nn

from mlnn.errors import ConfigError, unknown

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
NORMS: dict[str, Callable[[int], nn.Module]] = {"none": nn.Identity, "layer": nn.LayerNorm, "batch": nn.BatchNorm1d}


def activation(name: str) -> nn.Module:
    """The activation called `name`, stateless, so one serves all layers; ConfigError if there is none such."""
    if name not in ACTIVATIONS:
        raise ConfigError("model.activation: " + unknown("activation", str(name), ACTIVATIONS))
    return ACTIVATIONS[name]()


def norm(name: str) -> Callable[[int], nn.Module]:
    """What makes the norm called `name` for a width; ConfigError if there is none such."""
    if name not in NORMS:
        raise ConfigError("model.norm: " + unknown("norm", str(name), NORMS))
    return NORMS[name]


def dropout(share: float) -> nn.Module:
    """Dropout of a share 0 ≤ share < 1 of the values; at 0 no layer at all, so that nothing can draw random numbers."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise ConfigError(f"model.dropout: must be a share, at least 0 and below 1, found {share!r}")
    return nn.Dropout(share) if share else nn.Identity()


class Residual(nn.Module):
    """x + branch(x)."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.branch(x)
        return out


def as_sequence(x: Tensor) -> Tensor:
    """(n, steps, features): features (n, d) one at a time, sequences as they are, images (n, c, h, w) row by row."""
    if x.ndim == 2:
        return x.unsqueeze(-1)
    if x.ndim == 3:
        return x
    return x.transpose(1, 2).flatten(2)
