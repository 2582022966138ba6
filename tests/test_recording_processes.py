"""Trainings of two processes, DDP and FSDP2 on gloo: their recordings are one, and what goes wrong between them is found."""

from collections.abc import Callable

import pytest
from process_cases import KINDS, STEPS, WORLD, side_by_side, train

from mlnn import diff
from mlnn.recording import Recording, read_recording
from mlnn.recording.batchprint import together
from mlnn.recording.fingerprint import distance, factor, same_bits

pytestmark = pytest.mark.slow
ROUNDING = 3e-7
"""Relative distance of a gradient from the one of one process: 5e-8 to 1.5e-7 was measured."""
SAME_ROWS = "every process was given the same rows"
Read = Callable[[str], Recording]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """The recording of a kind of training; all of two processes are made at once."""
    out = tmp_path_factory.mktemp("processes")
    side_by_side("process_cases.py", str(out), *KINDS)
    train("alone", out)
    return lambda kind: read_recording(out / kind)


def gaps(one: Recording, two: Recording) -> list[float]:
    """Relative distances of the gradients, step by step."""
    return [
        distance(a.gradient, b.gradient) / a.gradient.norm
        for a, b in zip(one.steps, two.steps, strict=True)
        if a.gradient and b.gradient
    ]


@pytest.mark.parametrize("kind", ["ddp", "ddp_static", "ddp_unused", "fsdp", "fsdp_checkpointed"])
def test_two_processes_are_one_training(read: Read, kind: str) -> None:
    alone, both = read("alone"), read(kind)
    assert both.settings.names == alone.settings.names
    assert [one.shape for one in both.settings.parameters] == [one.shape for one in alone.settings.parameters]
    assert all(one.sharded == kind.startswith("fsdp") for one in both.settings.parameters)
    assert (both.settings.ranks, both.findings, both.torn, both.ended) == (WORLD, (), None, "finished")
    assert distance(alone.start, both.start) == 0
    found = gaps(alone, both)
    assert len(found) == STEPS
    assert max(found) < ROUNDING
    for one, two in zip(alone.steps, both.steps, strict=True):
        assert together([pass_.batch for pass_ in one.forwards]) == together([pass_.batch for pass_ in two.forwards])
        assert two.losses.mean() == pytest.approx(one.losses.mean(), rel=1e-6)
        assert one.gradient is not None
        assert two.gradient is not None
        assert two.gradient.norms == pytest.approx(one.gradient.norms, rel=1e-5, abs=1e-7)


def test_shards_of_uneven_size_have_the_bits_of_the_whole(read: Read) -> None:
    alone, sharded, whole = read("alone"), read("fsdp"), read("ddp")
    assert same_bits(alone.start, sharded.start)
    assert max(gaps(whole, sharded)) < ROUNDING


@pytest.mark.parametrize("kind", ["same_rows", "fsdp_same_rows"])
def test_rows_that_the_second_process_should_not_have(read: Read, kind: str) -> None:
    found = read(kind)
    assert found.findings == (f"steps 0 to {STEPS - 1}: {SAME_ROWS}",)
    assert gaps(read("alone"), found)[0] > 0.1


def test_a_gradient_that_was_not_averaged(read: Read) -> None:
    found = read("no_sync")
    assert [note.split(":")[0] for note in found.findings] == ["step 2", "steps 2 to 3"]
    assert "different gradients (body.0.weight): they were not averaged" in found.findings[0]
    assert "different weights" in found.findings[1]
    before = gaps(read("alone"), found)
    assert max(before[:2]) < ROUNDING
    assert before[2] > 0.1


def test_shards_without_a_gradient(read: Read) -> None:
    found = read("fsdp_no_sync")
    assert found.findings == ("step 2: there was a loss, and no process has a gradient",)
    sizes = [step.gradient.norm for step in found.steps if step.gradient]
    assert sizes[2] == 0
    assert min(sizes[:2]) > 0


def test_weights_that_differ_from_the_start(read: Read) -> None:
    assert "the first weights of the processes differ (body.0.weight)" in read("own_seed").findings


def test_a_divisor_of_one_process(read: Read) -> None:
    right, first, own = (read(kind).steps[0] for kind in ("ddp", "same_divisor", "own_divisor"))
    assert right.gradient is not None
    assert first.gradient is not None
    # Of 8 rows that are kept the first process has 1: its own divisor is 1, where 8 rows over 2 processes make 4.
    assert factor(right.gradient, first.gradient) == pytest.approx(4, rel=1e-6)
    assert own.losses / right.losses == pytest.approx([4, 4 / 7], rel=1e-5)


@pytest.mark.parametrize(
    ("one", "two", "relation", "stage", "words"),
    [
        ("alone", "ddp", "equal", None, "cut into other micro-batches"),
        ("alone", "fsdp", "equal", None, "cut into other micro-batches"),
        ("ddp", "fsdp", "bitwise", None, ""),
        ("alone", "same_rows", "different", "batch", SAME_ROWS),
        ("ddp", "own_divisor", "different", "loss", "step 0"),
        ("alone", "same_divisor", "scaled", "loss", "4.000000"),
        ("ddp", "no_sync", "different", "gradient", "they were not averaged"),
        ("alone", "fsdp_no_sync", "different", "gradient", "no process has a gradient"),
    ],
)
def test_what_is_said_of_two_trainings(
    read: Read, one: str, two: str, relation: str, stage: str | None, words: str
) -> None:
    found = diff(read(one), read(two))
    assert (found.relation, found.stage) == (relation, stage), found.sentence
    assert words in found.sentence
