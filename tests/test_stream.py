"""Batches as a loader gives them: drawn once, in their order, the same for all lanes."""

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import mlnn
from mlnn.data import from_batches
from mlnn.errors import ConfigError, DataError

K = 3
DRAWS = torch.Generator().manual_seed(5)
X, Y = torch.randn(40, 4, generator=DRAWS), torch.randint(0, K, (40,), generator=DRAWS)
SEQUENCES = [
    (torch.randint(0, 9, (6, t), generator=DRAWS), torch.randint(0, K, (6, t), generator=DRAWS)) for t in (3, 7, 4, 2)
]


def settings(**more: Any) -> dict[str, Any]:
    known = {"optimizer": partial(torch.optim.SGD, lr=0.1), "steps": 4, "batch_size": None, "targets": f"classes({K})"}
    return known | {"null_twins": 0} | more


def by_hand(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log_softmax(z, 1).gather(1, y[:, None]).mean()


def linear() -> nn.Module:
    return nn.Linear(4, K)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "batches",
    [
        DataLoader(TensorDataset(X, Y), batch_size=10),
        list(DataLoader(TensorDataset(X, Y), batch_size=10)),
        [(X[i : i + 10].numpy(), Y[i : i + 10].tolist()) for i in range(0, 40, 10)],
        ({"x": X[i : i + 10], "labels": Y[i : i + 10]} for i in range(0, 40, 10)),
    ],
    ids=["loader", "list of lists", "tuples of arrays", "dicts from a generator"],
)
def test_any_iterable_of_batches_is_what_all_lanes_see(batches: Any) -> None:
    found = mlnn.compare(linear, nn.CrossEntropyLoss(), by_hand, batches, **settings(engine="plain"))
    assert found.verdict.relation in ("bitwise", "equal"), found.verdict.sentence
    assert found.data["batches"] == 4
    assert found.data["rows"] == 40
    assert found.run.batch_size == 10
    whole = mlnn.compare(linear, nn.CrossEntropyLoss(), by_hand, (X[:10], Y[:10]), **settings(steps=1, engine="plain"))
    assert whole.trace["loss_left"][0] == found.trace["loss_left"][0], "the first batch is the first step's"


def test_a_loader_is_drawn_from_once_and_no_further_than_needed() -> None:
    drawn: list[int] = []

    def source() -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, 40, 5):
            drawn.append(start)
            yield X[start : start + 5], Y[start : start + 5]

    mlnn.compare(linear, nn.CrossEntropyLoss(), by_hand, source(), **settings(steps=3))
    assert drawn == [0, 5, 10]


class Language(nn.Module):
    """What libraries of language models look like from outside: inputs by name, an answer with logits and a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(9, 5), nn.Linear(5, K)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None) -> Any:
        assert labels is None, "the targets are the loss's, not the model's"
        seen = self.embed(input_ids)
        hidden = seen if attention_mask is None else seen * attention_mask[..., None]
        return SimpleNamespace(logits=self.head(hidden), loss=None)


@pytest.mark.rest
def test_batches_by_name_with_sequences_of_other_lengths() -> None:
    def flattened(z: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(z.reshape(-1, K), y.reshape(-1))

    def by_mask(z: Tensor, y: Tensor, attention_mask: Tensor) -> Tensor:
        each = -torch.log_softmax(z, -1).gather(-1, y.clamp(min=0)[..., None])[..., 0]
        return (each * attention_mask).sum() / attention_mask.sum()

    batches = []
    for ids, labels in SEQUENCES:
        kept = torch.rand(labels.shape, generator=DRAWS) < 0.7
        kept[:, 0] = True
        batches.append({"input_ids": ids, "attention_mask": kept.long(), "labels": labels.masked_fill(~kept, -100)})
    asked = settings(targets=f"classes({K}, ignore=-100)")
    same = mlnn.compare(Language, flattened, by_mask, batches, **asked).verdict
    assert same.relation in ("bitwise", "equal"), same.sentence
    wrong = mlnn.compare(
        Language, flattened, lambda z, y, attention_mask: by_mask(z, y, attention_mask + 1), batches, **asked
    )
    assert wrong.verdict.relation == "different"


@pytest.mark.rest
def test_a_count_for_the_whole_batch_is_an_extra_too() -> None:
    def over_count(z: Tensor, y: Tensor, count: Tensor) -> Tensor:
        return F.cross_entropy(z, y, reduction="sum") / count

    batches = [(X[i : i + 10], Y[i : i + 10], {"count": torch.tensor(10)}) for i in range(0, 40, 10)]
    same = mlnn.compare(linear, nn.CrossEntropyLoss(), over_count, batches, **settings()).verdict
    assert same.relation in ("bitwise", "equal"), same.sentence
    doubled = mlnn.compare(
        linear, nn.CrossEntropyLoss(), lambda z, y, count: over_count(z, y, count / 2), batches, **settings()
    )
    assert (doubled.verdict.relation, round(doubled.verdict.scale, 9)) == ("scaled", 2.0)
    other = [(x, y, {"count": count["count"] + place}) for place, (x, y, count) in enumerate(batches)]
    wrong = mlnn.compare(linear, nn.CrossEntropyLoss(), over_count, other, **settings()).verdict
    assert wrong.relation == "different", wrong.sentence


@pytest.mark.parametrize(
    ("batches", "more", "error", "words"),
    [
        ([(X, Y)] * 2, {}, DataError, "2 batches for 4 steps; give as many, or take fewer steps: none is used twice"),
        (
            [(X, Y)] * 4,
            {"batch_size": 5},
            ConfigError,
            "the data are batches already, one a step; give batch_size=None",
        ),
        ([{"a": X}] * 4, {}, DataError, "batch 0 is a dict of a; its targets must be one of labels"),
        ([(X, Y, 3)] * 4, {}, DataError, "its third part is 3; extras are a dict by names"),
        ([(X, Y[:3])] * 4, {}, DataError, "batch 0: x has 40 rows and y 3"),
        ([(X, Y)] * 3 + [(X, Y + 1)], {}, DataError, r"batch 3: target: row \d+ holds 3.0"),
        ([(X * torch.inf, Y)] * 4, {}, DataError, "batch 0: an input is not finite"),
        ((1 / 0 for _ in range(4)), {}, DataError, "drawing batches raised ZeroDivisionError"),
        (iter([X] * 4), {}, DataError, "or mlnn.Step for a loss"),
        (
            [{"b": X, "c": X, "labels": Y}] * 4,
            {},
            ConfigError,
            "the batch has b, c and forward takes input; name them alike",
        ),
    ],
)
def test_batches_that_cannot_be_used(batches: Any, more: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        mlnn.compare(linear, nn.CrossEntropyLoss(), by_hand, batches, **settings(**more))


def test_the_fingerprint_sees_every_number_of_a_stream() -> None:
    def stream(x: Tensor, y: Tensor, extra: float = 1.0) -> str:
        return from_batches([(x, y, {"w": torch.full((len(y),), extra)})], 1, f"classes({K})").fingerprint()

    changed = X.clone()
    changed[7, 2] += 1e-6
    prints = {stream(X, Y), stream(changed, Y), stream(X, Y.flip(0)), stream(X, Y, 2.0)}
    assert len(prints) == 4
    assert stream(X, Y) == stream(X.clone(), Y.clone())


@pytest.mark.parametrize("steps", ["binary", 0, 1.5, True])
def test_how_many_batches_are_drawn_is_a_whole_number(steps: Any) -> None:
    with pytest.raises(ConfigError, match="steps: "):
        from_batches([], steps, "binary")
