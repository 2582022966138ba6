"""How an objective is wrapped, called and reduced, and what an offset adds: each case alone, on a few rows made by hand."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlnn import objectives as o
from mlnn.errors import ConfigError
from mlnn.likelihoods import Normal
from mlnn.objectives import Objective
from mlnn.objectives.layout import Layout
from mlnn.objectives.objective import _beside, all_finite
from mlnn.objectives.offset import added, moved
from mlnn.objectives.partners import likelihood_of
from mlnn.objectives.promotion import Inside
from mlnn.signature import OneOutput, Real
from mlnn.targets import TargetSpace

f32, f64 = torch.float32, torch.float64
BINARY, REAL, CLASSES, IGNORING = (
    TargetSpace.parse(name) for name in ("binary", "real", "classes(3)", "classes(3, ignore=-1)")
)


def rows(f: Tensor, y: Tensor) -> Tensor:
    return (f - y) ** 2


def one_output(output: OneOutput, target: Real) -> Tensor:
    return (output - target) ** 2


def f64s(*given: Any) -> Tensor:
    return torch.tensor(given, dtype=f64)


@pytest.mark.parametrize(
    ("given", "name"), [(rows, "rows"), (partial(rows), "rows"), (nn.MSELoss(), "MSELoss"), (Normal(), "Normal")]
)
def test_an_objective_is_called_by_its_own_name_or_by_one_it_is_given(given: Any, name: str) -> None:
    assert Objective.of(given, REAL).name == name
    assert Objective.of(given, REAL, name="mine").name == "mine"


@pytest.mark.parametrize(("given", "space", "more", "words"), [
    (rows, REAL, {"outputs": "odd"}, "unknown kind of outputs 'odd'"), (nn.MSELoss, REAL, {}, "MSELoss is a class"),
    (nn.Linear(2, 1), REAL, {}, "has weights of its own"), (3, REAL, {}, "3 is neither callable"),
    (o.poisson_nll, REAL, {}, "objective 'poisson_nll': takes counts targets"),
    (o.poisson_nll, REAL, {"name": "mine"}, "objective 'mine': takes"),
    (o.gaussian_nll, TargetSpace("real", raw=3), {}, "objective 'gaussian_nll': reads 2 raw outputs per position"),
    (o.gaussian_nll, TargetSpace("real", raw=3), {"name": "mine"}, "objective 'mine': reads 2"),
    (one_output, TargetSpace("real", raw=2), {}, "reads 1 raw output per position"),
])  # fmt: skip
def test_what_is_no_objective_is_refused(given: Any, space: TargetSpace, more: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Objective.of(given, space, **more)


def test_what_an_objective_reads_is_told_by_its_signature_or_by_the_space() -> None:
    frozen = nn.Linear(2, 1).requires_grad_(False)
    assert Objective.of(frozen, REAL).name == "Linear"
    for given, space, raw in ((o.gaussian_nll, REAL, 2), (o.gaussian_nll, TargetSpace("real", raw=2), 2), (rows, REAL, None),
                              (rows, TargetSpace("real", raw=2), 2), (one_output, REAL, 1)):  # fmt: skip
        assert Objective.of(given, space).targets.raw == raw
    assert Objective.of(o.mse, REAL).outputs == "raw"
    made = Objective.of(rows, REAL)
    assert Objective.of(made, BINARY) is made


def needs(f: Tensor, y: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    return (f - y) * weight * mask


@pytest.mark.parametrize(("extras", "words"), [
    ({}, "it needs mask, weight beside output and target, and of the data's extras they have none; .*'mask': "),
    ({"weight": torch.ones(4), "row": torch.ones(4)}, "it needs mask beside .*they have weight, row; "),
])  # fmt: skip
def test_an_extra_that_is_not_there_is_named(extras: dict[str, Tensor], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Objective.of(needs, REAL).over(Layout((), extras, torch.zeros(4)))
    every = {"weight": torch.ones(4), "mask": torch.ones(4)}
    assert Objective.of(needs, REAL).over(Layout((), every, torch.zeros(4))).layout.extras == every


def takes_offset(f: Tensor, y: Tensor, offset: Tensor) -> Tensor:
    return f - y + offset[:, 0]


@pytest.mark.parametrize(("function", "space", "shape", "fits"), [
    (rows, REAL, (4,), True), (rows, REAL, (4, 2), False), (takes_offset, REAL, (4, 2), True), (rows, CLASSES, (4,), False),
    (rows, CLASSES, (4, 3), True),
    (rows, TargetSpace("real", raw=2), (4,), True), (rows, TargetSpace("real", raw=2), (4, 3), False),
    (rows, TargetSpace.parse("real(2)"), (4, 2), True),
])  # fmt: skip
def test_an_offset_that_does_not_fit_is_refused_at_once(
    function: Any, space: TargetSpace, shape: tuple[int, ...], fits: bool
) -> None:
    target = torch.zeros(4, 2) if space.event else torch.zeros(4)
    layout = Layout((), {"offset": torch.ones(shape)}, target)
    if fits:
        Objective.of(function, space).over(layout)
    else:
        with pytest.raises(ConfigError, match="an offset of shape"):
            Objective.of(function, space).over(layout)
    Objective.of(function, space).over(replace(layout, targets=None))
    Objective.of(lambda f, y, weight: rows(f, y) * weight, space).over(Layout((), {"weight": torch.ones(4)}, target))


@pytest.mark.parametrize(("space", "output", "offset", "found"), [
    (REAL, [1, 2], [10, 20], [11, 22]), (REAL, [1, 2], [[10], [20]], [11, 22]),
    (REAL, [[1, 2], [3, 4]], [10, 20], [[11, 12], [23, 24]]),
    (REAL, [[1, 2, 3], [3, 4, 5]], [[10, 20, 30], [0, 0, 0]], [[11, 22, 33], [3, 4, 5]]),
    (REAL, [1, 2], [[10, 20]], "one number a row"),
    (TargetSpace("real", raw=2), [[1, 2], [3, 4]], [10, 20], [[11, 2], [23, 4]]),
    (TargetSpace("real", raw=2), [[1, 2], [3, 4]], [[10, 20], [0, 1]], [[11, 22], [3, 5]]),
    (TargetSpace("real", raw=2), [[[1, 2], [3, 4], [5, 6]]], [10], [[[11, 2], [13, 4], [15, 6]]]),
    (TargetSpace("real", raw=2), [[[1, 2], [3, 4], [5, 6]]], [[10, 20, 30]], [[[11, 2], [23, 4], [35, 6]]]),
    (CLASSES, [[1, 2, 3], [4, 5, 6]], [10, 20], "one for each of them"), (CLASSES, [[1, 2, 3]], [[10, 20, 30]], [[11, 22, 33]]),
    (TargetSpace.parse("real(2)"), [[1, 2], [3, 4]], [10, 20], "one for each of them"),
    (REAL, [1, 2], [10, 20, 30], "one number a row"),
])  # fmt: skip
def test_what_an_offset_adds(space: TargetSpace, output: Any, offset: Any, found: Any) -> None:
    given = f64s(*output), torch.tensor(offset, dtype=f32)
    if isinstance(found, str):
        with pytest.raises(ConfigError, match=found):
            moved(*given, space)
    else:
        assert moved(*given, space).tolist() == found
        assert moved(*given, space).dtype == f64


@pytest.mark.parametrize(("takes", "extras", "adds"), [
    (frozenset(), {"offset"}, True), (frozenset({"weight"}), {"offset"}, True), (frozenset({"offset"}), {"offset"}, False),
    (None, {"offset"}, False), (frozenset(), {"weight"}, False), (frozenset(), set(), False),
])  # fmt: skip
def test_when_an_offset_is_added_for_an_objective(takes: Any, extras: set[str], adds: bool) -> None:
    assert added(takes, dict.fromkeys(extras, torch.ones(1))) is adds


def test_an_objective_is_given_the_extras_that_it_takes() -> None:
    seen: list[set[str]] = []

    def any_of_them(f: Tensor, y: Tensor, **extras: Tensor) -> Tensor:
        seen.append(set(extras))
        return f - y

    def mask_alone(f: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        seen.append({"mask"})
        return (f - y) * mask

    z = torch.zeros(2)
    for function in (any_of_them, mask_alone):
        Objective.of(function, REAL).rows(z, z, mask=z, weight=z)
    assert seen == [{"mask", "weight"}, {"mask"}]
    plain = Objective.of(rows, REAL)
    assert plain.rows(f64s(1, 2), f64s(0, 0), offset=f64s(1, 1)).tolist() == [4, 9]
    proper = Objective.of(lambda p, _: p, BINARY, "probabilities")
    assert proper.rows(f64s(0.0), f64s(1.0)).tolist() == [0.5]


def test_rows_that_lie_where_an_objective_is_called_stay_there() -> None:
    here = replace(Objective.of(rows, REAL), device=torch.device("cpu"))
    assert here.rows(f64s(1, 2), f64s(0, 0)).tolist() == [1, 4]


@pytest.mark.parametrize(("function", "words"), [
    (lambda f, _: f.sum().item(), "returned float, not a tensor"), (lambda f, _: f.long(), "returned int64 numbers"),
    (lambda f, _: f.to_sparse(), "returned sparse or nested numbers"),
    (lambda f, _: f.long().to_sparse(), "returned sparse or nested numbers"),
    (lambda f, _: f[:3], r"returned shape \(3,\) for output \(4,\) and target \(4,\); one value per row \(4,\) or a scalar"),
])  # fmt: skip
def test_an_answer_of_another_kind_is_refused(function: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Objective.of(function, REAL, name="loss").rows(torch.ones(4), torch.zeros(4))


@pytest.mark.parametrize(("space", "output", "target", "answer", "found"), [
    ("real", (4,), (4,), (4,), (4,)), ("real", (4,), (4,), (), ()), ("real", (4, 5), (4, 5), (4,), (4,)), ("real", (4, 5),
    (4, 5), (20,), (4, 5)),
    ("real", (4, 5), (4, 5), (4, 5), (4, 5)), ("real", (4, 5), (4, 5), (5, 4), None), ("real", (4, 5), (4, 5), (5,), None),
    ("real(3)", (4, 3), (4, 3), (4,), (4,)), ("real(3)", (4, 3), (4, 3), (4, 3), (4, 3)), ("real(3)", (4, 3), (4, 3),
    (12,), None),
    ("real(3)", (4, 2, 3), (4, 2, 3), (4, 2), (4, 2)), ("real(3, axis=1)", (4, 2, 3), (4, 2, 3), (4, 3, 2), (4, 2, 3)),
    ("real(3, axis=1)", (4, 2, 3), (4, 2, 3), (4, 2, 3), None), ("classes(3, axis=1)", (4, 2, 3), (4, 2), (4, 2), (4, 2)),
    ("classes(3)", (4, 3), (4,), (4, 3), None),
])  # fmt: skip
def test_an_answer_has_a_number_per_row_or_position_or_part(
    space: str, output: Any, target: Any, answer: Any, found: Any
) -> None:
    targets = TargetSpace.parse(space)
    given: list[tuple[Any, Any]] = []

    def loss(f: Tensor, y: Tensor) -> Tensor:
        given.append((tuple(f.shape), tuple(y.shape)))
        return torch.ones(answer)

    objective = Objective.of(loss, targets, name="loss")
    y = torch.zeros(target, dtype=torch.int64 if targets.labels else f32)
    if found is None:
        with pytest.raises(ConfigError, match="did it broadcast"):
            objective.rows(torch.ones(output), y)
    else:
        assert objective.rows(torch.ones(output), y).shape == found
    at = (0, 2, 1) if targets.axis else range(len(output))
    assert given[0] == (tuple(output[k] for k in at), tuple(target[k] for k in at) if targets.event else target)


def test_the_shape_that_was_wanted_is_said() -> None:
    objective = Objective.of(lambda f, _: f[:3], REAL, name="loss")
    with pytest.raises(ConfigError, match=r"one value per position \(4, 5\) or a scalar"):
        objective.rows(torch.ones(4, 5), torch.zeros(4, 5))


def test_the_value_of_a_batch_is_the_mean_over_what_is_kept() -> None:
    z, y = torch.zeros(2, 2, 3, dtype=f64), torch.tensor([[0, -1], [2, -1]])
    each = f64s([1.0, 100.0], [3.0, 100.0])
    objective = Objective.of(lambda f, _: each + 0 * f.sum(), IGNORING, name="loss")
    assert float(objective(z, y)) == 2.0
    assert float(replace(objective, targets=CLASSES)(z, y)) == 51.0
    assert float(Objective.of(lambda f, _: 7 + 0 * f.sum(), IGNORING, name="loss")(z, y)) == 7.0
    assert float(Objective.of(lambda f, _: f64s(1.0, 3.0) + 0 * f.sum(), IGNORING, name="loss")(z, y)) == 2.0


def test_a_raw_output_that_is_not_finite_has_no_loss_and_is_not_asked() -> None:
    asked: list[int] = []

    def loss(f: Tensor, y: Tensor) -> Tensor:
        asked.append(1)
        return rows(f, y)

    z = f64s(1.0, math.inf).requires_grad_()
    value = Objective.of(loss, REAL)(z, f64s(0.0, 0.0))
    assert math.isnan(value.item())
    assert asked == []
    for given, finite in (
        ([1.0, 2.0], True),
        ([1e308, 1e308], True),
        ([1.0, math.inf], False),
        ([math.nan, 1.0], False),
        ([], True),
    ):
        assert all_finite(f64s(*given)) is finite


def test_a_module_is_copied_where_its_buffers_are_of_another_float() -> None:
    module = nn.CrossEntropyLoss(weight=torch.ones(3))
    assert _beside(module, torch.zeros(2, dtype=f32)) is module
    double = _beside(module, torch.zeros(2, dtype=f64))
    assert double is not module
    assert double.weight.dtype == f64  # type: ignore[attr-defined]
    assert _beside(rows, torch.zeros(2, dtype=f64)) is rows
    plain = nn.MSELoss()
    assert _beside(plain, torch.zeros(2, dtype=f64)) is plain


@pytest.mark.parametrize(("inside", "dtype", "default"), [
    (None, f64, f32), (Inside(), f64, f32), (Inside(promotes=True), f64, f64), (Inside(promotes=True), f32, f32),
])  # fmt: skip
def test_the_twin_in_float64_is_promoted_where_it_has_to_be(
    inside: Any, dtype: torch.dtype, default: torch.dtype
) -> None:
    with replace(Objective.of(rows, REAL), inside=inside).twin(dtype):
        assert torch.get_default_dtype() == default


@pytest.mark.parametrize(("objective", "likelihood"), [
    (Objective.of(Normal(2.0), REAL), "Normal"), (Objective.of(o.mse, REAL), "Normal"),
    (Objective.of(o.bce, BINARY), "Bernoulli"),
    (Objective.of(partial(o.huber, delta=2.0), REAL), "HuberDensity"), (Objective.of(rows, REAL), None),
    (Objective.of(o.bce, BINARY, "probabilities"), None), (Objective.of(o.hinge, BINARY), None),
    (Objective.of(Normal().nll, REAL), "Normal"),
    (Objective.of(nn.MSELoss(), REAL), None),
])  # fmt: skip
def test_which_likelihood_stands_behind_an_objective(objective: Objective, likelihood: str | None) -> None:
    found = likelihood_of(objective)
    assert (None if found is None else type(found).__name__) == likelihood
    if likelihood == "HuberDensity":
        assert found.numbers == {"delta": 2.0}  # type: ignore[union-attr]
