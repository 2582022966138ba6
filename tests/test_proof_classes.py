"""Losses of several classes on paper: proved by their forms, or by the log-odds of the target's class, refuted with the place."""

import math
import random
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
import torch
from flint import arb
from test_proof_tracing import USES
from torch import Tensor
from torch.nn import functional as F

from mlnn.objectives import losses
from mlnn.proving import forms, prove
from mlnn.proving.balls import Evaluation, digits
from mlnn.proving.emitting import Emitter, MixedError
from mlnn.proving.forms import Forms
from mlnn.proving.graph import Graph
from mlnn.proving.quotients import LargeError
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.tracing import traced

Loss = Callable[[Tensor, Tensor], Tensor]
CE = losses.cross_entropy


def own(z: Tensor, y: Tensor) -> Tensor:
    return z.gather(1, y[:, None]).squeeze(1)


def hot(z: Tensor, y: Tensor) -> Tensor:
    return F.one_hot(y, z.shape[1]).to(z)


def shifted(z: Tensor) -> Tensor:
    return z - z.max(1, keepdim=True).values


def smoothed(z: Tensor, y: Tensor) -> Tensor:
    logs, share = F.log_softmax(z, 1), 0.125
    return -((1 - share) * own(logs, y) + share * logs.sum(1) * (1 / z.shape[1]))


def others(z: Tensor, y: Tensor) -> Tensor:
    gap = torch.logsumexp(z.masked_fill(hot(z, y).bool(), -torch.inf), 1) - own(z, y)
    return torch.logaddexp(gap, torch.zeros_like(gap))


def margins(z: Tensor, y: Tensor) -> Tensor:
    beyond = (1 - own(z, y)[:, None] + z).clamp(min=0) * (1 - hot(z, y))
    return beyond.sum(1) / z.shape[1]


FORMS: dict[str, tuple[Loss, Loss]] = {
    "largest off": (CE, lambda z, y: shifted(z).exp().sum(1).log() - own(shifted(z), y)),
    "largest off, detached": (CE, lambda z, y: (z - z.amax(1, keepdim=True).detach()).exp().sum(1).log() - own(z, y)
     + z.amax(1).detach()),
    "log of softmax": (CE, lambda z, y: -own(F.softmax(z, 1), y).log()),
    "softmax by hand": (CE, lambda z, y: -(own(z.exp(), y) / z.exp().sum(1)).log()),
    "one against the rest": (CE, others),
    "entry of one-hot": (CE, lambda z, y: -torch.einsum("nk,nk->n", hot(z, y), F.log_softmax(z, 1))),
    "distribution": (CE, lambda z, y: -torch.distributions.OneHotCategorical(logits=z).log_prob(hot(z, y))),
    "smoothing": (partial(F.cross_entropy, label_smoothing=0.125, reduction="none"), smoothed),
    "weights": (partial(F.cross_entropy, weight=torch.tensor([1.0, 2, 3]), reduction="none"), lambda z, y: (y + 1) * CE(z, y)),
    "ignored": (partial(F.cross_entropy, ignore_index=1, reduction="none"), lambda z, y: (y != 1) * CE(z, y)),
    "focal": (lambda z, y: (1 - own(F.softmax(z, 1), y)) ** 2 * CE(z, y), lambda z, y: (1 - (-CE(z, y)).exp()) ** 2 * CE(z, y)),
    "focal, broken power": (lambda z, y: (1 - own(F.softmax(z, 1), y)) ** 0.5 * CE(z, y),
     lambda z, y: (1 - (-CE(z, y)).exp()).sqrt() * CE(z, y)),
    "Brier": (lambda z, y: ((F.softmax(z, 1) - hot(z, y)) ** 2).sum(1),
     lambda z, y: 1 - 2 * own(F.softmax(z, 1), y) + F.softmax(z, 1).square().sum(1)),
    "temperature": (lambda z, y: CE(z / 2, y), lambda z, y: z.div(2).logsumexp(1) - own(z, y) / 2),
    "one-vs-rest": (lambda z, y: F.binary_cross_entropy_with_logits(z, hot(z, y), reduction="none").sum(1),
     lambda z, y: (z.exp() + 1).log().sum(1) - own(z, y)),
    "margins": (partial(F.multi_margin_loss, reduction="none"), margins),
    "generalised": (lambda z, y: (1 - own(F.softmax(z, 1), y) ** 0.75) / 0.75,
     lambda z, y: (1 - (-0.75 * CE(z, y)).exp()) / 0.75),
}  # fmt: skip
"""Two forms of one loss each."""


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", FORMS)
def test_two_forms_of_a_loss_of_classes_are_one(name: str) -> None:
    found = prove(*FORMS[name], "classes(3)")
    assert found.answer == "proved", found.sentence
    by_odds = name == "focal, broken power"  # by the form alone the root of 1 − p might be divided by
    assert found.targets == ("all 3 targets" if by_odds else "all 3 targets, by the form")


@pytest.mark.sampled(4)
@pytest.mark.parametrize("several", [2, 3, 4])
def test_the_largest_may_be_taken_off_of_more_classes(several: int) -> None:
    assert prove(CE, FORMS["largest off"][1], f"classes({several})").answer == "proved"


@pytest.mark.rest
def test_slopes_that_part_where_a_kink_is_met_are_said() -> None:
    found = prove(*FORMS["margins"], "classes(3)")
    assert any("where a kink is met exactly" in one for one in found.findings)
    assert prove(margins, margins, "classes(3)").findings == ()


@pytest.mark.sampled(5, 3)
@pytest.mark.parametrize("name", ["largest off", "focal", "Brier", "one-vs-rest", "margins"])
def test_a_form_that_is_off_by_little_is_not_proved(name: str) -> None:
    left, right = FORMS[name]
    found = prove(left, lambda z, y: right(z, y) + 1e-6 * z[:, 1].sin(), "classes(3)", domain=(-3, 3))
    assert found.answer == "differs"
    slope = prove(left, lambda z, y: right(z, y) + 1e-6 * (z[:, 0] - z[:, 0].detach()), "classes(3)", domain=(-3, 3))
    assert slope.answer == "differs"


@pytest.mark.rest
def test_a_clip_of_the_targets_probability_is_found_in_log_odds() -> None:
    found = prove(CE, lambda z, y: -own(F.softmax(z, 1).clamp(1e-7, 1 - 1e-7), y).log(), "classes(5)", domain=(-20, 20))
    assert found.answer == "differs"
    assert found.variable == "log-odds of the target's class"
    value = next(part for part in found.parts if part.question == "value")
    edge = 16.118095550958316  # log((1 − 1e-7)/1e-7)
    (below, above) = value.differs
    assert below == (pytest.approx(-40 - math.log(4)), pytest.approx(-edge, abs=1e-12))
    assert above == (pytest.approx(edge, abs=2e-8), pytest.approx(40 - math.log(4)))
    inside = prove(CE, lambda z, y: -own(F.softmax(z, 1).clamp(1e-7, 1 - 1e-7), y).log(), "classes(5)", domain=(-7, 7))
    assert inside.answer == "proved", inside.sentence


@pytest.mark.sampled(20)
@pytest.mark.parametrize("number", range(20))
def test_a_bump_in_the_log_odds_is_found(number: int) -> None:
    draws = random.Random(number)
    centre, width = draws.uniform(-30, 30), 10 ** draws.uniform(-8, -4)

    def bumped(z: Tensor, y: Tensor) -> Tensor:
        odds = own(z, y) - torch.logsumexp(z.masked_fill(hot(z, y).bool(), -torch.inf), 1)
        return CE(z, y) + 1e-9 * torch.exp(-(((odds - centre) / width) ** 2))

    found = prove(CE, bumped, "classes(3)", domain=(-20, 20))
    assert found.answer == "differs"
    assert all(low < centre < high and high - low < 12 * width for low, high in found.where)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "one",
    [
        lambda z: (z[:, 0] - z[:, 1]) / (z[:, 0] - z[:, 1]),
        lambda z: (z[:, 0].exp() - z[:, 1].exp()) / (z[:, 0].exp() - z[:, 1].exp()),
        lambda z: (z[:, 0].relu() + 1) * z[:, 2] / ((z[:, 0].relu() + 1) * z[:, 2]),
    ],
    ids=["difference", "exponentials", "product"],
)
def test_what_divides_by_a_number_that_may_be_0_is_not_proved(one: Callable[[Tensor], Tensor]) -> None:
    assert prove(lambda z, y: CE(z, y) * one(z), CE, "classes(3)", boxes=300).answer != "proved"


def test_a_factor_and_a_number_are_found() -> None:
    twice = prove(CE, lambda z, y: 2 * CE(z, y), "classes(3)")
    assert (twice.relation, twice.scale) == ("scaled", "1/2")
    more = prove(CE, lambda z, y: CE(z, y) + math.log(2), "classes(3)")
    assert (more.relation, more.shift[0][1].endswith("(−ln 2)")) == ("shifted", True)


class Counting:
    """A loss that doubles from its tenth call on."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        return CE(z, y) * (2 if self.calls > 1000 else 1)


@pytest.mark.sampled(4, 3)
@pytest.mark.parametrize(
    ("right", "said"),
    [
        (lambda z, y: torch.stack([CE(z, y)[k : k + 5].mean() for k in range(0, len(y), 5)]).mean(), "7 rows"),
        (lambda z, y: CE(z, y)[: max(len(y) // 2 * 2, 1)].mean(), "7 rows"),
        (lambda z, y: torch.stack([CE(z, y)[y == k].mean() for k in y.unique()]).mean(), "7 rows"),
        (lambda z, y: F.cross_entropy(z, y, weight=torch.tensor([1.0, 2, 3])), "2 rows"),
    ],
)
def test_rows_that_are_not_worth_what_they_are_alone_are_told(right: Any, said: str) -> None:
    found = prove(CE, right, "classes(3)")
    assert (found.answer, found.relation) == ("differs", None)
    assert f"at a batch of {said}" in found.sentence


def test_a_loss_that_keeps_something_is_undecided() -> None:
    found = prove(CE, Counting(), "classes(3)")
    assert found.answer == "undecided"
    assert "keeps something" in (found.reason or "")


@pytest.mark.rest
def test_a_sum_is_no_mean() -> None:
    found = prove(CE, lambda z, y: F.cross_entropy(z, y, reduction="sum"), "classes(3)")
    assert (found.answer, found.relation, found.scale) == ("differs", "scaled", "1/n")
    assert "right adds up the rows of a batch, left averages them" in found.sentence
    other = prove(torch.nn.CrossEntropyLoss(reduction="sum"), CE, "classes(3)")
    assert (other.answer, other.scale) == ("differs", "n")
    both = prove(torch.nn.CrossEntropyLoss(reduction="sum"), lambda z, y: CE(z, y).sum(), "classes(3)")
    assert both.answer == "proved"


def apart(use: str, seed: int = 0) -> float:
    """How far a loss's nodes are from what their forms are as nodes again, at a place."""
    draws = random.Random(f"{use} {seed}")
    z, y = (torch.tensor([[draws.uniform(-0.9, 0.9) for _ in range(3)]], dtype=torch.float64) for _ in range(2))
    y = (y > 0).double()
    graph, into = Graph(), Graph()
    values, gradients, _ = traced(USES[use], z, y, graph)
    made = Forms(graph)
    variables = frozenset((kind, place) for kind in "zy" for place in range(3))
    emit = Emitter(made, into, variables)
    again = [emit(made[one]) for one in (*values, *gradients)]
    sides = []
    for source, roots in ((graph, (*values, *gradients)), (into, tuple(again))):
        numbers = {("z", place): source.const(one) for place, one in enumerate(z.flatten().tolist())}
        numbers |= {("y", place): source.const(one) for place, one in enumerate(y.flatten().tolist())}
        with digits(200, 2):
            at = Evaluation(source, arb(0), {}, 2)
            sides.append([at[root][0] for root in rebuilt(source, roots, source, numbers)])
    with digits(200, 2):
        return max(float(abs(one - other).mid()) for one, other in zip(*sides, strict=True))


KEPT = [
    use for use in USES if use not in ("incomplete", "extremes")
]  # of those, a function of two things is a number by itself


@pytest.mark.sampled(4)
@pytest.mark.parametrize("use", KEPT)
def test_a_form_is_the_function_that_it_is_a_form_of(use: str) -> None:
    try:
        assert apart(use) < 1e-40
    except (MixedError, LargeError):
        pytest.skip("has no form in numbers of single names")


@pytest.mark.parametrize("op", forms.RULES)
def test_a_rule_of_forms_that_is_wrong_is_noticed(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = forms.RULES[op]
    monkeypatch.setitem(
        forms.RULES,
        op,
        lambda at, args: at.arithmetic.sum([(1, rule(at, args)), (1, forms.constant(Fraction(1, 2**20)))]),
    )
    known = {"softplus": "sigmoids", "sigmoid": "sigmoids", "log": "logs", "inv": "inverses"}
    use = (known | dict.fromkeys(("log_erfc", "log_erfcx"), "errors")).get(op, "powers")
    assert apart(use) > 1e-12
