"""A cause is named only where its test held: faults of many kinds, and as many that no repair covers."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from training_cases import verdict

from mlnn.comparing.explaining.cause import find_cause
from mlnn.comparing.explaining.explain import explainer
from mlnn.comparing.sample import Sample
from mlnn.objectives import Objective, bernoulli_nll_log1p
from mlnn.objectives.reduction import drawn_batch
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe

Function = Callable[[Tensor, Tensor], Tensor]
WEIGHTS = torch.tensor([1.0, 3.0, 0.5, 1.0], dtype=torch.float64)


def nll(z: Tensor, y: Tensor) -> Tensor:
    return bernoulli_nll_log1p(z, y)


def entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y, reduction="none")


def squared(f: Tensor, y: Tensor) -> Tensor:
    return (f - y) ** 2


def kept(z: Tensor, y: Tensor, divisor: str) -> Tensor:
    """Rows of class 1 ignored."""
    values = entropy(z, y) * (y != 1)
    return values.sum() / (len(y) if divisor == "all" else (y != 1).sum())


def chunked(z: Tensor, y: Tensor) -> Tensor:
    return torch.stack([nll(a, b).mean() for a, b in zip(z.split(4), y.split(4), strict=True)]).mean()


def cause(left: object, right: object, space: str) -> str | None:
    targets = TargetSpace.parse(space)
    found = find_cause(Objective.of(left, targets), Objective.of(right, targets), targets)
    if found is not None:
        assert found.after <= max(1e-3 * found.before, 1e-13)
    return found.words if found else None


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("left", "right", "space", "words"),
    [
        (nll, lambda z, y: nll(z, y).sum(), "binary", "right sums where left takes the mean"),
        (nll, lambda z, y: 3 * nll(z, y), "binary", "a constant factor of 3"),
        (nll, lambda z, y: nll(z, y) / math.log(2), "binary", "right takes its logarithm to base 2"),
        (nll, lambda z, y: nll(z, y * 0.7 + 0.15), "binary", "right smooths labels by 0.3"),
        (lambda z, y: nll(z, y * 0.98 + 0.01), nll, "binary", "left smooths labels by 0.02"),
        (nll, lambda z, y: nll(z / 1.37, y), "binary", "a temperature of 1.37"),
        (nll, lambda z, y: nll(z.clamp(-2.5, 2.5), y), "binary", "right clips raw outputs at ±2.5"),
        (nll, lambda z, y: nll(z.clamp(-20, 20), y), "binary", "right clips raw outputs at ±20"),
        (nll, lambda z, y: nll(torch.sigmoid(z), y), "binary", "that have been through it"),
        (nll, lambda z, y: nll(z, y) * (1 + 2 * y), "binary", "right gives targets of 1 a weight of 3"),
        (nll, lambda z, y: nll(z, 1 - y), "binary", "right swaps the targets"),
        (nll, lambda z, y: F.softplus(z[:, None] - 0 * y).mean() - (z[:, None] * y).mean(), "binary", "every output with every"),
        (nll, chunked, "binary", "micro-batches of 4 rows"),
        (nll, lambda z, y: nll(z, y) - 0.01 * nll(z, torch.sigmoid(z)), "binary", "an entropy term of weight 0.01"),
        (nll, lambda z, y: nll(z, y.roll(1)), "binary", "from the row before"),
        (entropy, nn.CrossEntropyLoss(label_smoothing=0.03), "classes(5)", "right smooths labels by 0.03"),
        (entropy, nn.CrossEntropyLoss(weight=WEIGHTS), "classes(4)", "divides by the sum of the weights"),
        (lambda z, y: kept(z, y, "kept"), lambda z, y: kept(z, y, "all"), "classes(4)", "kept rows, right the mean over 16 rows"),
        (entropy, lambda z, y: kept(z, y, "kept"), "classes(4)", "right ignores targets of 1"),
        (entropy, lambda z, y: entropy(z, y) + 1e-3 * z.logsumexp(1) ** 2, "classes(4)", "squared log partition function"),
        (entropy, lambda z, y: z.logsumexp(1).detach() - z.gather(1, y[:, None])[:, 0], "classes(4)", "not the derivative"),
        (entropy, lambda z, y: entropy(z.softmax(1), y), "classes(4)", "that have been through it"),
        (entropy, lambda z, y: -(z.softmax(1) + 1e-4).log().gather(1, y[:, None])[:, 0], "classes(4)", "inside the logarithm"),
        (squared, lambda f, y: (f - y).clamp(-1.5, 1.5) ** 2, "real", "right clips residuals at ±1.5"),
        (squared, lambda f, y: squared(f, y).sum() / (len(y) - 1), "real", "number of rows less one"),
        (squared, lambda f, y: squared(f, y) + (f**2).detach(), "real", "a part without a gradient"),
    ],
)  # fmt: skip
def test_a_cause_that_holds_is_named(left: Function, right: Function, space: str, words: str) -> None:
    found = cause(left, right, space)
    assert found is not None
    assert words in found


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("left", "right", "space"),
    [
        (nll, nll, "binary"),
        (nll, lambda z, y: (torch.sigmoid(z) - y) ** 2, "binary"),
        (nll, lambda z, y: torch.relu(1 - (2 * y - 1) * z), "binary"),
        (nll, lambda z, y: nll(z, y) * (1 + 0.1 * torch.sin(z)), "binary"),
        (nll, lambda z, y: nll(z / 1.1 + 0.05, y * 0.9 + 0.05), "binary"),  # three faults at once
        (nll, lambda z, y: 2 * nll(z / 1.1, y), "binary"),
        (nll, lambda z, y: nll(z, y) + 0.01 * z.abs(), "binary"),
        (entropy, lambda z, y: z[:, 1:].logsumexp(1) - z.gather(1, y[:, None])[:, 0], "classes(4)"),
        (entropy, lambda z, y: nn.functional.multi_margin_loss(z, y, reduction="none"), "classes(4)"),
        (squared, lambda f, y: (f - y).abs() ** 1.5, "real"),
        # Clipped for target 0 alone: elsewhere a gradient is left, far smaller than the gap.
        (lambda f, y: f.exp() - y * f, lambda f, y: f.clamp(max=20).exp() - y * f, "counts"),
        (squared, lambda f, y: F.huber_loss(f, y, reduction="none"), "real"),
        (lambda f, y: f.exp() - y * f, lambda f, y: F.softplus(f) - y * F.softplus(f).log(), "counts"),
    ],
)
def test_no_cause_is_named_where_none_of_the_table_holds(left: Function, right: Function, space: str) -> None:
    assert cause(left, right, space) is None


def test_a_cause_must_hold_on_the_training_batch_too() -> None:
    """Twice the loss, and on outputs that no drawn batch reaches something else besides."""

    def right(z: Tensor, y: Tensor) -> Tensor:
        return 2 * nll(z, y) + torch.relu(z - 60)

    space = TargetSpace("binary")
    one, two = Objective.of(nll, space), Objective.of(right, space)
    plain = find_cause(one, two, space)
    assert plain is not None
    assert "a factor of 2" in plain.words
    shown = Sample(torch.linspace(-5, 80, 20), torch.ones(20))
    assert find_cause(one, two, space, shown) is None


def test_accumulation_of_what_is_no_mean_is_named() -> None:
    targets = TargetSpace.parse("classes(4)")
    loss = Objective.of(lambda z, y: kept(z, y, "kept"), targets)
    lanes = [LaneRecipe(loss, lambda ps: torch.optim.SGD(ps, lr=0.1), accumulate=parts) for parts in (1, 3)]
    found = explainer(lanes[0], lanes[1], targets)(None)
    assert found.cause is not None
    assert "right accumulates over 3 micro-batches" in found.cause.words
    assert explainer(lanes[0], lanes[0], targets)(None).cause is None
    whole = [
        LaneRecipe(Objective.of(nll, TargetSpace("binary")), torch.optim.SGD, accumulate=parts) for parts in (1, 3)
    ]
    assert explainer(whole[0], whole[1], TargetSpace("binary"))(None).cause is None  # a mean is: rounding is no gap


def test_a_side_that_raises_anything_has_no_cause() -> None:
    calls = []

    def fragile(z: Tensor, y: Tensor) -> Tensor:
        calls.append(len(z))
        if len(z) not in (11, 23, 16):
            raise KeyError("not this size")
        return 1.5 * nll(z, y)

    space = TargetSpace("binary")
    assert drawn_batch(space, 11)[0].shape == (11,)
    assert cause(nll, fragile, "binary") == "a constant factor of 1.5"
    assert explainer(*(LaneRecipe(Objective.of(f, space), torch.optim.SGD) for f in (nll, fragile)), space)(None).cause


def test_a_constant_factor_is_no_cause_of_a_difference() -> None:
    calls = []

    def later(z: Tensor, y: Tensor) -> Tensor:
        """A factor of 1.5, but not from the beginning."""
        calls.append(len(z))
        return nll(z, y) * (1.5 if calls.count(32) > 12 else 1.0)

    found = verdict(nll, later)
    assert found.relation == "different"
    assert found.cause is None
    assert verdict(nll, lambda z, y: 1.5 * nll(z, y)).cause == "a constant factor of 1.5"
