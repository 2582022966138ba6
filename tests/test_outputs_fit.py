"""Whether a raw output fits its targets, and in which words one that does not is told: in the user's own order of axes."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch

from mlnn.errors import ConfigError
from mlnn.targets import TargetSpace
from mlnn.training.module import check_output
from mlnn.training.outputs import Place, Told, watched

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


class Plain:
    """An answer with logits, as libraries have their own."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits


@dataclass(frozen=True, slots=True)
class Slotted:
    logits: torch.Tensor


class Answering(torch.nn.Module):
    def __init__(self, kind: type) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: torch.Tensor) -> object:
        return self.kind(x)


@pytest.mark.parametrize("kind", [Plain, Slotted, NamedTuple("Named", [("logits", torch.Tensor)])])
def test_logits_of_any_kind_of_answer_are_seen_and_put_elsewhere(kind: type) -> None:
    model, x = Answering(kind), torch.ones(2, 3)
    with watched(model, Place("far out", scale=10.0)) as told:
        assert torch.equal(model(x).logits, 10 * x)
    assert torch.equal(told.outputs[0], 10 * x)
    assert torch.equal(model(x).logits, x)


def test_raw_outputs_that_are_put_nowhere_else_are_as_they_were() -> None:
    assert torch.equal(Place("moved", moved=1.0).put(torch.ones(2, 3)), torch.full((2, 3), 2.0))


@pytest.mark.parametrize(
    ("shapes", "count", "rows"),
    [
        ([(4, 1)], 4, (4,)),
        ([(4, 3)], 4, (4, 3)),
        ([(4,)], 4, (4,)),
        ([(4, 1, 2)], 4, (4, 1, 2)),
        ([(2, 1), (2, 1)], 4, (4,)),
        ([(4, 1), (4, 2)], 4, (4, 3)),
        ([(3, 2)], 4, (0,)),
        ([(2, 1), (2, 2)], 4, (0,)),
        ([()], 4, (0,)),
        ([], 4, (0,)),
    ],
)
def test_raw_outputs_of_several_calls_as_rows(shapes: list[tuple[int, ...]], count: int, rows: tuple[int, ...]) -> None:
    assert Told(outputs=[torch.ones(shape) for shape in shapes]).as_rows(count).shape == rows
