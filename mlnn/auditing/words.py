"""A certificate in words: its kind and colour, and the chain from loss to likelihood, held or broken."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlnn.auditing.certificate import Certificate, constant, is_finite, nats, where
from mlnn.auditing.record import Row
from mlnn.report.words import number

SAME_TAU = 1e-9
"""A temperature this near to 1 is 1: it is read off differences good to nine digits."""
SAME_Z = 1e-7
"""A relative spread of Z below this is rounding, and the truncation of the integral."""


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
        Kind("proper", "◐", "#1C5D99", "No likelihood, yet in expectation least at the true probabilities, or the true mean:"
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


def kind_of(one: Certificate) -> Kind:
    """The kind of a certificate; one that this report does not know is shown in grey with a `?`, never as a pass."""
    return KINDS.get(one.kind, Kind(one.kind, "?", KINDS["undecided"].colour, "Not a kind this report knows."))


def is_discrete(one: Certificate) -> bool:
    """Whether Z is a sum over the targets, not an integral."""
    return is_finite(one) or one.targets.startswith("counts")


def numbers(row: Row | None) -> NDArray[np.float64]:
    """A row of a record (n,) as an array; empty without one."""
    return np.asarray(row or (), dtype=np.float64)


def working_domain(one: Certificate) -> tuple[str | None, str]:
    """The precision that the audit was asked for, and where the loss holds in it; None and a dash where it is none."""
    return next(((dtype, where(domain)) for dtype, domain in one.domains.items()), (None, "–"))


def precision(certificates: Sequence[Certificate]) -> str | None:
    """The one precision that all were asked for; None where there is none, or more than one: each then says its own."""
    found = {dtype for dtype, _ in map(working_domain, certificates) if dtype}
    return found.pop() if len(found) == 1 else None


class Step(NamedTuple):
    """One line of the chain: a formula, whether it holds (None: not known), and a remark."""

    formula: str
    holds: bool | None
    note: str = ""


def chain(one: Certificate) -> list[Step]:
    """−log(likelihood) = loss and exp(−loss) = likelihood, as they stand and as they hold for this loss."""
    if one.kind == "batch-coupled":
        return [Step("exp(−Σ loss) = ∏ p(yᵢ | fᵢ)", False, "what a row adds depends on the other rows")]
    p = "P(y | f)" if is_discrete(one) else "p(y | f)"
    return _held(one, p) if one.kind in LIKELY else _broken(one, p)


def _broken(one: Certificate, p: str) -> list[Step]:
    """No step holds, or (undecided, or a kind this report does not know) none is known to."""
    holds = False if one.kind in KINDS and one.kind != "undecided" else None
    return [
        *_bare(one, p, holds),
        Step(f"exp(−loss/τ)·h(y) = {p}", holds, "for no τ > 0 and no h(y)" if holds is False else ""),
    ]


def _held(one: Certificate, p: str) -> list[Step]:
    """What holds once τ and h are put in; before it the bare chain, where that does not."""
    tau = "" if one.scale is None or abs(one.scale - 1) <= SAME_TAU else f"/{number(one.scale, 6)}"
    before, after, remark = _measure(one.measure or "1")
    steps = _bare(one, p, False) if tau or before else []
    steps += [
        Step(f"exp(−loss{tau}){before} = {p}", True, remark),
        Step(f"−log {p} = loss{tau}{after}", True),
        Step(f"{_total(one)} exp(−loss{tau}){before} = 1", True, "at every output f"),
    ]
    if one.kind == "likelihood family":
        steps.append(Step(f"exp(−loss/τ)·h(y, τ) = {p}", True, "for a range of τ: the dispersion is free"))
    return steps


def _bare(one: Certificate, p: str, holds: bool | None) -> list[Step]:
    """The chain without τ and h."""
    return [Step(f"exp(−loss) = {p}", holds, z_words(one)), Step(f"−log {p} = loss", holds)]


def _measure(measure: str) -> tuple[str, str, str]:
    """h(y) in words → what it adds to exp(−loss), what to −log p, and a remark: nothing, a divisor, or a function."""
    said, _, remark = measure.partition(", ")
    if said == "1":
        return "", "", remark
    if re.fullmatch(r"1/([0-9.e+-]+|y!)", said):
        divisor = said[2:] if said == "1/y!" else number(float(said[2:]), 6)
        return f"/{divisor}", f" + log {divisor}", remark
    return "·h(y)", " − log h(y)", f"h(y) is {measure}"


def _total(one: Certificate) -> str:
    return "Σ over y of" if is_discrete(one) else "∫ over y of"


def z_words(one: Certificate) -> str:
    """What Σ or ∫ exp(−loss) is over the outputs drawn: one number, or a range; nothing where it was not computed."""
    if one.kind == "unnormalisable":
        return "the integral of exp(−loss) is infinite"
    z = numbers(one.curves.z)
    z = z[~np.isnan(z)]
    if not len(z):
        return ""
    low, high = float(z.min()), float(z.max())
    what = f"Z = {_total(one)} exp(−loss)"
    if high == low or high - low <= SAME_Z * abs(low):
        return f"{what} is {number(high, 6)} at every output"
    return f"{what} runs from {number(low)} to {number(high)} over the outputs drawn"


def measures(one: Certificate, most: int = 12) -> list[tuple[str, str, str]]:
    """(y, h(y), c(y) in nats) per target shown, at most `most`; empty where they are one number, which is a fact of its own."""
    base, constants = one.base_measure or {}, one.constants or {}
    if constant(one) is not None:
        return []
    return [(number(y, 4), number(base[y], 4), nats(constants[y])) for y in list(base)[:most]]


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
