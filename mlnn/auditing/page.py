"""The pages of an audit: one loss and its certificate, or a whole catalogue for the screen in front of a class."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from mlnn.auditing.certificate import Certificate, certificate_facts, distribution, is_finite, temperature
from mlnn.auditing.figures import implied_figure, overview_figure, separation, z_figure
from mlnn.auditing.witness_words import Line, witness_lines
from mlnn.auditing.words import Kind, Step, chain, grouped, kind_of, lead, measures, precision, working_domain
from mlnn.report.html import Picture, picture, render
from mlnn.report.words import number

_Z = "What exp(−loss) adds up to over the targets. A likelihood's Z is 1 at every output, once τ and h(y) are put in."
_PROBABILITY = (
    "At each output, the probability of the target at which the expected loss stands still, against the link that such an"
    " output is usually read through."
)
_DENSITY = (
    "Over the target, for three outputs, with τ and h(y) put in where there are such. For a likelihood each area (for counts,"
    " each sum) is 1."
)
_OVERVIEW = (
    "How far the identity that decides is from holding, one row per loss. Likelihoods miss by rounding, the others by"
    " orders of magnitude more. 0: exact. A hollow dot: no such number. A triangle: infinite."
)


@dataclass(frozen=True)
class Entry:
    """One loss as the templates take it: the certificate itself, and what is said of it in words.

    `anchor`: where it stands on a page of many. `dtype`, `domain`: the working precision and where the loss holds in it.
    """

    certificate: Certificate
    anchor: str
    kind: Kind
    distribution: str
    tau: str
    dtype: str | None
    domain: str
    residual: str
    facts: list[tuple[str, str]]
    chain: list[Step]
    measures: list[tuple[str, str, str]]
    witness: list[Line]
    says: str
    pictures: list[Picture]


def audit_page(certificate: Certificate) -> str:
    """The page of one loss."""
    return render("audit.html", [], title=certificate.name, one=_entry(certificate))


def audits_page(certificates: Sequence[Certificate], title: str = "Which losses are likelihoods?") -> str:
    """The page of many losses: counts, all residuals in one picture, a table by kind, and each loss to open."""
    places = itertools.count()
    sections = [(kind, [_entry(one, f"loss-{next(places)}") for one in found]) for kind, found in grouped(certificates)]
    return render(
        "audits.html",
        [],
        title=title,
        lead=lead(certificates),
        apart=_apart(certificates),
        pictures=picture("Residuals", _OVERVIEW, overview_figure(certificates)),
        sections=sections,
        precision=precision(certificates),
    )


def _entry(one: Certificate, anchor: str = "") -> Entry:
    dtype, domain = working_domain(one)
    return Entry(
        certificate=one,
        anchor=anchor,
        kind=kind_of(one),
        distribution=distribution(one),
        tau=temperature(one),
        dtype=dtype,
        domain=domain,
        residual=number(one.residual, 2),
        facts=certificate_facts(one),
        chain=chain(one),
        measures=measures(one),
        witness=witness_lines(one.witness),
        says=one.witness.says if one.witness else "",
        pictures=_pictures(one),
    )


def _pictures(certificate: Certificate) -> list[Picture]:
    implied = "Implied probability" if is_finite(certificate) else "Implied densities"
    caption = _PROBABILITY if is_finite(certificate) else _DENSITY
    return [
        *picture("Z against the output", _Z, z_figure(certificate)),
        *picture(implied, caption, implied_figure(certificate)),
    ]


def _apart(certificates: Sequence[Certificate]) -> str:
    """How far likelihoods and others are apart, measured here; empty where one sort is missing or they do not part."""
    ends = separation(certificates)
    if ends is None:
        return ""
    return (
        f"A likelihood's residual is at most {number(ends[0], 2)} here; that of a loss that is none at least"
        f" {number(ends[1], 2)}."
    )
