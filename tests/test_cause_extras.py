"""Causes of extras by name, several outputs, positions and chunks; of optimisers, steps and loops: each named, and each not."""

from collections.abc import Callable, Sequence
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import mlnn
from mlnn.comparing.explaining.carried import Carried
from mlnn.comparing.explaining.cause import find_cause
from mlnn.comparing.explaining.rates import Rates
from mlnn.comparing.verdict import Verdict
from mlnn.objectives import Objective
from mlnn.objectives.layout import layout_of
from mlnn.targets import TargetSpace

Function = Callable[..., Tensor]
TOKENS, IGNORE, LENGTH = "classes(4, ignore=-100)", -100, 5


def draw(space: str, extras: Sequence[str] = (), positions: tuple[int, ...] = ()) -> tuple[Tensor, dict[str, Tensor]]:
    """Targets of 32 rows, and extras: a weight a row, a mask a target, a table of a weight a class, a count of the batch."""
    targets, draws = TargetSpace.parse(space), torch.Generator().manual_seed(3)
    y = targets.draw(draws, (32, *positions))
    mask = (torch.rand(y.shape, generator=draws) < 0.6).double()
    mask[..., 0] = 1.0
    made = {
        "weight": 0.2 + torch.rand(32, generator=draws, dtype=torch.float64),
        "mask": mask,
        "table": 0.2 + torch.rand(32, 4, generator=draws, dtype=torch.float64),
        "number": torch.randint(0, 3, (32,), generator=draws),
    }
    return y, {name: made[name] for name in extras}


def cause(
    left: Function, right: Function, space: str, extras: Sequence[str] = (), positions: tuple[int, ...] = ()
) -> str:
    targets = TargetSpace.parse(space)
    y, given = draw(space, extras, positions)
    sides = [Objective.of(side, targets).over(layout_of(positions, given, y)) for side in (left, right)]
    found = find_cause(sides[0], sides[1], targets)
    if found is not None:
        assert found.before is not None
        assert found.after is not None
        assert found.after <= max(1e-6 * found.before, 1e-13)
    return found.words if found else ""


def entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, reduction="none")


def weighted(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    return (weight * entropy(z, y)).sum() / weight.sum()


def unread(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    return entropy(z, y).mean() + 0 * weight.sum()


def over_rows(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    return (weight * entropy(z, y)).mean()


def by_table(z: Tensor, y: Tensor, table: Tensor, at: str = "target") -> Tensor:
    return weighted(z, y, table.gather(1, (y if at == "target" else z.argmax(1))[:, None])[:, 0])


def masked(f: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return ((f - y).square() * mask).sum() / mask.sum()


def flat(z: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    return F.cross_entropy(z.flatten(0, 1), y.flatten(), label_smoothing=smoothing)


def chunked(z: Tensor, y: Tensor, size: int, added: bool = False) -> Tensor:
    parts = zip(z.flatten(0, 1).split(size), y.flatten().split(size), strict=True)
    means = torch.stack([F.cross_entropy(a, b) for a, b in parts if bool((b != IGNORE).any())])
    return means.sum() if added else means.mean()


def labels(z: Tensor, y: Tensor, weight: Sequence[float] = (1.0, 1.0, 1.0)) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor(weight, dtype=z.dtype))


def squares(f: Tensor, y: Tensor, weight: Sequence[float] = (1.0, 1.0, 1.0)) -> Tensor:
    return ((f - y).square() * torch.tensor(weight, dtype=f.dtype)).mean()


def soft(z: Tensor, y: Tensor) -> Tensor:
    return -(y * z.log_softmax(-1)).sum(-1)


def uniform_over_all(z: Tensor, y: Tensor) -> Tensor:
    return 0.8 * flat(z, y) - 0.2 * z.log_softmax(-1).mean()


def pairs(z: Tensor, y: Tensor, of_all: bool = False) -> Tensor:
    unlike = (y[:, None] > y).to(z)
    values = F.softplus(z[None, :] - z[:, None]) * unlike
    return values.mean() if of_all else values.sum() / unlike.sum()


def by_length(z: Tensor, y: Tensor) -> Tensor:
    values = F.cross_entropy(z.transpose(1, 2), y, reduction="none")
    lengths = (y != IGNORE).sum(1)
    return (values.sum(1) * lengths).sum() / lengths.square().sum()


ROWS, ROW_MASK, TABLE = (("weight",), ()), (("mask",), (LENGTH,)), (("table",), ())
PLAIN, SEQUENCES = ((), ()), ((), (LENGTH,))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("left", "right", "space", "given", "words"),
    [
        (weighted, unread, "classes(4)", ROWS, "as if every 'weight' were 1"),
        (weighted, over_rows, "classes(4)", ROWS, "number of entries of 'weight'"),
        (over_rows, weighted, "classes(4)", ROWS, "left divides by the number of entries of 'weight'"),
        (weighted, lambda z, y, weight: weighted(z, y, weight**2), "classes(4)", ROWS, "the square of 'weight'"),
        (weighted, lambda z, y, weight: (weight * entropy(z, y)).sum(), "classes(4)", ROWS, "does not divide by the sum"),
        (by_table, partial(by_table, at="largest"), "classes(4)", TABLE, "its weight from 'table' at the largest raw output"),
        (masked, lambda f, y, mask: masked(f, y, 1 - mask), "real", ROW_MASK, "takes 1 − 'mask'"),
        (masked, lambda f, y, mask: F.mse_loss(f * mask, y * mask), "real", ROW_MASK, "number of entries of 'mask'"),
        (masked, lambda f, y, mask: masked(f, y, mask / mask.sum(1, keepdim=True)), "real", ROW_MASK, "its sum row by row"),
        (flat, partial(chunked, size=7), TOKENS, SEQUENCES, "right is the mean of the means of chunks of 7 positions"),
        (partial(chunked, size=4, added=True), flat, TOKENS, SEQUENCES, "left adds up the means of chunks of 4 positions"),
        (flat, lambda z, y: flat(z, y.clamp_min(0)), TOKENS, SEQUENCES, "right counts ignored positions as targets of class 0"),
        (flat, lambda z, y: flat(z, y.masked_fill(y == 1, IGNORE)), TOKENS, SEQUENCES, "right ignores targets of 1"),
        (flat, partial(flat, smoothing=1e-4), TOKENS, SEQUENCES, "right smooths labels by 0.0001"),
        (partial(flat, smoothing=0.2), uniform_over_all, TOKENS, SEQUENCES, "ignored positions in the uniform part, of weight 0.2"),
        (flat, by_length, TOKENS, SEQUENCES, "each weighted by its squared length"),
        (labels, partial(labels, weight=(1.0, 3.0, 1.0)), "multilabel(3)", PLAIN, "output 1 a weight of 3 where the target is 1"),
        (squares, partial(squares, weight=(1.0, 1.0, 0.5)), "real(3)", PLAIN, "right gives output 2 a weight of 0.5"),
        (squares, lambda f, y: F.mse_loss(f[:, 1:], y[:, 1:]), "real(3)", PLAIN, "right leaves out output 0"),
        (soft, lambda z, y: F.kl_div(z.log_softmax(1), y, reduction="none").mean(), "simplex(4)", PLAIN, "entropy taken off"),
        (soft, lambda z, y: soft(z, torch.softmax(3 * y.log(), -1)), "simplex(4)", PLAIN, "to the power of 3"),
        (pairs, partial(pairs, of_all=True), "binary", PLAIN, "right divides by all pairs of rows"),
        (entropy, lambda z, y: entropy(z.clamp_min(-9), y), "classes(4)", PLAIN, "right clips raw outputs from below at −9"),
    ],
)  # fmt: skip
def test_a_cause_that_holds_is_named(
    left: Function, right: Function, space: str, given: tuple[Sequence[str], tuple[int, ...]], words: str
) -> None:
    assert words in cause(left, right, space, *given)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("left", "right", "space", "given"),
    [
        (weighted, lambda z, y, weight: weighted(z, y, weight + 0.01), "classes(4)", ROWS),
        (weighted, lambda z, y, weight: weighted(z, y, weight.roll(1)), "classes(4)", ROWS),
        (
            over_rows,
            lambda z, y, weight: over_rows(z, y, weight) * weight.mean(),
            "classes(4)",
            ROWS,
        ),  # left has no divisor
        (weighted, lambda z, y, weight: weighted(1.1 * z, y, weight**2), "classes(4)", ROWS),  # two faults at once
        (by_table, lambda z, y, table: by_table(z, (y + 1) % 4, table.roll(1, 1) + 0.1), "classes(4)", TABLE),
        (masked, lambda f, y, mask: masked(f, y, 1 - mask / 2), "real", ROW_MASK),
        (flat, lambda z, y: flat(z[:, :-1], y[:, :-1]), TOKENS, SEQUENCES),
        (flat, lambda z, y: 0.9 * flat(z, y) + 0.1 * chunked(z, y, 7), TOKENS, SEQUENCES),
        (labels, lambda z, y: labels(z, y, (1.0, 3.0, 1.0)) + 0.01 * z.abs().mean(), "multilabel(3)", PLAIN),
        (squares, lambda f, y: ((f - y).square() * torch.arange(1, 4) ** (f[:, :1] > 0)).mean(), "real(3)", PLAIN),
        (soft, lambda z, y: soft(z, y.roll(1, -1)), "simplex(4)", PLAIN),
        (soft, lambda z, y: soft(z, 0.5 * y + 0.5 * torch.softmax(3 * y.log(), -1)), "simplex(4)", PLAIN),
        (entropy, lambda z, y: entropy(torch.where(z < -9, z - 1, z), y), "classes(4)", PLAIN),
    ],
)
def test_no_cause_is_named_where_none_holds(
    left: Function, right: Function, space: str, given: tuple[Sequence[str], tuple[int, ...]]
) -> None:
    assert cause(left, right, space, *given) == ""


def test_an_extra_that_is_no_number_has_no_cause() -> None:
    def counted(z: Tensor, y: Tensor, number: Tensor) -> Tensor:
        return (entropy(z, y) * (number + 1)).mean()

    def uncounted(z: Tensor, y: Tensor, number: Tensor) -> Tensor:
        return entropy(z, y).mean() + 0 * number.sum()

    assert cause(counted, uncounted, "classes(4)", ["number"]) == ""


@pytest.mark.parametrize(
    ("rates", "left", "right", "found"),
    [
        (((0.1, 0.05),) * 3, (1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (0, 0.1, 0.05)),
        # Set after the step, so that the next one is the first to show it:
        (((0.1, 0.1), (0.1, 0.02), (0.1, 0.02)), (1.0, 1.0, 1.0), (1.0, 1.0, 0.2), (2, 0.1, 0.02)),
        (((0.1, 0.1), (0.1, 0.0)), (1.0, 1.0), (1.0, 0.0), (1, 0.1, 0.0)),
        (((0.1, 0.05),) * 3, (1.0, 1.0, 1.0), (0.5, 0.5, 0.5 + 1e-9), None),  # something else besides
        (((0.1, 0.1),) * 2, (1.0, 1.0), (0.5, 0.5), None),
        ((None, None), (1.0, 1.0), (0.5, 0.5), None),
        (((0.1, 0.05),) * 2, (1.0, 1.0), (1.0, 1.0), None),  # no difference
    ],
)
def test_rates_explain_steps_that_are_apart_by_their_ratio(
    rates: Sequence[tuple[float, float] | None], left: Sequence[float], right: Sequence[float], found: object
) -> None:
    way, start, seen = torch.tensor([3.0, -4.0]).double(), torch.tensor([1.0, 2.0]).double(), Rates()
    for step, (pair, one, two) in enumerate(zip(rates, left, right, strict=True)):
        seen.see(step, pair, start, start + one * way, start + two * way)
    assert (seen.first if seen.cause else None) == found


@pytest.mark.parametrize(("kept", "named"), [(1.0, True), (0.999, False), (0.0, False)])
def test_a_gradient_that_is_carried_over_is_told(kept: float, named: bool) -> None:
    draws, seen, last = torch.Generator().manual_seed(1), Carried("right"), torch.zeros(4).double()
    for step in range(5):
        fresh = torch.randn(4, generator=draws, dtype=torch.float64)
        seen.see(step, fresh, fresh + kept * last)
        last = fresh
    assert (seen.cause is not None) == named


DRAWS = torch.Generator().manual_seed(5)
BATCHES = [{"x": torch.randn(8, 3, generator=DRAWS), "y": torch.randint(0, 2, (8,), generator=DRAWS)} for _ in range(6)]
SGD = partial(torch.optim.SGD, lr=0.1)


class Scaled(nn.Module):
    """A linear model, and a scale that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.scale = nn.Linear(3, 2), nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.linear(x)


def step(model: nn.Module, batch: dict[str, Tensor], wrong: str = "") -> Tensor:
    assert isinstance(model, Scaled)
    scale = model.scale.detach() if wrong == "detached" else model.scale
    values = F.cross_entropy(scale * model.linear(batch["x"]), batch["y"])
    return values + 0.01 * values.square() if wrong == "squared" else values


def told(left: object, right: object) -> Verdict:
    return mlnn.compare(Scaled, left, right, BATCHES, optimizer=SGD, steps=6, batch_size=None, null_twins=0).verdict


def test_a_step_whose_gradient_is_not_the_derivative_of_its_value_is_named() -> None:
    plain, detached, squared = (mlnn.Step(partial(step, wrong=wrong)) for wrong in ("", "detached", "squared"))
    assert "right's gradient is not the derivative of its value" in str(told(plain, detached).cause)
    assert "left's gradient is not the derivative of its value" in str(told(detached, plain).cause)
    assert told(plain, squared).cause is None  # another value has another gradient


def loop(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Sequence[dict[str, Tensor]], wrong: str = ""
) -> float:
    (batch,) = batches
    if wrong == "rate":
        optimizer.param_groups[0]["lr"] = 0.03
    if wrong != "never zeroed":
        optimizer.zero_grad()
    value = F.cross_entropy(model(batch["x"]), batch["y"])
    value.backward()
    if wrong == "clipped":
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
    return value.item()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("rate", "right's learning rate is 0.03 where left's is 0.1"),
        ("never zeroed", "right keeps the gradient of the steps before: it is never set to zero"),
        ("clipped", None),
    ],
)
def test_what_a_loop_does_otherwise_is_named_where_its_steps_show_it(wrong: str, words: str | None) -> None:
    lanes = [mlnn.LaneRecipe(optimizer=SGD, update=partial(loop, wrong=which)) for which in ("", wrong)]
    assert told(*lanes).cause == words


def test_two_optimisers_apart_in_their_rate_and_in_more() -> None:
    lanes = [mlnn.LaneRecipe(step_loss, partial(torch.optim.SGD, **more)) for more in ({"lr": 0.1}, {"lr": 0.2})]
    assert "learning rate is 0.2 where left's is 0.1" in str(told(*lanes).cause)
    decayed = mlnn.LaneRecipe(step_loss, partial(torch.optim.SGD, lr=0.2, weight_decay=0.01))
    assert told(lanes[0], decayed).cause is None
    doubled = mlnn.LaneRecipe(mlnn.Step(partial(step, wrong="squared")), partial(torch.optim.SGD, lr=0.2))
    assert told(lanes[0], doubled).cause is None  # their gradients differ besides


step_loss = mlnn.Step(step)


def left_out(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return (mask * F.binary_cross_entropy_with_logits(z, y, reduction="none")).sum() / mask.sum()


def set_to_zero(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z * mask, y * mask)


def test_a_mask_that_sets_to_zero_what_it_should_leave_out_is_named() -> None:
    told = cause(left_out, set_to_zero, "binary", ["mask"], (LENGTH,))
    assert told == "right sets raw outputs and targets to 0 by 'mask', and counts them, where left leaves them out"
