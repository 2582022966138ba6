"""The caller's world has no say in an estimate and stays as it was, whatever a model or its factory does."""

import contextlib
import copy
import functools
import pickle
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from estimation_cases import X, Y, synthetic
from torch import Tensor, nn

import mlnn
from mlnn import data
from mlnn.errors import MlnnError
from mlnn.estimating import check_estimate, classical_estimate, find_separation, fit_model
from mlnn.estimating.network.network import network_report
from mlnn.models import Logistic
from mlnn.objectives import Bernoulli
from mlnn.targets import TargetSpace
from mlnn.world import own_world

ROWS = {name: tuple(part[:50] for part in synthetic(name)) for name in ("bernoulli", "gamma", "laplace")}


class Meddling(nn.Module):
    """Draws and sets what it can, in the making and at every call."""

    def __init__(self) -> None:
        super().__init__()
        meddle()
        self.net = nn.Linear(3, 1)
        with torch.no_grad():
            self.net.weight.mul_(1 + random.random() + np.random.rand())  # noqa: NPY002
        torch.set_grad_enabled(False)

    def forward(self, x: Tensor) -> Tensor:
        np.random.rand()  # noqa: NPY002
        random.random()
        return self.net(x)


def meddle() -> None:
    torch.rand(3)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device(name: str) -> Iterator[None]:
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


OUTSIDE: dict[str, Callable[[], Any]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": partial(default_dtype, torch.float64),
    "bfloat16": partial(default_dtype, torch.bfloat16),
    "autocast": partial(torch.autocast, "cpu", torch.bfloat16),
    "meta by default": partial(default_device, "meta"),
    "inside meta": partial(torch.device, "meta"),
}


def of_a_model() -> list[Any]:
    found = mlnn.estimate("bernoulli", ROWS["bernoulli"], model=Meddling, starts=1)
    net = mlnn.estimate("gamma", ROWS["gamma"], model=partial(nn.Linear, 3, 1), starts=1)
    return [found.params, found.bse, found.llf, net.params, net.information, net.ancillary["shape"]]


def of_a_table() -> list[Any]:
    found, kinked = (mlnn.estimate(name, ROWS[name]) for name in ("gamma", "laplace"))
    return [found.params, found.bse, found.llf, kinked.params]


def beside_a_network() -> list[Any]:
    with own_world(seed=0):
        rows, module = data.spector(), Logistic((3,), 1)
    twin = classical_estimate(module, Bernoulli(), rows)
    assert twin
    report = network_report([module], Bernoulli(), rows)
    kind = find_separation(rows.x, rows.y, TargetSpace("binary"), True).kind
    checked = check_estimate(twin.estimate) if twin.estimate else None
    assert checked
    return [checked.tau, twin.distance(module).errors, report.standings[0].spectrum.eigenvalues, kind]


def of_a_double() -> list[Any]:
    with own_world(seed=0):
        module, x, y = nn.Linear(3, 1).double(), torch.from_numpy(X), torch.from_numpy(Y)
    return [fit_model(Bernoulli(), module, x, y).params]


asked_plainly = functools.cache(lambda ask: ask())


@pytest.mark.sampled(6)
@pytest.mark.parametrize("ask", [of_a_model, of_a_table, beside_a_network, of_a_double])
@pytest.mark.parametrize("outside", OUTSIDE)
def test_the_answer_is_the_same_bits_wherever_it_is_asked(outside: str, ask: Callable[[], list[Any]]) -> None:
    plain = asked_plainly(ask)
    torch.manual_seed(99)
    random.seed(99)
    with OUTSIDE[outside]():
        again = ask()
    for one, other in zip(plain, again, strict=True):
        np.testing.assert_array_equal(one, other)


def state() -> list[Any]:
    return [
        torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(),  # type: ignore[union-attr]  # noqa: NPY002
        torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"),
        torch.is_inference_mode_enabled(), torch.get_num_threads(),
    ]  # fmt: skip


@pytest.mark.sampled(3)
@pytest.mark.parametrize("outside", [contextlib.nullcontext, *OUTSIDE.values()])
@pytest.mark.parametrize("ask", [of_a_model, of_a_table])
def test_the_world_is_as_before(outside: Callable[[], Any], ask: Callable[[], list[Any]]) -> None:
    with outside():
        before = state()
        ask()
        assert state() == before


class Bad(nn.Linear):
    """Meddles, then fails."""

    def forward(self, x: Tensor) -> Tensor:
        meddle()
        raise ValueError(f"no {x.ndim}")


def test_the_world_is_as_before_after_an_error() -> None:
    before = state()
    with pytest.raises(MlnnError, match="raised ValueError: no 2"):
        mlnn.estimate("bernoulli", (X, Y), model=lambda: Bad(3, 1))
    assert state() == before
    with pytest.raises(ValueError, match="no 1"), own_world(seed=3):
        Bad(3, 1)(torch.ones(3))
    assert state() == before


def test_what_is_changed_inside_is_seen_by_the_test_itself() -> None:
    before, threads = state(), torch.get_num_threads()
    try:
        meddle()
        assert state() != before
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(threads)


def test_rows_made_in_inference_mode_are_rows() -> None:
    plain = mlnn.estimate("bernoulli", synthetic("bernoulli"), model=partial(nn.Linear, 3, 1), starts=1)
    with torch.inference_mode():
        x, y = (part.clone() for part in synthetic("bernoulli"))
        found = mlnn.estimate("bernoulli", (x, y), model=partial(nn.Linear, 3, 1), starts=1)
        linear = mlnn.estimate("bernoulli", (x, y))
    np.testing.assert_array_equal(found.params, plain.params)
    np.testing.assert_array_equal(linear.params, mlnn.estimate("bernoulli", synthetic("bernoulli")).params)


def test_a_default_device_that_was_set_inside_is_gone() -> None:
    def factory() -> nn.Module:
        torch.set_default_device("meta")
        return nn.Linear(3, 1, device="cpu")

    found = mlnn.estimate("bernoulli", ROWS["bernoulli"], model=factory, starts=1)
    assert torch.get_default_device().type == "cpu"
    plain = mlnn.estimate("bernoulli", ROWS["bernoulli"])
    assert found.params == pytest.approx(plain.params, rel=1e-9)


def test_own_world_begins_its_streams_where_it_is_told() -> None:
    def drawn(seed: int) -> tuple[float, float, float]:
        with own_world(seed=seed):
            return float(torch.rand(1)), random.random(), float(np.random.rand())  # noqa: NPY002

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


# --- what a session shows -----------------------------------------------------------------------------------------------

WIDE = np.random.default_rng(0).normal(size=(60, 20))


@functools.cache
def shown() -> dict[str, Any]:
    names = pytest.importorskip("pandas").DataFrame(X, columns=["<b>age</b>", "a\x1b[31m", "\u202eend"])
    return {
        "linear": mlnn.estimate("bernoulli", (X, Y)),
        "names": mlnn.estimate("bernoulli", (names, Y)),
        "classes": mlnn.estimate("categorical", synthetic("categorical")),
        "kinks": mlnn.estimate("laplace", synthetic("laplace")),
        "separated": mlnn.estimate("bernoulli", (X, X[:, 0] > 0)),
        "wide": mlnn.estimate("normal", (WIDE, WIDE[:, 0] + 0.1 * np.arange(60))),
        "model": mlnn.estimate("gamma", synthetic("gamma"), model=partial(nn.Linear, 3, 1), starts=1),
        "model, separated": mlnn.estimate("bernoulli", (X, X[:, 0] > 0), model=partial(nn.Linear, 3, 1)),
        "model, wide": mlnn.estimate("normal", (WIDE, Y[:60]), model=partial(nn.Linear, 20, 1), starts=1),
    }


def test_a_session_shows_a_few_lines_and_no_tensors() -> None:
    for name, found in shown().items():
        text, html = repr(found), found._repr_html_()
        assert str(found) == text
        assert len(text) < 1600, name
        assert len(text.splitlines()) <= 22
        assert "tensor(" not in text
        assert "array(" not in text
        assert f"{found.llf:.6g}" in text
        assert found.separation in text
        assert "\x1b" not in text + html
        assert "\u202e" not in text + html
        assert "<b>age" not in html
        assert html.count("<table>") == html.count("</table>") == 2
        assert ("No finite" in text) == ("separated" in name)
        assert ("… and " in text) == ("wide" in name)
    found = shown()
    assert "std err" in repr(found["linear"])
    assert "std err" in repr(found["kinks"])
    assert "std err" not in repr(found["separated"])
    assert f"{found['linear'].params[1]:.6g}" in repr(found["linear"])
    assert "y=2: x1" in repr(found["classes"])
    assert "shape" in repr(found["model"])
    assert "… and 9 more" in repr(found["wide"])


def test_an_estimate_can_be_pickled_and_copied() -> None:
    for name, found in shown().items():
        for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
            assert repr(again) == repr(found), name
            np.testing.assert_array_equal(again.params, found.params)
            assert again.to_dict().keys() == found.to_dict().keys()
