"""What curves alone say, at both sides of each line that it is drawn by, on a few numbers made by hand."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlnn.comparing.curves.apart import Apart, First, Kept, apart, differences, pairs
from mlnn.comparing.curves.curve import Curve, Difference, Ground, _latest, common, placed, repeated
from mlnn.comparing.curves.groups import Finals, Group, band, finals, groups
from mlnn.comparing.curves.growth import Growth, growth
from mlnn.comparing.curves.smooth import smoothed
from mlnn.comparing.curves.told import _beside, _digits, _growth, final_words, told
from mlnn.comparing.seeds import equivalence
from mlnn.errors import ConfigError
from mlnn.logs import Series

NAN, INF = math.nan, math.inf
NOTHING_SAID = Ground()


def curve(
    name: str, loss: Any, step: Any = None, at: Any = None, ground: Ground = NOTHING_SAID, path: str = ""
) -> Curve:
    places = np.arange(len(loss)) if step is None else np.array(step)
    return Curve(
        name, places, np.array(loss, dtype=float), ground, None if at is None else np.array(at, float), path=path
    )


@pytest.mark.parametrize(("kept", "words", "unit", "shown", "cut"), [
    (Kept("decimals", 0), "whole numbers", "in the last decimal", "2", 2.0),
    (Kept("decimals", 1), "1 decimal", "in the last decimal", "1.7", 1.7),
    (Kept("decimals", 2), "2 decimals", "in the last decimal", "1.73", 1.73),
    (Kept("float32"), "float32, about 7 digits", "ulps", "1.7345679", float(np.float32(1.734567890123))),
    (Kept("float64"), "full digits", "ulps", "1.734567890123", 1.734567890123),
])  # fmt: skip
def test_what_is_kept_is_said_and_shown(kept: Kept, words: str, unit: str, shown: str, cut: float) -> None:
    assert (str(kept), kept.unit, kept.shown(1.734567890123)) == (words, unit, shown)
    assert kept.cut(np.array([1.734567890123])).tolist() == [cut]


@pytest.mark.parametrize(("kept", "one", "two", "units"), [
    (Kept("decimals", 2), 1.25, 1.28, 3.0), (Kept("decimals", 0), 1.0, 5.0, 4.0), (Kept("float64"), 1.0, 1.0 + 2**-51, 2.0),
    (Kept("float32"), 1.0, 1.0 + 2**-22, 2.0), (Kept("float32"), 1.0, NAN, INF), (Kept("decimals", 2), INF, 1.0, INF),
    (Kept("float64"), -4.0, 1.0, 5 * 2.0**50),
])  # fmt: skip
def test_units_in_the_last_place(kept: Kept, one: float, two: float, units: float) -> None:
    assert kept.units(one, two) == kept.units(two, one) == units


@pytest.mark.parametrize(("count", "compared"), [(2, 1), (8, 28), (9, 8)])
def test_of_more_than_eight_curves_each_is_compared_with_the_first(count: int, compared: int) -> None:
    found = [curve(str(number), [3.0, 2.0 + number]) for number in range(count)]
    assert len(pairs(found)) == compared
    gaps, notes = differences(found)
    assert (len(gaps), len(notes)) == (compared, count > 8)


def test_what_stands_in_the_way_of_a_comparison_is_noted() -> None:
    once, twice = curve("a", [3, 2, 1, 0.5], [0, 1, 1, 2]), curve("b", [3, 2, 1, 0, 0.5], [0, 1, 1, 2, 2])
    gaps, notes = differences([once, twice])
    assert notes == [
        "a: 1 of its steps is logged twice; all are drawn, the later one is compared.",
        "b: 2 of its steps are logged more than once; all are drawn, the later one is compared.",
        "a and b: losses of 4 and 5 steps are kept; compared on the 3 they share.",
    ]  # fmt: skip
    assert [gap.gap.tolist() for gap in gaps] == [[0.0, 0.0, 0.0]]
    apart_, notes = differences([curve("a", [1.0, 2.0]), curve("b", [1.0, 3.0], [5, 6])])
    assert (apart_, notes) == ([], ["a and b: losses of 2 and 2 steps are kept; compared on the 0 they share."])


@pytest.mark.parametrize(("own", "its", "differ"), [
    (Ground(), Ground("f", "iris", 1, 8), []), (Ground("f", "iris", 1, 8), Ground(), []),
    (Ground("f", "iris", 1, 8), Ground("f", "iris", 1, 8), []), (Ground("f", "iris", 1, 8), Ground("f", "other", 1, 8), []),
    (Ground("f", "iris", 1, 8), Ground("g", "iris", 1, 8), ["data"]),
    (Ground("f", "iris", 1, 8), Ground("f", "iris", 2, 8), ["seed"]),
    (Ground("f", "iris", 1, 8), Ground("f", "iris", 1, 9), ["batch"]),
])  # fmt: skip
def test_what_is_not_said_is_no_difference(own: Ground, its: Ground, differ: list[str]) -> None:
    assert [words.split()[0] for words in own.unlike(its)] == differ


@pytest.mark.parametrize(("left", "right", "answer", "coarser", "units", "count", "undefined"), [
    ([3.0, 2.5], [3.0, 2.5], "same", None, None, 2, 0), ([3.0, 2.5], [3.0, 2.75], "differs", "left", 3.0, 2, 0),
    ([3.1, 1 / 3], [3.1, 0.33], "same", "right", None, 2, 0), ([3.1, 0.33], [3.1, 1 / 3], "same", "left", None, 2, 0),
    ([3.0, 3.0], [3.0, 2.0], "undecided", None, None, 2, 0), ([3.0, 2.0], [NAN, NAN], "undecided", "left", None, 2, 0),
    ([3.0, NAN, 2.0], [3.0, NAN, 2.0], "same", None, None, 2, 1), ([3.0, NAN, 2.0], [3.0, 1.0, 2.0], "differs", None, INF, 3, 0),
    ([1 / 3, 2 / 3], [float(np.float32(1 / 3)), float(np.float32(2 / 3))], "same", "right", None, 2, 0),
])  # fmt: skip
def test_two_curves_at_the_digits_of_the_coarser(
    left: list[float],
    right: list[float],
    answer: str,
    coarser: str | None,
    units: float | None,
    count: int,
    undefined: int,
) -> None:
    found = apart(curve("left", left), curve("right", right))
    first = None if found.first is None else found.first.units
    assert (found.answer, found.coarser, first, found.count, found.undefined) == (
        answer,
        coarser,
        units,
        count,
        undefined,
    )


def test_a_place_that_is_not_known_is_none() -> None:
    one, two = curve("a", [4, 3, 2], at=[0, NAN, 8]), curve("b", [4, 3, 2], at=[0, 8, NAN])
    places, i, j = common(one, two)
    assert (places.tolist(), i.tolist(), j.tolist()) == ([0, 8], [0, 2], [0, 1])
    for given in ([2, 1, 0], [0, 2, 1], [0, 1, 2]):
        known, index = _latest(np.array(given))
        assert (known.tolist(), [given[at] for at in index]) == ([0, 1, 2], [0, 1, 2])
    series = Series("loss", np.arange(3), np.ones(3), np.array([NAN, 7.0, 9.0]), np.array([1.0, 2.0, 3.0]))
    assert placed(series, "step") is None
    assert placed(series, "tokens").tolist() == [1.0, 2.0, 3.0]  # type: ignore[union-attr]
    np.testing.assert_array_equal(placed(series, "time"), [NAN, 0.0, 2.0])  # type: ignore[arg-type]
    timeless = Series("loss", np.arange(2), np.ones(2), np.full(2, NAN), np.ones(2))
    np.testing.assert_array_equal(placed(timeless, "time"), [NAN, NAN])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "times"), [([0, 1, 2], 0), ([0, 2, 1], 0), ([0, 1, 1], 1), ([1, 0, 1, 0], 2), ([0, NAN, 1, NAN], 0)]
)
def test_how_many_places_are_there_more_than_once(at: list[float], times: int) -> None:
    assert repeated(curve("a", [0.0] * len(at), at=at)) == times


def by_least_squares(x: Any, gap: Any) -> tuple[float, float, float]:
    """The steps of a doubling and the ends of its interval, from scipy's own line through log₂ of the gap."""
    line = stats.linregress(x, np.log2(gap))
    half = line.stderr * stats.t.ppf(0.975, len(x) - 2)
    return tuple(1 / rate if rate > 0 else INF for rate in (line.slope, line.slope + half, line.slope - half))  # type: ignore[return-value]


@pytest.mark.parametrize(("gap", "grows"), [
    ([1e-6, 2.1e-6, 3.9e-6, 8.2e-6, 15.8e-6, 1e-3], True),
    ([1e-6, 8e-6, 0.5e-6, 7e-6, 0.4e-6, 1e-3], False),  # it may double quickly, or never
    ([9e-3, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 0.1], False),
])  # fmt: skip
def test_a_doubling_time_is_that_of_a_line_through_the_logarithms(gap: list[float], grows: bool) -> None:
    places = 10 * np.arange(len(gap)) + 30
    pieces = np.array_split(np.arange(len(gap)), 6)
    size = [math.sqrt(np.mean(np.square([gap[at] for at in piece]))) for piece in pieces]
    found = growth(places, np.array(gap))
    assert isinstance(found, Growth)
    expected = by_least_squares([places[piece].mean() for piece in pieces], size)
    assert (found.doubling, found.quickest, found.slowest) == pytest.approx(expected, rel=1e-9)
    assert (found.first, found.last, found.points, found.grows) == (30, places[-1], 6, grows)


def test_a_gap_grows_until_a_tenth_of_its_largest() -> None:
    gap = np.array([0.0, NAN, *2.0 ** np.arange(-12, -4), 0.099, 0.101, 0.5, 1.0, 0.7])
    found = growth(np.arange(len(gap)), gap)
    assert isinstance(found, Growth)
    assert (found.first, found.last) == (2, 11)


@pytest.mark.parametrize(("gap", "words"), [
    ([1.0, 0.5], "it is as large as it gets within 1 point of its first"),
    ([0.0, 1e-3, 1e-2, 2e-2, 0.03, 1.0], "it is as large as it gets within 5 points of its first"),
    ([0.0, 0.0, NAN], "there is no difference that could grow"), ([1e-9, 0, 0, 0, 0, 0, 0, 1.0], "of the points up to its full"),
])  # fmt: skip
def test_too_few_points_have_no_doubling_time(gap: list[float], words: str) -> None:
    assert str(growth(np.arange(len(gap)), np.array(gap))).startswith(words)


def test_a_mean_over_a_value_that_is_not_finite_is_not_finite() -> None:
    found = smoothed(curve("a", [2.0, 4.0, INF, 6.0, 8.0, 10.0]), 2).loss
    np.testing.assert_array_equal(found, [2.0, 3.0, NAN, NAN, 7.0, 9.0])


def of(name: str, *losses: list[float], first: int = 0) -> Group:
    return Group(name, {first + number: curve(f"{name}{number}", loss) for number, loss in enumerate(losses)})


@pytest.mark.parametrize(("paths", "names"), [
    (["runs/adam/seed=1", "runs/sgd/seed=1"], ["adam", "sgd"]), (["seed=1", "seed=2"], [" (1)"]),
    (["runs/adam/seed=1", "runs/adam/seed=2"], ["runs adam"]), (["a b/seed=1", "b a/seed=1"], ["a b (1)", "b a (2)"]),
    (["x p q r s seed=1", "y p q r s seed=1", "z seed=1"], ["r s (1)", "r s (2)", "z (3)"]),
    (["a/seed=1", "a/b/seed=1"], ["a (1)", "a b (2)"]), (["a/b/c/d/e/seed 7"], ["b c d e"]),
])  # fmt: skip
def test_a_group_is_called_by_the_words_that_it_does_not_share(paths: list[str], names: list[str]) -> None:
    assert [group.name for group in groups([curve("x", [1.0], path=path) for path in paths], "seed")] == names


def test_a_band_lies_where_all_of_its_runs_do() -> None:
    one, two = curve("a", [4, 3, 2], [0, 1, 2]), curve("b", [5, 9, 1, 7], [0, 2, 2, 3])
    found = band(Group("g", {0: one, 1: two}))
    assert (found.name, found.place.tolist()) == ("g (2 runs)", [0, 2])
    assert (found.low.tolist(), found.middle.tolist(), found.high.tolist()) == ([4, 1], [4.5, 1.5], [5, 2])


def test_final_losses_are_those_at_the_last_place_that_all_share() -> None:
    left, right = of("l", [4.0, 1.0], [4.0, 1.5], [4.0, 1.25]), of("r", [5.0, 2.0, 9.0], [5.0, 2.5, 9.0], first=1)
    found = finals(left, right, 0.1)
    assert isinstance(found, Finals)
    assert (found.numbers, found.place, found.test.difference) == ((1, 2), 1.0, pytest.approx(0.875))
    assert "share 1 of their numbers" in str(finals(left, of("r", [5.0, 2.0], first=2), 0.1))
    apart_ = Group("r", {0: curve("r0", [1.0], [7]), 1: curve("r1", [1.0], [7])})
    assert finals(left, apart_, 0.1) == "l and r have no step that all of their runs share"
    with pytest.raises(ConfigError, match="no number after"):
        groups([curve("x", [1.0], path="a")], "seed")


@pytest.mark.parametrize(("count", "smooth", "words"), [
    (2, None, "r against l, loss at step 99, 2 runs each, paired by number (0, 1): "),
    (12, None, "12 runs each, paired by number (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11): "),
    (13, 5, "mean of the last 5 values up to step 99, 13 runs each, paired by number (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …)"),
])  # fmt: skip
def test_the_test_of_final_losses_in_words(count: int, smooth: int | None, words: str) -> None:
    test = equivalence([1.0] * count, [1.0 + 0.01 * number for number in range(count)])
    assert words in final_words(Finals("l", "r", tuple(range(count)), 99.0, test), smooth)


@pytest.mark.parametrize(("found", "words"), [
    (Apart("a", "b", 5, "undecided", reason="why"), "a and b: undecided; why."),
    (Apart("a", "b", 5, "same", "full digits"),
     "a and b: the same at all 5 places that both have, in what is kept (both keep full digits)."),
    (Apart("a", "b", 5, "same", "2 decimals", "b", undefined=3), "(b keeps 2 decimals; at 3 more both are NaN"),
    (Apart("a", "b", 1234, "differs", "full digits", None, First(1200.0, "1", "2", 3.0, "ulps")),
     "a and b: first differ at step 1,200, 1 against 2, 3 ulps apart (both keep full digits; 1,234 places in common)."),
    (Apart("a", "b", 9, "differs", "full digits", None, First(0.5, "1", "2", 3.0, "ulps")), "at step 0.5, 1 against 2"),
])  # fmt: skip
def test_digits_in_words(found: Apart, words: str) -> None:
    assert words in _digits(found, "step")


@pytest.mark.parametrize(("word", "found", "words"), [
    ("step", "why", "a: no doubling time; why."),
    ("step", Growth(20.0, 10.0, 40.0, 0.0, 1500.0, 9, True),
     "a: doubles every 20 steps (95 %: 10 to 40; fitted over step 0 to 1,500, 9 points)."),
    ("tokens", Growth(20.0, 10.0, INF, 0.0, 1.5, 9, True), "every 20 tokens (95 %: 10 to ∞; fitted over tokens 0 to 1.5"),
    ("step", Growth(20.0, 10.0, INF, 0.0, 9.0, 9, False),
     "a: not shown to grow (fitted over step 0 to 9, 9 points; a doubling takes 10 or more, if there is one)."),
])  # fmt: skip
def test_growth_in_words(word: str, found: Growth | str, words: str) -> None:
    assert words in _growth("a", found, word)


def test_sizes_are_compared_where_both_pairs_are_apart() -> None:
    """Ratios 1 to 11, but for places where either is 0 or not known."""
    own = Difference("own", np.arange(15), np.array([*range(1, 12), 0.0, 500.0, INF, 500.0]))
    null = Difference("null", np.arange(15), np.array([*[1.0] * 11, 1.0, 0.0, 1.0, NAN]))
    said = _beside(own, null, "why", "step")
    assert said == "null: no doubling time; why. The median ratio of own to it is 6 (at 8 of 10 places 2 to 10)."
    nothing = Difference("null", np.arange(15), np.zeros(15))
    assert _beside(own, nothing, "why", "step") == "null: no doubling time; why."


def test_what_is_told_of_two_curves_with_a_null_pair_and_without() -> None:
    pair = [curve("a", [3.0, 2.5, 2.0]), curve("b", [3.0, 2.25, 2.5])]
    gaps = differences(pair)[0]
    plain, beside = told(pair, gaps), told(pair, gaps, (pair[1], pair[0]))
    assert (len(plain.sentences), plain.null) == (3, None)
    assert (len(beside.sentences), beside.null and beside.null.name) == (4, "null pair b − a")
    assert len(told([pair[0], pair[0]], differences([pair[0], pair[0]])[0]).sentences) == 2
