"""Watching lanes train: each step's record goes into the trace and the evidence, and at the end they are a finished comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlnn.comparing.decide import decide
from mlnn.comparing.evidence import Evidence
from mlnn.comparing.explaining.explain import explainer
from mlnn.comparing.finished import Comparison
from mlnn.comparing.looks import planted_at
from mlnn.comparing.measures import measure
from mlnn.comparing.observe import observe
from mlnn.comparing.plan import Plan
from mlnn.comparing.probed import Probe
from mlnn.comparing.records import LaneInfo, RunInfo
from mlnn.comparing.resolution import Planter
from mlnn.comparing.sides import Sides
from mlnn.comparing.trace import Trace
from mlnn.comparing.trace_row import trace_row
from mlnn.data import Stream
from mlnn.estimating import classical_estimate
from mlnn.objectives import likelihood_of
from mlnn.training import Lane, Lockstep, Recipe, StepRecord, batches, dtype_name


class Watch:
    """One comparison while its lanes train: `see` each record, and `done` once there are no more.

    lockstep: whose lanes are compared; trained: those that train, by name; engine: how, in the words of `run.engine`, None of a
    verdict.
    """

    def __init__(
        self, plan: Plan, probed: Probe, lockstep: Lockstep, trained: Mapping[str, Lane], engine: str | None
    ) -> None:
        self.plan, self.probed, self.lockstep, self.trained, self.engine = plan, probed, lockstep, trained, engine
        left, right, targets = plan.left, plan.right, plan.targets
        self.sides, self.trace = Sides.of(lockstep), Trace(plan.watched.every, plan.watched.kept)
        self.evidence = Evidence(
            self.sides.own, len(plan.watched.looks), decay=self.sides.decay, unlooked=self.sides.unlooked,
            rowwise=targets is not None, own_update=left.update is not None or right.update is not None,
        )  # fmt: skip
        self.evidence.computes_in(probed.computing, 1 if targets is None else targets.outputs)
        self.planter = Planter(left.objective, right.objective, targets is not None)

    def see(self, record: StepRecord) -> None:
        """Take a step's record into account."""
        measures = measure(record, self.sides.own, self.plan.targets)
        self.trace.append(trace_row(record, measures, self.sides.own, self.trained))
        observe(self.evidence, record, measures, self.sides, self.probed)
        if record.look:
            self.planter.look(record, self.evidence)

    def done(self) -> Comparison:
        """What was seen, once training has ended."""
        plan, trained = self.plan, self.trained
        if self.engine is None and trained["left"].stopped is None:
            self.evidence.trained = plan.recipe.steps  # left went on after its last look
        verdict = decide(
            self.probed, self.evidence, self.planter.caught, explainer(plan.left, plan.right, plan.targets)
        )
        run = replace(
            _run_info(plan, self.lockstep, trained), mode="verdict" if self.engine is None else "study",
            looks=self.evidence.steps if self.evidence.thinned else None, engine=self.engine, trace_every=plan.watched.every,
        )  # fmt: skip
        data, lanes = plan.recipe.dataset.to_dict(), _lanes(self.lockstep, trained)
        return Comparison(verdict, run, lanes, data, self.probed, self.trace.arrays(), self.planter.ladder)


def steps_seen(looks: Sequence[int]) -> tuple[set[int], Sequence[int] | frozenset[int]]:
    """(The steps at which faults are planted, those at which right is asked at left's weights), of those that are looked at."""
    return planted_at(looks), looks if isinstance(looks, range) else frozenset(looks)


def _run_info(plan: Plan, lockstep: Lockstep, trained: Mapping[str, Lane]) -> RunInfo:
    lane, recipe = lockstep.lanes["left"], plan.recipe
    return RunInfo(
        left=plan.left.objective.name,
        right=plan.right.objective.name,
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
