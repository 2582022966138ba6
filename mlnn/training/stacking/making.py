"""Whether the lanes of a lockstep can be rows of stacks, and the stacks made of them."""

import pickle
import random
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from mlnn.objectives import Objective
from mlnn.training.batches import Batch, batches
from mlnn.training.lane import Lane
from mlnn.training.lockstep import Lockstep
from mlnn.training.module import copied, raw_output
from mlnn.training.optimizers import rates, settings_apart
from mlnn.training.recipe import dtype_name
from mlnn.training.stacking.checking import known
from mlnn.training.stacking.lockstep import StackedLockstep
from mlnn.training.stacking.member import Member
from mlnn.training.stacking.optimizer import RowsOptimizer, check_optimizer, columns_of
from mlnn.training.stacking.stack import Stack, UnstackableError
from mlnn.training.stacking.stacks import Stacks
from mlnn.training.step import FOLLOWER
from mlnn.world import seed_streams

KNOWN = ("torch.nn.", "mlnn.models.")
"""Modules whose code does the same at every call."""
DRAWS = "the model or the objective draws random numbers, and rows have no stream of their own"


def stacked(lockstep: Lockstep) -> StackedLockstep:
    """The lockstep's lanes as rows of one stack per precision; raises UnstackableError, with the reason, where they cannot be."""
    return stacked_together([lockstep])


def stacked_together(locksteps: Sequence[Lockstep]) -> StackedLockstep:
    """The lanes of locksteps that differ in their seed alone as rows of one stack per precision; UnstackableError as `stacked`, and
    where anything draws random numbers, for rows have no stream of their own.
    """
    first, count = locksteps[0], len(locksteps)
    left, right = first.lanes["left"], first.lanes["right"]
    for lockstep in locksteps:
        _check_lanes(lockstep, lockstep.lanes["left"], lockstep.lanes["right"])
        if count > 1 and lockstep.draws_masks:
            raise UnstackableError(DRAWS)
    pair = left.optimizer, right.optimizer
    apart = settings_apart(*pair)
    alike = not first.optimizers_differ and apart is None and columns_of(left) == columns_of(right)
    batch = next(batches(first.recipe))
    if not isinstance(batch.at(left.dtype).x, torch.Tensor):
        raise UnstackableError("the model takes its inputs by name")
    if count > 1 and any(_shapes(lockstep) != _shapes(first) for lockstep in locksteps):
        raise UnstackableError("the comparisons have data or weights of different shapes")
    records = keeps_no_state(left.module, left, batch)
    stacks, ours, theirs, names = {}, {}, {}, {}
    for dtype in first.followers:
        (lanes, cut), *others = [_in_order(lockstep, dtype) for lockstep in locksteps]
        names[dtype], rows = tuple(lanes), len(lanes) * count
        ours[dtype] = slice(0, rows - count) if alike else slice(0, cut * count)
        theirs[dtype] = slice(cut * count, rows)
        sides = [(slice(0, cut * count), _objective(left)), (theirs[dtype], _objective(right))]
        beside = [[lanes[name], *(other[name] for other, _ in others)] for name in lanes]
        stacks[dtype] = Stack.of([lane for one in beside for lane in one], sides, records)
    optimizers = [RowsOptimizer(left, ours)] + ([] if alike else [RowsOptimizer(right, theirs)])
    strange = not (
        all(known(_objective(lane)) for lane in (left, right)) and all(map(_is_known, left.module.modules()))
    )
    if count > 1:
        for lane in (
            left,
            first.followers[dtype_name(left.dtype)],
        ):  # they are put where their rows stand when they are next asked
            check_draws(lane, batch)
            lane.stopped = None
    shared = Stacks(stacks, optimizers, alike, count)
    members = [
        Member(lockstep, names, shared, apart, rates(*pair), strange, place) for place, lockstep in enumerate(locksteps)
    ]
    return StackedLockstep(shared, members)


def _shapes(lockstep: Lockstep) -> object:
    """What comparisons whose lanes are rows of the same stacks have in common."""
    data, lanes = lockstep.recipe.dataset, lockstep.lanes.values()
    weights = [(lane.name, lane.promotes, [weight.shape for weight in lane.weights]) for lane in lanes]
    return len(data), data.first(1).shape, data.targets, lockstep.probe_rows.shape, weights


def _in_order(lockstep: Lockstep, dtype: str) -> tuple[dict[str, Lane], int]:
    """The lanes of a precision by name: those of left's recipe, left and control first; then right, and its follower. How many are
    left's.

    Of several locksteps each lane's rows are neighbours. The last few numbers of a large operation are computed by other
    instructions than the rest, with other bits: they belong to the last null twin and to the last follower, which are not held to
    left's bits.
    """
    leader, follower = lockstep.leader(dtype), lockstep.followers[dtype]
    mine = {name: lane for name, lane in lockstep.lanes.items() if lane.dtype == leader.dtype}
    right = "right" if leader.name == "left" else f"right_{dtype}"
    ours = {name: lane for name, lane in mine.items() if name not in (leader.name, right)}
    return {leader.name: leader, **ours, right: mine[right], FOLLOWER: follower}, len(ours) + 1


def _objective(lane: Lane) -> Objective:
    assert isinstance(lane.recipe.objective, Objective)
    return lane.recipe.objective


def _check_lanes(lockstep: Lockstep, left: Lane, right: Lane) -> None:
    for lane in (left, right):
        if lane.recipe.model is not None or lane.recipe.mapping is not None:
            raise UnstackableError(f"{lane.name} has a model of its own")
        if lockstep.mirrors or lockstep.null_eps:
            raise UnstackableError(f"{lane.name} has a kernel that is judged against draws of rounding")
        check_lane(lane)
    if left.recipe.accumulate != right.recipe.accumulate:
        raise UnstackableError("the two sides cut a batch into different numbers of micro-batches")


def check_lane(lane: Lane) -> None:
    """Raise UnstackableError where a lane cannot be a row beside others, by what can be told before it is asked."""
    recipe = lane.recipe
    reasons = {
        "a step or an update of its own": not recipe.rowwise,
        "a compiled model": recipe.compile,
        "autocast": recipe.autocast is not None,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UnstackableError(f"{lane.name} has {reason}")
    check_optimizer(lane)
    for name, weight in lane.module.named_parameters():
        if type(weight) is not nn.Parameter or weight._backward_hooks or weight._post_accumulate_grad_hooks:
            raise UnstackableError(f"weight '{name}' has hooks, or is of a kind of its own")


def keeps_no_state(module: nn.Module, lane: Lane, batch: Batch) -> bool:
    """Whether a module does the same at every call, as far as can be seen: then a step may be recorded.

    It has no hooks, and a call of one that is not torch's or ours changes none of its plain attributes, and draws from no stream
    but torch's. Raises UnstackableError where it gives itself a new tensor for a buffer, which of many lanes nobody would keep.
    """
    if any(part._forward_hooks or part._forward_pre_hooks for part in module.modules()):
        return False  # what a hook goes by lies outside of the module
    if all(map(_is_known, module.modules())):
        return True
    x = batch.at(lane.dtype).x
    trial, standing = copied(module), streams()
    before, buffers = _attributes(trial), dict(trial.named_buffers())
    with torch.no_grad():
        raw_output(trial, x)
    after = dict(trial.named_buffers())
    new = next((name for name, tensor in buffers.items() if after.get(name) is not tensor), None)
    if new is not None:
        raise UnstackableError(
            f"the model puts another tensor in the place of its buffer '{new}', instead of writing into it"
        )
    return _attributes(trial) == before and standing == streams()


def check_draws(lane: Lane, batch: Batch) -> None:
    """Raise UnstackableError where a lane, asked once, draws random numbers; whether it does is seen by the streams alone."""
    lane.evaluate(batch)
    drawn = _all_streams()
    seed_streams(batch.dropout_seed)
    if _all_streams() != drawn:
        raise UnstackableError(DRAWS)


def _all_streams() -> tuple[str, list[list[int]]]:
    """Where the process-wide random streams of Python, numpy and torch stand."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return streams(), [state.tolist() for state in (torch.get_rng_state(), *cuda)]


def streams() -> str:
    """Where Python's and numpy's process-wide random streams stand, in words."""
    return repr((random.getstate(), np.random.get_state()))  # noqa: NPY002 - the global stream is just what is meant


def _is_known(module: nn.Module) -> bool:
    return type(module).__module__.startswith(KNOWN)


def _attributes(module: nn.Module) -> list[dict[str, object]]:
    """What the parts of a module hold besides weights, buffers and parts: told so that a change shows."""
    own = vars(nn.Module()).keys()
    return [
        {
            name: _told(value)
            for name, value in vars(part).items()
            if name not in own and not isinstance(value, nn.Module)
        }
        for part in module.modules()
    ]


def _told(value: object) -> object:
    """A value as what is equal to it as long as it has not changed: a random generator tells its state to pickle alone."""
    if isinstance(value, torch.Tensor):
        return id(value), value._version
    try:
        return pickle.dumps(value)
    except Exception:  # whatever keeps a value from being pickled
        return repr(value)
