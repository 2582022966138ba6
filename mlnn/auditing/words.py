"""A certificate in words: its kind and colour, its facts, and the chain from loss to likelihood, held or broken."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlnn.report.words import number

Certificate = Mapping[str, Any]
"""A certificate as plain data (`Certificate.to_dict()`): infinities and NaN are text, targets are text."""


class Kind(NamedTuple):
    """How a kind of loss is shown."""

    word: str
    symbol: str
    colour: str
    meaning: str


KINDS = {
    kind.word: kind
    for kind in (
        Kind("likelihood", "✓", "#00664F", "exp(−loss) is the probability of the target, at most up to a constant of the"
             " target: minimising the loss is maximum likelihood."),
        Kind("scaled likelihood", "×", "#3A6B00", "The loss is τ times −log of a likelihood: the optimum is the same, but a"
             " probability is read from exp(−loss/τ)."),
        Kind("likelihood family", "∼", "#1B7A5A", "A likelihood of which the dispersion is free: exp(−loss/τ) can be made a"
             " density for a whole range of τ, so the loss alone does not say how wide it is."),
        Kind("proper", "◐", "#8A5A00", "No likelihood, yet in expectation least at the true probabilities, or the true mean:"
             " it estimates them by another way."),
        Kind("calibrated", "◔", "#A06A00", "No likelihood: its best output follows the target, or orders the probabilities,"
             " but is neither the mean nor the probability that the link declares."),
        Kind("no link", "✗", "#B0440A", "No likelihood, and no probability can be read from its output: it decides, it does"
             " not estimate."),
        Kind("unnormalisable", "∞", "#A3261B", "exp(−loss) has an infinite integral over the targets: there is nothing to"
             " divide it by."),
        Kind("batch-coupled", "⇄", "#8E1652", "What a row adds depends on the other rows of the batch: exp(−loss) is no"
             " product of one likelihood per row."),
        Kind("undecided", "?", "#55606B", "The audit could not settle it, and says why."),
    )
}  # fmt: skip
"""In the order in which a catalogue shows them."""
LIKELY = {
    "likelihood": "up to a constant of the target at most",
    "scaled likelihood": "up to a factor",
    "likelihood family": "up to a dispersion",
}
"""The kinds that are likelihoods, and what of each is left open."""


def kind_of(certificate: Certificate) -> Kind:
    """The kind of a certificate; one that this report does not know is shown in grey with a `?`, never as a pass."""
    word = str(certificate.get("kind", "undecided"))
    return KINDS.get(word, Kind(word, "?", KINDS["undecided"].colour, "Not a kind this report knows."))


def is_finite(certificate: Certificate) -> bool:
    """Whether the targets are a few labels, so that Z is a sum over them and the output implies a probability."""
    return str(certificate.get("targets")).startswith(("binary", "classes"))


def numbers(values: Any) -> np.ndarray:
    """(n,) floats of a list that may hold None and the texts "inf" and "nan"; empty without a list."""
    return np.asarray([] if values is None else values, dtype=float)


def where(domain: Any) -> str:
    """The raw outputs at which it holds: everywhere, an interval, or a dash where nothing holds."""
    if isinstance(domain, str) or domain is None:
        return {"all": "everywhere"}.get(str(domain), "–")
    low, high = map(float, domain)
    if np.isinf(low):
        return f"f ≤ {high:.4g}"
    return f"f ≥ {low:.4g}" if np.isinf(high) else f"[{low:.4g}, {high:.4g}]"


def working_domain(certificate: Certificate) -> tuple[str | None, str]:
    """The precision that the audit was asked for, and where the loss holds in it; None and a dash where it is none."""
    domains: Mapping[str, Any] = certificate.get("domains") or {}
    return next(((dtype, where(domain)) for dtype, domain in domains.items()), (None, "–"))


def precision(certificates: Sequence[Certificate]) -> str | None:
    """The one precision that all were asked for; None where there is none, or more than one: each then says its own."""
    found = {dtype for dtype, _ in map(working_domain, certificates) if dtype}
    return found.pop() if len(found) == 1 else None


def read_as(certificate: Certificate) -> str:
    """The link, or a dash."""
    return str(certificate.get("link") or "–")


def family(certificate: Certificate) -> str:
    """The distribution, or a dash where there is none, or none with a name."""
    name = certificate.get("family")
    return "–" if name in (None, "none") else str(name)


def temperature(certificate: Certificate) -> str:
    """τ; of a family it is free."""
    if certificate.get("kind") == "likelihood family":
        return "free"
    return number(certificate.get("scale"), 6)


def certificate_facts(certificate: Certificate) -> list[tuple[str, str]]:
    """Everything a certificate states as one value, as (word, value); what it does not state is left out."""
    finite = is_finite(certificate)
    facts = [
        ("targets", str(certificate.get("targets", "–"))),
        ("distribution", family(certificate)),
        ("τ", temperature(certificate)),
        ("probability" if finite else "link", read_as(certificate)),
        ("h(y)", str(certificate.get("measure") or "–")),
        ("c(y)", f"{constant(certificate) or '–'} nats"),
        ("residual", number(certificate.get("residual"), 2)),
        *((f"holds in {dtype}", where(domain)) for dtype, domain in (certificate.get("domains") or {}).items()),
    ]
    if certificate.get("unreachable"):
        facts.append(("outputs that imply no probability", f"{100 * float(certificate['unreachable']):.3g} %"))
    return [(word, value) for word, value in facts if not value.startswith("–")]


class Step(NamedTuple):
    """One line of the chain: a formula, whether it holds (None: not known), and a remark."""

    formula: str
    holds: bool | None
    note: str = ""


def chain(certificate: Certificate) -> list[Step]:
    """−log(likelihood) = loss and exp(−loss) = likelihood, as they stand and as they hold for this loss."""
    kind = certificate.get("kind")
    p = "P(y | f)" if is_finite(certificate) or certificate.get("targets") == "counts" else "p(y | f)"
    bare = [f"exp(−loss) = {p}", f"−log {p} = loss"]
    if kind == "batch-coupled":
        return [Step("exp(−Σ loss) = ∏ p(yᵢ | fᵢ)", False, "what a row adds depends on the other rows")]
    if kind not in LIKELY:
        holds = False if kind in KINDS and kind != "undecided" else None
        none = "for no τ > 0 and no h(y)" if holds is False else ""
        return [
            Step(bare[0], holds, z_words(certificate)),
            Step(bare[1], holds),
            Step(f"exp(−loss/τ)·h(y) = {p}", holds, none),
        ]
    tau = "" if abs(float(certificate.get("scale") or 1) - 1) <= 1e-9 else f"/{number(certificate['scale'], 6)}"
    before, after, remark = _measure(str(certificate.get("measure") or "1"))
    steps = [Step(bare[0], False, z_words(certificate)), Step(bare[1], False)] if tau or before else []
    steps += [
        Step(f"exp(−loss{tau}){before} = {p}", True, remark),
        Step(f"−log {p} = loss{tau}{after}", True),
        Step(f"{_total(certificate)} exp(−loss{tau}){before} = 1", True, "at every output f"),
    ]
    if kind == "likelihood family":
        steps.append(Step(f"exp(−loss/τ)·h(y, τ) = {p}", True, "for a range of τ: the dispersion is free"))
    return steps


def _measure(measure: str) -> tuple[str, str, str]:
    """h(y) in words → what it adds to exp(−loss), what to −log p, and a remark: nothing, a divisor, or a function."""
    said, _, remark = measure.partition(", ")
    if said == "1":
        return "", "", remark
    if re.fullmatch(r"1/([0-9.e+-]+|y!)", said):
        divisor = said[2:] if said == "1/y!" else number(float(said[2:]), 6)
        return f"/{divisor}", f" + log {divisor}", remark
    return "·h(y)", " − log h(y)", f"h(y) is {measure}"


def _total(certificate: Certificate) -> str:
    discrete = is_finite(certificate) or certificate.get("targets") == "counts"
    return "Σ over y of" if discrete else "∫ over y of"


def z_words(certificate: Certificate) -> str:
    """What Σ or ∫ exp(−loss) is over the outputs drawn: one number, or a range; nothing where it was not computed."""
    z = numbers((certificate.get("curves") or {}).get("z"))
    z = z[~np.isnan(z)]
    if certificate.get("kind") == "unnormalisable":
        return "the integral of exp(−loss) is infinite"
    if not len(z):
        return ""
    low, high = float(z.min()), float(z.max())
    what = f"Z = {_total(certificate)} exp(−loss)"
    # A spread below 1e-7 is rounding, and the truncation of the integral.
    if high == low or high - low <= 1e-7 * abs(low):
        return f"{what} is {number(high, 6)} at every output"
    return f"{what} runs from {number(low)} to {number(high)} over the outputs drawn"


def measures(certificate: Certificate, most: int = 12) -> list[tuple[str, str, str]]:
    """(y, h(y), c(y) in nats) per target shown, at most `most`; empty where they are one number, which is a fact of its own."""
    base, constants = certificate.get("base_measure") or {}, certificate.get("constants") or {}
    if constant(certificate) is not None:
        return []
    return [(number(float(y), 4), number(h, 4), _nats(constants.get(y))) for y, h in list(base.items())[:most]]


def constant(certificate: Certificate) -> str | None:
    """c(y) in nats where it is one number for every target shown; None where it varies, or is not known."""
    found = {_nats(c) for c in (certificate.get("constants") or {}).values()}
    return found.pop() if len(found) == 1 else None


def _nats(constant: Any) -> str:
    """Five digits; what is only rounding is shown as 0."""
    return "–" if constant is None else number(round(float(constant), 9) + 0.0, 5)


def grouped(certificates: Sequence[Certificate]) -> list[tuple[Kind, list[Certificate]]]:
    """The certificates by kind, in the order of KINDS, unknown kinds last; within a kind as given."""
    kinds = list(dict.fromkeys([*KINDS.values(), *map(kind_of, certificates)]))
    groups = [(kind, [one for one in certificates if kind_of(one) == kind]) for kind in kinds]
    return [(kind, found) for kind, found in groups if found]


def lead(certificates: Sequence[Certificate]) -> str:
    """The catalogue in a sentence or two, counted."""
    if not certificates:
        return "No loss was audited."
    counts = {kind.word: len(found) for kind, found in grouped(certificates)}
    likely = {words: counts.pop(word) for word, words in LIKELY.items() if word in counts}
    total = len(certificates)
    told = f"Minimising {sum(likely.values())} of {total} loss{'es' if total > 1 else ''} is maximum likelihood"
    told += f": {_listed(likely)}." if likely else "."
    return told + (f" The other {sum(counts.values())}: {_listed(counts)}." if counts else "")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counts.items())
