"""Where recordings part, judged on rows of numbers: kinks, growth of rounding, gaps between printed steps, and what is beyond."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from mlnn.recording.capsule import Null
from mlnn.recording.differing.judging import Ground, Judgement, judge
from mlnn.recording.differing.records import Apart, Row
from mlnn.recording.differing.rows import apart, numbers_apart
from mlnn.recording.differing.yardstick import EPS, HORIZON, KAPPA, KINK, LEAST_KAPPA, Precision, Yardstick
from mlnn.recording.fingerprint import Piece, Printer

EPS32 = EPS["float32"]
SAME = Apart(0.0, 1.0, 0.0, True)
GROUND = Ground(Yardstick(Precision("float32", EPS32), {}), frozenset(), True, SAME, True)
ROUNDING = 1e-7


def size(distance: float) -> Apart:
    return Apart(distance, 1.0, distance, False)


def row(step: int, gradient: float = ROUNDING, before: float = 0.0, loss: float = 0.0, **changed: object) -> Row:
    """A step of rows in another order."""
    made = Row(
        step, step, "reordered", (), True, (1.0, 1.0 + loss), (1, 1), before, size(loss) if loss else SAME, size(gradient),
        size(before + 1e-9), size(gradient), 1e-3,
    )  # fmt: skip
    return replace(made, **changed)  # type: ignore[arg-type]


def judged(rows: Sequence[Row], ground: Ground = GROUND) -> tuple[Judgement, str, int | None]:
    found = judge(rows, ground)
    parting = found.parting
    return found, "" if parting is None else parting.relation, parting.row.step if parting and parting.row else None


def test_rounding_is_no_parting() -> None:
    found, relation, _ = judged([row(step, before=step * 1e-9) for step in range(6)])
    assert (relation, len(found.judged), found.kinks) == ("", 6, ())


def test_a_kink_at_one_step_is_none() -> None:
    found, relation, _ = judged([row(0), row(1, 1e-3), *(row(step, before=2e-6) for step in range(2, 6))])
    assert (relation, [one.step for one in found.kinks], len(found.judged)) == ("", [1], 6)


def test_a_small_difference_that_stays_is_one() -> None:
    _, relation, step = judged([row(0), *(row(step, 1e-3, before=1e-7) for step in range(1, 6))])
    assert (relation, step) == ("different", 1)


def test_a_small_difference_that_nothing_follows_is_undecided() -> None:
    assert judged([row(0), row(1, 1e-3)])[1:] == ("undecided", 1)
    grown = [row(0), row(1, 1e-3), row(2, 1e-3, before=1e-3)]
    assert judged(grown)[1:] == ("undecided", 1), "what follows grew from it"


def test_a_large_difference_or_one_of_the_loss_needs_no_second_step() -> None:
    assert judged([row(0), row(1, 2 * KINK)])[1:] == ("different", 1)
    assert judged([row(0), row(1, 1e-3, loss=1e-5)])[1:] == ("different", 1)


def test_rounding_that_has_grown_is_allowed_for_and_a_jump_beyond_it_is_not() -> None:
    grown = [row(0), row(1, 1e-3, before=1e-4), row(2, 1.5e-3, before=1e-4)]
    assert judged(grown)[1] == ""
    assert judged([*grown, row(3, 0.5, before=1e-4)])[1:] == ("different", 3)


def test_beyond_the_horizon_only_what_is_exact_is_told() -> None:
    far = 2 * HORIZON / KAPPA
    found, relation, _ = judged([row(0), row(1, 0.9, before=far), row(2, 0.9, before=far)])
    assert relation == ""
    assert found.horizon is not None
    assert (found.horizon.step, len(found.judged)) == (1, 1)
    assert judged([row(0), row(1, 0.9, before=far), row(2, 0.9, before=far, batch="other")])[1:] == ("different", 2)
    assert judged([row(0), row(1, 0.9, before=far), row(2, 0.9, before=far, rates=False)])[1:] == ("different", 2)


def test_a_gap_between_printed_steps_that_is_too_wide_is_undecided() -> None:
    far = 2 * HORIZON / KAPPA
    unseen = replace(row(1), gradient=None, weights=None, update=None, before=None)
    rows = [row(0), unseen, row(2, 0.9, before=far, followed=False)]
    assert judged(rows)[1:] == ("undecided", 2)
    assert judged([row(0), unseen, row(2, 1e-6, before=1e-7, followed=False)])[1] == ""


def test_what_the_model_is_given_otherwise_without_an_effect_is_harmless_later_too() -> None:
    far = 2 * HORIZON / KAPPA
    rows = [row(step, batch="other") for step in range(3)]
    assert judged([*rows, row(3, 0.9, before=far, batch="other")])[1] == ""


@pytest.mark.parametrize(("plain", "relation"), [(True, "different"), (False, "")])
def test_steps_of_full_size_from_what_rounding_left_of_a_zero(plain: bool, relation: str) -> None:
    """Adam's, for weights whose gradient is nothing but rounding: a bias before a normalisation."""
    noisy = [row(0, update=Apart(0.05, 0.999, 0.05, False)), row(1, before=2e-5)]
    assert judged(noisy, replace(GROUND, plain=plain))[1] == relation
    faster = [row(0, update=Apart(0.1, 1.1, 0.01, False))]
    assert judged(faster, replace(GROUND, plain=plain))[1:] == ("different", 0)
    exact = [row(0, gradient=0.0, update=Apart(0.05, 0.999, 0.05, False))]
    alone = [replace(exact[0], gradient=SAME)]
    assert judged(alone, replace(GROUND, plain=plain))[1:] == ("different", 0), "the same gradient and another step"


def test_random_numbers_that_fell_on_other_rows_are_no_fault_of_the_processes_findings() -> None:
    drawing = replace(GROUND, stirred=frozenset({"torch"}))
    assert judged([row(0, 0.5, loss=0.1)], drawing)[1] == "undecided"
    assert judged([row(0, 0.5, loss=0.1)], replace(drawing, findings=True))[1] == "different"
    assert judged([row(0, 0.5, loss=0.1, streams=("torch",))], drawing)[0].parting.stage == "random state"  # type: ignore[union-attr]
    assert judged([row(0, 0.5, loss=0.1, streams=("torch",))])[0].parting.stage == "loss"  # type: ignore[union-attr]


def test_the_yardstick_of_a_recording_takes_the_place_of_the_usual_one() -> None:
    yard = Yardstick(Precision("float32", EPS32), {0: Null(1e-8, 1e-5, True), 10: Null(1e-9, 1e-8, True)})
    assert yard.allowed(0, 0.0) == pytest.approx(5e-5)
    assert yard.allowed(9, 0.0) == pytest.approx(5e-5)
    assert yard.allowed(10, 0.0) == pytest.approx(LEAST_KAPPA * EPS32)
    assert Yardstick(yard.precision, {}).allowed(0, 0.0) == pytest.approx(KAPPA * EPS32)
    assert "step 10" in yard.words(11)
    ground = replace(GROUND, yardstick=yard)
    assert judged([row(0, 4e-5)], ground)[1] == ""
    assert judged([row(10, 4e-5, loss=1e-5)], ground)[1] == "different"


def test_a_first_weight_that_is_not_the_same_ends_it() -> None:
    assert judged([row(0)], replace(GROUND, start=size(1e-3)))[1:] == ("different", None)
    assert judged([row(0)], replace(GROUND, start=size(1e-7)))[1] == ""
    assert judged([row(0)], replace(GROUND, start=size(math.nan)))[1] == "different"
    assert judged([row(0, math.nan)])[1] == "different"


def test_bits_are_told_by_hashes_and_distances_by_sketches() -> None:
    printer = Printer([Piece("weight", (3,))])
    zero, signed, other = (printer.of([torch.tensor(values)]) for values in ([0.0, 1, 2], [-0.0, 1, 2], [0.0, 1, 3]))
    assert apart(zero, zero) == SAME
    assert apart(zero, signed) == Apart(0.0, 1.0, 0.0, False), "the same numbers, other bits"
    assert apart(zero, zero, bits=False).same is False, "of two dtypes nothing is bitwise"
    assert apart(zero, other).distance == pytest.approx(5**-0.5)


def test_losses_near_zero_are_held_to_what_they_are_left_of() -> None:
    near, far = numbers_apart(1e-6, 1.1e-6, 1.0), numbers_apart(1e-6, 1.1e-6, 1e-6)
    assert near is not None
    assert far is not None
    assert (near.distance, far.distance) == (pytest.approx(1e-7), pytest.approx(0.1))
    assert numbers_apart(math.nan, math.nan, 1.0) is None
