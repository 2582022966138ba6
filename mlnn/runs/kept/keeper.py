"""What keeps the state of a run while it trains, and puts it back: bit for bit what the run would have had.

The state goes to the disk at most once a second, and no more often than costs three two-hundredths of the time.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mlnn.errors import RunFolderError
from mlnn.runs.kept.back import DamagedStateError, Decoder, ForeignStateError
from mlnn.runs.kept.contents import UnkeepableError
from mlnn.runs.kept.journal import Journal, Row
from mlnn.runs.kept.place import Place
from mlnn.runs.kept.states import OtherFormatError, State, read_state, step_of, write_state
from mlnn.runs.kept.walk import Encoder, Table
from mlnn.runs.writing import disk
from mlnn.visible import shown

EVERY = 1.0
"""Seconds between two states, at least."""
SHARE = 0.015
"""Of a run's time that keeping its state may take: rows of the trace take another hundredth of a small comparison's."""
FIRST = 1.5
"""Of what numbering the objects cost, before the first state: that takes twice as long, and both count."""


class OtherRunError(RunFolderError):
    """A state of other data, or of a program that is built otherwise."""


class Keeper:
    """The state of one run. `note` is called with what a user should hear of; `unkept`: why nothing can be kept, in words.

    `begin` with the objects that train, before the first step: how many steps were done already. `row` with each row of the
    trace. `done` after each step, `kept` of which the state lies on the disk; there it raises KeyboardInterrupt once
    `stop` was called. `begun_at`: the step whose state it went on from, 0 where it began from the start.
    """

    def __init__(self, place: Place, note: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.place, self.note, self.clock = place, note, clock
        self.journal = Journal(place.folder, place.final)
        self.unkept: str | None = None
        self.rows: list[Row] = []
        self.step = 0
        self.every, self.share = EVERY, SHARE
        self._table: Table | None = None
        self._roots: Sequence[Any] = ()
        self._about: Mapping[str, Any] = {}
        self._stops = self._rests = False
        self._next = clock() + EVERY
        self.kept = -1
        self.begun_at = 0

    @property
    def engine(self) -> str | None:
        """The engine of the newest state, in the words with which it was begun; None where there is none."""
        for state in self._states():
            told = state.about.get("engine")
            return told if isinstance(told, str) else None
        return None

    @property
    def trains(self) -> bool:
        """Whether it has begun, and is in the middle of a step: then a stop has to wait for its end."""
        return self._table is not None and not self._rests

    def begin(self, engine: str, roots: Sequence[Any], fixed: tuple[type, ...], data: str) -> int:
        """How many steps were done when the newest sound state of this engine was kept; `roots` then stand there, and `rows` has
        the trace so far. 0: from the start.

        fixed: classes whose objects stay as they are made; data: a fingerprint. RunFolderError where the states are of other data,
        or of a program that is built otherwise.
        """
        start, self._roots = self.clock(), [*roots, *_streams()]
        self._stops = self._rests = False
        self.rows, self.step, self.kept, self.unkept = [], 0, -1, None
        try:
            with _no_collection():
                self._table = Table(self._roots, (*fixed, Keeper))
        except UnkeepableError as problem:
            self._table, self.unkept = None, str(problem)
        digest = "" if self._table is None else self._table.digest()
        self._about = {"engine": engine, "data": data, "program": digest}
        self.step = self.begun_at = self._put_back()
        if self.kept < 0:
            self._forget()
        self.place.say("running", step=self.step, unkept=self.unkept)
        now = self.clock()
        self._next = now + max(self.every, FIRST * (now - start) / self.share)
        return self.step

    def row(self, row: Row) -> None:
        """Take in a row of the trace."""
        self.journal.append(row)

    def all_rows(self) -> list[Row]:
        """The rows of the whole trace, from the disk."""
        self.journal.commit()
        return self.journal.go_back(self.journal.count)

    def done(self, step: int) -> None:
        """So many steps are done; raises KeyboardInterrupt, once the state is kept, where a stop was asked for."""
        self.step = step
        if self._stops:
            self.keep()
            raise KeyboardInterrupt
        if self.clock() >= self._next:
            self.keep()

    def finished(self) -> None:
        """All steps are done: what stands there stays."""
        self._rests = True

    def stop(self) -> None:
        """Stop at the end of this step."""
        self._stops = True

    @property
    def stops(self) -> bool:
        """Whether a stop was asked for."""
        return self._stops

    def keep(self) -> bool:
        """Keep the state; whether it now lies on the disk. A disk that refuses is told of, and tried again later."""
        if self._table is None or self.kept == self.step:
            return self.kept == self.step
        start = self.clock()
        try:
            encoder = Encoder(self._table)
            with _no_collection():
                objects = encoder.encode(self._roots)
            self.journal.commit()
            about = {**self._about, "rows": self.journal.count, "step": self.step}
            write_state(self.place.folder, self.step, about, objects, encoder.storages)
            self.kept = self.step
        except UnkeepableError as problem:
            self._table, self.unkept = None, str(problem)
        except RunFolderError as problem:
            self.note(f"note: the state after step {self.step} could not be kept ({problem})")
        now = self.clock()
        self._next = now + max(self.every, (now - start) / self.share)
        return self.kept == self.step

    def _states(self) -> list[State]:
        """The newest sound state, alone in a list; the damaged ones before it are told of."""
        for path in self.place.states:
            try:
                return [read_state(path, self.place.final)]
            except OtherFormatError:
                raise
            except RunFolderError as problem:
                self.note(f"note: {problem}; the one before it is taken")
        return []

    def _put_back(self) -> int:
        """The steps of the newest state that could be put back."""
        for path in self.place.states if self._table is not None else ():
            try:
                state = read_state(path, self.place.final)
                if state.about.get("engine") != self._about["engine"]:
                    return 0  # lanes that were to share a computation, and turned out not to
                self._check(state.about)
                rows = self.journal.go_back(state.about["rows"])
                assert self._table is not None
                Decoder(self._table, state.storages).put_back(state.objects)
            except (OtherFormatError, OtherRunError):
                raise
            except ForeignStateError as problem:
                told = f"the state after step {step_of(path)} was not written by mlnn ({shown(problem, 100)})"
                raise OtherRunError(f"{self.place.final}: {told}; overwrite=true begins anew") from None
            except DamagedStateError as problem:
                self.note(f"note: {shown(problem, 200)}; an earlier state is taken")
                continue
            except RunFolderError as problem:
                self.note(f"note: {problem}; an earlier state is taken")
                continue
            self.rows = rows
            self.kept = step_of(path)
            return self.kept
        return 0

    def _check(self, about: Mapping[str, Any]) -> None:
        for key, what in (("data", "the data have changed"), ("program", "the program builds other objects")):
            if about.get(key) != self._about[key]:
                raise OtherRunError(
                    f"{self.place.final}: cannot go on: {what} since it was begun; overwrite=true begins anew"
                )

    def _forget(self) -> None:
        """Begin anew: nothing of another try is left."""
        for path in self.place.states:
            disk("remove", self.place.final, path.unlink, missing_ok=True)
        self.journal.go_back(0)


class Within(Keeper):
    """The state of one part of a run, in the folder `name` below that of the whole, which says when to stop: a step of the whole is
    long, and has steps of its own."""

    def __init__(self, whole: Keeper, name: str) -> None:
        folder = whole.place.folder / name
        disk("write", whole.place.final, folder.mkdir, exist_ok=True)
        super().__init__(replace(whole.place, folder=folder), whole.note, whole.clock)
        self.whole, self.every = whole, whole.every

    def begin(self, engine: str, roots: Sequence[Any], fixed: tuple[type, ...], data: str) -> int:
        """As a keeper; the whole has gone on from a state where its part has."""
        begun = super().begin(engine, roots, fixed, data)
        self.whole.begun_at = max(self.whole.begun_at, begun)
        return begun

    def done(self, step: int) -> None:
        """As a keeper; where the whole was asked to stop, so is its part, and the whole is kept as well."""
        if self.whole.stops:
            self.whole.keep()
            self.stop()
        super().done(step)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the garbage collector, which so many new lists would wake: it walks through all of torch, 0.15 of 0.18 seconds."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _streams() -> list[Any]:
    """The process-wide random streams."""
    cuda = list(torch.cuda.default_generators) if torch.cuda.is_initialized() else []
    return [torch.default_generator, np.random.mtrand._rand, random._inst, *cuda]
