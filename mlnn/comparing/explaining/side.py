"""An objective as a fault can be planted into it: its value, its rows one by one, and how it adds them up."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mlnn.comparing.sample import Sample, answer, value_at
from mlnn.objectives import Objective
from mlnn.objectives.rowwise import unreduced
from mlnn.targets import TargetSpace

ADDS_UP = 1e-9
"""An objective whose gradient is that of its rows, each times one number, to this share, adds them up; else it couples them."""


@dataclass(frozen=True, eq=False)
class Side:
    """An objective, and the space of its targets. What it cannot do raises, like an objective that refuses a batch."""

    objective: Objective
    targets: TargetSpace
    _weights: dict[int, tuple[Tensor, Tensor | None]] = field(default_factory=dict)
    _known: "dict[int, _Rows]" = field(default_factory=dict)

    def ask(self, sample: Sample) -> Tensor:
        """The objective's value, a scalar on autograd's tape."""
        return value_at(self.objective, sample)

    def rows(self, sample: Sample) -> Tensor:
        """The value of every row, or of every position, as a batch of it alone would have it: (n, *positions).

        On autograd's tape, for a first derivative: where every position takes a call, each is asked once per batch, and its value
        laid out linearly around the outputs.
        """
        given = unreduced(self.objective).rows(sample.output, sample.target, **sample.extras)
        if given.shape == self.shape(sample):
            return given
        known = self._known.get(id(sample.target))
        if known is None or known.target is not sample.target or not torch.equal(known.output, sample.output.detach()):
            known = self._known[id(sample.target)] = self._one_by_one(sample)
        moved = torch.where(known.slopes != 0, known.slopes * (sample.output - known.output), 0.0)
        beside = tuple(range(known.values.ndim, moved.ndim))
        return known.values + (moved.sum(beside) if beside else moved)

    def _one_by_one(self, sample: Sample) -> "_Rows":
        shape, output = self.shape(sample), sample.output.detach().clone().requires_grad_()
        places = torch.cartesian_prod(*(torch.arange(size) for size in shape)).reshape(-1, len(shape))
        with torch.enable_grad():
            alone = [self._ask_alone(_alone(replace(sample, output=output), place.tolist())) for place in places]
            values = torch.stack(alone).reshape(shape)
            (slopes,) = torch.autograd.grad(values.sum(), output)
        return _Rows(sample.target, output.detach(), values.detach(), slopes)

    def _ask_alone(self, one: Sample) -> Tensor:
        """An ignored position alone is 0 ÷ 0, or refused: it has no part."""
        none, kept = 0 * one.output.sum(), self.targets.kept(one.target)
        try:
            value = self.ask(one)
        except Exception:
            if kept is None or bool(kept.any()):
                raise
            return none
        return value if bool(torch.isfinite(value)) else none

    def shape(self, sample: Sample) -> tuple[int, ...]:
        """Of a number per row or position: (n, *positions)."""
        return (len(sample), *self.targets.positions(sample.target))

    def weights(self, sample: Sample) -> Tensor | None:
        """What each row's (or position's) gradient is multiplied by in the objective's own; None where it couples them.

        Asked once per batch, which its targets tell: a fault moves the outputs, and leaves the weights as they are.
        """
        known = self._weights.get(id(sample.target))
        if known is None or known[0] is not sample.target:
            known = self._weights[id(sample.target)] = (sample.target, self._weigh(sample))
        return known[1]

    def _weigh(self, sample: Sample) -> Tensor | None:
        output = sample.output.detach().clone().requires_grad_()
        (alone,) = torch.autograd.grad(self.rows(replace(sample, output=output)).sum(), output)
        alone, given = alone.nan_to_num(0.0), answer(self.objective, sample)[1]
        axes = tuple(range(len(self.shape(sample)), alone.ndim))
        square, product = alone.square(), alone * given
        if axes:
            square, product = square.sum(axes), product.sum(axes)
        weights = torch.where(square > 0, product / square, 0.0)
        rest = given - weights.reshape(*weights.shape, *[1] * len(axes)) * alone
        return weights if float(rest.norm()) <= ADDS_UP * float(given.norm()) else None

    def added(self, values: Tensor, sample: Sample) -> Tensor:
        """Values per row added up as the objective adds its own; ValueError where it couples them."""
        weights = self.weights(sample)
        if weights is None:
            raise ValueError("the objective couples the rows")
        return (weights * values).sum()


@dataclass(frozen=True, eq=False)
class _Rows:
    """Values of the rows of one batch, each asked alone, and their slopes in its outputs."""

    target: Tensor
    output: Tensor
    values: Tensor
    slopes: Tensor


def _alone(sample: Sample, place: list[int]) -> Sample:
    """One row, or one position of it, as a batch of its own."""
    cut = tuple(slice(at, at + 1) for at in place)
    extras = {name: extra[cut[: extra.ndim]] for name, extra in sample.extras.items()}
    return replace(sample, output=sample.output[cut], target=sample.target[cut], extras=extras, rows=None)
