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

    def ask(self, sample: Sample) -> Tensor:
        """The objective's value, a scalar on autograd's tape."""
        return value_at(self.objective, sample)

    def rows(self, sample: Sample) -> Tensor:
        """The value of every row, or of every position, as a batch of it alone would have it: (n, *positions)."""
        given, shape = unreduced(self.objective).rows(sample.output, sample.target, **sample.extras), self.shape(sample)
        if given.shape == shape:
            return given
        places = torch.cartesian_prod(*(torch.arange(size) for size in shape)).reshape(-1, len(shape))
        alone = [self.ask(_alone(sample, place.tolist())) for place in places]
        none = 0 * sample.output.sum()  # an ignored position alone is 0 ÷ 0: it has no part
        return torch.stack([one if bool(torch.isfinite(one)) else none for one in alone]).reshape(shape)

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


def _alone(sample: Sample, place: list[int]) -> Sample:
    """One row, or one position of it, as a batch of its own."""
    cut = tuple(slice(at, at + 1) for at in place)
    extras = {name: extra[cut[: extra.ndim]] for name, extra in sample.extras.items()}
    return replace(sample, output=sample.output[cut], target=sample.target[cut], extras=extras, rows=None)
