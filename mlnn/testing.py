"""For a user's pytest: fail unless two objectives, or two steps, are the same, and say why.

from mlnn.testing import assert_same_objective

def test_fused_loss() -> None:
    assert_same_objective(torch.nn.BCEWithLogitsLoss(), my_fused_loss)

`assert_same_step` asks the same of whole steps, fn(model, batch) → loss, on batches of your own.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mlnn.arguments import interval, shown, sides, whole
from mlnn.comparing.comparison import compare, unmet
from mlnn.comparing.relations import REQUIRABLE, check_require
from mlnn.comparing.verdict import Verdict
from mlnn.data import from_arrays, from_steps
from mlnn.errors import ConfigError, DataError, MlnnError
from mlnn.objectives import Objective, Step
from mlnn.objectives.grid import MANY
from mlnn.objectives.reduction import drawn_batch
from mlnn.recording.replay import replay
from mlnn.seeding import generator
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe, parse_dtype
from mlnn.training.descent import SGD
from mlnn.world import own_world

FEATURES = 5
MOST_POSITIONS = 4096
"""Of a row along one axis: the small network has a weight for each of them."""
DESCENT = partial(SGD, lr=0.1)


@dataclasses.dataclass(frozen=True)
class _Run:
    """The small training run: rows of data, rows of a batch, steps, and the width of the last hidden layer."""

    rows: int = 61
    batch: int = 16
    steps: int = 12
    width: int = 16


BOXES = 200
"""Of the proof, for each target: forms of one likelihood are proved; of a clip the place is told to two digits."""
SMALLER = _Run(rows=19, batch=6, steps=6, width=4)
"""With more raw outputs than MANY, whose weights and batches take a hundred times the memory: 131,072 classes in a quarter of
the time (measured: 23 s of processor time became 8)."""


def assert_same_objective(
    left: Any,
    right: Any,
    targets: str | TargetSpace = "binary",
    require: str = "equal",
    *,
    domain: tuple[float, float] | None = None,
    outputs: str | tuple[str, str] = "raw",
    shape: tuple[int, ...] = (),
    dtype: torch.dtype | str = torch.float32,
    seed: int = 0,
    allow_points: bool = False,
    device: str | torch.device = "cpu",
) -> Verdict:
    """Probe two objectives, train a small network on both for 12 steps, and return the verdict if it is good enough.

    left, right: an `nn.Module` loss, a function, an mlnn objective or likelihood; (output, target) → (n,) or scalar.
    targets: "binary", "classes(K)", "real", "counts", "positive" or "unit"; "counts(raw=2)" for losses that read two raw outputs
    for each target. require: the weakest relation that passes.
    domain: raw outputs on which it must hold; without it, everywhere. outputs: "raw" or "probabilities", one word or one
    per side. shape: positions of a row, for a loss of sequences: (t,) gives outputs (n, t[, K]) and targets (n, t).
    allow_points: whether isolated raw outputs at which a side's gradient is wrong (0 for a relu form) may pass; they are in the
    verdict's `points`. device: where both are called, for kernels that a CPU does not run. The verdict's `proof` says what is
    proved on paper, and decides nothing. Takes under 2 s, in a world of its own (see `mlnn.world`). Raises AssertionError with the
    verdict's sentence, and the verdict as its `.verdict` (None where the two cannot be compared); ConfigError for bad arguments.
    """
    __tracebackhide__ = True
    return _required(
        lambda: _found(left, right, TargetSpace.parse(targets), outputs, _positions(shape), dtype, seed, device),
        "objective", require, domain, allow_points,
    )  # fmt: skip


def assert_same_step(
    model: Callable[[], nn.Module],
    left: Any,
    right: Any,
    batches: Iterable[Any],
    *,
    optimizer: Callable[..., torch.optim.Optimizer] = DESCENT,
    require: str = "equal",
    domain: tuple[float, float] | None = None,
    dtype: torch.dtype | str = torch.float32,
    steps: int | None = None,
    seed: int = 0,
) -> Verdict:
    """Train a model on both sides' steps, batch for batch, and return the verdict if it is good enough.

    model: a factory () → nn.Module. left, right: fn(model, batch) → loss, a scalar tensor; or a `LaneRecipe` with an `update`
    of its own. batches: any iterable of batches of any structure, one a step, `steps` of them, or all. Before training, both
    sides are asked far from where it goes too (see `mlnn.Step`); the verdict's sentence says where. require, domain, dtype,
    seed, and what is raised: as for `assert_same_objective`; ConfigError too for a step that gives no loss.
    """
    __tracebackhide__ = True
    return _required(
        lambda: _stepped(model, left, right, batches, optimizer, dtype, steps, seed), "step", require, domain
    )


def assert_replays(
    capsule: Any,
    model: Any,
    *,
    loss: Callable[..., Any] | None = None,
    step: Callable[..., Any] | None = None,
    target: str | None = None,
    require: str | None = None,
    domain: tuple[float, float] | None = None,
) -> Verdict:
    """Do a recorded step again, and return the verdict if it is good enough.

    capsule, model, loss, step, target: as for `mlnn.replay`. require: the weakest relation that passes; "indistinguishable" where
    the step itself is held against the record, whose digits are those of the precision it was recorded in, and "equal" where loss
    or step is given, for that is judged in float64. A capsule is no golden value of yesterday's digits: both sides are computed
    now.
    Raises as `assert_same_objective` does, and DataError for a damaged capsule.
    """
    __tracebackhide__ = True
    asked = require or ("indistinguishable" if loss is None and step is None else "equal")
    return _required(
        lambda: replay(capsule, model, loss=loss, step=step, target=target), "step", asked, domain
    )  # fmt: skip


def _required(
    found_by: Callable[[], Verdict],
    what: str,
    require: str,
    domain: tuple[float, float] | None,
    allow_points: bool = False,
) -> Verdict:
    """What a comparison finds, if it is good enough; AssertionError with its sentence if not."""
    __tracebackhide__ = True
    failure: AssertionError | None = None
    try:
        check_require(str(require))
        limits = interval("domain", domain)
        found = found_by()
        asked = _without_licence(found)
        if not asked.meets(require, limits, allow_points):
            failure = _failure(_message(asked, what, require, limits, allow_points), found)
    except _IncomparableError as problem:
        failure = _failure(str(problem), None)
    except MlnnError as problem:  # an argument is wrong: where in mlnn it was noticed is no news
        raise problem.with_traceback(None) from None
    if failure is not None:
        raise failure
    return found


def _stepped(
    model: Callable[[], nn.Module],
    left: Any,
    right: Any,
    batches: Iterable[Any],
    optimizer: Callable[..., torch.optim.Optimizer],
    dtype: torch.dtype | str,
    steps: int | None,
    seed: int,
) -> Verdict:
    """The verdict on two steps, each with the batches as they are."""
    one, two = (side if isinstance(side, Step | LaneRecipe) else Step(side) for side in (left, right))
    drawn = list(batches) if steps is None else None
    count = whole("steps", steps, 1) if drawn is None else len(drawn)
    if not count:
        raise DataError("batches: none are given; one a step is needed")
    return compare(
        model, one, two, from_steps(batches if drawn is None else drawn, count),
        optimizer=optimizer, steps=count, batch_size=None, dtype=dtype, seed=seed, null_twins=0,
    ).verdict  # fmt: skip


class _IncomparableError(MlnnError):
    """An objective's own fault kept the two from being compared."""


def _found(
    left: Any,
    right: Any,
    space: TargetSpace,
    outputs: str | tuple[str, str],
    shape: tuple[int, ...],
    dtype: torch.dtype | str,
    seed: int,
    device: str | torch.device,
) -> Verdict:
    """The verdict on the pair, by a small run; _IncomparableError where an objective answers with something else."""
    kinds = sides("outputs", outputs)
    with own_world(1, whole("seed", seed, -(2**64), 2**64)):  # tiny tensors: more threads only wait for each other
        parse_dtype(dtype)
        pair = [Objective.of(given, space, kind) for given, kind in zip((left, right), kinds, strict=True)]
        run = _Run() if space.outputs * math.prod(shape) <= MANY else SMALLER
        x = torch.randn(run.rows, FEATURES, generator=generator(seed, "data"), dtype=torch.float64)
        _, y = drawn_batch(space, run.rows, positions=shape)
        data = from_arrays(x, y, space, column=False)
        try:
            return compare(
                partial(_network, pair[0].targets, shape, run.width), pair[0], pair[1], data, optimizer=DESCENT, steps=run.steps,
                batch_size=run.batch, dtype=dtype, seed=seed, null_twins=0, device=device, engine="plain", proof=BOXES,
            ).verdict  # fmt: skip
        except ConfigError as problem:
            raise _IncomparableError(f"the two objectives cannot be compared: {problem}") from None


def _failure(message: str, verdict: Verdict | None) -> AssertionError:
    failure = AssertionError(message)
    failure.verdict = verdict  # type: ignore[attr-defined]
    return failure


def _positions(shape: Any) -> tuple[int, ...]:
    """Positions of a row; ConfigError for what are none."""
    if not isinstance(shape, tuple | list):
        raise ConfigError(
            f"shape: {shown(shape)}; the positions of a row are needed, such as (12,) for sequences of 12"
        )
    return tuple(whole("shape", size, 1, MOST_POSITIONS) for size in shape)


def _network(space: TargetSpace, shape: tuple[int, ...], width: int) -> nn.Module:
    """A small network of FEATURES inputs with raw outputs (n, *shape[, m]), the m where the space has them."""
    outputs = space.outputs * math.prod(shape)
    body = [nn.Linear(FEATURES, 16), nn.Tanh(), nn.Linear(16, width), nn.Tanh(), nn.Linear(width, outputs)]
    return nn.Sequential(*body, *([_Shaped(space, shape)] if shape else []))


class _Shaped(nn.Module):
    def __init__(self, space: TargetSpace, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.space, self.shape = space, shape

    def forward(self, flat: Tensor) -> Tensor:
        several = (self.space.outputs,) if self.space.outputs > 1 else ()
        return self.space.arranged(flat.reshape(len(flat), *self.shape, *several))


def _without_licence(found: Verdict) -> Verdict:
    """The verdict without what the small network's own rows say: they are no licence for yours."""
    points = [{**point, "rows": None} for point in found.points]
    return dataclasses.replace(found, left_domain=None, points=points)


def _message(verdict: Verdict, what: str, require: str, domain: tuple[float, float] | None, allow_points: bool) -> str:
    lines = [f"not the same {what}: " + unmet(verdict, require, domain)]
    reasons = verdict.evidence.get("domain_ends")
    if not isinstance(verdict.domain, str) and verdict.relation in REQUIRABLE and isinstance(reasons, list):
        inside, why = (
            (_inwards(verdict.domain[0], math.ceil), _inwards(verdict.domain[1], math.floor)),
            " and ".join(reasons),
        )
        if inside[0] < inside[1] and verdict.meets(require, inside, allow_points=True):
            allowed = f"domain=({inside[0]:.4g}, {inside[1]:.4g})"
            lines.append(f"Beyond it {why}. If raw outputs stay inside, allow it: {allowed}.")
    if verdict.points and not allow_points and verdict.meets(require, domain or _all_of(verdict), allow_points=True):
        lines.append(
            "If no row of yours stands on the points named, or one wrong gradient is no matter: allow_points=True."
        )
    if verdict.relation == "indistinguishable":
        lines.append("If so small a difference is meant to pass: require='indistinguishable'.")
    if verdict.proof and verdict.proof.answer in ("proved", "differs"):
        lines.append(f"On paper: {verdict.proof.says}.")
    return "\n".join(lines)


def _all_of(verdict: Verdict) -> tuple[float, float] | None:
    return None if isinstance(verdict.domain, str) else verdict.domain


def _inwards(end: float, rounded: Callable[[float], int]) -> float:
    """An end of an interval to four digits, not outside it."""
    if math.isinf(end) or end == 0:
        return end
    unit = 10.0 ** (3 - math.floor(math.log10(abs(end))))
    return rounded(end * unit) / unit
