"""A comparison as it is asked for, its arguments checked: what is trained, and what is looked at; its probe and its lanes."""

from dataclasses import dataclass, replace

from mlnn.comparing.probe import probe
from mlnn.comparing.probed import Probe
from mlnn.comparing.proved import proved
from mlnn.comparing.watched import Watched
from mlnn.errors import ConfigError
from mlnn.objectives.precision import looked_into
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe, Lockstep, Recipe, make_lockstep


@dataclass(frozen=True, eq=False)
class Plan:
    """What is trained, and what is looked at.

    `null_twins`: None of a verdict, of which left alone trains. `boxes`: for each target, of the proof on paper.
    """

    recipe: Recipe
    left: LaneRecipe
    right: LaneRecipe
    null_twins: int | None
    watched: Watched
    boxes: int

    @property
    def targets(self) -> TargetSpace | None:
        """The target space of two objectives that can be asked row by row; None of others."""
        return self.left.objective.targets if self.left.rowwise and self.right.rowwise else None


def planned(
    recipe: Recipe, left: LaneRecipe, right: LaneRecipe, null_twins: int | None, watched: Watched, boxes: int
) -> Plan:
    """The plan, with what its objectives compute in; ConfigError where the two read different numbers of raw outputs."""
    plan = Plan(recipe, left, right, null_twins, watched, boxes)
    targets = plan.targets
    if targets is None:
        return plan
    counts = (targets.outputs, right.objective.targets.outputs)
    if counts[0] != counts[1]:
        raise ConfigError(
            f"left reads {counts[0]} raw outputs per row and right {counts[1]};"
            f" the two train one model (say what both read: targets='{replace(targets, raw=max(counts))}')"
        )
    return replace(plan, left=_looked_into(left, recipe), right=_looked_into(right, recipe))


def _looked_into(side: LaneRecipe, recipe: Recipe) -> LaneRecipe:
    """A side whose objective is called on the run's device wherever it is asked, with what it computes in."""
    return replace(side, objective=looked_into(replace(side.objective, device=recipe.device), recipe.dtype))


def probe_of(plan: Plan) -> Probe | None:
    """What both objectives answer on raw outputs and targets, and what is proved of them; None where they cannot be asked row by
    row."""
    if plan.targets is None:
        return None
    left, right = plan.left.objective, plan.right.objective
    found = probe(left, right, plan.targets, plan.recipe.dtype)
    return replace(found, paper=proved(left, right, plan.targets, found, plan.boxes))


def lockstep_of(plan: Plan) -> Lockstep:
    """Lanes that nobody has trained yet."""
    return make_lockstep(plan.recipe, plan.left, plan.right, plan.null_twins or 0)
