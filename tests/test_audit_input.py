"""What the audit is given: losses that write, draw, raise or answer strangely, and settings of the caller's that must not count."""

import copy
import inspect
import pickle
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import mlnn
from mlnn.auditing.guarded import floating, target_space, unreadable
from mlnn.auditing_models import audit_model, prior_of
from mlnn.errors import ConfigError, DataError
from mlnn.targets import TargetSpace

X = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


def bce(f: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(f, y, reduction="none")


def linear(f: Tensor, y: Tensor) -> Tensor:
    """BCE by way of a matrix product, which autocast would round."""
    return F.softplus(F.linear(f[:, None], torch.ones(1, 1, dtype=f.dtype)).squeeze(1)) - y * f


# The function itself: plain, and ready to be sent to other processes.


def test_audit_is_a_plain_function() -> None:
    assert inspect.isfunction(mlnn.audit)
    assert mlnn.audit.__name__ == "audit"
    assert list(inspect.signature(mlnn.audit).parameters) == ["loss", "targets", "outputs", "dtype", "name", "prove"]
    assert pickle.loads(pickle.dumps(mlnn.audit)) is mlnn.audit
    assert copy.deepcopy(mlnn.audit) is mlnn.audit
    found = mlnn.audit(nn.BCEWithLogitsLoss())
    assert pickle.loads(pickle.dumps(found)) == found


# The caller's settings do not count.


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device() -> Iterator[None]:
    with torch.device("meta"):
        yield


SETTINGS: dict[str, Callable] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": partial(torch.autocast, "cpu", dtype=torch.bfloat16),
    "default dtype": default_dtype,
    "default device": default_device,
}


@cache
def told(setting: str | None) -> list[dict]:
    """Of a loss and a model, under a setting of the caller's."""
    net = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    nn.init.constant_(net[0].weight, 0.3)
    nn.init.zeros_(net[0].bias)
    with SETTINGS[setting]() if setting else nullcontext():
        return [mlnn.audit(linear).to_dict(), audit_model(net, X).to_dict()]


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_the_caller_has_set_does_not_count(setting: str) -> None:
    assert told(setting) == told(None)


@pytest.mark.rest
def test_nor_does_it_for_weight_decay() -> None:
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert prior_of(partial(torch.optim.SGD, lr=0.1, weight_decay=0.1)).is_prior


# And are as they were afterwards.


def world() -> list[object]:
    array = np.random.get_state()  # noqa: NPY002
    return [
        torch.get_rng_state().tolist(), random.getstate(), array[1].tolist(), array[2], torch.get_default_dtype(),  # type: ignore[union-attr]
        torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.get_num_threads(), np.geterr(),
        torch.are_deterministic_algorithms_enabled(),
    ]  # fmt: skip


def disturb() -> None:
    torch.manual_seed(int(torch.randint(100, ())))
    random.seed(random.random())
    np.random.seed(np.random.randint(100))  # noqa: NPY002
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    np.seterr(all="raise")


def disturbing(f: Tensor, y: Tensor) -> Tensor:
    disturb()
    return bce(f, y)


def disturbing_to_raise(*_: Tensor) -> Tensor:
    disturb()
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    raise ValueError("no")


class Disturbing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        disturb()
        self.inner = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        disturb()
        return self.inner(x.to(self.inner.weight.dtype))


def disturbing_optimizer(params: list) -> torch.optim.Optimizer:
    disturb()
    return torch.optim.SGD(params, lr=0.1, weight_decay=0.1)


def test_the_callers_world_is_as_before_whatever_the_parts_do() -> None:
    before = world()
    assert mlnn.audit(disturbing).kind == "likelihood"
    assert world() == before
    with pytest.raises(ConfigError, match="ValueError: no"):
        mlnn.audit(disturbing_to_raise)
    assert world() == before
    audit_model(Disturbing, X)
    assert world() == before
    assert prior_of(disturbing_optimizer).is_prior
    assert world() == before


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, f: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        return bce(f, y)


def test_what_a_loss_keeps_of_its_calls_is_not_the_callers() -> None:
    loss = Counting()
    assert mlnn.audit(loss).kind == "likelihood"
    assert float(loss.calls) == 0


# Losses that write into what they are given: the certificate is that of the formula.


def negates(f: Tensor, y: Tensor) -> Tensor:
    f.neg_()
    return bce(f, y)


def negates_and_sums(f: Tensor, y: Tensor) -> Tensor:
    return negates(f, y).mean()


def signs(f: Tensor, y: Tensor) -> Tensor:
    y.mul_(2).sub_(1)
    return F.softplus(-y * f)


def both(f: Tensor, y: Tensor) -> Tensor:
    f.add_(1.0)
    return bce(f, y.mul_(1.0))


def clamps(f: Tensor, y: Tensor) -> Tensor:
    return bce(f.clamp_(-5, 5), y)


@pytest.mark.parametrize(
    ("loss", "formula", "targets"),
    [
        (negates, lambda f, y: bce(-f, y), "binary"),
        (negates_and_sums, lambda f, y: bce(-f, y).mean(), "binary"),
        (signs, lambda f, y: F.softplus(-(2 * y - 1) * f), "binary"),
        (both, lambda f, y: bce(f + 1, y), "binary"),
        (clamps, lambda f, y: bce(f.clamp(-5, 5), y), "binary"),
        (lambda f, y: F.relu_(1 - (2 * y - 1) * f), lambda f, y: F.relu(1 - (2 * y - 1) * f), "binary"),
    ],
)
def test_a_loss_that_writes_into_its_arguments_is_its_formula(loss, formula, targets: str) -> None:
    assert mlnn.audit(loss, targets, name="it").to_dict() == mlnn.audit(formula, targets, name="it").to_dict()


# What is no loss, no target space, no option: a short error that names it, and nothing else.


class Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, f: Tensor, y: Tensor) -> Tensor:
        return self.log_scale.exp() * bce(f, y)


def long_winded(*_: Tensor) -> Tensor:
    raise ValueError("first line\n" + "x" * 5000)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mlnn.audit(lambda f, y: torch.complex(bce(f, y), f)), ["complex"]),
        (lambda: mlnn.audit(lambda f, y: torch.complex(bce(f, y), f).mean()), ["complex"]),
        (lambda: mlnn.audit(lambda *_: None), ["NoneType"]),
        (lambda: mlnn.audit(lambda f, y: (bce(f, y), f)), ["tuple"]),
        (lambda: mlnn.audit(lambda f, y: float(bce(f, y).detach().mean())), ["float, not a tensor"]),
        (lambda: mlnn.audit(lambda f, y: bce(f, y).detach().numpy()), ["ndarray"]),
        (lambda: mlnn.audit(lambda f, y: bce(f, y).to_sparse()), ["sparse"]),
        (lambda: mlnn.audit(lambda f, y: bce(f, y).to("meta")), ["meta"]),
        (lambda: mlnn.audit(nn.BCEWithLogitsLoss), ["is a class", "BCEWithLogitsLoss()"]),
        (lambda: mlnn.audit(Weighted()), ["weights of its own (log_scale)", "freeze"]),
        (lambda: mlnn.audit(long_winded), ["ValueError: first line"]),
        (lambda: mlnn.audit(lambda f: f), ["TypeError"]),
        (lambda: mlnn.audit(None), ["neither callable"]),
        (lambda: mlnn.audit(bce, "bianry"), ["'bianry'", "Did you mean 'binary'"]),
        (lambda: mlnn.audit(bce, "b" * 20000), ["unknown target space"]),
        (lambda: mlnn.audit(bce, TargetSpace("wrong")), ["unknown target space", "'wrong'"]),
        (lambda: mlnn.audit(bce, TargetSpace("classes")), ["no target space"]),
        (lambda: mlnn.audit(bce, outputs="logits"), ["outputs", "'logits'"]),
        (lambda: mlnn.audit(bce, outputs=None), ["outputs"]),
        (lambda: mlnn.audit(bce, dtype="int8"), ["dtype", "'int8'", "float32"]),
        (lambda: mlnn.audit(bce, dtype="float8_e4m3fn"), ["dtype", "float8"]),
        (lambda: mlnn.audit(bce, dtype=None), ["dtype"]),
        (lambda: audit_model(lambda: 3, X), ["factory returned int"]),
        (lambda: audit_model(lambda: None, X), ["factory returned NoneType"]),
        (lambda: audit_model(nn.Linear, X), ["factory raised TypeError"]),
        (lambda: audit_model(nn.LazyLinear(1), X), ["lazy"]),
        (lambda: audit_model(Answers(lambda x: (x, x)), X), ["returned tuple"]),
        (lambda: audit_model(Answers(lambda x: {"a": x}), X), ["returned dict"]),
        (lambda: audit_model(Answers(lambda _: None), X), ["returned NoneType"]),
        (lambda: audit_model(Answers(lambda x: torch.complex(x, x)), X), ["complex"]),
        (lambda: audit_model(Answers(lambda x: x.to_sparse()), X), ["sparse"]),
        (lambda: audit_model(Uncopied(), X), ["copying it raised TypeError"]),
        (lambda: audit_model(nn.Linear(3, 1), X.to_sparse()), ["x:", "sparse"]),
        (lambda: audit_model(nn.Linear(3, 1), X.to("meta")), ["x:", "meta"]),
        (lambda: audit_model(nn.Linear(3, 1), X.to(torch.complex64)), ["x:", "complex"]),
        (lambda: audit_model(nn.Linear(3, 1), X, seed="0"), ["seed"]),
        (lambda: prior_of(disturbing_optimizer, seed=1.5), ["seed"]),
        (lambda: prior_of(disturbing_optimizer, rows=10**400), ["rows"]),
    ],
)  # fmt: skip
def test_what_cannot_be_audited_is_a_short_error(call: Callable[[], object], words: list[str]) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        call()
    said = str(caught.value)
    assert all(word in said for word in words), said
    assert len(said) < 400
    assert len(said.splitlines()) <= 3


class Answers(nn.Module):
    def __init__(self, answer: Callable) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Tensor) -> object:
        return self.answer(x)


class Uncopied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = (row for row in range(3))


def test_a_refusal_is_not_explained_by_what_it_does_not_mention() -> None:
    for loss in (long_winded, lambda f: f, lambda f, y: (f * y)[100]):
        with pytest.raises(ConfigError) as caught:
            mlnn.audit(loss)
        assert "outputs='probabilities'" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"takes targets='classes\(K\)'"):
        mlnn.audit(lambda f, y: F.one_hot(y, 2).sum(1) * f)


@pytest.mark.parametrize("count", ["5000", "1000000000", "9" * 30, "9" * 5000])
def test_too_many_classes_are_refused_at_once(count: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ConfigError, match="targets"):
        mlnn.audit(nn.CrossEntropyLoss(), f"classes({count})")
    if len(count) < 20:
        with pytest.raises(ConfigError, match="more classes than" if count == "5000" else "2 to 1048576"):
            mlnn.audit(nn.CrossEntropyLoss(), TargetSpace("classes", int(count)))
    assert time.perf_counter() - start < 1


def test_many_classes_are_decided_by_their_sum_or_not_at_all() -> None:
    assert mlnn.audit(nn.CrossEntropyLoss(), "classes(300)").kind == "likelihood"
    smooth = mlnn.audit(nn.CrossEntropyLoss(label_smoothing=0.1), "classes(300)")
    assert smooth.kind == "undecided"
    assert "more than 256 classes" in smooth.sentence
    assert mlnn.audit(nn.CrossEntropyLoss(label_smoothing=0.1), "classes(30)").kind == "calibrated"


# What a session prints.


def test_a_certificate_prints_in_a_few_lines() -> None:
    for loss, targets in (
        (nn.MSELoss(), "real"),
        (nn.PoissonNLLLoss(), "counts"),
        (nn.MultiMarginLoss(), "classes(4)"),
    ):
        found = mlnn.audit(loss, targets)
        for text in (repr(found), found._repr_html_()):
            assert found.kind in text
            assert targets in text
            assert len(text) < 2000
            assert "tensor(" not in text
            assert "curves" not in text
        assert found.sentence in repr(found)
        assert len(repr(found).splitlines()) <= 14
        assert str(found) == repr(found)


def test_a_name_from_elsewhere_is_shown_escaped() -> None:
    found = mlnn.audit(bce, name="\x1b[2J<script>\u202eeman")
    assert "\x1b" not in repr(found)
    assert "\u202e" not in repr(found)
    assert "<script>" not in found._repr_html_()
    assert "\x1b" not in found._repr_html_()


@pytest.mark.rest
def test_audits_of_models_and_decay_print_in_a_few_lines() -> None:
    net = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), *(nn.Sequential(nn.Linear(4, 4), nn.Dropout()) for _ in range(12))
    )
    found = audit_model(net, X)
    assert "factorises in training mode    no" in repr(found)
    assert "moves 3 buffers" in repr(found)
    assert "… 5 more" in repr(found)
    assert "<table>" in found._repr_html_()
    decay = prior_of(partial(torch.optim.SGD, lr=0.1, weight_decay=0.1), rows=100)
    assert "variance 1/(nλ)" in repr(decay)
    assert "0.1, n = 100" in repr(decay)
    assert decay.sentence in repr(decay)
    assert all(len(text) < 3000 for text in (repr(found), found._repr_html_(), repr(decay), decay._repr_html_()))


@pytest.mark.parametrize(
    "dtype", [torch.int32, torch.complex64, torch.bool, "int64", "float8", "cat", "ones", None, 3, "inf"]
)
def test_a_precision_is_one_of_the_floats_that_are_audited(dtype: object) -> None:
    assert [floating(one) for one in ("float64", torch.float64, "float16", torch.bfloat16)] == [
        torch.float64, torch.float64, torch.float16, torch.bfloat16,
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="dtype: unknown floating dtype"):
        floating(dtype)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ("classes", "targets"),
        ("classes(1)", "targets"),
        ("classes(1001)", "has more classes than the 1000"),
        ("multilabel(3)", "is 3 numbers, and an audit looks at losses of one"),
        ("x" * 41, "unknown target space"),
        (TargetSpace("binary"), None),
        ("classes(1000)", None),
        ("classes(2, ignore=-100)", None),
    ],
)
def test_a_target_space_is_one_that_an_audit_looks_at(targets: object, words: str | None) -> None:
    if words is None:
        found = target_space(targets)
        assert (found.ignore, found.axis) == (None, None)
        return
    with pytest.raises(ConfigError, match=words):
        target_space(targets)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch means to change both
def test_what_is_no_plain_tensor_is_told_by_its_kind() -> None:
    plain = torch.zeros(3, 3)
    table = {
        "sparse_coo": plain.to_sparse(), "meta": plain.to("meta"), "complex": plain + 1j,
        "quantized": torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8), "nested": torch.nested.nested_tensor([plain]),
    }  # fmt: skip
    assert {kind: unreadable(one) for kind, one in table.items()} == {kind: kind for kind in table}
    assert unreadable(plain) is unreadable(plain.T) is None
