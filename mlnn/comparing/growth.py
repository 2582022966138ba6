"""Growth: the same comparison up a ladder of architectures, several seeds each, one row per architecture and seed.

Every finished cell is a run folder of its own, and all that is told of a cell is read from there: a cell that an earlier call
has trained and one of this call are told alike.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlnn.comparing import stored
from mlnn.comparing.records import GrowthRow, RunInfo
from mlnn.comparing.seeds import Seeds, summarise
from mlnn.comparing.trace import Columns
from mlnn.comparing.verdict import Verdict
from mlnn.errors import RunFolderError
from mlnn.keys import ComparedSettings
from mlnn.runs import Run, Study, csv_text, read_run, write_file

COLUMNS = tuple(column.name for column in dataclasses.fields(GrowthRow))
Cells = Sequence[tuple[str, ComparedSettings]]


@dataclass(frozen=True)
class GrowthCell:
    """A finished cell: its architecture and seed, its row of growth.csv, its verdict, its trace and what was run."""

    model: str
    seed: int
    row: GrowthRow
    verdict: Verdict
    trace: Columns
    run: RunInfo


def cell_name(name: str, settings: ComparedSettings) -> str:
    """The folder of a cell below the study's: architecture and seed."""
    return f"{name}-seed{settings.seed}"


def finished(cells: Cells, study: Study, below: str) -> list[GrowthCell]:
    """The cells that `study` holds, in the order of the ladder."""
    return [
        read_cell(name, settings, read_run(study.path(f"{below}/{cell_name(name, settings)}")))
        for name, settings in cells
        if study.done(f"{below}/{cell_name(name, settings)}")
    ]


def read_cell(name: str, settings: ComparedSettings, run: Run) -> GrowthCell:
    """A cell from its run folder; RunFolderError where what is stored is no comparison's."""
    depth = settings.model.get("depth", settings.model.get("blocks", 1))
    verdict, info = told(run)
    return GrowthCell(name, settings.seed, row_of(name, depth, run), verdict, run.trace, info)


def told(run: Run) -> tuple[Verdict, RunInfo]:
    """What a stored comparison says; RunFolderError where that is damaged."""
    try:
        return Verdict.from_dict(run.verdict or {}), RunInfo.from_dict(run.about)
    except ValueError as problem:
        raise RunFolderError(f"{run.path}: is damaged: {problem}") from None


def row_of(name: str, depth: int, run: Run) -> GrowthRow:
    """The line of growth.csv of a stored comparison; RunFolderError where that is damaged."""
    verdict, info = told(run)
    if "step" not in run.trace or run.trace["step"].dtype != np.int64:
        raise RunFolderError(f"{run.path}: trace.csv is damaged: a column 'step' of whole numbers belongs there")
    try:
        return _row(name, depth, run.trace, verdict, info)
    except (KeyError, IndexError):
        raise RunFolderError(f"{run.path}: trace.csv is damaged: it holds no steps of a comparison") from None
    except ValueError as problem:
        raise RunFolderError(f"{run.path}: is damaged: {problem}") from None


def _row(name: str, depth: int, trace: Columns, verdict: Verdict, info: RunInfo) -> GrowthRow:
    row = _asked(name, depth, trace, verdict, info)
    if info.mode == "verdict":  # right did not train, so there is no drift
        return row
    fine = "float64" if info.dtype != "float64" else "float32"
    last = _last(trace["weight_gap"])
    own, twin = float(trace["weight_gap"][last]), float(trace[f"weight_gap_{fine}"][last])
    coarse, exact = (own, twin) if fine == "float64" else (twin, own)
    return dataclasses.replace(
        row,
        weight_gap=own,
        null_low=float(trace["null_low"][last]),
        null_high=float(trace["null_high"][last]),
        float64_weight_gap=exact,
        shrink=coarse / exact if exact else math.nan,
    )


def _asked(name: str, depth: int, trace: Columns, verdict: Verdict, info: RunInfo) -> GrowthRow:
    """What a trace tells of losses and of gradients at common weights."""
    return GrowthRow(
        model=name,
        parameters=info.parameters,
        depth=depth,
        seed=info.seed,
        relation=verdict.relation,
        max_abs_loss_gap=_most(trace["abs_loss_gap"]),
        gradient_gap=_most(trace["gradient_gap"]),
        first_difference_step=stored.whole(verdict.first_difference or {}, "step"),
        steps=int(trace["step"][-1]) + 1,
        non_finite=_non_finite(trace, info),
        gradient_gap_float64=_most(trace["gradient_gap" if info.dtype == "float64" else "gradient_gap_float64"]),
        gradient_shrink=verdict.shrink,
        left_domain=verdict.left_domain,
    )


def _non_finite(trace: Columns, info: RunInfo) -> int:
    """Steps on which a side was not finite, whatever the trace skips; of a verdict, rows."""
    bad = trace["non_finite_left"] + trace["non_finite_right"] > 0
    if info.mode == "verdict" or not bad.any():
        return int(bad.sum())
    return (
        int(trace["step"][-1] - trace["step"][int(bad.argmax())]) + 1
    )  # a lane of a study that stops has stopped for good


def _last(values: np.ndarray) -> int:
    known = np.flatnonzero(~np.isnan(values))
    return int(known[-1]) if len(known) else len(values) - 1


def _most(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else math.nan


def write_rows(rows: Sequence[GrowthRow], path: Path) -> None:
    """growth.csv at full precision; a value that does not exist is left empty."""
    write_file(path, csv_text(COLUMNS, [row.to_dict() for row in rows]))


def over_seeds(cells: Sequence[GrowthCell], margin: float) -> Seeds:
    """Several seeds of one comparison as one result; the final loss of a seed is the mean over its last tenth of steps, as far as
    its trace has them."""
    rows = [cell.row for cell in cells]
    gaps = {
        "max_abs_loss_gap": _sizes(row.max_abs_loss_gap for row in rows),
        "gradient_gap": _sizes(row.gradient_gap for row in rows),
    }
    if any(cell.run.mode == "verdict" for cell in cells):  # right's loss is that at left's weights: no end of its own
        return summarise([row.relation for row in rows], gaps, [], [], margin)
    gaps["weight_gap"] = _sizes(row.weight_gap for row in rows)
    ends = [[_end(cell.trace, f"loss_{side}") for cell in cells] for side in ("left", "right")]
    return summarise([row.relation for row in rows], gaps, ends[0], ends[1], margin)


def _sizes(gaps: Iterable[float | None]) -> list[float]:
    return [math.nan if gap is None else gap for gap in gaps]


def _end(trace: Columns, column: str) -> float:
    done = int(trace["step"][-1]) + 1
    return float(trace[column][trace["step"] >= done - max(1, done // 10)].mean())
