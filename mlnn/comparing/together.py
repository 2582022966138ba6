"""Comparisons that differ in their seed alone, trained as one: their lanes are rows of the same stacks."""

from collections.abc import Sequence
from dataclasses import replace

from mlnn.comparing.finished import Comparison
from mlnn.comparing.plan import Plan, lockstep_of, probe_of
from mlnn.comparing.watch import Watch, steps_seen
from mlnn.objectives import Objective
from mlnn.training import UnstackableError, known, stacked_together
from mlnn.world import own_world


def compare_together(plan: Plan, seeds: Sequence[int], threads: int) -> list[Comparison]:
    """The comparison that a plan is, of each of some seeds, whatever its own; `threads` of torch.

    Each has its own first weights, order of rows and null twins, and its lanes have the bits that they have alone. Of what right
    answers at left's weights the last numbers may be another rounding: they are computed by other instructions where they are the
    last of all rows. The probe, which no seed is part of, is made once. Raises UnstackableError, with the reason, where they
    cannot share stacks or a lane alone would answer otherwise.
    """
    for side in (plan.left, plan.right):
        if not (isinstance(side.objective, Objective) and known(side.objective)):
            raise UnstackableError(
                f"'{side.objective.name}' is of the user's own, and may keep what one seed has told it"
            )
    plans = [replace(plan, recipe=replace(plan.recipe, seed=seed)) for seed in seeds]
    locksteps = []
    for own in plans:
        with own_world(threads, own.recipe.seed):
            locksteps.append(lockstep_of(own))
    with own_world(threads, plan.recipe.seed):
        training = stacked_together(locksteps)
        probed = probe_of(plan)
        assert probed is not None  # both sides are objectives
        watches = [
            Watch(own, probed, lanes, lanes.lanes, "stacked") for own, lanes in zip(plans, locksteps, strict=True)
        ]
        for records in training.together(*steps_seen(plan.looks)):
            for watch, record in zip(watches, records, strict=True):
                watch.see(record)
            del records, record  # of a large network they would take memory while the next step is made
        return [watch.done() for watch in watches]
