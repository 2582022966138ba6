"""Growth: the same comparison up a ladder of architectures, several seeds each, one row per architecture and seed."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from mlnn.agreement.seeds import Seeds, summarise
from mlnn.comparison import Comparison
from mlnn.settings import Settings, run_comparison

COLUMNS = (
    "model", "parameters", "depth", "seed", "relation", "max_abs_loss_gap", "gradient_gap", "weight_gap", "null_low",
    "null_high", "float64_weight_gap", "shrink", "first_difference_step", "steps", "non_finite", "gradient_gap_float64",
    "gradient_shrink", "left_domain",
)  # fmt: skip


def growth(
    cells: Sequence[tuple[str, Settings]], folder: Path, jobs: int | None, progress: Callable[[int, int], None]
) -> list[dict[str, Any]]:
    """Run every cell (rung name, settings), `jobs` at once (None: one per core), each into `folder`/<rung>-seed<n>.

    Returns, in the order of the cells, {"model", "seed", "row", "verdict", "meets", "trace", "about"}.
    """
    calls = (joblib.delayed(_cell)(name, settings, folder) for name, settings in cells)
    done: dict[tuple[str, int], dict[str, Any]] = {}
    workers = min(jobs or joblib.cpu_count(), len(cells))
    for result in _results(workers, calls):
        done[result["model"], result["seed"]] = result
        progress(len(done), len(cells))
    return [done[name, settings["seed"]] for name, settings in cells]


def _results(workers: int, calls: Iterator[Any]) -> Iterator[dict[str, Any]]:
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
    yield from parallel(calls)


def _cell(name: str, settings: Settings, folder: Path) -> dict[str, Any]:
    comparison = run_comparison(settings)
    about = comparison.about | {"model": name}
    comparison.about = about
    comparison.save(folder / f"{name}-seed{settings['seed']}", config=json.dumps(dict(settings), indent=1), page=False)
    depth = settings["model"].get("depth", settings["model"].get("blocks", 1))
    return {
        "model": name,
        "seed": settings["seed"],
        "row": _row(name, depth, comparison),
        "verdict": comparison.verdict.to_dict(),
        "meets": comparison.verdict.meets,
        "trace": comparison.trace,
        "about": about,
    }


def _row(name: str, depth: int, comparison: Comparison) -> dict[str, Any]:
    """One line of growth.csv: largest gaps over the steps, weight gaps and null band at the last step both sides ran."""
    trace, verdict = comparison.trace, comparison.verdict
    fine = "float64" if comparison.about["dtype"] != "float64" else "float32"
    last = _last(trace["weight_gap"])
    gap, exact = trace["weight_gap"][last], trace[f"weight_gap_{fine}"][last]
    if fine == "float32":
        gap, exact = exact, gap
    first = verdict.first_difference or {}
    values = (
        name, comparison.about["parameters"], depth, comparison.about["seed"], verdict.relation,
        _most(trace["abs_loss_gap"]), _most(trace["gradient_gap"]), float(trace["weight_gap"][last]),
        float(trace["null_low"][last]), float(trace["null_high"][last]), float(exact),
        float(gap / exact) if exact else float("nan"), first.get("step"), len(trace["step"]),
        int((trace["non_finite_left"] + trace["non_finite_right"] > 0).sum()),
        _most(trace["gradient_gap_float64" if fine == "float64" else "gradient_gap"]), verdict.shrink, verdict.left_domain,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _last(values: np.ndarray) -> int:
    known = np.flatnonzero(~np.isnan(values))
    return int(known[-1]) if len(known) else len(values) - 1


def _most(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else float("nan")


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """growth.csv at full precision; a value that does not exist is left empty."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({k: repr(v) if isinstance(v, float) else "" if v is None else v for k, v in row.items()})


def over_seeds(cells: Sequence[Mapping[str, Any]], margin: float) -> Seeds:
    """Several seeds of one comparison as one result; the final loss of a seed is the mean over its last tenth of steps."""
    rows = [cell["row"] for cell in cells]
    gaps = {name: [row[name] for row in rows] for name in ("max_abs_loss_gap", "gradient_gap", "weight_gap")}
    ends = [[_end(cell["trace"][f"loss_{side}"]) for cell in cells] for side in ("left", "right")]
    return summarise([row["relation"] for row in rows], gaps, ends[0], ends[1], margin)


def _end(losses: np.ndarray) -> float:
    return float(losses[-max(1, len(losses) // 10) :].mean())
