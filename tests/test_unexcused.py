"""What a run must not overlook: rows outside the domain, a change late in the training, a model that is dead, a coupled row."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from objective_cases import BINARY, binary
from torch import Tensor, nn
from training_cases import SGD, X, Y, compare, lane_recipe, network, recipe, verdict

from mlnn.comparing.ends import excusing, told
from mlnn.comparing.evidence import Evidence, Judged
from mlnn.comparing.gaps import gap_between
from mlnn.comparing.nulls import null_draw
from mlnn.comparing.probe import probe
from mlnn.comparing.sample import Sample
from mlnn.data import from_arrays
from mlnn.objectives import Objective, bce, bernoulli_nll_log1p
from mlnn.testing import assert_same_objective
from mlnn.training import Lane, Recipe, batches, initial_model
from mlnn.training.broken import first_row

BCE = nn.BCEWithLogitsLoss()
STEEP = partial(torch.optim.SGD, lr=40.0)
STEPS = 30


def off_beyond(bound: float, factor: float) -> Any:
    """Gradients of confident rows too large by a factor: no clip, no overflow."""

    class Off(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Tensor, y: Tensor) -> Tensor:
            ctx.save_for_backward(z, y)
            return bernoulli_nll_log1p(z, y)

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
            z, y = ctx.saved_tensors
            slope = torch.sigmoid(z) - y
            return upstream * torch.where(z.abs() > bound, factor * slope, slope), None

    return Off.apply


def ends(left: object, right: object) -> list[str]:
    found = probe(binary(left), binary(right), BINARY, torch.float32)
    return told(found.domain, found.ends)


@pytest.mark.parametrize(
    ("why", "kept"),
    [(("rounds", None), (-3.0, math.inf)), ((None, "clips"), (-math.inf, 3.0)), (("a", "b"), (-3.0, 3.0))],
)
def test_an_end_without_a_reason_excuses_nothing(why: tuple[Any, Any], kept: tuple[float, float]) -> None:
    assert excusing({0.0: (-3.0, 3.0)}, {0.0: why}) == {0.0: kept}
    assert excusing({0.0: (-3.0, 3.0)}, {1.0: (None, None)}) == {0.0: (-3.0, 3.0)}  # of ends that are not its own


def clipped(z: Tensor, y: Tensor) -> Tensor:
    return bernoulli_nll_log1p(z.clamp(-5, 5), y)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("right", "reasons"),
    [
        (bce, ["right saturates"]),
        (clipped, ["right clips"]),
        (lambda z, y: torch.log(1 + torch.exp(z)) - y * z, ["right overflows"]),
        (off_beyond(5, 1.1), []),
        (bernoulli_nll_log1p, []),
    ],
)
def test_a_domain_says_why_it_ends(right: object, reasons: list[str]) -> None:
    assert ends(bernoulli_nll_log1p, right) == reasons


def test_a_domain_without_a_numerical_reason_is_a_difference() -> None:
    with pytest.raises(AssertionError, match=r"found 'different'.*neither side saturates") as caught:
        assert_same_objective(BCE, off_beyond(5, 1.1))
    assert "domain=" not in str(caught.value)
    with pytest.raises(
        AssertionError, match=r"(?s)found 'equal' but not on all.*Beyond it right clips. .*domain=\(-4\.999, 4\.999\)"
    ):
        assert_same_objective(BCE, clipped)


def test_a_row_outside_the_domain_excuses_nothing() -> None:
    """BCELoss saturates in most of these steps; a fault of other rows is seen in them all the same."""

    def late(z: Tensor, y: Tensor) -> Tensor:  # acts on batches that hold a saturated row, and on no other
        return bernoulli_nll_log1p(z, y) * (1.01 if bool((z.abs() > 18).any()) and len(z) > 3 else 1.0)

    sound = compare(bce, bernoulli_nll_log1p, optimizer=STEEP, steps=STEPS).verdict
    assert sound.relation == "equal"
    assert sound.left_domain
    assert sound.evidence["steps_without_rows_outside"] >= 5
    assert sound.evidence["steps_judged"] + sound.evidence["steps_left_out"] == STEPS
    assert "without the rows outside, where a side saturates" in sound.sentence
    faulty = compare(bce, late, optimizer=STEEP, steps=STEPS).verdict
    assert faulty.relation in ("different", "scaled")


def hooked(weights: Any, at: int, make: Any = SGD) -> torch.optim.Optimizer:
    """The learning rate falls after so many steps."""
    optimizer = make(weights)
    count = []

    def fall(*_: object) -> None:
        count.append(0)
        if len(count) == at:
            for group in optimizer.param_groups:
                group["lr"] *= 0.1

    optimizer.register_step_post_hook(fall)
    return optimizer


class Counting(torch.optim.SGD):
    """A schedule that nothing shows but the steps: no group, no hook, no state."""

    taken = 0

    def step(self, closure: Any = None) -> Any:
        self.taken += 1
        if self.taken > 40:
            with torch.no_grad():
                for weight in self.param_groups[0]["params"]:
                    weight.grad.mul_(0.1)
        return super().step(closure)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("optimizer", "step"), [(partial(hooked, at=45), 45), (lambda weights: Counting(weights, lr=0.1), 40)]
)
def test_a_change_late_on_one_side_is_found(optimizer: Any, step: int) -> None:
    found = verdict(lane_recipe(), lane_recipe(optimizer=optimizer), steps=48)
    assert found.relation == "different"
    assert f"take steps that differ by 0.9 at step {step}" in found.sentence
    assert ("lr is 0.1 on the left, 0.01" in found.sentence) == (step == 45)


def test_a_schedule_that_both_sides_have_is_no_difference() -> None:
    both = lane_recipe(optimizer=partial(hooked, at=5))
    assert verdict(both, both, steps=8).relation == "bitwise"


def test_what_is_not_looked_at_is_said() -> None:
    lbfgs = partial(torch.optim.LBFGS, lr=0.1, max_iter=2)
    same = verdict(BCE, bernoulli_nll_log1p, optimizer=lbfgs, steps=4)
    assert same.relation == "equal"
    assert "optimizers' own steps were not compared: L-BFGS" in same.sentence
    late = lane_recipe(optimizer=partial(hooked, at=2, make=lbfgs))
    found = verdict(lane_recipe(optimizer=lbfgs), late, steps=4)
    assert found.relation == "different"
    assert "settings part at step 1: lr is 0.1 on the left" in found.sentence


class Dying(nn.Module):
    """Its outputs no longer depend on its weights once weight decay has taken a clock of its own below a bound."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.layer, self.clock = nn.Linear(4, 1), nn.Parameter(torch.ones(()))
        self.bound = 0.9 ** (steps - 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * (self.clock > self.bound) + 0 * self.clock


@pytest.mark.parametrize(("alive", "relation"), [(0, "undecided"), (3, "undecided"), (15, "equal")])
def test_two_that_do_not_train_agree_about_nothing(alive: int, relation: str) -> None:
    decaying = partial(torch.optim.SGD, lr=0.1, weight_decay=1.0)  # the weights still move
    found = verdict(BCE, bernoulli_nll_log1p, model=partial(Dying, alive), optimizer=decaying, steps=40, null_twins=0)
    assert found.relation == relation
    if relation == "undecided":
        assert "gradient is exactly 0 on" in found.sentence
    else:
        assert "left's gradient was 0" in found.sentence


def test_a_gradient_that_only_left_has_lost_is_a_difference() -> None:
    seen = Evidence("float32")
    one, none = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    seen.see_common(0, 8, dict.fromkeys(("float32", "float64"), gap_between(1.0, 1.0, none, one)), shifted=False)
    assert seen.gradient.real == math.inf
    seen.see_common(1, 8, dict.fromkeys(("float32", "float64"), gap_between(1.0, 1.0, none, none)), shifted=False)
    assert (seen.gradient.steps, seen.idle) == (1, 2)


def pairwise(z: Tensor, y: Tensor) -> Tensor:
    """Over all pairs of rows; infinite where an output is beyond 3."""
    gap = (z[:, None] - z).square() * (1 + y[:, None])
    return (gap + torch.where(z > 3, torch.inf, 0.0)).mean()


@pytest.mark.parametrize(("places", "row"), [([2], 2), ([1, 4], 1), ([0], 0), ([], None)])
def test_the_row_that_breaks_a_coupled_loss_is_named(places: list[int], row: int | None) -> None:
    output = torch.linspace(-1, 1, 6)
    output[places] = 5.0
    target = torch.zeros(6)
    assert first_row(lambda o: bool(torch.isfinite(pairwise(o, target))), output) == row
    assert first_row(lambda _: False, output) is None


def test_a_lane_of_a_coupled_loss_names_its_row() -> None:
    def poisoned(z: Tensor, y: Tensor) -> Tensor:
        value = (z[:, None] - z).square().mean() + bernoulli_nll_log1p(z, y).mean()
        return value + torch.where(z.abs().max() > 50, torch.nan, 0.0)

    x = X.clone()
    x[17] = 1e3
    shared = Recipe(from_arrays(x, Y), network, 2, None)
    answer = Lane("right", lane_recipe(poisoned), initial_model(shared), torch.float32).evaluate(
        next(iter(batches(shared)))
    )
    assert answer.stop is not None
    assert (answer.stop.what, answer.stop.row) == ("loss", 17)


@pytest.mark.parametrize(("times", "odd"), [(4.9, False), (5.1, True)])
def test_a_half_precision_is_held_to_its_null_draws(times: float, odd: bool) -> None:
    judged = Judged()
    for step in range(10):
        judged.see(step, {"bfloat16": 0.01, "float32": 1e-7, "float64": 1e-16}, 1.0)
        judged.see_draw(times * 1e-3, 1e-3)
    assert (judged.unexplained("bfloat16") is not None) == odd
    assert judged.unexplained("float32") is None


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("dtype", "factor"), [(torch.bfloat16, 1.1), (torch.float16, 1.02)])
def test_a_small_fault_of_a_half_precision_is_caught(dtype: torch.dtype, factor: float) -> None:
    def right(z: Tensor, y: Tensor) -> Tensor:
        return BCE(z, y) * (factor if z.dtype == dtype and len(z) > 2 else 1.0)

    found = verdict(BCE, right, dtype=dtype)
    assert found.relation == "different"
    assert verdict(BCE, bernoulli_nll_log1p, dtype=dtype).relation == "equal"


def test_null_draws_are_about_an_ulp() -> None:
    model = initial_model(recipe())
    output = model(X.float()).detach()[:, 0].bfloat16()
    one = Objective.of(BCE, BINARY)
    found = null_draw(one, Objective.of(bernoulli_nll_log1p, BINARY), Sample(output, Y.bfloat16()), 1.0)
    assert found is not None
    assert 5e-4 < found[1] < 1e-2
    assert null_draw(one, one, Sample(torch.full((3,), math.nan, dtype=torch.bfloat16), torch.ones(3)), 1.0) is None


@pytest.mark.parametrize(
    ("answers", "ordinary"),
    [(lambda z: z.abs() < 1e3, 1.0), (lambda z: z.abs() < 0.1, 0.0), (lambda z: z > 0, 1.0), (lambda z: z < 0, -1.0)],
    ids=["any", "small", "above 0", "below 0"],
)
def test_a_row_is_told_beside_whatever_outputs_a_loss_can_take(answers: Any, ordinary: float) -> None:
    output = torch.full((7,), ordinary)
    output[4] = 1e6 if ordinary >= 0 and not bool(answers(torch.tensor(1e6))) else -1e6 * ordinary
    assert first_row(lambda z: bool(answers(z).all()), output) == 4
    assert first_row(lambda _: False, output) is None
