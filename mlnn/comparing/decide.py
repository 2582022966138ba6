"""From probe and evidence to a verdict: the rules, in their order."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from mlnn.comparing.cause import likely_cause
from mlnn.comparing.differences import BELOW
from mlnn.comparing.domain import ALL
from mlnn.comparing.evidence import SAME_FACTOR, Evidence, Judged
from mlnn.comparing.inside import as_computed, computes_in
from mlnn.comparing.probe import Part, Probe
from mlnn.comparing.relations import REQUIRABLE, weakest
from mlnn.comparing.sentence import sentence
from mlnn.comparing.verdict import Verdict

FEWEST = 0.1
"""Share of the steps that must have been comparable: a run that left the domain or diverged at once decides nothing."""
SIGHT = 0.01
"""A comparison whose checks could not have caught a fault of this relative size is undecided."""
WITHOUT_CAUSE = ("bitwise", "broken", "undecided")
"""Relations that no cause is named for: there is none, or the reason has said it."""
ONE_SHIFT = 1e-12
"""Shifts that agree to this share over the targets are one: they are medians of float64 differences."""
FACTOR_SLACK = 10.0
"""Factors of two batch sizes are each found to within the rounding allowed; this many times that apart, they are two."""


@dataclass(frozen=True)
class Found:
    """What one rule makes of the evidence: the relation of values, that of gradients, and why, where it has to be said."""

    value: str
    gradient: str
    reason: str | None = None


def decide(
    probe: Probe,
    evidence: Evidence | None = None,
    resolutions: dict[str, float | None] | None = None,
) -> Verdict:
    """The verdict on a probe, and on a training run where there was one. The weaker of the two counts.

    `resolutions`: per kind of planted fault, the smallest size caught, None where none was.
    """
    resolutions = resolutions or {}
    resolution = _resolution(resolutions)
    found = _judged(probe, evidence)
    found = replace(found, value=as_computed(probe, found.value, 0), gradient=as_computed(probe, found.gradient, 1))
    relation, reason = weakest(found.value, found.gradient), found.reason
    if relation in REQUIRABLE and resolutions and (resolution is None or resolution > SIGHT):
        relation, reason = "undecided", f"a planted fault of {SIGHT:.0%} would not have been caught"
    verdict = Verdict(
        relation, found.value, found.gradient, "", domain=_domain(probe.interval, relation in REQUIRABLE),
        scale=_scale(probe, evidence), shift=_shift(probe), resolution=resolution, resolutions=resolutions,
        evidence=_facts(probe, evidence), computes_in=computes_in(probe),
    )  # fmt: skip
    if evidence is not None:
        verdict = replace(
            verdict,
            left_domain=evidence.rows_outside / evidence.rows if evidence.rows else None,
            first_difference=evidence.first_difference,
            control=evidence.control or "bitwise",
            shrink=evidence.gradient.shrink,
        )
    cause = None if relation in WITHOUT_CAUSE else likely_cause(probe, _factors(probe, evidence))
    return replace(verdict, sentence=sentence(verdict, probe, evidence, reason, cause))


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
    probed = Found(*(weakest(part.relation, _on_batches(probe, part)) for part in (probe.value, probe.gradient)))
    if evidence is None:
        return probed
    rules = (
        _control_differs,
        _one_side_broke,
        _never_moved,
        _too_few_steps,
        _other_steps,
        _other_predictions,
        _same_bits,
    )
    return next((found for rule in rules if (found := rule(probed, evidence))), None) or Found(
        weakest(probed.value, _trained(evidence.value, evidence, probed.value)),
        weakest(probed.gradient, _trained(evidence.gradient, evidence, probed.gradient)),
    )


def _control_differs(_probed: Found, evidence: Evidence) -> Found | None:
    if not evidence.control:
        return None
    fault = "the machine or the code is at fault, not the objectives"
    if evidence.own_update:
        fault += (
            " (an update that keeps state in a closure shares it between lanes: keep it in an object, which is copied)"
        )
    return Found("undecided", "undecided", f"{evidence.control}: {fault}")


def _one_side_broke(_probed: Found, evidence: Evidence) -> Found | None:
    reason = _stopped_alone(evidence) or _broke_at_common_weights(evidence)
    return Found("broken", "broken", reason) if reason else None


def _never_moved(_probed: Found, evidence: Evidence) -> Found | None:
    if evidence.moved:
        return None
    return Found("undecided", "undecided", "left's weights never moved, so nothing was trained")


def _too_few_steps(probed: Found, evidence: Evidence) -> Found | None:
    planned, judged = max(evidence.planned, evidence.steps), evidence.gradient.steps
    if judged >= FEWEST * planned:
        return None
    if probed.value == "different":
        return probed
    because = ": on the others rows left the domain" if evidence.rows_outside else ""
    return Found("undecided", "undecided", f"only {judged} of {planned} steps could be compared{because}")


def _other_steps(probed: Found, evidence: Evidence) -> Found | None:
    odd = evidence.update.odd(evidence.own)
    if not odd:
        return None
    if evidence.own_update and evidence.gradient.odd(evidence.own):
        return None  # the gradient itself differs, and so does what follows from it
    step, size = odd
    why = (
        f"from the same weights, gradient and state the optimizers take steps that differ by {size:.2g} at step {step}"
    )
    if evidence.own_update:
        factor = next(iter(evidence.factors.values()), 1.0)
        why = f"gradients agree{'' if factor == 1 else f' up to a factor of {factor:.6g}'}, but {why}"
    return Found(probed.value, "different", why)


def _other_predictions(probed: Found, evidence: Evidence) -> Found | None:
    odd = evidence.prediction.odd(evidence.own)
    if not odd:
        return None
    step, size = odd
    why = (
        f"in evaluation mode, predictions from the same weights differ by {size:.2g} at step {step} (buffers, or modes)"
    )
    return Found("different", probed.gradient, why)


def _same_bits(probed: Found, evidence: Evidence) -> Found | None:
    return probed if evidence.bitwise and probed.value == probed.gradient == "bitwise" else None


def _on_batches(probe: Probe, part: Part) -> str:
    """The relation that whole random batches allow."""
    seen = probe.whole
    if seen is None or seen.left is None or seen.right is None:
        return "bitwise"
    if seen.left.couples != seen.right.couples or seen.rough:
        return "different"
    eps = float(torch.finfo(probe.dtype).eps)
    real = seen.value if part is probe.value else seen.gradient
    return _judge(real, seen.factors.values(), eps, probe.dtype == torch.float64) or "bitwise"


def _trained(judged: Judged, evidence: Evidence, probed: str) -> str:
    """The relation that the training steps allow for values or gradients."""
    if not judged.steps:
        return probed
    own = evidence.own
    if judged.unexplained(own) or not steady(evidence):
        return "different"
    eps = float(torch.finfo(getattr(torch, own)).eps)
    return _judge(judged.real, evidence.factors.values(), eps, own == "float64") or (
        "bitwise" if evidence.bitwise else "equal"
    )


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


def _stopped_alone(evidence: Evidence) -> str | None:
    """The sentence for a side that went non-finite in training where the other did not; None otherwise."""
    stopped = [side for side in ("left", "right") if side in evidence.stops]
    if len(stopped) != 1 or evidence.diverged:
        return None
    side, stop = stopped[0], evidence.stops[stopped[0]]
    place = (
        "" if stop.row is None else f", first in row {stop.row} (raw output {stop.output!r}, target {stop.target!r})"
    )
    other = "left" if side == "right" else "right"
    return f"{side}'s {stop.what} is not finite from step {stop.step} on{place}, while {other} trains on"


def _broke_at_common_weights(evidence: Evidence) -> str | None:
    """The same at left's weights, for a step at which left itself was still finite."""
    if evidence.one_sided is None:
        return None
    step, dtype, side = evidence.one_sided
    left = evidence.stops.get("left")
    if left is not None and step >= left.step:
        return None
    return f"at the same weights, {side} is not finite at step {step} in {dtype} where the other side is"


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
    if probe.notes:
        facts["notes"] = probe.notes
    if evidence is None:
        return facts
    return facts | {
        "steps": evidence.steps,
        "steps_judged": evidence.gradient.steps,
        "rows": evidence.rows,
        "rows_outside": evidence.rows_outside,
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
