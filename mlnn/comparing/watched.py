"""How a comparison is watched: the steps that are looked at, those that make a row of the trace, and who is told on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlnn.sinks import Sink
from mlnn.world import callback

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Watched:
    """`looks`: the steps at which the expensive checks are made; `every`: steps to a row of the trace; `progress`: is told
    (steps done, steps); `sink`: is sent the rows of the trace.
    """

    looks: Sequence[int]
    every: int
    progress: Progress | None
    sink: Sink | None

    def kept(self, row: Mapping[str, float]) -> None:
        """Send a row of the trace."""
        if self.sink is not None:
            with callback():
                self.sink.send(row)
