"""Stacks made of locksteps: whose lanes are in which rows, what is shared, and what keeps several from being rows of one stack."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_cases import lane_recipe, network, recipe, with_batch_norm

from mlnn.objectives import bernoulli_nll_log1p
from mlnn.training import Lane, Lockstep, UnstackableError, batches, make_lockstep, stacked
from mlnn.training import making as lockstep_making
from mlnn.training.descent import SGD
from mlnn.training.making import _check_weights, _is_random
from mlnn.training.stacking.making import _check_lanes, check_draws, check_lane, keeps_no_state, stacked_together
from mlnn.training.step import FOLLOWER

f32, f64, bf16 = torch.float32, torch.float64, torch.bfloat16
(FIRST,) = batches(recipe(steps=1, batch_size=4))


def log1p(z: Tensor, y: Tensor) -> Tensor:
    return bernoulli_nll_log1p(z, y)


def plain(weights: Any, lr: float = 0.1) -> SGD:
    return SGD(weights, lr)


def grouped(weights: Any) -> SGD:
    """The same settings for all, in two groups."""
    given = list(weights)
    return SGD([{"params": given[:2]}, {"params": given[2:]}], 0.1)


def faster(weights: Any) -> SGD:
    """Another rate, told to the group alone."""
    return SGD([{"params": list(weights), "lr": 0.2}], 0.1)


def made(left: Any = bernoulli_nll_log1p, right: Any = bernoulli_nll_log1p, one: Any = plain, other: Any = plain,
         model: Callable[[], nn.Module] = network, prior: float = 0.0, **options: Any) -> Lockstep:  # fmt: skip
    shared = recipe(rows=options.pop("rows", 24), model=model, batch_size=8, **options)
    return make_lockstep(shared, lane_recipe(left, one), lane_recipe(right, other, prior=prior), 1)


@pytest.mark.parametrize(
    ("one", "other", "prior", "alike"),
    [(plain, plain, 0.0, True), (plain, partial(plain, lr=0.2), 0.0, False), (plain, plain, 0.1, False),
     (grouped, grouped, 0.0, True), (plain, faster, 0.0, False), (faster, faster, 0.0, True)],
)  # fmt: skip
def test_two_optimisers_are_one_where_kind_settings_groups_and_prior_are_the_same(
    one: Any, other: Any, prior: float, alike: bool
) -> None:
    shared = stacked(made(one=one, other=other, prior=prior)).shared
    assert shared.alike is alike
    assert [optimizer.rows["float32"] for optimizer in shared.optimizers] == (
        [slice(0, 4)] if alike else [slice(0, 3), slice(3, 5)]
    )


def test_the_rows_of_a_precision_are_left_s_then_right_s_then_its_follower() -> None:
    (member,) = stacked(made()).members
    assert member.names == {
        "float32": ("left", "control", "null_1", "right", FOLLOWER),
        "float64": ("left_float64", "right_float64", FOLLOWER),
    }


class Own(nn.Sequential):
    """A module whose code is nobody's but the user's."""


@pytest.mark.parametrize(
    ("left", "right", "model", "strange"),
    [
        (bernoulli_nll_log1p, bernoulli_nll_log1p, network, False),
        (log1p, bernoulli_nll_log1p, network, True),
        (bernoulli_nll_log1p, log1p, network, True),
        (bernoulli_nll_log1p, bernoulli_nll_log1p, lambda: Own(nn.Linear(4, 1)), True),
        (log1p, log1p, lambda: Own(nn.Linear(4, 1)), True),
    ],
)
def test_code_that_is_neither_torchs_nor_ours_is_strange(left: Any, right: Any, model: Any, strange: bool) -> None:
    assert stacked(made(left, right, model=model)).members[0].strange is strange


def drawing(z: Tensor, y: Tensor) -> Tensor:
    return bernoulli_nll_log1p(z + 0.1 * torch.rand(()), y)


def test_several_comparisons_are_rows_where_they_have_one_shape_and_draw_nothing() -> None:
    one, two = made(), made(seed=1)
    assert len(stacked_together([one, two]).members) == 2
    masked = replace(one, draws_masks=True)
    assert len(stacked(masked).members) == 1
    for several in ([one, masked], [made(right=drawing), made(right=drawing, seed=1)]):
        with pytest.raises(UnstackableError, match="draws random numbers, and rows have no stream"):
            stacked_together(several)
    for other in (made(rows=16), made(model=lambda: nn.Linear(4, 1))):
        with pytest.raises(UnstackableError, match="data or weights of different shapes"):
            stacked_together([one, other])


def lane(**own: Any) -> Any:
    standard = {"model": None, "mapping": None, "accumulate": 1, "rowwise": True, "compile": False, "autocast": None}
    module = network()
    made: Any = SimpleNamespace(name="right", recipe=SimpleNamespace(**(standard | own)), module=module)
    made.optimizer = SGD(module.parameters(), 0.1)
    return made


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({}, None),
        ({"model": network}, "right has a model of its own"),
        ({"mapping": dict}, "right has a model of its own"),
        ({"accumulate": 2}, "the two sides cut a batch into different numbers of micro-batches"),
        ({"rowwise": False}, "right has a step or an update of its own"),
        ({"compile": True}, "right has a compiled model"),
        ({"autocast": bf16}, "right has autocast"),
    ],
)
def test_lanes_that_can_be_rows(own: Any, reason: str | None) -> None:
    lockstep: Any = SimpleNamespace(mirrors={}, null_eps=0.0)
    if reason is None:
        _check_lanes(lockstep, lane(), lane(**own))
        for judged in ({"mirrors": {"float64": None}, "null_eps": 0.0}, {"mirrors": {}, "null_eps": 1e-7}):
            with pytest.raises(UnstackableError, match="a kernel that is judged against draws of rounding"):
                _check_lanes(SimpleNamespace(**judged), lane(), lane())  # type: ignore[arg-type]
    else:
        with pytest.raises(UnstackableError, match=reason):
            _check_lanes(lockstep, lane(), lane(**own))


def test_weights_of_a_kind_of_their_own_are_no_rows() -> None:
    class Kind(nn.Parameter):
        pass

    found = lane()
    check_lane(found)
    found.module[0].weight = Kind(torch.zeros(8, 4))
    with pytest.raises(UnstackableError, match=r"weight '0\.weight' has hooks, or is of a kind of its own"):
        check_lane(found)


class Counting(nn.Linear):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class Drawing(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + 0 * random.random())


class Replacing(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 1)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.seen + 1
        return super().forward(x)


def hooked(before: bool) -> nn.Module:
    model = network()
    if before:
        model[0].register_forward_pre_hook(lambda *_: None)
    else:
        model[0].register_forward_hook(lambda *_: None)
    return model


@pytest.mark.parametrize(
    ("model", "keeps"),
    [
        (network, True),
        (lambda: Own(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)), True),  # its buffers are written into
        (lambda: hooked(True), False),
        (lambda: hooked(False), False),
        (lambda: Own(Counting(4, 1)), False),
        (lambda: Own(Drawing(4, 1)), False),
    ],
)
def test_a_module_is_recorded_where_a_call_changes_nothing_of_it(model: Callable[[], nn.Module], keeps: bool) -> None:
    module = model()
    assert keeps_no_state(module, SimpleNamespace(dtype=f32), FIRST) is keeps  # type: ignore[arg-type]


def test_a_buffer_that_is_replaced_has_no_row() -> None:
    with pytest.raises(UnstackableError, match=r"another tensor in the place of its buffer '0\.seen'"):
        keeps_no_state(Own(Replacing()), SimpleNamespace(dtype=f32), FIRST)  # type: ignore[arg-type]


@pytest.mark.parametrize(("loss", "draws"), [(log1p, False), (drawing, True)])
def test_a_lane_is_asked_whether_it_draws(loss: Any, draws: bool) -> None:
    one = Lane("one", lane_recipe(loss, plain), network(), f32)
    if draws:
        with pytest.raises(UnstackableError, match="draws random numbers"):
            check_draws(one, FIRST)
    else:
        check_draws(one, FIRST)
    assert one.weights[0].grad is not None


@pytest.mark.parametrize(
    ("dtype", "higher", "eps", "mirrors"),
    [
        (f32, (False, False), 0.0, {}),
        (f32, (True, False), 0.0, {}),  # left's own float64 twin is promoted
        (f32, (False, False), 1e-7, {"float32": False}),
        (f64, (False, False), 0.0, {}),
        (f64, (True, False), 0.0, {"float64": True}),
        (f64, (False, True), 0.0, {"float64": False}),
        (f64, (False, False), 1e-7, {"float32": False}),
        (bf16, (True, True), 1e-7, {"float32": False}),
    ],
)
def test_left_has_a_mirror_where_its_own_answer_does_not_serve(
    dtype: torch.dtype, higher: tuple[bool, bool], eps: float, mirrors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockstep_making, "promoted_sides", lambda *_: higher)
    monkeypatch.setattr(lockstep_making, "null_eps", lambda *_: eps)
    found = made(dtype=dtype)
    assert {name: lane.promotes for name, lane in found.mirrors.items()} == mirrors
    own = str(dtype).removeprefix("torch.")
    labels = {own, "float32", "float64"}
    assert found.followers.keys() == labels
    twins = {f"{side}_{label}" for label in labels - {own} for side in ("left", "right")}
    assert found.lanes.keys() == {"left", "right", "control", "null_1"} | twins
    for label, follower in found.followers.items():
        assert follower.promotes is (higher[1] and label == "float64")
        if label != own:
            pair = [found.lanes[f"{side}_{label}"].promotes for side in ("left", "right")]
            assert pair == [one and label == "float64" for one in higher]


def test_null_twins_have_an_order_of_their_own_unless_masks_are_drawn() -> None:
    def dropping() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))

    for model, masks in ((network, False), (with_batch_norm, False), (dropping, True)):
        shared = recipe(24, model, batch_size=8)
        assert _is_random(model(), shared) is masks
        found = make_lockstep(shared, lane_recipe(log1p, plain), lane_recipe(log1p, plain), 3)
        assert found.draws_masks is masks
        assert found.permuted.keys() == (set() if masks else {"null_1", "null_3"})


@pytest.mark.parametrize(
    ("left", "right", "fits"),
    [
        ([(2, 3), (3,)], [(2, 3), (3,)], True),
        ([(2, 3), (3,)], [(3, 2), (3,)], False),  # as many numbers in another shape
        ([(2, 3), (3,)], [(2, 3)], False),
    ],
)
def test_both_sides_train_the_same_weights(left: Any, right: Any, fits: bool) -> None:
    one: Any = SimpleNamespace(weights=[torch.zeros(shape) for shape in left])
    other: Any = SimpleNamespace(weights=[torch.zeros(shape) for shape in right], translate=lambda _, given: given)
    if fits:
        _check_weights(one, other)
        other.translate = lambda _, given: given[:1]
        other.weights = other.weights[:1]
    with pytest.raises(Exception, match=r"left trains 9 weights in 2 tensors, right \d in \d"):
        _check_weights(one, other)


def test_a_mapping_asks_for_the_same_optimiser_on_both_sides() -> None:
    def side(model: Any, optimizer: Any) -> Any:
        return lane_recipe(log1p, optimizer, model=model, mapping=model and dict)

    shared = recipe(24, batch_size=8)
    assert make_lockstep(shared, side(None, plain), side(network, plain), 0).followers
    assert make_lockstep(shared, side(None, plain), side(None, faster), 0).followers
    with pytest.raises(Exception, match="both sides need the same optimizer settings and prior"):
        make_lockstep(shared, side(None, plain), side(network, partial(plain, lr=0.2)), 0)
