"""How a comparison is watched: the steps that are looked at, those that make a row of the trace, and who is told on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlnn.arguments import called
from mlnn.runs.kept.keeper import Keeper
from mlnn.sinks import Sink
from mlnn.world import callback

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Watched:
    """`looks`: the steps at which the expensive checks are made; `every`: steps to a row of the trace; `progress`: is told
    (steps done, steps); `sink`: is sent the rows of the trace; `keep`: keeps the state of the run, and the rows.
    """

    looks: Sequence[int]
    every: int
    progress: Progress | None
    sink: Sink | None
    keep: Keeper | None = None

    def kept(self, row: Mapping[str, float]) -> None:
        """Send a row of the trace, and keep it."""
        if self.keep is not None:
            self.keep.row(row)
        if self.sink is not None:
            with callback():
                self.sink.send(row)

    def finish(self, summary: Mapping[str, str | float | None], page: Callable[[], str], step: int) -> None:
        """Send what came of it."""
        if self.sink is not None:
            self.sink.finish(summary, page, step)


def told(progress: Progress | None, sink: Any) -> tuple[Progress | None, Sink | None]:
    """Who is told on the way, as the caller gave them; raises ConfigError for what cannot be."""
    if progress is not None:
        called("progress", progress, "a function of (steps done, steps), or None")
    return progress, None if sink is None else Sink(sink)
