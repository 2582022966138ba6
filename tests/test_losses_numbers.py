"""What each loss is without arguments, as a number worked out by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mlnn import objectives as o
from mlnn.errors import ConfigError

f64 = torch.float64


def f64s(*given: Any) -> Tensor:
    return torch.tensor(given, dtype=f64)


LOSSES: list[tuple[Callable[..., Tensor], Any, Any, float]] = [
    (o.huber, 3.0, 0.0, 2.5), (o.smooth_l1, 3.0, 0.0, 2.5), (o.pinball, 3.0, 0.0, 1.5), (o.epsilon_insensitive, 3.0, 0.0, 2.9),
    (o.epsilon_insensitive, 0.05, 0.0, 0.0), (o.gamma_loss, 0.0, 3.0, 3.0), (o.negative_binomial_loss, 0.0, 3.0, 4 * math.log(2)),
    (o.focal, 0.0, 1.0, 0.25 * math.log(2)), (o.weighted_bce, 0.0, 1.0, 2 * math.log(2)), (o.weighted_bce, 0.0, 0.0, math.log(2)),
    (o.weighted_cross_entropy, [0.0, 0.0, 0.0], 2, 3 * math.log(3)),
    (o.label_smoothing, [math.log(2), 0.0], 0, 0.95 * math.log(1.5) + 0.05 * math.log(3)),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "output", "target", "value"), LOSSES)
def test_what_a_loss_is_without_arguments(loss: Any, output: Any, target: Any, value: float) -> None:
    assert float(
        loss(f64s(output), torch.tensor([target]) if isinstance(target, int) else f64s(target))
    ) == pytest.approx(value)


def test_weights_of_classes_are_one_each() -> None:
    z, y = torch.zeros(1, 3, dtype=f64), torch.tensor([1])
    assert float(o.weighted_cross_entropy(z, y, [1.0, 5.0, 1.0])) == pytest.approx(5 * math.log(3))
    with pytest.raises(ConfigError, match="2 weights for 3 classes"):
        o.weighted_cross_entropy(z, y, [1.0, 5.0])
