"""Batches of any structure: cast, counted and cut, each as what it was."""

from collections import OrderedDict, namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
import torch
from torch import Tensor

from mlnn.data import nested
from mlnn.data.stream import from_steps
from mlnn.errors import DataError

Pair = namedtuple("Pair", "a b")


@dataclass(frozen=True)
class Frozen:
    x: Tensor
    word: str = "kept"


class Wrapped(Mapping[str, Any]):
    def __init__(self, inner: dict[str, Any]) -> None:
        self.inner = inner

    def __getitem__(self, key: str) -> Any:
        return self.inner[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.inner)

    def __len__(self) -> int:
        return len(self.inner)


X = torch.arange(12.0).reshape(6, 2)
IDS = torch.arange(6)
NEST = {
    "x": X,
    "deep": [Pair(X.T.clone().T, IDS), (Frozen(X), None)],
    "ordered": OrderedDict(mask=IDS > 2),
    "word": "text",
    "count": 3,
}


def test_every_structure_comes_back_as_what_it_was() -> None:
    made = nested.cast(NEST, torch.float64)
    assert type(made) is dict
    assert list(made) == list(NEST)
    assert type(made["deep"][0]) is Pair
    assert type(made["deep"][1]) is tuple
    assert type(made["deep"][1][0]) is Frozen
    assert type(made["ordered"]) is OrderedDict
    assert (made["word"], made["count"], made["deep"][1][1], made["deep"][1][0].word) == ("text", 3, None, "kept")
    assert [tensor.dtype for tensor in nested.tensors(made)] == [
        torch.float64, torch.float64, torch.int64, torch.float64, torch.bool,
    ]  # fmt: skip
    for before, after in zip(nested.tensors(NEST), nested.tensors(made), strict=True):
        assert torch.equal(before.to(after.dtype), after)
        assert after.is_contiguous()
        assert before.data_ptr() != after.data_ptr()
    assert NEST["x"] is X, "the batch itself is left alone"
    assert dict(nested.cast(MappingProxyType({"a": IDS}), torch.float32)) == {"a": pytest.approx(IDS)}
    assert set(nested.cast(Wrapped({"a": X}), torch.float32)) == {"a"}


def test_numbers_are_rounded_first_to_the_precision_that_all_lanes_see() -> None:
    third = torch.tensor([1 / 3], dtype=torch.float64)
    (cast,) = nested.cast((third,), torch.float64, first=torch.float32)
    assert cast.item() == float(third.float())
    assert nested.cast(third, torch.float64).item() == 1 / 3
    graph = torch.ones(2, requires_grad=True) * 2
    assert not nested.cast([graph], torch.float32)[0].requires_grad


def test_rows_are_the_first_dimension_that_all_tensors_share() -> None:
    assert nested.rows(NEST) == 6
    assert nested.rows({"x": X, "temperature": torch.tensor(0.5)}) == 6
    assert nested.rows((X, IDS[:3])) is None
    assert nested.rows({"word": "text"}) is None


def test_micro_batches_are_contiguous_and_all_rows_come_once() -> None:
    parts = nested.split({"x": X, "y": (IDS, torch.tensor(2.0))}, 4)
    assert [len(part["x"]) for part in parts] == [len(part) for part in X.chunk(4)] == [2, 2, 2]
    assert torch.equal(torch.cat([part["y"][0] for part in parts]), IDS)
    assert all(part["y"][1] == 2 for part in parts)
    assert all(part["x"].data_ptr() != X[2 * place :].data_ptr() for place, part in enumerate(parts))
    assert nested.split((X, IDS[:3]), 1)[0][0] is X, "one part is the batch itself"
    with pytest.raises(DataError, match=r"cannot be cut into 2 micro-batches.*\(6, 2\), \(3,\)"):
        nested.split((X, IDS[:3]), 2)


def test_batches_for_steps_are_copies_of_any_structure() -> None:
    given = [{"x": X.clone(), "more": [IDS]}, (X[:3],), X]
    stream = from_steps(iter(given), 3)
    given[0]["x"].zero_()
    assert torch.equal(stream.batches[0].given["x"], X)
    assert [len(rows) for rows, _ in stream.rows()] == [6, 3, 6]
    assert stream.to_dict()["batches"] == 3
    assert from_steps([{"x": X, "more": [IDS]}, (X[:3],), X], 3).fingerprint() == stream.fingerprint()
    assert from_steps([{"x": X + 1, "more": [IDS]}, (X[:3],), X], 3).fingerprint() != stream.fingerprint()
    half = stream.batches[0].some(torch.arange(2))
    assert torch.equal(half.given["x"], X[:2])
    with pytest.raises(DataError, match="3 batches for 4 steps"):
        from_steps(given, 4)
    with pytest.raises(DataError, match="batch 1 holds no tensor"):
        from_steps([X, {"word": "text"}], 2)
