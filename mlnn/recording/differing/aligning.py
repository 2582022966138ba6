"""Two recordings laid side by side: the same parameters in one order, and which step of one is which of the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlnn.recording.fingerprint import Fingerprint, same_bits
from mlnn.recording.records import RecordedStep, Recording
from mlnn.visible import shown

FROZEN = ", or frozen there"


@dataclass(frozen=True, eq=False)
class Pair:
    """Recordings A and B, B's parameters in A's order; `offset`: the step of A that B's first is, below 0 where A goes on from B;
    `shared`: the steps of both, in order."""

    a: Recording
    b: Recording
    offset: int
    shared: tuple[tuple[RecordedStep, RecordedStep], ...]

    @property
    def starts(self) -> tuple[Fingerprint, Fingerprint]:
        """The weights before the first shared step."""
        if self.offset > 0:
            return _after(self.a, self.offset), self.b.start
        return (self.a.start, _after(self.b, -self.offset)) if self.offset else (self.a.start, self.b.start)

    def notes(self) -> list[str]:
        """What of the recordings is left out of the comparison, and how they were laid side by side."""
        found = []
        if self.offset:
            names, ahead = (("B", "A") if self.offset > 0 else ("A", "B")), abs(self.offset)
            found.append(f"{names[0]} goes on where {names[1]} stood after {_steps(ahead)}, bit for bit: a resume")
        own = [len(self.a) - max(self.offset, 0), len(self.b) - max(-self.offset, 0)]
        if own[0] != own[1]:
            found.append(f"A has {_steps(len(self.a))} and B {len(self.b)}: compared as far as both go")
        found += [f"{name} is torn: {shown(one.torn, 200)}" for name, one in (("A", self.a), ("B", self.b)) if one.torn]
        found += [
            f"{name} did not end by itself: {shown(one.ended or '') or 'its process was killed, or still runs'}"
            for name, one in (("A", self.a), ("B", self.b))
            if one.ended != "finished"
        ]
        found += [
            f"{name} has no checksum of its settings: an earlier mlnn recorded it"
            for name, one in (("A", self.a), ("B", self.b))
            if not one.hashed
        ]
        every = [one.settings.every for one in (self.a, self.b)]
        if every[0] != every[1]:
            words = ["every step" if one == 1 else f"one step in {one}" for one in every]
            found.append(f"gradients and weights are printed at {words[0]} of A and {words[1]} of B")
        return found


def remarks(pair: Pair, until: int | None = None) -> list[str]:
    """What is said of steps of one recording and of none of the other, from which step on; `until`: a step of
    A, of which and those before it is told."""
    sides = [{note: step.step for step in reversed(one.steps) for note in step.notes} for one in (pair.a, pair.b)]
    return [
        f"in {name}, from step {step} on: {shown(note, 300)}"
        for name, own, other in (("A", sides[0], sides[1]), ("B", sides[1], sides[0]))
        for note, step in own.items()
        if note not in other and (until is None or step + (pair.offset if name == "B" else 0) <= until)
    ]


def _steps(count: int) -> str:
    return f"{count} step{'s' if count != 1 else ''}"


def _after(recording: Recording, steps: int) -> Fingerprint:
    found = recording.steps[steps - 1].weights
    return recording.start if found is None else found


def parameters_apart(a: Recording, b: Recording) -> str:
    """The first parameter that the models do not have alike, in words; "" where all are."""
    one, two = ({part.name: part.shape for part in recording.settings.parameters} for recording in (a, b))
    for name, shape in one.items():
        if name not in two:
            near = next((other for other in two if other.endswith(f".{name}") or name.endswith(f".{other}")), None)
            return f"'{shown(name)}' of A is not in B" + (f", which has '{shown(near)}'" if near else FROZEN)
        if two[name] != shape:
            return f"'{shown(name)}' is {shape} in A and {two[name]} in B"
    extra = next((name for name in two if name not in one), None)
    return "" if extra is None else f"'{shown(extra)}' of B is not in A{FROZEN}"


def aligned(a: Recording, b: Recording) -> Pair:
    """Both side by side; their parameters are alike."""
    b = _in_order(b, a.settings.names)
    offset = 0
    if not same_bits(a.start, b.start):
        offset = _resumed(a, b) or -_resumed(b, a)
    shared = zip(a.steps[max(offset, 0) :], b.steps[max(-offset, 0) :], strict=False)
    return Pair(a, b, offset, tuple(shared))


def _resumed(whole: Recording, part: Recording) -> int:
    """After how many steps of one recording another begins, 0 where it does not: of several that left the weights alike, the one
    that is followed by the same batch, or else the last."""
    found = [
        count
        for count, step in enumerate(whole.steps, 1)
        if step.weights is not None and same_bits(step.weights, part.start)
    ]
    if len(found) > 1 and part.steps:
        first = _batches(part.steps[0])
        found = [n for n in found if n < len(whole) and _batches(whole.steps[n]) == first] or found
    return found[-1] if found else 0


def _batches(step: RecordedStep) -> list[str]:
    return [forward.batch.ordered for forward in step.forwards]


def _in_order(recording: Recording, names: Sequence[str]) -> Recording:
    """The same recording with its parameters in another order."""
    if recording.settings.names == tuple(names):
        return recording
    place = {name: at for at, name in enumerate(recording.settings.names)}
    order = [place[name] for name in names]

    def turned(one: Fingerprint | None) -> Fingerprint | None:
        return None if one is None else Fingerprint(one.sketch, one.norms[order], one.hashes[order])

    steps = tuple(
        replace(step, gradient=turned(step.gradient), weights=turned(step.weights)) for step in recording.steps
    )
    start = Fingerprint(recording.start.sketch, recording.start.norms[order], recording.start.hashes[order])
    settings = replace(recording.settings, parameters=tuple(recording.settings.parameters[at] for at in order))
    return replace(recording, settings=settings, start=start, steps=steps)
