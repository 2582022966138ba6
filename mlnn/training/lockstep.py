"""All lanes of a comparison, advanced together: same weights at the start, same batches, same dropout masks."""

from dataclasses import dataclass, field

import torch
from torch import nn

from mlnn.errors import ConfigError
from mlnn.seeding import generator
from mlnn.training.batches import Batch, batches
from mlnn.training.lane import Lane, initial_model, mapped_model, nudged
from mlnn.training.module import raw_output
from mlnn.training.recipe import LaneRecipe, Recipe, dtype_name
from mlnn.world import own_world

STEPS_COMPARED = 32
"""Steps in which the two optimisers' steps are compared even where their settings look alike (groups and hooks do not show)."""
TWINS: dict[torch.dtype, tuple[torch.dtype, ...]] = {
    torch.float64: (torch.float32,),
    torch.float32: (torch.float64,),
    torch.bfloat16: (torch.float32, torch.float64),
    torch.float16: (torch.float32, torch.float64),
}
"""Precisions in which the pair is trained once more, so that float32 and float64 are always among them."""


@dataclass
class Lockstep:
    """The lanes by name, the null twins' row orders, and the followers: right's recipe at left's weights, per dtype."""

    recipe: Recipe
    lanes: dict[str, Lane]
    followers: dict[str, Lane]
    permuted: dict[str, torch.Generator] = field(default_factory=dict)
    _step: int = 0

    def evaluate(self, batch: Batch) -> None:
        """Put every lane's gradient of the batch in place; followers first take over the weights of the left they follow."""
        self._step = batch.step
        for dtype, follower in self.followers.items():
            leader = self.leader(dtype)
            if leader.stopped is None:
                follower.stopped = None
                follower.follow(leader)
                follower.evaluate(batch)
        for name, lane in self.lanes.items():
            if lane.stopped is None:
                lane.evaluate(self._own_rows(name, batch))

    def update(self) -> None:
        """One optimiser step of every lane that is still finite.

        In the first steps, and throughout where the optimisers' settings differ, each follower takes its own step from
        left's weights and gradients. Its optimiser has seen nothing but left's gradients so far, so the two steps can be
        compared, whatever state the optimisers keep.
        """
        if self.compares_steps(self.step):
            for dtype, follower in self.followers.items():
                leader = self.leader(dtype)
                if leader.stopped is None:
                    follower.follow(leader)
                    follower.take_step_of(leader)
                    follower.update()
        for lane in self.lanes.values():
            if lane.stopped is None:
                lane.update()

    @property
    def step(self) -> int:
        """The step last evaluated."""
        return self._step

    def compares_steps(self, step: int) -> bool:
        """Whether followers take a step of their own. L-BFGS evaluates its objective again, so it is compared only if asked."""
        searches = any(isinstance(self.lanes[side].optimizer, torch.optim.LBFGS) for side in ("left", "right"))
        return self.optimizers_differ or (step < STEPS_COMPARED and not searches)

    @property
    def optimizers_differ(self) -> bool:
        """Whether right's optimiser, one of its settings, or the prior on the weights, is not left's."""
        left, right = self.lanes["left"], self.lanes["right"]
        if left.recipe.prior != right.recipe.prior:
            return True
        return type(left.optimizer) is not type(right.optimizer) or left.optimizer.defaults != right.optimizer.defaults

    def leader(self, dtype: str) -> Lane:
        """The left lane of a precision."""
        return self.lanes["left" if dtype == dtype_name(self.recipe.dtype) else f"left_{dtype}"]

    @property
    def over(self) -> bool:
        """Whether neither side goes on, so that there is nothing left to compare."""
        return all(self.lanes[side].stopped is not None for side in ("left", "right"))

    def _own_rows(self, name: str, batch: Batch) -> Batch:
        if name not in self.permuted:
            return batch
        return batch.permuted(torch.randperm(len(batch.rows), generator=self.permuted[name]))


def make_lockstep(recipe: Recipe, left: LaneRecipe, right: LaneRecipe, null_twins: int = 3) -> Lockstep:
    """Left, right, control, null twins and precision twins, each a module of its own with the same first weights.

    Null twins alternate between permuted batch rows and weights moved by one ulp; a model that draws random numbers of
    its own (dropout) gets the one-ulp kind only, since permuted rows would meet other masks.
    """
    model = initial_model(recipe)
    own = recipe.dtype
    theirs = mapped_model(right, model, recipe)
    lanes = {
        "left": Lane("left", left, model, own),
        "right": Lane("right", right, theirs, own),
        "control": Lane("control", left, model, own),
    }
    draws_masks = _is_random(model, recipe)
    permuted = {}
    for number in range(1, null_twins + 1):
        name = f"null_{number}"
        if number % 2 and not draws_masks:
            permuted[name] = generator(recipe.seed, "null", name)
            lanes[name] = Lane(name, left, model, own)
        else:
            lanes[name] = Lane(name, left, nudged(model, recipe.seed, name), own)
    followers = {}
    for dtype in (own, *TWINS[own]):
        label = dtype_name(dtype)
        if dtype != own:
            lanes[f"left_{label}"] = Lane(f"left_{label}", left, model, dtype)
            lanes[f"right_{label}"] = Lane(f"right_{label}", right, theirs, dtype)
        followers[label] = Lane(f"right_at_left_{label}", right, theirs, dtype)
    _check_weights(lanes["left"], lanes["right"])
    lockstep = Lockstep(recipe, lanes, followers, permuted)
    if right.mapping is not None and lockstep.optimizers_differ:
        raise ConfigError(
            "mapping: with another model on the right, both sides need the same optimizer settings and prior"
        )
    return lockstep


def _check_weights(left: Lane, right: Lane) -> None:
    """Both sides must train the same weights; raises ConfigError where right has frozen, dropped or reshaped some."""
    theirs = [tuple(weight.shape) for weight in right.translate(left, left.weights)]
    mine = [tuple(weight.shape) for weight in right.weights]
    counts = [sum(weight.numel() for weight in lane.weights) for lane in (left, right)]
    if theirs != mine or counts[0] != counts[1]:
        raise ConfigError(
            f"model: left trains {counts[0]} weights in {len(left.weights)} tensors, right {counts[1]} in {len(mine)};"
            " give a mapping, and freeze the same weights on both sides"
        )


def _is_random(model: nn.Module, recipe: Recipe) -> bool:
    batch = next(iter(batches(recipe)))
    x, _ = batch.at(recipe.dtype)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    outputs = []
    for seed in (1, 2):
        with own_world(None, seed), torch.no_grad():
            outputs.append(raw_output(model, x))
    model.load_state_dict(state)  # batch norm counted these two passes
    return not torch.equal(*outputs)
