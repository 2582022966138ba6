"""The certificate: what an audit found, in one object."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mlnn.auditing.words import certificate_facts
from mlnn.errors import ConfigError, unknown
from mlnn.report.brief import Brief

Interval = tuple[float, float]
KINDS = (
    "likelihood",
    "scaled likelihood",
    "likelihood family",
    "proper",
    "calibrated",
    "no link",
    "unnormalisable",
    "batch-coupled",
    "undecided",
)


@dataclass(frozen=True, repr=False)
class Certificate:
    """Is exp(−loss) a likelihood? loss = τ·NLL + c(y), with exp(−loss/τ)·h(y) summing to 1 over the targets.

    `kind`: one of KINDS. `family`: the distribution, where it has a name. `scale`: τ. `link`: from the raw output f to the
    probability, or to what the loss makes the output of (a mean, a quantile). `base_measure`: h(y) for some targets, the
    normaliser included; `constants`: c(y) = τ log h(y), nats. `measure`: h in words.
    `domain`: "all", an interval of raw outputs, or "none":
    where the working dtype still holds it; `domains` the same per dtype. `residual`: how far the identity that decides is
    from holding (relative; rounding where it holds). `witness`: on a no, outputs and targets with the numbers that
    disagree; where it is not decided, the numbers behind the reason, if there are any. `curves`: numbers behind the
    figure. `unreachable`: share of moderate outputs that imply no probability.
    """

    kind: str
    name: str
    targets: str
    family: str | None = None
    scale: float | None = None
    link: str | None = None
    base_measure: dict[float, float] | None = None
    constants: dict[float, float] | None = None
    measure: str | None = None
    domain: str | Interval = "none"
    domains: dict[str, str | Interval] = field(default_factory=dict)
    residual: float | None = None
    unreachable: float = 0.0
    witness: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    sentence: str = ""
    curves: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def _brief(self) -> Brief:
        told = self.to_dict()
        return Brief(f"Certificate of '{self.name}': {self.kind}", self.sentence, certificate_facts(told))

    @property
    def is_likelihood(self) -> bool:
        """Whether minimising the loss is maximum likelihood, on paper, up to a factor and constants of the target."""
        return self.kind in ("likelihood", "scaled likelihood", "likelihood family")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON: intervals as lists, infinities as text, targets as text."""
        return plain({name: getattr(self, name) for name in self.__dataclass_fields__})


def check_kind(require: str | None) -> None:
    """Raise ConfigError unless `require` is None or one of KINDS."""
    if require is not None and require not in KINDS:
        raise ConfigError("require: " + unknown("kind", require, KINDS))


def unmet(found: Sequence[Certificate], require: str | None) -> str | None:
    """A sentence for the certificates that are not of the required kind; "likelihood" takes scaled ones and families too."""
    if require is None:
        return None
    missed = [one for one in found if one.kind != require and not (require == "likelihood" and one.is_likelihood)]
    if not missed:
        return None
    names = ", ".join(f"{one.name} ({one.kind})" for one in missed[:8]) + (" …" if len(missed) > 8 else "")
    return f"required '{require}', not met by {names}: {missed[0].sentence}"


def plain(value: Any) -> Any:
    """Dicts with text keys, lists, and numbers; a number that is not finite as text: "inf", "-inf", "nan"."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
