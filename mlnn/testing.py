"""For a user's pytest: fail unless two objectives are the same, and say why.

from mlnn.testing import assert_same_objective

def test_fused_loss() -> None:
    assert_same_objective(torch.nn.BCEWithLogitsLoss(), my_fused_loss)
"""

import dataclasses
from functools import partial
from typing import Any

import torch
from torch import nn

from mlnn.agreement.relations import check_require
from mlnn.agreement.verdict import Verdict
from mlnn.comparison import compare, unmet
from mlnn.data import from_arrays
from mlnn.errors import ConfigError, MlnnError
from mlnn.objectives import Objective
from mlnn.objectives.reduction import drawn_batch
from mlnn.seeding import generator
from mlnn.targets import TargetSpace
from mlnn.training import parse_dtype

ROWS, FEATURES, BATCH, STEPS = 61, 5, 16, 12


def assert_same_objective(
    left: Any,
    right: Any,
    targets: str | TargetSpace = "binary",
    require: str = "equal",
    *,
    domain: tuple[float, float] | None = None,
    outputs: str | tuple[str, str] = "raw",
    dtype: torch.dtype | str = torch.float32,
    seed: int = 0,
) -> Verdict:
    """Probe two objectives, train a small network on both for 12 steps, and return the verdict if it is good enough.

    left, right: an `nn.Module` loss, a function, an mlnn objective or likelihood; (output, target) → (n,) or scalar.
    targets: "binary", "classes(K)", "real", "counts", "positive" or "unit". require: the weakest relation that passes.
    domain: raw outputs on which it must hold; without it, everywhere. outputs: "raw" or "probabilities", one word or one
    per side. Takes under 2 s. Raises AssertionError with the verdict's sentence; ConfigError for bad arguments.
    """
    check_require(require)
    space = TargetSpace.parse(targets)
    reads = Objective.of(left, space, outputs if isinstance(outputs, str) else outputs[0]).targets.outputs
    x = torch.randn(ROWS, FEATURES, generator=generator(seed, "data"), dtype=torch.float64)
    _, y = drawn_batch(space, ROWS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other, and change bits
    try:
        found = compare(
            partial(_network, reads), left, right, from_arrays(x, y, space),
            optimizer=partial(torch.optim.SGD, lr=0.1), steps=STEPS, batch_size=BATCH, dtype=dtype, seed=seed,
            outputs=outputs, null_twins=0,
        ).verdict  # fmt: skip
    except ConfigError as problem:
        if _is_usage(left, right, space, outputs, dtype):
            raise
        raise AssertionError(f"the two objectives cannot be compared: {problem}") from problem
    finally:
        torch.set_num_threads(threads)
    everywhere = dataclasses.replace(found, left_domain=None)  # the small network's own rows are no licence
    if not everywhere.meets(require, domain):
        raise AssertionError(_message(found, require, domain))
    return found


def _network(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, outputs))


def _is_usage(
    left: Any, right: Any, space: TargetSpace, outputs: str | tuple[str, str], dtype: torch.dtype | str
) -> bool:
    """Whether the arguments themselves are wrong, rather than what the objectives do with them."""
    kinds = (outputs, outputs) if isinstance(outputs, str) else outputs
    try:
        parse_dtype(dtype)
        for side, kind in zip((left, right), kinds, strict=True):
            Objective.of(side, space, kind)
    except MlnnError:
        return True
    return False


def _message(verdict: Verdict, require: str, domain: tuple[float, float] | None) -> str:
    lines = ["not the same objective: " + unmet(verdict, require, domain)]
    if not isinstance(verdict.domain, str):
        low, high = verdict.domain
        lines.append(f"If raw outputs stay inside, allow it: domain=({low:.4g}, {high:.4g}).")
    if verdict.relation == "indistinguishable":
        lines.append("If so small a difference is meant to pass: require='indistinguishable'.")
    return "\n".join(lines)
