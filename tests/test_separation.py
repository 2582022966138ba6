"""Does the MLE exist? Against data whose answer is known, is built in, or follows from another argument."""

import numpy as np
import pytest
import scipy
import sklearn.datasets
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.linear.class_limit import class_limit
from mlnn.estimating.linear.cone import cone_of, moved, null_space
from mlnn.estimating.linear.separation import (
    WORKING,
    Separation,
    _objection,
    find_separation,
    overlap_is_certain,
    separation_beside_rank,
)
from mlnn.targets import TargetSpace

BINARY, COUNTS = TargetSpace("binary"), TargetSpace("counts")


def find(x: object, y: object, space: TargetSpace = BINARY, intercept: bool = True) -> Separation:
    return find_separation(torch.tensor(np.array(x, float)), torch.tensor(np.array(y)), space, intercept)


def assert_separates(found: Separation, x: np.ndarray, y: np.ndarray) -> None:
    """The direction of binary rows gains on every row outside the overlap and moves none in it."""
    assert found.direction is not None
    z = np.c_[x, np.ones(len(x))][:, : len(found.direction)]
    direction = found.direction.numpy()
    margin, rounding = (2 * y - 1) * (z @ direction), 1e-13 * (np.abs(z) @ np.abs(direction)).max()
    kept = found.overlap.numpy()
    assert (margin[~kept] > 0).all()
    assert np.abs(margin[kept]).max(initial=0) <= rounding
    assert found.direction.abs().max() == 1
    assert (found.kind == "quasi") == kept.any()
    assert not kept.all()


def bundled(name: str) -> tuple[np.ndarray, np.ndarray]:
    return getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("name", "classes"), [("wine", 3), ("digits", 10), ("iris", 3)])
def test_bundled_classes_are_separable_as_published(name: str, classes: int) -> None:
    x, y = bundled(name)
    found = find(x, y, TargetSpace("classes", classes))
    assert found.kind == ("quasi" if name == "iris" else "complete")
    assert found.direction is not None
    assert found.direction.shape == (x.shape[1] + 1, classes)
    score = np.c_[x, np.ones(len(x))] @ found.direction.numpy()
    lead = score[np.arange(len(y)), y] - np.where(np.eye(classes, dtype=bool)[y], -np.inf, score).max(1)
    assert (lead[~found.overlap.numpy()] > 0).all()
    # setosa stands apart, the other two overlap
    assert found.overlap.tolist() == ([False] * 50 + [True] * 100 if name == "iris" else [False] * len(y))


def test_breast_cancer_is_separable_in_all_its_features_only() -> None:
    x, y = bundled("breast_cancer")
    found = find(x, y)
    assert found.kind == "complete"
    assert_separates(found, x, y)
    assert find(x[:, :10], y).kind == "none"
    assert find((x - x.mean(0)) / x.std(0), y, intercept=False).kind == "none"


def test_iris_classes_1_and_2_and_spector_overlap() -> None:
    import statsmodels.api as sm

    x, y = bundled("iris")
    assert find(x[y > 0], y[y > 0] - 1).kind == "none"
    spector = sm.datasets.spector.load_pandas()
    for intercept in (True, False):
        found = find(spector.exog, spector.endog, intercept=intercept)
        assert (found.kind, found.direction, found.infinite) == ("none", None, None)
        assert found.overlap.all()


def test_two_points_are_separated_and_only_the_slope_is_known_to_run_away() -> None:
    for intercept, infinite in ((False, [1]), (True, [1, 0])):
        found = find([[-1.0], [1.0]], [0, 1], intercept=intercept)
        assert found.kind == "complete"
        assert found.infinite is not None
        assert found.infinite.tolist() == infinite
    assert find([[-1.0], [1.0], [0.0], [0.0]], [0, 1, 0, 1]).overlap.tolist() == [False, False, True, True]


def test_a_dummy_that_is_1_only_where_y_is_1_runs_away_alone() -> None:
    rng = np.random.default_rng(0)
    x = np.c_[rng.normal(size=60), np.arange(60) < 12]
    y = np.where(x[:, 1] > 0, 1, np.arange(60) % 2)
    for scale in ([1, 1], [1e-7, 1e9]):
        found = find(x * scale, y)
        assert found.infinite is not None
        assert (found.kind, found.infinite.tolist()) == ("quasi", [0, 1, 0])
        assert found.overlap.tolist() == (x[:, 1] == 0).tolist()
        assert_separates(found, x * scale, y)
    found = find(x, 1 - y)  # the other way round
    assert found.infinite is not None
    assert found.infinite.tolist() == [0, -1, 0]
    y[3] = 0  # one row against it, and nothing runs away
    assert find(x, y).kind == "none"


def test_coefficients_that_are_not_told_apart_have_no_sign() -> None:
    dummy = np.arange(20) < 5
    y = np.where(dummy, 1, np.arange(20) % 2)
    found = find(np.c_[dummy, dummy, np.arange(20) % 3], y)
    assert found.infinite is not None
    assert (found.kind, found.infinite.tolist()) == ("quasi", [0, 0, 0, 0])


def test_a_null_direction_of_x_is_no_separation() -> None:
    x, y = np.arange(12.0)[:, None], np.arange(12) % 2
    for columns in (np.c_[x, 2 * x], np.c_[x, np.ones(12)], np.c_[x, np.zeros(12)], np.c_[x, x * 1e8 + 1]):
        assert find(columns, y).kind == "none"
        assert find(columns, (x[:, 0] > 4).astype(int)).kind == "complete"
    assert find(np.zeros((12, 1)), y, intercept=False).kind == "none"
    # Less their means, these columns are proportional up to the digits that taking the means off costs.
    x = np.array([[1.0003029398680033e07, 10000.352474208110], [1.0002608791892746e07, 10000.403757526690]])
    assert find(np.r_[x, [[1.0002398488499101e07, 10000.429399185979]]], [5, 1, 0], COUNTS).kind == "none"


def test_one_class_runs_away_with_an_intercept_and_not_around_the_origin() -> None:
    x = [[-1.0], [0.5], [1.0]]
    found = find(x, [1, 1, 1])
    assert found.infinite is not None
    assert (found.kind, found.infinite.tolist()) == ("complete", [0, 1])
    assert find(x, [1, 1, 1], intercept=False).kind == "none"
    assert find(x, [2, 2, 2], TargetSpace("classes", 3)).kind == "complete"
    missing = find([[0.0], [0.0], [1.0], [1.0]], [0, 1, 0, 1], TargetSpace("classes", 3))
    assert missing.infinite is not None
    assert missing.kind == "quasi"
    assert missing.infinite[1].tolist() == [0, 0, -1]
    assert missing.overlap.all(), "every row still has a finite margin, to the class that is there"


def test_poisson_with_a_group_of_zeros_is_quasi_separated() -> None:
    group = np.repeat([0, 1, 2], 4)
    x, y = np.c_[group == 1, group == 2], np.array([3, 0, 2, 1, 0, 0, 0, 0, 5, 0, 2, 2])
    found = find(x, y, COUNTS)
    assert found.infinite is not None
    assert (found.kind, found.infinite.tolist()) == ("quasi", [-1, 0, 0])
    assert found.overlap.tolist() == (group != 1).tolist()
    y[4] = 1
    assert find(x, y, COUNTS).kind == "none"
    assert find(x, 0 * y, COUNTS).kind == "complete"


@pytest.mark.parametrize("kind", ["real", "positive", "unit"])
def test_rows_that_are_best_at_a_finite_output_are_never_separated(kind: str) -> None:
    found = find([[-1.0], [1.0]], [0.25, 0.75], TargetSpace(kind))
    assert (found.kind, found.overlap.tolist()) == ("none", [True, True])
    assert find([[-1.0], [1.0]], [0.0, 1.0], TargetSpace("unit")).kind == "complete"


def test_a_gap_is_found_at_any_place_and_scale_and_a_touch_is_not_a_gap() -> None:
    x = np.r_[np.linspace(0, 1, 20), np.linspace(1, 2, 20)]
    y = np.repeat([0, 1], 20)
    for place, scale in ((0, 1), (1e6, 1), (0, 1e-9), (-3, 1e12)):
        for gap, kind in ((1e-6, "complete"), (0, "quasi"), (-1e-6, "none")):
            moved = (np.where(y == 1, x + gap, x) + place) * scale
            assert find(moved[:, None], y).kind == kind, (place, scale, gap)


def test_an_overlap_by_rounding_is_refused_and_never_called_separation() -> None:
    x, y = np.r_[np.linspace(0, 1, 20), np.linspace(1, 2, 20)], np.repeat([0, 1], 20)
    for overlap in (1e-6, 1e-7, 1e-8):
        assert find((x - overlap * y)[:, None], y).kind == "none"
    for overlap in (1e-11, 1e-12):
        with pytest.raises(DataError, match="too near to tell"):
            find((x - overlap * y)[:, None], y)


def test_repeated_rows_change_nothing() -> None:
    x = np.c_[np.arange(15) % 4, np.arange(15) > 10].astype(float)
    y = np.where(x[:, 1] > 0, 1, np.arange(15) % 2)
    once, often = find(x, y), find(np.tile(x, (7, 1)), np.tile(y, 7))
    assert once.kind == often.kind == "quasi"
    assert often.overlap.tolist() == once.overlap.tolist() * 7


tables = st.integers(3, 25).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=n, max_size=n),
        st.lists(st.integers(0, 1), min_size=n, max_size=n),
        st.tuples(*[st.sampled_from([1e-6, 0.3, 1.0, 1e7])] * 3),
        st.sampled_from([0.0, 1.0, -1000.0]),
    )
)
Table = tuple[list[tuple[int, int, int]], list[int], tuple[float, float, float], float]


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(tables)
def test_rows_that_are_there_with_both_labels_are_never_called_separable(table: Table) -> None:
    rows, _, scale, place = table
    x = (np.array(rows) + place) * scale
    for space, labels in ((BINARY, (0, 1)), (COUNTS, (0, 2)), (TargetSpace("classes", 3), (0, 1, 2))):
        y = np.repeat(labels, len(x))
        assert find(np.tile(x, (len(labels), 1)), y, space).kind == "none"


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(tables, st.tuples(*[st.integers(-3, 3)] * 4).filter(any))
def test_rows_labelled_by_a_plane_are_always_called_separable(table: Table, plane: tuple[int, ...]) -> None:
    rows, tied, scale, place = table
    side = np.c_[np.array(rows), np.ones(len(rows))] @ np.array(plane)
    y = np.where(side == 0, tied, side > 0)
    x = (np.array(rows) + place) * scale
    found = find(x, y)
    if (side == 0).all():
        return  # the plane holds every row and says nothing
    assert found.kind != "none"
    assert found.kind == "complete" or not (side != 0).all()
    assert_separates(found, x, y)


@pytest.mark.slow
def test_random_overlapping_rows_agree_with_a_fit_by_another_program() -> None:
    import statsmodels.api as sm

    rng, seen = np.random.default_rng(2), 0
    for _ in range(100):
        x = rng.normal(size=(30, 3))
        y = (rng.random(30) < 1 / (1 + np.exp(-1.5 * x[:, 0]))).astype(int)
        fit = sm.GLM(y, sm.add_constant(x), family=sm.families.Binomial()).fit(maxiter=25)
        p = fit.mu
        score = np.abs(sm.add_constant(x).T @ (y - p)).max()
        if (
            score < 1e-8 and np.minimum(p, 1 - p).min() > 1e-4
        ):  # a gradient of zero at moderate probabilities: a finite MLE
            seen += 1
            assert find(x, y).kind == "none"
    assert seen >= 80


def scaled_gradient(x: np.ndarray, y: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    p = 1 / (1 + np.exp(-(x @ b)))
    g = x.T @ (p - y)
    return float(np.sqrt(g @ np.linalg.solve(x.T @ x, g))), float(np.where(y == 1, 1 - p, p).min())


def test_a_small_gradient_proves_overlap_and_no_separated_rows_can_have_one() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 3))
    y = (rng.random(200) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    b = np.zeros(3)
    assert not overlap_is_certain(*scaled_gradient(x, y, b)), "far from the maximum nothing is proved"
    for _ in range(20):
        p = 1 / (1 + np.exp(-(x @ b)))
        b -= np.linalg.solve((x.T * (p * (1 - p))) @ x, x.T @ (p - y))
    assert overlap_is_certain(*scaled_gradient(x, y, b))
    y = (x[:, 0] > 0).astype(int)
    for length in np.linspace(0, 40, 200):
        for b in (np.array([length, 0, 0]), rng.normal(size=3) * length):
            gradient, wrong = scaled_gradient(x, y, b)
            assert gradient >= wrong * (1 - 1e-9), "the bound itself"
            assert not overlap_is_certain(gradient, wrong)


def test_no_proof_is_taken_from_numbers_that_are_rounding_or_nan() -> None:
    assert overlap_is_certain(1e-9, 1e-3)
    for numbers in ((1e-12, 1e-9), (float("nan"), 0.1), (0.0, float("nan")), (0.06, 0.1), (0.0, 0.0)):
        assert not overlap_is_certain(*numbers)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (torch.ones(3), torch.ones(3), r"x must be \(n, d\)"),
        (torch.ones(3, 1), torch.ones(3, 1), r"y \(n,\)"),
        (torch.ones(3, 1), torch.tensor([0.0, 1.0, 2.0]), "row 2 holds 2.0"),
        (torch.tensor([[1.0], [float("nan")]]), torch.tensor([0.0, 1.0]), "NaN or infinity"),
    ],
)
def test_data_that_do_not_fit_are_refused(x: Tensor, y: Tensor, words: str) -> None:
    with pytest.raises(DataError, match=words):
        find_separation(x, y, BINARY, True)


CLASSES = TargetSpace("classes", 3)


def test_coefficients_of_classes_that_no_direction_moves_are_determined_and_have_their_closed_form() -> None:
    cells = np.array([[9, 10, 11], [19, 11, 0], [5, 13, 12]])  # group by class, one of them empty
    group, y = (np.repeat(part.ravel(), cells.ravel()) for part in np.indices(cells.shape))
    x = torch.tensor(np.c_[group == 1, group == 2], dtype=torch.float64)
    found = find_separation(x, torch.tensor(y), CLASSES, True)
    assert found.determined is not None
    assert found.infinite is not None
    assert found.determined.tolist() == [[True, True, False], [True, True, True], [True, True, True]]
    assert found.infinite[0].tolist() == [0, 0, -1]
    assert torch.equal(found.behind.nonzero()[:, 1].unique(), torch.tensor([2]))
    assert found.behind[:, 2].tolist() == (group == 1).tolist()
    limit, llf = class_limit(x, torch.tensor(y), True, found)
    odds = np.log(cells[:, 1:].clip(1) / cells[:, :1])
    wanted = np.c_[odds[1] - odds[0], odds[2] - odds[0], odds[0]].T
    wanted[0, 1] = -np.inf
    assert limit.numpy() == pytest.approx(wanted, abs=1e-10)
    share = cells / cells.sum(1, keepdims=True)
    assert llf == pytest.approx((cells[cells > 0] * np.log(share[cells > 0])).sum(), rel=1e-12)
    counts, distinct = torch.tensor(cells.ravel()), torch.tensor(np.unique(np.c_[group, y], axis=0))
    few = torch.stack([distinct[:, 0] == 1, distinct[:, 0] == 2], dim=1).double()
    again = class_limit(
        few, distinct[:, 1], True, find_separation(few, distinct[:, 1], CLASSES, True), counts[counts > 0]
    )
    assert again[0].numpy() == pytest.approx(limit.numpy(), abs=1e-9)
    assert again[1] == pytest.approx(llf, rel=1e-12)


def test_two_classes_and_a_binary_target_have_one_limit() -> None:
    from mlnn.estimating import estimate

    rng = np.random.default_rng(0)
    x = np.c_[rng.normal(size=60), np.arange(60) < 12]
    y = np.where(x[:, 1] > 0, 1, np.arange(60) % 2)
    binary, classes = find(x, y), find(x, y, TargetSpace("classes", 2))
    assert binary.determined is not None
    assert classes.determined is not None
    assert binary.determined.tolist() == classes.determined[:, 1].tolist() == [True, False, True]
    limit, llf = class_limit(torch.tensor(x), torch.tensor(y), True, classes)
    other = estimate("bernoulli", (x, y))
    assert limit[:, 0].numpy() == pytest.approx(other.params, rel=1e-9)
    assert llf == pytest.approx(other.llf, rel=1e-12)


def test_nothing_that_moves_or_that_the_columns_do_not_tell_apart_is_called_determined() -> None:
    x, y = bundled("iris")
    found = find(x, y, CLASSES)
    assert found.determined is not None
    assert not found.determined[:, 1:].any(), "versicolor and virginica are told apart, but neither from setosa"
    llf = class_limit(torch.tensor(x), torch.tensor(y), True, found)[1]
    assert llf == pytest.approx(-5.9492733956794215, rel=1e-9), "the fit of the two that overlap"
    dummy = np.arange(20) < 5
    twice = find(np.c_[dummy, dummy, np.arange(20) % 3], np.where(dummy, 1, np.arange(20) % 2))
    assert twice.determined is not None
    assert twice.determined.tolist() == [False, False, True, True]


def test_dependent_columns_do_not_hide_a_separation() -> None:
    x, y = (torch.tensor(part) for part in bundled("digits"))
    pair = (y == 3) | (y == 8)
    said = separation_beside_rank(x[pair], (y[pair] == 8).long(), BINARY, True)
    assert said is not None
    assert "are completely separated" in said
    said = separation_beside_rank(x, y % 2, BINARY, True)
    assert said is not None
    assert "quasi-completely" in said
    column = torch.arange(12.0)[:, None]
    assert separation_beside_rank(torch.cat([column, 2 * column], dim=1), torch.arange(12) % 2, BINARY, True) is None


def many(seed: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(5 * WORKING, 5))
    return rng, x, x @ np.arange(1, 6) * 0.3 + 0.2


def test_of_many_rows_every_one_is_heard() -> None:
    rng, x, f = many(0)
    y = (f > 0).astype(int)
    found = find(x, y)
    assert found.infinite is not None
    assert (found.kind, found.infinite.tolist()) == ("complete", [1] * 6)
    assert_separates(found, x, y)
    y[np.abs(f - 1.5).argmin()] = 0  # one row far inside
    assert find(x, y).kind == "none"
    y = (rng.random(len(x)) < 1 / (1 + np.exp(-f))).astype(int)
    x[:, 4] = 0
    x[[5001, 9003, 17007], 4] = [1, 2, 0.5]  # rows that no regular sample holds
    y[[5001, 9003, 17007]] = 1
    found = find(x, y)
    assert found.infinite is not None
    assert (found.kind, found.infinite.tolist()) == ("quasi", [0, 0, 0, 0, 1, 0])
    assert (~found.overlap).nonzero()[:, 0].tolist() == [5001, 9003, 17007]
    y[9003] = 0
    assert find(x, y).kind == "none"


@pytest.mark.parametrize(("apart", "directions"), [(1e-10, 1), (1e-13, 2)])
def test_rows_that_differ_by_rounding_alone_are_one(apart: float, directions: int) -> None:
    rows = np.array([[1.0, 0.0, 0.0], [1.0, apart, 0.0], [1.0, 0.0, 0.0]])
    for some in (rows, np.r_[rows, rows]):
        free = null_space(some)
        assert free.shape == (3, directions)
        assert np.abs(some @ free).max() < 1e-12
    assert null_space(np.zeros((0, 2))).shape == (2, 2)


def test_what_is_moved_by_rounding_alone_is_not_moved() -> None:
    back = np.array([[1.0, 1.0], [1.0, 0.0]])
    for off, kept in ((1e-10, False), (1e-8, True)):
        found = moved(back, np.array([[1.0], [-1.0 + off]]))
        assert bool(found[0, 0]) == kept
        assert found[1, 0] == 1.0


@pytest.mark.parametrize(("apart", "known"), [(1e-7, True), (1e-10, True), (1e-13, False)])
def test_columns_are_told_apart_down_to_rounding(apart: float, known: bool) -> None:
    draw = np.random.default_rng(0)
    x, other = draw.normal(size=(2, 40))
    y = (x + draw.logistic(size=40) > 0).astype(float)
    found = cone_of(np.c_[x, x + apart * other], y, TargetSpace("binary"), True)
    assert found.known.tolist() == [known, known, True]


@pytest.mark.parametrize("share", [1e-8, 1.0])
def test_no_column_that_the_others_hold_a_little_of_is_told_apart(share: float) -> None:
    a, c = np.random.default_rng(0).normal(size=(2, 40))
    alone = np.arange(40) % 3 - 1.0
    y = (np.arange(40) % 2).astype(float)
    found = cone_of(np.c_[a, a + share * c, c, alone], y, TargetSpace("binary"), True)
    assert found.known.tolist() == [False, False, False, True, True]


@pytest.mark.parametrize("seed", [1, 2, 4])
@pytest.mark.parametrize(("gap", "kind"), [(3e-9, "complete"), (0.0, "quasi"), (-3e-8, "none"), (-1e-7, "none")])
def test_rows_beside_a_plane_are_told_down_to_some_billionths(seed: int, gap: float, kind: str) -> None:
    rng, d = np.random.default_rng(seed), 2 + seed % 2
    far, normal, side = rng.normal(size=(40, d)), np.arange(1.0, d + 1), np.arange(12) % 2
    far = far[np.abs(far @ normal) > 0.1]
    beside = rng.normal(size=(12, d))
    beside -= np.outer(beside @ normal - gap * (2 * side - 1), normal) / (normal @ normal)
    found = find(np.r_[far, beside], np.r_[far @ normal > 0, side].astype(int))
    assert found.kind == kind


def test_a_row_left_out_objects_where_it_goes_back_by_more_than_a_billionth() -> None:
    margins = scipy.sparse.csr_matrix([[-1e-8], [-1e-10], [0.5], [-1.0]])
    working, nothing = np.array([False, False, False, True]), np.zeros((1, 0))
    assert (_objection(margins, working, np.array([1.0]), nothing) > 0).tolist() == [True, False, False, False]
    still = scipy.sparse.csr_matrix([[0.0, 1e-8], [0.0, 1e-10], [0.5, 1.0], [0.0, 1.0]])
    objecting = _objection(still, working, np.array([1.0, 0.0]), np.array([[0.0], [1.0]]))
    assert (objecting > 0).tolist() == [True, False, False, False]


def test_signs_that_would_take_minutes_are_left_open() -> None:
    x = np.random.default_rng(0).normal(size=(8200, 60))  # 61 signs over 8200 rows of 61 entries: 3.05e7
    normal = np.r_[np.ones(60)]
    x = x[np.abs(x @ normal) > 0.02]
    assert 61 * 61 * len(x) > 3e7
    found = find(x, (x @ normal > 0).astype(int))
    assert found.infinite is not None
    assert (found.kind, found.infinite.any().item()) == ("complete", False)
