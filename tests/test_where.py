"""Where a gap lies: the entry with the largest share, and a region only where all of the gap is inside it and none outside."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from training_cases import verdict

from mlnn.comparing.explaining.reductions import reduction_of, told
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.explaining.where import clause, common_factor, locate
from mlnn.comparing.sample import Sample
from mlnn.comparing.verdict import Verdict
from mlnn.objectives import Objective, bernoulli_nll_log1p
from mlnn.targets import TargetSpace

Function = Callable[[Tensor, Tensor], Tensor]
CLASSES = TargetSpace.parse("classes(5)")
_draws = torch.Generator().manual_seed(3)
OUTPUT = 3 * torch.randn(60, 5, generator=_draws, dtype=torch.float64)
TARGET = torch.randint(0, 5, (60,), generator=_draws)


def nll(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, reduction="none")


def with_slope(change: Callable[[Tensor, Tensor], Tensor]) -> Function:
    """The right value, and a gradient p − 1{y} that is changed, as a kernel may get it wrong."""

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Tensor, y: Tensor) -> Tensor:
            ctx.save_for_backward(z, y)
            return nll(z, y)

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
            z, y = ctx.saved_tensors
            p = z.softmax(1)
            return upstream[:, None] * change(p - F.one_hot(y, z.shape[1]), y), None

    return Wrong.apply


def small_dropped(below: float) -> Function:
    def change(slope: Tensor, y: Tensor) -> Tensor:
        own = F.one_hot(y, slope.shape[1])
        return torch.where(slope + own < below, -1.0 * own, slope)

    return with_slope(change)


def scaled_where(mask: Callable[[Tensor, Tensor], Tensor], factor: float = 1.01) -> Function:
    return with_slope(lambda slope, y: torch.where(mask(slope, y), factor * slope, slope))


def place(right: Function, parts: int = 1) -> Any:
    sides = (Objective.of(one, CLASSES) for one in (nll, right))
    return locate(*sides, Sample(OUTPUT, TARGET), CLASSES, parts)


def own(slope: Tensor, y: Tensor) -> Tensor:
    return F.one_hot(y, slope.shape[1]).bool()


@pytest.mark.parametrize(
    ("right", "region"),
    [
        (small_dropped(1e-3), "probabilities below 0.001"),
        (scaled_where(lambda s, y: (y == 3)[:, None].expand_as(s)), "targets of class 3"),
        (scaled_where(lambda s, _: torch.arange(5).expand_as(s) == 2), "the outputs of class 2"),
        (scaled_where(own), "the target's own outputs"),
        (scaled_where(lambda s, y: ~own(s, y)), "the outputs of other classes"),
        (scaled_where(lambda s, _: (torch.arange(60) == 0)[:, None].expand_as(s)), "the first row"),
        (scaled_where(lambda s, _: (torch.arange(60) == 59)[:, None].expand_as(s)), "the last row"),
        (scaled_where(lambda s, _: (torch.arange(60) >= 40)[:, None].expand_as(s)), "the last micro-batch"),
        (lambda z, y: nll(z, y) * torch.where(z.softmax(1).gather(1, y[:, None])[:, 0].detach() < 1e-2, 1.1, 1.0),
         "targets with a probability below 0.01"),
        (lambda z, y: nll(z.clamp(-3.5, 3.5), y), None),  # of a row that is clipped every entry differs
        (lambda z, y: nll(1.001 * z, y), None),
        (lambda z, y: -(z.softmax(1) + 1e-10).log().gather(1, y[:, None])[:, 0], None),  # it fades: there is no bound
        (scaled_where(lambda s, _: s > -1), None),  # one factor: no gap
        (scaled_where(lambda s, _: torch.rand(s.shape, generator=torch.Generator().manual_seed(1)) < 0.5), None),
    ],
)  # fmt: skip
def test_a_region_is_named_where_the_gap_is_confined_to_it(right: Function, region: str | None) -> None:
    found = place(right, parts=3)
    assert (found.region if found else None) == region


@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_a_gap_that_leaks_out_of_a_region_is_not_confined_to_it(factor: float) -> None:
    """All rows of class 3 are off by 1 %, another row by a millionth of that."""

    def right(leak: float) -> Function:
        def change(slope: Tensor, y: Tensor) -> Tensor:
            bent = torch.where((y == 3)[:, None], 1.01 * slope, slope)
            bent[5] = bent[5] * (1 + leak)
            return factor * bent

        return with_slope(change)

    assert int(TARGET[5]) != 3
    assert place(right(0.0)).region == "targets of class 3"
    assert place(right(1e-8)).region is None


def test_the_entry_with_the_largest_share() -> None:
    rows = torch.arange(100, 160)

    def off(slope: Tensor, _: Tensor) -> Tensor:
        slope = slope.clone()
        slope[7, 2] += 0.3
        slope[8, 1] += 0.1
        return slope

    sides = (Objective.of(one, CLASSES) for one in (nll, with_slope(off)))
    found = locate(*sides, Sample(OUTPUT, TARGET, rows=rows), CLASSES)
    assert found is not None
    assert (found.row, found.entry, found.target) == (107, 2, float(TARGET[7]))
    assert found.share == pytest.approx(0.9, rel=1e-6)
    assert found.output == float(OUTPUT[7, 2])
    assert found.probability == pytest.approx(float(OUTPUT[7].softmax(0)[2]))
    words = clause(found)
    assert "largest share, 90%, is in row 107, class 2 (raw output" in words
    assert found.to_dict()["class"] == 2
    assert "region" not in found.to_dict()


def test_a_shared_factor_is_no_gap() -> None:
    one = torch.tensor([1.0, -2.0, 3.0, 0.5, 4.0], dtype=torch.float64)
    assert common_factor(one, 3 * one) == pytest.approx(3)
    assert common_factor(one, torch.where(one > 3, 7 * one, 3 * one)) == pytest.approx(3)
    assert common_factor(one, -one) == 1
    assert common_factor(0 * one, one) == 1
    assert place(lambda z, y: 3 * nll(z, y)) is None
    assert place(lambda z, y: nll(z, y) * torch.nan) is None


def test_a_verdict_says_where_and_keeps_it() -> None:
    def right(z: Tensor, y: Tensor) -> Tensor:
        return bernoulli_nll_log1p(z, y) * torch.where(y == 1, 1.0 + 0.1 * z.detach().sign(), 1.0)

    found = verdict(bernoulli_nll_log1p, right)
    assert found.relation == "different"
    assert found.where is not None
    assert found.where["region"] == "targets of 1"
    assert "The gap is confined to targets of 1; its largest share" in found.sentence
    assert Verdict.from_dict(found.to_dict()) == found
    equal = verdict(bernoulli_nll_log1p, bernoulli_nll_log1p)
    assert (equal.where, equal.cause) == (None, None)


LENGTHS = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("weigh", "name"),
    [
        (lambda v, k: (v * k).sum() / k.sum(), "the mean over 7 kept positions"),
        (lambda v, k: (v * k).sum() / k.numel(), "the mean over all 16 positions, ignored ones counted"),
        (lambda v, k: ((v * k).sum(1) / k.sum(1).clamp_min(1)).sum() / 3, "the mean of 3 per-sequence means"),
        (lambda v, k: (v * k).sum(), "the sum over 7 kept positions"),
        (lambda v, k: (v * k).sum() / len(k), "the sum over 7 kept positions, divided by 4 rows"),
        (lambda v, k: (v * k).sum() / 100, "the sum divided by a count of 100"),
        (lambda v, k: (v * k).square().mean(), None),
    ],
)
def test_reductions_over_positions_have_names(weigh: Callable[[Tensor, Tensor], Tensor], name: str | None) -> None:
    """Read off the gradient of each position, whatever the shape: sequences of 4, 2, 1 and no kept positions."""

    def loss(output: Tensor, target: Tensor) -> Tensor:
        each = F.cross_entropy(output.flatten(0, -2), target.clamp_min(0).flatten(), reduction="none")
        return weigh(each.reshape(target.shape), (target >= 0).double())

    draws = torch.Generator().manual_seed(1)
    samples = []
    for _ in range(2):
        target = torch.where(LENGTHS > 0, torch.randint(0, 5, LENGTHS.shape, generator=draws), -100)
        samples.append(Sample(torch.randn(4, 4, 5, generator=draws, dtype=torch.float64), target))
    space = replace(CLASSES, ignore=-100)
    found = reduction_of(Side(Objective.of(loss, space), space), samples)
    assert (None if found is None else told(found[0], LENGTHS)) == name
