"""What happens to a model's weights beside the recorded training, told in words: a recorder sees what the optimiser does to those
that were trained when it began."""

from collections.abc import Sequence

from torch import nn

from mlnn.recording.parts import Held, clean

CHANGED = "the weights were changed since the step before, and not by the recorded optimiser"
MOST_NAMED = 3


class Beside:
    """`held`: the weights that are recorded. `frozen`: those that were not trained when the recording began, by name."""

    def __init__(self, model: nn.Module, held: Sequence[Held]) -> None:
        self.held = held
        self.frozen = [(clean(name), weight) for name, weight in model.named_parameters() if not weight.requires_grad]
        self.versions: list[int] | None = None

    def stepped(self) -> None:
        """The optimiser has made a step."""
        self.versions = self._now()

    def remarks(self) -> tuple[str, ...]:
        """What is to be said where another step begins: torch counts how often a tensor is written into."""
        changed = self.versions is not None and self.versions != self._now()
        return (*((CHANGED,) if changed else ()), *self._thawed())

    def _thawed(self) -> tuple[str, ...]:
        names = [f"'{name}'" for name, weight in self.frozen if weight.requires_grad]
        if not names:
            return ()
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        return (
            f"{', '.join(names[:MOST_NAMED])}{more} can be trained, and was frozen when the recording began: not recorded",
        )

    def _now(self) -> list[int]:
        return [held.weight._version for held in self.held]
