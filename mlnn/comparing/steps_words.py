"""What a verdict's sentence says of the steps of training: which were looked at, judged and compared, and how they ended."""

from mlnn.comparing.evidence import Evidence
from mlnn.comparing.verdict import Verdict

SILENT = ("broken", "undecided")
"""Relations after which nothing is said of domain, steps or decay: there is no agreement that they could qualify."""


def said_of_steps(verdict: Verdict, evidence: Evidence) -> list[str | None]:
    """Each of them, None where there is nothing to say."""
    return [
        _diverged(verdict, evidence), _looked(verdict, evidence), _on_some_steps(verdict, evidence), _decay(verdict, evidence),
        _unlooked(verdict, evidence),
    ]  # fmt: skip


def _looked(verdict: Verdict, evidence: Evidence) -> str | None:
    """That between the looks nothing was seen."""
    if not evidence.thinned or verdict.relation in SILENT:
        return None
    return f"Looked at {evidence.steps} of {evidence.trained} steps; what happens between them alone is not seen."


def _diverged(verdict: Verdict, evidence: Evidence) -> str | None:
    stops = {side: evidence.stops[side] for side in ("left", "right") if side in evidence.stops}
    if not stops or verdict.relation == "broken":
        return None
    told = " and ".join(f"{side}'s {stop.what} from step {stop.step} on" for side, stop in stops.items())
    return f"Training diverged: not finite were {told}."


def _on_some_steps(verdict: Verdict, evidence: Evidence) -> str | None:
    """Steps that were not judged, or not with all of their rows, and why."""
    judged, steps = evidence.gradient.steps, evidence.steps
    if not judged or verdict.relation in SILENT:
        return None
    held = f"; on {evidence.spared} without the rows outside, where a side saturates, clips or overflows"
    rest = held if evidence.spared else ""
    looked = " looked at" if evidence.thinned else ""
    if judged == steps:
        return f"Judged on all {steps} steps{looked}{rest}." if rest else None
    reasons = [(evidence.left_out, "every row lay outside"), (evidence.idle, "left's gradient was 0")]
    because = [f"on {count} {why}" for count, why in reasons if count]
    other = steps - judged - evidence.left_out - evidence.idle
    because += [f"on {other} a side was not finite"] if other > 0 else []
    return f"Judged on {judged} of {steps} steps{looked}: {', '.join(because)}{rest}." if because else None


def _unlooked(verdict: Verdict, evidence: Evidence) -> str | None:
    """Steps of the optimisers that were not compared, where there are any."""
    compared, unlooked = evidence.update.steps, evidence.unlooked
    same = verdict.relation == "bitwise" and not evidence.thinned  # then right's own training has shown its steps
    if not unlooked or same or verdict.relation in SILENT:
        return None
    but = f" but at {compared} of {evidence.steps} looks" if compared else ""
    return f"The optimizers' own steps were not compared{but}: {unlooked}."


def _decay(verdict: Verdict, evidence: Evidence) -> str | None:
    """Whether one side's weight decay is the other's Gaussian prior, by the steps taken from the same weights."""
    if not evidence.decay or not evidence.update.steps or verdict.relation in SILENT:
        return None
    if evidence.update.odd(evidence.own):
        return f"Weight decay: {evidence.decay} do not take the same steps, so they are not the same prior."
    return f"Weight decay: {evidence.decay} take the same steps: the decay is that Gaussian prior, so the fit is MAP."
