"""Arrays with names: an entry by its name, and in all else an array."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from estimation_cases import literature
from fit_cases import COUNTS, X

import mlnn
from mlnn.errors import ConfigError
from mlnn.estimating.named import Named, coefficients, named

VALUES = np.array([3.0, 1.0, 2.0])
ONE = coefficients(VALUES, ("x0", "x1", "const"), ("",))
CUBE = named(np.arange(12.0).reshape(3, 2, 2), (("x0", "x1", "const"), ("y=1", "y=2"), ("lower", "upper")))


def test_an_entry_is_found_by_its_name_on_the_first_axis_that_has_it() -> None:
    assert ONE["x1"] == ONE[1] == 1.0
    assert CUBE["x1"].tolist() == [[4.0, 5.0], [6.0, 7.0]]
    assert CUBE["y=2"].tolist() == [[2.0, 3.0], [6.0, 7.0], [10.0, 11.0]]
    assert CUBE["upper"].shape == (3, 2)
    assert CUBE["x1", "y=2", "lower"] == 6.0
    assert CUBE["x1", 0].tolist() == [4.0, 5.0]
    assert ONE[["const", "x0"]].tolist() == [2.0, 3.0]
    assert CUBE[["x1"], "y=2"].tolist() == [[6.0, 7.0]]
    assert CUBE[["y=2", "y=1"]].shape == (3, 2, 2)
    assert ONE[[2, 0]].tolist() == [2.0, 3.0]
    assert CUBE[1, "y=2"].tolist() == [6.0, 7.0]
    assert CUBE[..., 0].shape == (3, 2)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: ONE["const "], "unknown name 'const '. Did you mean 'const'"),
        (lambda: ONE[["x0", "y"]], "unknown name 'y'"),
        (lambda: CUBE["x1", "lower"], "unknown name 'lower'"),
        (lambda: ONE["x0", "y"], "unknown name 'y'"),
        (lambda: (ONE + 1).view(Named)["x0"], "unknown name 'x0'"),
    ],
)
def test_a_name_that_there_is_not_is_refused(ask: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        ask()


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a + 1, lambda a: 2 * a, lambda a: a[:2], lambda a: a[a > 1], np.sort, np.abs, lambda a: np.stack([a, a]),
        lambda a: np.concatenate([a, [1.0]]), lambda a: np.where(a > 1, a, 0), lambda a: a @ np.eye(3), lambda a: -a,
        lambda a: np.linalg.norm(np.outer(a, a), axis=0), lambda a: np.einsum("i,j->ij", a, a),
    ],
)  # fmt: skip
def test_whatever_is_computed_is_a_plain_array(make: Any) -> None:
    found = make(ONE)
    assert type(found) is np.ndarray
    assert np.array_equal(found, make(VALUES))


def test_views_of_another_shape_have_no_names() -> None:
    for view in (ONE.reshape(3, 1), ONE.T, ONE.astype(np.float32), ONE.ravel()):
        assert getattr(view, "labels", ()) == ()
        assert repr(view) == repr(np.asarray(view))
    own = ONE.copy()
    own.sort()
    assert (own.labels, own.tolist()) == ((), [1.0, 2.0, 3.0])
    assert named(VALUES, (("a", "b"),)).labels == ()


def test_in_place_arithmetic_writes_and_scalars_are_scalars() -> None:
    own = ONE.copy()
    own += 1
    assert own.tolist() == [4.0, 2.0, 3.0]
    assert isinstance(ONE.sum(), float)
    assert ONE.mean() == 2.0
    assert ONE.dot(ONE) == 14.0
    assert list(ONE) == [3.0, 1.0, 2.0]
    assert f"{ONE[0]:.2f}" == "3.00"
    assert bool((ONE == VALUES).all())


def test_copies_and_pickles_keep_the_names() -> None:
    for again in (ONE.copy(), copy.copy(ONE), copy.deepcopy(ONE), pickle.loads(pickle.dumps(ONE))):
        assert again.labels == ONE.labels
        assert again["x0"] == 3.0
        again[0] = 9.0
    assert ONE["x0"] == 3.0


def test_torch_and_pandas_read_them() -> None:
    assert torch.as_tensor(ONE).tolist() == [3.0, 1.0, 2.0]
    assert ONE.to_series().to_dict() == {"x0": 3.0, "x1": 1.0, "const": 2.0}
    assert CUBE.to_frame().loc[("x1", "y=2"), "lower"] == 6.0
    assert CUBE.to_series()["const", "y=1", "upper"] == 9.0
    assert ONE.to_frame().shape == (3, 1)


def test_names_are_shown_and_cannot_act() -> None:
    assert repr(ONE).split() == ["x0", "3", "x1", "1", "const", "2"]
    assert str(ONE) == repr(ONE)
    head, *rows = repr(CUBE).splitlines()
    assert head.split() == ["lower", "upper"]
    assert rows[3].split() == ["x1", "·", "y=2", "6", "7"]
    evil = coefficients(np.ones(1), ("<script>\x1b[2J",), ("",))
    assert "<script>" not in str(evil._repr_html_())
    assert "\x1b" not in repr(evil)
    assert "… and 40 more" in repr(coefficients(np.ones(100), tuple(map(str, range(100))), ("",)))


def test_a_fit_has_names_for_all_its_numbers() -> None:
    found = mlnn.estimate("bernoulli", literature("spector"))
    low, high = found.conf_int()["GPA"]
    assert low < found.params["GPA"] < high
    assert found.conf_int()["GPA", "upper"] == high
    assert found.bse["TUCE"] == found.bse[1]
    assert found.tvalues["PSI"] == found.params["PSI"] / found.bse["PSI"]
    assert 0 < found.pvalues["PSI"] < 1
    assert found.cov_params()["GPA", "GPA"] == pytest.approx(found.bse["GPA"] ** 2, rel=1e-12)
    several = mlnn.estimate("categorical", literature("anes96"))
    assert several.params["age"].shape == (6,)
    assert several.params["age", "y=2"] == several.params["y=2"][several.names.index("age")]
    assert several.cov_params()["y=2: age", "y=2: age"] == pytest.approx(several.bse["age", "y=2"] ** 2, rel=1e-12)


def test_a_models_fit_has_them_too() -> None:
    found = mlnn.estimate("poisson", (X, COUNTS), model=lambda: torch.nn.Linear(3, 1))
    low, high = found.conf_int()["weight[0,1]"]
    assert low < found.params["weight[0,1]"] < high
    assert found.cov_params()["bias[0]", "bias[0]"] == pytest.approx(found.bse["bias[0]"] ** 2, rel=1e-12)


def test_a_summary_prints_as_text_and_is_a_table_in_a_notebook() -> None:
    for found in (
        mlnn.estimate("bernoulli", literature("spector")),
        mlnn.estimate("bernoulli", literature("spector"), model=lambda: torch.nn.Linear(3, 1)),
        mlnn.estimate("bernoulli", ([[-1.0], [1.0]], [0.0, 1.0])),
    ):
        told = found.summary()
        assert isinstance(told, str)
        assert repr(told) == str(told)
        page = str(told._repr_html_())
        assert page.count("<table>") >= 1
        assert pickle.loads(pickle.dumps(told)).html == page
        assert "—" not in told
    assert page.count("<td>") > 5
    several = mlnn.estimate("categorical", literature("anes96")).summary()
    assert several.html.count("<th>") == 7
    assert several.html.count("y=3: ") == 6
