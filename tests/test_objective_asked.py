"""How an objective is asked: its grid, its batches, its rows one by one, its reduction and its habits, on rows made by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlnn.objectives import Objective
from mlnn.objectives.grid import OFF, Curves, Grid, _sketch, curves, make_grid, wide_grid
from mlnn.objectives.habits import follows_upstream, written_into
from mlnn.objectives.layout import Layout
from mlnn.objectives.promotion import Inside
from mlnn.objectives.reduction import (
    Reduction,
    _close,
    _over_kept,
    _singles,
    drawn_batch,
    drawn_rows,
    reduction,
    sizes,
    unsteady,
)
from mlnn.objectives.rowwise import asked_batch, one_batch, row_by_row
from mlnn.targets import TargetSpace

f32, f64 = torch.float32, torch.float64
REAL, IGNORING = TargetSpace("real"), TargetSpace("classes", 3, ignore=-1)


def rows(f: Tensor, y: Tensor) -> Tensor:
    return (f - y) ** 2


def f64s(*given: Any) -> Tensor:
    return torch.tensor(given, dtype=f64)


# The grid.
def test_points_of_a_grid_have_a_name_a_reach_and_a_strength() -> None:
    one = Grid(f64s(-3.0, 4.0, 4.1), f64s(-3.0, 4.0, 4.1), f64s(0.5, 7.0), torch.zeros(3))
    assert (one.labels, one.reach.tolist()) == ([0.5, 7.0], [[3.0], [4.0], [4.1]])
    assert one.moderate.tolist() == [True, True, False]
    several = Grid(f64s(-3.0, 4.0), f64s([1.0, -5.0], [0.0, 2.0]), f64s([0.5, 0.5], [1.0, 0.0]), torch.zeros(2))
    assert (several.labels, several.reach.tolist()) == ([0.0, 1.0], [[5.0], [2.0]])


@pytest.mark.parametrize(("count", "sizes_", "points"), [
    (3, (1.0, 4.0, 10.0, 30.0, 100.0, 300.0, 1000.0), 84), (4096, (1.0, 4.0, 10.0, 30.0, 100.0, 300.0, 1000.0), 84),
    (4097, (10.0, 100.0), 42),
])  # fmt: skip
def test_all_entries_move_together_nearly_so_and_the_last_alone(
    count: int, sizes_: tuple[float, ...], points: int
) -> None:
    space = TargetSpace("classes", count)
    plain, wide = make_grid(space), wide_grid(space)
    assert len(plain.strength) == 3 * points
    first = len(plain.strength)
    told = plain.output != 0
    assert torch.equal(wide.output[:first][told], plain.output[told])
    assert float(wide.output[:first][~told].abs().max()) <= 0.002
    wanted = [-OFF * one for one in reversed(sizes_)] + [OFF * one for one in sizes_]
    for ray, largest in ((3, slice(None)), (4, slice(None)), (5, slice(-1, None)), (6, slice(0, None, count - 1))):
        here = wide.ray == ray
        assert wide.strength[here].tolist() == pytest.approx(wanted)
        moved = wide.output[here][:, largest]
        off = (moved / wide.strength[here][:, None] - 1).abs()
        assert float(off.max()) < 0.0201 if ray != 4 else 0.01 < float(off[-1].max()) < 0.0201
    alone = wide.output[wide.ray == 5][:, :-1]
    assert float(alone.abs().max()) <= 0.001 < 0.01 < float(wide.strength.abs().min()) * 100


def test_targets_that_are_shares_or_few_are_asked_all() -> None:
    for name in ("simplex(8)", "classes(4)", "real(8)", "multilabel(8)"):
        space = TargetSpace.parse(name)
        assert torch.equal(wide_grid(space).target, space.probe_points)
    assert set(wide_grid(TargetSpace("classes", 5)).target.tolist()) >= {0, 2, 4}


def test_long_gradients_are_kept_as_entries_and_as_sums_under_signs() -> None:
    picked, signs = _sketch(2000)
    assert (picked[:2].tolist(), len(picked), signs.shape) == ([0, 1999], 16, (2000, 8))
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    for count, kept in ((1024, 1024), (1025, 2 + 16 + 8)):
        grid = Grid(f64s(1.0), torch.ones(1, count, dtype=f64), torch.tensor([0, 1]), torch.zeros(1))
        found = curves(
            Objective.of(lambda z, y: z.logsumexp(1) - z.gather(1, y[:, None])[:, 0], TargetSpace("classes", count)),
            grid,
            f64,
        )
        assert found.gradient.shape == (1, 2, kept)
        assert bool(found.finite.all())
    assert Curves(f64s([1.0, math.nan, 1.0]), f64s([[0.0], [0.0], [math.inf]])).finite.tolist() == [
        [True, False, False]
    ]
    refusing = curves(Objective.of(lambda *_: 1 / 0, REAL, name="loss"), make_grid(REAL), f64)
    assert refusing.refused == "ZeroDivisionError: division by zero"


# Batches and rows.
def test_batches_are_drawn_of_a_size_and_of_a_scale() -> None:
    assert [sizes(TargetSpace("classes", count)) for count in (2, 4096, 4097)] == [(7, 37), (7, 37), (3, 7)]
    output, _ = drawn_batch(REAL, 400)
    assert float(output.std()) == pytest.approx(1, rel=0.1)
    assert torch.equal(drawn_batch(REAL, 400, 3.0)[0], 3 * output)
    assert drawn_batch(TargetSpace("classes", 3), 5, 1.0, (2,))[0].shape == (5, 2, 3)
    assert drawn_batch(REAL, 5, 1.0, (2,))[0].shape == (5, 2)
    assert torch.equal(drawn_rows(Objective.of(rows, REAL), 400)[0], output)
    count, weight = {"count": torch.tensor(3.0)}, {"weight": torch.ones(3)}
    for extras, made in ((count, 3), (weight, 7)):
        laid = Objective.of(lambda f, y, **_: rows(f, y), REAL).over(Layout((), extras, f64s(1.0, 2.0, 3.0)))
        found = drawn_rows(laid, 7)
        assert (len(found[0]), len(found[1])) == (made, made)
        assert found[1][:3].tolist() == [1.0, 2.0, 3.0]
    bare = Objective.of(lambda f, y, **_: rows(f, y), REAL).over(Layout((), count))
    assert len(drawn_rows(bare, 7)[0]) == 7


def kept_mean(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, ignore_index=-1)


def over_all(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, ignore_index=-1, reduction="sum") / len(z)


@pytest.mark.parametrize(("function", "kind", "couples"), [
    (kept_mean, "mean over kept rows", True), (over_all, "mean", False),
    (lambda z, y: F.cross_entropy(z, y, ignore_index=-1, reduction="none"), "mean over kept rows", True),
    (lambda z, y: F.cross_entropy(z, y, ignore_index=-1, reduction="sum"), "sum", False),
    (lambda z, y: 7 * kept_mean(z, y) if len(z) == 7 else kept_mean(z, y), "coupled", True),
    (lambda z, y: F.cross_entropy(z, y, ignore_index=-1, reduction="none") + 0.1 * z.mean(), "coupled", True),
])  # fmt: skip
def test_a_reduction_over_what_is_kept(function: Any, kind: str, couples: bool) -> None:
    found = reduction(Objective.of(function, IGNORING, name="loss"))
    assert (found and found.kind, found and found.couples) == (kind, couples)


def test_a_batch_with_an_extra_of_its_own_is_asked_whole() -> None:
    laid = Objective.of(lambda f, y, count: rows(f, y).sum() / count, REAL).over(
        Layout((), {"count": torch.tensor(3.0)}, f64s(1.0, 2.0, 3.0))
    )
    assert reduction(laid) == Reduction("whole batch")
    assert [Reduction(kind).couples for kind in ("per row", "mean", "sum", "broadcast", "coupled", "mean over kept rows")] == [
        False, False, False, True, True, True,
    ]  # fmt: skip
    value, gradient, said = row_by_row(laid, f64s(1.0, 2.0), f64s(0.0, 0.0))
    assert (value.tolist(), said) == ([1.0, 4.0], None)
    assert gradient.tolist() == [2.0, 4.0]


@pytest.mark.parametrize(("inside", "close"), [
    (None, 1e-9), (Inside(f32), 1e-9), (Inside(sealed="x"), 1e-9), (Inside(f32, sealed="x"), 64 * 2**-23),
])  # fmt: skip
def test_how_near_two_answers_of_one_objective_are(inside: Inside | None, close: float) -> None:
    assert _close(replace(Objective.of(rows, REAL), inside=inside)) == close


def test_a_moody_objective_is_unsteady() -> None:
    said = "'rows' answered the same call twice differently (state or randomness)"
    plain = Objective.of(rows, REAL)
    assert [unsteady(replace(plain, inside=inside)) for inside in (None, Inside(), Inside(moody=True))] == [
        None,
        None,
        said,
    ]


def test_a_row_alone_is_ignored_where_it_says_nothing() -> None:
    """0 with a gradient of 0, or 0/0; a value of 0 that moves is none,
    nor one that stays and is not 0; refused is nothing too."""
    output, target = f64s(1.0, 2.0, 3.0, 4.0, 5.0), f64s(0.0, 1.0, 2.0, 3.0, 4.0)

    def loss(f: Tensor, y: Tensor) -> Tensor:
        kind = int(y[0])
        if kind == 4:
            raise ValueError("refused")
        return (0 * f, 0 * f / (0 * f), f - f.detach(), 0 * f + 7)[kind].mean()

    value, ignored = _singles(Objective.of(loss, REAL), output, target, {})
    assert ignored.tolist() == [True, True, False, False, True]
    assert value.nan_to_num(-1.0).tolist() == [0.0, -1.0, 0.0, 7.0, -1.0]
    assert _over_kept(Objective.of(loss, REAL), target, value, ignored) == 3.5
    labels = torch.tensor([[0, -1], [1, 2]])
    weighed = _over_kept(Objective.of(kept_mean, IGNORING), labels, f64s(4.0, 1.0), torch.tensor([False, False]))
    assert weighed == 2.0, "rows count by how many positions they keep"


def test_a_gradient_is_made_also_where_the_caller_makes_none() -> None:
    objective, f, y = Objective.of(rows, REAL), f64s(1.0, 2.0), f64s(0.0, 0.0)
    for caller in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with caller():
            value, gradient = asked_batch(objective, f, y)
        assert (value.tolist(), gradient.tolist()) == ([1.0, 4.0], [2.0, 4.0])
    assert one_batch(objective, f, y, f32)[0] == 2.5
    weight = torch.ones(2, dtype=f64, requires_grad=True)
    beside = Objective.of(lambda _, y: y * weight, REAL, name="loss")
    assert asked_batch(beside, f, y)[1].tolist() == [0.0, 0.0], "a gradient that does not lead to the output"
    assert (
        one_batch(Objective.of(lambda f, y, scale: rows(f, y) * scale, REAL), f, y, f64, {"scale": torch.tensor(2.0)})[
            0
        ]
        == 5.0
    )
    labels = Objective.of(lambda z, y: z.gather(1, y[:, None])[:, 0], TargetSpace("classes", 2))
    assert one_batch(labels, f64s([1.0, 2.0]), torch.tensor([1]), f32)[0] == 2.0


@pytest.mark.parametrize("loss", [rows, lambda f, y: rows(f, y).mean(), lambda f, y: rows(f, y).sum()])
def test_each_row_is_asked_as_a_batch_of_it_alone(loss: Any) -> None:
    value, gradient, said = row_by_row(Objective.of(loss, REAL, name="loss"), f64s(1.0, 2.0, 3.0), f64s(0.0, 0.0, 1.0))
    assert (value.tolist(), gradient.tolist(), said) == ([1.0, 4.0, 4.0], [2.0, 4.0, 4.0], None)


@pytest.mark.parametrize("whole", [False, True])
def test_a_point_stands_at_every_position_but_those_that_are_ignored(whole: bool) -> None:
    """Two rows of three positions, one ignored in each; one point, of label 1."""
    laid = torch.tensor([[0, -1, 2], [1, 2, -1]])
    extras = {"count": torch.tensor(4.0)} if whole else {"mask": torch.ones(2, 3)}
    seen: list[Any] = []

    def loss(z: Tensor, y: Tensor, **_: Tensor) -> Tensor:
        seen.append(y.tolist())
        return F.cross_entropy(z.flatten(0, 1), y.flatten(), ignore_index=-1)

    objective = Objective.of(loss, IGNORING).over(Layout((3,), extras, laid))
    value, gradient, said = row_by_row(objective, f64s([1.0, 2.0, 3.0]), torch.tensor([1]))
    assert said is None
    assert seen[-1] == ([[1, -1, 1], [1, 1, -1]] if whole else [[1, -1, 1]])
    wanted = torch.softmax(f64s(1.0, 2.0, 3.0), 0) - f64s(0.0, 1.0, 0.0)
    assert value.tolist() == pytest.approx([math.log(math.e + math.e**2 + math.e**3) - 2])
    assert gradient[0].tolist() == pytest.approx(wanted.tolist())


# Habits.
class Recorded(torch.autograd.Function):
    """Squares; keeps what comes from above, and answers with it, with a share of it, or with nothing of it."""

    kept: Tensor

    @staticmethod
    def forward(ctx: Any, f: Tensor, y: Tensor, how: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(f, y)
        ctx.how = how
        return (f - y) ** 2

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        f, y = ctx.saved_tensors
        Recorded.kept = upstream[0]
        return ctx.how(upstream[0]) * 2 * (f - y), None, None


@pytest.mark.parametrize(("how", "follows"), [
    (lambda up: up, True), (lambda up: up * (1 + 0.04 * torch.sin(torch.arange(7.0))), True),
    (lambda up: torch.ones_like(up), False),
    (lambda up: up.mean(), False), (lambda up: up[0], False), (lambda up: up * (1 + 0.2 * (up != 1)), False),
])  # fmt: skip
def test_what_comes_from_above_is_between_a_fifth_and_two(how: Any, follows: bool) -> None:
    def loss(f: Tensor, y: Tensor) -> Tensor:
        return Recorded.apply(f, y, how)

    assert follows_upstream(Objective.of(loss, REAL), Reduction("per row")) is follows
    assert 0.2 <= float(Recorded.kept.min()) < float(Recorded.kept.max()) - 0.5 < 1.5
    assert follows_upstream(Objective.of(loss, REAL), Reduction("coupled")), (
        "nothing can be said of rows that are coupled"
    )


def test_a_backward_that_leads_elsewhere_or_refuses_follows() -> None:
    weight = torch.ones(7, dtype=f64, requires_grad=True)
    for loss in (lambda _, y: y * weight, lambda _, y: 1.0 * y, lambda *_: 1 / 0, lambda f, y: rows(f, y) * math.nan):
        assert follows_upstream(Objective.of(loss, REAL, name="loss"), Reduction("per row"))


@pytest.mark.parametrize(("loss", "written"), [
    (rows, ()), (lambda f, y: rows(f * 1, y.mul_(2)), ("target",)), (lambda f, y: rows(f.mul_(2), y), ("output",)),
    (lambda f, y: rows(f.mul_(2), y.mul_(2)), ("output", "target")), (lambda *_: 1 / 0, ()), (torch.nn.MSELoss(), ()),
])  # fmt: skip
def test_what_an_objective_writes_into(loss: Any, written: tuple[str, ...]) -> None:
    assert written_into(Objective.of(loss, REAL, name="loss")) == written
