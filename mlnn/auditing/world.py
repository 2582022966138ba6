"""An audit has a world of its own: what the caller has set does not change its answer, and what a loss sets does not stay."""

import random
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from mlnn.seeding import derive


@contextmanager
def own_world() -> Iterator[None]:
    """Gradients on, no autocast, float32 and the CPU as defaults, random streams from a seed; all as it was afterwards.

    Kept of the caller's: the number of threads. Warnings of the loss are not shown: it is asked far out, and row by row.
    """
    threads, default = torch.get_num_threads(), torch.get_default_dtype()
    strict, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    python, array = random.getstate(), np.random.get_state()  # noqa: NPY002 (a loss may draw from it)
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(np.errstate(all="ignore"))
        stack.enter_context(torch.random.fork_rng(devices=devices))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.autograd.set_detect_anomaly(False))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        try:
            warnings.simplefilter("ignore")
            torch.set_default_dtype(torch.float32)
            _seed(derive(0, "audit"))
            yield
        finally:
            torch.set_default_dtype(default)
            random.setstate(python)
            np.random.set_state(array)  # noqa: NPY002
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict, warn_only=warn_only)


def _seed(seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
