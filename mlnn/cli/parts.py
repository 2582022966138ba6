"""The parts of one command that are done one after another: one that fails leaves the others alone and is named at the end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from mlnn.cli.performing import gravest
from mlnn.errors import MlnnError, NoAnswerError

Made = TypeVar("Made")
TOLD = 3


@dataclass
class Parts:
    """What failed so far, of how many."""

    of: int
    failed: list[tuple[str, MlnnError]] = field(default_factory=list)

    def try_one(self, name: str, do: Callable[[], Made]) -> Made | None:
        """What `do` makes, or None where it cannot; the first failure counts at once where it is the only part."""
        try:
            return do()
        except MlnnError as problem:
            self.failed.append((name, problem))
            if len(self.failed) == self.of:
                first, cause = self.failed[0]
                raise NoAnswerError(f"{first}: {cause}" if self.of > 1 else str(cause), cause.exit_code) from cause
            return None

    def check(self) -> None:
        """Raise NoAnswerError, with the gravest exit code, where a part failed; what the others made is written by now."""
        if not self.failed:
            return
        lines = [f"{len(self.failed)} of {self.of} parts failed; the others are told of"]
        lines += [f"  {name}: {str(problem).splitlines()[0][:250]}" for name, problem in self.failed[:TOLD]]
        if len(self.failed) > TOLD:
            lines[-1] += f"; and {len(self.failed) - TOLD} more"
        raise NoAnswerError("\n".join(lines), gravest(problem.exit_code for _, problem in self.failed))
