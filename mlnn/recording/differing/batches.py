"""Whether two steps were given the same rows: in the same order, in another, cut into other micro-batches, or other rows."""

import itertools
from collections.abc import Sequence

from mlnn.recording.batchprint import together
from mlnn.recording.records import Forward, RecordedStep, Recording
from mlnn.visible import shown

WORDS = {
    "same": "the same rows in the same order",
    "reordered": "the same rows in another order",
    "recut": "the same rows cut into other micro-batches",
    "other": "other rows",
    "unknown": "batches not recorded",
}


def batch_word(a: RecordedStep, b: RecordedStep) -> str:
    """One of WORDS, of all forward passes of a step."""
    one, two = a.forwards, b.forwards
    if not one or not two:
        return "unknown"
    if [forward.batch.ordered for forward in one] == [forward.batch.ordered for forward in two]:
        return "same"
    if together([forward.batch for forward in one]) != together([forward.batch for forward in two]):
        return "other"
    return "reordered" if _cuts(one) == _cuts(two) else "recut"


def _cuts(forwards: Sequence[Forward]) -> list[int]:
    return [forward.batch.rows for forward in forwards]


def reshaped(a: RecordedStep, b: RecordedStep) -> str:
    """How what the model was given is called or shaped otherwise, in words; "" where it is not."""
    one, two = ({place for forward in step.forwards for place in forward.batch.shapes} for step in (a, b))
    if one != two:
        return f"the model was given {_listed(one)} in A and {_listed(two)} in B"
    counts = [sum(forward.batch.rows for forward in step.forwards) for step in (a, b)]
    return f"{counts[0]} rows in A and {counts[1]} in B" if counts[0] != counts[1] else ""


def _listed(places: set[str]) -> str:
    found = sorted(places)
    return ", ".join(map(shown, found[:4])) + (" …" if len(found) > 4 else "") or "no tensor"


def stirred(recording: Recording) -> set[str]:
    """The random streams that moved from most forward passes of a process to its next: of one that did not the model draws nothing.
    All of them where there are no two passes that would tell."""
    ranks, pairs = recording.settings.ranks, list[tuple[Forward, Forward]]()
    for rank in range(ranks):
        passes = [forward for step in recording.steps for forward in _own(step, rank, ranks)]
        pairs += itertools.pairwise(passes)
    names = {name for step in recording.steps for forward in step.forwards for name in forward.random}
    return {name for name in names if 2 * sum(a.random.get(name) != b.random.get(name) for a, b in pairs) >= len(pairs)}


def _own(step: RecordedStep, rank: int, ranks: int) -> Sequence[Forward]:
    """The forward passes of one of several processes, each of which has made as many."""
    each = len(step.forwards) // ranks
    return step.forwards[rank * each : (rank + 1) * each]


def streams_apart(a: RecordedStep, b: RecordedStep) -> tuple[str, ...]:
    """The random streams that stood elsewhere before the forward passes of a step, as far as both made as many."""
    found = set()
    for one, two in zip(a.forwards, b.forwards, strict=False):
        found |= {name for name in one.random.keys() & two.random.keys() if one.random[name] != two.random[name]}
    return tuple(sorted(found))
