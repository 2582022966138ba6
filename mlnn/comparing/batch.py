"""Both objectives on whole random batches: what single rows cannot show (reductions, broadcasting, coupling)."""

import copy
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlnn.comparing.differences import BELOW
from mlnn.comparing.evidence import NULLS, Judged
from mlnn.objectives import Objective
from mlnn.objectives.layout import Extras, sliced
from mlnn.objectives.reduction import Drawn, Reduction, drawn_batch, drawn_rows, reduction, sizes
from mlnn.objectives.rowwise import one_batch

SCALES = (1.0, 4.0)
"""Of the raw outputs drawn: about those of an untrained network, and of one that is sure."""
ROUNDED = 1e-6
"""What float32 rounding makes of a batch's gradient, by which a float64 factor near 1 is told from 1."""
MOST = 2**21
"""Raw outputs of a batch, in all: every one of 1448 labels is met, and of more some (16 MiB in float64)."""
SIZES = (37, 64, 7, 3)
NEAR, FAR = (0.1, 1.0, 4.0), (20.0, 100.0, 1000.0)
"""Sizes and scales of the batches of losses whose single rows say nothing; those far out bound a domain, as a grid's do. Large
batches come first: of few rows a gradient may be 0 on paper, and its rounding is measured against the largest so far."""
Answer = tuple[float, Tensor]


@dataclass(frozen=True)
class Whole:
    """`factors`: g_right = c·g_left per number of rows; `gradient`, `value`: largest real difference beyond that factor; `rough`:
    largest difference in the working dtype that rounding does not explain. `reach`: raw outputs up to which the two were seen
    to agree, where whole batches are all that can be asked; `answered`: batches on which both sides were finite; `same_bits`:
    whether they gave the same bits on all of them.

    The reductions are None where an objective refused the batches; nothing is then known of whole batches.
    """

    left: Reduction | None
    right: Reduction | None
    factors: dict[int, float]
    gradient: float
    value: float
    rough: float = 0.0
    reach: float = math.inf
    answered: int = 0
    same_bits: bool = False

    @property
    def known(self) -> bool:
        """Whether both objectives answered."""
        return self.left is not None and self.right is not None


def whole_batches(
    left: Objective,
    right: Objective,
    shifted: bool,
    reach: float = math.inf,
    own: str = "float32",
) -> Whole:
    """Compare two objectives on batches of 7 and 37 rows, raw outputs of scale 1 and 4, in float32, float64 and the working dtype.

    Raw outputs are held within ±`reach`, where the two agree row by row: what differs here is then the batch's doing. Labels
    are all met once, as far as the size of such a batch allows.
    """
    kinds = reduction(left), reduction(right)
    unknown = Whole(None, None, {}, 0.0, 0.0)
    if None in kinds:
        return replace(unknown, left=kinds[0], right=kinds[1])
    pair, seen = (left, right), _Seen.of(left, right)
    drawn = [drawn_rows(left, rows, scale) for rows, scale in itertools.product(sizes(left.targets), SCALES)]
    for output, target, extras in [*drawn, *_every_label(left)]:
        batch = output.clamp(-reach, reach), target, extras
        try:
            seen.see(len(output), _answers(pair, batch, own), shifted, seen.nulls(pair, batch))
        except Exception:  # refused at this scale, with whatever exception
            return unknown
    return seen.whole(kinds, own)


def batches_alone(left: Objective, right: Objective, own: str = "float32") -> Whole:
    """Compare two objectives of which single rows say nothing: batches of several sizes, raw outputs from near 0 to far out.

    Where they part at raw outputs far out only, `reach` says how far they agree.
    """
    kinds = reduction(left), reduction(right)
    if None in kinds:
        return Whole(kinds[0], kinds[1], {}, 0.0, 0.0)
    seen = _Seen.of(left, right)
    for rows, scale in itertools.product(SIZES, NEAR):
        _see_batch(seen, (left, right), drawn_rows(left, rows, scale), own)
    whole, reach = seen.whole(kinds, own), NEAR[-1]
    for scale in FAR:
        beyond = copy.deepcopy(seen)
        for rows in SIZES:
            _see_batch(beyond, (left, right), drawn_rows(left, rows, scale), own)
        found = beyond.whole(kinds, own)
        if _part_company(whole, found, own):
            return replace(whole, reach=reach)
        seen, whole, reach = beyond, found, scale
    return whole


def _part_company(near: Whole, far: Whole, own: str) -> bool:
    """Whether two objectives that agree near 0 do not farther out, by more than the working precision resolves."""
    resolved = 0.0 if own == "float64" else BELOW * torch.finfo(getattr(torch, own)).eps
    apart = max(far.gradient, far.value)
    return far.rough > near.rough or apart > max(resolved, near.gradient, near.value)


def _see_batch(seen: "_Seen", pair: tuple[Objective, Objective], batch: Drawn, own: str) -> None:
    """Take in one batch; one that both sides refuse says nothing, one that a single side refuses is a difference."""
    try:
        seen.see(len(batch[0]), _answers(pair, batch, own), False, seen.nulls(pair, batch))
    except Exception:  # refused, with whatever exception
        answers = [_answered(side, batch) for side in pair]
        if answers[0] != answers[1]:
            seen.gradient.real = math.inf


def _every_label(objective: Objective) -> Iterator[Drawn]:
    """A batch that meets every label once, or as many of them as MOST raw outputs in all allow; none where extras go with
    targets of their own."""
    space, positions = objective.targets, objective.layout.positions
    count = space.classes or 0
    if not space.labels or space.outputs != count or objective.layout.extras:
        return
    rows = min(count, max(MOST // (count * math.prod(positions)), 1))
    if rows > 1:
        output, _ = drawn_batch(space, rows, positions=positions)
        labels = torch.arange(rows) * (count // rows)
        yield output, labels.reshape(-1, *[1] * len(positions)).expand(rows, *positions).contiguous(), {}


def _answers(pair: tuple[Objective, Objective], batch: Drawn, own: str) -> Mapping[str, tuple[Answer, Answer]]:
    output, target, extras = batch
    precisions = {name: getattr(torch, name) for name in ("float32", "float64", own)}
    left, right = pair
    return {
        name: (one_batch(left, output, target, dtype, extras), one_batch(right, output, target, dtype, extras))
        for name, dtype in precisions.items()
    }


def _answered(objective: Objective, batch: Drawn) -> bool:
    try:
        one_batch(objective, *batch[:2], torch.float64, batch[2])
    except Exception:  # refused, with whatever exception
        return False
    return True


def null_draws(objective: Objective, output: Tensor, target: Tensor, extras: Extras) -> tuple[float, float]:
    """What rounding alone makes of a batch's value and gradient (norm) in float32: its rows in another order, its raw outputs
    moved by one unit roundoff of what the objective computes in."""
    value, slope = one_batch(objective, output, target, torch.float32, extras)
    order = torch.arange(len(output)).flip(0)
    sign = torch.where(torch.arange(output.numel()).reshape(output.shape) % 3 == 0, 1, -1)
    eps = max(torch.finfo(torch.float32).eps, objective.inside.eps if objective.inside else 0.0)
    moved, aslant = one_batch(objective, output * (1 + sign * eps), target, torch.float32, extras)
    turned, askew = one_batch(
        objective, output[order], target[order], torch.float32, sliced(extras, order, len(output))
    )
    return (
        max(abs(moved - value), abs(turned - value)),
        max(float((aslant - slope).norm()), float((askew[order] - slope).norm())),
    )


@dataclass
class _Seen:
    """What the batches have shown so far."""

    factors: dict[int, float] = field(default_factory=dict)
    gradient: Judged = field(default_factory=Judged)
    value: Judged = field(default_factory=Judged)
    answered: int = 0
    same_bits: bool = True

    @classmethod
    def of(cls, left: Objective, right: Objective) -> "_Seen":
        """Nothing yet, of two that compute in what they do: see `Judged`."""
        seen, insides = cls(), [side.inside for side in (left, right) if side.inside]
        for judged in (seen.gradient, seen.value):
            judged.floor = max((inside.eps for inside in insides), default=0.0)
            judged.alone = any(inside.sealed for inside in insides)
            judged.length = left.targets.outputs if left.targets.outputs > 1 else 0
        return seen

    def nulls(self, pair: tuple[Objective, Objective], batch: Drawn) -> tuple[float, float]:
        """What rounding alone makes of a batch's value and gradient in float32, where that is judged alone; else 0."""
        if not self.gradient.alone:
            return 0.0, 0.0
        drawn = [null_draws(side, *batch) for side in pair]
        return max(value for value, _ in drawn), max(slope for _, slope in drawn)

    def see(
        self, rows: int, answers: Mapping[str, tuple[Answer, Answer]], shifted: bool, null: tuple[float, float]
    ) -> None:
        """Take in one batch: (value, gradient) of left and of right, by precision, and what rounding alone makes of each."""
        told = answers["float32" if self.gradient.alone else "float64"]
        (value, a), (_, b) = told
        finite = [math.isfinite(v) and bool(torch.isfinite(g).all()) for v, g in told]
        if not all(finite):
            still = [v == 0 and not bool(g.any()) for v, g in told]
            if any(finite) and not any(still):  # 0/0 on one side where the other says 0: a batch with nothing to say
                self.gradient.real = math.inf
            return
        self.answered += 1
        self.same_bits &= all(one[0] == two[0] and torch.equal(one[1], two[1]) for one, two in answers.values())
        square = float((a * a).sum())
        if not square > 0:
            return
        found = float((a * b).sum()) / square
        near = abs(found - 1) <= max(self.gradient.explained_by(ROUNDED), NULLS * null[1] / math.sqrt(square))
        factor = self.factors.setdefault(rows, 1.0 if near or not found > 0 else found)
        slopes = {name: float((two[1] - factor * one[1]).norm()) for name, (one, two) in answers.items()}
        self.gradient.see(rows, slopes, factor * float(a.norm()), null[1])
        if not shifted:
            values = {name: abs(two[0] - factor * one[0]) for name, (one, two) in answers.items()}
            self.value.see(rows, values, abs(factor * value), null[0])

    def whole(self, kinds: tuple[Reduction | None, Reduction | None], own: str) -> Whole:
        """What there is to say of them."""
        odd = [found[1] for judged in (self.gradient, self.value) if (found := judged.unexplained(own))]
        rough = max(odd, default=0.0)
        return Whole(
            *kinds, self.factors, self.gradient.real, self.value.real, rough, math.inf, self.answered, self.same_bits
        )
