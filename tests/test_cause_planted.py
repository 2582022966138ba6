"""Faults as they are planted, each against the value written out by hand; and the weights and sizes that are read off a side."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from test_columns import side
from torch import Tensor
from torch.nn import functional as F

from mlnn.comparing.explaining.named_extras import named_extras
from mlnn.comparing.explaining.onset import largest_row, lost, onset
from mlnn.comparing.explaining.repairs import REPAIRS, Repair
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.explaining.trial import trial_of
from mlnn.comparing.sample import Sample
from mlnn.objectives import Objective
from mlnn.targets import TargetSpace

f64 = torch.float64
Z = torch.tensor([0.5, -1.0, 2.0, -3.0, 0.25], dtype=f64)
Y = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0], dtype=f64)
LOGITS = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.0, -0.5], [3.0, 1.0, -2.0], [-1.5, 0.2, 0.1]], dtype=f64)
LABELS = torch.tensor([0, 1, 2, 0])


def log_loss(z: Tensor, y: Tensor) -> Tensor:
    return F.softplus(z) - y * z


def entropy(z: Tensor, y: Tensor) -> Tensor:
    return z.logsumexp(-1) - z.gather(-1, y.clamp_min(0)[..., None])[..., 0]


def squares(f: Tensor, y: Tensor) -> Tensor:
    return (f - y) ** 2


ROWS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Tensor, Tensor]] = {
    "binary": (log_loss, Z, Y), "classes(3)": (entropy, LOGITS, LABELS), "real": (squares, Z, 2 * Y - 0.3),
}  # fmt: skip


def planted(words: str, space: str, size: float) -> float | None:
    """The value with a fault of the table in it; None where it makes no sense there."""
    found = [one for one in REPAIRS if words in one.words]
    assert found, words
    loss, output, own = ROWS[space]
    targets = TargetSpace.parse(space)
    one = Side(Objective.of(loss, targets), targets)
    try:
        return float(found[0].fault(one, Sample(output, own), size))
    except ValueError:
        return None


P, Q = torch.sigmoid(Z), torch.softmax(LOGITS, -1)
OWN = F.one_hot(LABELS, 3).double()
H1 = -(P * P.log() + (1 - P) * (1 - P).log())
CASES: list[tuple[str, str, float, Any]] = [
    ("smooths labels", "binary", 0.2, lambda: log_loss(Z, 0.8 * Y + 0.1).mean()),
    ("smooths labels", "classes(3)", 0.2, lambda: (0.8 * entropy(LOGITS,
        LABELS) + 0.2 * (LOGITS.logsumexp(1) - LOGITS.mean(1))).mean()),
    ("smooths labels", "real", 0.2, lambda: (0.8 * squares(Z, 2 * Y - 0.3) + 0.2 * squares(Z, torch.full_like(Z, 0.5))).mean()),
    ("in the uniform part", "classes(3)", 0.2, None), ("counts ignored positions as", "classes(3)", 0.0, None),
    ("another temperature", "binary", 2.0, None),
    ("been through it", "binary", 0.0, lambda: log_loss(P, Y).mean()),
    ("been through it", "classes(3)", 0.0, lambda: entropy(Q, LABELS).mean()),
    ("takes a margin", "binary", 0.3, lambda: log_loss(Z - 0.3 * (2 * Y - 1), Y).mean()),
    ("takes a margin", "classes(3)", 0.3, lambda: entropy(LOGITS - 0.3 * OWN, LABELS).mean()),
    ("entropy term", "binary", 0.1, lambda: (log_loss(Z, Y) - 0.1 * H1).mean()),
    ("entropy term", "classes(3)", 0.1, lambda: (entropy(LOGITS, LABELS) + 0.1 * (Q * Q.log()).sum(1)).mean()),
    ("the squared raw outputs", "binary", 0.1, lambda: (log_loss(Z, Y) + 0.1 * Z**2).mean()),
    ("the squared raw outputs", "classes(3)", 0.1, lambda: (entropy(LOGITS, LABELS) + 0.1 * (LOGITS**2).sum(1)).mean()),
    ("partition function", "binary", 0.1, None),
    ("partition function", "classes(3)", 0.1, lambda: (entropy(LOGITS, LABELS) + 0.1 * LOGITS.logsumexp(1) ** 2).mean()),
    ("softmax over the rows", "binary", 0.0, None),
    ("softmax over the rows", "classes(3)", 0.0, lambda: -torch.log_softmax(LOGITS, 0).gather(1, LABELS[:, None]).mean()),
    ("compares every output", "binary", 0.0, lambda: log_loss(Z[:, None], Y[None]).mean()),
    ("caps raw outputs", "binary", 2.0, lambda: log_loss(2 * torch.tanh(Z / 2), Y).mean()),
    ("inside the logarithm", "binary", 0.01, lambda: -torch.log(torch.exp(-log_loss(Z, Y)) + 0.01).mean()),
    ("focal factor", "binary", 2.0, lambda: ((1 - torch.exp(-log_loss(Z, Y))) ** 2 * log_loss(Z, Y)).mean()),
    ("takes no logarithm", "binary", 0.0, lambda: -torch.exp(-log_loss(Z, Y)).mean()),
    ("clips each row's value", "binary", 1.0, lambda: log_loss(Z, Y).clamp(max=1.0).mean()),
    ("clips probabilities", "binary", 1.0, lambda: log_loss(Z, Y).clamp(-math.log(1 - math.exp(-1)), 1.0).mean()),
    ("clips residuals", "real", 1.0, lambda: (Z - 2 * Y + 0.3).clamp(-1, 1).square().mean()),
    ("mean of the means of micro-batches", "binary", 2.0, lambda: torch.stack([one.mean() for one in log_loss(Z,
        Y).split(2)]).mean()),
    ("adds up the means of micro", "binary", 2.0, lambda: torch.stack([one.mean() for one in log_loss(Z, Y).split(2)]).sum()),
    ("means of {size} micro-batches", "binary", 2.0, lambda: torch.stack([one.mean() for one in log_loss(Z, Y).chunk(2)]).mean()),
    ("mean over the targets that", "binary", 0.0, lambda: (log_loss(Z, Y)[Y == 1].mean() + log_loss(Z, Y)[Y == 0].mean()) / 2),
    ("mean over the targets that", "real", 0.0, None),
    ("raw outputs of target 1", "binary", 0.0, lambda: log_loss(torch.where(Y == 1, -Z, Z), Y).mean()),
    ("raw outputs of target 0", "binary", 0.0, lambda: log_loss(torch.where(Y == 0, -Z, Z), Y).mean()),
    ("raw outputs of target 1", "classes(3)", 0.0,
     lambda: entropy(torch.where(LABELS[:, None] == 1, -LOGITS, LOGITS), LABELS).mean()),
    ("sign of raw output {size}", "classes(3)", 2.0, lambda: entropy(LOGITS * torch.tensor([1.0, 1.0, -1.0]), LABELS).mean()),
    ("sign of raw output {size}", "classes(3)", 3.0, None), ("sign of raw output {size}", "binary", 0.0, None),
    ("larger half", "binary", 0.0, lambda: log_loss(Z, Y).topk(3).values.sum() / 3),
    ("next class", "classes(3)", 0.0, lambda: entropy(LOGITS, (LABELS + 1) % 3).mean()), ("next class", "binary", 0.0, None),
    ("previous class", "classes(3)", 0.0, lambda: entropy(LOGITS, (LABELS + 2) % 3).mean()),
    ("swaps the targets", "binary", 0.0, lambda: log_loss(Z, 1 - Y).mean()), ("swaps the targets", "real", 0.0, None),
    ("swaps the targets", "classes(3)", 0.0, lambda: entropy(LOGITS, 2 - LABELS).mean()),
    ("leaves out the first", "binary", 0.0, lambda: log_loss(Z[1:], Y[1:]).mean()),
    ("the last row of a batch of an odd", "binary", 0.0, lambda: log_loss(Z[:4], Y[:4]).mean()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "space", "size", "value"), CASES, ids=[f"{words}-{space}-{size}" for words, space, size, _ in CASES]
)
def test_a_fault_is_what_its_words_say(words: str, space: str, size: float, value: Any) -> None:
    found = planted(words, space, size)
    assert found == (None if value is None else pytest.approx(float(value()), rel=1e-12))


def test_faults_of_what_is_ignored_and_of_targets_that_are_distributions() -> None:
    target, space = torch.tensor([0, -1, 2, 0]), TargetSpace("classes", 3, ignore=-1)
    loss = partial(F.cross_entropy, ignore_index=-1)
    at, one = Sample(LOGITS, target), Side(Objective.of(loss, space, name="loss"), space)
    by_words = {words: next(repair for repair in REPAIRS if words in repair.words) for words in (
        "in the uniform part", "counts ignored positions as", "smooths labels", "another temperature")}  # fmt: skip
    uniform = LOGITS.logsumexp(1) - LOGITS.mean(1)
    kept, plain = target >= 0, loss(LOGITS, target)
    assert float(by_words["in the uniform part"].fault(one, at, 0.2)) == pytest.approx(
        float(plain + 0.2 * (uniform.mean() - uniform[kept].mean()))
    )
    assert float(by_words["counts ignored positions as"].fault(one, at, 0.0)) == pytest.approx(
        float(F.cross_entropy(LOGITS, target.clamp_min(0)))
    )
    assert float(by_words["smooths labels"].fault(one, at, 0.2)) == pytest.approx(
        float(0.8 * plain + 0.2 * uniform[kept].mean())
    )
    first = replace(space, ignore=0)
    with pytest.raises(ValueError, match="no target is ignored"):
        by_words["counts ignored positions as"].fault(Side(Objective.of(loss, first, name="loss"), first), at, 0.0)
    shares, simplex = torch.softmax(LOGITS.flip(0), 1), TargetSpace("simplex", 3)
    soft = Side(Objective.of(lambda z, y: -(y * z.log_softmax(-1)).sum(-1), simplex, name="loss"), simplex)
    sharp = shares**2 / (shares**2).sum(1, keepdim=True)
    assert float(by_words["another temperature"].fault(soft, Sample(LOGITS, shares), 2.0)) == pytest.approx(
        float(-(sharp * LOGITS.log_softmax(-1)).sum(-1).mean())
    )


def test_of_very_many_targets_a_smoothed_loss_is_the_categorical_one() -> None:
    """32 targets are asked one by one, 33 are not: of squares instead of a log-loss the two differ."""
    smooth = next(repair for repair in REPAIRS if "smooths labels" in repair.words)

    def odd(z: Tensor, y: Tensor) -> Tensor:
        return z.gather(-1, y[:, None])[:, 0] ** 2

    for count, every in ((32, True), (33, False)):
        space = TargetSpace("classes", count)
        z = torch.randn(4, count, generator=torch.Generator().manual_seed(1), dtype=f64)
        wanted = (z**2).mean() if every else (z.logsumexp(1) - z.mean(1)).mean()
        one = Side(Objective.of(odd, space, name="loss"), space)
        value = 0.8 * odd(z, LABELS).mean() + 0.2 * wanted
        assert float(smooth.fault(one, Sample(z, LABELS), 0.2)) == pytest.approx(float(value))


@pytest.mark.parametrize("repair", [one for one in REPAIRS if one.sizes or one.starts], ids=lambda one: one.words)
def test_the_sizes_that_are_tried_are_few_and_small(repair: Repair) -> None:
    assert all(0 <= size <= 30 for size in (*repair.sizes, *repair.starts))
    assert list(repair.sizes) == sorted(set(repair.sizes))


# Sizes that are read off a side.
def clipped(low: float, high: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda z, y: log_loss(z.clamp(low, high), y)


@pytest.mark.parametrize(("loss", "space", "size"), [
    (clipped(-2.5, 2.5), "binary", 2.5), (clipped(-math.inf, 2.5), "binary", 2.5), (clipped(-2.5, math.inf), "binary", 2.5),
    (clipped(-0.05, 0.05), "binary", 0.05), (lambda f, y: squares(f.clamp(-50, 50), y), "real", 50),
    (clipped(-0.005, 0.005), "binary", None),
    (lambda z, _: 0 * z, "binary", None), (squares, "real", None), (lambda f, y: squares(f.clamp(-70, 70), y), "real", None),
    (lambda f, y: squares(f.clamp(-30, 30), y), "real", 30), (lambda z, y: entropy(z.clamp(-2, 2), y), "classes(3)", None),
])  # fmt: skip
def test_the_size_from_which_a_gradient_is_dead(loss: Any, space: str, size: float | None) -> None:
    assert onset(side(loss, space)) == (None if size is None else pytest.approx(size))


def test_the_size_from_which_it_is_dead_in_the_residual() -> None:
    huber = side(lambda f, y: (f - y).clamp(-1.5, 1.5) ** 2, "real")
    assert onset(huber, residual=True) == pytest.approx(1.5)
    assert onset(huber) == pytest.approx(1.5)  # of the target 0: at −2.53 it is dead from the beginning


@pytest.mark.parametrize(("change", "space", "below", "above"), [
    (lambda z: z.clamp(-9, 7), "classes(3)", 9, 7), (lambda z: z.clamp_min(-9), "classes(3)", 9, None),
    (lambda z: z, "classes(3)", None, None),
    (lambda z: z.clamp(-9, 7), "multilabel(3)", None, None), (lambda z: z.clamp(-9, 7), "binary", None, None),
])  # fmt: skip
def test_the_size_from_which_one_output_of_several_is_lost(change: Any, space: str, below: Any, above: Any) -> None:
    loss = entropy if space.startswith("classes") else log_loss
    one = side(lambda z, y: loss(change(z), y), space)
    for sign, size in ((-1, below), (1, above)):
        assert lost(one, sign) == (None if size is None else pytest.approx(size))


@pytest.mark.parametrize(("loss", "space", "value"), [
    (lambda z, y: log_loss(z, y).clamp(max=5.0), "binary", 5.0), (log_loss, "binary", None),
    (clipped(-3, 3), "binary", 3 + math.log1p(math.exp(-3))),
    (lambda z, y: entropy(z, y).clamp(max=5.0), "classes(3)", 5.0), (entropy, "classes(3)", None),
    (lambda z, y: log_loss(z, y).clamp(max=50.0), "binary", None), (lambda z, y: log_loss(z, y).clamp(max=41.0), "binary", 41.0),
])  # fmt: skip
def test_the_value_at_which_a_row_stops_growing(loss: Any, space: str, value: float | None) -> None:
    assert largest_row(side(loss, space)) == (None if value is None else pytest.approx(value))


# Extras.
def named(extras: dict[str, Tensor], takes: frozenset[str] | None, name: str = "right") -> list[str]:
    at = Sample(LOGITS, LABELS, extras)
    one = replace(side(entropy, "classes(3)"), objective=replace(side(entropy, "classes(3)").objective, takes=takes))
    trial = trial_of(one.objective, one.objective, replace(at, extras={}))
    assert trial is not None
    return [words for words, _ in named_extras(name, one, [replace(trial, sample=at)])]


def test_which_extras_may_be_used_otherwise() -> None:
    weight, count, labels = torch.ones(4, dtype=f64), torch.tensor(3.0), torch.tensor([0, 1, 2, 3])
    every = named({"weight": weight}, None)
    assert len(every) == 12
    assert named({"weight": weight}, frozenset({"weight"})) == every
    assert named({"weight": weight}, frozenset({"mask"})) == []
    assert named({"count": count}, None) == named({"labels": labels}, None) == []
    assert "where left divides" in every[8]
    assert "where right divides" in named({"weight": weight}, None, "left")[8]


def fault(words: str, loss: Any, space: str, at: Sample) -> float | None:
    """What one of the faults of the extra makes of a batch; None where it makes no sense there."""
    one = side(loss, space)
    trial = trial_of(one.objective, one.objective, at)
    assert trial is not None
    found = dict(named_extras("right", one, [trial]))
    try:
        return float(next(fault for said, fault in found.items() if words in said)(one, at, 0.0))
    except ValueError:
        return None


def test_what_becomes_of_an_extra_by_mistake() -> None:
    mask = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], dtype=f64)
    f, y = LOGITS[:2], LOGITS[2:]

    def masked(f: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        return (squares(f, y) * mask).sum() / mask.sum()

    def over(f: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        return (squares(f, y) * mask).mean()

    at = Sample(f, y, {"mask": mask})
    for words, value in (
        ("row by row", masked(f, y, mask / mask.sum(1, keepdim=True))), ("first row's", masked(f, y, mask[:1].expand_as(mask))),
        ("mean of 'mask'", masked(f, y, mask.mean(0).expand_as(mask))), ("not used", squares(f, y).mean()),
        ("number of entries of 'mask' where", over(f, y, mask)), ("does not divide", (squares(f, y) * mask).sum()),
        ("raw outputs and targets to 0", squares(f * mask, y * mask).mean()), ("largest raw output", None),
    ):  # fmt: skip
        assert fault(words, masked, "real", at) == (None if value is None else pytest.approx(float(value))), words
    assert fault("number of entries of 'mask' where", over, "real", at) is None, "it does not divide by the sum"
    flat = Sample(Z, Y, {"mask": Y + 0.5})
    assert fault("row by row", masked, "real", flat) is None, "one number a row"

    def tabled(z: Tensor, y: Tensor, table: Tensor) -> Tensor:
        return (table.gather(1, y[:, None])[:, 0] * entropy(z, y)).mean()

    table = LOGITS.exp()
    largest = table.gather(1, LOGITS.argmax(1, keepdim=True))[:, 0]
    found = fault("largest raw output", tabled, "classes(3)", Sample(LOGITS, LABELS, {"table": table}))
    assert found == pytest.approx(float((largest * entropy(LOGITS, LABELS)).mean()))
    assert fault("raw outputs and targets to 0", tabled, "classes(3)", Sample(LOGITS, LABELS, {"table": table})) is None
