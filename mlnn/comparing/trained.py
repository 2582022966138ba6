"""What one training run tells: the record of about.json, and its likelihood in words."""

from dataclasses import asdict, dataclass

from mlnn.estimating import Finding
from mlnn.objectives import Reading
from mlnn.report.words import facts, number
from mlnn.training import Stop


@dataclass(frozen=True)
class Trained:
    """One training run. `objective`, `model`, `data`, `optimizer`, `dtype`: by name; `batch_size`: rows of a batch.

    `likelihood`: the training rows' under the trained model, None where the objective is none that is known; `mle`: how far
    the weights ended from the classical estimate, None without one; `stopped`: where the
    training went non-finite; `not_bitwise`: why it is not what an uninterrupted run is.
    """

    objective: str
    model: str
    data: str
    optimizer: str
    steps: int
    dtype: str
    seed: int
    batch_size: int
    likelihood: Reading | None = None
    mle: Finding | None = None
    stopped: Stop | None = None
    not_bitwise: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain data for `about.json`."""
        told = {name: value for name, value in vars(self).items() if name != "not_bitwise" or value}
        return told | {
            "likelihood": self.likelihood.to_dict() if self.likelihood else None,
            "mle": self.mle.to_dict() if self.mle else None,
            "stopped": asdict(self.stopped) if self.stopped else None,
        }

    def facts(self) -> list[tuple[str, str]]:
        """What was run, as (word, value) pairs."""
        return facts(vars(self))


def likelihood_facts(reading: Reading | None) -> list[tuple[str, str]]:
    """A likelihood reading, as (word, value) pairs; says so where no likelihood is known."""
    if reading is None:
        return [("likelihood", "none is known for this objective: exp(−loss) is not read as one")]
    criteria = f"{number(reading.aic, 7)}, {number(reading.bic, 7)}"
    return [
        ("likelihood", reading.likelihood),
        ("log-likelihood", f"{number(reading.log_likelihood, 7)} nats over {number(reading.rows)} training rows"),
        ("log-likelihood per row", f"{number(reading.per_row, 7)} nats"),
        ("likelihood per row", f"{number(reading.geometric_mean, 7)} (geometric mean)"),
        ("deviance", number(reading.deviance, 7)),
        ("AIC, BIC", f"{criteria} with {number(reading.parameters)} parameters"),
        *(("caveat", caveat) for caveat in reading.caveats),
    ]
