"""The verdict in one plain sentence that a colleague would understand."""

from mlnn.comparing.evidence import Evidence
from mlnn.comparing.probe import Probe
from mlnn.comparing.verdict import Verdict


def sentence(verdict: Verdict, probe: Probe, evidence: Evidence | None, reason: str | None, cause: str | None) -> str:
    """Relation, size, where and why, in words."""
    body = {
        "bitwise": "Left and right gave the same bits throughout.",
        "equal": "Left and right are the same objective: what differs is rounding, down to float64.",
        "indistinguishable": f"Left and right differ by {_size(probe, evidence)}, less than {_dtype(probe)} can resolve.",
        "shifted": f"Right is left plus {_shift(verdict)}, which depends on the target only: training is the same.",
        "scaled": f"Right is {_times(verdict.scale)} times left{_plus(verdict)}: same optimum, other step size.",
        "different": f"Left and right train differently: {reason or _different(verdict, probe, evidence)}.",
        "broken": f"Broken: {reason}.",
        "undecided": f"Undecided: {reason}.",
    }[verdict.relation]
    tail = [body]
    if not isinstance(verdict.domain, str) and verdict.relation not in ("broken", "different", "undecided"):
        low, high = verdict.domain
        tail.append(f"This holds for raw outputs in [{low:.4g}, {high:.4g}]{_left(verdict)}.")
    if probe.nearer and verdict.relation in ("equal", "indistinguishable", "shifted", "scaled"):
        where = "Beyond it" if verdict.domain != "all" else "On extreme outputs"
        tail.append(f"{where} {probe.nearer} is the more accurate side.")
    stopped = [
        side for side in ("left", "right") if evidence and side in evidence.stops and verdict.relation != "broken"
    ]
    if evidence and stopped:
        told = " and ".join(
            f"{side}'s {evidence.stops[side].what} from step {evidence.stops[side].step} on" for side in stopped
        )
        tail.append(f"Training diverged: not finite were {told}.")
    if evidence and 0 < evidence.gradient.steps < evidence.steps and verdict.relation not in ("broken", "undecided"):
        tail.append(
            f"Judged on {evidence.gradient.steps} of {evidence.steps} steps; on the others a row lay outside in some precision."
        )
    if evidence and evidence.decay and evidence.update.steps and verdict.relation not in ("broken", "undecided"):
        tail.append(_decay(evidence))
    if cause:
        tail.append(cause)
    if verdict.resolution is not None and verdict.relation not in ("broken", "different", "undecided"):
        tail.append(f"A fault of {verdict.resolution:.1e} would have been caught.")
    return " ".join(tail)


def _decay(evidence: Evidence) -> str:
    """Whether one side's weight decay is the other's Gaussian prior, by the steps taken from the same weights."""
    apart = evidence.update.first_real or evidence.update.unexplained(evidence.own)
    if apart:
        return f"Weight decay: {evidence.decay} do not take the same steps, so they are not the same prior."
    return f"Weight decay: {evidence.decay} take the same steps: the decay is that Gaussian prior, so the fit is MAP."


def _dtype(probe: Probe) -> str:
    return str(probe.dtype).removeprefix("torch.")


def _left(verdict: Verdict) -> str:
    if verdict.left_domain is None:
        return ""
    return (
        ", and every training row stayed inside"
        if verdict.left_domain == 0
        else f"; {verdict.left_domain:.2%} of training rows left it"
    )


def _times(factor: float) -> str:
    return f"{factor:.6g}" if abs(factor - 1) > 1e-4 else f"(1 {factor - 1:+.3g})"


def _plus(verdict: Verdict) -> str:
    return f", plus {_shift(verdict)}" if verdict.shift else ""


def _size(probe: Probe, evidence: Evidence | None) -> str:
    sizes = [probe.value.size, probe.gradient.size]
    if evidence:
        sizes += [evidence.gradient.real, evidence.value.real]
    return f"{max(sizes):.2g} (relative)"


def _shift(verdict: Verdict) -> str:
    if isinstance(verdict.shift, dict):
        shown = list(verdict.shift.items())[:3]
        return (
            "a constant per target (" + ", ".join(f"{value:.6g} at target {target:g}" for target, value in shown) + ")"
        )
    return f"{verdict.shift:.6g}"


def _different(verdict: Verdict, probe: Probe, evidence: Evidence | None) -> str:
    dtype = _dtype(probe)
    if evidence and not evidence.gradient.real and (odd := evidence.gradient.unexplained(dtype)):
        gap = max(odd[1], evidence.gradient.largest[dtype])
        return f"float64 agrees, but in {dtype} gradients differ by up to {gap:.2g}, more than its rounding explains"
    if evidence and not evidence.gradient.real and len(set(evidence.factors.values())) > 1:
        told = ", ".join(f"{factor:.6g} on batches of {rows} rows" for rows, factor in evidence.factors.items())
        return f"the factor between their gradients depends on the batch: {told}"
    clauses = []
    for what, relation, part, judged in (
        ("gradients", verdict.gradient_relation, probe.gradient, evidence.gradient if evidence else None),
        ("values", verdict.value_relation, probe.value, evidence.value if evidence else None),
    ):
        if relation != "different":
            clauses.append(f"{what} agree")
        elif part.relation == "different":
            clauses.append(f"{what} differ by {part.size:.2g} at raw output {_at(part.output)}, target {part.target:g}")
        elif judged and judged.first_real:
            step, size = judged.first_real
            most = f" and by up to {judged.real:.2g}" if judged.real > 2 * size else ""
            clauses.append(f"{what} at common weights differ by {size:.2g} at step {step}{most}")
        elif probe.whole and probe.whole.rough:
            clauses.append(
                f"{what} of whole batches differ in {dtype} by {probe.whole.rough:.2g}, more than its rounding explains"
            )
        elif probe.whole and (size := getattr(probe.whole, what.removesuffix("s"))):
            clauses.append(f"{what} of whole batches differ by {size:.2g}")
        else:
            clauses.append(f"{what} of whole batches differ")
    return ", ".join(clauses)


def _at(output: float | list[float] | None) -> str:
    if isinstance(output, list):
        return "(" + ", ".join(f"{entry:.3g}" for entry in output) + ")"
    return f"{output:.4g}"
