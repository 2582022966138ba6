"""What a log-likelihood is worth once its parameters are paid for: AIC and BIC, in one place."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Criteria:
    """A log-likelihood in nats, how many parameters it took, and how many rows it is of (or the sum of their weights)."""

    log_likelihood: float
    parameters: int
    rows: float

    @property
    def aic(self) -> float:
        """2 parameters − 2 log-likelihood (Akaike 1974)."""
        return 2 * self.parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """log(rows) parameters − 2 log-likelihood (Schwarz 1978)."""
        return math.log(self.rows) * self.parameters - 2 * self.log_likelihood
