"""What an audit takes in and asks: spaces and precisions that are refused, single rows that are, how often a loss is called."""

from typing import Any

import pytest
import torch
from asked_cases import asked, f64, numbers, squared
from torch import Tensor

import mlnn
from mlnn.auditing.guarded import floating, guarded, target_space, unreadable
from mlnn.errors import ConfigError
from mlnn.targets import TargetSpace


def broken(of: str, **changed: Any) -> TargetSpace:
    """A space as no constructor makes it."""
    space = TargetSpace(of)
    for name, value in changed.items():
        object.__setattr__(space, name, value)
    return space


@pytest.mark.parametrize("targets", ["binary", "classes(2)", "classes(1000)", "real", "counts", "real(raw=2)"])
def test_a_space_of_single_targets_is_taken_as_it_is(targets: str) -> None:
    assert str(target_space(targets)) == targets


@pytest.mark.parametrize(("targets", "words"), [
    ("real(2)", "is 2 numbers"), ("classes(1001)", "more classes than the 1000"), (TargetSpace("classes"), "no target space"),
    (broken("classes", classes=1), "2 to 1048576"), (broken("real", kind="reals"), "unknown target space"),
    (broken("binary", classes=2), "'binary' with classes=2"), ("y" * 41, f"'{'y' * 40}…'"), ("y" * 40, f"'{'y' * 40}'"),
])  # fmt: skip
def test_another_space_is_refused(targets: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        target_space(targets)


def test_what_a_position_is_among_is_dropped() -> None:
    found = target_space(TargetSpace("classes", 3, ignore=-100, axis=1))
    assert (found.ignore, found.axis, found.classes) == (None, None, 3)


@pytest.mark.parametrize(("dtype", "found"), [
    ("float32", torch.float32), (torch.bfloat16, torch.bfloat16), (torch.int32, None), ("int32", None), ("float31", None),
    (32, None), ("randn", None), (torch.complex64, None),
])  # fmt: skip
def test_a_precision_is_one_of_four(dtype: Any, found: torch.dtype | None) -> None:
    if found is None:
        with pytest.raises(ConfigError, match="dtype: "):
            floating(dtype)
    else:
        assert floating(dtype) is found


@pytest.mark.parametrize(("x", "kind"), [
    (torch.zeros(2), None), (torch.zeros(2, dtype=torch.complex64), "complex"), (torch.zeros(2, device="meta"), "meta"),
    (torch.zeros(2, 2).to_sparse(), "sparse_coo"),
])  # fmt: skip
def test_what_kind_of_tensor_cannot_be_read(x: Tensor, kind: str | None) -> None:
    assert unreadable(x) == kind


def test_a_loss_answers_where_it_is_asked_and_keeps_its_name() -> None:
    space = TargetSpace("real")
    elsewhere = guarded(lambda *_: torch.zeros(1, device="meta"), space, "raw", None)
    with pytest.raises(ConfigError, match="returned a tensor on meta; one on cpu"):
        elsewhere.rows(numbers(1.0), numbers(2.0))
    plain = guarded(squared, space, "raw", None)
    assert plain.rows(numbers(1.0), numbers(3.0)).tolist() == [2.0]
    assert (plain.name, guarded(squared, space, "raw", "mine").name) == ("squared", "mine")
    with pytest.raises(ConfigError, match="outputs: "):
        guarded(squared, space, "row", None)
    assert guarded(squared, space, "probabilities", None).outputs == "probabilities"


# How a loss is asked.
def test_a_loss_that_refuses_its_first_batch_has_no_first_answer() -> None:
    def refuses(*_: Tensor) -> Tensor:
        raise ValueError("no")

    found = asked(refuses)
    assert (found.first, found.answers_in, found.reduces, found.maps) == (None, None, False, False)
    assert asked(squared).answers_in == f64
    assert asked(lambda f, y: squared(f, y).float()).answers_in == torch.float32


def test_rows_are_asked_together_unless_one_is_refused() -> None:
    lengths: list[int] = []

    def loss(f: Tensor, y: Tensor) -> Tensor:
        lengths.append(len(f))
        if bool((y > 90).any()):
            raise ValueError("too large")
        return squared(f, y)

    found = asked(loss, "positive")
    lengths.clear()
    assert found.value(numbers(1, 2, 3), numbers(1, 1, 1)).tolist() == [0.0, 0.5, 2.0]
    assert lengths == [3]
    lengths.clear()
    assert found.value(numbers(1, 2, 3), numbers(1, torch.inf, 1)).nan_to_num(-1.0).tolist() == [0.0, -1.0, 2.0]
    assert lengths == [3, 2], "those of the space are asked together once more"
    refused = found.value(numbers(1, 2, 3), numbers(1, 99, 1))
    assert refused.nan_to_num(-1.0).tolist() == [0.0, -1.0, 2.0], "of which one is refused by itself"


def test_a_loss_that_reduces_and_cannot_be_vectorised_is_asked_row_by_row() -> None:
    def loss(f: Tensor, y: Tensor) -> Tensor:
        return (squared(f, y) * (1.0 if float(f.sum()) > -1e9 else 2.0)).mean()

    found = asked(loss)
    assert (found.reduces, found.maps) == (True, True)
    value, slope = found.both(numbers(1, 2), numbers(0, 0))
    assert (value.tolist(), slope.tolist(), found.maps) == ([0.5, 2.0], [1.0, 2.0], False)
    assert found.value(numbers(1, 2, 3), numbers(0, 0, 0)).tolist() == [0.5, 2.0, 4.5]
    assert found.alone == 5
    mapped = asked(lambda f, y: squared(f, y).mean())
    assert mapped.value(numbers(1, 2, 3), numbers(0, 0, 0)).tolist() == [0.5, 2.0, 4.5]
    assert mapped.alone == 0


def test_a_base_measure_is_told_up_to_where_it_overflows() -> None:
    found = mlnn.audit(lambda f, y: squared(f, y) + 1000.0, "real")
    assert found.base_measure is not None
    assert max(found.base_measure.values()) == pytest.approx(8.2184e307, rel=1e-4)
    assert found.constants is not None
    assert max(found.constants.values()) == pytest.approx(999.081, rel=1e-6)
