"""A world of our own: what the caller has set has no say in an estimate, and what a model sets is undone."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch


@contextmanager
def own_world(seed: int | None = None) -> Iterator[None]:
    """Inside: float32 and the CPU as defaults, gradients on, no autocast, no inference mode; afterwards all as it was.

    Also put back, whatever was done to them inside: the random streams of torch, numpy and Python, and the number of
    threads. `seed`: where the three streams begin inside; None: where they stand. Threads of one process share all of this
    but grad mode, inference mode and autocast. May be nested, and used as a decorator.
    """
    dtype, device, threads = torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()
    drawn, drawn_by_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 — the caller's own global stream
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=range(torch.cuda.device_count())))
        try:
            torch.set_default_dtype(torch.float32)
            if seed is not None:
                torch.manual_seed(seed)
                random.seed(seed)
                np.random.seed(seed % 2**32)  # noqa: NPY002
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            if device.type != "cpu":  # such a context costs every call of torch a few microseconds
                stack.enter_context(torch.device("cpu"))
            for kind in ("cpu", "cuda"):
                stack.enter_context(torch.autocast(kind, enabled=False))
            yield
        finally:
            random.setstate(drawn)
            np.random.set_state(drawn_by_numpy)  # noqa: NPY002
            torch.set_default_dtype(dtype)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            stack.close()
            if torch.get_default_device() != device:  # a model's own torch.set_default_device outlives the block
                torch.set_default_device(device if device.type != "cpu" else None)
