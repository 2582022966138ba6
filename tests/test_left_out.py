"""Points that say nothing, whole batches alone, and the reason of every `undecided`."""

import math
import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training_cases import verdict

from mlnn.comparing.verdict import Verdict
from mlnn.objectives import Objective, bce, bernoulli_nll_log1p
from mlnn.objectives.reduction import reduction
from mlnn.targets import TargetSpace
from mlnn.testing import assert_same_objective

BCE = nn.BCEWithLogitsLoss()
Function = Callable[[Tensor, Tensor], Tensor]


def found(left: Function, right: Function, targets: str = "binary", require: str = "equal") -> Verdict:
    """The gate's verdict, whether it passes or not."""
    try:
        return assert_same_objective(left, right, targets, require)
    except AssertionError as failure:
        return failure.verdict  # type: ignore[attr-defined, no-any-return]


def ignoring(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, ignore_index=2)


def masked(z: Tensor, y: Tensor, least: int = 0, every: bool = False) -> Tensor:
    kept = y != 2
    rows = -z.log_softmax(1).gather(1, y[:, None])[:, 0]
    return (rows * kept).sum() / (len(y) if every else kept.sum().clamp(min=least))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("left", "right", "why"),
    [
        (ignoring, masked, "both sides are undefined"),
        (ignoring, partial(masked, least=1), r"left is undefined \(0/0\) and right is 0 with a gradient of 0"),
        (nn.CrossEntropyLoss(ignore_index=2), masked, r"right is undefined \(0/0\) and left is 0 with a gradient of 0"),
    ],
    ids=["both", "one is 0", "a module"],
)
def test_ignored_rows_are_left_out_and_counted(left: Function, right: Function, why: str) -> None:
    told = assert_same_objective(left, right, "classes(3)")
    assert told.relation == "equal"
    assert told.domain == "all"
    assert re.search(rf"(\d+) of (\d+) points of the probe say nothing: {why} there \(e\.g\. target 2\)", told.sentence)
    facts = told.evidence["left_out"]
    assert isinstance(facts, dict)
    assert facts["of"] == 3 * facts["points"]
    assert told.evidence["reductions"] == ["mean over kept rows"] * 2


@pytest.mark.rest
def test_ignored_rows_that_are_counted_are_a_difference() -> None:
    told = found(ignoring, partial(masked, every=True), "classes(3)")
    assert told.relation == "different"
    assert told.evidence["reductions"] == ["mean over kept rows", "mean"]
    assert found(ignoring, nn.CrossEntropyLoss(), "classes(3)").relation == "different"


@pytest.mark.parametrize("ignored", [2, 7])
def test_a_mean_over_kept_rows_is_recognised(ignored: int) -> None:
    space = TargetSpace("classes", 9)
    for loss, kind in (
        (ignoring, "mean over kept rows"),
        (nn.CrossEntropyLoss(), "mean"),
        (masked, "mean over kept rows"),
    ):
        assert reduction(Objective.of(loss, space)).kind == kind  # type: ignore[union-attr]
    summed = Objective.of(lambda z, y: F.cross_entropy(z, y, ignore_index=ignored, reduction="sum"), space)
    assert reduction(summed).kind == "sum"  # type: ignore[union-attr]


def refusing_alone(loss: Function, problem: type[Exception]) -> Function:
    def refuse(z: Tensor, y: Tensor) -> Tensor:
        if len(z) == 1 and int(y[0]) == 1:
            raise problem("one row is no batch")
        return loss(z, y)

    return refuse


@pytest.mark.rest
def test_what_both_refuse_says_nothing() -> None:
    hand = lambda z, y: (z.logsumexp(1) - z.gather(1, y[:, None])[:, 0]).mean()  # noqa: E731
    told = assert_same_objective(
        refusing_alone(F.cross_entropy, ValueError), refusing_alone(hand, KeyError), "classes(3)"
    )
    assert "both sides are undefined there (e.g. target 1)" in told.sentence
    assert found(F.cross_entropy, refusing_alone(hand, KeyError), "classes(3)").relation == "different"


def ranked(z: Tensor, y: Tensor) -> Tensor:
    """Every 1 against every 0; the mean over no pairs at all is 0/0."""
    return -F.logsigmoid(z[y == 1][:, None] - z[y == 0][None]).mean()


def ranked_too(z: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
    pairs = (y[:, None] == 1) & (y[None] == 0)
    return torch.logaddexp(torch.zeros(()).to(z), (z[None] - z[:, None]) * temperature)[pairs].mean()


def neighbours(z: Tensor, y: Tensor, reach: float = math.inf) -> Tensor:
    """Each row's own place among the others, by distance; one row alone has a loss of 0."""
    near = -(z[:, None] - z[None]).clamp(-reach, reach).square() / 100
    return F.cross_entropy(near, torch.arange(len(z))) + 0 * y.mean()


def neighbours_too(z: Tensor, y: Tensor, reach: float = math.inf) -> Tensor:
    near = -(z[:, None] - z[None]).clamp(-reach, reach).square() / 100
    return (near.logsumexp(1) - near.diagonal()).mean() + 0 * y.mean()


ALONE = "One row alone says nothing on either side: the two were judged on whole batches alone."


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("left", "right", "targets", "expected"),
    [
        (ranked, ranked_too, "binary", "equal"),
        (ranked, ranked, "binary", "bitwise"),
        (ranked, partial(ranked_too, temperature=1.0001), "binary", "different"),
        (ranked, lambda z, y: ranked(z, y) / 2, "binary", "scaled"),
        (neighbours, neighbours_too, "real", "equal"),
    ],
    ids=["equal", "itself", "temperature", "half", "one row is 0"],
)
def test_losses_over_pairs_of_rows_are_judged_on_batches(
    left: Function, right: Function, targets: str, expected: str
) -> None:
    told = found(left, right, targets)
    assert told.relation == expected
    assert told.domain == "all"
    assert ALONE in told.sentence


@pytest.mark.rest
def test_batches_bound_the_domain_where_rows_cannot() -> None:
    told = found(neighbours, partial(neighbours_too, reach=40.0), "real")
    assert told.relation == "equal"
    assert told.domain == (-4.0, 4.0)


def test_outputs_at_which_both_are_undefined_leave_a_domain_that_is_one() -> None:
    squared = lambda z, y: (z.log() - y.log()).square()  # noqa: E731
    told = found(squared, lambda z, y: (z / y).log().square(), "positive")
    assert told.domain in ("all", "none") or told.domain[0] < told.domain[1]
    assert "None" not in told.sentence


def nothing(z: Tensor, y: Tensor) -> Tensor:
    return bernoulli_nll_log1p(z, y) * math.nan


def unsteady(z: Tensor, y: Tensor) -> Tensor:
    return BCE(z + 1e-3 * torch.randn_like(z), y)


class Stateful:
    """Right in the probe, and a little more with each training step's call after."""

    def __init__(self) -> None:
        self.calls, self.trains = 0, False

    def progress(self, _done: int, _planned: int) -> None:
        self.trains = True

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        self.calls += self.trains
        return BCE(z, y) * (1 + 1e-3 * self.calls)


SGD = torch.optim.SGD
UNDECIDED = {
    "undefined everywhere": (nothing, nothing, {}),
    "unsteady": (BCE, unsteady, {}),
    "one side answers no row": (
        BCE,
        lambda z, y: (_ for _ in ()).throw(ValueError("no")) if len(z) == 1 else BCE(z, y),
        {},
    ),
    "the control differs": (stateful := Stateful(), BCE, {"progress": stateful.progress}),
    "nothing moved": (BCE, bernoulli_nll_log1p, {"optimizer": partial(SGD, lr=0.0)}),
    "too few steps": (BCE, bernoulli_nll_log1p, {"optimizer": partial(SGD, lr=1e30), "steps": 40}),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", UNDECIDED)
def test_every_undecided_says_why(name: str) -> None:
    left, right, options = UNDECIDED[name]
    told = verdict(left, right, **options)
    assert told.relation == "undecided", told.sentence
    assert re.match(r"Undecided: \S.{15,}", told.sentence)
    assert "None" not in told.sentence


def test_batches_that_are_undefined_too_leave_nothing_to_judge() -> None:
    told = found(nothing, nothing)
    assert told.relation == "undecided"
    assert "None" not in told.sentence


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("left", "right", "targets", "require"),
    [
        (bce, bernoulli_nll_log1p, "binary", "equal"),
        (BCE, lambda z, y: BCE(z.clamp(-7, 7), y), "binary", "equal"),
        (bce, lambda z, y: 2 * bernoulli_nll_log1p(z, y), "binary", "equal"),
        (BCE, lambda z, y: BCE(z, 0.99 * y.clamp(-9, 9) + 0.005), "binary", "scaled"),
        (ignoring, partial(masked, every=True), "classes(3)", "equal"),
    ],
    ids=["edges", "clip", "scaled", "smoothed", "counted"],
)
def test_a_domain_is_advised_only_where_it_would_pass(
    left: Function, right: Function, targets: str, require: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_same_objective(left, right, targets, require)
    advised = re.search(r"domain=\((\S+), (\S+)\)\.", str(caught.value))
    told = caught.value.verdict  # type: ignore[attr-defined]
    assert bool(advised) == (told.relation == "equal")
    if advised:
        low, high = map(float, advised.groups())
        assert low < high
        assert assert_same_objective(left, right, targets, require, domain=(low, high)).relation == "equal"
