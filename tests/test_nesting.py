"""Does one fit lie inside another, and what is said of the two: each rule by itself, on both sides of its bounds."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import nested
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.network.fit import ModelFit
from mlnn.likelihoods import Gamma, NegativeBinomial, Normal, Poisson
from mlnn.seeding import generator

f64 = torch.float64
DRAWS = generator(5, "test")
X = torch.randn(40, 2, generator=DRAWS, dtype=f64)
Y = 0.3 * X[:, 0] + torch.randn(40, generator=DRAWS, dtype=f64)


@cache
def normal(columns: int = 2, sigma: float | None = None) -> Any:
    return mlnn.estimate("normal" if sigma is None else Normal(sigma), (X[:, :columns], Y))


def side(likelihood: Any, free: str | None = None, name: str = "a", **more: Any) -> Any:
    fit = SimpleNamespace(likelihood=type(likelihood).__name__.lower(), **more)
    return SimpleNamespace(name=name, likelihood=likelihood, free=free, fit=fit)


# The two sides.
def test_a_gain_below_zero_is_rounding_up_to_a_billionth_of_the_log_likelihood() -> None:
    small, large = normal(1), normal(2)
    for off, tested in ((1e-10, True), (1e-8, False)):
        found = nested.compare_fits(small, replace(large, llf=small.llf - off * abs(small.llf)))
        assert (found.test is not None) == tested
        assert ("is less likely" in found.sentence) != tested
    found = nested.compare_fits(large, small)
    assert (found.smaller, found.larger, found.llr > 0, found.notes) == ("b", "a", True, ())
    assert found.llr == 2 * (large.llf - small.llf)


def test_fits_alike_are_counted_as_they_are_and_others_with_all_their_numbers() -> None:
    alike, other = nested.compare_fits(normal(1), normal(2)), nested.compare_fits(normal(2, 1.0), normal(2))
    assert (alike.first.parameters, alike.second.parameters) == (2, 3)
    assert (other.first.parameters, other.second.parameters) == (3, 4)
    gamma = nested.compare_fits(normal(1), mlnn.estimate("student_t", (X, Y)))
    assert (gamma.first.parameters, gamma.test) == (3, None)


def model(**changes: Any) -> Any:
    return replace(mlnn.estimate("normal", (X, Y), model=lambda: nn.Linear(2, 1)), **changes)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: 3, "a must be a fit"), (lambda: replace(normal(), separation="quasi"), "a has no finite maximum"),
    (lambda: replace(normal(), rows=None), "a holds no rows"),
    (lambda: replace(normal(), penalty=1.0), "the penalty of a"),
    (normal, None), (lambda: replace(normal(), separation="unknown"), None), (model, None),
    (lambda: model(separation="complete"), "a has no finite maximum"),
])  # fmt: skip
def test_what_is_a_side(make: Any, words: str | None) -> None:
    if words is None:
        assert nested._side("a", make()).size == 4
    else:
        with pytest.raises(ConfigError, match=words):
            nested._side("a", make())


def rows(y: Any, weights: Any = None, kind: str = "normal") -> Any:
    design = SimpleNamespace(
        y=torch.tensor(y, dtype=f64), weights=None if weights is None else torch.tensor(weights, dtype=f64)
    )
    fit = SimpleNamespace(likelihood=kind)
    return SimpleNamespace(fit=fit, rows=SimpleNamespace(design=design, family=family_of(kind)))


@pytest.mark.parametrize(("a", "b", "error", "words"), [
    (rows([1, 2]), rows([1, 2]), None, ""), (rows([1, 2]), rows([1, 2], [1, 1]), None, ""),
    (rows([1, 2]), rows([1]), DataError, "of 2 rows and b of 1"),
    (rows([1, 2]), rows([1, 3]), DataError, "y of row 1 is 2 in a and 3"),
    (rows([1, 2]), rows([1, 2], [1, 3]), DataError, "the weight of row 1 is 1 in a and 3 in b"),
    (rows([1, 2]), rows([1, 2], kind="poisson"), ConfigError, "is of probabilities"),
    (rows([1, 2], kind="poisson"), rows([1, 2], kind="negative_binomial"), None, ""),
])  # fmt: skip
def test_which_rows_are_the_same(a: Any, b: Any, error: Any, words: str) -> None:
    if error is None:
        nested._check_same_rows(a, b)
        assert nested._weights(a.rows.design).tolist() == [1, 1]
    else:
        with pytest.raises(error, match=words):
            nested._check_same_rows(a, b)


# Likelihoods.
@pytest.mark.parametrize(("small", "large", "reason", "boundary"), [
    (side(Poisson()), side(NegativeBinomial(), "theta", "b"), None, True),
    (side(Poisson()), side(NegativeBinomial(), None, "b"), "poisson is not known to be a case of negativebinomial",
    False),
    (side(Normal()), side(NegativeBinomial(), "theta", "b"), "normal is not known", False),
    (side(NegativeBinomial(), "theta"), side(NegativeBinomial(), None, "b"), "a estimates theta, which b was given",
    False),
    (side(NegativeBinomial(2.0)), side(NegativeBinomial(3.0), None, "b"), "other numbers, theta = 2 and theta = 3",
    False),
    (side(NegativeBinomial(2.0)), side(NegativeBinomial(3.0), "theta", "b"), None, False),
    (side(NegativeBinomial(2.0), "theta"), side(NegativeBinomial(3.0), "theta", "b"), None, False),
    (side(NegativeBinomial(2.0)), side(NegativeBinomial(2.0), None, "b"), None, False),
])  # fmt: skip
def test_which_likelihood_is_a_case_of_another(small: Any, large: Any, reason: str | None, boundary: bool) -> None:
    told, at_an_end = nested._of_likelihoods(small, large)
    assert at_an_end == boundary
    assert told is None if reason is None else reason in (told or "")


def fitted(identified: bool) -> ModelFit:
    made = object.__new__(ModelFit)
    vars(made).update(identified=identified, likelihood="its likelihood")
    return made


@pytest.mark.parametrize(("kinds", "sizes", "affine", "told", "claimed", "reason"), [
    ((None, None), (1, 2), (True, True), None, False, None),
    ((None, None), (1, 2), (True, True), "z is outside", False, "not nested: z is outside"),
    ((None, None), (2, 2), (True, True), None, False, "as many"),
    ((None, None), (2, 2), (True, True), None, True, "as many"),
    ((None, False), (1, 2), (True, True), None, False, "b is not identified"),
    ((False, None), (1, 2), (True, True), None, False, "a is not identified"),
    ((None, True), (1, 2), (True, True), None, False, None),
    ((None, True), (1, 2), (True, False), "z is outside", False, "cannot be seen"),
    ((None, True), (1, 2), (False, True), "z is outside", False, "cannot be seen"),
    ((None, True), (1, 2), (True, False), "z is outside", True, None),
])  # fmt: skip
def test_when_one_fit_lies_inside_another(
    kinds: Any,
    sizes: Any,
    affine: Any,
    told: str | None,
    claimed: bool,
    reason: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nested, "_outside", lambda *_: told)
    sides: list[Any] = []
    for name, identified, size, straight in zip("ab", kinds, sizes, affine, strict=True):
        made = side(Poisson() if name == "a" else NegativeBinomial(), None if name == "a" else "theta", name)
        made.fit = made.fit if identified is None else fitted(identified)
        made.size, made.rows = size, SimpleNamespace(affine=lambda straight=straight: straight)
        sides.append(made)
    found = nested._nesting(sides[0], sides[1], claimed)
    assert found.reason is None if reason is None else reason in (found.reason or "")
    assert (found.note is not None) == (reason is None and not all(affine))
    if reason is None:
        assert found.boundary
    sides[1].free = None
    assert "not known" in (nested._nesting(sides[0], sides[1], claimed).reason or "")


# Columns.
def spanned(
    columns: Tensor, offset: Tensor | None = None, features: Any = ("x",), constants: Any = (), name: str = "a"
) -> Any:
    whole = torch.cat([columns, torch.zeros(len(columns), 1) if offset is None else offset[:, None]], 1).double()
    family = SimpleNamespace(constants=constants, labels=("mean", "zeros"))
    design = SimpleNamespace(y=whole[:, 0], features=features)
    names = tuple(f"z{k}" for k in range(columns.shape[1]))
    held = SimpleNamespace(design=design, family=family, columns=lambda rows: whole[rows])
    return SimpleNamespace(name=name, rows=held, fit=SimpleNamespace(names=names))


@pytest.mark.parametrize("chunk", [4, 4096])
def test_what_the_larger_columns_leave(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested, "ROWS", chunk)
    outer, other = X[:12], torch.randn(12, generator=generator(1, "test")).double()
    large = spanned(outer, name="b")
    combined = outer @ torch.tensor([[1.0], [2.0]]).double()
    for column, offset, told in (
        (combined, None, None), (combined + 1e-10 * other[:, None], None, None),
        (combined + 1e-6 * other[:, None], None, "z0"),
        (other[:, None], None, "z0"), (combined, other, "the offset"), (other[:, None], other, "z0, the offset"),
        (combined, outer[:, 0], None),
    ):  # fmt: skip
        found = nested._outside(spanned(column, offset), large)
        assert found == (None if told is None else f"{told} of a is no combination of the columns of b")
    wide = torch.randn(12, 8, generator=generator(2, "test")).double()
    assert (nested._outside(spanned(wide), large) or "").startswith("z0, z1, z2, z3, z4 of a")


def test_a_raw_output_with_a_constant_alone_holds_no_features() -> None:
    large = spanned(X, constants=(1,), name="b")
    assert "zeros of b has a constant alone" in (nested._outside(spanned(X), large) or "")
    for small in (spanned(X, constants=(1,)), spanned(X, features=())):
        assert nested._outside(small, large) is None
    assert nested._outside(spanned(X, constants=(1,)), spanned(X)) is None


# The test.
def outcome(
    kind: str = "unbiased: RSS", other: str | None = None, dispersion: float | None = 2.0, df: int = 2, **how: Any
) -> Any:
    sizes = (3, 3 + df)
    sides = [
        SimpleNamespace(size=size, rows=size,
            fit=SimpleNamespace(dispersion_kind=word, dispersion=dispersion, df_resid=20.0))
        for size, word in zip(sizes, (other or kind, kind), strict=True)
    ]  # fmt: skip
    return nested._test(sides[0], sides[1], **({"llr": 5.0, "boundary": False} | how))  # type: ignore[arg-type]


def test_the_distribution_of_a_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested, "deviance", lambda size: 30.0 - 4 * size)
    found = outcome()
    assert (found.statistic, found.distribution, found.df_resid) == (2.0, "F", 20.0)
    assert found.pvalue == stats.f.sf(2.0, 2, 20.0)
    for plain in (outcome("ml"), outcome(other="ml"), outcome(dispersion=None)):
        assert (plain.statistic, plain.distribution, plain.pvalue) == (5.0, "chi2", stats.chi2.sf(5.0, 2))
    edge = outcome(boundary=True)
    assert edge.pvalue == pytest.approx(0.5 * stats.chi2.sf(5.0, 1) + 0.5 * stats.chi2.sf(5.0, 2))
    assert edge.distribution == "½chi2(1) + ½chi2(2)"
    assert outcome(boundary=True, df=1).pvalue == pytest.approx(0.5 * stats.chi2.sf(5.0, 1))
    assert outcome(boundary=True, df=1, llr=0.0).pvalue == 1.0


# What is said.
def noted(
    name: str, likelihood: str = "normal", free: str | None = "sigma", cov: str = "expected", **family: Any
) -> Any:
    known = {"knows_information": True, "counted": True, "space": family_of(likelihood).space} | family
    jointly = known.pop("jointly", False)
    rows = SimpleNamespace(family=SimpleNamespace(**known))
    return SimpleNamespace(
        name=name, free=free, rows=rows, fit=SimpleNamespace(cov=cov), likelihood=SimpleNamespace(jointly=jointly)
    )


@pytest.mark.parametrize(("a", "b", "alike", "words"), [
    ({}, {}, True, []), ({}, {}, False, []), ({"cov": "HC0"}, {}, True, ["of a are robust"]),
    ({}, {"cov": "HC0"}, True, ["of b are robust"]),
    ({}, {"free": None}, True, ["very density"]), ({"likelihood": "poisson", "free": None}, {}, True, []),
    ({"knows_information": False}, {}, True, []),
    ({"knows_information": False}, {}, False, ["of a is what its nll gives"]),
    ({"knows_information": False, "jointly": True}, {}, False, []), ({"jointly": True}, {}, False, []),
    ({"counted": False}, {}, True, []), ({"counted": False}, {}, False, ["here, which a by itself does not"]),
    ({"likelihood": "poisson", "counted": False, "free": None}, {}, False, []),
])  # fmt: skip
def test_what_is_noted_of_two_fits(a: Any, b: Any, alike: bool, words: list[str]) -> None:
    found = list(nested._notes((noted("a", **a), noted("b", **b)), alike))
    assert len(found) == len(words)
    assert all(word in note for word, note in zip(words, found, strict=True))


def test_numbers_that_are_estimated_are_counted_once() -> None:
    for likelihood, size in (("normal", 4), ("gamma", 4), (Gamma(2.0), 3), ("negative_binomial", 4), ("poisson", 3)):
        fit = mlnn.estimate(likelihood, (X, Y.exp().ceil()))
        assert nested._side("a", fit).size == size
