"""Does `from_arrays` take what people have, and refuse the rest with its place?"""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlnn.data import Dataset, from_arrays
from mlnn.data.arrays import infer_targets
from mlnn.data.prepare import moments
from mlnn.errors import ConfigError, DataError
from mlnn.targets import TargetSpace

X = [[1.0, 2.0], [3.0, 4.0], [5.0, 7.0], [0.0, 1.0]]
Y = [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X, Y),
        (np.array(X, dtype=np.float32), np.array(Y, dtype=bool)),
        (np.array(X, dtype=">f8")[::-1][::-1], np.array(Y, dtype=np.uint8)),
        (torch.tensor(X, dtype=torch.bfloat16), torch.tensor(Y, dtype=torch.float16)),
        (torch.tensor(X).int(), torch.tensor(Y)[:, None]),
        (torch.tensor(X, requires_grad=True), [False, True, True, False]),
    ],
)
@pytest.mark.parametrize("targets", ["binary", None, TargetSpace("binary")])
def test_accepted_arrays(x, y, targets):
    data = from_arrays(x, y, targets)
    assert data.x.tolist() == X
    assert data.y.tolist() == Y
    assert data.x.dtype == data.y.dtype == torch.float64
    assert data.targets == TargetSpace("binary")
    assert tuple(data.x_held_out.shape) == (0, 2)
    assert not data.x.requires_grad


def test_one_dimensional_x_is_one_feature():
    assert tuple(from_arrays([1, 2, 3, 4], Y).x.shape) == (4, 1)


def test_arrays_are_copied():
    x, y = np.array(X), np.array(Y, dtype=float)
    data = from_arrays(x, y)
    x[:], y[:] = 9, 9
    assert data.x.tolist() == X
    assert data.y.tolist() == Y


@pytest.mark.parametrize(
    ("y", "space"),
    [
        (torch.tensor([True, False]), "binary"),
        (torch.tensor([0.0, 1.0]), "binary"),
        (torch.tensor([2, 0, 1]), "classes(3)"),
        (torch.tensor([2.0, 0.0, 1.0]), "real"),
        (torch.tensor([0, 1, 3]), "real"),
        (torch.tensor([-1, 1]), "real"),
    ],
)
def test_inferred_space(y, space):
    assert str(infer_targets(y)) == space


def test_classes_are_int64():
    assert from_arrays(X, [0.0, 1.0, 2.0, 1.0], "classes(3)").y.dtype == torch.int64


@pytest.mark.parametrize(
    ("x", "y", "targets", "message"),
    [
        ([[1.0, 2.0], [3.0, float("nan")]], [0, 1], "binary", "data: row 1, column 1 is nan"),
        ([[1.0, 2.0], [3.0, float("-inf")]], [0, 1], "binary", "data: row 1, column 1 is -inf"),
        (X, [0, 1, 2, 0], "binary", r"data: target: row 2 holds 2.0, which is not in the target space 'binary'"),
        (
            X,
            [0, 1, 1.5, 0],
            "classes(3)",
            r"data: target: row 2 holds 1.5, which is not in the target space 'classes\(3\)'",
        ),
        (X, [0, 1, -1, 0], "counts", "row 2 holds -1.0"),
        (X, [0.5, 1, float("nan"), 0], None, "row 2 holds nan"),
        (X, [1, 1, 1, 1], "binary", "all 4 training targets are 1"),
        (X, [0, 1, 1], "binary", r"y must be \(4,\) to match x \(4, 2\), found shape \(3,\)"),
        (X, np.zeros((4, 0)), "real", r"y of shape \(4, 0\) has rows without a position"),
        (X, np.zeros((4, 2)), "real(3)", r"targets of shape \(4, 2\); 'real\(3\)' needs 3 numbers"),
        (np.zeros((0, 2)), [], "real", "no rows or no features"),
        (np.zeros((4, 0)), Y, "binary", "no rows or no features"),
        (3.0, Y, "binary", r"x must be \(rows, features …\), found shape \(\)"),
        ([[1.0, 2.0], [3.0]], [0, 1], "binary", "x is not a rectangular array of numbers"),
        (X, ["no", "yes", "yes", "no"], "binary", "y must hold numbers, found dtype <U3; encode text"),
        (X, [None, 1, 1, 0], "binary", "y must hold numbers, found dtype object"),
        (np.array(X, dtype=complex), Y, "binary", "x must hold numbers, found dtype complex128"),
        (torch.tensor(X, dtype=torch.complex64), Y, "binary", "x must hold real numbers, found dtype torch.complex64"),
    ],
)
def test_refused_arrays(x, y, targets, message):
    with pytest.raises(DataError, match=message):
        from_arrays(x, y, targets)


def test_a_bad_row_keeps_its_number_whatever_the_split():
    x = np.arange(40.0).reshape(20, 2)
    x[13, 1] = np.nan
    for seed in range(5):
        with pytest.raises(DataError, match="row 13, column 1"):
            from_arrays(x, [0, 1] * 10, held_out=0.5, seed=seed)


def test_a_split_that_leaves_one_class():
    with pytest.raises(DataError, match="all 2 training targets are"):
        from_arrays(X, Y, held_out=0.5, seed=next(s for s in range(99) if _one_class(s)))


def _one_class(seed):
    data = from_arrays(X, [0.0, 1.0, 1.0, 0.0], "real", held_out=0.5, seed=seed)
    return len(data.y.unique()) == 1


def test_unknown_target_space():
    with pytest.raises(ConfigError, match=r"unknown target space 'binray'. Did you mean 'binary'"):
        from_arrays(X, Y, "binray")


def test_dataset_checks_feature_names():
    x, y = torch.tensor(X).double(), torch.tensor(Y).double()
    with pytest.raises(DataError, match=r"3 feature names for rows of shape \(2,\)"):
        Dataset("d", x, y, TargetSpace("binary"), x[:0], y[:0], features=("a", "b", "c"))


def test_dataset_checks_held_out_rows():
    x, y = torch.tensor(X).double(), torch.tensor(Y).double()
    with pytest.raises(DataError, match=r"held-out\): row 0, column 'b' is nan"):
        Dataset("d", x, y, TargetSpace("binary"), torch.tensor([[1.0, float("nan")]]), y[:1], features=("a", "b"))
    with pytest.raises(DataError, match=r"held-out\): target: row 0 holds 2.0"):
        Dataset("d", x, y, TargetSpace("binary"), x[:1], torch.tensor([2.0]))


def test_fingerprint_sees_every_change():
    base = from_arrays(X, Y)
    changed = [from_arrays(X, [0, 1, 1, 1]), from_arrays(X, Y, "real"), from_arrays(X, Y, standardize=True)]
    nudged = [[np.nextafter(1.0, 2), 2.0], *X[1:]]
    changed += [from_arrays(nudged, Y), from_arrays(X, Y, held_out=0.25), from_arrays(X[::-1], Y[::-1])]
    assert from_arrays(X, Y).fingerprint() == base.fingerprint()
    assert len({base.fingerprint(), *(data.fingerprint() for data in changed)}) == 1 + len(changed)


WIDE = st.floats(-1e150, 1e150, allow_subnormal=False)


@settings(deadline=None, max_examples=60)
@given(arrays(np.float64, st.tuples(st.integers(2, 9), st.integers(1, 3)), elements=WIDE))
def test_standardised_columns_have_mean_0_and_scale_1(x):
    mean, scale = (part.numpy() for part in moments(torch.from_numpy(x)))
    spread = np.abs(x - x.mean(axis=0)).max(axis=0)
    size = np.abs(x).max(axis=0)
    constant = x.max(axis=0) == x.min(axis=0)
    # Columns whose spread is rounding of their own size say nothing about the formula.
    assume(bool((constant | (spread > 1e-6 * size)).all()))
    z = (x - mean) / scale
    assert np.isfinite(z).all()
    assert (z[:, constant] == 0).all()
    assert (scale[constant] == 1).all()
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(z[:, ~constant].std(axis=0), 1, rtol=1e-9)


def test_too_large_to_standardise():
    with pytest.raises(DataError, match=r"feature \[0\] is too large to standardise"):
        from_arrays([[1.7e308], [1.6e308], [-1.7e308], [1.0]], Y, standardize=True)


def test_constant_column_is_exactly_zero():
    data = from_arrays([[0.1, k] for k in range(10)], [0, 1] * 5, standardize=True)
    assert data.x[:, 0].tolist() == [0.0] * 10
    assert data.standardised == {"mean": [0.1, 4.5], "scale": [1.0, pytest.approx(8.25**0.5)]}


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30))
def test_inferred_space_always_holds_its_targets(labels):
    y = torch.tensor(labels)
    space = infer_targets(y)
    space.check(y)
    assert (space.kind == "binary") == (set(labels) <= {0, 1})
    assert (space.kind == "classes") == (len(set(labels)) > 2 and set(labels) == set(range(max(labels) + 1)))
