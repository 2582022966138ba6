"""Which steps of a run are looked at: the words for it, the steps they stand for, and what is refused."""

from typing import Any

import numpy as np
import pytest
import torch

from mlnn.comparing.evidence import Evidence
from mlnn.comparing.looks import (
    ENGINES,
    FIRST,
    LEAST,
    MODES,
    SHARE,
    check_engine,
    check_mode,
    looks_at,
    planted_at,
    spread,
)
from mlnn.errors import ConfigError


def test_a_mode_and_an_engine_are_words_of_a_few() -> None:
    assert [check_mode(mode) for mode in MODES] == list(MODES)
    assert [check_engine(engine, "study") for engine in ENGINES] == list(ENGINES)
    for wrong in ("both", "", None, 3, ["study"]):
        with pytest.raises(ConfigError, match=r"^mode: "):
            check_mode(wrong)
        with pytest.raises(ConfigError, match=r"^engine: "):
            check_engine(wrong, "study")


def test_left_alone_is_no_stack_of_lanes() -> None:
    for engine in ("auto", "plain"):
        assert check_engine(engine, "verdict") == engine
    with pytest.raises(ConfigError, match="'stacked' with mode='verdict'"):
        check_engine("stacked", "verdict")


@pytest.mark.parametrize(("mode", "looks", "steps", "wanted"), [
    ("study", None, 300, list(range(300))),
    ("study", "all", 5, [0, 1, 2, 3, 4]),
    ("verdict", "all", 5, [0, 1, 2, 3, 4]),
    ("study", 3, 9, [0, 4, 8]),
    ("study", 1, 9, [8]),
    ("study", torch.tensor(3), 9, [0, 4, 8]),
    ("study", np.int64(3), 9, [0, 4, 8]),
    ("study", np.array(3), 9, [0, 4, 8]),
    ("study", [5, 1, 8], 9, [1, 5, 8]),
    ("verdict", torch.tensor([5, 1, 8]), 9, [1, 5, 8]),
    ("verdict", range(0, 9, 4), 9, [0, 4, 8]),
    ("verdict", None, 5, [0, 1, 2, 3, 4]),
])  # fmt: skip
def test_the_steps_that_are_looked_at(mode: str, looks: Any, steps: int, wanted: list[int]) -> None:
    assert list(looks_at(mode, looks, steps)) == wanted


def test_a_verdict_looks_at_a_share_of_the_steps_and_at_some_at_least() -> None:
    assert len(looks_at("verdict", None, 300)) == 300 // SHARE
    assert len(looks_at("verdict", None, 20)) == LEAST


@pytest.mark.parametrize(("looks", "words"), [
    ("some", "'some'; 'all', a number"), ([], "no step is given"), ([2, 0, 2], "step 2 is given twice"),
    ([9], "0 to 8 is needed"), ([-1], "0 to 8 is needed"), ([1.5], "not a whole number"), (0, "1 to 9 is needed"),
    (10, "1 to 9 is needed"), (2.0, "not a whole number"), (True, "not a whole number"),
])  # fmt: skip
def test_looks_that_there_are_not_are_refused(looks: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^looks.*{words}"):
        looks_at("study", looks, 9)


def test_looks_are_the_first_few_steps_and_then_even_to_the_last() -> None:
    for steps in (1, 2, 7, 40, 1000):
        for count in range(1, min(steps, 60) + 1):
            found = spread(count, steps)
            assert len(found) == len(set(found)) == count
            assert list(found) == sorted(found)
            assert found[-1] == steps - 1
            first = min(FIRST, count // 2)
            assert list(found[:first]) == list(range(first))
            gaps = [two - one for one, two in zip(found[first:], found[first + 1 :], strict=False)]
            assert not gaps or max(gaps) - min(gaps) <= 1


def test_faults_are_planted_at_four_looks_over_the_run() -> None:
    assert planted_at(range(3, 103)) == {3, 28, 53, 102}
    assert planted_at([7]) == {7}


def test_evidence_is_thinned_where_fewer_steps_are_looked_at_than_trained() -> None:
    for trained, steps, thinned in ((8, 3, True), (8, 8, False), (0, 0, False)):
        assert Evidence("float32", trained=trained, steps=steps).thinned == thinned
