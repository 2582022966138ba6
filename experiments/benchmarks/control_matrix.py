"""Does left trained once more give left's bits, and does another process give the same? Every shipped architecture, many ways.

    python experiments/benchmarks/control_matrix.py [out=control.jsonl] [models=…] [seeds=0,1,2] [engines=auto,plain] [steps=6]

Each cell is one `mlnn.compare` of a loss and its likelihood: an architecture, a precision, a seed, an optimiser, 1 or 2 threads of
torch, lanes stacked where they can be or one by one. It is run in two processes that share nothing, the second in the opposite
order. A line holds what the control was, and a digest of the trace, the verdict and the last weights of all lanes. What has been
done lies in `out`, and the same command goes on with it. Exits with 1 where a control is not bitwise or two processes differ.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from mlnn import compare, likelihoods, models, objectives
from mlnn.data import Dataset, from_arrays
from mlnn.seeding import generator

Objective = Callable[..., torch.Tensor]
ROWS, BATCH, SHAPE, CLASSES = 128, 64, (1, 8, 8), 3
"""Rows, rows of a batch, and their shape; enough for a second thread to have something to do."""
SHIPPED: dict[str, Callable[..., torch.nn.Module]] = {
    "free": models.Free,
    "sigmoid_node": models.SigmoidNode,
    "logistic": models.Logistic,
    "mlp": models.MLP,
    "resmlp": models.ResMLP,
    "conv": models.Conv,
    "resnet": models.ResNet,
    "recurrent": models.Recurrent,
    "transformer": models.Transformer,
}
"""The zoo, as configs/model has it."""
DRAWING: dict[str, Callable[..., torch.nn.Module]] = {
    "mlp_dropout_batch_norm": partial(models.MLP, norm="batch", dropout=0.2),
    "resmlp_dropout": partial(models.ResMLP, dropout=0.2),
    "conv_dropout": partial(models.Conv, dropout=0.2),
    "transformer_dropout": partial(models.Transformer, dropout=0.2),
    "recurrent_two_layers": partial(models.Recurrent, depth=2),
}
"""The same where masks are drawn or statistics are kept, or with more layers."""
OF_CLASSES = {f"{name}_classes": SHIPPED[name] for name in ("mlp", "conv", "transformer")}
"""The same on labels of several classes."""
MODELS = SHIPPED | DRAWING | OF_CLASSES
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, lr=0.05),
    "adam": partial(torch.optim.Adam, lr=0.01),
}
DTYPES = ("float32", "float64", "bfloat16")
ENGINES = ("auto", "plain")
PASSIVE = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
"""Threads that wait without working: on a machine that is busy two of them take twenty times as long otherwise."""
PROCESSES = ("first", "second")


@dataclass(frozen=True)
class Cell:
    """One comparison."""

    model: str
    dtype: str
    seed: int
    optimizer: str
    threads: int
    engine: str

    @property
    def name(self) -> str:
        """The cell as text, by which its lines are found."""
        return " ".join(map(str, astuple(self)))


@dataclass(frozen=True)
class Answer:
    """What a cell gave in one process: `control` in the words of the verdict, `engine` in those of the run, and its digest."""

    name: str
    process: str
    control: str
    engine: str
    digest: str


class Lanes:
    """Holds on to the lanes of a comparison, in the place of what keeps its state; `digest` of their last weights."""

    engine, rows = None, ()

    def begin(self, _engine: str, roots: Sequence[Any], *_given: Any) -> int:
        """The lanes that train; nothing is done yet."""
        self.lanes = roots[0].lanes
        return 0

    def row(self, _row: object) -> None:
        """A row of the trace, which the comparison has."""

    def done(self, _step: int) -> None:
        """A step."""

    def finished(self) -> None:
        """All steps."""

    def weights(self) -> Iterable[bytes]:
        """The bytes of every lane's weights and buffers, by name."""
        for name, lane in self.lanes.items():
            for key, value in lane.module.state_dict().items():
                yield f"{name} {key} {value.dtype}".encode()
                yield value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def rows_of(classes: bool, seed: int) -> Dataset:
    """Images of noise, and targets that lean on their mean."""
    draws = generator(seed, "control")
    x = torch.randn(ROWS, *SHAPE, generator=draws)
    lean = x.mean(dim=(1, 2, 3)) * 8 + torch.randn(ROWS, generator=draws)
    if classes:
        return from_arrays(x, (lean > -0.7).long() + (lean > 0.7).long(), targets=f"classes({CLASSES})", name="noise")
    return from_arrays(x, (lean > 0).float(), name="noise")


def run(cell: Cell, process: str = PROCESSES[0], steps: int = 6, left: Objective | None = None) -> Answer:
    """A cell, once; `left`: a loss in the place of its own."""
    classes, lanes = cell.model in OF_CLASSES, Lanes()
    loss, likelihood = (
        (objectives.cross_entropy, likelihoods.Categorical().nll)
        if classes
        else (objectives.bce_with_logits, likelihoods.Bernoulli().nll)
    )
    keep: Any = lanes
    found = compare(
        partial(MODELS[cell.model], SHAPE, CLASSES if classes else 1), left or loss, likelihood, rows_of(classes, cell.seed),
        optimizer=OPTIMIZERS[cell.optimizer], steps=steps, batch_size=BATCH, dtype=cell.dtype, seed=cell.seed,
        threads=cell.threads, engine=cell.engine, null_twins=0, looks=2, keep=keep, proof=0,
    )  # fmt: skip
    told = hashlib.sha256(json.dumps(found.verdict.to_dict(), default=str).encode())
    for name, column in found.trace.items():
        told.update(name.encode() + column.tobytes())
    for piece in lanes.weights():
        told.update(piece)
    return Answer(cell.name, process, found.verdict.control, str(found.run.engine), told.hexdigest())


def cells(said: Mapping[str, str]) -> list[Cell]:
    """Those that were asked for, lanes that may be stacked first."""
    names, seeds = said.get("models", ",".join(MODELS)).split(","), said.get("seeds", "0,1,2").split(",")
    engines = said.get("engines", ",".join(ENGINES)).split(",")
    return [
        Cell(name, dtype, int(seed), optimizer, threads, engine)
        for engine, name, dtype, seed, optimizer, threads in product(engines, names, DTYPES, seeds, OPTIMIZERS, (1, 2))
    ]


def answers(path: Path) -> list[Answer]:
    """The lines of a file; a torn last one is none."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            told = json.loads(line)
        except json.JSONDecodeError:
            continue
        found.append(Answer(**{field.name: told[field.name] for field in fields(Answer)}))
    return found


def go_on(path: Path, todo: Sequence[Cell], process: str, steps: int) -> None:
    """Run what one process has not answered yet."""
    there = {answer.name for answer in answers(path) if answer.process == process}
    with open(path, "a", encoding="utf-8") as file:
        for cell in todo if process == PROCESSES[0] else reversed(todo):
            if cell.name not in there:
                print(json.dumps(asdict(run(cell, process, steps))), file=file, flush=True)


def wrong(found: Sequence[Answer], todo: Sequence[Cell]) -> list[str]:
    """What does not hold, a sentence each: a control, two processes, a cell that is missing."""
    by_name: dict[str, dict[str, Answer]] = {}
    for answer in found:
        by_name.setdefault(answer.name, {})[answer.process] = answer
    told = []
    for cell in todo:
        own = by_name.get(cell.name, {})
        told += [f"{cell.name}: not run by the {process} process" for process in PROCESSES if process not in own]
        told += [f"{cell.name}: {answer.control}" for answer in own.values() if answer.control != "bitwise"]
        if len({answer.digest for answer in own.values()}) > 1:
            told.append(f"{cell.name}: two processes differ")
    return told


def threads_differ(found: Sequence[Answer]) -> tuple[int, int]:
    """(Pairs of cells of which 2 threads gave other bits than 1, all such pairs)."""
    digests = {answer.name: answer.digest for answer in found}
    cells = [(name, name.split(" ")) for name in digests]
    pairs = [(name, " ".join([*words[:4], "2", *words[5:]])) for name, words in cells if words[4] == "1"]
    moved = [digests[one] != digests[two] for one, two in pairs if two in digests]
    return sum(moved), len(moved)


def main(words: Sequence[str]) -> int:
    """What the script does; its exit code."""
    said = dict(word.split("=", 1) for word in words)
    path, todo, steps = Path(said.get("out", "control.jsonl")), cells(said), int(said.get("steps", "6"))
    if "process" in said:
        go_on(path, todo, said["process"], steps)
        return 0
    for process in PROCESSES:
        subprocess.run([sys.executable, __file__, *words, f"process={process}"], check=True, env=os.environ | PASSIVE)
    found = answers(path)
    faults, (moved, pairs) = wrong(found, todo), threads_differ(found)
    engines = Counter(answer.engine for answer in found)
    print(
        f"{len(todo)} cells in {len(PROCESSES)} processes: {len(faults)} faults; 2 threads moved bits in {moved} of {pairs}"
    )
    print(*(f"  {count} × {engine}" for engine, count in engines.most_common()), sep="\n")
    print(*faults, sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
