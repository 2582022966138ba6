"""The same training written for JAX: many models of one perceptron in one compiled scan over steps.

Written by hand, layers and Adam, so that nothing but JAX is measured. First weights and the order of rows are mlnn's.
"""

import importlib
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from training_cells import BATCH, Cell
from training_clock import Clock

from mlnn.training import batches, initial_model
from mlnn.training.recipe import Recipe

TAKES = ("node", "mlp_1x32", "mlp_4x64", "mlp_8x64")
"""The networks that are written here."""
FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
FEW, MANY = 28, 112
"""Steps of one call: two epochs of many models, eight of a few."""
RATE, B1, B2, EPS = 1e-3, 0.9, 0.999, 1e-8


def train(cell: Cell, clock: Clock, models: int) -> None:
    """Train until the clock has enough. The order of rows is drawn beforehand; compiling counts once per process."""
    scan, state, rows = _made(cell, models)
    done = 0
    while True:
        state, losses = scan(state, rows)
        if not done:
            clock.losses += np.asarray(losses[:5, 0]).tolist()
        losses.block_until_ready()
        done += len(rows) * models
        if clock.tick(done):
            return


@cache
def _made(cell: Cell, models: int) -> tuple[Callable[..., Any], Any, Any]:
    """The compiled scan, its first state, and the rows of its steps (steps, models, BATCH)."""
    jax, jnp = _jax()
    steps = FEW if models > 16 else MANY
    recipes = [Recipe(cell.data(), cell.model, steps, BATCH, cell.torch_dtype, seed=seed) for seed in range(models)]
    drawn = [[weight.detach().numpy() for weight in initial_model(own).parameters()] for own in recipes]
    weights = [jnp.asarray(np.stack(parts)) for parts in zip(*drawn, strict=True)]
    rows = torch.stack([torch.stack([batch.rows for batch in batches(own)]) for own in recipes], 1)
    x, y = (jnp.asarray(part.to(cell.torch_dtype).numpy()) for part in (cell.data().x, cell.data().y))
    still = [jnp.zeros_like(weight) for weight in weights]

    def one(parts: Any, at: Any) -> Any:
        return jax.value_and_grad(_loss)(parts, x[at], y[at])

    def step(state: Any, at: Any) -> Any:
        held, mean, square, count = state
        losses, slopes = jax.vmap(one)(held, at)
        count = count + 1
        mean = [B1 * m + (1 - B1) * slope for m, slope in zip(mean, slopes, strict=True)]
        square = [B2 * v + (1 - B2) * slope * slope for v, slope in zip(square, slopes, strict=True)]
        up, down = 1 - B1**count, 1 - B2**count
        held = [
            w - RATE / up * m / (jnp.sqrt(v) / jnp.sqrt(down) + EPS) for w, m, v in zip(held, mean, square, strict=True)
        ]
        return (held, mean, square, count), losses

    def scan(state: Any, order: Any) -> Any:
        return jax.lax.scan(step, state, order)

    compiled, start = jax.jit(scan), (weights, still, still, jnp.asarray(0.0, x.dtype))
    order = jnp.asarray(rows.numpy())
    jax.block_until_ready(compiled(start, order))
    return compiled, start, order


def _loss(parts: Any, x: Any, y: Any) -> Any:
    """The mean cross-entropy on logits of layers (weight, bias), or of one without a bias."""
    _, jnp = _jax()
    if len(parts) == 1:
        logit = x @ parts[0].T
    else:
        pairs = [(parts[at], parts[at + 1]) for at in range(0, len(parts), 2)]
        for weight, bias in pairs[:-1]:
            x = jnp.maximum(x @ weight.T + bias, 0)
        logit = x @ pairs[-1][0].T + pairs[-1][1]
    logit = logit[:, 0]
    return jnp.mean(jnp.maximum(logit, 0) - logit * y + jnp.log1p(jnp.exp(-jnp.abs(logit))))


@cache
def _jax() -> tuple[Any, Any]:
    """JAX on one thread, and its numpy."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}".strip()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    jax: Any = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    return jax, importlib.import_module("jax.numpy")
