"""From probe and evidence to a verdict: the rules, in their order."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import replace

import torch

from mlnn.comparing.differences import BELOW
from mlnn.comparing.domain import ALL, is_wide
from mlnn.comparing.ends import told
from mlnn.comparing.evidence import SAME_FACTOR, Evidence, Judged
from mlnn.comparing.explaining.explain import Explain, Explained
from mlnn.comparing.explaining.trial import Cause
from mlnn.comparing.inside import as_computed, computes_in
from mlnn.comparing.kinks import counted
from mlnn.comparing.on_paper import beside
from mlnn.comparing.probed import Part, Probe
from mlnn.comparing.relations import REQUIRABLE, weakest
from mlnn.comparing.rules import RULES, Found
from mlnn.comparing.sentence import at, sentence
from mlnn.comparing.standing import Standing
from mlnn.comparing.verdict import Verdict

SIGHT = 0.01
"""A comparison whose checks could not have caught a fault of this relative size is undecided."""
WITHOUT_CAUSE = ("bitwise", "broken", "undecided")
"""Relations that no cause is named for: there is none, or the reason has said it."""
ONE_SHIFT = 1e-12
"""Shifts that agree to this share over the targets are one: they are medians of float64 differences."""
FACTOR_SLACK = 10.0
"""Factors of two batch sizes are each found to within the rounding allowed; this many times that apart, they are two."""


def decide(
    probe: Probe,
    evidence: Evidence | None = None,
    resolutions: dict[str, float | None] | None = None,
    explain: Explain | None = None,
) -> Verdict:
    """The verdict on a probe, and on a training run where there was one. The weaker of the two counts.

    `resolutions`: per kind of planted fault, the smallest size caught, None where none was; `explain`: asked for cause and
    place where there is a difference.
    """
    resolutions = resolutions or {}
    resolution = _resolution(resolutions)
    found = _judged(probe, evidence)
    found = replace(found, value=as_computed(probe, found.value, 0), gradient=as_computed(probe, found.gradient, 1))
    relation, reason = weakest(found.value, found.gradient), found.reason
    if relation in REQUIRABLE and not is_wide(probe.domain):
        relation, reason = "undecided", "the two part near raw output 0 in some precision, by what no other check shows"
    if relation in REQUIRABLE and resolutions and (resolution is None or resolution > SIGHT):
        relation, reason = "undecided", f"a planted fault of {SIGHT:.0%} would not have been caught"
    verdict = Verdict(
        relation, found.value, found.gradient, "", domain=_domain(probe.interval, relation in REQUIRABLE),
        scale=_scale(probe, evidence), shift=_shift(probe), resolution=resolution, resolutions=resolutions,
        evidence=_facts(probe, evidence), computes_in=computes_in(probe),
        points=counted(probe.points, evidence.stood if evidence else Standing()),
    )  # fmt: skip
    if evidence is not None:
        verdict = replace(
            verdict,
            left_domain=evidence.rows_outside / evidence.rows if evidence.rows else None,
            first_difference=evidence.first_difference,
            control=evidence.control or "bitwise",
            shrink=evidence.gradient.shrink,
        )
    explained = _explained(verdict, probe, evidence, explain)
    verdict = replace(
        verdict,
        cause=explained.cause.words if explained.cause else None,
        where=explained.place.to_dict() if explained.place else None,
        proof=probe.paper and beside(probe.paper, relation, verdict.domain, evidence.paper if evidence else Standing()),
    )
    return replace(verdict, sentence=sentence(verdict, probe, evidence, reason, explained))


def _explained(verdict: Verdict, probe: Probe, evidence: Evidence | None, explain: Explain | None) -> Explained:
    """Cause and place, where there is a difference that has them: a side that saturates or overflows needs no other cause, nor
    one that has told of itself (a backward pass that goes astray, rows that stood on an isolated point)."""
    reasons = told(probe.domain, probe.ends)
    clips = any(why.endswith("clips") for why in reasons) or (not reasons and not isinstance(verdict.domain, str))
    if verdict.relation in WITHOUT_CAUSE or (verdict.relation == "equal" and not clips):
        return Explained()
    if cause := _seen(verdict, probe, evidence):
        return Explained(cause)
    if explain is None or probe.upstream or verdict.stood:
        return Explained()
    found = explain(evidence.witness if evidence else None)
    # A constant factor is no reason for two that are not scaled: what it leaves has another one.
    constant = found.cause is not None and found.cause.scales and verdict.relation == "different"
    return dataclasses.replace(found, cause=None) if constant else found


def _seen(verdict: Verdict, probe: Probe, evidence: Evidence | None) -> Cause | None:
    """The cause that probe or training have shown themselves, where the two agree in everything else."""
    if probe.upstream:
        return Cause(f"{probe.upstream}'s backward pass does not follow the upstream gradient")
    if verdict.relation != "different" or verdict.value_relation in ("different", "broken", "undecided"):
        return None
    if evidence is None:
        return probe.backward
    if probe.backward or evidence.gradient.odd(evidence.own):
        return probe.backward or next((one.cause for one in evidence.carried if one.cause), None)
    alike = probe.gradient.relation in REQUIRABLE and all(factor == 1 for factor in evidence.factors.values())
    return evidence.rates.cause if alike else None


def _resolution(resolutions: dict[str, float | None]) -> float | None:
    """The size that every kind of planted fault was caught at; None where one of them never was, or none was planted."""
    caught = [size for size in resolutions.values() if size is not None]
    return max(caught) if caught and len(caught) == len(resolutions) else None


def _domain(interval: tuple[float, float], holds: bool) -> str | tuple[float, float]:
    if not holds and not (interval[0] <= -1 and interval[1] >= 1):
        return "none"
    return "all" if interval == ALL else interval


def _judged(probe: Probe, evidence: Evidence | None) -> Found:
    """What the first rule that applies finds."""
    if probe.unsteady:
        return Found("undecided", "undecided", probe.unsteady)
    if probe.broke:
        return Found("broken", "broken", probe.broke)
    parts = (probe.value, probe.gradient)
    value, gradient = (weakest(part.relation, _on_batches(probe, part)) for part in parts)
    probed = _beyond(probe, Found(value, gradient, probe.why))
    if evidence is None:
        return probed
    return next((found for rule in RULES if (found := rule(probed, evidence))), None) or Found(
        weakest(probed.value, _trained(evidence.value, evidence, probed.value)),
        weakest(probed.gradient, _trained(evidence.gradient, evidence, probed.gradient)),
        probed.reason,
    )


def _beyond(probe: Probe, probed: Found) -> Found:
    """A domain that ends for no numerical reason is no domain: beyond it the two objectives differ."""
    part = probe.beyond
    if part is None or probed.gradient not in REQUIRABLE:
        return probed
    low, high = probe.interval
    why = (
        f"outside [{low:.4g}, {high:.4g}] gradients differ by {part.size:.2g}, at raw output {at(part.output)}, target"
        f" {at(part.target)}, where neither side saturates, clips or overflows"
    )
    return Found(probed.value, "different", why)


def _on_batches(probe: Probe, part: Part) -> str:
    """The relation that whole random batches allow."""
    seen = probe.whole
    if probe.upstream and part is probe.gradient:
        return "different"
    if seen is None or seen.left is None or seen.right is None or (probe.alone and not seen.answered):
        return "undecided" if probe.alone else "bitwise"
    apart = seen.gradient or seen.value or any(factor != 1 for factor in seen.factors.values())
    if (seen.left.couples != seen.right.couples and apart) or seen.rough:
        return "different"
    eps = max(float(torch.finfo(probe.dtype).eps), *(one.eps if one.sealed else 0.0 for one in probe.computing))
    real = seen.value if part is probe.value else seen.gradient
    found = _judge(real, seen.factors.values(), eps, probe.dtype == torch.float64)
    return found or ("equal" if probe.alone and not seen.same_bits else "bitwise")


def _trained(judged: Judged, evidence: Evidence, probed: str) -> str:
    """The relation that the training steps allow for values or gradients."""
    if not judged.steps:
        return probed
    own = evidence.own
    if judged.unexplained(own) or not steady(evidence):
        return "different"
    eps = max(float(torch.finfo(getattr(torch, own)).eps), judged.floor if judged.alone else 0.0)
    factors = evidence.loss_factors if judged is evidence.value else evidence.factors
    return _judge(judged.real, factors.values(), eps, own == "float64") or ("bitwise" if evidence.bitwise else "equal")


def steady(evidence: Evidence) -> bool:
    """Whether right's factor is the same for every batch size: if not, rows of short batches weigh more or less."""
    factors = evidence.factors.values()
    slack = FACTOR_SLACK * max(SAME_FACTOR, evidence.gradient.allowed)
    return not factors or max(factors) - min(factors) <= slack * max(factors)


def _judge(real: float, factors: Iterable[float], eps: float, double: bool) -> str | None:
    """Different, scaled or indistinguishable; None where nothing but rounding was seen."""
    if real > BELOW * eps or (real and double):
        return "different"
    if any(abs(factor - 1) > BELOW * eps for factor in factors):
        return "scaled"
    return "indistinguishable" if real or any(factor != 1 for factor in factors) else None


def _scale(probe: Probe, evidence: Evidence | None) -> float:
    return next(iter(_factors(probe, evidence).values()), probe.factor)


def _factors(probe: Probe, evidence: Evidence | None) -> dict[int, float]:
    """Right's gradient ÷ left's per number of rows: in training, else on the probe's whole batches."""
    if evidence and evidence.factors:
        return evidence.factors
    return probe.whole.factors if probe.whole else {}


def _shift(probe: Probe) -> float | dict[float, float]:
    sizes = list(probe.shift.values())
    return sizes[0] if max(sizes) - min(sizes) <= ONE_SHIFT * max(map(abs, sizes)) else probe.shift


def _facts(probe: Probe, evidence: Evidence | None) -> dict[str, object]:
    facts: dict[str, object] = {
        "probe_value": _part(probe.value),
        "probe_gradient": _part(probe.gradient),
        "nearer": probe.nearer,
    }
    if probe.whole and probe.whole.known:
        facts["reductions"] = [kind.kind for kind in (probe.whole.left, probe.whole.right) if kind]
        facts["batch_factors"] = {str(rows): factor for rows, factor in probe.whole.factors.items()}
    if any(probe.lowered):
        facts["lowered"] = dict(zip(("value", "gradient"), probe.lowered, strict=True))
    if reasons := told(probe.domain, probe.ends):
        facts["domain_ends"] = reasons
    if probe.notes or probe.writes:
        facts["notes"] = [*probe.notes, *probe.writes]
    if probe.left_out is not None and bool(probe.left_out.mask.any()):
        facts["left_out"] = probe.left_out.facts
    if evidence is None:
        return facts
    return facts | {
        "steps": max(evidence.trained, evidence.steps),
        "steps_looked_at": evidence.steps,
        "steps_judged": evidence.gradient.steps,
        "rows": evidence.rows,
        "rows_outside": evidence.rows_outside,
        "steps_without_rows_outside": evidence.spared,
        "steps_left_out": evidence.left_out,
        "steps_without_gradient": evidence.idle,
        "raw_outputs": [evidence.raw_low, evidence.raw_high],
        "gradient_gap": evidence.gradient.largest,
        "value_gap": evidence.value.largest,
        "real_gradient_gap": evidence.gradient.real,
        "real_value_gap": evidence.value.real,
        "factors": {str(rows): factor for rows, factor in evidence.factors.items()},
        "stops": {name: dataclasses.asdict(stop) for name, stop in evidence.stops.items()},
    }


def _part(part: Part) -> dict[str, object]:
    return {k: v for k, v in dataclasses.asdict(part).items() if v is not None and v != math.inf}
