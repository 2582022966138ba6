"""mlnn.testing: what passes, what fails, what the message says, and a user's ten lines as pytest runs them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlnn.errors import ConfigError
from mlnn.objectives import Bernoulli, bce, bernoulli_nll_log1p
from mlnn.testing import assert_same_objective

BCE = nn.BCEWithLogitsLoss()


def broadcast(z: Tensor, y: Tensor) -> Tensor:
    column = z[:, None]
    return (F.softplus(column) - column * y).mean()


def squared_in_pieces(f: Tensor, y: Tensor) -> Tensor:
    return (f * f - 2 * f * y + y * y).mean()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("left", "right", "targets"),
    [
        (BCE, bernoulli_nll_log1p, "binary"),
        (BCE, Bernoulli(), "binary"),
        (nn.CrossEntropyLoss(), lambda o, t: -o.log_softmax(1).gather(1, t[:, None])[:, 0], "classes(4)"),
        (nn.MSELoss(), squared_in_pieces, "real"),
        (nn.PoissonNLLLoss(), lambda f, y: f.exp() - y * f, "counts"),
    ],
    ids=["function", "likelihood", "classes", "real", "counts"],
)
def test_equal_objectives_pass(left: object, right: object, targets: str) -> None:
    found = assert_same_objective(left, right, targets)
    assert found.relation in ("bitwise", "equal")
    assert found.resolution is not None
    assert found.resolution <= 1e-9


@pytest.mark.sampled(6)
@pytest.mark.parametrize(
    ("right", "words"),
    [
        (nn.BCEWithLogitsLoss(reduction="sum"), ["number of rows", "right sums where left takes the mean"]),
        (broadcast, ["n × n", "(n, 1) and (n,)"]),
        (lambda z, y: F.binary_cross_entropy_with_logits(z, y * 0.999 + 0.0005), ["differ by 0.001"]),
        (lambda z, y: BCE(z, y) / 0.6931471805599453, ["1.4427", "base 2"]),
        (
            lambda z, y: BCE(torch.where(y > 0, -z, z), y),
            ["confined to targets of 1", "flips the sign"],
        ),
        (lambda z, y: BCE(z + 1e-3 * torch.randn_like(z), y), ["twice differently"]),
        (lambda z, y: BCE(z[1:], y[1:]), ["confined to the first row", "Cause: right leaves out the first row"]),
        (lambda z, y: (z[:, None] - y) ** 2, ["cannot be compared", "broadcast"]),
        (
            lambda z, y: BCE(z, y) + 0.001 * (z * z).detach().mean(),
            ["value has a part without a gradient"],
        ),
        (lambda z, y: BCE(z.half(), y.half()).to(z), ["same mathematics", "computes in float16 inside"]),
    ],
    ids=["sum", "broadcast", "smoothing", "log2", "sign", "random", "dropped", "shape", "detached", "half"],
)
def test_a_faulty_objective_fails_with_size_and_cause(right: object, words: list[str]) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_same_objective(BCE, right)
    for word in words:
        assert word in str(caught.value)


def test_an_interval_of_agreement_passes_only_where_it_is_allowed() -> None:
    with pytest.raises(AssertionError, match=r"not on all raw outputs.*allow it: domain=\(-27.6"):
        _flat(assert_same_objective, bce, bernoulli_nll_log1p)
    assert_same_objective(bce, bernoulli_nll_log1p, domain=(-27, 16))
    with pytest.raises(AssertionError):
        assert_same_objective(bce, bernoulli_nll_log1p, domain=(-27, 17))


def test_a_clip_is_named() -> None:
    def clipped(z: Tensor, y: Tensor) -> Tensor:
        p = torch.sigmoid(z).clamp(1e-3, 1 - 1e-3)
        return -(y * p.log() + (1 - y) * (1 - p).log())

    with pytest.raises(
        AssertionError, match=r"in \[-6.90\d*, 6.90\d*\].*right clips raw outputs at ±6.90.*Beyond it right clips"
    ):
        _flat(assert_same_objective, BCE, clipped)


def test_require_names_the_weakest_relation_that_passes() -> None:
    twice = lambda z, y: 2 * BCE(z, y)  # noqa: E731
    assert assert_same_objective(BCE, twice, require="scaled").scale == 2
    with pytest.raises(AssertionError, match="required 'shifted', found 'scaled'"):
        assert_same_objective(BCE, twice, require="shifted")
    assert assert_same_objective(BCE, lambda z, y: BCE(z, y) + 0.25, require="shifted").shift == pytest.approx(0.25)


def test_objectives_that_take_probabilities() -> None:
    assert_same_objective(nn.BCELoss(), bce, outputs=("probabilities", "raw"), domain=(-20, 15))
    with pytest.raises(AssertionError):  # a sigmoid too many
        assert_same_objective(nn.BCELoss(), bce, outputs=("probabilities", "probabilities"), domain=(-2, 2))


@pytest.mark.parametrize(
    "wrong",
    [{"require": "eqal"}, {"targets": "binarry"}, {"outputs": "logits"}, {"dtype": "float31"}],
    ids=["require", "targets", "outputs", "dtype"],
)
def test_bad_arguments_are_usage_errors_not_failures(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"Did you mean|Choices"):
        assert_same_objective(BCE, bce, **wrong)  # type: ignore[arg-type]


def test_threads_and_random_state_are_left_as_they_were() -> None:
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    assert_same_objective(BCE, BCE)
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), state)


USERS_FILE = """
import torch
from mlnn.testing import assert_same_objective

def my_loss(logits, labels):
    p = torch.sigmoid(logits)
    return -(labels * torch.log(p + 1e-3) + (1 - labels) * torch.log(1 - p + 1e-3)).mean()

def test_my_loss_is_cross_entropy():
    assert_same_objective(torch.nn.BCEWithLogitsLoss(), my_loss)
"""


@pytest.mark.slow
def test_ten_lines_of_a_user_catch_a_broken_loss(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(USERS_FILE)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_mine.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 1
    assert "not the same objective: required 'equal', found 'different'" in run.stdout


def _flat(call: object, *arguments: object) -> None:
    """Call, with the message of an AssertionError on one line so that a pattern can span it."""
    try:
        call(*arguments)  # type: ignore[operator]
    except AssertionError as problem:
        raise AssertionError(" ".join(str(problem).split())) from None
