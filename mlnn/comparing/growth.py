"""Growth: the same comparison up a ladder of architectures, several seeds each, one row per architecture and seed.

Every finished cell is a run folder of its own, and all that is told of a cell is read from there: a cell that an earlier call
has trained and one of this call are told alike.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from mlnn.comparing.configured import run_comparison
from mlnn.comparing.seeds import Seeds, summarise
from mlnn.comparing.verdict import Verdict
from mlnn.keys import ComparedSettings
from mlnn.runs import Run, Study, csv_text, read_run, write_file
from mlnn.workers import Call, Outcome, supervised

COLUMNS = (
    "model", "parameters", "depth", "seed", "relation", "max_abs_loss_gap", "gradient_gap", "weight_gap", "null_low",
    "null_high", "float64_weight_gap", "shrink", "first_difference_step", "steps", "non_finite", "gradient_gap_float64",
    "gradient_shrink", "left_domain",
)  # fmt: skip
Cells = Sequence[tuple[str, ComparedSettings]]


@dataclass(frozen=True)
class Cell:
    """A finished cell: its row of growth.csv, its verdict as plain data, trace and what was run."""

    model: str
    seed: int
    row: dict[str, Any]
    verdict: dict[str, Any]
    trace: dict[str, np.ndarray]
    about: dict[str, Any]

    def meets(self, require: str, domain: tuple[float, float] | None) -> bool:
        """Whether the verdict is at least as strong as `require`, as `Verdict.meets` decides it."""
        found = {key: self.verdict[key] for key in ("relation", "value_relation", "gradient_relation", "sentence")}
        interval = self.verdict["domain"]
        left = self.verdict["left_domain"]
        bounds = interval if isinstance(interval, str) else (float(interval[0]), float(interval[1]))
        return Verdict(**found, domain=bounds, left_domain=left).meets(require, domain)


def cell_name(name: str, settings: ComparedSettings) -> str:
    """The folder of a cell below the study's: architecture and seed."""
    return f"{name}-seed{settings.seed}"


def growth(
    cells: Cells,
    study: Study,
    below: str,
    jobs: int | None,
    timeout: float | None,
    progress: Callable[[int, int], None],
) -> list[Outcome]:
    """Train every cell (rung name, settings) that `study` does not hold yet, `jobs` at once (None: one per core).

    Each is sealed in `study`/`below`/<rung>-seed<n> as soon as it has ended. Returns the outcomes of those that failed;
    their `place` counts in `cells`.
    """
    missing = [place for place, cell in enumerate(cells) if not study.done(f"{below}/{cell_name(*cell)}")]
    progress(len(cells) - len(missing), len(cells))
    calls = []
    for place in missing:
        name, settings = cells[place]
        folder = study.path(f"{below}/{cell_name(name, settings)}")
        study.clear(f"{below}/{folder.name}")
        calls.append(Call(train_cell, (name, settings, folder), folder.with_name(f"{folder.name}.log")))
    workers = min(jobs or joblib.cpu_count(), max(len(calls), 1))
    failed = []
    for count, outcome in enumerate(supervised(calls, at_once=workers, timeout=timeout), start=1):
        if outcome.failure is not None:
            place = missing[outcome.place]
            failed.append(Outcome(place, None, outcome.failure, outcome.code, outcome.seconds))
        progress(len(cells) - len(missing) + count, len(cells))
    return sorted(failed, key=lambda outcome: outcome.place)


def train_cell(name: str, settings: ComparedSettings, folder: Path) -> None:
    """Train one cell and seal it in `folder`."""
    comparison = run_comparison(settings)
    comparison.about = comparison.about | {"model": name}
    comparison.save(folder, config=json.dumps(settings.told(), indent=1), page=False)


def finished(cells: Cells, study: Study, below: str) -> list[Cell]:
    """The cells that `study` holds, in the order of the ladder."""
    return [
        _cell(name, settings, read_run(study.path(f"{below}/{cell_name(name, settings)}")))
        for name, settings in cells
        if study.done(f"{below}/{cell_name(name, settings)}")
    ]


def _cell(name: str, settings: ComparedSettings, run: Run) -> Cell:
    depth = settings.model.get("depth", settings.model.get("blocks", 1))
    verdict = run.verdict or {}
    told = {key: value for key, value in verdict.items() if key not in ("about", "lanes")}
    return Cell(name, settings.seed, row_of(name, depth, run), told, run.trace, run.about)


def row_of(name: str, depth: int, run: Run) -> dict[str, Any]:
    """One line of growth.csv: largest gaps over the steps, weight gaps and null band at the last step both sides ran."""
    trace, verdict, about = run.trace, run.verdict or {}, run.about
    fine = "float64" if about["dtype"] != "float64" else "float32"
    last = _last(trace["weight_gap"])
    gap, exact = trace["weight_gap"][last], trace[f"weight_gap_{fine}"][last]
    if fine == "float32":
        gap, exact = exact, gap
    first = verdict["first_difference"] or {}
    values = (
        name, about["parameters"], depth, about["seed"], verdict["relation"],
        _most(trace["abs_loss_gap"]), _most(trace["gradient_gap"]), float(trace["weight_gap"][last]),
        float(trace["null_low"][last]), float(trace["null_high"][last]), float(exact),
        float(gap / exact) if exact else float("nan"), first.get("step"), len(trace["step"]),
        int((trace["non_finite_left"] + trace["non_finite_right"] > 0).sum()),
        _most(trace["gradient_gap_float64" if fine == "float64" else "gradient_gap"]),
        _number(verdict["shrink"]), _number(verdict["left_domain"]),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _number(value: Any) -> float | None:
    """A number as a run folder holds it: those that are not finite stand there as words."""
    return None if value is None else float(value)


def _last(values: np.ndarray) -> int:
    known = np.flatnonzero(~np.isnan(values))
    return int(known[-1]) if len(known) else len(values) - 1


def _most(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else float("nan")


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """growth.csv at full precision; a value that does not exist is left empty."""
    write_file(path, csv_text(COLUMNS, rows))


def over_seeds(cells: Sequence[Cell], margin: float) -> Seeds:
    """Several seeds of one comparison as one result; the final loss of a seed is the mean over its last tenth of steps."""
    rows = [cell.row for cell in cells]
    gaps = {name: [row[name] for row in rows] for name in ("max_abs_loss_gap", "gradient_gap", "weight_gap")}
    ends = [[_end(cell.trace[f"loss_{side}"]) for cell in cells] for side in ("left", "right")]
    return summarise([row["relation"] for row in rows], gaps, ends[0], ends[1], margin)


def _end(losses: np.ndarray) -> float:
    return float(losses[-max(1, len(losses) // 10) :].mean())
