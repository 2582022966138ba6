"""The rules that a training run is held to before any gap is judged, each by itself, on evidence made by hand."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from mlnn.comparing import rules
from mlnn.comparing.evidence import Evidence
from mlnn.comparing.rules import Found
from mlnn.training import Stop

EQUAL = Found("equal", "equal", "the probe's own")
LEFT, RIGHT = Stop(3, "loss"), Stop(5, "weights")


def run(**told: Any) -> Evidence:
    return Evidence("float32", steps=told.pop("steps", 10), **told)


def judged(steps: int = 0, odd: tuple[int, float] | None = None) -> Any:
    """A quantity that was looked at on so many steps."""
    return SimpleNamespace(steps=steps, odd=lambda _own: odd)


def test_a_control_that_differs_decides_nothing() -> None:
    assert rules._control_differs(EQUAL, run()) is None
    for own, closure in ((False, False), (True, True)):
        found = rules._control_differs(EQUAL, run(control="control differs", own_update=own))
        assert found is not None
        assert (found.value, found.gradient) == ("undecided", "undecided")
        assert str(found.reason).startswith("control differs: the machine or the code is at fault")
        assert ("keeps state in a closure" in str(found.reason)) is closure


@pytest.mark.parametrize(("stops", "diverged", "words"), [
    ({}, set(), None), ({"left": LEFT, "right": RIGHT}, set(), None), ({"control": LEFT}, set(), None),
    ({"left": LEFT}, {"left"}, None),
    ({"left": LEFT}, set(), "left's loss is not finite from step 3 on, while right trains on"),
    ({"right": RIGHT}, set(), "right's weights is not finite from step 5 on, while left trains on"),
    ({"right": Stop(5, "loss", 7, 0.5, 1.0)}, set(),
     "right's loss is not finite from step 5 on, first in row 7 (raw output 0.5, target 1.0), while left trains on"),
])  # fmt: skip
def test_a_side_that_stopped_alone_is_told_with_its_row(stops: Any, diverged: set[str], words: str | None) -> None:
    assert rules._stopped_alone(run(stops=stops, diverged=diverged)) == words
    found = rules._one_side_broke(EQUAL, run(stops=stops, diverged=diverged))
    assert found == (None if words is None else Found("broken", "broken", words))


@pytest.mark.parametrize(
    ("stop", "told"), [(None, True), (Stop(5, "loss"), True), (Stop(4, "loss"), False), (Stop(3, "loss"), False)]
)
def test_at_common_weights_a_side_is_broken_where_left_had_not_stopped(stop: Stop | None, told: bool) -> None:
    stops = {"right": LEFT} | ({} if stop is None else {"left": stop})
    words = rules._broke_at_common_weights(run(one_sided=(4, "float64", "right"), stops=stops))
    assert (words is not None) is told
    assert words in (None, "at the same weights, right is not finite at step 4 in float64 where the other side is")
    assert rules._broke_at_common_weights(run(stops=stops)) is None


def test_weights_that_never_moved_decide_nothing() -> None:
    assert rules._never_moved(EQUAL, run(moved=True)) is None
    assert rules._never_moved(EQUAL, run()) == Found(
        "undecided", "undecided", "left's weights never moved, so nothing was trained"
    )


@pytest.mark.parametrize(("steps", "told"), [(9, True), (10, False), (11, False), (100, False)])
def test_a_tenth_of_the_steps_must_be_compared(steps: int, told: bool) -> None:
    evidence = run(steps=20, planned=100, idle=7, gradient=judged(steps))
    still, few = rules._stood_still(EQUAL, evidence), rules._too_few_steps(EQUAL, evidence)
    assert (still is not None, few is not None) == (told, told)
    if still is not None and few is not None:
        assert str(still.reason).startswith("left's gradient is exactly 0 on 7 of 20 steps")
        assert few.reason == f"only {steps} of 100 steps could be compared"
    assert rules._stood_still(EQUAL, run(steps=20, planned=100, gradient=judged(steps))) is None


def test_what_the_probe_shows_to_be_different_needs_no_steps() -> None:
    few = run(steps=100, idle=1, left_out=2, gradient=judged(1))
    for probed, still, thin in (
        (Found("different", "equal"), True, True), (Found("equal", "different"), True, False), (EQUAL, False, False),
    ):  # fmt: skip
        assert (rules._stood_still(probed, few) is probed) is still
        assert (rules._too_few_steps(probed, few) is probed) is thin
    assert "every row left the domain" in str(rules._too_few_steps(EQUAL, few).reason)  # type: ignore[union-attr]


ODD, SETTINGS = (4, 0.25), (6, "lr is 0.1 on the left")
AWAY = "from the same weights, gradient and state the optimizers take steps that differ by 0.25 at step 4"
PART = "the optimizers' settings part at step 6: lr is 0.1 on the left"


@pytest.mark.parametrize(("told", "reason"), [
    ({"update": judged(9)}, None), ({"update": judged(0)}, None), ({"update": judged(9), "settings": SETTINGS}, None),
    ({"update": judged(0), "settings": SETTINGS}, PART), ({"update": judged(9), "settings": SETTINGS, "unlooked": "L-BFGS"}, PART),
    ({"update": judged(9, ODD)}, AWAY), ({"update": judged(9, ODD), "settings": SETTINGS}, f"{AWAY} (lr is 0.1 on the left)"),
    ({"update": judged(9, ODD), "gradient": judged(9, ODD)}, AWAY),
    ({"update": judged(9, ODD), "gradient": judged(9, ODD), "own_update": True}, None),
    ({"update": judged(9, ODD), "own_update": True}, f"gradients agree, but {AWAY}"),
    ({"update": judged(9, ODD), "own_update": True, "factors": {8: 1.0}}, f"gradients agree, but {AWAY}"),
    ({"update": judged(9, ODD), "own_update": True, "factors": {8: 2.0}}, f"gradients agree up to a factor of 2, but {AWAY}"),
])  # fmt: skip
def test_steps_of_optimisers_are_told_by_their_size_or_by_their_settings(
    told: dict[str, Any], reason: str | None
) -> None:
    found = rules._other_steps(EQUAL, run(**{"gradient": judged(9)} | told))
    assert found == (None if reason is None else Found("equal", "different", reason))


def test_predictions_that_differ_are_a_difference_of_values() -> None:
    assert rules._other_predictions(EQUAL, run(prediction=judged(9))) is None
    found = rules._other_predictions(EQUAL, run(prediction=judged(9, (0, math.inf))))
    assert found is not None
    assert (found.value, found.gradient) == ("different", "equal")
    assert "differ by inf at step 0" in str(found.reason)


@pytest.mark.parametrize(("value", "gradient", "bits", "same"), [
    ("bitwise", "bitwise", True, True), ("bitwise", "bitwise", False, False), ("equal", "bitwise", True, False),
    ("bitwise", "equal", True, False), ("equal", "equal", True, False),
])  # fmt: skip
def test_bitwise_is_what_probe_and_training_both_are(value: str, gradient: str, bits: bool, same: bool) -> None:
    probed = Found(value, gradient)
    assert (rules._same_bits(probed, run(bitwise=bits)) is probed) is same
