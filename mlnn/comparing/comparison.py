"""`mlnn.compare`: train two objectives side by side and say what the gaps mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from mlnn.arguments import interval, mapping, sides, whole
from mlnn.comparing.finished import Comparison
from mlnn.comparing.inputs import data_of, of_outputs
from mlnn.comparing.local_probe import local_probe
from mlnn.comparing.looks import check_engine, check_mode, looks_at
from mlnn.comparing.plan import Plan, lockstep_of, planned, probe_of
from mlnn.comparing.probed import Probe
from mlnn.comparing.proved import BOXES, OF_STEPS
from mlnn.comparing.records import RunInfo
from mlnn.comparing.relations import ORDER, check_require
from mlnn.comparing.verdict import Verdict
from mlnn.comparing.watch import Watch, steps_seen
from mlnn.comparing.watched import Progress, Watched, told
from mlnn.data import Dataset, Stream
from mlnn.errors import ConfigError, RequirementNotMetError
from mlnn.runs.kept.keeper import Keeper
from mlnn.targets import TargetSpace
from mlnn.training import (
    STILL,
    Following,
    LaneRecipe,
    Lockstep,
    Recipe,
    StackedLockstep,
    UnstackableError,
    parse_device,
    parse_dtype,
    stacked,
)
from mlnn.world import MOST_THREADS, callback, own_world

MOST_TWINS = 1000
STAYING = (*STILL, Probe, Watched)
"""Classes whose objects are made anew from what is compared, and stay as they are while it trains."""


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
    proof: int = BOXES,
    keep: Keeper | None = None,
) -> Comparison:
    """Train `left` and `right` in lockstep, with control, null twins and precision twins, and give the verdict.

    model: factory () → nn.Module, from x (n, *shape) to a raw output (n,), (n, 1) or (n, K); a lazy one is made by its first rows.
    left, right: objectives or any callable (output, target) → (n,) or scalar, a `Step` for a loss of (model, batch), or a
    `LaneRecipe` where more than the objective differs. data: a Dataset, (x, y) or (x, y, {"name": extra}), each a tensor, a numpy
    array, a pandas frame or series, or lists; or any iterable of batches (a DataLoader, a list of dicts with "labels"), one a
    step, drawn once in its order and the same for all lanes, with batch_size=None. A loss that has a parameter of an extra's name
    is given its rows. optimizer: factory (params) → Optimizer. batch_size: None is the full batch. targets: the target space of
    (x, y); inferred if None. outputs: "raw" or "probabilities", one word, or one per side. require: the weakest relation that
    passes, else RequirementNotMetError; domain: raw outputs on which it must hold. progress: called with (steps done, steps). sink:
    a tracker that is sent the trace, verdict and page (`mlnn.sinks`). threads: of torch, which change bits. mode: "study", or
    "verdict", where left alone trains, without null twins (`docs/reading_a_verdict.md`). looks: the steps at which right is asked
    at left's weights, "all", how many, or [steps]; None: all of a study, a tenth of a verdict. engine: "plain", lanes one by one;
    "stacked", as rows of one computation, or ConfigError; "auto", stacked where they can be, and `run.engine` says why not.
    trace_every: steps to a row of the trace. proof: boxes for each target that `Verdict.proof` may take, 0 for none. keep: keeps
    the state. Raises ConfigError and DataError. Comparisons take turns, each in a world of its own (`mlnn.world`).
    """
    check_require(require)
    twins, threads = whole("null_twins", null_twins, 0, MOST_TWINS), whole("threads", threads, 1, MOST_THREADS)
    seed, every = whole("seed", seed, -(2**64), 2**64), whole("trace_every", trace_every, 1)
    names, mode, engine, boxes = _names(about), check_mode(mode), check_engine(engine, mode), whole("proof", proof, 0)
    (progress, tracker), limits = told(progress, sink), interval("domain", domain)
    with own_world(threads, seed):
        dataset = data_of(data, targets, steps, batch_size, [not of_outputs(side) for side in (left, right)])
        recipe = Recipe(dataset, model, steps, batch_size, parse_dtype(dtype), parse_device(device), seed)
        pair = _pair(left, right, optimizer, dataset, outputs)
        watched = Watched(looks_at(mode, looks, recipe.steps), every, progress, tracker, keep)
        comparison = _run(planned(recipe, *pair, None if mode == "verdict" else twins, watched, boxes), engine)
    comparison.run = comparison.run.named(names)
    watched.finish(comparison.summary(), comparison.page, recipe.steps)
    _check_met(comparison.verdict, require, limits)
    return comparison


def _pair(
    left: Any, right: Any, optimizer: Any, data: Dataset | Stream, outputs: str | tuple[str, str]
) -> tuple[LaneRecipe, LaneRecipe]:
    """Both sides as lanes, their losses as objectives of the data's rows."""
    mine, other = (
        (given if isinstance(given, LaneRecipe) else LaneRecipe(given, optimizer)).wrapped(data, kind)
        for given, kind in zip((left, right), sides("outputs", outputs), strict=True)
    )
    return mine, other


def _names(about: object) -> Mapping[str, object]:
    """The caller's own names of what is run; raises ConfigError for what is no name."""
    names = mapping("about", about)
    try:
        RunInfo().named(names)
    except ValueError as problem:
        raise ConfigError(f"about: {problem}") from None
    return names


def _check_met(verdict: Verdict, require: str | None, domain: tuple[float, float] | None) -> None:
    """Raise RequirementNotMetError for a verdict that is weaker than what is required."""
    if require is not None and not verdict.meets(require, domain):
        raise RequirementNotMetError(unmet(verdict, require, domain))


def unmet(verdict: Verdict, require: str, domain: tuple[float, float] | None) -> str:
    """The message for a `require` that is not met."""
    asked = f"required '{require}'" + (f" on {list(domain)}" if domain else "")
    only = "" if ORDER.index(verdict.relation) > ORDER.index(require) else " but not on all raw outputs"
    if only and verdict.domain == "all":
        only = " but not at isolated raw outputs"
    return f"{asked}, found '{verdict.relation}'{only}: {verdict.sentence}"


def _run(plan: Plan, engine: str) -> Comparison:
    """The lanes made, trained and watched."""
    probed = probe_of(plan)
    lockstep = lockstep_of(plan)
    trained = partial(_trained, plan, probed or replace(local_probe(lockstep), paper=OF_STEPS))
    keep = plan.watched.keep
    if plan.null_twins is None:
        return trained(lockstep, Following(lockstep, between=None if keep is None else keep.done), None)
    if engine == "plain":
        return trained(lockstep, lockstep, "plain")
    before = None if keep is None else keep.engine
    if engine == "auto" and before is not None and before != "stacked":  # it was tried, and said why not
        lockstep = lockstep_of(plan)  # what was asked of the first lanes is not asked of those that train
        return trained(lockstep, lockstep, before)
    try:
        return trained(lockstep, stacked(lockstep), "stacked")
    except UnstackableError as problem:
        if engine == "stacked":
            raise ConfigError(
                f"engine: 'stacked' does not take these lanes: {problem}; 'auto' trains them one by one"
            ) from None
        lockstep = lockstep_of(plan)  # lanes that nobody has trained yet
        return trained(lockstep, lockstep, f"plain: {problem}")


def _trained(
    plan: Plan,
    probed: Probe,
    lockstep: Lockstep,
    training: Lockstep | StackedLockstep | Following,
    engine: str | None,
) -> Comparison:
    watch, progress, keep = (
        Watch(plan, probed, lockstep, training.lanes, engine),
        plan.watched.progress,
        plan.watched.keep,
    )
    begin = 0
    if keep is not None:
        begin = keep.begin(engine or "verdict", (training, watch), STAYING, plan.recipe.dataset.fingerprint())
        watch.trace.put_back(keep.rows)
    for record in training.steps(*steps_seen(plan.watched.looks), begin):
        watch.see(record)
        if progress:
            with callback():
                progress(record.step + 1, plan.recipe.steps)
        step = record.step + 1
        del record  # of a large network it would take memory while the next step is made
        if keep is not None:
            keep.done(step)
    if keep is not None:
        keep.finished()
    return watch.done()
