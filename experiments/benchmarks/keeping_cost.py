"""What does it cost that a run survives its process? The same comparison with its state kept and without, in turns.

    python experiments/benchmarks/keeping_cost.py [seconds=20] [rounds=3] [models=logistic,mlp,conv,recurrent]

Each line: processor time with over without, the share of it that the keeper itself took (numbering the objects, states, rows of the
trace), and how many states were written. `seconds`: about how long a comparison takes. A process has to itself what it measures.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from crashing.running import KEPT, MODELS, by_hand

from mlnn import data
from mlnn.comparing.comparison import compare
from mlnn.runs.kept import keeper
from mlnn.runs.kept.keeper import Keeper
from mlnn.runs.kept.place import open_place

ROWS, BATCH = 512, 64


class Watched(Keeper):
    """A keeper that notes the processor time of its own and how many states it wrote."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.spent, self.states = 0.0, 0

    def _timed(self, do: Callable[..., Any], *given: Any) -> Any:
        begun = time.process_time()
        try:
            return do(*given)
        finally:
            self.spent += time.process_time() - begun

    def begin(self, *given: Any) -> int:
        """As a keeper."""
        return int(self._timed(super().begin, *given))

    def row(self, row: Any) -> None:
        """As a keeper."""
        self._timed(super().row, row)

    def keep(self) -> bool:
        """As a keeper."""
        before = self.kept
        kept = bool(self._timed(super().keep))
        self.states += self.kept != before
        return kept


def once(model: str, steps: int, kept: bool) -> tuple[float, float, int]:
    """Processor time of a comparison, of its keeper, and the states that were written."""
    draws = torch.Generator().manual_seed(5)
    x, y = torch.randn(ROWS, 6, generator=draws), (torch.rand(ROWS, generator=draws) < 0.5).float()
    rows = data.from_arrays(x.reshape(ROWS, 1, 2, 3) if model == "conv" else x, y, name="cost")
    ask = partial(
        compare, MODELS[model], torch.nn.BCEWithLogitsLoss(), by_hand, rows, optimizer=partial(torch.optim.Adam, lr=0.01),
        steps=steps, batch_size=BATCH, null_twins=1, proof=0,
    )  # fmt: skip
    begun = time.process_time()
    if not kept:
        ask()
        return time.process_time() - begun, 0.0, 0
    with tempfile.TemporaryDirectory() as home, open_place(Path(home) / "run", KEPT, overwrite=False) as place:
        watched = Watched(place, print)
        ask(keep=watched)
        return time.process_time() - begun, watched.spent, watched.states


def measured(model: str, seconds: float, rounds: int) -> str:
    """The line of a model."""
    once(model, 20, True)  # what is imported and made once
    short, long = once(model, 20, False)[0], once(model, 120, False)[0]
    steps = max(20, int(seconds / max((long - short) / 100, 1e-4)))
    without, with_it, own, states = [], [], [], 0
    for _ in range(rounds):
        without.append(once(model, steps, False)[0])
        spent, mine, states = once(model, steps, True)
        with_it.append(spent)
        own.append(mine / spent)
    ratios = [one / other for one, other in zip(with_it, without, strict=True)]
    return (
        f"{model:10} {steps:6} steps, {statistics.median(without):5.1f} s: {statistics.median(ratios):.3f} of it without "
        f"({min(ratios):.3f} to {max(ratios):.3f}); the keeper's own {statistics.median(own):.1%}; {states} states"
    )


def main(words: list[str]) -> None:
    """A line a model."""
    said = dict(word.split("=", 1) for word in words)
    print(f"a state at most each {keeper.EVERY:g} s and for {keeper.SHARE:.1%} of the time")
    for model in said.get("models", ",".join(MODELS)).split(","):
        print(measured(model, float(said.get("seconds", "20")), int(said.get("rounds", "3"))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
