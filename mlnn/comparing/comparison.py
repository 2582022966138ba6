"""`mlnn.compare`: train two objectives side by side and say what the gaps mean."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlnn.arguments import called, interval, mapping, sides, whole
from mlnn.comparing.decide import decide
from mlnn.comparing.evidence import Evidence
from mlnn.comparing.explaining.explain import explainer
from mlnn.comparing.gaps import common_gap
from mlnn.comparing.inputs import data_of, of_outputs
from mlnn.comparing.local_probe import local_probe
from mlnn.comparing.observe import Sides, observe
from mlnn.comparing.page import comparison_page
from mlnn.comparing.probe import probe
from mlnn.comparing.probe_figure import probe_curves
from mlnn.comparing.probed import Probe
from mlnn.comparing.records import LaneInfo, RunInfo
from mlnn.comparing.relations import ORDER, check_require
from mlnn.comparing.resolution import Planter
from mlnn.comparing.trace import Trace, rows
from mlnn.comparing.trace_row import trace_row
from mlnn.comparing.verdict import Verdict
from mlnn.data import Dataset, Stream
from mlnn.errors import ConfigError, RequirementNotMetError, RunFolderError
from mlnn.estimating import classical_estimate
from mlnn.objectives import likelihood_of
from mlnn.objectives.precision import looked_into
from mlnn.report.brief import Brief
from mlnn.runs import RunFolder, TraceWriter, new_run, write_file
from mlnn.runs.environment import environment
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe, Lockstep, Recipe, batches, dtype_name, make_lockstep, parse_device, parse_dtype
from mlnn.world import MOST_THREADS, callback, own_world

MOST_TWINS = 1000
SHOWN = ("loss_left", "loss_right", "gradient_gap", "weight_gap")
Progress = Callable[[int, int], None]


@dataclass(repr=False)
class Comparison:
    """A finished comparison. `run`: what was run; `trained`: what each lane was, where it stopped, by name; `trace`: numpy
    arrays (steps,) by name, in memory; `planted`: faults that were planted, for the page.
    """

    verdict: Verdict
    run: RunInfo
    trained: dict[str, LaneInfo]
    data: dict[str, object]
    probe: Probe
    trace: dict[str, np.ndarray]
    planted: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)
    environment: dict[str, object] = field(default_factory=environment)

    @property
    def about(self) -> dict[str, object]:
        """What was run, as plain data."""
        return self.run.to_dict()

    @property
    def lanes(self) -> dict[str, dict[str, object]]:
        """What each lane was, as plain data."""
        return {name: lane.to_dict() for name, lane in self.trained.items()}

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def _brief(self) -> Brief:
        run, steps = self.run, len(self.trace["step"])
        title = f"Comparison of {run.left} and {run.right}: {self.verdict.relation}"
        ran = f"{run.model} on {run.data}, {run.optimizer}, {steps} of {run.steps} steps, {run.dtype}, seed {run.seed}"
        kept = sorted({0, steps // 2, steps - 1})
        table = [["step", *(name.replace("_", " ") for name in SHOWN)]]
        table += [[str(step), *(f"{self.trace[name][step]:.6g}" for name in SHOWN)] for step in kept]
        return Brief(title, self.verdict.sentence, [("run", ran), *self.verdict.facts()], table)

    def to_dict(self) -> dict[str, object]:
        """Verdict, what was compared, lanes and data, as plain data."""
        return {"verdict": self.verdict.to_dict(), "about": self.about, "lanes": self.lanes, "data": self.data}

    def save(
        self, folder: str | Path | None = None, *, config: str = "", overwrite: bool = False, page: bool = True
    ) -> Path:
        """Write a run folder (config, trace.csv, verdict.json, environment, and the page) and return its path.

        Raises RunFolderError if the folder is not empty (unless `overwrite` and it is a run) or cannot be written.
        """
        try:
            with new_run(folder, "compare", overwrite) as run:
                self._write(run, config, page)
        except RunFolderError as problem:
            if not isinstance(problem.__cause__, OSError):  # a folder that may not be used: nothing has gone wrong yet
                raise
            raise RunFolderError(f"{problem}\nNothing is lost: {self._keep(config)}") from problem.__cause__
        return run.final

    def _write(self, run: RunFolder, config: str, page: bool) -> None:
        run.write_text("config.yaml", config)
        with closing(TraceWriter(run.path("trace.csv"))) as writer:
            for row in rows(self.trace):
                writer.append(row)
        run.write_json("verdict.json", self.verdict.to_dict() | {"about": self.about, "lanes": self.lanes})
        run.write_json("environment.json", self.environment)
        run.write_json("data.json", self.data)
        run.write_json("about.json", self.about)
        if page:
            run.write_text("report.html", self.page())

    def _keep(self, config: str) -> str:
        """Write the run, without its page, among the temporary files; a sentence that says where it now is."""
        here = "this session has it as .trace and .verdict, and save() may be called again"
        try:
            with new_run(Path(tempfile.mkdtemp(prefix="mlnn-kept-")) / "run", "compare") as run:
                self._write(run, config, page=False)
        except (OSError, RunFolderError):
            return f"{here}."
        return f"the run is kept in {run.final}; {here}."

    def report(self, path: str | Path) -> Path:
        """Write the page (one HTML file that works offline) and return its path; RunFolderError where it cannot be written."""
        return write_file(path, self.page())

    def page(self) -> str:
        """The page as HTML."""
        return comparison_page(self.verdict, self.trace, self.run, probe_curves(self.probe), self.planted)


def compare(
    model: Callable[[], torch.nn.Module],
    left: Any,
    right: Any,
    data: Dataset | Stream | tuple[Any, Any] | tuple[Any, Any, Mapping[str, Any]] | Iterable[Any],
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
    about: Mapping[str, object] | None = None,
    threads: int = 1,
) -> Comparison:
    """Train `left` and `right` in lockstep, with control, null twins and precision twins, and give the verdict.

    model: factory () → nn.Module, from x (n, *shape) to a raw output (n,), (n, 1) or (n, K); a lazy one is made by its
    first rows. left, right: objectives or any callable (output, target) → (n,) or scalar, a `Step` for a loss of (model,
    batch), or a `LaneRecipe` where more than the objective differs.
    data: a Dataset, (x, y) or (x, y, {"name": extra}), each a tensor, a numpy array, a pandas frame or
    series, or lists; or any iterable of batches (a DataLoader, a list of dicts with "labels"), one a step, drawn once in its
    order and the same for all lanes, with batch_size=None. A loss that has a parameter of an extra's name is given its rows.
    optimizer: factory (params) → Optimizer. batch_size: None is the full batch. targets: the target space of (x, y); inferred
    if None. outputs: "raw", or "probabilities" for objectives that take probabilities (one word, or one per side). require:
    the weakest relation that passes, else RequirementNotMetError; domain: raw outputs on which it must hold. progress:
    called with (steps done, steps). threads: of torch, which change bits. Raises ConfigError and DataError at the door.

    The run has a world of its own (see `mlnn.world`): random streams, gradient mode, autocast, default dtype and device,
    threads and torch's switches that the caller has set do not reach in, and are as they were afterwards. Comparisons in
    several threads take turns.
    """
    check_require(require)
    limits = interval("domain", domain)
    twins = whole("null_twins", null_twins, 0, MOST_TWINS)
    threads = whole("threads", threads, 1, MOST_THREADS)
    seed = whole("seed", seed, -(2**64), 2**64)
    names = _names(about)
    if progress is not None:
        called("progress", progress, "a function of (steps done, steps), or None")
    with own_world(threads, seed):
        kept = [not of_outputs(side) for side in (left, right)]
        dataset = data_of(data, targets, steps, batch_size, kept)
        recipe = Recipe(dataset, model, steps, batch_size, parse_dtype(dtype), parse_device(device), seed)
        pair = [
            (given if isinstance(given, LaneRecipe) else LaneRecipe(given, optimizer)).wrapped(dataset, kind)
            for given, kind in zip((left, right), sides("outputs", outputs), strict=True)
        ]
        comparison = _run(recipe, pair[0], pair[1], twins, progress)
    comparison.run = comparison.run.named(names)
    if require is not None and not comparison.verdict.meets(require, limits):
        raise RequirementNotMetError(unmet(comparison.verdict, require, limits))
    return comparison


def _names(about: object) -> Mapping[str, object]:
    """The caller's own names of what is run; raises ConfigError for what is no name."""
    names = mapping("about", about)
    try:
        RunInfo().named(names)
    except ValueError as problem:
        raise ConfigError(f"about: {problem}") from None
    return names


def unmet(verdict: Verdict, require: str, domain: tuple[float, float] | None) -> str:
    """The message for a `require` that is not met."""
    asked = f"required '{require}'" + (f" on {list(domain)}" if domain else "")
    only = "" if ORDER.index(verdict.relation) > ORDER.index(require) else " but not on all raw outputs"
    if only and verdict.domain == "all":
        only = " but not at isolated raw outputs"
    return f"{asked}, found '{verdict.relation}'{only}: {verdict.sentence}"


def _run(recipe: Recipe, left: LaneRecipe, right: LaneRecipe, null_twins: int, progress: Progress | None) -> Comparison:
    rowwise = left.rowwise and right.rowwise
    targets = left.objective.targets if rowwise else None
    if targets is not None and right.objective.targets.outputs != targets.outputs:
        raise ConfigError(
            f"left reads {targets.outputs} raw outputs per row and right {right.objective.targets.outputs};"
            " the two train one model (a function of your own says what it reads: output: mlnn.objectives.TwoOutputs)"
        )
    if rowwise:
        left, right = (replace(side, objective=looked_into(side.objective, recipe.dtype)) for side in (left, right))
    probed = probe(left.objective, right.objective, targets, recipe.dtype) if targets is not None else None
    lockstep = make_lockstep(recipe, left, right, null_twins)
    probed = probed or local_probe(lockstep)
    sides, trace = Sides.of(lockstep), Trace()
    own_update = left.update is not None or right.update is not None
    evidence = Evidence(
        sides.own, recipe.steps, decay=sides.decay, unlooked=sides.unlooked, rowwise=rowwise, own_update=own_update
    )
    evidence.computes_in(probed.computing, 1 if targets is None else targets.outputs)
    planter = Planter(left.objective, right.objective, rowwise)
    for record in lockstep.steps(looks={0, recipe.steps // 4, recipe.steps // 2, recipe.steps - 1}):
        gaps = {dtype: common_gap(common) for dtype, common in record.common.items()}
        trace.append(trace_row(record, gaps, recipe, targets))
        observe(evidence, record, gaps, sides, probed)
        if record.look:
            planter.look(record, evidence)
        if progress:
            with callback():
                progress(record.step + 1, recipe.steps)
        del record  # of a large network it would take memory while the next step is made
    verdict = decide(probed, evidence, planter.caught, explainer(left, right, targets))
    run = _run_info(recipe, left, right, lockstep)
    return Comparison(verdict, run, _lanes(lockstep), recipe.dataset.to_dict(), probed, trace.arrays(), planter.ladder)


def _run_info(recipe: Recipe, left: LaneRecipe, right: LaneRecipe, lockstep: Lockstep) -> RunInfo:
    lane = lockstep.lanes["left"]
    return RunInfo(
        left=left.objective.name,
        right=right.objective.name,
        model=type(lane.module).__name__,
        data=recipe.dataset.name,
        targets=str(recipe.dataset.targets),
        optimizer=type(lane.optimizer).__name__,
        steps=recipe.steps,
        batch_size=recipe.batch_size or len(next(batches(recipe)).rows),
        dtype=dtype_name(recipe.dtype),
        device=str(recipe.device),
        seed=recipe.seed,
        parameters=sum(weight.numel() for weight in lane.weights),
        mle=_to_the_mle(recipe, lockstep),
    )


def _to_the_mle(recipe: Recipe, lockstep: Lockstep) -> dict[str, dict[str, Any]]:
    """How far either side's weights are from the classical estimate, for models that have one."""
    found: dict[str, dict[str, Any]] = {}
    data = recipe.dataset
    if isinstance(data, Stream) or data.positions or data.targets.event or data.extras:
        return found
    for side, lane in [(side, lockstep.lanes[side]) for side in ("left", "right")]:
        likelihood = None if lane.stopped or not lane.recipe.rowwise else likelihood_of(lane.recipe.objective)
        classical = classical_estimate(lane.module, likelihood, data) if likelihood else None
        if classical is not None:
            found[side] = classical.beside(lane.module).to_dict()
    return found


def _lanes(lockstep: Lockstep) -> dict[str, LaneInfo]:
    return {
        name: LaneInfo(
            objective=lane.recipe.objective.name,
            dtype=dtype_name(lane.dtype),
            accumulate=lane.recipe.accumulate,
            rows="permuted" if name in lockstep.permuted else "as left",
            weights="one ulp from left" if name.startswith("null_") and name not in lockstep.permuted else "as left",
            stopped=lane.stopped,
        )
        for name, lane in lockstep.lanes.items()
    }
