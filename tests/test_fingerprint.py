"""Fingerprints: what they see, what they cannot, and that those of shards add up."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mlnn.recording.batchprint import batch_print, together
from mlnn.recording.fingerprint import LANES, Fingerprint, K, Piece, Printer, bits, distance, factor, same_bits
from mlnn.recording.parts import clean

SHAPES = {"a.weight": (60, 37), "a.bias": (60,), "b.weight": (251, 20), "scale": ()}


def drawn(seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=draws, dtype=torch.float64).to(dtype) for name, shape in SHAPES.items()}


def printed(tensors: dict[str, Tensor]) -> Fingerprint:
    return Printer([Piece(name, tuple(tensor.shape)) for name, tensor in tensors.items()]).of(tensors.values())


CHANGES: dict[str, Callable[[Tensor], None]] = {
    "one bit of one entry": lambda w: w.view(torch.int32)[3, 3].bitwise_xor_(1),
    "two entries change places": lambda w: w[2, 5:7].copy_(w[2, 5:7].flip(0)),
    "two rows change places": lambda w: w[4:6].copy_(w[4:6].flip(0)),
    "two columns change places": lambda w: w[:, 4:6].copy_(w[:, 4:6].flip(1)),
    "a zero changes its sign": lambda w: w[0, 0].zero_().neg_(),
    "a NaN": lambda w: w[1, 1].fill_(math.nan),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_bits_is_seen(name: str) -> None:
    before, after = drawn(), drawn()
    before["a.weight"][0, 0] = after["a.weight"][0, 0] = 0.0
    CHANGES[name](after["a.weight"])
    one, two = printed(before), printed(after)
    assert not same_bits(one, two)
    assert [n for n, a, b in zip(SHAPES, one.hashes, two.hashes, strict=True) if a != b] == ["a.weight"]
    assert same_bits(one, printed(before))
    assert two.finite == (name != "a NaN")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@given(cuts=st.lists(st.integers(0, 251), max_size=3))
@settings(max_examples=15, deadline=None)
def test_the_prints_of_shards_add_up(dtype: torch.dtype, cuts: list[int]) -> None:
    whole = drawn(dtype=dtype)["b.weight"]
    ends = [0, *sorted(cuts), len(whole)]
    parts = [
        Printer([Piece("b.weight", tuple(whole.shape), start * 20)]).of([whole[start:end]])
        for start, end in pairwise(ends)
    ]
    added, one = sum(parts[1:], parts[0]), printed({"b.weight": whole})
    assert same_bits(added, one)
    np.testing.assert_allclose(added.sketch, one.sketch, atol=1e-12 * one.norm)
    np.testing.assert_allclose(added.norms, one.norms, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_small_tensors_printed_together_have_the_prints_of_each_alone(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of them shards that begin in the middle of a word and of a block, one that another process counts, one that is None."""
    draws = torch.Generator().manual_seed(0)
    sizes = {
        "a": (3, 0),
        "b": (16 * 7, 21),
        "c": (251, 502),
        "d": (756, 3),
        "e": (65, 1000),
        "f": (1, 0),
        "g": (40, 250),
    }
    pieces = [Piece(name, (9, 251), start, counted=name != "b") for name, (_, start) in sizes.items()]
    tensors = [
        torch.randn(size, generator=draws).to(dtype) if name != "f" else None for name, (size, _) in sizes.items()
    ]
    beside = Printer(pieces).of(tensors)
    monkeypatch.setattr("mlnn.recording.fingerprint.SMALL", 0)
    alone = Printer(pieces).of(tensors)
    assert same_bits(beside, alone)
    assert beside.norms == pytest.approx(alone.norms, rel=1e-6)
    assert beside.sketch == pytest.approx(alone.sketch, rel=1e-12, abs=1e-12)
    assert np.count_nonzero(alone.sketch) > K // 2


def test_a_sketch_is_linear_and_tells_factors_exactly() -> None:
    weights = drawn()
    one, two = printed(weights), printed({name: 2 * weight for name, weight in weights.items()})
    assert factor(one, two) == 2.0
    assert np.array_equal(two.sketch, 2 * one.sketch)
    assert math.isnan(factor(printed({"a": torch.zeros(3)}), printed({"a": torch.ones(3)})))


def test_the_error_of_a_distance() -> None:
    """√(2/K)/2 = 4.5 % rms for noise, over seeds; never 20 %."""
    off = []
    for seed in range(60):
        weights, moved = drawn(seed), drawn(1000 + seed)
        there = {name: weight + 1e-3 * moved[name] for name, weight in weights.items()}
        true = math.sqrt(sum(float((there[n].double() - weights[n].double()).square().sum()) for n in weights))
        off.append(distance(printed(weights), printed(there)) / true - 1)
    assert 0.03 < float(np.sqrt(np.mean(np.square(off)))) < 0.06
    assert max(map(abs, off)) < 0.2


@pytest.mark.parametrize("width", [64, 128, 251, 256, 502])
def test_a_lost_column_is_seen_whatever_the_width_of_the_matrix(width: int) -> None:
    """Entries of a column are `width` apart: with as many buckets they would all be in one, told apart by their signs alone."""
    off = []
    for seed in range(40):
        weight = torch.randn(200, width, generator=torch.Generator().manual_seed(seed))
        lost = weight.clone()
        lost[:, seed % width] = 0
        found = distance(printed({f"w{seed}": weight}), printed({f"w{seed}": lost}))
        off.append(found / float(weight[:, seed % width].norm()) - 1)
    spread = float(np.sqrt(np.mean(np.square(off))))
    assert spread < (0.9 if width % K == 0 else 0.08)


def test_what_a_printer_is_not_given_counts_as_zero() -> None:
    printer = Printer([Piece("a", (3,)), Piece("b", (4,)), Piece("c", (2,), counted=False)])
    found = printer.of([torch.ones(3), None, torch.ones(2)])
    assert found.norms.tolist() == pytest.approx([math.sqrt(3), 0, math.sqrt(2)])
    assert found.hashes[1] == 0
    alone = Printer([Piece("a", (3,))]).of([torch.ones(3)])
    assert np.array_equal(found.sketch, alone.sketch)


def test_bits_of_a_view_that_begins_in_the_middle_of_a_word() -> None:
    held = torch.arange(11, dtype=torch.float32)
    assert bits({"x": held[1:]}) == bits({"x": held[1:].clone()})
    assert bits({"x": held[1:]}) != bits({"x": held[:-1]})
    assert bits({"x": torch.tensor([True, False])}) != bits({"x": torch.tensor([False, True])})
    far = torch.zeros(4 * LANES, dtype=torch.int64)
    far[0], far[1] = 1, 2
    near = far.flip(0)
    assert bits({"x": far}) != bits({"x": near})


def test_rows_are_known_again_in_another_order_and_cut_otherwise() -> None:
    x, y = torch.randn(8, 5), torch.randint(0, 3, (8,))
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    whole, other = batch_print({"x": x, "y": y}), batch_print({"x": x[order], "y": y[order]})
    assert whole.ordered != other.ordered
    assert whole.unordered == other.unordered
    halves = [batch_print({"x": x[part], "y": y[part]}) for part in order.chunk(2)]
    assert together(halves) == together([whole]) == (8, whole.unordered)
    swapped = x.clone()
    swapped[[0, 1], 2] = x[[1, 0], 2]
    assert batch_print({"x": swapped, "y": y}).unordered != whole.unordered
    assert batch_print({"x": x, "y": y.flip(0)}).unordered != whole.unordered
    assert batch_print({"y": y, "x": x}).unordered == whole.unordered


def test_zeros_after_the_end_of_a_row_are_no_other_row() -> None:
    short = torch.randint(1, 9, (4, 6))
    padded = torch.cat([short, torch.zeros(4, 3, dtype=torch.int64)], 1)
    assert batch_print([short]).unordered == batch_print([padded]).unordered


def test_names_without_wrappers() -> None:
    names = {
        "module.a.weight": "a.weight",
        "_orig_mod.module.b": "b",
        "a._orig_mod.c": "a.c",
        "submodule.d": "submodule.d",
    }
    assert {name: clean(name) for name in names} == names
