"""What an estimate is handed is read as it was meant, or refused in a line or two: arrays, settings, models."""

import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from estimation_cases import COUNTS, X, Y
from torch import Tensor, nn

import mlnn
from mlnn.errors import ConfigError, DataError, MlnnError
from mlnn.estimating import fit_model
from mlnn.objectives import Bernoulli

LINE = partial(nn.Linear, 3, 1)


def hidden(row: int, column: int) -> np.ma.MaskedArray:
    mask = np.zeros(X.shape, dtype=bool)
    mask[row, column] = mask[-1, 0] = True
    return np.ma.MaskedArray(X, mask)


def nullable(row: int) -> pd.DataFrame:
    table = pd.DataFrame(X, columns=list("abc")).astype("Float64")
    table.loc[row, "b"] = pd.NA
    return table


def quantized() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to drop them
        return torch.quantize_per_tensor(torch.ones(200, 3), 0.1, 0, torch.qint8)


ARRAYS: dict[str, tuple[Callable[[], Any], str]] = {
    "masked": (lambda: (hidden(4, 2), Y), "x: row 4, column 2 is masked"),
    "masked target": (lambda: (X, np.ma.masked_greater(COUNTS, 3)), "y: row 4 is masked"),
    "masked rows in a list": (
        lambda: ([*X[:5], np.ma.masked_less(X[5], 9), *X[6:]], Y),
        "x: row 5, column 0 is masked",
    ),
    "a masked entry in a list": (lambda: (X, [*Y[:-1], np.ma.masked]), "y: row 199 is masked"),
    "complex": (lambda: (X + 0j, Y), "x must hold numbers, found dtype complex128"),
    "complex tensor": (lambda: (torch.from_numpy(X) + 0j, Y), "x must be rows of real numbers, found torch.complex128"),
    "complex target": (lambda: (X, Y + 0j), "y must hold numbers"),
    "sparse": (lambda: (torch.from_numpy(X).to_sparse(), Y), "x.to_dense()"),
    "sparse target": (lambda: (X, torch.from_numpy(Y).to_sparse()), "y.to_dense()"),
    "scipy's": (lambda: (scipy.sparse.csr_matrix(X), Y), "x.toarray()"),
    "meta": (lambda: (torch.empty(200, 3, device="meta"), Y), "x is a tensor on the meta device"),
    "quantized": (lambda: (quantized(), Y), "x.dequantize()"),
    "missing": (lambda: (nullable(7), Y), "row 7, column 'b' is nan"),
    "missing target": (lambda: (X, pd.Series([pd.NA, *Y[1:]], dtype="Int64")), "row 0 holds nan"),
    "dates": (lambda: (X, pd.Series(pd.date_range("2020-01-01", periods=200))), "y must hold numbers"),
    "records": (lambda: (np.zeros(200, dtype=[("a", float)]), Y), "x must hold numbers"),
    "objects": (lambda: (X, [None, *Y[1:]]), "y must hold numbers, and row 0 is missing"),
    "one number": (lambda: (np.float64(3), Y), "x must be rows of real numbers"),
    "ragged": (lambda: ([[1.0], [1.0, 2.0]], Y[:2]), "not a rectangular array"),
    "four dimensions": (lambda: (torch.ones(200, 1, 3, 3), Y), "x: found shape (200, 1, 3, 3)"),
    "three parts": (lambda: (X, Y, Y), "found tuple of 3"),
    "a loader": (lambda: torch.utils.data.DataLoader([1]), "found DataLoader"),  # type: ignore[arg-type]
    "a tensor data set": (lambda: torch.utils.data.TensorDataset(torch.ones(3)), "found TensorDataset"),
}


@pytest.mark.parametrize("case", ARRAYS)
@pytest.mark.parametrize("model", [None, LINE], ids=["linear", "model"])
def test_arrays_that_would_be_misread_are_refused(case: str, model: Any) -> None:
    if case == "four dimensions" and model:
        pytest.skip("a model reads x in its own shape")
    given, words = ARRAYS[case]
    with pytest.raises((ConfigError, DataError)) as caught:
        mlnn.estimate("bernoulli", given(), **({"model": model} if model else {}))
    assert words in str(caught.value).replace("'x1'", "'b'")
    assert len(str(caught.value).splitlines()) <= 3


def test_nested_tensors_are_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once per process that they are a prototype
        nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    with pytest.raises(DataError, match="nested tensor"):
        mlnn.estimate("bernoulli", (nested, Y[:2]))


WIDE = np.array([2**63 + 2**62, 2**63, 7, 2**64 - 2**12] * 50, dtype=np.uint64)


@pytest.mark.parametrize(
    "given",
    [
        lambda: WIDE,
        lambda: torch.from_numpy(WIDE.copy()),
        lambda: pd.Series(WIDE),
        lambda: np.ma.MaskedArray(WIDE, False),
        lambda: WIDE.astype(">u8"),
        lambda: WIDE.astype(np.longdouble),
    ],
)
def test_large_unsigned_numbers_are_read_right(given: Callable[[], Any]) -> None:
    found = mlnn.estimate("normal", (X, given()))
    expected = mlnn.estimate("normal", (X, [float(value) for value in WIDE]))
    np.testing.assert_array_equal(found.params, expected.params)
    assert found.params[-1] > 2**62


def test_a_mask_that_hides_nothing_hides_nothing() -> None:
    found = mlnn.estimate("bernoulli", (np.ma.MaskedArray(X, np.zeros(X.shape, dtype=bool)), Y))
    np.testing.assert_array_equal(found.params, mlnn.estimate("bernoulli", (X, Y)).params)


@pytest.mark.parametrize(
    "given",
    [
        {"seed": 1.5},
        {"seed": True},
        {"seed": "0"},
        {"seed": None},
        {"starts": "3"},
        {"starts": 2.5},
        {"starts": True},
        {"starts": 0},
        {"starts": -1},
        {"starts": None},
        {"max_iter": 3.5},
        {"intercept": "no"},
        {"intercept": None},
        {"intercept": 1},
    ],
    ids=str,
)
def test_settings_are_whole_numbers_and_yes_or_no(given: dict[str, Any]) -> None:
    (key,) = given
    for more in ({}, {"model": LINE}) if key != "intercept" else ({},):
        with pytest.raises(ConfigError, match=key):
            mlnn.estimate("bernoulli", (X, Y), **given, **more)
    if key in ("seed", "starts"):
        x, y = torch.from_numpy(X), torch.from_numpy(Y)
        with pytest.raises(ConfigError, match=key):
            fit_model(Bernoulli(), nn.Linear(3, 1).double(), x, y, **given)


def test_a_numpy_number_is_a_number() -> None:
    found = [
        mlnn.estimate("bernoulli", (X, Y), model=LINE, starts=n, seed=s)
        for n, s in ((2, 3), (np.int8(2), np.uint64(3)))
    ]
    np.testing.assert_array_equal(found[0].params, found[1].params)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (Y + 1j, "weights must hold numbers"),
        (torch.ones(200) * 1j, "weights must be rows of real numbers"),
        (np.ones(199), "one per row"),
        (np.ones((200, 1)), "one per row"),
        ("heavy", "weights must hold numbers"),
        (np.ma.masked_less(np.arange(200), 3), "weights: row 0 is masked"),
        (1.0, "weights must be rows"),
        (np.full(200, np.nan), "row 0 holds nan"),
    ],
)
def test_weights_are_one_real_number_per_row(weights: Any, words: str) -> None:
    for more in ({}, {"model": LINE}):
        with pytest.raises(DataError) as caught:
            mlnn.estimate("bernoulli", (X, Y), weights=weights, **more)
        assert words in str(caught.value)


def of(function: Callable[[nn.Module, Tensor], Any]) -> Callable[[], nn.Module]:
    """A factory of a linear model whose forward pass is `function`."""

    class Mine(nn.Linear):
        def forward(self, x: Tensor) -> Any:
            return function(self, x)

    return lambda: Mine(3, 1)


def line(module: nn.Module, x: Tensor) -> Tensor:
    return nn.functional.linear(x, module.weight, module.bias)  # type: ignore[arg-type]


class Locked(nn.Linear):
    """Holds what cannot be copied."""

    def __init__(self) -> None:
        super().__init__(3, 1)
        self.lock = threading.Lock()


class Complex(nn.Module):
    """Its weights are complex."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(3, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.w.real)[:, None]


def fails() -> nn.Module:
    raise ValueError("no such file: weights.pt\nand a second line")


def frozen() -> nn.Module:
    return nn.Linear(3, 1).requires_grad_(False)


MODELS: dict[str, tuple[Any, str]] = {
    "a module": (nn.Linear(3, 1), "give a factory"),
    "a number": (3, "give a factory"),
    "text": ("mlp", "give a factory"),
    "makes no module": (lambda: 3, "made a int"),
    "makes nothing": (lambda: None, "made a NoneType"),
    "a class that wants sizes": (nn.Linear, "the factory raised TypeError"),
    "raises": (fails, "the factory raised ValueError: no such file: weights.pt"),
    "lazy": (lambda: nn.LazyLinear(1), "has no shape yet (a lazy layer)"),
    "complex": (Complex, "w is complex"),
    "on the meta device": (lambda: nn.Linear(3, 1, device="meta"), "on the meta device"),
    "cannot be copied": (Locked, "copying it (copy.deepcopy) raised TypeError"),
    "no weights": (nn.Identity, "must have weights"),
    "all frozen": (frozen, "must have weights"),
    "returns a tuple": (of(lambda m, x: (line(m, x), x)), "gave a tuple, not a tensor"),
    "returns a dict": (of(lambda m, x: {"logits": line(m, x)}), "gave a dict, not a tensor"),
    "returns nothing": (of(lambda _m, _x: None), "gave a NoneType, not a tensor"),
    "returns a float": (of(lambda _m, _x: 3.0), "gave a float, not a tensor"),
    "complex outputs": (of(lambda m, x: line(m, x) + 0j), "gave torch.complex128"),
    "whole numbers": (of(lambda m, x: line(m, x).long()), "gave torch.int64"),
    "two outputs": (partial(nn.Linear, 3, 2), "raw outputs (200, 2); bernoulli reads (200,) or (200, 1)"),
    "one output in all": (of(lambda m, x: line(m, x).sum()), "raw outputs ()"),
    "other rows": (of(lambda m, x: line(m, x)[1:]), "raw outputs (199, 1)"),
    "other columns": (partial(nn.Linear, 5, 1), "called on x (200, 3) it raised RuntimeError"),
    "chance": (of(lambda m, x: line(m, x) + torch.rand(1)), "other outputs for the same rows"),
    "a way out of torch": (of(lambda m, x: torch.tensor(line(m, x).detach().numpy())), "taking its derivatives raised"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models_that_cannot_be_estimated_are_told_in_a_line_or_two(case: str) -> None:
    factory, words = MODELS[case]
    with pytest.raises(MlnnError) as caught:
        mlnn.estimate("bernoulli", (X, Y), model=factory, starts=1)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_frozen_weight_stays_as_it_is() -> None:
    def factory() -> nn.Module:
        module = nn.Linear(3, 1)
        module.bias.requires_grad_(False).fill_(0.0)
        return module

    found = mlnn.estimate("bernoulli", (X, Y), model=factory, starts=1)
    without = mlnn.estimate("bernoulli", (X, Y), intercept=False)
    assert found.names == ("weight[0,0]", "weight[0,1]", "weight[0,2]")
    assert found.params == pytest.approx(without.params, rel=1e-8)


def test_a_model_that_works_on_its_input_in_place_leaves_the_caller_s_rows() -> None:
    before, x = X.copy(), X.copy()
    found = mlnn.estimate("bernoulli", (x, Y), model=of(lambda m, rows: line(m, rows.mul_(2.0))), starts=1)
    np.testing.assert_array_equal(x, before)
    assert found.params[:3] * 2 == pytest.approx(mlnn.estimate("bernoulli", (X, Y)).params[:3], rel=1e-8)


@pytest.mark.parametrize("shape", [(200, 3), (200, 1, 3), (200, 3, 1, 1)])
def test_a_model_gets_x_in_its_own_shape(shape: tuple[int, ...]) -> None:
    seen: list[tuple[int, ...]] = []

    def forward(module: nn.Module, x: Tensor) -> Tensor:
        seen.append(tuple(x.shape[1:]))
        return line(module, x.reshape(-1, 3))

    found = mlnn.estimate("bernoulli", (X.reshape(shape), Y), model=of(forward), starts=1)
    assert set(seen) == {shape[1:]}
    assert found.params == pytest.approx(mlnn.estimate("bernoulli", (X, Y)).params, rel=1e-8)
