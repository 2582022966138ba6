"""The audit of a model: rows that depend on one another, random numbers, state; and what it must leave untouched."""

import json
import random
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlnn import models
from mlnn.auditing_models import ModelAudit, audit_model
from mlnn.errors import ConfigError, DataError, MlnnError

_draws = torch.Generator().manual_seed(3)
FLAT = torch.randn(8, 5, generator=_draws)
IMAGES = torch.randn(6, 1, 8, 8, generator=_draws)
TOKENS = torch.randint(9, (5, 3), generator=_draws)
OWN = torch.Generator()
Forward = Callable[["Odd", Tensor], Tensor]


class Odd(nn.Module):
    """A linear layer `l` inside a forward pass of its own."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.l, self.calls, self.own = nn.Linear(5, 2), 0, forward

    def forward(self, x: Tensor) -> Tensor:
        return self.own(self, x)


def odd(forward: Forward, x: Tensor = FLAT, **options: object) -> ModelAudit:
    torch.manual_seed(0)
    return audit_model(Odd(forward), x, **options)  # type: ignore[arg-type]


def counted(model: Odd, x: Tensor) -> Tensor:
    model.calls += 1
    return model.l(x) * model.calls


def dropped(share: float, shape: Callable[[Tensor], tuple[int, ...]]) -> Forward:
    """Stochastic depth: the branch `l` is left out at random, per row or for the batch."""

    def forward(model: Odd, x: Tensor) -> Tensor:
        return x[:, :2] + model.l(x) * (torch.rand(shape(x)) >= share) if model.training else x[:, :2] + model.l(x)

    return forward


def does(found: ModelAudit, mode: str, deed: str) -> list[str]:
    return [layer.name for layer in found.layers if layer.mode == mode and deed in layer.does]


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (partial(models.MLP, (5,), 1, norm="layer"), FLAT),
        (partial(models.MLP, (5,), 1, residual=True), FLAT),
        (partial(models.Transformer, (5,), 1), FLAT),
        (partial(models.Recurrent, (5,), 1), FLAT),
        (partial(models.Conv, (1, 8, 8), 3), IMAGES),
        (partial(models.Free, (5,), 1), FLAT),
        (lambda: nn.Sequential(nn.Linear(5, 4), nn.GroupNorm(2, 4)), FLAT),
        (lambda: nn.Sequential(nn.Embedding(9, 4), nn.Flatten()), TOKENS),
    ],
    ids=["MLP", "residual", "Transformer", "Recurrent", "Conv", "Free", "GroupNorm", "Embedding"],
)
def test_a_model_whose_rows_are_apart_factorises_in_both_modes(model: Callable[[], nn.Module], x: Tensor) -> None:
    found = audit_model(model, x)
    assert found.training is not None
    for mode in (found.training, found.evaluation):
        asked = (mode.factorises, mode.random, mode.coupled, mode.placed, mode.sized, mode.one_row, mode.remembers)
        assert asked == (True, False, False, False, False, None, False)
        assert mode.stateful == mode.undecided == ()
    assert found.layers == ()
    assert found.sentence.startswith("In training and evaluation mode each row's output depends on that row alone")


def batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 1))


def behind_a_head_of_zeros() -> nn.Module:
    model = batch_norm()
    nn.init.zeros_(model[3].weight)  # type: ignore[index]
    return model


@pytest.mark.parametrize(
    ("model", "x", "layers", "refuses"),
    [
        (batch_norm, FLAT, ["2"], True),
        (batch_norm, FLAT[:2], ["2"], True),
        (behind_a_head_of_zeros, FLAT, ["2"], True),
        (partial(models.MLP, (5,), 1, norm="batch"), FLAT, ["hidden.0.1", "hidden.1.1"], True),
        (
            partial(models.ResNet, (1, 8, 8), 2, blocks=1),
            IMAGES,
            ["stem.1", "blocks.0.0.branch.1", "blocks.0.0.branch.4"],
            False,
        ),
        (lambda: nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.BatchNorm1d(12)), TOKENS, ["2"], True),
    ],
    ids=["one", "two rows", "zero head", "MLP", "ResNet", "tokens"],
)
def test_batch_norm_couples_rows_in_training_mode_only(
    model: Callable[[], nn.Module], x: Tensor, layers: list[str], refuses: bool
) -> None:
    found = audit_model(model, x)
    training = found.training
    assert training is not None
    assert (training.factorises, training.coupled, training.random, training.placed) == (False, True, False, False)
    assert (training.one_row is not None) == refuses
    assert not refuses or "Expected more than 1 value per channel" in str(training.one_row)
    assert does(found, "training", "couples rows") == layers
    assert does(found, "training", "moves its buffer running_mean") == layers
    assert len(training.stateful) == 3 * len(layers)
    assert (found.evaluation.factorises, found.evaluation.stateful, found.evaluation.one_row) == (True, (), None)
    assert not does(found, "evaluation", "couples rows")
    assert "exp(−loss) is not the conditional likelihood" in found.sentence
    assert "In evaluation mode each row's output depends on that row alone" in found.sentence
    assert all(f"'{name}' (BatchNorm" in found.sentence for name in layers)


def test_batch_norm_without_running_statistics_couples_in_evaluation_too() -> None:
    found = audit_model(nn.BatchNorm1d(5, track_running_stats=False), FLAT)
    assert (found.evaluation.coupled, found.evaluation.factorises) == (True, False)
    assert "in training and evaluation mode the loss is no sum over independent rows" in found.sentence


def test_a_frozen_batch_norm_stays_frozen_in_a_model_that_is_in_training_mode() -> None:
    model = batch_norm().train()
    assert audit_model(model, FLAT).training.coupled  # type: ignore[union-attr]
    model[2].eval()  # type: ignore[index]
    training = audit_model(model, FLAT).training
    assert training is not None
    assert (training.coupled, training.factorises, training.stateful) == (False, True, ())
    assert audit_model(model.eval(), FLAT).training.coupled  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("model", "x", "layers"),
    [
        (partial(models.MLP, (5,), 1, dropout=0.3), FLAT, ["hidden.0.3"]),  # one module, called in both layers
        (partial(models.Transformer, (5,), 1, depth=1, dropout=0.1), FLAT, ["blocks.0.0.branch.2"]),
        (partial(models.Conv, (1, 8, 8), 3, dropout=0.5), IMAGES, ["hidden.2"]),
        (lambda: nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5, inplace=True), nn.ReLU(), nn.Dropout(0.1)), FLAT, ["1", "3"]),
        (partial(Odd, dropped(0.2, lambda x: (len(x), 1))), FLAT, [""]),
    ],
    ids=["MLP", "Transformer", "Conv", "two", "stochastic depth"],
)  # fmt: skip
def test_dropout_is_one_draw_in_training_mode_and_leaves_rows_apart(
    model: Callable[[], nn.Module], x: Tensor, layers: list[str]
) -> None:
    found = audit_model(model, x)
    training, evaluation = found.training, found.evaluation
    assert training is not None
    assert (training.random, training.shared, training.coupled, training.factorises) == (True, False, False, True)
    assert (training.placed, training.sized) == (None, None)
    assert (evaluation.random, evaluation.factorises) == (False, True)
    assert does(found, "training", "draws random numbers") == layers
    assert "Jensen" in found.sentence
    assert "serves all rows" not in found.sentence


def test_dropout_and_batch_norm_are_told_apart() -> None:
    found = audit_model(partial(models.MLP, (5,), 1, depth=1, norm="batch", dropout=0.3), FLAT)
    assert does(found, "training", "couples rows") == ["hidden.0.1"]
    assert does(found, "training", "draws random numbers") == ["hidden.0.3"]
    assert found.training is not None
    assert (found.training.shared, found.training.one_row is None) == (None, False)


def test_one_draw_for_the_whole_batch_makes_rows_dependent() -> None:
    found = odd(dropped(0.2, lambda _: (1, 1)))
    assert found.training is not None
    assert (found.training.random, found.training.shared, found.training.factorises) == (True, True, False)
    assert "One draw serves all rows" in found.sentence


def test_a_draw_that_hardly_ever_acts_is_undecided() -> None:
    never = odd(dropped(1e-9, lambda x: (len(x), 1))).training
    assert never is not None
    assert (never.random, never.coupled, never.factorises) == (None, False, None)
    assert "stayed the same in 32 draws" in never.undecided[0]
    rare = odd(dropped(0.03, lambda _: (1, 1))).training
    assert rare is not None
    assert (rare.random, rare.shared, rare.factorises) == (True, None, None)
    assert "did not show in 32 draws" in rare.undecided[0]


@pytest.mark.parametrize(
    "forward",
    [lambda m, x: m.l(x) + random.random(), lambda m, x: m.l(x) + float(np.random.rand())],  # noqa: NPY002
    ids=["random", "numpy"],
)
def test_random_numbers_from_outside_torch_are_seen(forward: Forward) -> None:
    found = odd(forward).evaluation
    assert (found.random, found.shared) == (True, True)


def test_random_numbers_that_no_seed_reaches_are_undecided() -> None:
    found = odd(lambda m, x: m.l(x) + torch.randn(len(x), 1, generator=OWN))
    assert (found.evaluation.random, found.evaluation.coupled, found.evaluation.factorises) == (True, None, None)
    assert "no seed reaches" in found.sentence


@pytest.mark.parametrize(
    ("forward", "coupled", "placed", "sized"),
    [
        (lambda m, x: m.l(x) - m.l(x).mean(0), True, False, True),
        (lambda m, x: m.l(x) - 1e-7 * m.l(x).mean(0), True, False, None),  # a size so small may be rounding inside
        (lambda m, x: m.l(x) + 0.1 * m.l(x).cumsum(0), True, True, False),
        (lambda m, x: m.l(x) + m.l(x).roll(1, 0), True, False, True),
        (lambda m, x: m.l(x) + torch.arange(len(x))[:, None], False, True, False),
        (lambda m, x: m.l(x) + 1e-7 * torch.arange(len(x))[:, None], False, None, False),  # nor need a place
        (lambda m, x: m.l(x) / len(x), False, False, True),
        (lambda m, x: m.l(x) * (1 + 1e-11 * x.mean()), False, False, False),  # below what counts as a change
    ],
    ids=["centred", "centred a little", "running sum", "rolled", "place", "place a little", "size", "rounding"],
)
def test_rows_that_depend_on_the_batch_are_seen_in_any_forward(
    forward: Forward, coupled: bool, placed: bool | None, sized: bool | None
) -> None:
    found = odd(forward)
    mode = found.evaluation
    assert (mode.coupled, mode.placed, mode.sized) == (coupled, placed, sized)
    found_out = {coupled, placed, sized}
    assert mode.factorises is (False if True in found_out else None if None in found_out else True)
    assert does(found, "evaluation", "couples rows") == ([""] if coupled else [])


def test_attention_that_takes_the_batch_for_steps_is_named() -> None:
    def model(batch_first: bool) -> nn.Module:
        block = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=batch_first)
        return nn.Sequential(nn.Unflatten(1, (5, 1)), nn.Linear(1, 4), block, nn.Flatten())

    wrong, right = (audit_model(partial(model, first), FLAT) for first in (False, True))
    assert does(wrong, "evaluation", "couples rows") == ["2.self_attn"]
    assert right.evaluation.factorises is True


def test_memory_outside_the_buffers_is_seen() -> None:
    found = odd(counted)
    assert found.evaluation.remembers is True
    assert "The same call twice over answers differently" in found.sentence
    spectral = audit_model(nn.utils.parametrizations.spectral_norm(nn.Linear(5, 2)), FLAT)
    assert spectral.training is not None
    assert (spectral.training.remembers, spectral.evaluation.remembers) == (True, False)
    assert does(spectral, "training", "moves its buffer _u") == ["parametrizations.weight.0"]


def test_a_change_that_a_lower_precision_inside_may_make_is_undecided() -> None:
    class Single(nn.Module):
        def __init__(self, size: float) -> None:
            super().__init__()
            self.l, self.size = nn.Linear(5, 3), size

        def forward(self, x: Tensor) -> Tensor:
            h = nn.functional.linear(x.float(), self.l.weight.float())
            return h + self.size * h.mean()

    found = audit_model(Single(2e-6), FLAT).evaluation
    assert (found.coupled, found.factorises) == (None, None)
    assert "lower precision inside" in found.undecided[0]
    assert audit_model(Single(1e-2), FLAT).evaluation.coupled is True
    assert audit_model(Single(0.0), FLAT).evaluation.factorises is True


@pytest.mark.parametrize("training", [True, False])
def test_the_callers_model_and_random_streams_stay_as_they_were(training: bool) -> None:
    model = models.MLP((5,), 1, norm="batch", dropout=0.3).train(training)
    model.hidden[0][1].train(not training)  # type: ignore[index]
    modes = [part.training for part in model.modules()]
    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(99)  # a state that no audit leaves behind
    state = {name: value.clone() for name, value in model.state_dict().items()}
    x, streams = FLAT.clone(), (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    audit_model(model, x)
    audit_model(partial(models.MLP, (5,), 1), x)
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None and weight.dtype == torch.float32 for weight in model.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert torch.equal(x, FLAT)
    assert torch.equal(torch.get_rng_state(), streams[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == streams[1:]  # noqa: NPY002


def test_the_answer_is_plain_data_and_repeats() -> None:
    one, two = (audit_model(partial(models.MLP, (5,), 1, norm="batch", dropout=0.2), FLAT, seed=4) for _ in range(2))
    assert one == two
    assert json.loads(json.dumps(one.to_dict()))["evaluation"]["factorises"] is True
    alone = audit_model(batch_norm, FLAT, train=False)
    assert alone.training is None
    assert alone.sentence.startswith("In evaluation mode each row's output")


@pytest.mark.parametrize(
    ("model", "x", "error", "message"),
    [
        (3, FLAT, ConfigError, "int is neither an nn.Module nor a factory"),
        (lambda: 3, FLAT, ConfigError, "the factory returned int"),
        (lambda: 1 / 0, FLAT, ConfigError, "the factory raised ZeroDivisionError"),
        (nn.LazyLinear(2), FLAT, ConfigError, "LazyLinear has lazy weights"),
        (nn.Linear(4, 1), FLAT, ConfigError, r"it raised RuntimeError on \(8, 5\) in float64"),
        (nn.GRU(5, 2), FLAT, ConfigError, "it returned tuple, not a tensor"),
        (nn.Flatten(0), FLAT, ConfigError, r"raw output of shape \(40,\) for 8 rows"),
        (Odd(lambda m, x: m.l(x).sum()), FLAT, ConfigError, r"raw output of shape \(\) for 8 rows"),
        (Odd(lambda m, x: m.l(x) / x[:, :1].ceil().clamp(0, 0)), FLAT, DataError, "raw output of row 0 of x is not finite"),
        (batch_norm, FLAT[:1], DataError, r"two rows or more are needed .* found \(1, 5\)"),
        (batch_norm, FLAT[:0], DataError, r"two rows or more are needed .* found \(0, 5\)"),
        (batch_norm, FLAT[:, :0], DataError, r"found \(8, 0\)"),
        (batch_norm, FLAT[:1].repeat(4, 1), DataError, "all 4 rows are the same"),
        (batch_norm, FLAT * torch.inf, DataError, "NaN or infinity"),
        (batch_norm, [[1.0], [2.0]], DataError, "a tensor .* found list"),
        (batch_norm, torch.tensor(1.0), DataError, r"found shape \(\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_audited_is_refused(model: object, x: Tensor, error: type[MlnnError], message: str) -> None:
    with pytest.raises(error, match=message):
        audit_model(model, x)  # type: ignore[arg-type]
