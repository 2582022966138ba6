"""What a fit says of rows: the mean of the target with its standard error and a confidence band.

The band of one raw output f is f ± q·se carried through the link, so it stays where means may be; the standard error of the mean is
|dμ/df|·se (the delta method), as a GLM's `get_prediction` has both. A mean that depends on several raw outputs (a class's
probability) has its delta-method error, and its band on the line of the space: log odds in (0, 1), the log in (0, ∞).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy
import torch
from torch import Tensor

from mlnn.arguments import first_line
from mlnn.data.extras import optional
from mlnn.errors import ConfigError, DataError, MlnnError, unknown
from mlnn.estimating.catalogue import Family
from mlnn.estimating.fitted_rows import FittedRows, offset_of
from mlnn.estimating.network import curvature
from mlnn.report.brief import Brief
from mlnn.world import own_world

MEAN, LINEAR = "mean", "linear"
WHICH = (MEAN, LINEAR)
MOST_SHOWN = 12
"""Rows of a repr: a screenful with its head."""


@dataclass(frozen=True)
class Errors:
    """What standard errors are made of: the covariance (k, k) of what was estimated, and the quantile of a band at `level`.

    dispersion: φ of a new observation's variance, None where there is no interval for one.
    """

    covariance: Tensor
    quantile: float
    dispersion: float | None = None


@dataclass(frozen=True, repr=False)
class Prediction:
    """Means of the target for n rows, (n,), or (n, m) with a column per class or raw output (`outputs`).

    of: what is predicted: "mean", "quantile" (asymmetric Laplace), "centre" (Student t) or "linear" (raw outputs). se, lower,
    upper: standard errors and confidence band at `level` of it, None without standard errors. obs_lower, obs_upper: where a
    new observation lies with probability `level`, its own spread and the fit's uncertainty together; of a normal, else None.
    """

    mean: np.ndarray
    se: np.ndarray | None
    lower: np.ndarray | None
    upper: np.ndarray | None
    level: float
    of: str = MEAN
    obs_lower: np.ndarray | None = None
    obs_upper: np.ndarray | None = None
    outputs: tuple[str, ...] = ("",)
    index: Any = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.mean)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.mean, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def to_frame(self) -> Any:
        """A pandas DataFrame, a row per row and a column per number; of several outputs (output, number)."""
        pandas = optional("pandas", "to_frame")
        columns = dict(self._columns())
        if self.mean.ndim == 1:
            return pandas.DataFrame(columns, index=self.index)
        made = {(name, head): part[:, k] for k, name in enumerate(self.outputs) for head, part in columns.items()}
        return pandas.DataFrame(made, index=self.index)

    def to_dict(self) -> dict[str, object]:
        """As plain data, at full precision."""
        columns = {name: part.tolist() for name, part in self._columns()}
        return {"of": self.of, "level": self.level, "outputs": list(self.outputs), **columns}

    def _columns(self) -> Iterator[tuple[str, np.ndarray]]:
        for name in ("mean", "se", "lower", "upper", "obs_lower", "obs_upper"):
            part = getattr(self, name)
            if part is not None:
                yield name, part

    def _brief(self) -> Brief:
        columns = dict(self._columns())
        several = self.mean.ndim > 1
        names = [None] if not several else self.outputs
        table = [["", *(self.of if head == "mean" else head for head in columns)]]
        for row in range(min(len(self), MOST_SHOWN)):
            for k, name in enumerate(names):
                numbers = [part[row, k] if several else part[row] for part in columns.values()]
                label = f"{row}" if name is None else f"{row} · {name}"
                table.append([label, *(f"{number:.6g}" for number in numbers)])
        if len(self) > MOST_SHOWN:
            table.append([f"… and {len(self) - MOST_SHOWN} more", *[""] * len(columns)])
        band = "" if self.se is None else f"confidence bands at {self.level:g}"
        return Brief(f"Predicted {self.of}, {len(self)} row{'s' * (len(self) != 1)}", band, (), table)


def quantile(level: Any, df: float | None) -> float:
    """How many standard errors a two-sided interval at `level` reaches; Student's t of `df` degrees, normal where None.

    Raises ConfigError for a level that is not strictly between 0 and 1.
    """
    if isinstance(level, bool) or not isinstance(level, int | float | np.floating) or not 0 < level < 1:
        raise ConfigError(f"level: must lie strictly between 0 and 1, found {level!r}")
    tail = (1 + float(level)) / 2
    return float(scipy.stats.norm.ppf(tail) if df is None else scipy.stats.t.ppf(tail, df))


@own_world(threads=None)
def predict(rows: FittedRows, errors: Errors | None, x: Any, *, which: str, offset: Any, level: float) -> Prediction:
    """The prediction for rows x, as the caller has them, or the fit's own where x is None; `errors` None: without any.

    Raises ConfigError for another `which`, a likelihood that knows no mean, an offset that is missing; DataError for rows that
    do not fit.
    """
    if which not in WHICH:
        raise ConfigError("which: " + unknown("prediction", str(which), WHICH))
    family = rows.family
    if which == MEAN:
        check_predicts(family)
    if x is None and offset is not None:
        raise ConfigError("offset: is for new rows; without x the fit's own rows are predicted, with theirs")
    inputs = None if x is None else _some(rows.read(x))
    known = None if inputs is None else offset_of(offset, x, len(inputs), rows.design.offset is not None)
    parts = rows.parts(inputs, known, None if errors is None else errors.covariance)
    found = [_of_part(family, raw, spread, errors, which) for raw, spread in parts]
    mean, *band = [torch.cat(part).numpy() for part in zip(*found, strict=True)]
    se, lower, upper = band or (None, None, None)
    made = Prediction(
        mean,
        se,
        lower,
        upper,
        level=level,
        of=LINEAR if which == LINEAR else family.likelihood.centred,
        outputs=_labels(rows, which),
        index=getattr(x, "index", None),
    )
    return made if errors is None or which == LINEAR else _with_observations(made, errors)


def _some(rows: Tensor) -> Tensor:
    if not len(rows):
        raise DataError("x: there are no rows to predict")
    return rows


def _with_observations(made: Prediction, errors: Errors) -> Prediction:
    """The same with intervals for a new observation, where there are any."""
    if errors.dispersion is None or made.se is None:
        return made
    half = errors.quantile * np.sqrt(made.se**2 + errors.dispersion)
    return replace(made, obs_lower=made.mean - half, obs_upper=made.mean + half)


def check_predicts(family: Family) -> None:
    """Raise ConfigError for a likelihood that does not say what a prediction is."""
    if not family.likelihood.predicts:
        raise ConfigError(
            f"predict: {family.name} has no mean(output), so what it predicts is not known; give the class one, or take"
            " which='linear' for its raw outputs"
        )


def centres(rows: FittedRows) -> Tensor:
    """What the fit predicts for its own rows, (n,) or (n, K)."""
    check_predicts(rows.family)
    return torch.cat([centre(rows.family, raw) for raw, _ in rows.parts(None, None, None)])


def centre(family: Family, raw: Tensor) -> Tensor:
    """What is predicted at free raw outputs (b, m): (b,), or (b, K) of classes. Raises ConfigError where a class's own fails."""
    try:
        found: Tensor = family.likelihood.centre(curvature.raw(family.likelihood, raw))
    except MlnnError:
        raise
    except Exception as problem:  # whatever somebody's own class raises
        told = f"{type(problem).__name__}: {first_line(problem)}"
        raise ConfigError(f"likelihood: {family.name}.mean raised {told}") from problem
    return found


def _of_part(
    family: Family, raw: Tensor, spread: Tensor | None, errors: Errors | None, which: str
) -> tuple[Tensor, ...]:
    """(mean,) or (mean, se, lower, upper) of a chunk of rows."""
    at = (lambda f: f[:, 0] if f.shape[1] == 1 else f) if which == LINEAR else (lambda f: centre(family, f))
    if spread is None or errors is None:
        return (at(raw).detach(),)
    q, own = errors.quantile, spread.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    if which == LINEAR:
        own = own[:, 0] if raw.shape[1] == 1 else own
        return at(raw), own, at(raw) - q * own, at(raw) + q * own
    mean, slopes = _slopes(at, raw)
    variance = torch.einsum("nkj,njl,nkl->nk", slopes, spread, slopes).clamp(min=0)
    se = variance.sqrt().reshape(mean.shape)
    if raw.shape[1] == 1 and mean.ndim == 1:
        ends = torch.stack([at(raw - q * own), at(raw + q * own)])
        low, high = ends.amin(0), ends.amax(0)
        if bool(((low <= mean) & (mean <= high)).all()):  # the mean follows the raw output in one direction
            return mean, se, low, high
    return (mean, se, *_on_the_line(family, mean, q * se))


def _slopes(at: Callable[[Tensor], Tensor], raw: Tensor) -> tuple[Tensor, Tensor]:
    """(means (b,) or (b, K), their derivatives (b, K, m) in the free raw outputs)."""
    moved = raw.detach().requires_grad_()
    mean = at(moved)
    if not mean.requires_grad:
        raise ConfigError(
            "predict: the likelihood's mean does not depend on the raw output; keep it in torch, undetached"
        )
    columns = mean.reshape(len(raw), -1).unbind(1)
    slopes = [torch.autograd.grad(column.sum(), moved, retain_graph=True)[0] for column in columns]
    return mean.detach(), torch.stack(slopes, 1)


def _on_the_line(family: Family, mean: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """mean ∓ half, as distances are on the line that the space's means lie on."""
    low, high = family.space.facts.means
    if (low, high) == (0.0, 1.0):
        reach = half / (mean * (1 - mean))
        ends = torch.sigmoid(torch.logit(mean) - reach), torch.sigmoid(torch.logit(mean) + reach)
    elif low == 0.0:
        reach = half / mean
        ends = mean * torch.exp(-reach), mean * torch.exp(reach)
    else:
        return mean - half, mean + half
    near = reach.isfinite()  # else a mean that has rounded to an end, where the line has none
    straight = (mean - half).clamp(low, high), (mean + half).clamp(low, high)
    return torch.where(near, ends[0], straight[0]), torch.where(near, ends[1], straight[1])


def _labels(rows: FittedRows, which: str) -> tuple[str, ...]:
    """A name per column."""
    if which == LINEAR:
        return rows.family.labels
    return rows.classes or tuple(f"y={k}" for k in range(rows.family.space.classes or 0)) or ("",)
