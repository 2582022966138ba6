"""What an estimate may be told: the words there are, and which of them are for the linear estimate alone."""

from collections.abc import Sequence
from numbers import Integral

from mlnn.errors import ConfigError, unknown
from mlnn.estimating.linear.inference import COVARIANCES
from mlnn.estimating.linear.kinks import WAYS
from mlnn.estimating.network.sandwich import check_covariance

MOST_STEPS = 100
"""Steps of Newton's method, unless the caller allows more: separated rows aside, hard problems take twenty to forty."""
DISPERSIONS = ("unbiased", "ml")
PENALTIES = ("firth",)


def check_choices(dispersion: str, cov: str, penalty: str | None, max_iter: int) -> None:
    """Raise ConfigError for a word that is none of the choices, and for steps that are no number above 0."""
    if dispersion not in DISPERSIONS:
        raise ConfigError("dispersion: " + unknown("dispersion", str(dispersion), DISPERSIONS))
    if cov not in (*COVARIANCES, *WAYS):
        raise ConfigError("cov: " + unknown("covariance", str(cov), (*COVARIANCES, *WAYS)))
    if penalty is not None and penalty not in PENALTIES:
        raise ConfigError("penalty: " + unknown("penalty", str(penalty), PENALTIES))
    if isinstance(max_iter, bool) or not isinstance(max_iter, Integral) or max_iter < 1:
        raise ConfigError(f"max_iter: must be a whole number above 0, found {max_iter!r}")


def check_beside_model(
    cov: str, intercept: bool, penalty: str | None, constant: str | Sequence[str], max_iter: int
) -> None:
    """Raise ConfigError where, beside model=, something is chosen that is for the linear estimate."""
    check_covariance(cov)
    for key, said in (("penalty", penalty), ("constant", constant)):
        if said:
            raise ConfigError(f"{key}: {said!r} is for the linear estimate, not for model=")
    if intercept is not True or max_iter != MOST_STEPS:
        key, value = ("max_iter", max_iter) if intercept is True else ("intercept", intercept)
        raise ConfigError(f"{key}: {value!r} is for the linear estimate; with model= the model says what is fitted")
