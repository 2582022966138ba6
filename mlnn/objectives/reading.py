"""exp(−loss) read as a likelihood: what a trained model's raw outputs say of the data, with no constant dropped."""

import math
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

from mlnn.likelihoods.likelihood import Likelihood
from mlnn.objectives.criteria import Criteria
from mlnn.objectives.objective import Objective
from mlnn.objectives.partners import likelihood_of

MIXED = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
"""Layers that compute something else in training than in evaluation mode."""
LARGEST_EXPONENT = 709
"""exp of more overflows in float64."""


@dataclass(frozen=True)
class Reading:
    """The likelihood of `rows` training rows. `per_row`: mean log-likelihood in nats; `geometric_mean`: exp(per_row), the
    likelihood per row. `deviance`: 2·(saturated − own log-likelihood), None where no saturated model exists. `aic`, `bic`
    count every trainable weight as a parameter; `caveats` say why they, or the rest, may not mean what they seem to.
    """

    likelihood: str
    rows: int
    log_likelihood: float
    per_row: float
    geometric_mean: float
    deviance: float | None
    parameters: int
    aic: float
    bic: float
    caveats: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """As plain data."""
        return asdict(self) | {"caveats": list(self.caveats)}


def read_likelihood(objective: Objective, module: nn.Module, output: Tensor, target: Tensor) -> Reading | None:
    """Read an objective as the likelihood it is, or that its loss is known to be; None where no likelihood is known.

    output: raw outputs of `module` in evaluation mode; target: as the objective takes it. Sums are made in float64.
    """
    likelihood = likelihood_of(objective)
    if likelihood is None:
        return None
    target = target if target.dtype == torch.int64 else target.double()
    nll = likelihood.nll(output.detach().double(), target)
    if nll.shape != output.shape[:1]:  # a likelihood from elsewhere that reduces its rows tells of none of them
        return None
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    least = likelihood.least(target)
    found = score(_name(likelihood), nll, least, sum(weight.numel() for weight in weights))
    return replace(found, caveats=_caveats(found, objective, module, nll, least is not None))


def score(name: str, nll: Tensor, least: Tensor | None, parameters: int) -> Reading:
    """The numbers of a reading from nll (n,) and the saturated model's nll (n,), if known; nats per row, nothing dropped."""
    rows, total = len(nll), -float(nll.double().sum())
    saturated = math.nan if least is None else -float(least.double().sum())
    criteria = Criteria(total, parameters, rows)
    return Reading(
        likelihood=name,
        rows=rows,
        log_likelihood=total,
        per_row=total / rows,
        geometric_mean=math.inf if total / rows > LARGEST_EXPONENT else math.exp(total / rows),
        deviance=2 * (saturated - total) if math.isfinite(saturated) else None,
        parameters=parameters,
        aic=criteria.aic,
        bic=criteria.bic,
    )


def _name(likelihood: Likelihood) -> str:
    """The class and the numbers it is made with: `Normal(sigma=1)`."""
    numbers = ", ".join(f"{key}={value:g}" for key, value in likelihood.numbers.items())
    return f"{likelihood.name}({numbers})" if numbers else likelihood.name


def _caveats(found: Reading, objective: Objective, module: nn.Module, nll: Tensor, saturated: bool) -> tuple[str, ...]:
    layers = sorted({type(part).__name__ for part in module.modules() if isinstance(part, MIXED)})
    told = (
        (not bool(torch.isfinite(nll).all()), "some rows have no finite likelihood"),
        (
            found.parameters >= found.rows,
            f"{found.parameters} parameters for {found.rows} rows: AIC and BIC are not meaningful",
        ),
        (
            sum(weight.ndim > 1 for weight in module.parameters()) > 1,
            "hidden layers make the model non-regular (its weights are not identified): AIC and BIC are a guide at best",
        ),
        (
            objective.targets.finite and bool((nll < math.log(2)).all()),
            "every target has a probability above ½: the rows are separated, and no finite maximum need exist",
        ),
        (not saturated, "a saturated model of this likelihood is not known, so there is no deviance"),
        (
            saturated and found.deviance is None,
            "the likelihood is unbounded, so there is no saturated model and no maximum for AIC and BIC",
        ),
        (
            bool(layers),
            f"{', '.join(layers)}: in training the loss was not this likelihood, which is taken in evaluation mode",
        ),
        (
            True,
            "AIC and BIC presume the maximum; training may have stopped before it, and fixed dispersions are not counted",
        ),
    )
    return tuple(sentence for holds, sentence in told if holds)
