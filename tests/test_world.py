"""A run has a world of its own: nothing outside reaches in, nothing inside is left behind, and threads take turns."""

import random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training_cases import SGD, X, Y, compare, lane_recipe, network, recipe, with_dropout

import mlnn
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.testing import assert_same_objective
from mlnn.training import train
from mlnn.world import callback, own_world

log1p = bernoulli_nll_log1p


def flushes() -> bool:
    least = sys.float_info.min
    return least / 2 == 0.0


def state() -> dict[str, Any]:
    """What a caller can see of the process and the thread."""
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002
        "python": random.getstate(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()),
        "threads": torch.get_num_threads(),
        "products": torch.get_float32_matmul_precision(),
        "products of oneDNN": torch.backends.mkldnn.matmul.fp32_precision,
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "oneDNN": torch.backends.mkldnn.enabled,
        "attention": (torch.backends.cuda.flash_sdp_enabled(), torch.backends.mha.get_fastpath_enabled()),
        "flush": flushes(),
        "numpy errors": np.geterr(),
    }


@contextmanager
def put(setter: Callable[..., Any], value: Any, back: Any) -> Iterator[None]:
    setter(value)
    try:
        yield
    finally:
        setter(back)


@contextmanager
def reseeded() -> Iterator[None]:
    found = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)
    yield
    torch.set_rng_state(found[0])
    np.random.set_state(found[1])  # noqa: NPY002
    random.setstate(found[2])


OUTSIDE: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "as it is": nullcontext,
    "other seeds": reseeded,
    "float64": lambda: put(torch.set_default_dtype, torch.float64, torch.float32),
    "bfloat16": lambda: put(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "default device": lambda: put(torch.set_default_device, "meta", None),
    "in a device": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no cache": lambda: put(torch.set_autocast_cache_enabled, False, True),
    "threads": lambda: put(torch.set_num_threads, 2, 1),
    "coarse products": lambda: put(torch.set_float32_matmul_precision, "medium", "highest"),
    "deterministic": lambda: put(torch.use_deterministic_algorithms, True, False),
    "anomaly": lambda: put(torch.set_anomaly_enabled, True, False),
    "no oneDNN": lambda: put(torch._C._set_mkldnn_enabled, False, True),
    "no fast path": lambda: put(torch.backends.mha.set_fastpath_enabled, False, True),
    "flushed": lambda: put(torch.set_flush_denormal, True, False),
    "numpy raises": lambda: np.errstate(all="raise"),
}


def small(**options: Any) -> mlnn.Comparison:
    given = {"model": with_dropout, "steps": 2, "null_twins": 1} | options
    return compare(bce, log1p, **given)


def bits(found: mlnn.Comparison) -> dict[str, bytes]:
    return {name: column.tobytes() for name, column in found.trace.items()}


@cache
@cache
def alone() -> dict[str, bytes]:
    return bits(small())


@pytest.mark.sampled(6)
@pytest.mark.parametrize("outside", OUTSIDE)
def test_whatever_is_set_outside_the_run_is_the_same_to_the_last_bit_and_so_is_the_outside(outside: str) -> None:
    expected = alone()
    with OUTSIDE[outside]():
        before = state()
        found = small()
        assert state() == before
    assert bits(found) == expected
    assert found.environment["threads"] == 1


@pytest.mark.parametrize("outside", [name for name in OUTSIDE if name != "as it is"])
def test_the_look_at_the_outside_sees_each_of_these(outside: str) -> None:
    before = state()
    with OUTSIDE[outside]():
        assert state() != before


@pytest.mark.sampled(6)
@pytest.mark.parametrize("outside", ["bfloat16", "default device", "inference", "autocast", "other seeds"])
def test_training_alone_and_the_gate_are_kept_from_it_too(outside: str) -> None:
    def both() -> tuple[list[str], dict[str, object]]:
        rows: list[dict[str, float]] = []
        train(recipe(model=with_dropout, steps=2), lane_recipe(nn.BCEWithLogitsLoss()), rows.append)
        return [repr(row) for row in rows], assert_same_objective(log1p, bce, domain=(-20, 15)).to_dict()

    expected = both()
    with OUTSIDE[outside]():
        before = state()
        assert both() == expected
        assert state() == before


def test_threads_are_those_asked_for_and_are_given_back() -> None:
    torch.set_num_threads(1)
    seen: list[int] = []
    found = small(threads=2, progress=lambda *_: seen.append(torch.get_num_threads()))
    assert (seen, found.environment["threads"], torch.get_num_threads()) == ([2, 2], 2, 1)


class Noisy:
    """A loss, factory or callback that draws from every stream there is."""

    def __init__(self) -> None:
        self.drawn: list[tuple[float, ...]] = []

    def draw(self) -> None:
        self.drawn.append((torch.rand(1).item(), np.random.rand(), random.random()))  # noqa: NPY002

    def loss(self, z: Tensor, y: Tensor) -> Tensor:
        self.draw()
        return log1p(z, y)

    def model(self) -> nn.Module:
        self.draw()
        return with_dropout()

    def optimizer(self, weights: Any) -> torch.optim.Optimizer:
        self.draw()
        return torch.optim.SGD(weights, lr=0.1)

    def progress(self, *_: int) -> None:
        self.draw()


def test_what_the_users_parts_draw_comes_from_the_seed_and_leaves_the_callers_streams_alone() -> None:
    def run(seed: int) -> tuple[list[tuple[float, ...]], dict[str, bytes]]:
        noisy = Noisy()
        found = mlnn.compare(
            noisy.model, bce, noisy.loss, (X, Y), optimizer=noisy.optimizer, steps=2, batch_size=32, seed=seed,
            progress=noisy.progress, null_twins=0,
        )  # fmt: skip
        assert found.verdict.relation == "equal"
        return noisy.drawn, bits(found)

    runs = []
    for outside in (1, 2):
        torch.manual_seed(outside)
        np.random.seed(outside)  # noqa: NPY002
        random.seed(outside)
        before = state()
        runs.append(run(0))
        assert state() == before
    assert runs[0] == runs[1]
    assert runs[0] != run(1)


class NumpyMasks(nn.Module):
    """Dropout by numpy's stream: lanes meet the same masks only if that stream is set for each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, x: Tensor) -> Tensor:
        kept = np.random.rand(*x.shape) < 0.5 if self.training else np.ones(x.shape, dtype=bool)  # noqa: NPY002
        return self.inner(x * torch.as_tensor(kept))


def test_masks_from_another_stream_are_the_same_in_all_lanes() -> None:
    found = small(model=NumpyMasks).verdict
    assert (found.relation, found.control) == ("equal", "bitwise")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", ["progress", "model", "optimizer"])
def test_an_exception_or_an_interrupt_leaves_the_outside_as_it_was(kind: type[BaseException], place: str) -> None:
    def fail(*_: object) -> Any:
        torch.set_default_dtype(torch.float64)
        torch.rand(3)
        torch.set_num_threads(1)
        raise kind("stop")

    torch.set_num_threads(2)
    before = state()
    with pytest.raises((kind, mlnn.errors.ConfigError)):
        small(**{place: fail})
    assert state() == before
    assert bits(small()) == alone()  # and nobody is left waiting


@pytest.mark.sampled(2)
@pytest.mark.parametrize("count", [2, 4])
def test_comparisons_in_several_threads_do_not_disturb_each_other(count: int) -> None:
    expected, before = alone(), state()
    start = threading.Barrier(count, timeout=60)

    def run(_: int) -> dict[str, bytes]:
        start.wait()
        return bits(small())

    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(run, range(count)))
    assert found == [expected] * count
    assert state() == before


def test_callbacks_that_wait_for_each_other_do_not_wait_for_ever() -> None:
    expected, before = alone(), state()
    meeting = threading.Barrier(2, timeout=30)

    def run(_: int) -> dict[str, bytes]:
        return bits(small(progress=lambda *_: meeting.wait()))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, range(2))) == [expected] * 2
    assert state() == before


@pytest.mark.rest
def test_a_callback_may_compare_itself_or_wait_for_a_thread_that_does() -> None:
    expected, inner = alone(), []

    def itself(done: int, _: int) -> None:
        if done == 1:
            inner.append(bits(small()))

    def elsewhere(done: int, _: int) -> None:
        if done == 1:
            with ThreadPoolExecutor(1) as pool:
                inner.append(pool.submit(lambda: bits(small(progress=itself))).result(timeout=60))

    before = state()
    for progress in (itself, elsewhere):
        assert bits(small(progress=progress)) == expected
    assert inner == [expected] * 3
    assert state() == before


def test_a_thread_made_to_step_aside_finds_the_outside_that_there_then_is() -> None:
    torch.manual_seed(3)
    before, seen = torch.get_rng_state(), []

    def other() -> None:
        with own_world(1, 7):
            seen.append(torch.rand(1).item())

    with own_world(1, 5):
        torch.rand(2)
        inside = torch.get_rng_state()
        with callback():
            thread = threading.Thread(target=other)
            thread.start()
            thread.join(timeout=30)
            assert not thread.is_alive()
        assert torch.equal(torch.get_rng_state(), inside)
    assert torch.equal(torch.get_rng_state(), before)
    assert seen == [torch.rand(1, generator=torch.Generator().manual_seed(7)).item()]


def test_worlds_nest_and_each_gives_back_what_it_found() -> None:
    with ExitStack() as stack:
        stack.enter_context(own_world(2, 1))
        torch.rand(1)
        middle = state()
        with own_world(None, 2):
            assert torch.get_num_threads() == 2
            assert state() != middle
        assert state() == middle


@pytest.mark.rest
def test_lanes_share_their_batches_with_nobody_who_writes_into_them() -> None:
    class Doubling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x.mul_(2))

    def relabelling(z: Tensor, y: Tensor) -> Tensor:
        return log1p(z, y.mul_(0.5))

    def overwriting(z: Tensor, y: Tensor) -> Tensor:
        return log1p(z.mul_(2.0), y)

    twins = {relabelling: lambda z, y: log1p(z, 0.5 * y), overwriting: lambda z, y: log1p(2.0 * z, y)}

    data = X.clone(), Y.clone()
    assert small(model=Doubling, data=data).verdict.control == "bitwise"
    for loss, pure in twins.items():
        found = compare(loss, pure, data, steps=2, optimizer=SGD).verdict
        assert (found.relation, found.control) == ("bitwise", "bitwise")
        assert compare(loss, log1p, data, steps=2).verdict.relation == "different"
    assert torch.equal(data[0], X)
    assert torch.equal(data[1], Y)
