"""The benchmark that could prove the verdict wrong: pairs known beforehand, run, judged, and set against fixed tolerances.

Every pair is trained on several architectures, optimisers and dtypes by `mlnn.compare`; on the losses of the very same
runs five tolerances in common use say what they would have said.
"""

import copy
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import torch
from faults import PAIRS, Pair
from faults.tolerances import TOLERANCES
from field_lanes import given, lane

from mlnn.comparing.comparison import compare
from mlnn.comparing.finished import Comparison
from mlnn.comparing.verdict import Verdict
from mlnn.data import Dataset, from_arrays
from mlnn.errors import ConfigError, unknown
from mlnn.models import MLP, Logistic
from mlnn.objectives import Objective
from mlnn.runs import csv_text, write_file
from mlnn.seeding import generator
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe
from mlnn.workers import safe_children

ROWS, FEATURES, BATCH = 77, 5, 16  # four full batches and one of 13 rows to an epoch
ARCHITECTURES: dict[str, Callable[..., torch.nn.Module]] = {
    "node": Logistic,
    "tanh2": partial(MLP, depth=2, width=8, activation="tanh"),
    "relu4": partial(MLP, depth=4, width=8, activation="relu", norm="layer"),
}
OPTIMIZERS: dict[str, tuple[Callable[..., torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}),
    "adam": (torch.optim.Adam, {"lr": 1e-3}),
}
EDGE = 0.02
"""A domain that ends within 2 % beyond the fault's own onset has told of it: the fault grows from nothing there."""
FAMILIES = ("textbook", "field")
NOUNS = {"kinds": "kind", "families": "family", "architectures": "architecture", "optimizers": "optimizer"}


@dataclass(frozen=True)
class Cell:
    """One run of one pair."""

    pair: Pair
    architecture: str
    optimizer: str
    dtype: str
    steps: int = 32
    seed: int = 0


def select(
    kinds: Sequence[str] = ("equal", "unequal"),
    parts: Sequence[str] = (),
    every: int = 1,
    families: Sequence[str] = FAMILIES,
) -> list[Pair]:
    """The pairs of some kinds and families whose name holds one of `parts` (none: all), every n-th.

    Raises ConfigError for an unknown word, and where no pair is left.
    """
    for what, words, known in (("kinds", kinds, ("equal", "unequal")), ("families", families, FAMILIES)):
        for word in words:
            if word not in known:
                raise ConfigError(f"{what}: {unknown(NOUNS[what], str(word), known)}")
    if every < 1:
        raise ConfigError(f"every: {every}; 1 (all pairs) or more is needed")
    asked = [pair for pair in PAIRS if pair.kind in kinds and pair.family in families]
    named = [pair for pair in asked if not parts or any(part in pair.name for part in parts)]
    if not named:
        raise ConfigError(f"pairs: no pair of kinds {list(kinds)} has a name with {list(parts)} in it")
    return named[::every]


def cells(
    pairs: Iterable[Pair],
    architectures: Sequence[str] = tuple(ARCHITECTURES),
    optimizers: Sequence[str] = tuple(OPTIMIZERS),
    dtypes: Sequence[str] = ("float32", "float64", "float16"),
    steps: int = 32,
    seed: int = 0,
    full: bool = True,
) -> list[Cell]:
    """Every pair on every architecture, optimiser and dtype for which it means what it says; slow pairs once, and one with a
    model of its own on that one only.

    Not `full`: every second of them, alternating from pair to pair, so that a pair still meets every architecture,
    optimiser and dtype, in half the time. Raises ConfigError for an unknown name.
    """
    for what, names, known in (
        ("architectures", architectures, ARCHITECTURES),
        ("optimizers", optimizers, OPTIMIZERS),
    ):
        for name in names:
            if name not in known:
                raise ConfigError(f"{what}: {unknown(NOUNS[what], name, known)}")
    found = []
    for number, pair in enumerate(pairs):
        own = [
            Cell(pair, architecture, optimizer, dtype, pair.steps or steps, seed)
            for i, architecture in enumerate(["own"] if pair.model else architectures)
            for j, optimizer in enumerate(name for name in optimizers if name in pair.optimizers)
            for k, dtype in enumerate(name for name in dtypes if name in pair.dtypes)
            if full or (number + i + j + k) % 2 == 0
        ]
        found += own[:1] if pair.once else own
    return found


def run_cells(todo: Sequence[Cell], jobs: int | None, progress: Callable[[int, int], None]) -> list[dict[str, Any]]:
    """Run and judge every cell, `jobs` at once (None: one per core); one row each, in the order of the cells."""
    place = {pair.name: index for index, pair in enumerate(PAIRS)}
    calls = (
        joblib.delayed(_numbered)(number, place[c.pair.name], c.architecture, c.optimizer, c.dtype, c.steps, c.seed)
        for number, c in enumerate(todo)
    )
    workers = min(jobs or joblib.cpu_count(), max(len(todo), 1))
    done: dict[int, dict[str, Any]] = {}
    with safe_children():
        for number, row in joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(calls):
            done[number] = row
            progress(len(done), len(todo))
    return [done[number] for number in range(len(todo))]


def _numbered(number: int, place: int, *rest: Any) -> tuple[int, dict[str, Any]]:
    torch.set_num_threads(1)
    return number, run_cell(Cell(PAIRS[place], *rest))  # functions stay here; only their place in the list travels


def run_cell(cell: Cell) -> dict[str, Any]:
    """Train the pair, judge the verdict, and ask the tolerances: one row of benchmark.csv.

    A comparison that raises is a row with the outcome `raised`: one bad run must not cost the others.
    """
    pair, begun = cell.pair, time.perf_counter()
    row = {
        "pair": pair.name, "kind": pair.kind, "family": pair.family, "same_training": pair.same_training,
        "targets": pair.targets, "architecture": cell.architecture, "optimizer": cell.optimizer, "dtype": cell.dtype,
        "size": pair.size, "expected": " ".join(pair.expected(cell.dtype)), "relation": None, "outcome": "raised",
        "decided": False, "domain": None, "left_domain": None, "resolution": None,
        "nameable": pair.cause is not None, "cause": None, "named": None, "computes_in": None, "computes_in_told": None,
        **dict.fromkeys(TOLERANCES), "sentence": "", "note": pair.note,
    }  # fmt: skip
    try:
        comparison = _compare(cell)
    except Exception as problem:
        row["sentence"] = f"{type(problem).__name__}: {problem}"
    else:
        verdict = comparison.verdict
        losses = comparison.trace["loss_left"], comparison.trace["loss_right"]
        row |= {
            "relation": verdict.relation, "outcome": judge(pair, verdict, cell.dtype), "sentence": verdict.sentence,
            "decided": decided(pair, verdict, cell.dtype),
            "domain": None if isinstance(verdict.domain, str) else list(verdict.domain),
            "left_domain": verdict.left_domain, "resolution": verdict.resolution,
            "cause": _cause(verdict), "named": named(pair, _cause(verdict)), **_precision(pair, verdict, cell.dtype),
            **{name: says(*losses, getattr(torch, cell.dtype)) for name, says in TOLERANCES.items()},
        }  # fmt: skip
    return row | {"seconds": time.perf_counter() - begun}


def _compare(cell: Cell) -> Comparison:
    if cell.pair.family == "field":
        return _compare_field(cell)
    data = make_data(TargetSpace.parse(cell.pair.targets))
    left, right = (_lane(cell, side, data.targets) for side in ("left", "right"))
    model = partial(ARCHITECTURES[cell.architecture], data.input_shape, data.targets.outputs)
    return compare(
        model, left, right, data, optimizer=left.optimizer, steps=cell.steps, batch_size=BATCH, dtype=cell.dtype,
        seed=cell.seed, null_twins=0,
    )  # fmt: skip


def _compare_field(cell: Cell) -> Comparison:
    left, right = (lane(cell.pair, place, _optimizer(cell, side)) for place, side in enumerate(("left", "right")))
    asked = given(cell.pair, ARCHITECTURES.get(cell.architecture, Logistic), cell.steps, ROWS, BATCH)
    return compare(
        asked.model, left, right, asked.data, optimizer=left.optimizer, steps=cell.steps, batch_size=asked.batch_size,
        dtype=cell.dtype, seed=cell.seed, targets=asked.targets, null_twins=0,
    )  # fmt: skip


def judge(pair: Pair, verdict: Verdict, dtype: str = "float32") -> str:
    """`agreed` or `false alarm` for an equal pair; `caught`, `misnamed`, `below resolution` or `missed` for an unequal one.

    A narrower domain than "all" is a false alarm too, unless one side really is inaccurate far out. `misnamed`: told as a
    difference, but of the wrong kind (a fault that changes training called `shifted`, say).
    """
    right = verdict.relation in pair.expected(dtype)
    if pair.kind == "equal":
        return "agreed" if right and (verdict.domain == "all" or pair.partial) else "false alarm"
    if right or _told_by_domain(pair, verdict) or (pair.point and verdict.points):
        return "caught"
    if verdict.relation not in ("bitwise", "equal"):
        return "misnamed"
    small = pair.size is not None and verdict.resolution is not None and pair.size < verdict.resolution
    return "below resolution" if small else "missed"


def decided(pair: Pair, verdict: Verdict, dtype: str = "float32") -> bool:
    """Whether the verdict says anything: "cannot tell" is silence, except where no more is to be had."""
    silent = verdict.relation in ("undecided", "indistinguishable")
    return not silent or verdict.relation in pair.expected(dtype)


def named(pair: Pair, cause: str | None) -> str:
    """`right`, `none` or `wrong` of the cause that a verdict names; `unknown` where the catalogue does not say which is right.

    Between equal sides there is no cause to name.
    """
    if cause is None:
        return "none"
    if pair.kind == "unequal" and pair.cause is None and pair.family == "textbook":
        return "unknown"
    fits = pair.kind == "unequal" and pair.cause is not None and re.search(pair.cause, cause, re.IGNORECASE)
    return "right" if fits else "wrong"


def _cause(verdict: Verdict) -> str | None:
    found: str | None = getattr(verdict, "cause", None)
    return found


def _precision(pair: Pair, verdict: Verdict, dtype: str) -> dict[str, Any]:
    """What the verdict says that the sides compute in, and whether it is so; of a textbook pair that is not known."""
    found: Mapping[str, str] = getattr(verdict, "computes_in", {})
    told = None if pair.family == "textbook" else dict(found) == pair.computes_in(dtype)
    return {"computes_in": " ".join(f"{side}:{inside}" for side, inside in found.items()), "computes_in_told": told}


def _told_by_domain(pair: Pair, verdict: Verdict) -> bool:
    """Whether the verdict holds on raw outputs only on which the fault does nothing."""
    if pair.safe is None or isinstance(verdict.domain, str):
        return False
    (low, high), (safe_low, safe_high) = verdict.domain, pair.safe
    return low >= safe_low - EDGE * abs(safe_low) and high <= safe_high + EDGE * abs(safe_high)


def make_data(space: TargetSpace) -> Dataset:
    """77 rows of 5 features from N(0, 1), and targets that depend on them: the same rows every time."""
    draws = generator(0, "benchmark", str(space))
    x = torch.randn(ROWS, FEATURES, generator=draws, dtype=torch.float64)
    signal = x @ torch.randn(FEATURES, max(space.outputs, 1), generator=draws, dtype=torch.float64) / 2
    y = space.follow(signal, draws)
    return from_arrays(x, y, space, name=f"77 rows, {space}")


def _lane(cell: Cell, side: str, targets: TargetSpace) -> LaneRecipe:
    pair, right = cell.pair, side == "right"
    function = copy.deepcopy(pair.right if right else pair.left)  # a stateful loss starts afresh
    objective = Objective.of(function, targets, pair.outputs[right])
    return LaneRecipe(objective, _optimizer(cell, side), pair.accumulate if right else 1, pair.compile and right)


def _optimizer(cell: Cell, side: str) -> Callable[..., torch.optim.Optimizer]:
    kind, settings = OPTIMIZERS[cell.optimizer]
    change = cell.pair.right_optimizer if side == "right" else cell.pair.left_optimizer
    return partial(kind, **(change(settings) if change else settings))


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """benchmark.csv at full precision; a value that does not exist is left empty."""
    write_file(path, csv_text(list(rows[0]), rows))
