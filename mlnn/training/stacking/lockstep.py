"""A lockstep whose lanes are rows of stacks: the same records as lane by lane, from a few large operations a step."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mlnn.training.batches import Batch, batches
from mlnn.training.lane import Lane
from mlnn.training.stacking.checking import control_is_left
from mlnn.training.stacking.member import Member, Predictions
from mlnn.training.stacking.stack import Stack, UnstackableError
from mlnn.training.stacking.stacks import Stacks
from mlnn.training.step import StepRecord


@dataclass(frozen=True, eq=False)
class StackedLockstep:
    """Stacks by precision, and the comparisons whose lanes are their rows: one, or several that differ in their seed."""

    shared: Stacks
    members: Sequence[Member]

    @property
    def lanes(self) -> dict[str, Lane]:
        """The lanes of the one comparison by name."""
        return self.members[0].lanes

    @property
    def stacks(self) -> Mapping[str, Stack]:
        """The stacks by precision."""
        return self.shared.by_dtype

    def steps(
        self, looks: Collection[int] = (), asked: Collection[int] | None = None, begin: int = 0
    ) -> Iterator[StepRecord]:
        """The records of one comparison, as `Lockstep.steps`; UnstackableError as `together`."""
        for records in self.together(looks, asked, begin):
            yield records[0]
            del records  # a large network's record is not kept while the next one is made

    def together(
        self, looks: Collection[int] = (), asked: Collection[int] | None = None, begin: int = 0
    ) -> Iterator[tuple[StepRecord, ...]]:
        """The records of each comparison, step by step; `begin`: how many steps are done already.

        UnstackableError where a lane alone would answer otherwise, a control has not left's bits, or, of several comparisons, one
        ends before the others do.
        """
        left = () if self.members[0].over else zip(*(batches(m.plain.recipe, begin) for m in self.members), strict=True)
        for met in left:
            step = met[0].step
            yield self._step(met, step in looks, asked is None or step in asked)
            over = [member.over for member in self.members]
            if any(over):
                if not all(over):
                    raise UnstackableError("one of the comparisons ended before the others")
                break
        for member in self.members:
            member.put_back()

    def _step(self, met: Sequence[Batch], looks: bool, asks: bool) -> tuple[StepRecord, ...]:
        """Every row answers, then every row that is still finite steps."""
        remaining, members = self.members[0].plain.recipe.steps - met[0].step, self.members
        begun = [member.begin(batch, looks) for member, batch in zip(members, met, strict=True)]
        # Several have a stream of draws each, and no row has one of its own: where anything is drawn they are refused.
        seed, step = (met[0].dropout_seed, met[0].step) if len(members) == 1 else (None, None)
        told, gradients = self.shared.ask([one.met for one in begun], seed, remaining)
        heard = [member.hear(one, own, looks) for member, one, own in zip(members, begun, told, strict=True)]
        after, sums = self.shared.stepped(gradients)
        for member, own in zip(members, heard, strict=True):
            member.settle(own, after, sums)
        self.shared.stand(after)
        predictions = self._predictions(step, remaining)
        records = tuple(
            member.finish(own, pair, asks) for member, own, pair in zip(members, heard, predictions, strict=True)
        )
        if not all(map(control_is_left, records)):
            raise UnstackableError("the control, a row beside left's, has other bits")
        return records

    @cached_property
    def _probe_rows(self) -> Tensor:
        """Each comparison's rows on which predictions are compared, for left's lanes and once more for right's: (2 S, n, …)."""
        rows = [member.plain.probe_rows for member in self.members]
        return torch.stack(2 * rows)

    def _predictions(self, seed: int | None, remaining: int) -> Sequence[Predictions | None]:
        """Left's and right's raw outputs on the probe rows, of each comparison of which both go on."""
        go_on = [member.predicts for member in self.members]
        if not any(go_on):
            return [None for _ in go_on]
        first = self.members[0]
        right = first.names[first.own].index("right")
        pairs = zip(*self.shared.predict(first.own, right, self._probe_rows, seed, remaining), strict=True)
        return [pair if both else None for both, pair in zip(go_on, pairs, strict=True)]
