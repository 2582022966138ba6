"""Where a domain ends, and what is judged inside it: on agreements made by hand, on both sides of each line."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from objective_cases import BINARY, binary
from torch import Tensor

from mlnn.comparing import domain as module
from mlnn.comparing.differences import Both
from mlnn.comparing.domain import ALL, _end, _pointwise, find_domain, is_wide, judged_rows, meet, remembered
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.objectives.grid import Curves, Grid

f32, f64, half = torch.float32, torch.float64, torch.bfloat16


def line(*strengths: float, targets: int = 2) -> Grid:
    strength = torch.tensor(strengths, dtype=f64)
    return Grid(
        strength, strength.clone(), torch.arange(targets, dtype=f64), torch.zeros(len(strength), dtype=torch.int64)
    )


@pytest.mark.parametrize(("low", "high", "wide"), [
    (-1.0, 1.0, True), (-0.99, 5.0, False), (-5.0, 0.99, False), (-math.inf, math.inf, True), (-1.01, 1.01, True),
])  # fmt: skip
def test_a_domain_reaches_one_in_both_directions(low: float, high: float, wide: bool) -> None:
    assert is_wide({0.0: (low, high)}) is wide
    assert is_wide({0.0: (low, 9.0), 1.0: (-9.0, high)}) is wide
    assert meet({0.0: (low, 9.0), 1.0: (-9.0, high)}) == (max(low, -9.0), min(high, 9.0))


def test_what_is_judged_lies_in_the_domain_or_is_moderate_where_there_is_none() -> None:
    grid = line(-5.0, -4.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    inside = judged_rows(grid, {0.0: (-2.0, 5.0), 1.0: (-9.0, 3.0)})
    assert grid.strength[inside[:, 0]].tolist() == [-2.0, -1.0, 1.0, 2.0, 3.0]
    moderate = judged_rows(grid, {0.0: (-0.5, 5.0), 1.0: (-9.0, 3.0)})
    assert grid.strength[moderate[:, 0]].tolist() == [-4.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(("bad", "sign", "end"), [
    ((), 1.0, math.inf), ((), -1.0, -math.inf), ((4.0,), 1.0, 3.0), ((4.0,), -1.0, -math.inf), ((-4.0,), -1.0, -3.0),
    ((0.5,), 1.0, 0.0), ((2.0,), 1.0, 0.5), ((2.0, 8.0), 1.0, 0.5), ((0.0,), 1.0, 0.0), ((0.0,), -1.0, 0.0),
])  # fmt: skip
def test_an_end_is_sought_between_the_last_that_agrees_and_the_first_that_does_not(
    bad: Sequence[float], sign: float, end: float
) -> None:
    """Of points at ±0.5, ±2, ±4, ±8, and at 0 where it is bad; all raw outputs up to 3 agree in between, or none do."""
    points = line(*sorted({-8.0, -4.0, -2.0, -0.5, 0.5, 2.0, 4.0, 8.0, *bad}))
    agree = torch.tensor([strength not in bad for strength in points.strength.tolist()])
    asked: list[float] = []

    def agrees(output: Tensor, column: int) -> bool:
        asked.append(float(output))
        assert column == 1
        return float(output.abs()) <= 3.0 and 2.0 not in bad

    found = _end(points, agree, 1, sign, agrees)
    assert found == pytest.approx(end, abs=1e-3)
    assert all(0.5 < sign * place < 4.0 for place in asked)


def test_along_several_rays_an_end_is_sought_on_the_ray_that_parts() -> None:
    """Ray 1 parts at 4, where its last point that agrees is 1; ray 0 agrees up to 3."""
    strength, ray = torch.tensor([1.0, 3.0, 8.0, 1.0, 4.0], dtype=f64), torch.tensor([0, 0, 0, 1, 1])
    ways = torch.eye(2, dtype=f64)[ray]
    points = Grid(strength, strength[:, None] * ways, torch.zeros(1, dtype=f64), ray)
    asked: list[list[float]] = []

    def agrees(output: Tensor, _column: int) -> bool:
        asked.append(output.tolist())
        return float(output.max()) < 2.0

    agree = torch.tensor([True, True, False, True, False])
    assert _end(points, agree, 0, 1.0, agrees) == pytest.approx(2.0, abs=1e-3)
    assert asked[0] == [0.0, 2.5]
    assert all(place[0] == 0.0 for place in asked)
    alone = replace(points, strength=strength[[0, 4]], output=points.output[[0, 4]], ray=ray[[0, 4]])
    assert _end(alone, torch.tensor([True, False]), 0, 1.0, agrees) == pytest.approx(2.0, abs=1e-3), "from 0 on its ray"


class Agreeing(Both):
    """Two sides that agree where they are said to."""

    def agreement(self, _dtype: torch.dtype) -> Tensor:
        return self.told  # type: ignore[attr-defined,no-any-return]


def domain_of(grid: Grid, told: Tensor, edges: tuple[float, float], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(
        module, "_pointwise", lambda *_: lambda output, column: bool(output.abs().max() <= edges[column])
    )
    both = Agreeing(grid, {}, {})
    object.__setattr__(both, "told", told)
    side = binary(bce)
    return find_domain(both, side, side, f32)


def test_each_target_has_an_interval_and_several_outputs_have_one_radius(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = line(-8.0, -4.0, -1.0, 1.0, 4.0, 8.0)
    told = torch.ones(6, 2, dtype=torch.bool)
    assert domain_of(grid, told, (0.0, 0.0), monkeypatch) == {0.0: ALL, 1.0: ALL}
    told[0, 0] = told[4, 1] = told[5, 1] = False
    found = domain_of(grid, told, (6.0, 2.0), monkeypatch)
    assert found[0.0] == (pytest.approx(-6.0, abs=1e-2), math.inf)
    assert found[1.0] == (-math.inf, pytest.approx(2.0, abs=1e-2))
    several = replace(grid, output=grid.strength[:, None] * torch.ones(2, dtype=f64))
    for edges, radius in (((6.0, 2.0), 2.0), ((5.0, 9.0), 4.0)):
        found = domain_of(several, told, edges, monkeypatch)
        assert found == {
            label: (pytest.approx(-radius, abs=1e-2), pytest.approx(radius, abs=1e-2)) for label in (0.0, 1.0)
        }


def test_a_point_is_asked_with_its_neighbours_in_the_precisions_that_judge_it() -> None:
    sides = binary(bce), binary(bernoulli_nll_log1p)
    asked: list[tuple[Tensor, torch.dtype]] = []

    def ask(_side: Any, grid: Grid, dtype: torch.dtype) -> Curves:
        asked.append((grid.output, dtype))
        return Curves(torch.ones(3, 2, dtype=f64), torch.ones(3, 2, 1, dtype=f64))

    both = Both(line(-1.0, 1.0, 2.0, 3.0), {}, {})
    zeros = torch.zeros(4, 2, dtype=f64)
    for alone, dtype, wanted in (
        (False, half, {half, f64}), (True, half, {half, f64, f32}), (False, f64, {f64, f32}), (False, f32, {f64, f32}),
    ):  # fmt: skip
        asked.clear()
        seen = replace(both, nulls=(zeros, zeros)) if alone else both
        assert _pointwise(seen, *sides, dtype, ask)(torch.tensor(2.0, dtype=f64), 1)
        assert {name for _, name in asked} == wanted
        assert all(output.tolist() == pytest.approx([1.998, 2.0, 2.002], abs=1e-12) for output, _ in asked)


def test_a_grid_is_asked_once_of_each_side_in_each_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        module, "curves", lambda side, grid, dtype: asked.append(f"{side.name} {len(grid.output)} {dtype}")
    )
    ask, one, two = remembered(), binary(bce), binary(bernoulli_nll_log1p)
    grids = line(1.0, 2.0), line(1.0, 3.0)
    for side, grid, dtype in ((one, grids[0], f32), (two, grids[0], f32), (one, grids[1], f32), (one, grids[0], f64)):
        for _ in range(2):
            ask(side, grid, dtype)
    assert len(asked) == 4
    assert one.targets == BINARY
