"""What a family is called elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Counterpart:
    """A family in statsmodels: as a generalised linear model, by the names of its `family` and `link`, and as a model of its `own`.

    family, link: "" where it is none; numbers: what the family is made with. own: path of the model's class, "api.Logit"; "" where
    there is none. extra: the free number as that class estimates it, after the coefficients; None where it estimates none.
    """

    family: str = ""
    link: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    own: str = ""
    extra: float | None = None
