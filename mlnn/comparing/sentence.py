"""The verdict in one plain sentence that a colleague would understand."""

import math
from collections.abc import Mapping

from mlnn.comparing.evidence import Evidence, Judged
from mlnn.comparing.explaining.explain import Explained
from mlnn.comparing.explaining.where import clause
from mlnn.comparing.inside import judged_alone, said_inside, same_mathematics, sealed_sides
from mlnn.comparing.probed import Part, Probe
from mlnn.comparing.steps_words import SILENT, said_of_steps
from mlnn.comparing.verdict import Verdict

HOLDING = ("equal", "indistinguishable", "shifted", "scaled")
NEAR_ONE = 1e-4
"""A factor nearer to 1 than this is written as 1 ± the difference, or six digits would show it as 1."""
FEW = 6
"""Raw outputs of a row that are written out, at most."""
MUCH_MORE = 2.0
"""The largest gap is told beside the first one where it is more than this many times as large."""


def sentence(
    verdict: Verdict, probe: Probe, evidence: Evidence | None, reason: str | None, explained: Explained
) -> str:
    """Relation, size, where and why, in words."""
    place, cause = explained.place, explained.cause
    told = _relation(verdict, probe, evidence, reason)
    inside = None if verdict.relation in SILENT or _by_inside(verdict, probe, evidence) else said_inside(probe)
    parts = [told, inside, _domain(verdict, bool(evidence and evidence.thinned)), _nearer(verdict, probe)]
    parts += [_points(verdict), _left_out(verdict, probe), _habits(probe)]
    if evidence:
        parts += said_of_steps(verdict, evidence)
    parts += [clause(place) if place and verdict.relation == "different" else None, cause.sentence if cause else None]
    return " ".join(part for part in [*parts, _visited(verdict, probe), _resolution(verdict)] if part)


def _relation(verdict: Verdict, probe: Probe, evidence: Evidence | None, reason: str | None) -> str:
    match verdict.relation:
        case "bitwise":
            where = "at every step looked at" if evidence and evidence.thinned else "throughout"
            return f"Left and right gave the same bits {where}."
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


def _domain(verdict: Verdict, thinned: bool) -> str | None:
    if isinstance(verdict.domain, str) or verdict.relation in (*SILENT, "different"):
        return None
    low, high = verdict.domain
    left = ""
    if verdict.left_domain is not None:
        left = f"; {verdict.left_domain:.2%} of training rows left it"
        if verdict.left_domain == 0:
            left = f", and every training row {'looked at ' if thinned else ''}stayed inside"
    return f"This holds for raw outputs in [{low:.4g}, {high:.4g}]{left}."


def _visited(verdict: Verdict, probe: Probe) -> str | None:
    """Where else than in training a pair was asked that has no raw outputs to be asked everywhere."""
    if not probe.visited or verdict.relation in (*SILENT, "different"):
        return None
    return f"Asked too with {probe.visited}."


def _points(verdict: Verdict) -> str | None:
    """Isolated raw outputs at which a side's gradient is wrong, and whether training stood there."""
    if not verdict.points or verdict.relation in SILENT:
        return None
    told, more = verdict.points[0], len(verdict.points) - 1
    rows = f"{verdict.stood or 'no'} training {'rows' if verdict.stood > 1 else 'row'}"
    steps = [step for point in verdict.points if isinstance(step := point.get("step"), int)]
    stood = (
        "" if told["rows"] is None else f"; {rows} stood there" + (f", the first at step {min(steps)}" if steps else "")
    )
    others = f" (and so at {more} more such points)" if more else ""
    entry = "" if told["entry"] is None else f" at entry {told['entry']}"
    holds = "; the relation holds elsewhere" if verdict.relation != "different" else ""
    if told["output"] is None:
        where = f"target {_of(told['target'])}"
        return f"At {where} {told['side']} is not finite, whatever the raw output{others}{stood}{holds}."
    return (
        f"At raw output {_place(told)} exactly {told['side']}'s gradient{entry} is {_number(told['gradient'])} where"
        f" {told['derivative']:.4g} is right{others}{stood}{holds}."
    )


def _of(target: object) -> str:
    """A target, of one number or several."""
    return at([float(part) for part in target]) if isinstance(target, list) else f"{float(str(target)):g}"


def _number(given: object) -> str:
    number = float(str(given))
    return f"{number:.4g}" if math.isfinite(number) else "not finite"


def _place(point: Mapping[str, object]) -> str:
    output = point["output"]
    if point["at_target"]:
        return "= target"
    if point["entry"] is not None and not isinstance(output, list):
        return f"{output:g} in all entries"
    return at(output) + f" (target {point['target']:g})"  # type: ignore[arg-type]


def _left_out(verdict: Verdict, probe: Probe) -> str | None:
    if probe.left_out is None or verdict.relation in SILENT:
        return None
    if probe.left_out.alone:
        return "One row alone says nothing on either side: the two were judged on whole batches alone."
    return probe.left_out.told and probe.left_out.told + "."


def _habits(probe: Probe) -> str | None:
    if not probe.writes:
        return None
    told = " and ".join(probe.writes)
    return f"{told[0].upper()}{told[1:]}, of which it was given a copy."


def _nearer(verdict: Verdict, probe: Probe) -> str | None:
    if not probe.nearer or verdict.relation not in HOLDING:
        return None
    where = "Beyond it" if verdict.domain != "all" else "On extreme outputs"
    return f"{where} {probe.nearer} is the more accurate side."


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
    told = (
        evidence
        and not evidence.gradient.real
        and (_rough(probe, evidence) or _by_batch(evidence) or _other_gradient(verdict, evidence))
    )
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


def _other_gradient(verdict: Verdict, evidence: Evidence) -> str | None:
    """That one side's gradient is a multiple of the other's though their values are the same."""
    if verdict.scale == 1 or not evidence.values_alike or verdict.value_relation != "different":
        return None
    return f"right's gradient is {_times(verdict.scale)} times left's, while the values are the same"


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
        return f"{what} differ by {part.size:.2g} at raw output {at(part.output)}, target {_of(part.target)}"
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
    return f"{what} of whole batches differ" + (f" by {size:.2g}" if size else "") + _coupling(probe)


def _coupling(probe: Probe) -> str:
    """That one side alone couples the rows, where that is so."""
    whole = probe.whole
    if whole is None or whole.left is None or whole.right is None or whole.left.couples == whole.right.couples:
        return ""
    return f" ({'right' if whole.right.couples else 'left'} couples the rows of a batch)"


def at(output: float | list[float] | None) -> str:
    """A raw output, or those of a row, in a sentence."""
    if isinstance(output, list) and len(output) > FEW:
        largest = max(range(len(output)), key=lambda place: abs(output[place]))
        return f"with {output[largest]:.4g} at entry {largest} of {len(output)}"
    if isinstance(output, list):
        return "(" + ", ".join(f"{entry:.3g}" for entry in output) + ")"
    return f"{output:.4g}"
