"""From probe and evidence to a relation and one plain sentence."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

from mlnn.arguments import interval
from mlnn.comparing import stored
from mlnn.comparing.cause import likely_cause
from mlnn.comparing.differences import BELOW
from mlnn.comparing.domain import ALL
from mlnn.comparing.evidence import SAME_FACTOR, Evidence, Judged, allowed
from mlnn.comparing.probe import Part, Probe
from mlnn.comparing.relations import ORDER, check_require, weakest
from mlnn.comparing.sentence import sentence
from mlnn.report.brief import Brief

FEWEST = 0.1
"""Share of the steps that must have been comparable: a run that left the domain or diverged at once decides nothing."""
SIGHT = 0.01
"""A comparison whose checks could not have caught a fault of this relative size is undecided."""


@dataclass(frozen=True, repr=False)
class Verdict:
    """What the gaps say, with the resolution at which it was said.

    `relation`: the weaker of `value_relation` and `gradient_relation`. `domain`: "all" or the interval of raw outputs on
    which it holds; `left_domain`: fraction of training rows outside it (None without training). right = `scale`·left +
    `shift` (a number, or one per target). `resolution`: smallest planted fault, relative, that these checks caught.
    `first_difference`: step, parameter, row, raw output and target where bits first differ. `shrink`: float32 ÷ float64
    gradient gap at common weights.
    """

    relation: str
    value_relation: str
    gradient_relation: str
    sentence: str
    domain: str | tuple[float, float] = "all"
    left_domain: float | None = None
    scale: float = 1.0
    shift: float | dict[float, float] = 0.0
    resolution: float | None = None
    resolutions: dict[str, float | None] = field(default_factory=dict)
    first_difference: dict[str, object] | None = None
    control: str = "not run"
    shrink: float | None = None
    evidence: dict[str, object] = field(default_factory=dict)

    def meets(self, require: str, domain: tuple[float, float] | None = None) -> bool:
        """Whether the relation is at least as strong as `require`, on all raw outputs, or inside the allowed `domain`,
        or with every training row seen inside the verdict's own domain."""
        check_require(str(require))
        domain = interval("domain", domain)
        if ORDER.index(self.relation) > ORDER.index(require):
            return False
        if self.domain == "all" or self.left_domain == 0:
            return True
        return (
            domain is not None
            and not isinstance(self.domain, str)
            and self.domain[0] <= domain[0]
            and domain[1] <= self.domain[1]
        )

    def to_dict(self) -> dict[str, object]:
        """Plain data for `verdict.json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, told: stored.Stored) -> "Verdict":
        """What `to_dict` gave, back from JSON; ValueError names what is not what belongs there."""
        return cls(
            stored.relation(told, "relation"), stored.relation(told, "value_relation"),
            stored.relation(told, "gradient_relation"), stored.word_or(told, "sentence", ""), stored.domain(told, "domain"),
            stored.number(told, "left_domain"), stored.number_or(told, "scale", 1.0), stored.shift(told, "shift"),
            stored.number(told, "resolution"), stored.sizes(told, "resolutions"),
            stored.table(told, "first_difference"), stored.word_or(told, "control", "not run"),
            stored.number(told, "shrink"), stored.table(told, "evidence") or {},
        )  # fmt: skip

    def facts(self) -> list[tuple[str, str]]:
        """What there is to know beside the sentence, (word, value): the domain, factor and shift, the resolution."""
        outside = "" if not self.left_domain else f", left by {self.left_domain:.2%} of the rows"
        ends = None if isinstance(self.domain, str) else "raw outputs from {:.4g} to {:.4g}".format(*self.domain)
        found = [("domain", f"{ends or {'all': 'all raw outputs'}.get(str(self.domain), self.domain)}{outside}")]
        if self.scale != 1:
            found += [("scale", f"right = {self.scale:.6g} · left")]
        if self.shift:
            one = f"{self.shift:.6g}" if isinstance(self.shift, int | float) else "one per target"
            found += [("shift", one)]
        planted = "no planted fault was caught" if self.resolutions else "no fault was planted"
        return [
            *found,
            ("resolution", f"{self.resolution:.0e}" if self.resolution else planted),
            ("control", self.control),
        ]

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def _brief(self) -> Brief:
        return Brief(f"Verdict: {self.relation}", self.sentence, self.facts())


def decide(
    probe: Probe,
    evidence: Evidence | None = None,
    resolutions: dict[str, float | None] | None = None,
) -> Verdict:
    """The verdict on a probe, and on a training run where there was one. The weaker of the two counts.

    `resolutions`: per kind of planted fault, the smallest size caught, None where none was.
    """
    resolutions = resolutions or {}
    caught = [size for size in resolutions.values() if size is not None]
    resolution = max(caught) if caught and len(caught) == len(resolutions) else None
    value, gradient, reason = _sides(probe, evidence)
    relation = weakest(value, gradient)
    blind = resolutions and (resolution is None or resolution > SIGHT)
    if relation in ORDER[:5] and blind:
        relation, reason = "undecided", f"a planted fault of {SIGHT:.0%} would not have been caught"
    scale = _scale(probe, evidence)
    interval = probe.interval
    holds = relation in ORDER[:5]
    facts = _facts(probe, evidence)
    verdict = Verdict(
        relation, value, gradient, "",
        domain=_domain(interval, holds),
        left_domain=evidence.rows_outside / evidence.rows if evidence and evidence.rows else None,
        scale=scale, shift=_shift(probe), resolution=resolution, resolutions=resolutions,
        first_difference=evidence.first_difference if evidence else None,
        control="not run" if evidence is None else evidence.control or "bitwise",
        shrink=evidence.gradient.shrink if evidence else None, evidence=facts,
    )  # fmt: skip
    causes = relation not in ("bitwise", "broken", "undecided")
    cause = (
        likely_cause(probe, evidence.factors if evidence and evidence.factors else _factors(probe)) if causes else None
    )
    return dataclasses.replace(verdict, sentence=sentence(verdict, probe, evidence, reason, cause))


def _domain(interval: tuple[float, float], holds: bool) -> str | tuple[float, float]:
    if not holds and not (interval[0] <= -1 and interval[1] >= 1):
        return "none"
    return "all" if interval == ALL else interval


def _sides(probe: Probe, evidence: Evidence | None) -> tuple[str, str, str | None]:
    """Relation of values and of gradients, and the reason where they could not be told or broke."""
    if probe.unsteady:
        return "undecided", "undecided", probe.unsteady
    value, gradient = (weakest(part.relation, _on_batches(probe, part)) for part in (probe.value, probe.gradient))
    if evidence is None:
        return value, gradient, None
    if evidence.control:
        return "undecided", "undecided", evidence.control + ": the machine or the code is at fault, not the objectives"
    broken = _broken(evidence)
    if broken:
        return "broken", "broken", broken
    if not evidence.moved:
        return "undecided", "undecided", "left's weights never moved, so nothing was trained"
    planned = max(evidence.planned, evidence.steps)
    if evidence.gradient.steps < FEWEST * planned:
        why = (
            f"only {evidence.gradient.steps} of {planned} steps could be compared: on the others rows left the domain"
            if evidence.rows_outside
            else f"only {evidence.gradient.steps} of {planned} steps could be compared"
        )
        return ("undecided", "undecided", why) if value != "different" else (value, gradient, None)
    update = evidence.update
    odd = update.first_real or update.unexplained(evidence.own)
    if odd:
        step, size = odd
        why = f"from the same weights, gradient and state the optimizers take steps that differ by {size:.2g} at step {step}"
        return value, "different", why
    odd = evidence.prediction.first_real or evidence.prediction.unexplained(evidence.own)
    if odd:
        step, size = odd
        why = f"in evaluation mode, predictions from the same weights differ by {size:.2g} at step {step} (buffers, or modes)"
        return "different", gradient, why
    if evidence.bitwise and value == gradient == "bitwise":
        return "bitwise", "bitwise", None
    trained = [
        _trained(judged, evidence, part) for judged, part in ((evidence.value, value), (evidence.gradient, gradient))
    ]
    return weakest(value, trained[0]), weakest(gradient, trained[1]), None


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
    slack = 10 * max(SAME_FACTOR, allowed(evidence.gradient.coarse))
    return not factors or max(factors) - min(factors) <= slack * max(factors)


def _judge(real: float, factors: Iterable[float], eps: float, double: bool) -> str | None:
    """Different, scaled or indistinguishable; None where nothing but rounding was seen."""
    if real > BELOW * eps or (real and double):
        return "different"
    if any(abs(factor - 1) > BELOW * eps for factor in factors):
        return "scaled"
    return "indistinguishable" if real or any(factor != 1 for factor in factors) else None


def _broken(evidence: Evidence) -> str | None:
    """The sentence for a side that went non-finite where the other did not; None otherwise."""
    left, right = evidence.stops.get("left"), evidence.stops.get("right")
    if (left is None) != (right is None) and not evidence.diverged:
        stop, side, other = (right, "right", "left") if right else (left, "left", "right")
        assert stop is not None
        place = (
            ""
            if stop.row is None
            else f", first in row {stop.row} (raw output {stop.output!r}, target {stop.target!r})"
        )
        return f"{side}'s {stop.what} is not finite from step {stop.step} on{place}, while {other} trains on"
    if evidence.one_sided and (left is None or evidence.one_sided[0] < left.step):
        step, dtype, side = evidence.one_sided
        return f"at the same weights, {side} is not finite at step {step} in {dtype} where the other side is"
    return None


def _scale(probe: Probe, evidence: Evidence | None) -> float:
    if evidence and evidence.factors:
        return next(iter(evidence.factors.values()))
    return next(iter(_factors(probe).values()), probe.factor)


def _factors(probe: Probe) -> dict[int, float]:
    return probe.whole.factors if probe.whole else {}


def _shift(probe: Probe) -> float | dict[float, float]:
    sizes = list(probe.shift.values())
    return sizes[0] if max(sizes) - min(sizes) <= 1e-12 * max(map(abs, sizes)) else probe.shift


def _facts(probe: Probe, evidence: Evidence | None) -> dict[str, object]:
    facts: dict[str, object] = {
        "probe_value": _part(probe.value),
        "probe_gradient": _part(probe.gradient),
        "nearer": probe.nearer,
    }
    if probe.whole and probe.whole.known:
        facts["reductions"] = [kind.kind for kind in (probe.whole.left, probe.whole.right) if kind]
        facts["batch_factors"] = {str(rows): factor for rows, factor in probe.whole.factors.items()}
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
