"""Weight decay read as a Gaussian prior: by the audit, and by a lane that writes the prior into its loss."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from app_cases import command
from torch import nn, optim
from training_cases import ADAM, SGD, X, Y, advance, compare, lane_recipe, recipe, verdict

from mlnn.auditing_models.prior import prior_of
from mlnn.errors import ConfigError
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.training import LaneRecipe

DECAY = 0.01
MOMENTUM = partial(optim.SGD, lr=0.05, momentum=0.9)


@pytest.mark.sampled(12)
@pytest.mark.parametrize(
    "optimizer",
    [
        partial(optim.SGD, lr=0.1),
        MOMENTUM,
        partial(MOMENTUM, nesterov=True),
        partial(optim.SGD, lr=0.1, maximize=True),
        partial(optim.Adam, lr=1e-2),
        partial(optim.RMSprop, lr=1e-2),
        partial(optim.Adagrad, lr=0.1),
    ],
    ids=["SGD", "momentum", "Nesterov", "ascent", "Adam", "RMSprop", "Adagrad"],
)
def test_coupled_weight_decay_is_the_gaussian_prior(optimizer: Callable[..., optim.Optimizer]) -> None:
    found = prior_of(partial(optimizer, weight_decay=DECAY), rows=569)
    assert found.is_prior is True
    assert found.variance == pytest.approx(1 / (569 * DECAY), rel=1e-15)
    assert found.gap <= 1e-13 * found.effect
    assert found.effect > 1e-3
    assert found.left_mode < 1e-3
    assert found.from_maximum == pytest.approx(1, abs=1e-3)
    assert "N(0, 0.1757)" in found.sentence
    assert "it stays there" in found.sentence


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "optimizer",
    [
        partial(optim.AdamW, lr=1e-2),
        partial(optim.Adam, lr=1e-2, decoupled_weight_decay=True),
        partial(optim.Adafactor),
    ],
    ids=["AdamW", "Adam, decoupled", "Adafactor"],
)
def test_decoupled_weight_decay_is_not(optimizer: Callable[..., optim.Optimizer]) -> None:
    found = prior_of(partial(optimizer, weight_decay=DECAY), rows=569)
    assert (found.is_prior, found.variance) == (False, None)
    assert found.gap > found.effect
    assert found.left_mode > 0.99
    assert found.from_maximum < 0.01
    assert "not a Gaussian prior, so the fit is not MAP" in found.sentence
    assert "of the way to the maximum of the likelihood" in found.sentence


class SlightlyMore(optim.SGD):
    """SGD whose weight decay is 1.00001 times what it says."""

    def step(self, closure: Callable[[], float]) -> None:  # type: ignore[override]
        closure()
        for group in self.param_groups:
            for weight in group["params"]:
                with torch.no_grad():
                    weight -= group["lr"] * (weight.grad + 1.00001 * group["weight_decay"] * weight)


def test_a_decay_that_is_slightly_more_than_it_says_is_caught() -> None:
    found = prior_of(partial(SlightlyMore, lr=0.1, weight_decay=DECAY))
    assert found.is_prior is False
    assert found.gap == pytest.approx(1e-5 * found.effect, rel=0.1)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("decay", [1e-12, 1e-300, 5e-324])
def test_a_decay_too_small_to_see_is_undecided(decay: float) -> None:
    found = prior_of(partial(optim.SGD, lr=0.1, weight_decay=decay))
    assert (found.is_prior, found.variance) == (None, None)
    assert found.sentence.startswith("Undecided")


def test_the_answer_is_plain_data_repeats_and_draws_from_no_global_stream() -> None:
    before = torch.get_rng_state()
    one, two = (prior_of(partial(optim.SGD, lr=0.1, weight_decay=DECAY), seed=2) for _ in range(2))
    assert one == two
    assert json.loads(json.dumps(one.to_dict()))["is_prior"] is True
    assert torch.equal(before, torch.get_rng_state())
    assert prior_of(partial(optim.SGD, lr=0.1, weight_decay=DECAY), seed=3).effect != one.effect


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: prior_of(optim.LBFGS), "LBFGS has no weight_decay"),
        (lambda: prior_of(optim.SGD), "SGD has weight_decay=0; a finite number above 0"),
        (lambda: prior_of(partial(optim.SGD, weight_decay=-1.0)), "the factory raised ValueError"),
        (lambda: prior_of(partial(optim.SGD, lr=1e4, weight_decay=DECAY)), "SGD diverged .* lower its lr"),
        (lambda: prior_of(lambda _: 3), "the factory returned int"),
        (lambda: prior_of(lambda _: SGD(nn.Linear(2, 1).parameters())), "does not train the parameter"),
        (lambda: prior_of(SGD, rows=0), "rows: 0; the number of rows"),
        (lambda: prior_of(SGD, rows=True), "rows: True"),
        (lambda: lane_recipe(prior=-0.1), "prior: -0.1; a finite number, at least 0"),
        (lambda: lane_recipe(prior=float("nan")), "prior: nan"),
    ],
)
def test_what_cannot_be_read_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


def pair(
    optimizer: Callable[..., optim.Optimizer], prior: float = DECAY, **right: object
) -> tuple[LaneRecipe, LaneRecipe]:
    """Decay in left's optimiser, the prior in right's loss."""
    plain = partial(optimizer, weight_decay=0.0)
    return (
        lane_recipe(bernoulli_nll_log1p, partial(optimizer, weight_decay=DECAY)),
        lane_recipe(bce, plain, prior=prior, **right),
    )


@pytest.mark.sampled(3)
@pytest.mark.parametrize("optimizer", [SGD, MOMENTUM, ADAM], ids=["SGD", "momentum", "Adam"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_decay_in_the_optimizer_and_prior_in_the_loss_are_equal(
    optimizer: Callable[..., optim.Optimizer], dtype: str
) -> None:
    result = compare(*pair(optimizer), steps=40, dtype=dtype)
    assert (result.verdict.relation, result.verdict.control) == ("equal", "bitwise")
    assert "take the same steps: the decay is that Gaussian prior, so the fit is MAP" in result.verdict.sentence
    gap = result.trace["weight_gap" if dtype == "float64" else "weight_gap_float64"]
    assert 0 < gap.max() < 1e-12, "free-running, the two stay together too"


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "sides",
    [
        pair(partial(optim.AdamW, lr=1e-2)),
        pair(SGD, prior=DECAY * (1 + 1e-7)),
        pair(SGD, prior=2 * DECAY),
        (lane_recipe(), lane_recipe(prior=1e-6)),
        (lane_recipe(prior=DECAY), lane_recipe()),
        [lane_recipe(optimizer=partial(optim.LBFGS, lr=0.1), prior=prior) for prior in (0.0, DECAY)],
    ],
    ids=["AdamW", "a little more", "twice", "no decay", "left only", "LBFGS"],
)
def test_another_prior_is_different(sides: Sequence[LaneRecipe]) -> None:
    found = verdict(*sides, batch_size=None)
    assert (found.relation, found.gradient_relation) == ("different", "different")
    assert found.value_relation in ("bitwise", "equal"), "the objectives themselves are one"
    assert "do not take the same steps" in found.sentence


@pytest.mark.rest
def test_the_same_prior_on_both_sides_needs_no_word_and_moves_the_weights() -> None:
    with_prior, without = (compare(*[lane_recipe(prior=prior)] * 2, steps=40) for prior in (0.5, 0.0))
    assert with_prior.verdict.relation == without.verdict.relation == "bitwise"
    assert "Weight decay" not in with_prior.verdict.sentence
    assert with_prior.trace["loss_left"][-1] > without.trace["loss_left"][-1], (
        "the objective alone, held back by its prior"
    )


def test_the_prior_is_added_once_however_many_micro_batches() -> None:
    assert verdict(*pair(SGD, accumulate=4)).relation == "equal"


@pytest.mark.rest
def test_a_weight_that_the_objective_does_not_reach_is_decayed_by_the_prior_only() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(4, 1), nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x)

    found = verdict(*pair(SGD), model=Idle)
    assert found.relation == "different", "torch's optimisers skip a weight that has no gradient, decay and all"


def test_lbfgs_sees_the_prior_in_value_and_gradient_and_reaches_the_posterior_mode() -> None:
    search = partial(optim.LBFGS, line_search_fn="strong_wolfe", max_iter=50, tolerance_grad=1e-12, tolerance_change=0)
    shared = recipe(steps=3, batch_size=None, model=lambda: nn.Linear(4, 1), dtype=torch.float64)
    lane = advance(shared, *[lane_recipe(bernoulli_nll_log1p, search, prior=0.1)] * 2).lanes["left"]
    output = lane.module(X).squeeze(1)
    slopes = torch.autograd.grad(bernoulli_nll_log1p(output, Y).mean(), lane.weights)
    for slope, weight in zip(slopes, lane.weights, strict=True):
        assert (slope + 0.1 * weight).abs().max() < 1e-9
        assert slope.abs().max() > 1e-3


@pytest.mark.sampled(8)
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("optimizer=sgd", "lanes.left.optimizer.weight_decay=0.01", "lanes.right.prior=0.01", "require=equal",
          "domain=[-20,15]"), 0, "MAP"),
        (("experiment=weight_decay", "optimizer=adam", "require=equal", "domain=[-20,15]"), 0, "MAP"),
        (("experiment=weight_decay", "optimizer=adamw", "require=equal", "domain=[-20,15]"), 1, "not the same prior"),
        (("lanes.right.prior=-1",), 2, "prior: -1"),
        (("lanes.right.prior=much",), 2, "lanes.right.prior: 'much' is not a number"),
    ],
)  # fmt: skip
def test_the_command_line_tells_a_prior_from_a_decay(
    words: tuple[str, ...], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = command("compare", *words, "steps=8", "data=spector", "batch_size=16", "model=logistic", "null_twins=1")
    assert result.code == code, result.err
    assert said in " ".join((result.out + result.err).replace("│", " ").split())
