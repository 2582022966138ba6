"""NIST's Statistical Reference Datasets for nonlinear regression: the 27 models, their rows, starts and certified values."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

DATA = Path(__file__).parent / "nist" / "nonlinear.json"


@dataclass(frozen=True)
class Certified:
    """One set: rows x (n, d) and y (n,), two starts, and NIST's values to 11 digits.

    bse are NIST's "standard deviations of estimates"; residual_sd is √(RSS / (n − p)).
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    starts: tuple[tuple[float, ...], ...]
    params: np.ndarray
    bse: np.ndarray
    rss: float
    residual_sd: float

    def model(self, start: int) -> Callable[[], nn.Module]:
        """A factory of the model at NIST's first (0) or second (1) start."""
        return partial(Curve, CURVES[self.name], self.starts[start])


class Curve(nn.Module):
    """A formula in b and x; b is a vector of parameters."""

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor], b: Sequence[float]) -> None:
        super().__init__()
        self.formula = formula
        self.b = nn.Parameter(torch.tensor(b, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.formula(self.b, x if x.ndim == 2 and x.shape[1] > 1 else x.reshape(-1))


def cubics(b: Tensor, x: Tensor) -> Tensor:
    above = b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3
    return above / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def three_exponentials(b: Tensor, x: Tensor) -> Tensor:
    return b[0] * torch.exp(-b[1] * x) + b[2] * torch.exp(-b[3] * x) + b[4] * torch.exp(-b[5] * x)


def two_peaks(b: Tensor, x: Tensor) -> Tensor:
    peaks = b[2] * torch.exp(-((x - b[3]) ** 2) / b[4] ** 2) + b[5] * torch.exp(-((x - b[6]) ** 2) / b[7] ** 2)
    return b[0] * torch.exp(-b[1] * x) + peaks


def waves(b: Tensor, x: Tensor) -> Tensor:
    year, first, second = (2 * math.pi * x / period for period in (12, b[3], b[6]))
    season = b[1] * torch.cos(year) + b[2] * torch.sin(year)
    return (
        b[0]
        + season
        + b[4] * torch.cos(first)
        + b[5] * torch.sin(first)
        + b[7] * torch.cos(second)
        + b[8] * torch.sin(second)
    )


CURVES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
    "BoxBOD": lambda b, x: b[0] * (1 - torch.exp(-b[1] * x)),
    "Chwirut1": lambda b, x: torch.exp(-b[0] * x) / (b[1] + b[2] * x),
    "Chwirut2": lambda b, x: torch.exp(-b[0] * x) / (b[1] + b[2] * x),
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "ENSO": waves,
    "Eckerle4": lambda b, x: b[0] / b[1] * torch.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
    "Gauss1": two_peaks,
    "Gauss2": two_peaks,
    "Gauss3": two_peaks,
    "Hahn1": cubics,
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Lanczos1": three_exponentials,
    "Lanczos2": three_exponentials,
    "Lanczos3": three_exponentials,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * torch.exp(b[1] / (x + b[2])),
    "MGH17": lambda b, x: b[0] + b[1] * torch.exp(-x * b[3]) + b[2] * torch.exp(-x * b[4]),
    "Misra1a": lambda b, x: b[0] * (1 - torch.exp(-b[1] * x)),
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
    "Nelson": lambda b, x: b[0] - b[1] * x[:, 0] * torch.exp(-b[2] * x[:, 1]),
    "Rat42": lambda b, x: b[0] / (1 + torch.exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x: b[0] / (1 + torch.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Roszman1": lambda b, x: b[0] - b[1] * x - torch.arctan(b[2] / (x - b[3])) / math.pi,
    "Thurber": cubics,
}
LOGARITHMS = ("Nelson",)
"""Sets whose model is of log y."""


@cache
def certified(name: str) -> Certified:
    """A set by NIST's name for it."""
    kept = json.loads(DATA.read_text(encoding="utf-8"))[name]
    x, y = np.array(kept["x"], dtype=float), np.array(kept["y"], dtype=float)
    return Certified(
        name,
        x.reshape(len(y), -1),
        np.log(y) if name in LOGARITHMS else y,
        tuple(map(tuple, kept["starts"])),
        np.array(kept["params"]),
        np.array(kept["bse"]),
        kept["rss"],
        kept["residual_sd"],
    )


def digits(found: np.ndarray | float, true: np.ndarray | float) -> float:
    """The digits that all of them share, at most the 11 that are certified."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = -np.log10(np.abs(np.asarray(found) - np.asarray(true)) / np.abs(np.asarray(true)))
    return float(np.min(np.clip(np.nan_to_num(each, nan=0.0), 0, 11)))
