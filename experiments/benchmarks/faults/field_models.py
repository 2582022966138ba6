"""Small models for losses that own a head's weights, have several heads, or are computed inside the model."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faults.rows import FEATURES

WIDTH, CLASSES, LATENT = 8, 5, 3


class Tokens(nn.Module):
    """x (n, t, features) → raw outputs (n, t, K) by a trunk and a head; given labels, the loss, as a library's models do."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(FEATURES, WIDTH), nn.Tanh())
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        z: Tensor = self.head(self.trunk(x))
        return z if labels is None else F.cross_entropy(z.flatten(0, 1), labels.flatten())


class TwoHeads(nn.Module):
    """x (n, features) → raw outputs of a classifier (n, K) and of a regression (n,), from one trunk."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(FEATURES, WIDTH), nn.Tanh())
        self.classes, self.value = nn.Linear(WIDTH, CLASSES), nn.Linear(WIDTH, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        inner = self.trunk(x)
        return self.classes(inner), self.value(inner).squeeze(-1)


class AutoEncoder(nn.Module):
    """x (n, features) → its reconstruction, and mean and log-variance (n, latent) of what it was drawn from."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.log_variance = nn.Linear(FEATURES, LATENT), nn.Linear(FEATURES, LATENT)
        self.decoder = nn.Linear(LATENT, FEATURES)

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.mean(x), self.log_variance(x)
        return self.decoder(mean + noise * torch.exp(log_variance / 2)), mean, log_variance


class TwoTowers(nn.Module):
    """Two views (n, features) and (n, m) → unit vectors (n, latent) of either, and a learned log-scale."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(FEATURES, LATENT), nn.Linear(FEATURES, LATENT)
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return F.normalize(self.one(x), dim=-1), F.normalize(self.two(y), dim=-1), self.log_scale.exp()
