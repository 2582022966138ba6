"""Comparisons that differ in their seed alone, trained as one: their lanes are rows of the same stacks."""

from collections.abc import Sequence

from mlnn.comparing.finished import Comparison
from mlnn.comparing.plan import Plan, lockstep_of, probe_of
from mlnn.comparing.watch import Watch, steps_seen
from mlnn.objectives import Objective
from mlnn.training import UnstackableError, known, stacked_together
from mlnn.world import own_world


def compare_together(plans: Sequence[Plan], threads: int) -> list[Comparison]:
    """The comparisons that some plans are, of the same lane recipes; `threads` of torch.

    Each has its own first weights, rows, order of rows and null twins. It is what it is alone, to the bit but for what lies last
    among all rows, which torch computes by other instructions: the last null twin, and right at left's weights, are some units of
    rounding away, and with batch norm any lane may be. The probe, which no seed is part of, is made once. Raises
    UnstackableError, with the reason, where they cannot share stacks, or a lane alone would answer otherwise.
    """
    first = plans[0]
    for side in (first.left, first.right):
        if not (isinstance(side.objective, Objective) and known(side.objective)):
            raise UnstackableError(
                f"'{side.objective.name}' is of the user's own, and may keep what one seed has told it"
            )
    locksteps = []
    for plan in plans:
        with own_world(threads, plan.recipe.seed):
            locksteps.append(lockstep_of(plan))
    with own_world(threads, first.recipe.seed):
        training = stacked_together(locksteps)
        probed = probe_of(first)
        assert probed is not None  # both sides are objectives
        watches = [
            Watch(plan, probed, lockstep, lockstep.lanes, "stacked")
            for plan, lockstep in zip(plans, locksteps, strict=True)
        ]
        for records in training.together(*steps_seen(first.watched.looks)):
            for watch, record in zip(watches, records, strict=True):
                watch.see(record)
            del records, record  # of a large network they would take memory while the next step is made
        return [watch.done() for watch in watches]
