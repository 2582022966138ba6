"""`mlnn.compare`: train two objectives side by side and say what the gaps mean."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.agreement.observe import Observer
from mlnn.agreement.probe import Probe, probe
from mlnn.agreement.relations import ORDER, check_require
from mlnn.agreement.resolution import Planter
from mlnn.agreement.verdict import Verdict, decide
from mlnn.data import Dataset, from_arrays
from mlnn.environment import environment
from mlnn.errors import ConfigError, RequirementNotMetError
from mlnn.estimation import classical_twin
from mlnn.objectives import Objective, likelihood_of
from mlnn.objectives.grid import DIRECTIONS
from mlnn.report.page import comparison_page
from mlnn.runs import TraceWriter, new_run, read_trace
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe, Lockstep, Recipe, batches, dtype_name, make_lockstep, parse_device, parse_dtype

PROBE_ROWS = 64
Progress = Callable[[int, int], None]


@dataclass
class Comparison:
    """A finished comparison. `trace`: numpy arrays (steps,) by name; `lanes`: what each lane was and where it stopped."""

    verdict: Verdict
    about: dict[str, Any]
    lanes: dict[str, dict[str, Any]]
    data: dict[str, object]
    probe: Probe
    trace_path: Path
    planted: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=environment)

    @cached_property
    def trace(self) -> dict[str, np.ndarray]:
        """The trace, read back from where it was streamed to."""
        return read_trace(self.trace_path)

    def to_dict(self) -> dict[str, Any]:
        """Verdict, what was compared, lanes and data, as plain data."""
        return {"verdict": self.verdict.to_dict(), "about": self.about, "lanes": self.lanes, "data": self.data}

    def save(
        self, folder: str | Path | None = None, *, config: str = "", overwrite: bool = False, page: bool = True
    ) -> Path:
        """Write a run folder (config, trace.csv, verdict.json, environment, and the page) and return its path.

        Raises RunFolderError if the folder is not empty (unless `overwrite` and it is a run) or cannot be written.
        """
        with new_run(folder, "compare", overwrite) as run:
            run.write_text("config.yaml", config)
            shutil.copyfile(self.trace_path, run.path("trace.csv"))
            run.write_json("verdict.json", self.verdict.to_dict() | {"about": self.about, "lanes": self.lanes})
            run.write_json("environment.json", self.environment)
            run.write_json("data.json", self.data)
            run.write_json("about.json", self.about)
            if page:
                run.write_text("report.html", self.page())
        return run.final

    def report(self, path: str | Path) -> Path:
        """Write the page (one HTML file that works offline) and return its path."""
        Path(path).write_text(self.page(), encoding="utf-8")
        return Path(path)

    def page(self) -> str:
        """The page as HTML."""
        return comparison_page(
            self.verdict.to_dict() | {"probe": probe_curves(self.probe), "planted": self.planted},
            self.trace,
            self.about,
        )


def compare(
    model: Callable[[], torch.nn.Module],
    left: Any,
    right: Any,
    data: Dataset | tuple[Any, Any],
    *,
    optimizer: Callable[..., torch.optim.Optimizer],
    steps: int,
    batch_size: int | None,
    dtype: torch.dtype | str = torch.float32,
    seed: int = 0,
    targets: str | TargetSpace | None = None,
    outputs: str | tuple[str, str] = "raw",
    null_twins: int = 3,
    device: str | torch.device = "cpu",
    require: str | None = None,
    domain: tuple[float, float] | None = None,
    progress: Progress | None = None,
    about: dict[str, Any] | None = None,
) -> Comparison:
    """Train `left` and `right` in lockstep, with control, null twins and precision twins, and give the verdict.

    model: factory () → nn.Module, from x (n, *shape) to a raw output (n,), (n, 1) or (n, K). left, right: objectives or
    any callable (output, target) → (n,) or scalar, or a `LaneRecipe` where more than the objective differs. data: a
    Dataset or (x, y). optimizer: factory (params) → Optimizer. batch_size: None is the full batch. targets: the target
    space of (x, y); inferred if None. outputs: "raw", or "probabilities" for objectives that take probabilities (one
    word, or one per side). require: the weakest relation that passes, else RequirementNotMetError; domain: raw outputs on
    which it must hold. progress: called with (steps done, steps). Raises ConfigError and DataError at the door.
    """
    check_require(require)
    dataset = data if isinstance(data, Dataset) else from_arrays(*data, targets=targets)
    recipe = Recipe(dataset, model, steps, batch_size, parse_dtype(dtype), parse_device(device), seed)
    if null_twins < 0:
        raise ConfigError(f"null_twins: {null_twins}; 0 or more are needed")
    kinds = (outputs, outputs) if isinstance(outputs, str) else outputs
    sides = [
        given if isinstance(given, LaneRecipe) else LaneRecipe(Objective.of(given, dataset.targets, kind), optimizer)
        for given, kind in zip((left, right), kinds, strict=True)
    ]
    comparison = _run(recipe, sides[0], sides[1], null_twins, progress)
    comparison.about.update(about or {})
    if require is not None and not comparison.verdict.meets(require, domain):
        raise RequirementNotMetError(unmet(comparison.verdict, require, domain))
    return comparison


def unmet(verdict: Verdict, require: str, domain: tuple[float, float] | None) -> str:
    """The message for a `require` that is not met."""
    asked = f"required '{require}'" + (f" on {list(domain)}" if domain else "")
    only = "" if ORDER.index(verdict.relation) > ORDER.index(require) else " but not on all raw outputs"
    return f"{asked}, found '{verdict.relation}'{only}: {verdict.sentence}"


def _run(recipe: Recipe, left: LaneRecipe, right: LaneRecipe, null_twins: int, progress: Progress | None) -> Comparison:
    targets = left.objective.targets
    if right.objective.targets.outputs != targets.outputs:
        raise ConfigError(
            f"left reads {targets.outputs} raw outputs per row and right {right.objective.targets.outputs};"
            " the two train one model (a function of your own says what it reads: output: mlnn.objectives.TwoOutputs)"
        )
    probed = probe(left.objective, right.objective, targets, recipe.dtype)
    with ExitStack() as stack:  # a run that raises leaves no folder behind
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlnn-"))) / "trace.csv"
        # Lanes reseed the global stream at every step; the caller's stays as it was.
        with torch.random.fork_rng(devices=[]), closing(TraceWriter(path)) as trace:
            lockstep = make_lockstep(recipe, left, right, null_twins)
            observer = Observer(lockstep, probed, _probe_batch(recipe))
            planter, looks = Planter(), {0, recipe.steps // 4, recipe.steps // 2, recipe.steps - 1}
            for batch in batches(recipe):
                lockstep.evaluate(batch)
                row = observer.before_update(batch)
                if batch.step in looks:
                    observer.see_predictions()
                    planter.look(lockstep, batch, observer.evidence)
                lockstep.update()
                trace.append(row | observer.after_update())
                if progress:
                    progress(batch.step + 1, recipe.steps)
                if lockstep.over:
                    break
        verdict = decide(probed, observer.evidence, planter.caught)
        about = _about(recipe, left, right, lockstep) | {"mle": _to_the_mle(recipe, lockstep)}
        comparison = Comparison(verdict, about, _lanes(lockstep),
                                recipe.dataset.to_dict(), probed, path, planter.ladder)  # fmt: skip
        weakref.finalize(comparison, stack.pop_all().close)  # the streamed trace lives as long as the comparison
    return comparison


def _probe_batch(recipe: Recipe) -> Tensor:
    """Held-out rows for prediction gaps; the first training rows where none were held out."""
    rows = recipe.dataset.x_held_out if len(recipe.dataset.x_held_out) else recipe.dataset.x
    return rows[:PROBE_ROWS].to(recipe.dtype).to(recipe.device)


def _about(recipe: Recipe, left: LaneRecipe, right: LaneRecipe, lockstep: Lockstep) -> dict[str, Any]:
    lane = lockstep.lanes["left"]
    return {
        "left": left.objective.name,
        "right": right.objective.name,
        "model": type(lane.module).__name__,
        "data": recipe.dataset.name,
        "targets": str(recipe.dataset.targets),
        "optimizer": type(lane.optimizer).__name__,
        "steps": recipe.steps,
        "batch_size": recipe.batch_size or len(recipe.dataset),
        "dtype": dtype_name(recipe.dtype),
        "device": str(recipe.device),
        "seed": recipe.seed,
        "parameters": sum(weight.numel() for weight in lane.weights),
    }


def _to_the_mle(recipe: Recipe, lockstep: Lockstep) -> dict[str, Any]:
    """How far either side's weights are from the classical estimate, for models that have one."""
    found = {}
    for side in ("left", "right"):
        lane = lockstep.lanes[side]
        likelihood = likelihood_of(lane.recipe.objective)
        twin = classical_twin(lane.module, likelihood, recipe.dataset) if likelihood and not lane.stopped else None
        if twin is not None:
            found[side] = twin.to_dict(twin.distance(lane.module))
    return found


def _lanes(lockstep: Lockstep) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "objective": lane.recipe.objective.name,
            "dtype": dtype_name(lane.dtype),
            "accumulate": lane.recipe.accumulate,
            "rows": "permuted" if name in lockstep.permuted else "as left",
            "weights": "one ulp from left" if name.startswith("null_") and name not in lockstep.permuted else "as left",
            "stopped": vars(lane.stopped) if lane.stopped else None,
        }
        for name, lane in lockstep.lanes.items()
    }


def probe_curves(probed: Probe) -> dict[str, Any]:
    """The probe's curves inside [−40, 40] as plain lists, for the page; with K outputs, along the first direction only."""
    grid = probed.grid
    near = grid.strength.abs() <= 40
    if grid.output.ndim > 1:
        near &= torch.arange(len(grid.strength)) % DIRECTIONS == 0
    rows = []
    for column, target in enumerate(grid.target.tolist()):
        row: dict[str, Any] = {"target": target}
        for side, at in (("left", probed.left), ("right", probed.right)):
            row[f"value_{side}"] = at.value[near, column].tolist()
            row[f"gradient_{side}"] = at.gradient[near, column, 0].tolist()
        rows.append(row)
    return {"output": grid.strength[near].tolist(), "targets": rows, "dtype": dtype_name(probed.dtype)}
