"""The pages of an audit: one loss and its certificate, or a whole catalogue for the screen in front of a class."""

from collections.abc import Sequence
from typing import Any

from mlnn.auditing.figures import implied_figure, overview_figure, separation, z_figure
from mlnn.auditing.witness_words import witness_lines
from mlnn.auditing.words import (
    Certificate,
    certificate_facts,
    chain,
    family,
    grouped,
    is_finite,
    kind_of,
    lead,
    measures,
    precision,
    read_as,
    temperature,
    working_domain,
)
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


def audit_page(certificate: Certificate) -> str:
    """The page of one loss. `certificate`: `Certificate.to_dict()`, plain data."""
    return render("audit.html", [], title=_name(certificate), one=_shown(certificate))


def audits_page(certificates: Sequence[Certificate], title: str = "Which losses are likelihoods?") -> str:
    """The page of many losses: counts, all residuals in one picture, a table by kind, and each loss to open."""
    sections = [(kind, [_shown(one) for one in found]) for kind, found in grouped(certificates)]
    for place, one in enumerate(one for _, found in sections for one in found):
        one["anchor"] = f"loss-{place}"
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


def _name(certificate: Certificate) -> str:
    return str(certificate.get("name", "a loss"))


def _shown(certificate: Certificate) -> dict[str, Any]:
    """One loss as the templates take it."""
    dtype, domain = working_domain(certificate)
    return {
        "name": _name(certificate),
        "kind": kind_of(certificate),
        "sentence": str(certificate.get("sentence", "")),
        "notes": [str(note) for note in certificate.get("notes") or ()],
        "targets": str(certificate.get("targets", "–")),
        "family": family(certificate),
        "tau": temperature(certificate),
        "link": read_as(certificate),
        "measure": str(certificate.get("measure") or "–"),
        "dtype": dtype,
        "domain": domain,
        "residual": number(certificate.get("residual"), 2),
        "facts": certificate_facts(certificate),
        "chain": chain(certificate),
        "measures": measures(certificate),
        "witness": witness_lines(certificate.get("witness")),
        "says": str((certificate.get("witness") or {}).get("says", "")),
        "pictures": _pictures(certificate),
    }


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
