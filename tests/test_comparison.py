"""What a comparison says of a pair: every relation by a small run, and every yardstick made to fail."""

import math

import pytest
import torch
from objective_cases import Drifting, Function, Switched, base_two, bent, scaled, smoothed, softplus_form
from torch import Tensor, nn
from training_cases import OPTIMIZERS, SLOPE, X, Y, compare, lane_recipe, verdict

from mlnn.errors import ConfigError, DataError
from mlnn.objectives import Bernoulli, bce, bernoulli_nll_clipped, bernoulli_nll_log1p, bernoulli_nll_naive

log1p = bernoulli_nll_log1p
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)


def broadcast(z: Tensor, y: Tensor) -> Tensor:
    """The classic: (n, 1) against (n,) is (n, n), and the mean hides it."""
    return log1p(z[:, None].expand(-1, len(z)), y.expand(len(z), -1)).mean()


def row_dropped(z: Tensor, y: Tensor) -> Tensor:
    return log1p(z[1:], y[1:]).mean() if len(z) > 1 else log1p(z, y).mean()


def rare(z: Tensor, y: Tensor) -> Tensor:
    """1 % too large between 0.3 and 0.32: between the points of the probe, and on one row in a hundred."""
    return log1p(z, y) * torch.where((z > 0.3001) & (z < 0.32), 1.01, 1.0)


EQUAL = {
    "control": (bce, bce, "bitwise"),
    "bce": (bce, log1p, "equal"),
    "likelihood": (bce, Bernoulli(), "equal"),
    "module": (nn.BCEWithLogitsLoss(), log1p, "equal"),
    "textbook": (bce, bernoulli_nll_naive, "equal"),
    "clipped": (log1p, bernoulli_nll_clipped, "equal"),
    "shifted": (log1p, scaled(1.0, 1e-3), "shifted"),
    "scaled": (log1p, scaled(1 + 1e-5), "scaled"),
    "log2": (bce, base_two, "scaled"),
    "both": (log1p, scaled(2.0, 0.5), "scaled"),
    "softplus": (log1p, softplus_form, "indistinguishable"),
    "tiny factor": (log1p, scaled(1 + 1e-9), "indistinguishable"),
}


@pytest.mark.sampled(6)
@every_optimizer
@pytest.mark.parametrize("pair", EQUAL)
def test_pairs_that_train_alike(pair: str, optimizer: str) -> None:
    left, right, expected = EQUAL[pair]
    found = verdict(left, right, optimizer=OPTIMIZERS[optimizer])
    assert found.relation == expected
    assert found.control == "bitwise"
    assert found.left_domain == 0
    if expected == "equal":
        assert found.shrink is not None
        assert 1e7 < found.shrink < 1e10  # rounding shrinks by about 2^29
    if expected == "bitwise":
        assert found.first_difference is None


FAULTS: dict[str, Function] = {
    "broadcast": broadcast,
    "row dropped": row_dropped,
    "label smoothing": smoothed(1e-3),
    "gradient right, value wrong": lambda z, y: log1p(z, y) + 1e-3 * (z * z).detach(),
    "value right, gradient wrong": bent(1e-3),
    "temperature": lambda z, y: log1p(1.0005 * z, y),
    "other sign": scaled(-1.0),
    "no gradient": lambda z, y: log1p(z, y).detach() + 0 * z,
    "targets swapped": lambda z, y: log1p(z, 1 - y),
}


@pytest.mark.sampled(4)
@every_optimizer
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_in_right_are_different(fault: str, optimizer: str) -> None:
    found = verdict(log1p, FAULTS[fault], optimizer=OPTIMIZERS[optimizer])
    assert found.relation == "different"
    expected = {"gradient right, value wrong": ("different", "equal")}.get(fault)
    assert expected is None or (found.value_relation, found.gradient_relation) == expected
    assert found.first_difference is not None
    assert found.first_difference["step"] == 0
    assert not found.meets("scaled")


@pytest.mark.sampled(2)
@every_optimizer
def test_a_sum_for_a_mean_is_a_factor_which_the_probe_alone_cannot_see(optimizer: str) -> None:
    found = verdict(log1p, lambda z, y: log1p(z, y).sum(), optimizer=OPTIMIZERS[optimizer])
    assert (found.relation, found.scale) == ("scaled", pytest.approx(32, rel=1e-12))
    assert found.evidence["probe_gradient"] == {"relation": "bitwise", "size": 0.0}


@pytest.mark.sampled(2)
@every_optimizer
@pytest.mark.parametrize("step", [1, 7])
def test_a_fault_that_begins_during_training_is_caught_and_its_step_reported(step: int, optimizer: str) -> None:
    right = Switched(step, scaled(1.01))
    found = verdict(log1p, right, optimizer=OPTIMIZERS[optimizer], progress=right.progress)
    assert found.relation == "different"
    assert found.first_difference is not None
    assert found.first_difference["step"] == step
    assert f"at step {step}" in found.sentence
    late = Switched(8, scaled(1.01))
    assert verdict(log1p, late, optimizer=OPTIMIZERS[optimizer], progress=late.progress).relation == "bitwise"


@pytest.mark.sampled(2)
@every_optimizer
def test_a_fault_on_rare_rows_is_caught_with_its_row(optimizer: str) -> None:
    found = verdict(log1p, rare, optimizer=OPTIMIZERS[optimizer], steps=40)
    assert found.relation == "different"
    where = found.first_difference
    assert where is not None
    assert 0.3 < where["output"] < 0.32
    assert where["target"] == Y[where["row"]]
    assert where["step"] > 0


def test_an_objective_with_state_leaves_nothing_decided() -> None:
    for pair in ((Drifting(), log1p), (log1p, Drifting())):
        found = verdict(*pair)
        assert found.relation == "undecided"
        assert "answered the same call twice differently" in found.sentence


def test_a_control_that_differs_from_left_leaves_nothing_decided() -> None:
    left = Switched(4, Drifting())  # quiet in the probe, so that only the control can notice
    found = verdict(left, log1p, progress=left.progress, engine="plain")
    assert found.relation == "undecided"
    assert found.control == "control differs from left in loss or gradient at step 4"
    assert found.control in found.sentence
    assert verdict(Switched(4, Drifting()), log1p).relation == "bitwise"
    left = Switched(
        4, Drifting()
    )  # lanes stacked, left and control are asked in one call: what they see is found against right alone
    assert verdict(left, log1p, progress=left.progress).relation == "undecided"


def test_a_left_that_does_not_train_leaves_nothing_decided() -> None:
    still = lane_recipe(log1p, lambda weights: torch.optim.SGD(weights, lr=0.0))
    found = verdict(still, lane_recipe(log1p))
    assert found.relation == "undecided"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_side_that_is_not_finite_is_broken(factor: float) -> None:
    def bad(z: Tensor, y: Tensor) -> Tensor:
        return log1p(z, y) * factor

    for pair, side in (((log1p, bad), "right"), ((bad, log1p), "left")):
        found = verdict(*pair)
        assert found.relation == "broken"
        assert f"{side}'s loss is not finite from step 0 on" in found.sentence
    both = verdict(bad, bad)
    assert both.relation in ("different", "broken", "undecided")
    assert not both.meets("scaled")


def test_the_textbook_formula_breaks_on_confident_rows_and_the_row_is_named() -> None:
    y = (X @ SLOPE > 0).double()
    found = compare(bce, bernoulli_nll_naive, (X, y), optimizer=lambda w: torch.optim.SGD(w, lr=50.0), steps=10)
    assert found.verdict.relation == "broken"
    stop = found.lanes["right"]["stopped"]
    assert stop["target"] == y[stop["row"]]
    assert abs(stop["output"]) > 16.6
    assert found.lanes["left"]["stopped"] is None
    assert f"row {stop['row']}" in found.verdict.sentence
    assert found.trace["non_finite_right"].max() > 0 == found.trace["non_finite_left"].max()


def test_bad_usage_and_bad_data_are_refused_at_the_door() -> None:
    for options, message in (
        ({"steps": 0}, "steps: 0"),
        ({"batch_size": 97}, "batch_size: 97"),
        ({"dtype": "float23"}, "unknown dtype"),
        ({"device": "meat"}, "not available"),
        ({"null_twins": -1}, "null_twins: -1"),
        ({"require": "different"}, "unknown relation 'different'"),
        ({"outputs": "logits"}, "unknown kind of outputs"),
        ({"targets": "binray"}, "Did you mean 'binary'"),
        ({"model": lambda: nn.Linear(5, 1)}, r"model raised RuntimeError on \(32, 4\)"),
    ):
        with pytest.raises(ConfigError, match=message):
            compare(bce, log1p, **options)
    for x, y in ((X, Y[:5]), (X * math.nan, Y), (X, torch.zeros(96))):
        with pytest.raises(DataError):
            compare(bce, log1p, (x, y))


def test_a_head_that_starts_at_zero_is_no_difference() -> None:
    def zeroed() -> nn.Module:
        model = nn.Linear(4, 1)
        for weight in model.parameters():
            nn.init.zeros_(weight)
        return model

    found = verdict(nn.BCEWithLogitsLoss(), bernoulli_nll_log1p, model=zeroed)
    assert found.relation == "equal", found.sentence
    assert (
        verdict(nn.BCEWithLogitsLoss(), lambda z, y: bernoulli_nll_log1p(1.001 * z, y), model=zeroed).relation
        == "different"
    )
