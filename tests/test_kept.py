"""A run that stops and goes on is bit for bit the run that does not, or says why that cannot be."""

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kept_cases import KEPT, Averaged, Counting, Hidden, Noisy, deep, gone_on, run, scheduled, stopped, told

from mlnn.errors import RunFolderError
from mlnn.runs.kept.journal import Journal
from mlnn.runs.kept.keeper import OtherRunError
from mlnn.runs.kept.place import open_place, place_of
from mlnn.runs.kept.states import names, read_state, write_state
from mlnn.runs.locking import held

CASES: dict[str, dict[str, Any]] = {
    "stacked": {},
    "recorded": {"steps": 22, "at": 17},
    "plain": {"engine": "plain"},
    "verdict": {"mode": "verdict", "looks": 3},
    "thinned trace": {"trace_every": 3},
    "half precision": {"dtype": "bfloat16"},
    "dropout": {"model": deep(dropout=0.3)},
    "batch norm": {"model": deep(norm="batch"), "engine": "plain"},
    "momentum": {"optimizer": partial(torch.optim.SGD, lr=0.1, momentum=0.9)},
    "schedule": {"optimizer": scheduled},
    "schedule of a verdict": {"optimizer": scheduled, "mode": "verdict", "looks": 3},
    "L-BFGS": {"optimizer": partial(torch.optim.LBFGS, lr=0.3, max_iter=3)},
    "a state of the model's own": {"model": Hidden},
    "an optimiser of one's own": {"optimizer": Noisy},
    "an update of one's own": {"update": Averaged},
    "a lane has ended": {"optimizer": partial(torch.optim.SGD, lr=1e37)},
    "full batch": {"batch_size": None},
}


@cache
def whole() -> Any:
    """What the uninterrupted run tells."""
    return told(run())


@pytest.mark.sampled(12)
@pytest.mark.parametrize("name", CASES)
def test_going_on_gives_the_bits_of_the_uninterrupted_run(name: str, tmp_path: Path) -> None:
    options = dict(CASES[name])
    at = options.pop("at", 4)
    if name == "a lane has ended":
        at = 2
    keep = stopped(tmp_path / "run", at, **options)
    assert keep.unkept is None
    found, step = gone_on(tmp_path / "run", **options)
    assert step == at
    assert told(found) == (told(run(**options)) if options else whole())


def test_a_state_that_is_not_the_run_s_is_seen(tmp_path: Path) -> None:
    """What the comparison above is worth: one weight a bit away, and it fails."""
    stopped(tmp_path / "run", 4, engine="plain")
    with open_place(tmp_path / "run", KEPT, overwrite=False) as place:
        from mlnn.runs.kept.keeper import Keeper

        class Off(Keeper):
            def begin(self, *given: Any) -> int:
                step = super().begin(*given)
                training = given[1][0]
                with torch.no_grad():
                    training.lanes["left"].weights[0].view(-1)[0] += 1e-6
                return step

        assert told(run(Off(place, print), engine="plain")) != told(run(engine="plain"))


def test_what_does_not_show_its_state_is_named_and_begins_anew(tmp_path: Path) -> None:
    keep = stopped(tmp_path / "run", 4, model=Counting)
    assert keep.unkept is not None
    assert "itertools.count does not show what it holds" in keep.unkept
    assert not place_of(tmp_path / "run").exists()
    found, step = gone_on(tmp_path / "run", model=Counting)
    assert step == 0
    assert told(found) == told(run(model=Counting))


def damaged(path: Path) -> None:
    """One bit of a file flipped."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def two_states(where: Path) -> list[Path]:
    """A run that has ended twice, at steps 3 and 5."""
    stopped(where, 3)
    stopped(where, 5)
    found = names(place_of(where))
    assert [path.name.split("-")[1] for path in found] == ["5", "3"]
    return found


def test_a_damaged_state_falls_back_to_the_one_before_and_says_so(tmp_path: Path) -> None:
    newest, _ = two_states(tmp_path / "run")
    damaged(newest)
    notes: list[str] = []
    found, step = gone_on(tmp_path / "run", notes)
    assert step == 3
    assert any("the state after step 5 is damaged" in note for note in notes)
    assert told(found) == whole()


@pytest.mark.rest
def test_a_damaged_trace_falls_back_too(tmp_path: Path) -> None:
    two_states(tmp_path / "run")
    trace = place_of(tmp_path / "run") / "trace.records"
    trace.write_bytes(trace.read_bytes()[:-3])
    found, step = gone_on(tmp_path / "run")
    assert step == 3
    assert told(found) == whole()


def test_other_data_and_another_program_are_refused(tmp_path: Path) -> None:
    stopped(tmp_path / "run", 4)
    with pytest.raises(OtherRunError, match="the program builds other objects"):
        gone_on(tmp_path / "run", model=deep())
    assert names(place_of(tmp_path / "run")), "what was kept is still there"


def test_the_folder_has_one_writer(tmp_path: Path) -> None:
    with (
        open_place(tmp_path / "run", KEPT, overwrite=False),
        pytest.raises(RunFolderError, match="another process is writing there"),
        open_place(tmp_path / "run", KEPT, overwrite=False),
    ):
        pass
    assert held(place_of(tmp_path / "run")) is False


ROWS = [{"step": step, "loss": step / 3 if step else float("nan")} for step in range(5)]
"""Of a trace: a row's record takes 25 bytes."""


def journal_of(folder: Path, rows: Sequence[Mapping[str, float]] = ROWS) -> Journal:
    journal = Journal(folder, folder)
    for row in rows:
        journal.append(row)
    journal.commit()
    return journal


@pytest.mark.parametrize(("cut", "left"), [(1, 4), (24, 4), (25, 4), (26, 3), (50, 3), (51, 2)])
def test_a_torn_tail_of_the_trace_is_seen(cut: int, left: int, tmp_path: Path) -> None:
    journal = journal_of(tmp_path)
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-cut])
    assert repr(Journal(tmp_path, tmp_path).go_back(left)) == repr(ROWS[:left])
    with pytest.raises(RunFolderError, match=rf"trace\.records is damaged after row {left}"):
        Journal(tmp_path, tmp_path).go_back(left + 1)
    journal.path.write_bytes(whole)
    damaged(journal.path)
    with pytest.raises(RunFolderError, match="is damaged after row"):
        Journal(tmp_path, tmp_path).go_back(5)


def test_a_row_of_the_trace_comes_back_of_its_types_and_bits(tmp_path: Path) -> None:
    """Whole numbers stay whole, also where a column is so in some rows only; other names in another order are the same row."""
    nan = struct.unpack("<d", bytes.fromhex("010000000000f8ff"))[0]
    rows: list[dict[str, Any]] = [
        {"step": 0, "loss": 0.1, "bad": 0}, {"step": 1, "loss": nan, "bad": 1}, {"step": 2, "loss": -0.0, "bad": 0.5},
        {"loss": 5e-324, "bad": 0.25, "step": 3}, {"step": 2**62, "loss": 2, "bad": float("-inf")},
        {"step": np.int64(5), "loss": np.float64(0.3), "bad": np.float32(0.1)}, {"step": True, "loss": 1e308, "bad": 7},
    ]  # fmt: skip
    journal = journal_of(tmp_path, rows)
    for also in (journal, Journal(tmp_path, tmp_path)):
        back = also.go_back(len(rows))
        for row, wanted in zip(back, rows, strict=True):
            assert tuple(row) == ("step", "loss", "bad")
            for name, value in wanted.items():
                whole = isinstance(value, int | np.integer)
                assert type(row[name]) is (int if whole else float)
                assert row[name] == value if whole else struct.pack("<d", row[name]) == struct.pack("<d", value)
    before = also.path.read_bytes()
    assert also.go_back(3)[2] == rows[2]
    for row in rows[3:]:
        also.append(row)
    also.commit()
    assert also.path.read_bytes() == before, "gone back and on, it is the same file"


@pytest.mark.parametrize(
    "told",
    [b"", b"{}", b'[["step", "loss"], "q"]', b'[["step", "step"], "qd"]', b'[["a", "b"], "qd"]',
     b'[["step", "loss"], "qx"]', b'[["step", "loss"], [1, 2]]', b'[["step", "loss"], [[], []]]',
     b"[[]" * 5000, b'[[], ""]', b'["step", 4]', b"\xff"]
)  # fmt: skip
def test_a_trace_that_does_not_say_its_columns_is_damaged(told: bytes, tmp_path: Path) -> None:
    path = journal_of(tmp_path).path
    record = b"c" + told
    with open(path, "ab") as file:
        file.write(struct.pack("<II", len(record), zlib.crc32(record)) + record)
    assert len(Journal(tmp_path, tmp_path).go_back(5)) == 5
    with pytest.raises(RunFolderError, match="it does not say which columns there are"):
        Journal(tmp_path, tmp_path).go_back(6)
    path.write_bytes(path.read_bytes()[-len(record) - 8 :])
    with pytest.raises(RunFolderError, match=r"it does not say|is damaged after row 0"):
        Journal(tmp_path, tmp_path).go_back(1)


@pytest.mark.parametrize("data", [b"r", b"r" + 15 * b"0", b"r" + 17 * b"0", b"x" + 16 * b"0"])
def test_a_record_that_is_no_row_is_damage(data: bytes, tmp_path: Path) -> None:
    path = journal_of(tmp_path).path
    with open(path, "ab") as file:
        file.write(struct.pack("<II", len(data), zlib.crc32(data)) + data)
    with pytest.raises(RunFolderError, match=r"a row is not of the 2 numbers|is damaged after row 5"):
        Journal(tmp_path, tmp_path).go_back(6)
    path.write_bytes(path.read_bytes()[-len(data) - 8 :])
    with pytest.raises(RunFolderError, match=r"a row is not of the 0 numbers|is damaged after row 0"):
        Journal(tmp_path, tmp_path).go_back(1)


def test_a_state_that_mlnn_has_not_written_is_an_error_and_not_begun_with(tmp_path: Path) -> None:
    """What says of itself that it is whole, and of an object what it cannot be: some are put back already when that is seen."""
    stopped(tmp_path / "run", 3)
    (path,) = names(place_of(tmp_path / "run"))
    state = read_state(path, tmp_path / "run")
    objects = {**state.objects, "objects": [list(entry) for entry in state.objects["objects"]]}
    entry = next(entry for entry in reversed(objects["objects"]) if entry[1] == "instance")
    entry[2] = 0.3
    path.unlink()
    write_state(place_of(tmp_path / "run"), 3, state.about, objects, state.storages)
    with pytest.raises(OtherRunError, match="was not written by mlnn"):
        gone_on(tmp_path / "run")


def test_what_a_damaged_state_says_of_itself_is_shown_on_one_line(tmp_path: Path) -> None:
    stopped(tmp_path / "run", 3)
    (path,) = names(place_of(tmp_path / "run"))
    head = b'{"a": {"dtype": "' + b"x\\n" * 500 + b'", "shape": [], "data_offsets": [0, 0]}}'
    content = len(head).to_bytes(8, "little") + head
    path.unlink()
    path = path.with_name(f"state-3-{hashlib.sha256(content).hexdigest()}.safetensors")
    path.write_bytes(content)
    with pytest.raises(RunFolderError, match="is damaged") as caught:
        read_state(path, tmp_path / "run")
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400


def test_what_a_damaged_object_says_of_itself_is_shown_on_one_line(tmp_path: Path) -> None:
    stopped(tmp_path / "run", 3)
    (path,) = names(place_of(tmp_path / "run"))
    state = read_state(path, tmp_path / "run")
    first, *others = state.objects["objects"]
    objects = {**state.objects, "objects": [[*first[:2], ["class", "a\n" * 500, "b"]], *others]}
    path.unlink()
    write_state(place_of(tmp_path / "run"), 3, state.about, objects, state.storages)
    notes: list[str] = []
    gone_on(tmp_path / "run", notes)
    (note,) = [note for note in notes if "an earlier state is taken" in note]
    assert len(note.splitlines()) == 1
    assert len(note) < 400


@pytest.mark.sampled(2)
@pytest.mark.parametrize("rows", [-1, "4", None, 1.5])
def test_a_state_that_says_of_no_rows_is_damaged(tmp_path: Path, rows: object) -> None:
    stopped(tmp_path / "run", 3)
    (path,) = names(place_of(tmp_path / "run"))
    state = read_state(path, tmp_path / "run")
    path.unlink()
    write_state(place_of(tmp_path / "run"), 3, {**state.about, "rows": rows}, state.objects, state.storages)
    with pytest.raises(RunFolderError, match="is damaged"):
        read_state(names(place_of(tmp_path / "run"))[0], tmp_path / "run")
