"""What a training run may show before any gap is judged: one rule after another, the first that applies decides."""

from collections.abc import Callable
from dataclasses import dataclass

from mlnn.comparing.evidence import Evidence

FEWEST = 0.1
"""Share of the steps that must have been comparable: a run that left the domain or diverged at once decides nothing."""


@dataclass(frozen=True)
class Found:
    """What one rule makes of the evidence: the relation of values, that of gradients, and why, where it has to be said."""

    value: str
    gradient: str
    reason: str | None = None


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


def _stood_still(probed: Found, evidence: Evidence) -> Found | None:
    if not evidence.idle or evidence.gradient.steps >= FEWEST * max(evidence.planned, evidence.steps):
        return None
    if "different" in (probed.value, probed.gradient):
        return probed
    why = f"left's gradient is exactly 0 on {evidence.idle} of {evidence.steps} steps: two that do not train agree about nothing"
    return Found("undecided", "undecided", why)


def _too_few_steps(probed: Found, evidence: Evidence) -> Found | None:
    planned, judged = max(evidence.planned, evidence.steps), evidence.gradient.steps
    if judged >= FEWEST * planned:
        return None
    if probed.value == "different":
        return probed
    because = ": on the others every row left the domain" if evidence.left_out else ""
    return Found("undecided", "undecided", f"only {judged} of {planned} steps could be compared{because}")


def _other_steps(probed: Found, evidence: Evidence) -> Found | None:
    odd = evidence.update.odd(evidence.own)
    settings = evidence.settings
    if not odd:  # of steps that were not compared the settings alone can tell
        if settings is None or (evidence.update.steps and not evidence.unlooked):
            return None
        return Found(probed.value, "different", f"the optimizers' settings part at step {settings[0]}: {settings[1]}")
    if evidence.own_update and evidence.gradient.odd(evidence.own):
        return None  # the gradient itself differs, and so does what follows from it
    step, size = odd
    why = (
        f"from the same weights, gradient and state the optimizers take steps that differ by {size:.2g} at step {step}"
    )
    if evidence.own_update:
        factor = next(iter(evidence.factors.values()), 1.0)
        why = f"gradients agree{'' if factor == 1 else f' up to a factor of {factor:.6g}'}, but {why}"
    if settings is not None:
        why += f" ({settings[1]})"
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


RULES: tuple[Callable[[Found, Evidence], Found | None], ...] = (
    _control_differs,
    _one_side_broke,
    _never_moved,
    _stood_still,
    _too_few_steps,
    _other_steps,
    _other_predictions,
    _same_bits,
)
"""In their order. Each is given what the probe found."""
