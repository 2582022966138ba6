"""The certificate: what an audit found, in one object, and what it states as single values, in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mlnn.auditing.record import Curves, Domain, Witness, plain
from mlnn.errors import ConfigError, unknown
from mlnn.proving.certified import Certified
from mlnn.report.brief import Brief
from mlnn.report.words import number

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
SHOWN_DECIMALS = 9
"""Decimals of a constant c(y) that are shown: beyond them is the rounding of h."""


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
    figure. `unreachable`: share of moderate outputs that imply no probability. `proof`: by ball arithmetic, on an interval of raw
    outputs and not at a few of them; None where none was asked for.
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
    domain: Domain = "none"
    domains: dict[str, Domain] = field(default_factory=dict)
    residual: float | None = None
    unreachable: float = 0.0
    witness: Witness | None = None
    notes: tuple[str, ...] = ()
    sentence: str = ""
    curves: Curves = field(default_factory=Curves)
    proof: Certified | None = None

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def _brief(self) -> Brief:
        return Brief(f"Certificate of '{self.name}': {self.kind}", self.sentence, certificate_facts(self))

    @property
    def is_likelihood(self) -> bool:
        """Whether minimising the loss is maximum likelihood, on paper, up to a factor and constants of the target."""
        return self.kind in ("likelihood", "scaled likelihood", "likelihood family")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON: intervals as lists, infinities as text, targets as text."""
        return {name: plain(value) for name, value in vars(self).items()}


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


def certificate_facts(one: Certificate) -> list[tuple[str, str]]:
    """Everything a certificate states as one value, as (word, value); what it does not state is left out."""
    facts = [
        ("targets", one.targets),
        ("distribution", distribution(one)),
        ("τ", temperature(one)),
        ("probability" if is_finite(one) else "link", one.link or "–"),
        ("h(y)", one.measure or "–"),
        ("c(y)", f"{constant(one) or '–'} nats"),
        ("residual", number(one.residual, 2)),
        *((f"holds in {dtype}", where(domain)) for dtype, domain in one.domains.items()),
    ]
    if one.proof is not None:
        facts.append(("proof", one.proof.answer))
    if one.unreachable:
        facts.append(("outputs that imply no probability", f"{100 * one.unreachable:.3g} %"))
    return [(word, value) for word, value in facts if not value.startswith("–")]


def is_finite(one: Certificate) -> bool:
    """Whether the targets are a few labels, so that Z is a sum over them and the output implies a probability."""
    return one.targets.startswith(("binary", "classes"))


def distribution(one: Certificate) -> str:
    """The distribution, or a dash where there is none, or none with a name."""
    return "–" if one.family in (None, "none") else str(one.family)


def temperature(one: Certificate) -> str:
    """τ; of a family it is free."""
    return "free" if one.kind == "likelihood family" else number(one.scale, 6)


def constant(one: Certificate) -> str | None:
    """c(y) in nats where it is one number for every target shown; None where it varies, or is not known."""
    found = {nats(c) for c in (one.constants or {}).values()}
    return found.pop() if len(found) == 1 else None


def nats(constant: float) -> str:
    """Five digits; what is only rounding is shown as 0."""
    return number(round(constant, SHOWN_DECIMALS) + 0.0, 5)


def where(domain: Domain) -> str:
    """The raw outputs at which it holds: everywhere, an interval, or a dash where nothing holds."""
    if isinstance(domain, str):
        return "everywhere" if domain == "all" else "–"
    low, high = domain
    if math.isinf(low):
        return f"f ≤ {high:.4g}"
    return f"f ≥ {low:.4g}" if math.isinf(high) else f"[{low:.4g}, {high:.4g}]"
