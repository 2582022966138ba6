"""Whether a raw output fits its targets, and in which words one that does not is told: in the user's own order of axes."""

import pytest
import torch

from mlnn.errors import ConfigError
from mlnn.targets import TargetSpace
from mlnn.training.module import check_output

BINARY, CLASSES, TURNED = TargetSpace("binary"), TargetSpace("classes", 3), TargetSpace("classes", 3, axis=1)
LABELS = torch.int64


@pytest.mark.parametrize(("space", "target", "output", "words"), [
    (BINARY, (5,), (5,), None), (BINARY, (5, 2), (5, 2), None), (CLASSES, (5,), (5, 3), None), (CLASSES, (5, 2), (5, 2, 3), None),
    (TURNED, (5, 2), (5, 2, 3), None), (BINARY, (1,), (1,), None),
    (BINARY, (5,), (5, 2), r"shape (5, 2) for 5 rows and targets 'binary'; (5,) or (5, 1) is needed"),
    (BINARY, (5, 2), (5, 4), r"shape (5, 4) for 5 rows of 2 positions and targets 'binary'; (5, 2) or (5, 2, 1) is needed"),
    (CLASSES, (5,), (5, 4), r"shape (5, 4) for 5 rows and targets 'classes(3)'; (5, 3) is needed"),
    (CLASSES, (5, 2), (5, 2, 4), r"shape (5, 2, 4) for 5 rows of 2 positions and targets 'classes(3)'; (5, 2, 3) is needed"),
    (TURNED, (5, 2), (5, 2, 4), r"shape (5, 4, 2) for 5 rows of 2 positions and targets 'classes(3, axis=1)'; (5, 3, 2) is needed"),
])  # fmt: skip
def test_an_output_is_told_in_the_order_of_axes_that_its_targets_have(
    space: TargetSpace, target: tuple[int, ...], output: tuple[int, ...], words: str | None
) -> None:
    y = torch.zeros(target, dtype=LABELS if space.labels else torch.float64)
    if words is None:
        check_output(torch.zeros(output), y, space)
        return
    with pytest.raises(ConfigError) as caught:
        check_output(torch.zeros(output), y, space)
    assert words in str(caught.value)
