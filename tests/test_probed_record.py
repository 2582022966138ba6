"""What a probe's record says of itself, and which rows lie inside its domain: on records made by hand."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mlnn.comparing.batch import Whole
from mlnn.comparing.domain import ALL
from mlnn.comparing.probed import Part, Probe
from mlnn.comparing.undefined import LeftOut
from mlnn.objectives.grid import Curves, Grid
from mlnn.objectives.reduction import Reduction

STRENGTH = torch.tensor([-2.0, -0.5, 0.5, 2.0])
GRID = Grid(STRENGTH, STRENGTH, torch.zeros(1), torch.zeros(4, dtype=torch.int64))
ONE = Curves(torch.ones(4, 1), torch.ones(4, 1, 1))
WIDE, NARROW = {0.0: ALL}, {0.0: (-0.9, 9.0)}


def whole(kind: Reduction | None = None) -> Whole:
    return Whole(kind, kind, {}, 0.0, 0.0, reach=math.inf)


def found(**told: Any) -> Probe:
    named = {
        "value": Part("equal"),
        "gradient": Part("equal"),
        "domain": WIDE,
        "domain64": WIDE,
        "per_target": False,
    } | told
    return Probe(GRID, torch.float32, ONE, ONE, factor=1.0, shift={0.0: 0.0}, **named)


def test_a_probe_says_why_it_is_undecided_or_how_a_backward_pass_goes_astray() -> None:
    alone = LeftOut(torch.ones(1, 1, dtype=torch.bool), alone=True)
    kind = Reduction("sum")
    said = replace(whole(kind=kind), answered=3)
    assert [found(left_out=one).alone for one in (None, replace(alone, alone=False), alone)] == [False, False, True]
    assert str(found(upstream="left").why).startswith(
        "left's backward does not follow the upstream gradient: it is wrong"
    )
    nothing = "one row alone says nothing on either side"
    for seen in (None, whole(kind=kind), replace(whole(), answered=3)):
        assert str(found(left_out=alone, whole=seen).why).startswith(nothing)
        assert found(whole=seen).why is None
    assert found(left_out=alone, whole=said).why is None
    for which in ("value", "gradient"):
        assert str(found(**{which: Part("undecided")}).why).startswith("neither side is finite")


@pytest.mark.parametrize(("low", "high", "covered", "double"), [
    (-2.0, 3.0, True, True), (-2.5, 3.0, False, True), (-2.0, 3.5, False, True), (-1.0, 5.5, False, False),
])  # fmt: skip
def test_outputs_are_covered_where_all_of_them_lie_inside_by_their_size(
    low: float, high: float, covered: bool, double: bool
) -> None:
    seen = found(domain={0.0: (-2.0, 3.0)}, domain64={0.0: (-5.0, 5.0)})
    assert (seen.covers(low, high), seen.covers(low, high, double=True)) == (covered, double)
    assert not found(domain={0.0: (-5.0, 3.0)}).covers(-4.0, 1.0), "of several outputs the size counts"
    assert found(domain=NARROW).covers(-4.0, 99.0), "there is no domain to leave"


def inside(seen: Probe, outputs: Any, targets: Any, **how: Any) -> list[bool]:
    mask: Tensor = seen.inside(torch.tensor(outputs), torch.tensor(targets), **how)
    return mask.tolist()


def test_rows_are_inside_by_their_own_targets_or_by_the_interval_of_all() -> None:
    domain = {0.0: (-2.0, 9.0), 1.0: (-9.0, 3.0)}
    seen = found(domain=domain, domain64=dict.fromkeys(domain, (-9.0, 9.0)), ends={0.0: (None, ""), 1.0: ("", "clips")})
    outputs, targets = [-3.0, -3.0, 4.0, 4.0, -2.0, 3.0], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    assert inside(seen, outputs, targets) == [False, False, False, False, True, True]
    assert inside(replace(seen, per_target=True), outputs, targets) == [False, True, True, False, True, True]
    assert inside(seen, outputs, targets, double=True) == [True] * 6
    assert inside(seen, outputs, targets, known=True) == [True, True, False, False, True, True]
    ends64 = replace(seen, domain64=domain, ends64={0.0: ("rounds", ""), 1.0: ("", None)})
    assert inside(ends64, outputs, targets, known=True, double=True) == [False, False, True, True, True, True]
    assert inside(replace(seen, domain=NARROW), outputs, targets) == [True] * 6
    assert seen.inside(torch.zeros(0), torch.zeros(0), rows=3).tolist() == [True] * 3


def test_a_row_of_several_outputs_is_inside_by_its_largest_entry_at_every_position() -> None:
    seen = found(domain={0.0: (-2.0, 2.0)})
    assert inside(seen, [[-9.0, 1.0], [-9.0, 3.0]], [0, 1]) == [False, False]
    assert inside(seen, [[[1.0, 1.0], [1.0, 2.0]], [[1.0, 1.0], [1.0, 3.0]]], [[0, 1], [0, 1]]) == [True, False]
    assert inside(seen, [[-1.0, 1.0], [-1.0, 3.0]], [[0.0, 1.0], [0.0, 1.0]]) == [True, False]
    shared = replace(seen, event=(2,))
    assert inside(shared, [[-3.0, 1.0], [-1.0, 3.0]], [[0.0, 1.0], [0.0, 1.0]]) == [False, False]
    visited = replace(seen, visited="raw outputs × 10")
    assert inside(visited, [[-3.0, 1.0], [-1.0, 1.0]], [0.0, 0.0]) == [False, True]
