"""`mlnn.compare`: train two objectives side by side and say what the gaps mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from mlnn.arguments import interval, mapping, sides, whole
from mlnn.comparing.decide import decide
from mlnn.comparing.evidence import Evidence
from mlnn.comparing.explaining.explain import explainer
from mlnn.comparing.finished import Comparison
from mlnn.comparing.inputs import data_of, of_outputs
from mlnn.comparing.local_probe import local_probe
from mlnn.comparing.looks import check_engine, check_mode, looks_at, planted_at
from mlnn.comparing.measures import measure
from mlnn.comparing.observe import observe
from mlnn.comparing.probe import probe
from mlnn.comparing.probed import Probe
from mlnn.comparing.records import LaneInfo, RunInfo
from mlnn.comparing.relations import ORDER, check_require
from mlnn.comparing.resolution import Planter
from mlnn.comparing.sides import Sides
from mlnn.comparing.trace import Trace
from mlnn.comparing.trace_row import trace_row
from mlnn.comparing.verdict import Verdict
from mlnn.comparing.watched import Progress, Watched, told
from mlnn.data import Dataset, Stream
from mlnn.errors import ConfigError, RequirementNotMetError
from mlnn.estimating import classical_estimate
from mlnn.objectives import likelihood_of
from mlnn.objectives.precision import looked_into
from mlnn.targets import TargetSpace
from mlnn.training import (
    Following,
    Lane,
    LaneRecipe,
    Lockstep,
    Recipe,
    StackedLockstep,
    UnstackableError,
    batches,
    dtype_name,
    make_lockstep,
    parse_device,
    parse_dtype,
    stacked,
)
from mlnn.world import MOST_THREADS, callback, own_world

MOST_TWINS = 1000


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
    sink: Any = None,
    about: Mapping[str, object] | None = None,
    threads: int = 1,
    mode: str = "study",
    looks: str | int | Sequence[int] | None = None,
    engine: str = "auto",
    trace_every: int = 1,
) -> Comparison:
    """Train `left` and `right` in lockstep, with control, null twins and precision twins, and give the verdict.

    model: factory () → nn.Module, from x (n, *shape) to a raw output (n,), (n, 1) or (n, K); a lazy one is made by its first rows.
    left, right: objectives or any callable (output, target) → (n,) or scalar, a `Step` for a loss of (model, batch), or a
    `LaneRecipe` where more than the objective differs. data: a Dataset, (x, y) or (x, y, {"name": extra}), each a tensor, a numpy
    array, a pandas frame or series, or lists; or any iterable of batches (a DataLoader, a list of dicts with "labels"), one a
    step, drawn once in its order and the same for all lanes, with batch_size=None. A loss that has a parameter of an extra's name
    is given its rows. optimizer: factory (params) → Optimizer. batch_size: None is the full batch. targets: the target space of
    (x, y); inferred if None. outputs: "raw", or "probabilities" for objectives that take probabilities (one word, or one per
    side). require: the weakest relation that passes, else RequirementNotMetError; domain: raw outputs on which it must hold.
    progress: called with (steps done, steps). sink: a tracker that is sent the trace, verdict and page (`mlnn.sinks`). threads: of
    torch, which change bits. mode: "study", or "verdict", where left alone trains, without null twins
    (`docs/reading_a_verdict.md`). looks: the steps at which right is asked at left's weights, "all", how many, or [steps]; None:
    all of a study, a tenth of a verdict. engine: "plain", lanes one by one; "stacked", as rows of one computation, or ConfigError;
    "auto", stacked where they can be, and `run.engine` says why not. trace_every: steps to a row of the trace. Raises ConfigError
    and DataError. Comparisons take turns, each in a world of its own (`mlnn.world`).
    """
    check_require(require)
    limits = interval("domain", domain)
    twins, threads = whole("null_twins", null_twins, 0, MOST_TWINS), whole("threads", threads, 1, MOST_THREADS)
    seed, every = whole("seed", seed, -(2**64), 2**64), whole("trace_every", trace_every, 1)
    names, mode, engine = _names(about), check_mode(mode), check_engine(engine, mode)
    progress, tracker = told(progress, sink)
    with own_world(threads, seed):
        dataset = data_of(data, targets, steps, batch_size, [not of_outputs(side) for side in (left, right)])
        recipe = Recipe(dataset, model, steps, batch_size, parse_dtype(dtype), parse_device(device), seed)
        pair = _pair(left, right, optimizer, dataset, outputs)
        watched = Watched(looks_at(mode, looks, recipe.steps), every, progress, tracker)
        comparison = _run(recipe, (pair[0], pair[1]), None if mode == "verdict" else twins, watched, engine)
    comparison.run = comparison.run.named(names)
    watched.finish(comparison.summary(), comparison.page, recipe.steps)
    if require is not None and not comparison.verdict.meets(require, limits):
        raise RequirementNotMetError(unmet(comparison.verdict, require, limits))
    return comparison


def _pair(
    left: Any, right: Any, optimizer: Any, data: Dataset | Stream, outputs: str | tuple[str, str]
) -> list[LaneRecipe]:
    """Both sides as lanes, their losses as objectives of the data's rows."""
    return [
        (given if isinstance(given, LaneRecipe) else LaneRecipe(given, optimizer)).wrapped(data, kind)
        for given, kind in zip((left, right), sides("outputs", outputs), strict=True)
    ]


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


def _run(
    recipe: Recipe,
    pair: tuple[LaneRecipe, LaneRecipe],
    null_twins: int | None,
    watched: Watched,
    engine: str,
) -> Comparison:
    """`null_twins`: None for a verdict, of which left alone trains."""
    left, right = pair
    rowwise = left.rowwise and right.rowwise
    targets = left.objective.targets if rowwise else None
    if targets is not None and right.objective.targets.outputs != targets.outputs:
        raise ConfigError(
            f"left reads {targets.outputs} raw outputs per row and right {right.objective.targets.outputs};"
            " the two train one model (a function of your own says what it reads: output: mlnn.objectives.TwoOutputs)"
        )
    if rowwise:
        left, right = (_looked_into(side, recipe) for side in (left, right))
    probed = probe(left.objective, right.objective, targets, recipe.dtype) if targets is not None else None
    lockstep = make_lockstep(recipe, left, right, null_twins or 0)
    watch = partial(_watch, recipe, left, right, probed or local_probe(lockstep), watched)
    if null_twins is None:
        return watch(lockstep, Following(lockstep))
    if engine == "plain":
        return watch(lockstep, lockstep, "plain")
    try:
        return watch(lockstep, stacked(lockstep), "stacked")
    except UnstackableError as problem:
        if engine == "stacked":
            raise ConfigError(
                f"engine: 'stacked' does not take these lanes: {problem}; 'auto' trains them one by one"
            ) from None
        lockstep = make_lockstep(recipe, left, right, null_twins)  # lanes that nobody has trained yet
        return watch(lockstep, lockstep, f"plain: {problem}")


def _looked_into(side: LaneRecipe, recipe: Recipe) -> LaneRecipe:
    """A side whose objective is called on the run's device wherever it is asked, with what it computes in."""
    return replace(side, objective=looked_into(replace(side.objective, device=recipe.device), recipe.dtype))


def _watch(
    recipe: Recipe,
    left: LaneRecipe,
    right: LaneRecipe,
    probed: Probe,
    watched: Watched,
    lockstep: Lockstep,
    training: Lockstep | StackedLockstep | Following,
    engine: str | None = None,
) -> Comparison:
    """Watch the lanes train, and say what was seen."""
    targets = left.objective.targets if left.rowwise and right.rowwise else None
    sides, trace, looks = Sides.of(lockstep), Trace(watched.every, watched.kept), watched.looks
    evidence = Evidence(
        sides.own, len(looks), decay=sides.decay, unlooked=sides.unlooked, rowwise=targets is not None,
        own_update=left.update is not None or right.update is not None,
    )  # fmt: skip
    evidence.computes_in(probed.computing, 1 if targets is None else targets.outputs)
    planter = Planter(left.objective, right.objective, targets is not None)
    asked = looks if isinstance(looks, range) else frozenset(looks)
    for record in training.steps(planted_at(looks), asked):
        measures = measure(record, sides.own, targets)
        trace.append(trace_row(record, measures, sides.own, training.lanes))
        observe(evidence, record, measures, sides, probed)
        if record.look:
            planter.look(record, evidence)
        if watched.progress:
            with callback():
                watched.progress(record.step + 1, recipe.steps)
        del record  # of a large network it would take memory while the next step is made
    if engine is None and training.lanes["left"].stopped is None:
        evidence.trained = recipe.steps  # left went on after its last look
    verdict = decide(probed, evidence, planter.caught, explainer(left, right, targets))
    run = replace(
        _run_info(recipe, left, right, lockstep, training.lanes), mode="verdict" if engine is None else "study",
        looks=evidence.steps if evidence.thinned else None, engine=engine, trace_every=watched.every,
    )  # fmt: skip
    return Comparison(
        verdict, run, _lanes(lockstep, training.lanes), recipe.dataset.to_dict(), probed, trace.arrays(), planter.ladder
    )


def _run_info(
    recipe: Recipe, left: LaneRecipe, right: LaneRecipe, lockstep: Lockstep, trained: Mapping[str, Lane]
) -> RunInfo:
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
        mle=_to_the_mle(recipe, trained),
    )


def _to_the_mle(recipe: Recipe, trained: Mapping[str, Lane]) -> dict[str, dict[str, Any]]:
    """How far the weights of either side that trained are from the classical estimate, for models that have one."""
    found: dict[str, dict[str, Any]] = {}
    data = recipe.dataset
    if isinstance(data, Stream) or data.positions or data.targets.event or data.extras:
        return found
    for side, lane in [(side, trained[side]) for side in ("left", "right") if side in trained]:
        likelihood = None if lane.stopped or not lane.recipe.rowwise else likelihood_of(lane.recipe.objective)
        classical = classical_estimate(lane.module, likelihood, data) if likelihood else None
        if classical is not None:
            found[side] = classical.beside(lane.module).to_dict()
    return found


def _lanes(lockstep: Lockstep, trained: Mapping[str, Lane]) -> dict[str, LaneInfo]:
    return {
        name: LaneInfo(
            objective=lane.recipe.objective.name,
            dtype=dtype_name(lane.dtype),
            accumulate=lane.recipe.accumulate,
            rows="permuted" if name in lockstep.permuted else "as left",
            weights="one ulp from left" if name.startswith("null_") and name not in lockstep.permuted else "as left",
            stopped=lane.stopped,
        )
        for name, lane in trained.items()
    }
