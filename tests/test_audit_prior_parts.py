"""Parts of the audits of weight decay and of models: what is measured, each at both sides of where its answer turns."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mlnn.auditing_models import prior as module
from mlnn.auditing_models.audit import _any, _reasons, _Trial, _tried
from mlnn.auditing_models.prior import _decay_of, _made, _Problem, _resting, _run, _step, prior_of
from mlnn.errors import ConfigError
from mlnn.training.descent import SGD

f64 = torch.float64


class Decaying(SGD):
    """The weight's share is added to its gradient, `off` times as large as it says."""

    off = 1.0

    def __init__(self, weights: Any, lr: float = 0.1, decay: Any = 0.01) -> None:
        super().__init__(weights, lr)
        self.param_groups[0]["weight_decay"] = decay

    def step(self, closure: Any) -> None:  # type: ignore[override]
        closure()
        (group,) = self.param_groups
        with torch.no_grad():
            for weight in group["params"]:
                weight -= group["lr"] * (weight.grad + self.off * group["weight_decay"] * weight)


def decaying(decay: float = 0.01, off: float = 1.0, lr: float = 0.1) -> Any:
    def make(weights: Any) -> Decaying:
        made = Decaying(weights, lr, decay)
        made.off = off
        return made

    return make


@pytest.mark.parametrize(
    ("decay", "off", "is_prior", "words"),
    [
        (0.01, 1.0, True, "is the Gaussian prior N(0, 1) on each weight"),
        (0.01, 1 + 1e-7, True, "is the Gaussian prior"),
        (0.01, 1 + 1e-5, False, "is not a Gaussian prior"),
        (1e-6, 1.0, True, "is the Gaussian prior"),  # it moves the weights by a few millionths
        (1e-12, 1.0, None, "Undecided"),
    ],
)
def test_a_decay_is_a_prior_to_a_millionth_of_what_it_does(
    decay: float, off: float, is_prior: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESTING_STEPS", 1)
    found = prior_of(decaying(decay, off), rows=100)
    assert found.is_prior is is_prior
    assert words in found.sentence
    assert found.variance == (pytest.approx(1 / (100 * decay)) if is_prior else None)


def test_the_problem_is_a_logistic_regression_of_rising_slopes() -> None:
    problem = _Problem.drawn(0)
    weight = torch.linspace(-1, 1, 4, dtype=f64)[:, None]
    assert float(problem.mode(0.0).T @ weight) > 1
    for step, rows in ((None, slice(None)), (0, slice(0, None, 2)), (3, slice(1, None, 2))):
        z = (problem.x[rows] @ weight)[:, 0]
        plain = float(binary_cross_entropy_with_logits(z, problem.y[rows]))
        assert float(problem.loss(weight, 0.3, step)) == pytest.approx(
            plain + 0.15 * float(weight.square().sum()), rel=1e-12
        )
    mode = problem.mode(0.2).requires_grad_()
    (slope,) = torch.autograd.grad(problem.loss(mode, 0.2), mode)
    assert float(slope.abs().max()) < 1e-12


@pytest.mark.parametrize(("maximize", "arrives"), [(False, 0.8), (True, 1.2)])
def test_a_step_goes_down_or_up_the_loss_by_what_the_optimiser_is(maximize: bool, arrives: float) -> None:
    """One that climbs is given what is to be climbed: it steps along the gradient that it is given."""
    weight = nn.Parameter(torch.ones(1, dtype=f64))
    made = decaying(0.0)([weight])
    made.param_groups[0]["maximize"] = maximize
    _step(made, weight, lambda: weight.square().sum())
    assert weight.item() == pytest.approx(arrives)
    with pytest.raises(ConfigError, match="Decaying diverged"):
        _step(made, weight, lambda: weight.sum() * math.inf)


def test_a_run_keeps_the_decay_or_leaves_it_out() -> None:
    problem = _Problem.drawn(0)
    kept, plain, none = (_run(decaying(decay), problem, ridge=0.0, keep=keep) for decay, keep in ((0.5, True), (0.5, False),
                                                                                                  (0.0, True)))  # fmt: skip
    assert kept.shape == (32, 4)
    assert torch.equal(plain, none)
    assert not torch.allclose(kept, plain, rtol=1e-3)


def test_an_optimiser_of_just_the_weight_is_made() -> None:
    weight, other = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    assert _made(decaying(), weight).param_groups[0]["params"] == [weight]
    for held in ([other], [weight, other]):
        with pytest.raises(ConfigError, match="does not train the parameter it was given"):
            _made(lambda _, held=held: SGD(held, 0.1), weight)


@pytest.mark.parametrize(
    ("decay", "words"),
    [(0.01, None), (1e-300, None), (0.0, "weight_decay=0;"), (-1.0, "weight_decay=-1;"), (math.inf, "=inf;"),
     (math.nan, "=nan;"), (None, "has no weight_decay")],
)  # fmt: skip
def test_a_decay_is_a_finite_number_above_zero(decay: Any, words: str | None) -> None:
    if words is None:
        assert _decay_of(decaying(decay)) == ("Decaying", decay)
    else:
        with pytest.raises(ConfigError, match=words):
            _decay_of(decaying(decay))


@pytest.mark.parametrize(
    ("rows", "words"), [(0, "rows: 0;"), (True, "rows: True;"), (1.5, "rows: 1.5;"), (10**16, "no rows of data")]
)
def test_rows_are_a_number_that_data_have(rows: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        prior_of(decaying(), rows=rows)


@pytest.mark.parametrize(("left", "stays"), [(0.005, True), (0.02, False), (1.0, False)])
def test_an_optimiser_rests_at_the_mode_within_a_hundredth_of_the_way(left: float, stays: bool) -> None:
    told = _resting(SimpleNamespace(left_mode=left, from_maximum=1 - left))  # type: ignore[arg-type]
    assert ("it stays there" in told) is stays


def trial(model: Any = None, slack: float = 1e-9, rows: int = 4) -> _Trial:
    x = torch.arange(float(rows), dtype=f64).reshape(rows, 1)
    held = model or nn.Identity()
    return _Trial(held, x, held(x), 0, slack)


@pytest.mark.parametrize(
    ("by", "slack", "rough", "beyond"),
    [(0.9e-9, 1e-9, 0.0, False), (1.1e-9, 1e-9, 0.0, True), (1e-7, 1e-6, 0.0, None), (2e-6, 1e-6, 0.0, True),
     (1e-7, 1e-9, 1e-6, None), (2e-6, 1e-9, 1e-6, True), (math.nan, 1e-9, 0.0, True)],
)  # fmt: skip
def test_a_change_is_beyond_rounding_by_share_of_the_output(by: float, slack: float, rough: float, beyond: Any) -> None:
    one = trial(slack=slack)
    assert one.beyond(one.base, one.base + 3 * by, rough) is beyond  # the largest output is 3


class Placed(nn.Module):
    """Adds so much to the second row."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by * (torch.arange(len(x)) == 1).to(x)[:, None]


@pytest.mark.parametrize(("by", "placed"), [(0.0, False), (1e-5, None), (1e-2, True)])
def test_a_place_counts_beyond_what_a_lower_precision_may_do(by: float, placed: Any) -> None:
    assert trial(Placed(by)).placed() is placed


def test_of_several_answers_one_yes_is_a_yes_and_no_answer_is_none() -> None:
    assert [_any(told) for told in ([], [False], [None, False], [None, True], [True, False])] == [
        False,
        False,
        None,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("random", "shared", "coupled", "coarse", "count"),
    [(False, None, False, False, 0), (None, None, False, False, 1), (True, None, False, False, 1),
     (True, True, False, False, 0), (True, None, True, False, 0), (False, None, False, True, 1), (None, None, None, True, 2)],
)  # fmt: skip
def test_what_is_undecided_has_its_reason(random: Any, shared: Any, coupled: Any, coarse: bool, count: int) -> None:
    assert len(_reasons(random, shared, coupled, coarse)) == count


@pytest.mark.parametrize(
    ("drew", "random", "coupled", "shared", "factorises", "asked"),
    [
        (False, True, False, True, True, False),  # nothing was drawn
        (True, True, False, False, True, True),
        (True, True, False, True, False, True),
        (True, True, False, None, None, True),
        (True, True, True, True, False, False),
        (True, None, False, True, None, False),
        (True, False, False, True, True, False),
        (False, False, True, True, False, False),
        (False, False, None, True, None, False),
    ],
)
def test_rows_are_apart_where_nothing_couples_them(
    drew: bool, random: Any, coupled: Any, shared: Any, factorises: Any, asked: bool
) -> None:
    told: Any = SimpleNamespace(random=lambda: random, coupled=lambda: coupled, shared=lambda: shared, placed=lambda: False,
                                sized=lambda: False, refusal=lambda: None)  # fmt: skip
    found = _tried(told, "training", drew, (), False)
    assert found.factorises is factorises
    assert found.shared is (shared if asked else None)
    assert (found.placed is None) is bool(found.random)


class Moving(nn.Module):
    """Counts its calls in one of two buffers, and answers by it where it `remembers`."""

    def __init__(self, remembers: bool) -> None:
        super().__init__()
        self.remembers = remembers
        self.register_buffer("seen", torch.zeros(1, dtype=f64))
        self.register_buffer("still", torch.zeros(1, dtype=f64))

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.seen + 1
        return x + (self.seen - 1 if self.remembers else 0)


@pytest.mark.parametrize(
    ("model", "state"),
    [(nn.Identity(), ((), False)), (Moving(False), (("seen",), False)), (Moving(True), (("seen",), True))],
)
def test_buffers_that_a_call_moves_are_told_and_whether_it_answers_by_them(model: nn.Module, state: Any) -> None:
    x = torch.arange(4.0, dtype=f64).reshape(4, 1)
    assert _Trial(model, x, x, 0, 1e-9).state() == state
