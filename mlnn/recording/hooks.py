"""A recorder's hooks in somebody's model and optimiser: a copy of the model does not take them along, and none ends a training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from mlnn.training.optimizers import is_part_of_a_step


class Hook:
    """A function that is called with what happens. What it raises goes to `failed` instead of into the loop. Where the module that
    it hangs on is copied (an average of weights) or saved whole, `unseen` is in its place: a recording is of one model."""

    def __init__(self, seen: Callable[..., Any], failed: Callable[[Exception], None]) -> None:
        # a model that is compiled while it is recorded has its hooks compiled with it, which these cannot be
        self.seen, self.failed = torch.compiler.disable(seen), failed

    def __call__(self, *args: Any) -> Any:
        try:
            return self.seen(*args)
        except Exception as problem:
            self.failed(problem)
            return None

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return _for_a_copy, ()


Pair = tuple[Callable[..., Any], Callable[..., Any]]
"""What is called before something, and after it."""


@contextmanager
def hooked(
    model: nn.Module, optimizer: torch.optim.Optimizer, forward: Pair, step: Pair, failed: Callable[[Exception], None]
) -> Iterator[None]:
    """Hooks around the model's forward and the optimiser's step, taken away again."""
    before, after = (Hook(seen, failed) for seen in forward)
    hooks = [
        model.register_forward_pre_hook(before, with_kwargs=True, prepend=True),
        model.register_forward_hook(after, always_call=True),
        optimizer.register_step_pre_hook(Hook(_once(step[0]), failed)),
        optimizer.register_step_post_hook(Hook(_once(step[1]), failed)),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _once(seen: Callable[..., Any]) -> Callable[..., Any]:
    """Called once for a step, also for one that calls the step of the class that its own is made from."""

    def called(optimizer: torch.optim.Optimizer, *rest: Any) -> Any:
        return None if is_part_of_a_step(optimizer) else seen(optimizer, *rest)

    return called


def others_on(module: nn.Module) -> bool:
    """Whether a module has forward hooks that are no recorder's."""
    found = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    return not all(isinstance(hook, Hook) for hook in found)


def unseen(*_: Any) -> None:
    """What a copy calls: nothing happens."""


def _for_a_copy() -> Callable[..., None]:
    return unseen
