"""What promotion does to an op, a maker, a draw and a write, each alone; and when a lower float inside is looked for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mlnn.objectives import Objective, precision
from mlnn.objectives.precision import looked_into
from mlnn.objectives.promotion import Inside, lower_than, memory_written, promoted, tensors_in, unpromoted
from mlnn.objectives.reduction import drawn_batch
from mlnn.targets import TargetSpace

f16, f32, f64, bf16 = torch.float16, torch.float32, torch.float64, torch.bfloat16
REAL = TargetSpace("real")


def rows(f: Tensor, y: Tensor) -> Tensor:
    return (f - y) ** 2


def test_what_an_objective_computes_in_has_a_name_and_a_roundoff() -> None:
    assert [lower_than(one) for one in (f64, f32, f16, bf16)] == [(f32, f16, bf16), (f16, bf16), (bf16,), ()]
    assert [Inside(one).name for one in (None, f32, bf16)] == [None, "float32", "bfloat16"]
    assert [Inside(one).eps for one in (None, f32, bf16)] == [0.0, 2**-23, 2**-7]


LOW, HIGH = torch.tensor([0.1, 0.2], dtype=f32), torch.tensor([0.1, 0.2], dtype=f64)
ASKED: list[tuple[str, Callable[[], Any], torch.dtype, set[torch.dtype]]] = [
    ("a number, by default", lambda: torch.tensor([0.1]), f64, {f32}),
    ("a number, in a lower float", lambda: torch.tensor([0.1], dtype=f16), f64, {f16}),
    ("a number, in the wanted one", lambda: torch.tensor([0.1], dtype=f64), f64, set()),
    ("a whole number", lambda: torch.tensor([1]), torch.int64, set()),
    ("whole numbers over whole numbers", lambda: torch.tensor([1]) / torch.tensor([3]), f64, {f32}),
    ("whole numbers added", lambda: torch.tensor([1]) + torch.tensor([3]), torch.int64, set()),
    ("zeros, by default", lambda: torch.zeros(3), f64, {f32}),
    ("zeros, in a lower float", lambda: torch.zeros(3, dtype=bf16), f64, {bf16}),
    ("zeros, in the wanted one", lambda: torch.zeros(3, dtype=f64), f64, set()),
    ("zeros, as whole numbers", lambda: torch.zeros(3, dtype=torch.int64), torch.int64, set()),
    ("a cast down", lambda: HIGH.float(), f64, {f32}), ("a cast to where it is", lambda: HIGH.double(), f64, set()),
    ("a cast to whole numbers", lambda: HIGH.long(), torch.int64, set()), ("from outside", lambda: LOW * 2.0, f64, {f32}),
    ("several from outside", lambda: torch.cat([LOW, LOW]), f64, {f32}),
    ("several as wanted", lambda: torch.stack([HIGH, HIGH]), f64, set()),
    ("a sum with a dtype", lambda: HIGH.sum(dtype=f32), f64, {f32}), ("a draw, by default", lambda: torch.rand(2), f64, {f32}),
    ("a draw in a lower float", lambda: torch.rand(2, dtype=f16), f64, {f16}),
    ("a draw as wanted", lambda: torch.rand(2, dtype=f64), f64, set()),
    ("a draw like another", lambda: torch.rand_like(HIGH), f64, set()),
    ("whole numbers drawn", lambda: torch.randint(5, (2,)), torch.int64, set()),
    ("an order drawn", lambda: torch.randperm(5), torch.int64, set()),
]  # fmt: skip


@pytest.mark.parametrize(("make", "dtype", "asked"), [case[1:] for case in ASKED], ids=[case[0] for case in ASKED])
def test_a_lower_float_that_is_asked_for_is_made_higher_and_noted(
    make: Any, dtype: Any, asked: set[torch.dtype]
) -> None:
    with promoted() as seen:
        made = make()
        assert made.dtype == dtype
    assert seen.dtypes == asked


def test_the_default_is_higher_where_it_is_lower_than_wanted() -> None:
    for to, spare, default in ((f64, frozenset(), f64), (f32, frozenset(), f32), (f64, frozenset({f32}), f32)):
        with promoted(to, spare) as seen:
            assert torch.get_default_dtype() == default
            assert torch.zeros(2).dtype == default
            assert (LOW * 2.0).dtype == default
            assert torch.zeros(2, dtype=f16).dtype == to
        assert seen.dtypes == ({f32, f16} if default == f64 else {f16})
        assert torch.get_default_dtype() == f32


def test_a_tensor_from_outside_has_one_twin_and_what_is_written_into_it_is_rounded_back() -> None:
    base, untouched = torch.zeros(4, dtype=f32), torch.tensor([0.1, 0.2], dtype=f32)
    with promoted():
        base[:2].add_(torch.tensor([0.1, 0.2], dtype=f64))
        base[1:3].mul_(3.0)
        assert (base[:3] + 0.0).tolist() == [0.1, 0.2 * 3.0, 0.0]  # to the last bit of float64
        assert (untouched + 0.0).tolist() == untouched.tolist()
    assert base.tolist() == torch.tensor([0.1, 0.2 * 3.0, 0.0, 0.0], dtype=f32).tolist()
    with promoted():
        torch.add(HIGH, HIGH, out=torch.empty(2, dtype=f64))
        sparse = torch.tensor([[0.0, 1.0]], dtype=f64).to_sparse()
        assert (sparse * 2.0).dtype == f64
    low = torch.eye(2).to_sparse()
    with promoted() as seen:
        assert torch.sparse.mm(low, torch.eye(2, dtype=f64)).dtype == f64
    assert seen.dtypes == {f32}
    with promoted(), unpromoted():
        assert LOW.half().dtype == f16


def test_which_memory_an_op_writes() -> None:
    one, two = torch.zeros(2), torch.ones(2)
    ops, own = torch.ops.aten, one.untyped_storage()._cdata
    assert memory_written(ops.add_.Tensor, (one, two), {}) == {own}
    assert memory_written(ops.add.Tensor, (one, two), {}) == set()
    assert memory_written(ops.add.out, (two, two), {"out": one}) == {own}
    assert memory_written(ops._foreach_add_.Scalar, ([one, two], 1.0), {}) == {own, two.untyped_storage()._cdata}
    assert [len(list(tensors_in(value))) for value in (one, [one, (two, 3)], "x")] == [1, 2, 0]


def lower_where(dtype: torch.dtype, low: torch.dtype) -> Callable[[Tensor, Tensor], Tensor]:
    """What is given in a dtype is computed in a lower one, as autocast does."""
    return lambda f, y: rows(f.to(low).to(f.dtype), y) if f.dtype == dtype else rows(f, y)


@pytest.mark.parametrize(("loss", "own", "inside"), [
    (rows, f32, Inside()), (rows, f64, Inside()), (lambda f, y: rows(f.float(), y).double(), f64, Inside(f32, True)),
    (lower_where(f32, bf16), f32, Inside(bf16)), (lower_where(f32, bf16), f64, Inside()),
    (lower_where(f64, bf16), f64, Inside(bf16, True)),
    (lambda f, y: rows(f.float(), y.bfloat16()), f32, Inside(bf16, True)), (lambda *_: 1 / 0, f32, Inside()),
    (lambda f, y: rows(f + torch.rand(()), y), f32, Inside()), (lambda f, y: rows(f, y).float(), f32, Inside(f32, True)),
    (lambda f, y: rows(f, y) * torch.ones(()), f32, Inside()),
])  # fmt: skip
def test_what_it_computes_in_is_found_by_asking(loss: Any, own: torch.dtype, inside: Inside) -> None:
    assert looked_into(Objective.of(loss, REAL, name="loss"), own).inside == inside


def test_one_that_answers_twice_differently_is_moody_and_one_that_is_known_is_not_asked() -> None:
    calls = [0]

    def counting(f: Tensor, y: Tensor) -> Tensor:
        calls[0] += 1
        return rows(f, y) + calls[0]

    assert looked_into(Objective.of(counting, REAL)).inside == Inside(moody=True)

    output, target = drawn_batch(REAL, 37)
    plain = precision._answer(Objective.of(counting, REAL), output, target)
    assert precision._look(Objective.of(counting, REAL), f32, output, target, plain) == Inside(moody=True)

    def late(f: Tensor, y: Tensor) -> Tensor:
        """The same at first; once it has been looked into no longer."""
        calls[0] += 1
        return rows(f, y) + (calls[0] > 3)

    calls[0] = 0
    assert looked_into(Objective.of(late, REAL)).inside == Inside(moody=True)
    calls[0] = 0
    known = replace(Objective.of(late, REAL), inside=Inside(f32))
    assert looked_into(known) is known
    assert calls[0] == 0


def answer(value: float, *asked: torch.dtype, gradient: float = 1.0) -> precision._Answer:
    one = torch.ones(3, dtype=f64)
    return precision._Answer(value * one, gradient * one[:, None], frozenset(asked))


@pytest.mark.parametrize(("move", "asked", "sealed"), [
    (30 * 2**-23, f32, False), (900 * 2**-23, f32, False), (1200 * 2**-23, f32, True), (0.2, bf16, False), (0.4, bf16, True),
    (0.4, f32, True),
])  # fmt: skip
def test_a_twin_farther_off_than_rounding_is_another(move: float, asked: torch.dtype, sealed: bool) -> None:
    for told in (answer(1.0), answer(1.0 + move)):
        other = answer(1.0 if float(told.value[0]) != 1.0 else 1.0 / (1.0 + move), asked)
        found = precision._unopened(other, told)
        assert (found is not None) is sealed, (float(told.value[0]), found)
    assert precision._unopened(answer(1.0 + move), answer(1.0)) is None, "nothing was asked for"
    assert precision._unopened(answer(1.0, asked), None) is None


@pytest.mark.parametrize(("share", "found"), [(8 * 2**-52, []), (1e4 * 2**-52, [f32]), (1.0, [f32])])
def test_a_cast_matters_beyond_sixty_four_roundoffs(share: float, found: list[torch.dtype]) -> None:
    """The float32 part of each answer is off by about 3e-8 of itself."""
    cast = Objective.of(
        lambda f, y: rows(f, y) * (1 + share * (f.detach().float().double() / f.detach() - 1) * 2**24),
        REAL,
        name="loss",
    )
    output, target = drawn_batch(REAL, 37)
    twin = precision._answer(cast, output, target, f64)
    assert twin is not None
    assert precision._matter(cast, output, target, f64, twin) == found


def test_two_casts_of_which_one_matters() -> None:
    def loss(f: Tensor, y: Tensor) -> Tensor:
        return rows(f.float().double(), y) * (y > 0).half().double()

    output, target = drawn_batch(REAL, 37)
    objective = Objective.of(loss, REAL)
    twin = precision._answer(objective, output, target, f64)
    assert twin is not None
    assert twin.asked == {f32, f16}
    assert precision._matter(objective, output, target, f64, twin) == [f32]


def test_an_answer_that_is_not_finite_or_raises_is_none() -> None:
    output, target = drawn_batch(REAL, 5)
    for loss in (lambda f, y: rows(f, y) * torch.inf, lambda f, y: torch.sqrt(0 * rows(f, y)), lambda *_: 1 / 0):
        assert precision._answer(Objective.of(loss, REAL, name="loss"), output, target) is None
    found = precision._answer(Objective.of(rows, REAL), output, target)
    assert found is not None
    torch.testing.assert_close(found.value, rows(output, target))
    assert (found.gradient.shape, found.asked) == ((5, 1), frozenset())


def as_float32(keep: float, moved: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A kernel that no dispatch sees: a share of the rows is computed of the output as float32 has it; the others,
        but for a share
    that moves with it, of the output to three digits."""

    def loss(f: Tensor, y: Tensor) -> Tensor:
        own, count = f.detach().numpy(), len(f)
        low = torch.from_numpy(own.astype("float32").astype("float64"))
        coarse = torch.from_numpy(own.round(3))
        place = torch.arange(count) / count
        seen = torch.where(place < moved, torch.where(place < keep, low, f.detach()), coarse)
        return rows(seen, y) + 0 * f

    return loss


@pytest.mark.parametrize(("keep", "moved", "sealed"), [(1.0, 1.0, f32), (0.9, 1.0, f32), (1.0, 0.3, None)])
def test_most_rows_stay_and_some_move_where_a_kernel_computes_in_float32(
    keep: float, moved: float, sealed: Any
) -> None:
    output, target = drawn_batch(REAL, 37)
    assert precision._sealed_in(Objective.of(as_float32(keep, moved), REAL), output, target) == sealed
    inside = looked_into(Objective.of(as_float32(keep, moved), REAL)).inside
    assert inside == (
        Inside() if sealed is None else Inside(f32, False, "no dispatch sees what its kernel computes in")
    )
