"""Accumulation, chunks, and the place beside a cause: of what pairs they are sought, and each on both sides of its line."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from test_cause_bounds import squares
from torch import Tensor
from torch.nn import functional as F

from mlnn.comparing.explaining import explain
from mlnn.comparing.explaining.chunks import _flat, _in_chunks, chunks
from mlnn.comparing.explaining.explain import Explained, explainer
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.explaining.trial import trial_of
from mlnn.comparing.explaining.where import Place
from mlnn.comparing.sample import Sample
from mlnn.objectives import Objective
from mlnn.objectives.promotion import Inside
from mlnn.targets import TargetSpace
from mlnn.training import LaneRecipe

f64 = torch.float64
REAL, CLASSES = TargetSpace("real"), TargetSpace("classes", 3)


def root(f: Tensor, y: Tensor) -> Tensor:
    return squares(f, y).sqrt()


def lane(loss: Any, accumulate: int = 1) -> LaneRecipe:
    return LaneRecipe(Objective.of(loss, REAL), partial(torch.optim.SGD, lr=0.1), accumulate)


def refusing(loss: Any, count: int) -> Any:
    def asked(f: Tensor, y: Tensor) -> Tensor:
        if len(f) == count or bool(f.abs().max() > 50):
            raise ValueError("refused")
        return loss(f, y)  # type: ignore[no-any-return]

    return asked


@pytest.mark.parametrize(("left", "right", "words"), [
    (lane(root), lane(root, 2), "right accumulates over 2 micro-batches"),
    (lane(root, 3), lane(root), "left accumulates over 3 micro"),
    (lane(root, 2), lane(root, 2), None), (lane(squares), lane(squares, 2), None),
    (lane(root), lane(lambda f, y: 1.001 * root(f, y), 2), None),
    (lane(root), lane(refusing(root, 1), 2), "right accumulates"), (lane(root), lane(refusing(root, 23), 2), None),
    (lane(root), lane(refusing(root, 12), 2), None),
])  # fmt: skip
def test_what_cannot_be_accumulated_is_named(left: LaneRecipe, right: LaneRecipe, words: str | None) -> None:
    found = explain._accumulation(left, right)
    assert (None if found is None else found.words.startswith(words or "-")) is (None if words is None else True)


# Where the gap is, of a batch of the training and of one that was drawn.
HERE, FAR_ROWS, THERE, NOWHERE = (
    Place(7, 0.5, 0.9, region=region) for region in ("rows above 3", "rows above 40.5", "targets of 1", None)
)


@pytest.mark.parametrize(("witnessed", "drawn", "found"), [
    (HERE, FAR_ROWS, FAR_ROWS), (HERE, THERE, NOWHERE), (HERE, NOWHERE, NOWHERE), (NOWHERE, HERE, NOWHERE), (None, HERE, HERE),
    (HERE, None, HERE), (None, None, None),
])  # fmt: skip
def test_a_region_is_one_where_two_batches_agree_on_its_kind(
    witnessed: Place | None, drawn: Place | None, found: Place | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = Sample(torch.zeros(5, dtype=f64), torch.zeros(5, dtype=f64))
    monkeypatch.setattr(explain, "locate", lambda _l, _r, sample, *_: witnessed if len(sample) == 5 else drawn)
    one = Objective.of(squares, REAL)
    assert explain._place(one, one, REAL, witness, 1) == found
    assert explain._place(one, one, REAL, None, 1) == drawn


def test_a_region_of_a_batch_that_no_other_confirms_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "drawn", lambda *_: None)
    monkeypatch.setattr(explain, "locate", lambda *_: HERE)
    one, witness = Objective.of(squares, REAL), Sample(torch.zeros(5, dtype=f64), torch.zeros(5, dtype=f64))
    assert explain._place(one, one, REAL, witness, 1) == HERE
    assert explain._place(one, one, REAL, None, 1) is None


def inside(given: Inside | None) -> LaneRecipe:
    return LaneRecipe(replace(Objective.of(squares, REAL), inside=given), partial(torch.optim.SGD, lr=0.1))


@pytest.mark.parametrize(("left", "right", "space", "asked"), [
    (inside(None), inside(None), REAL, True), (inside(None), inside(None), None, False),
    (inside(None), inside(Inside()), REAL, True),
    (inside(None), inside(Inside(sealed="numpy")), REAL, False), (inside(Inside(sealed="numpy")), inside(None), REAL, False),
    (inside(None), inside(None), TargetSpace("classes", 4096), True),
    (inside(None), inside(None), TargetSpace("classes", 4097), False),
])  # fmt: skip
def test_of_which_pairs_a_cause_is_sought(left: LaneRecipe, right: LaneRecipe, space: Any, asked: bool) -> None:
    assert (explainer(left, right, space) is not None) is asked


@pytest.mark.parametrize(
    ("given", "default"), [(None, torch.float32), (Inside(), torch.float32), (Inside(promotes=True), f64)]
)
def test_a_cause_is_sought_in_promoted_floats_where_a_side_is(
    given: Any, default: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(explain, "find_cause", lambda *_: seen.append(torch.get_default_dtype()))
    monkeypatch.setattr(explain, "_place", lambda *_: 1 / 0)
    ask = explainer(inside(None), inside(given), REAL)
    assert ask is not None
    assert ask(None) == Explained(None, None)
    assert seen == [default]


# Chunks of positions.
def mean_of_kept(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.flatten(0, -2), y.flatten())


@pytest.mark.parametrize(
    ("ignore", "kept", "parts"), [(None, 6, [(0, 4), (4, 6)]), (-1, 4, [(0, 4)]), (-1, 5, [(0, 4), (4, 6)])]
)
def test_means_of_chunks_of_positions(ignore: int | None, kept: int, parts: list[tuple[int, int]]) -> None:
    """Six positions in chunks of four: one in which none is kept has no mean."""
    z = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=f64)
    y = torch.tensor([0, 1, 2, 2, 1, 0])
    y[kept:] = -1
    space = replace(CLASSES, ignore=ignore)
    loss = mean_of_kept if ignore is None else partial(F.cross_entropy, ignore_index=-1)
    at = Side(
        Objective.of(lambda f, t: loss(f.flatten(0, -2), t.flatten()) if f.ndim > 2 else loss(f, t), space), space
    )
    means = [F.cross_entropy(z.reshape(6, 3)[a:b], y[a:b], ignore_index=-1) for a, b in parts]
    sample = Sample(z, y.reshape(2, 3))
    torch.testing.assert_close(_in_chunks(4, False, at, sample, 0.0), torch.stack(means).sum())
    torch.testing.assert_close(_in_chunks(4, True, at, sample, 0.0), torch.stack(means).mean())
    with pytest.raises(ValueError, match="an extra has no positions"):
        _flat(at, replace(sample, extras={"weight": torch.ones(2)}))
    assert _flat(at, replace(sample, extras={"mask": torch.ones(2, 3)})).extras["mask"].shape == (6, 1)


@pytest.mark.parametrize(("shape", "weigh", "found"), [
    ((2, 3), lambda v: v.mean(), 0), ((2, 3), lambda v: (v * torch.tensor([[1.0], [2.0]])).mean(), 40),
    ((6,), lambda v: v.mean(), 0),
    ((2, 3), lambda v: v.mean() ** 2, 0), ((2, 3), lambda v: (v * torch.tensor([[0.0], [2.0]])).mean(), 0),
])  # fmt: skip
def test_chunks_are_sought_where_positions_have_unlike_weights(shape: tuple[int, ...], weigh: Any, found: int) -> None:
    draws = torch.Generator().manual_seed(1)
    sample = Sample(torch.randn(shape, generator=draws, dtype=f64), torch.randn(shape, generator=draws, dtype=f64))

    def loss(f: Tensor, y: Tensor) -> Tensor:
        value = (f - y) ** 2
        return weigh(value) if value.shape == shape else value.mean()  # type: ignore[no-any-return]

    odd, sound = Side(Objective.of(loss, REAL), REAL), Side(Objective.of(squares, REAL), REAL)
    one = trial_of(sound.objective, odd.objective, sample)
    assert one is not None
    assert len(list(chunks("right", sound, odd, [one]))) == found
