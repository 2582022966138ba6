"""The verdict in one plain sentence that a colleague would understand."""

from mlnn.comparing.evidence import Evidence, Judged
from mlnn.comparing.inside import judged_alone, said_inside, same_mathematics, sealed_sides
from mlnn.comparing.probe import Part, Probe
from mlnn.comparing.verdict import Verdict

HOLDING = ("equal", "indistinguishable", "shifted", "scaled")
SILENT = ("broken", "undecided")
"""Relations after which nothing is said of domain, steps or decay: there is no agreement that they could qualify."""
NEAR_ONE = 1e-4
"""A factor nearer to 1 than this is written as 1 ± the difference, or six digits would show it as 1."""
MUCH_MORE = 2.0
"""The largest gap is told beside the first one where it is more than this many times as large."""


def sentence(verdict: Verdict, probe: Probe, evidence: Evidence | None, reason: str | None, cause: str | None) -> str:
    """Relation, size, where and why, in words."""
    told = _relation(verdict, probe, evidence, reason)
    inside = None if verdict.relation in SILENT or _by_inside(verdict, probe, evidence) else said_inside(probe)
    parts = [told, inside, _domain(verdict), _nearer(verdict, probe)]
    if evidence:
        parts += [_diverged(verdict, evidence), _on_some_steps(verdict, evidence), _decay(verdict, evidence)]
    return " ".join(part for part in [*parts, cause, _visited(verdict, probe), _resolution(verdict)] if part)


def _relation(verdict: Verdict, probe: Probe, evidence: Evidence | None, reason: str | None) -> str:
    match verdict.relation:
        case "bitwise":
            return "Left and right gave the same bits throughout."
        case "equal":
            return "Left and right are the same objective: what differs is rounding, down to float64."
        case "indistinguishable" if sealed_sides(probe):
            return judged_alone(probe, _size(probe, evidence))
        case "indistinguishable" if _by_inside(verdict, probe, evidence):
            return same_mathematics(probe, _dtype(probe))
        case "indistinguishable":
            return f"Left and right differ by {_size(probe, evidence)}, less than {_dtype(probe)} can resolve."
        case "shifted":
            return f"Right is left plus {_shift(verdict)}, which depends on the target only: training is the same."
        case "scaled":
            plus = f", plus {_shift(verdict)}" if verdict.shift else ""
            return f"Right is {_times(verdict.scale)} times left{plus}: same optimum, other step size."
        case "different":
            return f"Left and right train differently: {reason or _different(verdict, probe, evidence)}."
        case _:
            return f"{verdict.relation.capitalize()}: {reason}."


def _by_inside(verdict: Verdict, probe: Probe, evidence: Evidence | None) -> bool:
    """Whether the relation is told by what the two compute in, and by nothing else."""
    if verdict.relation != "indistinguishable":
        return False
    return bool(sealed_sides(probe)) or (any(probe.lowered) and not max(_sizes(probe, evidence)))


def _domain(verdict: Verdict) -> str | None:
    if isinstance(verdict.domain, str) or verdict.relation in (*SILENT, "different"):
        return None
    low, high = verdict.domain
    left = ""
    if verdict.left_domain is not None:
        left = f"; {verdict.left_domain:.2%} of training rows left it"
        if verdict.left_domain == 0:
            left = ", and every training row stayed inside"
    return f"This holds for raw outputs in [{low:.4g}, {high:.4g}]{left}."


def _visited(verdict: Verdict, probe: Probe) -> str | None:
    """Where else than in training a pair was asked that has no raw outputs to be asked everywhere."""
    if not probe.visited or verdict.relation in (*SILENT, "different"):
        return None
    return f"Asked too with {probe.visited}."


def _nearer(verdict: Verdict, probe: Probe) -> str | None:
    if not probe.nearer or verdict.relation not in HOLDING:
        return None
    where = "Beyond it" if verdict.domain != "all" else "On extreme outputs"
    return f"{where} {probe.nearer} is the more accurate side."


def _diverged(verdict: Verdict, evidence: Evidence) -> str | None:
    stops = {side: evidence.stops[side] for side in ("left", "right") if side in evidence.stops}
    if not stops or verdict.relation == "broken":
        return None
    told = " and ".join(f"{side}'s {stop.what} from step {stop.step} on" for side, stop in stops.items())
    return f"Training diverged: not finite were {told}."


def _on_some_steps(verdict: Verdict, evidence: Evidence) -> str | None:
    judged = evidence.gradient.steps
    if not 0 < judged < evidence.steps or verdict.relation in SILENT:
        return None
    return f"Judged on {judged} of {evidence.steps} steps; on the others a row lay outside in some precision."


def _decay(verdict: Verdict, evidence: Evidence) -> str | None:
    """Whether one side's weight decay is the other's Gaussian prior, by the steps taken from the same weights."""
    if not evidence.decay or not evidence.update.steps or verdict.relation in SILENT:
        return None
    if evidence.update.odd(evidence.own):
        return f"Weight decay: {evidence.decay} do not take the same steps, so they are not the same prior."
    return f"Weight decay: {evidence.decay} take the same steps: the decay is that Gaussian prior, so the fit is MAP."


def _resolution(verdict: Verdict) -> str | None:
    if verdict.resolution is None or verdict.relation in (*SILENT, "different"):
        return None
    return f"A fault of {verdict.resolution:.1e} would have been caught."


def _dtype(probe: Probe) -> str:
    return str(probe.dtype).removeprefix("torch.")


def _times(factor: float) -> str:
    return f"{factor:.6g}" if abs(factor - 1) > NEAR_ONE else f"(1 {factor - 1:+.3g})"


def _sizes(probe: Probe, evidence: Evidence | None) -> list[float]:
    sizes = [probe.value.size, probe.gradient.size]
    return sizes + ([evidence.gradient.real, evidence.value.real] if evidence else [])


def _size(probe: Probe, evidence: Evidence | None) -> str:
    return f"{max(_sizes(probe, evidence)):.2g} (relative)"


def _shift(verdict: Verdict) -> str:
    if isinstance(verdict.shift, dict):
        shown = list(verdict.shift.items())[:3]
        return (
            "a constant per target (" + ", ".join(f"{value:.6g} at target {target:g}" for target, value in shown) + ")"
        )
    return f"{verdict.shift:.6g}"


def _different(verdict: Verdict, probe: Probe, evidence: Evidence | None) -> str:
    told = evidence and not evidence.gradient.real and (_rough(probe, evidence) or _by_batch(evidence))
    if told:
        return told
    sides = (
        ("gradients", verdict.gradient_relation, probe.gradient, evidence.gradient if evidence else None),
        ("values", verdict.value_relation, probe.value, evidence.value if evidence else None),
    )
    return ", ".join(
        _clause(what, part, judged, probe) if relation == "different" else f"{what} agree"
        for what, relation, part, judged in sides
    )


def _rough(probe: Probe, evidence: Evidence) -> str | None:
    dtype = _dtype(probe)
    odd = evidence.gradient.unexplained(dtype)
    if not odd:
        return None
    gap = max(odd[1], evidence.gradient.largest[dtype])
    return f"float64 agrees, but in {dtype} gradients differ by up to {gap:.2g}, more than its rounding explains"


def _by_batch(evidence: Evidence) -> str | None:
    if len(set(evidence.factors.values())) < 2:
        return None
    told = ", ".join(f"{factor:.6g} on batches of {rows} rows" for rows, factor in evidence.factors.items())
    return f"the factor between their gradients depends on the batch: {told}"


def _clause(what: str, part: Part, judged: Judged | None, probe: Probe) -> str:
    """Where and by how much gradients, or values, differ: on the probe, in training, or on the probe's whole batches."""
    if part.relation == "different" and part.place:
        return f"{what} differ by {part.size:.2g} {part.place}"
    if part.relation == "different":
        return f"{what} differ by {part.size:.2g} at raw output {_at(part.output)}, target {_at(part.target)}"
    if judged and judged.first_real:
        step, size = judged.first_real
        most = f" and by up to {judged.real:.2g}" if judged.real > MUCH_MORE * size else ""
        return f"{what} at common weights differ by {size:.2g} at step {step}{most}"
    whole = probe.whole
    if whole and whole.rough:
        return (
            f"{what} of whole batches differ in {_dtype(probe)} by {whole.rough:.2g}, more than its rounding explains"
        )
    size = (whole.gradient if what == "gradients" else whole.value) if whole else 0.0
    return f"{what} of whole batches differ" + (f" by {size:.2g}" if size else "")


def _at(output: float | list[float] | None) -> str:
    if isinstance(output, list):
        return "(" + ", ".join(f"{entry:.3g}" for entry in output) + ")"
    return f"{output:.4g}"
