"""Given this model, is the loss −log of a product over rows? Batch norm, dropout and memory, found by trying."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mlnn.auditing.world import quiet_world
from mlnn.auditing_models.calls import (
    ask,
    call,
    change,
    checked_batch,
    checked_seed,
    in_mode,
    others_replaced,
    output_of,
    prepared,
    size_of,
)
from mlnn.auditing_models.layers import DRAWS, Call, couples, culprits, draws, lowest_eps, recorded
from mlnn.auditing_models.record import Layer, ModeAudit, ModelAudit
from mlnn.auditing_models.words import sentence
from mlnn.errors import ConfigError, DataError
from mlnn.seeding import derive, generator

TINY = 1e-9
"""A float64 output that changes by more than this share of its size has changed beyond rounding."""
ULPS = 1e3
"""Where a layer answers in a lower precision than float64, a change of up to this many of its unit roundoffs is undecided."""
ROUGH = ULPS * torch.finfo(torch.float32).eps
"""Up to this, a change with the shape of the batch may be a lower precision inside a layer: sums are then ordered otherwise."""
CHANGES = 3
"""Draws that must have changed all copies of a row alike before one draw is said to serve them all."""


def audit_model(
    model: nn.Module | Callable[[], nn.Module], x: Tensor, *, train: bool = True, seed: int = 0
) -> ModelAudit:
    """Does the conditional likelihood ∏ p(y_i | x_i) factorise over rows, given this model?

    model: an nn.Module or a factory () → nn.Module. x: (n, …), a batch of two different rows or more. train: look at the
    training mode too; a model that is in training mode keeps the modes of its parts. Works on a float64 copy on the CPU
    whose weights are nudged by a thousandth, with random streams of its own: the model, its buffers and the global streams
    stay as they were. It is told by trying, at this batch: rows that are coupled only elsewhere are not seen. Raises
    ConfigError for what is not a model, or raises or answers without a row per row of x; DataError for a batch that shows
    nothing, or an output that is not finite.
    """
    with quiet_world():
        return _audited(prepared(model, checked_seed(seed)), checked_batch(x), train, seed)


def _audited(own: nn.Module, batch: Tensor, train: bool, seed: int) -> ModelAudit:
    evaluation, layers = _mode(own, batch, False, seed)
    training = None
    if train:
        training, first = _mode(own, batch, True, seed)
        layers = first + layers
    name = type(own).__name__
    return ModelAudit(name, len(batch), training, evaluation, tuple(layers), sentence(training, evaluation, layers))


def _mode(model: nn.Module, x: Tensor, training: bool, seed: int) -> tuple[ModeAudit, list[Layer]]:
    mode, own, seed = "training" if training else "evaluation", in_mode(model, training), derive(seed, "audit")
    answer, drew, calls = recorded(own, x, seed)
    trial = _Trial(own, x, _finite(output_of(answer, len(x)), mode), seed, max(TINY, ULPS * lowest_eps(calls)))
    stateful, remembers = trial.state()
    if trial.beyond(trial.base, ask(own, x, seed)) is not False:
        why = ("the same call with the same random numbers answers differently: it draws where no seed reaches",)
        found = ModeAudit(mode, None, True, None, None, None, None, None, stateful, None, why)
    else:
        found = _tried(trial, mode, drew, stateful, remembers)
    return found, _layers(trial, found, calls)


def _finite(base: Tensor, mode: str) -> Tensor:
    """The output itself; raises DataError where it is not finite."""
    bad = ~torch.isfinite(base)
    if bool(bad.any()):
        row = int(bad.reshape(len(base), -1).any(1).nonzero()[0, 0])
        raise DataError(
            f"model: in {mode} mode the raw output of row {row} of x is not finite; nothing can be told there"
        )
    return base


def _tried(trial: "_Trial", mode: str, drew: bool, stateful: tuple[str, ...], remembers: bool) -> ModeAudit:
    """What a mode does that answers alike to the same random numbers, of which it `drew` some or not."""
    random = trial.random() if drew else False
    coupled = trial.coupled()
    shared = trial.shared() if random and coupled is False else None
    placed, sized = (None, None) if random else (trial.placed(), trial.sized())
    asked = [coupled] if random else [coupled, placed, sized]
    dependent = _any([*asked, False if random is False else shared])
    return ModeAudit(
        mode,
        None if dependent is None else not dependent,
        random,
        shared,
        coupled,
        placed,
        sized,
        trial.refusal(),
        stateful,
        remembers,
        _reasons(random, shared, coupled, None in asked),
    )


def _reasons(random: bool | None, shared: bool | None, coupled: bool | None, coarse: bool) -> tuple[str, ...]:
    found = []
    if random is None:
        found.append(f"random numbers are drawn, but the output stayed the same in {DRAWS} draws")
    if random and coupled is False and shared is None:
        found.append(f"whether one draw serves all rows did not show in {DRAWS} draws")
    if coarse:
        found.append(
            f"an output changes by more than {TINY:g}, but so little that a lower precision inside may round so"
        )
    return tuple(found)


@dataclass(frozen=True)
class _Trial:
    """A model in one mode, its output on a batch, and the questions put to it. `slack`: what a real change exceeds."""

    model: nn.Module
    x: Tensor
    base: Tensor
    seed: int
    slack: float

    def beyond(self, before: Tensor, after: Tensor, slack: float = 0.0) -> bool | None:
        """Whether an output changed beyond rounding; None where the precision leaves it open."""
        size = change(before, after, size_of(self.base))
        return False if size <= TINY else True if size > max(self.slack, slack) else None

    @property
    def at(self) -> tuple[int, ...]:
        """The rows that are watched: first, middle and last."""
        return tuple(sorted({0, len(self.x) // 2, len(self.x) - 1}))

    def state(self) -> tuple[tuple[str, ...], bool]:
        """Buffers that one call changes, and whether the same call after it answers differently."""
        own, before = copy.deepcopy(self.model), dict(self.model.named_buffers())
        call(own, self.seed, self.x.clone())
        after = dict(own.named_buffers())
        again, _ = call(own, self.seed, self.x.clone())
        moved = [name for name in before if name not in after or not torch.equal(before[name], after[name])]
        return tuple(moved), self.beyond(self.base, output_of(again, len(self.x))) is True

    def random(self) -> bool | None:
        """Whether other random numbers change the output; None where none did."""
        for number in range(1, DRAWS):
            if self.beyond(self.base, ask(self.model, self.x, derive(self.seed, "draw", number))):
                return True
        return None

    def coupled(self) -> bool | None:
        """Whether a row's output depends on what the other rows hold."""
        answers = []
        for row in self.at:
            for other in others_replaced(self.x, row, generator(self.seed, "rows", row)):
                answers.append(self.beyond(self.base[row], ask(self.model, other, self.seed)[row]))
        return _any(answers)

    def shared(self) -> bool | None:
        """Whether copies of one row always get one output: then one draw serves the whole batch. None: it did not show."""
        copies, changes = self.x[:1].expand_as(self.x), 0
        first = ask(self.model, copies, self.seed)
        for number in range(DRAWS):
            output = ask(self.model, copies, derive(self.seed, "draw", number))
            if self.beyond(output[:1].expand_as(output), output) is not False:
                return False
            changes += self.beyond(first, output) is True
        return True if changes >= CHANGES else None

    def placed(self) -> bool | None:
        """Whether a row's output depends on its place in the batch."""
        order = torch.arange(len(self.x)).roll(1)
        return self.beyond(self.base[order], ask(self.model, self.x[order], self.seed), ROUGH)

    def sized(self) -> bool | None:
        """Whether a row's output depends on the number of rows; a batch of one row may be refused."""
        sizes = {len(self.x) - 1, 1} - ({1} if self.refusal() else set())
        return _any([self.beyond(self.base[:n], ask(self.model, self.x[:n], self.seed), ROUGH) for n in sorted(sizes)])

    def refusal(self) -> str | None:
        """What the model says to a batch of one row that it does not take."""
        try:
            ask(self.model, self.x[:1], self.seed)
        except ConfigError as problem:
            return str(problem).removeprefix("model: ")
        return None


def _any(answers: list[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False


def _layers(trial: _Trial, found: ModeAudit, calls: list[Call]) -> list[Layer]:
    """What which layer does, one entry per layer, in order of execution."""
    does: dict[str, list[str]] = {entry.name: [] for entry in calls}
    if found.coupled:
        at, slack = trial.at, trial.slack
        for name in culprits(calls, lambda c: couples(trial.model, c, len(trial.x), at, slack, trial.seed)):
            does[name].append("couples rows")
    if found.random:
        for name in culprits(calls, lambda c: draws(trial.model, c, trial.seed)):
            does[name].append("draws random numbers")
    for buffer in found.stateful:
        owner, _, own = buffer.rpartition(".")
        does.setdefault(owner, []).append(f"moves its buffer {own}")
    parts = dict(trial.model.named_modules())
    return [
        Layer(name, type(parts[name]).__name__, found.mode, tuple(things)) for name, things in does.items() if things
    ]
