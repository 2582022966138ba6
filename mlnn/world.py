"""A world of its own for a run: nothing that the caller has set reaches in, and nothing that is done inside is left behind.

`with own_world(threads=1, seed=0):` is all that a run needs. Inside, whatever the outside was: random streams of torch, numpy
and Python started from the seed; gradients on, no inference mode, no autocast; default dtype float32, default device the CPU;
`threads` threads; torch's switches that change bits (deterministic kernels, precision of float32 products, cuDNN, oneDNN,
attention kernels, flushed denormals) and anomaly mode as a fresh process has them; numpy's floating-point errors as numpy
has them. On leaving, by an exception or an interrupt too, all of it is as it was.

What threads share: random streams, default dtype and most switches belong to the process, so runs in several threads take
turns; one that waits goes on when the other has ended. Entering again from inside, as a callback may, is no wait. A callback of
the caller's that lasts (see `callback`) lets the next thread in meanwhile. Threads of the caller's own can still disturb a run.
"""

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

PATIENCE = 0.05
"""Seconds that a thread waits for another's callback before it takes its turn: the callback may be waiting for just that."""
MOST_THREADS = 1024
FP32 = {
    (backend, use): "tf32" if (backend, use) in (("cuda", "conv"), ("cuda", "rnn")) else "none"
    for backend in ("generic", "cuda", "mkldnn")
    for use in (("all",) if backend == "generic" else ("all", "matmul", "conv", "rnn"))
}
"""How torch may compute float32 products, per backend and kind of work, in a fresh process. "none" computes as "ieee" does."""
_cuda_is_used: Callable[[], bool] = torch.cuda.is_initialized
Switch = tuple[Callable[[], Any], Callable[[Any], Any], Any]
SWITCHES: tuple[Switch, ...] = (
    (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    (
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
        (False, False),
    ),
    (
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda value: torch.set_anomaly_enabled(*value),
        (False, True),
    ),
    (torch._C._get_cudnn_benchmark, torch._C._set_cudnn_benchmark, False),
    (torch._C._get_cudnn_deterministic, torch._C._set_cudnn_deterministic, True),  # a control is held to left's bits
    (torch._C._get_cudnn_enabled, torch._C._set_cudnn_enabled, True),
    (torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled, True),
    (torch._C._get_mkldnn_deterministic, torch._C._set_mkldnn_deterministic, False),
    (torch._C._get_nnpack_enabled, torch._C._set_nnpack_enabled, True),
    (torch.backends.cuda.flash_sdp_enabled, torch.backends.cuda.enable_flash_sdp, True),
    (torch.backends.cuda.mem_efficient_sdp_enabled, torch.backends.cuda.enable_mem_efficient_sdp, True),
    (torch.backends.cuda.math_sdp_enabled, torch.backends.cuda.enable_math_sdp, True),
    (torch.backends.cuda.cudnn_sdp_enabled, torch.backends.cuda.enable_cudnn_sdp, True),
    (torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled, True),
)
"""What belongs to the process and changes bits: how it is read, how it is set, and what it is inside."""


@dataclass(frozen=True)
class _Shared:
    """What belongs to the process as a whole, at one moment."""

    threads: int
    switches: tuple[Any, ...]
    products: tuple[str | None, dict[tuple[str, str], str]]
    torch_stream: torch.Tensor
    cuda_streams: list[torch.Tensor] | None
    numpy_stream: Any
    python_stream: Any


@dataclass
class _Stay:
    """One thread's stay: what it found outside at each entry, and, while it was made to step aside, what it had inside."""

    thread: int = field(default_factory=threading.get_ident)
    found: list[_Shared] = field(default_factory=list)
    threads: int = 1  # inside; torch counts threads per thread, so another cannot look
    since: float | None = None  # when the callback it is in began
    inside: _Shared | None = None


class _Turns:
    """Whose turn it is: one thread at a time; one that is in a callback for longer than PATIENCE steps aside for another."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.current: _Stay | None = None
        self.stays: dict[int, _Stay] = {}

    def take(self, stay: _Stay) -> None:
        """Wait for the turn, and take it."""
        with self.changed:
            while self.current not in (None, stay):
                assert self.current is not None
                begun = self.current.since
                wait = None if begun is None else begun + PATIENCE - time.monotonic()
                if wait is None or wait > 0:
                    self.changed.wait(wait)
                else:
                    self.current.inside = replace(_read(), threads=self.current.threads)
                    _restore(self.current.found[0])
                    self.current = None
            self.current = stay
            stay.since = None

    def give(self, stay: _Stay) -> None:
        """End the turn."""
        with self.changed:
            if self.current is stay:
                self.current = None
            self.changed.notify_all()

    def rest(self, stay: _Stay) -> None:
        """A callback begins."""
        with self.changed:
            stay.since = time.monotonic()
            self.changed.notify_all()

    def go_on(self, stay: _Stay) -> None:
        """A callback has ended: take the turn again where another thread has had it since."""
        self.take(stay)
        if stay.inside is not None:
            stay.found[0] = replace(_read(), threads=stay.found[0].threads)
            _restore(stay.inside)
            stay.inside = None


_turns = _Turns()


def _after_fork() -> None:
    """The child of a fork has one thread: nobody else is there whose turn it could be."""
    mine = _turns.stays.get(threading.get_ident())
    _turns.__init__()  # type: ignore[misc]
    if mine is not None:
        _turns.current = _turns.stays[mine.thread] = mine


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def own_world(threads: int | None = 1, seed: int = 0) -> Iterator[None]:
    """Run the block in a world of its own (see above). threads: of torch; None keeps the number there is.

    May be entered again from inside, in the same thread; other threads wait.
    """
    thread = threading.get_ident()
    stay = _turns.stays.get(thread)
    first = stay is None
    stay = _turns.stays.setdefault(thread, stay or _Stay(thread))
    resting, before = stay.since, stay.threads
    try:
        _turns.go_on(stay)
        stay.found.append(_read())
        try:
            stay.threads = stay.found[-1].threads if threads is None else threads
            _set(INSIDE, stay.threads)
            seed_streams(seed)
            with plain_tensors():
                yield
        finally:
            _restore(stay.found[-1])
            stay.found.pop()
            stay.threads = before
    finally:
        if first:
            _turns.stays.pop(thread, None)
            _turns.give(stay)
        elif resting is not None:
            _turns.rest(stay)


@contextmanager
def callback() -> Iterator[None]:
    """Around a call of the caller's, inside `own_world`, which may wait for another thread's run: that run then gets its turn.

    The call is made inside: its draws come from the run's own streams. Only while it has waited longer than PATIENCE for
    another thread's run does it see that run's, or the outer, streams and switches.
    """
    stay = _turns.stays.get(threading.get_ident())
    if stay is None:
        yield
        return
    _turns.rest(stay)
    try:
        yield
    finally:
        _turns.go_on(stay)


@contextmanager
def plain_tensors() -> Iterator[None]:
    """The part of a world that belongs to one thread: gradients on, no inference mode, no autocast, tensors on the CPU.

    Takes no turn, so it is fit for what is quick and draws nothing: reading arrays, asking an objective once.
    """
    outside = torch.get_default_device()
    with ExitStack() as stack:
        stack.callback(_default_device, outside)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps", "xpu"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        caching = torch.is_autocast_cache_enabled()
        if not caching:
            stack.callback(torch.set_autocast_cache_enabled, caching)
            torch.set_autocast_cache_enabled(True)
        if torch.get_default_device().type != "cpu":  # a mode of torch's, which slows every call
            stack.enter_context(torch.device("cpu"))
        if _flushes():
            stack.callback(torch.set_flush_denormal, True)
            torch.set_flush_denormal(False)
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        yield


def _default_device(outside: torch.device) -> None:
    """Put the default device back: one that a model has set inside outlives the block."""
    if torch.get_default_device() != outside:
        torch.set_default_device(outside if outside.type != "cpu" else None)


def seed_streams(seed: int) -> None:
    """Start every process-wide random stream (torch on the CPU and CUDA, numpy, Python) from a seed, any int of 63 bits."""
    # `torch.manual_seed` would also queue a call per absent accelerator.
    torch.default_generator.manual_seed(seed % 2**63)
    if _cuda_is_used():
        torch.cuda.manual_seed_all(seed % 2**63)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the global stream is just what is meant
    random.seed(seed)


def _flushes() -> bool:
    """Whether this thread's arithmetic flushes denormal numbers to zero, which torch can set but not tell."""
    return sys.float_info.min / 2 == 0.0


def _read() -> _Shared:
    return _Shared(
        torch.get_num_threads(),
        tuple(read() for read, _, _ in SWITCHES),
        _products(),
        torch.default_generator.get_state(),
        torch.cuda.get_rng_state_all() if _cuda_is_used() else None,
        np.random.get_state(),  # noqa: NPY002
        random.getstate(),
    )


INSIDE = tuple(inside for _, _, inside in SWITCHES), ("highest", FP32)


def _set(wanted: tuple[tuple[Any, ...], tuple[str | None, dict[tuple[str, str], str]]], threads: int) -> None:
    """Set switches and threads, each only where it is another: a setter may cost more than a look."""
    switches, products = wanted
    for (read, put, _), value in zip(SWITCHES, switches, strict=True):
        if read() != value:
            put(value)
    _set_products(*products)
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def _restore(found: _Shared) -> None:
    _set((found.switches, found.products), found.threads)
    torch.default_generator.set_state(found.torch_stream)
    if found.cuda_streams is not None:
        torch.cuda.set_rng_state_all(found.cuda_streams)
    np.random.set_state(found.numpy_stream)  # noqa: NPY002
    random.setstate(found.python_stream)


def _products() -> tuple[str | None, dict[tuple[str, str], str]]:
    """How float32 products may be computed: torch's old setting (None where it contradicts the new ones), and the new ones."""
    try:
        old: str | None = torch._C._get_float32_matmul_precision()
    except RuntimeError:
        old = None
    return old, {place: torch._C._get_fp32_precision_getter(*place) for place in FP32}


def _set_products(old: str | None, new: dict[tuple[str, str], str]) -> None:
    exact = {"none", "ieee"}
    now, table = _products()
    if old is not None and now != old:
        torch.set_float32_matmul_precision(old)
        table = _products()[1]
    for place, value in new.items():
        if table[place] != value and not (new is FP32 and {table[place], value} <= exact):
            torch._C._set_fp32_precision_setter(*place, value)
