"""Many seeds as one result: worst relation, ranges, and an equivalence test that too few or too noisy seeds fail."""

import numpy as np
import pytest
from scipy import stats

from mlnn.comparing.seeds import equivalence, summarise

NOISE = np.random.default_rng(0).normal(size=12)


def test_the_worst_relation_and_the_ranges_are_told() -> None:
    found = summarise(["equal", "bitwise", "broken"], {"weight_gap": [3.0, 1.0, 2.0]}, [1.0] * 3, [1.0] * 3)
    assert found.relation == "broken"
    assert found.gaps == {"weight_gap": (2.0, 1.0, 3.0)}
    assert "1 equal, 1 bitwise, 1 broken" in found.sentence


def test_equal_ends_are_equivalent_and_ends_beyond_the_margin_are_not() -> None:
    left = 0.3 + 0.01 * NOISE
    assert equivalence(left, left + 1e-5 * NOISE[::-1]).equivalent
    assert not equivalence(left, left + 0.02).equivalent  # 0.02 is more than 5 % of 0.3
    assert equivalence(left, left + 0.02, margin=0.1).equivalent


def test_noise_alone_is_not_evidence_of_equivalence() -> None:
    left = np.full(4, 0.3)
    noisy = left + 0.1 * NOISE[:4]
    assert stats.ttest_rel(left, noisy).pvalue > 0.05  # "no significant difference", which proves nothing
    assert not equivalence(left, noisy).equivalent


def test_the_p_value_is_the_larger_of_two_one_sided_tests() -> None:
    left, right = 0.3 + 0.01 * NOISE, 0.301 + 0.012 * NOISE
    found = equivalence(left, right, margin=0.02)
    gap = right - left
    one = stats.ttest_1samp(gap, -found.margin, alternative="greater").pvalue
    two = stats.ttest_1samp(gap, found.margin, alternative="less").pvalue
    assert found.p == pytest.approx(max(one, two), rel=1e-9)
    interval = stats.ttest_1samp(gap, 0).confidence_interval(0.9)
    assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_a_loss_that_is_not_finite_is_never_equivalent() -> None:
    assert not equivalence([0.3, 0.3, float("nan")], [0.3, 0.3, float("nan")]).equivalent
    assert not equivalence([0.3, 0.3, 0.3], [0.3, 0.3, float("inf")]).equivalent
