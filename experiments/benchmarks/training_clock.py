"""Processor and wall time of training steps, by marks that a training itself makes as its steps end."""

import time
from dataclasses import dataclass, field

Mark = tuple[int, float, float]
"""Model-steps done, processor and wall time, in seconds."""


@dataclass(frozen=True)
class Block:
    """One training of one side: seconds of processor and wall time per model-step once it ran, and of processor time before
    that (models made, operations recorded or compiled) and after the last (what a comparison concludes); `first`: losses of its
    first model, where they were told; `engine`: of mlnn, where it was."""

    side: str
    round: int
    processor: float
    wall: float
    start: float
    end: float = 0.0
    first: tuple[float, ...] = ()
    engine: str = ""


@dataclass
class Clock:
    """Marks of one training. Steps count from the first mark at `warm` model-steps or more; `seconds` of processor time later it
    is enough, unless that is None: then the training ends by itself."""

    seconds: float | None
    warm: int
    begun: float = field(default_factory=time.process_time)
    first: Mark | None = None
    last: Mark | None = None
    losses: list[float] = field(default_factory=list)

    def tick(self, done: int) -> bool:
        """Note that so many model-steps are done; whether that is enough."""
        mark = done, time.process_time(), time.perf_counter()
        if self.first is None or done < self.first[0]:  # a training that begins anew
            self.first, self.last = mark if done >= self.warm else None, None
            return False
        self.last = mark
        return self.seconds is not None and mark[1] - self.first[1] >= self.seconds

    def block(self, side: str, number: int, engine: str = "") -> Block:
        """What was measured; ValueError where there were no two marks."""
        if self.first is None or self.last is None:
            raise ValueError(f"{side}: no two steps were marked")
        steps, ended = self.last[0] - self.first[0], time.process_time()
        processor, wall = (self.last[at] - self.first[at] for at in (1, 2))
        start = self.first[1] - self.begun - self.first[0] * processor / steps
        first, end = tuple(self.losses[:5]), ended - self.last[1]
        return Block(side, number, processor / steps, wall / steps, max(start, 0.0), end, first, engine)


class EnoughError(Exception):
    """Ends a training that is told nothing but by being interrupted."""
