"""Spaces whose targets are several numbers, or labels in an order: their tables, draws and links, number by number."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mlnn.errors import ConfigError, DataError
from mlnn.seeding import generator
from mlnn.targets import TargetSpace
from mlnn.targets.events import drawn_kept

f64 = torch.float64
THIRD = 1 / 3


def numbers(*rows: Any) -> Tensor:
    return torch.tensor(rows, dtype=f64)


POINTS: dict[str, tuple[Any, Any]] = {
    "multilabel(4)": (
        [[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 1, 0]], [[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0]],
    ),
    "simplex(2)": ([[1, 0], [0.5, 0.5], [0.95, 0.05], [THIRD, 2 * THIRD]], [[0.5, 0.5], [0.95, 0.05], [THIRD, 2 * THIRD]]),
    "real(3)": ([[0, 0, 0], [-2.53, 0.71, -2.53], [10.3, 0.4, -1.7]], [[0, 0, 0], [-11.2, 0.71, 35.7]]),
    "ordinal(5)": ([0, 1, 2, 4], [0, 1, 2, 3, 4]),
    "classes(6)": ([0, 1, 2, 3], [0, 1, 2, 3, 4, 5]),
}  # fmt: skip


@pytest.mark.parametrize("name", POINTS)
def test_the_points_at_which_targets_of_several_numbers_are_looked_at(name: str) -> None:
    space, (probed, wide) = TargetSpace.parse(name), POINTS[name]
    torch.testing.assert_close(space.probe_points.double(), torch.tensor(probed, dtype=f64))
    torch.testing.assert_close(space.wide_points.double(), torch.tensor(wide, dtype=f64), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("name", "means"), [
    ("binary", (0, 1)), ("classes(3)", (0, 1)), ("unit", (0, 1)), ("multilabel(2)", (0, 1)), ("simplex(2)", (0, 1)),
    ("ordinal(3)", (0, 1)), ("counts", (0, math.inf)), ("positive", (0, math.inf)), ("real", (-math.inf, math.inf)),
    ("real(2)", (-math.inf, math.inf)),
])  # fmt: skip
def test_the_ends_of_what_a_mean_may_be(name: str, means: tuple[float, float]) -> None:
    assert TargetSpace.parse(name).facts.means == means


@pytest.mark.parametrize(("name", "uniform", "drawn"), [
    ("binary", [0.0, 0.49, 0.51, 0.99], [1, 1, 0, 0]), ("multilabel(2)", [[0.49, 0.51]], [[1, 0]]),
    ("classes(3)", [0.0, 0.3, 0.34, 0.99], [0, 0, 1, 2]), ("ordinal(3)", [0.0, 0.3, 0.34, 0.99], [0, 0, 1, 2]),
    ("real", [0.0, 0.5, 1.0], [-1, 0.5, 2]), ("real(2)", [[0.0, 0.5]], [[-1, 0.5]]),
    ("counts", [0.0, 0.16, 0.17, 0.99], [0, 0, 1, 5]),
    ("positive", [0.0, 0.5], [0.1, 1.6]), ("unit", [0.0, 0.4], [0, 0.4]),
    ("simplex(2)", [[0.0, 0.5], [0.75, 0.5]], [[0, 1], [2 * THIRD, THIRD]]),
])  # fmt: skip
def test_what_is_drawn_from_uniform_numbers(name: str, uniform: Any, drawn: Any) -> None:
    found = TargetSpace.parse(name).facts.draw(torch.tensor(uniform, dtype=f64))
    torch.testing.assert_close(found.double(), torch.tensor(drawn, dtype=f64))


@pytest.mark.parametrize(("name", "output", "uniform", "noise", "followed"), [
    ("binary", [[0.0], [0.0]], [0.49, 0.51], [[0.0], [0.0]], [1, 0]),
    ("multilabel(2)", [[1.0, 1.0]], [0.5], [[-0.9, -1.1]], [[1, 0]]),
    ("classes(3)", [[0.0, 1.0, 0.5]], [0.5], [[0.0, 0.0, 0.6]], [2]), ("ordinal(3)", [[1.0, 1.0]], [0.5], [[-0.9, -0.8]], [2]),
    ("real", [[2.0]], [0.5], [[-1.0]], [1.7]), ("real(2)", [[2.0, 0.0]], [0.5], [[-1.0, 1.0]], [[1.7, 0.3]]),
    ("positive", [[2.0]], [0.5], [[-1.0]], [math.exp(0.7)]), ("unit", [[2.0]], [0.5], [[-2.0]], [0.5]),
    ("simplex(2)", [[2.0, 0.0]], [0.5], [[-2.0, 0.0]], [[0.5, 0.5]]),
])  # fmt: skip
def test_what_follows_raw_outputs(name: str, output: Any, uniform: Any, noise: Any, followed: Any) -> None:
    given = (torch.tensor(part, dtype=f64) for part in (output, uniform, noise))
    found = TargetSpace.parse(name).facts.follow(*given, generator(0, "test"))
    torch.testing.assert_close(found.double(), torch.tensor(followed, dtype=f64))


def test_counts_follow_the_root_of_the_rate() -> None:
    output = torch.full((4000, 1), 4.0, dtype=f64)
    followed = TargetSpace("counts").follow(output, generator(0, "test"))
    assert float(followed.mean()) == pytest.approx(math.exp(2), rel=0.05)


@pytest.mark.parametrize(("name", "target", "inside"), [
    ("multilabel(2)", [[0.0, 1.0]], True), ("multilabel(2)", [[0.0, 0.5]], False), ("multilabel(2)", [[-1.0, 1.0]], False),
    ("simplex(2)", [[0.4, 0.6]], True), ("simplex(2)", [[0.0, 1.0]], True), ("simplex(2)", [[1.1, -0.1]], False),
    ("simplex(2)", [[0.4, 0.5]], False), ("simplex(2)", [[0.4, 0.7]], False), ("ordinal(3)", [0, 1, 2], True),
    ("ordinal(3)", [3], False),
    ("ordinal(3)", [-1], False), ("ordinal(3)", [0.5], False), ("real(2)", [[0.0, math.inf]], False),
    ("real(2)", [[0.0, 1.0]], True),
    ("real(2)", [[0.0, 1.0, 2.0]], False), ("real(2)", 1.0, False), ("classes(3, ignore=-100)", [0, -100], True),
    ("classes(3, ignore=-100)", [0, -99], False), ("simplex(2)", [[math.nan, 1.0]], False),
])  # fmt: skip
def test_which_targets_a_space_holds(name: str, target: Any, inside: bool) -> None:
    space, given = TargetSpace.parse(name), torch.tensor(target, dtype=f64)
    if inside:
        space.check(given)
        return
    with pytest.raises(DataError):
        space.check(given)


@pytest.mark.parametrize(("target", "words"), [
    ([0.0, 2.0], r"y: row 1 holds 2.0, which is not in the target space 'binary' \(1 such row of 2\)"),
    ([3.0, 2.0], r"y: row 0 holds 3.0, .* \(2 such rows of 2\)"),
    ([[0.0, 2.0]], r"row 0, position 1 holds 2.0, .* \(1 such target of 2\)"),
    (2.0, r"the only target holds 2.0, .* \(1 such target of 1\)"),
])  # fmt: skip
def test_the_first_target_outside_is_named(target: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        TargetSpace("binary").check(torch.tensor(target))


def test_a_fifth_of_what_may_be_ignored_is() -> None:
    plain = drawn_kept(torch.zeros(5000, dtype=torch.int64), -7, generator(0, "test"))
    assert plain[0] == 0
    assert float((plain == -7).double().mean()) == pytest.approx(0.2, abs=0.02)
    rows = drawn_kept(torch.zeros(1000, 5, dtype=torch.int64), -7, generator(0, "test"))
    assert bool((rows[:, -1] == 0).all())
    assert float((rows[:, :-1] == -7).double().mean()) == pytest.approx(0.2, abs=0.03)
    first = [int(drawn_kept(torch.zeros(2, dtype=torch.int64), -7, generator(seed, "test"))[0]) for seed in range(40)]
    assert set(first) == {0}, "a batch of plain rows keeps its first"
    space = TargetSpace("classes", 3, ignore=-7)
    assert bool((space.draw(generator(0, "test"), (500,)) == -7).any())
    assert bool((space.follow(torch.zeros(500, 3, dtype=f64), generator(0, "test")) == -7).any())
    assert not bool(
        (TargetSpace("classes", 3).follow(torch.zeros(500, 3, dtype=f64), generator(0, "test")) == -7).any()
    )


@pytest.mark.parametrize(("settings", "words"), [
    ({"kind": "nope"}, "unknown target space 'nope'"), ({"kind": "binary", "classes": 3}, "'binary' with classes=3"),
    ({"kind": "classes", "classes": 1}, "classes"), ({"kind": "real", "raw": 0}, "raw"),
    ({"kind": "real", "axis": 1}, "axis=1 with 'real'"),
    ({"kind": "real", "classes": 2, "ignore": 1}, "only labels can be ignored"),
])  # fmt: skip
def test_a_space_that_cannot_be_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TargetSpace(**settings)


@pytest.mark.parametrize(("text", "words"), [
    ("binary(2)", "classes are written"), ("classes", "K ≥ 2"), ("classes(1)", "K ≥ 2"), ("real(1)", "K ≥ 2"),
    ("nope", "unknown"),
    ("classes(3, ignore=1, ignore=2)", "says ignore more than once"), ("classes(3", "unknown"),
])  # fmt: skip
def test_what_is_written_and_is_no_space(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TargetSpace.parse(text)


@pytest.mark.parametrize(("text", "outputs", "event", "finite", "labels", "countable", "line"), [
    ("binary", 1, (), True, False, False, False), ("classes(3)", 3, (), True, True, False, False),
    ("classes(3, ignore=-1, axis=1)", 3, (), True, True, False, False), ("ordinal(4)", 3, (), True, True, False, False),
    ("counts", 1, (), False, False, True, False), ("counts(raw=2)", 2, (), False, False, True, False),
    ("real", 1, (), False, False, False, True), ("real(raw=2, axis=1)", 2, (), False, False, False, True),
    ("real(3)", 3, (3,), False, False, False, True), ("real(2, axis=1)", 2, (2,), False, False, False, True),
    ("multilabel(3)", 3, (3,), False, False, False, False), ("unit", 1, (), False, False, False, False),
])  # fmt: skip
def test_what_follows_from_a_name(
    text: str, outputs: int, event: tuple[int, ...], finite: bool, labels: bool, countable: bool, line: bool
) -> None:
    space = TargetSpace.parse(text)
    assert str(space) == text.replace("raw=2, axis=1", "axis=1, raw=2")
    told = (space.outputs, space.event, space.finite, space.labels, space.countable, space.whole_line)
    assert told == (outputs, event, finite, labels, countable, line)
    assert space.cast(torch.ones(2), torch.float32).dtype == (torch.int64 if labels else torch.float32)


def test_which_positions_count_and_where_several_numbers_lie() -> None:
    space = TargetSpace("classes", 3, ignore=-1, axis=1)
    assert space.kept(torch.tensor([[0, -1, 2]])).tolist() == [[True, False, True]]  # type: ignore[union-attr]
    assert TargetSpace("classes", 3).kept(torch.tensor([0])) is None
    rows, flat = torch.arange(24.0).reshape(2, 4, 3), torch.zeros(2, 3)
    assert space.arranged(rows).shape == (2, 3, 4)
    assert space.arranged(flat) is space.canonical(flat) is flat
    assert TargetSpace("classes", 3).arranged(rows) is TargetSpace("classes", 3).canonical(rows) is rows
    assert (
        TargetSpace.parse("real(2)").positions(torch.zeros(5, 4, 2))
        == TargetSpace("real").positions(torch.zeros(5, 4))
        == (4,)
    )
    assert TargetSpace("unit").inner_points.tolist() == pytest.approx([0.1, 0.3, 0.5, 0.9, 0.999])
    assert TargetSpace("counts").inner_points.tolist() == [0, 1, 2, 3, 7, 20]
    assert TargetSpace("classes", 6).inner_points.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("name", "targets", "extreme"), [
    ("binary", [0.0, 0.5, 1.0], [True, False, True]), ("unit", [0.0, 0.5, 1.0], [True, False, True]),
    ("counts", [0.0, 1.0], [True, False]),
    ("real", [0.0, 1.0], [False, False]), ("positive", [0.1, 1.0], [False, False]), ("classes(3)", [0.0, 2.0], [True, True]),
])  # fmt: skip
def test_which_targets_grow_likelier_without_end(name: str, targets: list[float], extreme: list[bool]) -> None:
    assert TargetSpace.parse(name).extreme(numbers(*targets)).tolist() == extreme
