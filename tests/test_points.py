"""Isolated raw outputs at which a gradient is wrong: named, counted in training, and let pass only where that is asked."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training_cases import verdict

import mlnn
from mlnn.comparing.kinks import Point, counted, kinks
from mlnn.comparing.standing import Standing
from mlnn.comparing.verdict import Verdict
from mlnn.objectives import Objective, bernoulli_nll_log1p
from mlnn.targets import TargetSpace
from mlnn.testing import assert_same_objective

BCE, CLASSES = nn.BCEWithLogitsLoss(), TargetSpace("classes", 3)
Function = Callable[[Tensor, Tensor], Tensor]


def relu_form(z: Tensor, y: Tensor) -> Tensor:
    return (F.relu(z) - y * z + torch.log1p(torch.exp(-z.abs()))).mean()


def root_of_square(f: Tensor, y: Tensor) -> Tensor:
    return torch.sqrt((f - y) ** 2).square()


def centred(z: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy with Σ|z| added and taken away, of which autograd takes away relu's half alone where z is 0."""
    return (F.cross_entropy(z, y, reduction="none") + z.sum(1) - torch.relu(z).sum(1) + torch.relu(-z).sum(1)).mean()


def through_max(z: Tensor, y: Tensor) -> Tensor:
    """A stable logsumexp whose maximum is no constant: at ties its gradients still add up."""
    top = z.max(1).values
    return (top + (z - top[:, None]).exp().sum(1).log() - z.gather(1, y[:, None])[:, 0]).mean()


def zero_head() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    return model


def found(left: Function, right: Function, targets: str = "binary", **options: bool) -> Verdict:
    return assert_same_objective(left, right, targets, **options)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_wrong_side_is_named_and_the_relation_holds_elsewhere(side: str) -> None:
    pair = (relu_form, BCE) if side == "left" else (BCE, relu_form)
    told = found(*pair, allow_points=True)
    assert told.relation == "equal"
    assert f"At raw output 0 (target 0) exactly {side}'s gradient is 0 where 0.5 is right" in told.sentence
    assert "the relation holds elsewhere" in told.sentence
    assert [point["side"] for point in told.points] == [side]
    assert Verdict.from_dict(told.to_dict()) == told


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("left", "right", "targets", "words"),
    [
        (BCE, relu_form, "binary", "is 0 where 0.5 is right"),
        (nn.MSELoss(), root_of_square, "real", "= target exactly right's gradient is not finite where 0 is right"),
        (nn.CrossEntropyLoss(), centred, "classes(3)", "0 in all entries exactly right's gradient at entry"),
    ],
    ids=["relu", "root", "classes"],
)
def test_the_gate_lets_a_point_pass_only_if_asked(left: Function, right: Function, targets: str, words: str) -> None:
    with pytest.raises(AssertionError, match="allow_points=True") as caught:
        found(left, right, targets)
    assert words in str(caught.value)
    assert "not at isolated raw outputs" in str(caught.value)
    assert found(left, right, targets, allow_points=True).relation in ("bitwise", "equal")


def test_a_point_is_no_excuse_for_anything_else() -> None:
    with pytest.raises(AssertionError, match="found 'different'") as caught:
        found(BCE, lambda z, y: relu_form(1.001 * z, y), allow_points=True)
    assert "allow_points" not in str(caught.value)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("left", "right", "targets"),
    [
        (nn.CrossEntropyLoss(), through_max, "classes(3)"),
        (BCE, bernoulli_nll_log1p, "binary"),
        (BCE, lambda z, y: ((z + z.abs()) / 2 - y * z + torch.log1p(torch.exp(-z.abs()))).mean(), "binary"),
    ],
    ids=["ties", "log1p", "abs"],
)
def test_a_right_gradient_makes_no_point(left: Function, right: Function, targets: str) -> None:
    assert found(left, right, targets).points == []


def test_rows_that_stand_on_a_point_really_train_differently() -> None:
    stood = verdict(BCE, relu_form, model=zero_head)
    assert stood.relation == "different"
    assert stood.stood > 0
    assert "training rows stood there" in stood.sentence
    assert "Likely cause" not in stood.sentence
    assert not stood.meets("scaled", allow_points=True)
    apart = verdict(BCE, relu_form)
    assert apart.relation == "equal"
    assert "no training row stood there" in apart.sentence
    assert apart.meets("equal")  # none of these rows did


def test_a_head_that_starts_at_zero_is_no_difference_by_itself() -> None:
    assert verdict(BCE, bernoulli_nll_log1p, model=zero_head).relation == "equal"


def test_a_jump_of_the_value_is_a_difference_and_no_point() -> None:
    with pytest.raises(AssertionError, match="found 'different'"):
        found(BCE, lambda z, y: bernoulli_nll_log1p(z, y) + (z == 0) * (z + 1), allow_points=True)


@pytest.mark.rest
def test_a_domain_is_still_asked_for_beside_a_point() -> None:
    def clipped(z: Tensor, y: Tensor) -> Tensor:
        return relu_form(z.clamp(-30, 30), y)

    with pytest.raises(AssertionError, match="domain="):
        found(BCE, clipped, allow_points=True)
    told = assert_same_objective(BCE, clipped, domain=(-29, 29), allow_points=True)
    assert told.relation == "equal"
    with pytest.raises(AssertionError, match="allow_points"):
        assert_same_objective(BCE, clipped, domain=(-29, 29))


def test_rows_are_counted_at_a_number_at_several_and_at_the_target() -> None:
    z = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.3, 1.3]])
    y = torch.tensor([0, 1, 0])
    assert Point("right", 0.0, 0, 1.0, 0.5, 0).stood(z, y).tolist() == [True, False, False]
    assert Point("right", [0.0, 1.0], 0, 1.0, 0.5, 0).stood(z, y).tolist() == [False, True, False]
    residual = Point("right", 0.7, 0.7, 1.0, 0.5, at_target=True)
    assert residual.stood(torch.tensor([0.7, 2.0, 2.0]), torch.tensor([0.1, 2.0, 3.0])).tolist() == [False, True, False]
    assert [point["rows"] for point in counted([residual, residual], Standing({1: 3}, {1: 0}))] == [None, 3]


def test_places_outside_the_domain_are_not_asked() -> None:
    pair = (Objective.of(one, TargetSpace("binary")) for one in (BCE, lambda z, y: relu_form(z - 1, y)))
    left, right = pair
    targets = TargetSpace("binary")
    ask = partial(kinks, left, right, targets, targets.probe_points, 1.0)
    assert ask(reach=0.0) == kinks(left, left, targets, targets.probe_points, 1.0)
    assert ask().worst is not None


def by_hand(z: Tensor, y: Tensor) -> Tensor:
    return (y * (y.log() - torch.log_softmax(z, 1))).sum(1).mean()


def divergence(z: Tensor, y: Tensor) -> Tensor:
    return F.kl_div(torch.log_softmax(z, 1), y, reduction="batchmean")


@pytest.mark.rest
def test_a_target_that_one_side_cannot_take_is_a_point() -> None:
    """0 · log 0 is NaN by hand, at the corners of the simplex alone: soft rows never stand there, one-hot ones do."""
    draws = torch.Generator().manual_seed(1)
    x, soft = torch.randn(40, 4, generator=draws), torch.softmax(torch.randn(40, 3, generator=draws), 1)
    settings = {"optimizer": partial(torch.optim.SGD, lr=0.1), "steps": 8, "batch_size": 10, "targets": "simplex(3)"}
    found = mlnn.compare(partial(nn.Linear, 4, 3), divergence, by_hand, (x, soft), **settings, null_twins=0).verdict
    assert found.relation == "equal", found.sentence
    assert (
        "At target (1, 0, 0) right is not finite, whatever the raw output; no training row stood there"
        in found.sentence
    )
    assert found.meets("equal")
    with pytest.raises(AssertionError, match=r"not finite, whatever the raw output.*(?s:.*)allow_points=True"):
        assert_same_objective(divergence, by_hand, "simplex(3)")
    assert assert_same_objective(divergence, by_hand, "simplex(3)", allow_points=True).relation == "equal"
    hot = F.one_hot(torch.arange(40) % 3, 3).double()
    broken = mlnn.compare(partial(nn.Linear, 4, 3), divergence, by_hand, (x, hot), **settings, null_twins=0).verdict
    assert broken.relation == "broken"
