"""`resume=RUN`, and what is said where that cannot be; `mlnn runs` and what it finds."""

import json
import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from app_cases import SMALL, Result, assert_short, command, listing, rewritten

from mlnn.cli import kept as cli_kept
from mlnn.errors import RunFolderError
from mlnn.runs import read_run
from mlnn.runs.kept import place as placing
from mlnn.runs.kept.keeper import Keeper, Within
from mlnn.runs.kept.place import open_place, place_of
from mlnn.runs.kept.states import names, read_state, step_of, write_state
from mlnn.runs.standing import standing

WORDS = (*SMALL[1:], "steps=6")
PIECES = ("trace.csv", "about.json", "data.json", "report.html")
RACE = ("--config-dir", "conf", "passes=5", "data.rows=64", "ladder=two")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def signalled(at: int, number: int = signal.SIGTERM, times: int = 1) -> Iterator[None]:
    """A signal in the middle of step number `at`."""
    before, done = Keeper.done, Keeper.row

    def row(self: Keeper, given: dict[str, float]) -> None:
        done(self, given)
        if given["step"] == at:
            for _ in range(times):
                os.kill(os.getpid(), number)

    with patch.object(Keeper, "row", row), patch.object(Keeper, "done", before):
        yield


def interrupted(*words: str, at: int = 3) -> Result:
    with signalled(at):
        return command(*words)


def same(one: str, other: str) -> None:
    for name in PIECES:
        assert Path(one, name).read_bytes() == Path(other, name).read_bytes(), name


@pytest.mark.sampled(2, 1)
@pytest.mark.parametrize("name", ["train", "compare"])
def test_a_signal_keeps_the_state_and_resume_goes_on_to_the_same_bits(name: str) -> None:
    more = ("null_twins=1",) if name == "compare" else ()
    assert command(name, *WORDS, *more, "out=whole").code == 0
    done = interrupted(name, *WORDS, *more, "out=part")
    assert done.code == 130
    assert_short(done.err)
    assert "step 4 is kept beside" in done.err
    assert done.err.rstrip().endswith("resume=part")
    assert not Path("part").exists()
    state = json.loads((place_of(Path("part")) / "status.json").read_text(encoding="utf-8"))
    assert (state["state"], state["step"]) == ("interrupted", 4)
    again = command(name, "resume=part")
    assert (again.code, again.err) == (0, "")
    same("whole", "part")
    assert json.loads(Path("part/status.json").read_text(encoding="utf-8"))["state"] == "done"
    assert not place_of(Path("part")).exists()
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("part").rglob("*")}
    last = command(name, "resume=part")
    assert (last.code, last.err) == (0, "")
    assert "is finished; nothing is left to do" in " ".join(last.out.split())
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("part").rglob("*")}


def test_the_same_command_goes_on_too_and_another_one_is_refused_until_it_says_overwrite() -> None:
    assert command("train", *WORDS, "out=whole").code == 0
    interrupted("train", *WORDS, "out=part")
    refused = command("train", *WORDS, "seed=1", "out=part")
    assert refused.code == 5
    assert_short(refused.err)
    assert "seed: 0 → 1" in refused.err
    assert names(place_of(Path("part"))), "what was kept is still there"
    assert command("train", *WORDS, "out=part").code == 0
    same("whole", "part")
    interrupted("train", *WORDS, "out=other")
    assert command("train", *WORDS, "seed=1", "out=other", "overwrite=true").code == 0
    assert read_run("other").trace["loss"][0] != read_run("whole").trace["loss"][0]


def test_a_second_signal_stops_at_once_and_leaves_nothing(home: Path) -> None:
    with signalled(3, times=2):
        done = command("train", *WORDS, "out=part")
    assert done.code == 130
    assert listing(home) == []


def test_another_environment_is_refused_with_what_differs_or_marks_the_run() -> None:
    interrupted("train", *WORDS, "out=part")
    with patch.object(cli_kept, "code", lambda: "another"):
        refused = command("train", "resume=part")
        assert refused.code == 5
        assert_short(refused.err)
        assert "code " in refused.err
        assert "→ another" in refused.err
        assert command("train", "resume=part", "resume_anyway=true").code == 0
    about = read_run("part").about
    assert "went on at step 4 elsewhere: code" in str(about["not_bitwise"])
    assert "went on at step 4 elsewhere" in Path("part/report.html").read_text(encoding="utf-8")


@pytest.fixture
def raced(home: Path) -> Path:
    """A race of two trainings that nobody has stopped."""
    Path("conf/ladder").mkdir(parents=True)
    rungs = "one: [optimizer=sgd, optimizer.lr=0.1]\ntwo: [optimizer=adam]\n"
    Path("conf/ladder/two.yaml").write_text(rungs, encoding="utf-8")
    assert command("estimator", *RACE, "out=whole").code == 0
    return home / "whole"


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C as a terminal has it, where these tests were begun in the background too, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.sampled(4)
@pytest.mark.parametrize(("training", "at"), [(0, 2), (1, 2), (None, 1)], ids=["first", "second", "between"])
def test_a_race_goes_on_where_it_was_stopped_within_a_training_or_between_two(
    raced: Path, training: int | None, at: int
) -> None:
    before, begin, begun = Keeper.done, Keeper.begin, list[tuple[str, int]]()

    def done(self: Keeper, step: int) -> None:
        here = self.place.folder.name == f"training-{training}" or (training is None and not isinstance(self, Within))
        os.kill(os.getpid(), signal.SIGINT) if step == at and here else None
        before(self, step)

    def met(self: Keeper, *given: Any) -> int:
        begun.append((self.place.folder.name.removeprefix(".part.partial-"), begin(self, *given)))
        return begun[-1][1]

    with patch.object(Keeper, "done", done):
        stopped = command("estimator", *RACE, "out=part")
    assert stopped.code == 130
    assert f"step {1 if training is None else training} is kept" in stopped.err
    with patch.object(Keeper, "begin", met):
        assert command("estimator", "--config-dir", "conf", "resume=part").code == 0
    expected = {0: [("run", 0), ("training-0", at + 1), ("training-1", 0)], 1: [("run", 1), ("training-1", at + 1)],
                None: [("run", 1), ("training-1", 0)]}  # fmt: skip
    assert begun == expected[training]
    for name in ("estimator.csv", "estimator.json", "report.html"):
        assert Path("part", name).read_bytes() == (raced / name).read_bytes()


def edited(name: str, change: Callable[[dict[str, object]], object]) -> None:
    rewritten(place_of(Path("part")) / name, change)


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("nothing there", 5, "no run was begun there"),
        ("another command", 2, "is a run of mlnn train, not of compare"),
        ("half deleted", 5, "kept.json"),
        ("a later format", 5, "was begun with format 9"),
        ("what only the command line says", 5, "which only the command line can say"),
        ("with -m", 2, "resume: goes on with one run"),
        ("with out", 2, "no out= beside it"),
    ],
)
def test_what_cannot_go_on_is_said_in_a_few_lines(what: str, code: int, said: str) -> None:
    if what != "nothing there":
        interrupted("train", *WORDS, "out=part")
    name = "compare" if what == "another command" else "train"
    if what == "half deleted":
        (place_of(Path("part")) / "kept.json").unlink()
    if what == "a later format":
        edited("kept.json", lambda told: told.update(format=9))
    if what == "what only the command line says":
        edited("kept.json", lambda told: told.update(words=["trust=[os]"]))
    more = {"with -m": ("-m", "seed=0,1"), "with out": ("out=two",)}.get(what, ())
    before = listing(Path())
    done = command(name, "resume=part", *more)
    assert done.code == code
    assert_short(done.err)
    assert len(done.err.splitlines()) <= 4
    assert said in done.err
    assert listing(Path()) == before


@pytest.mark.parametrize(("name", "mark"), [("train", "#"), ("compare", "@")])
def test_a_state_whose_objects_lack_what_they_hold_is_told_of_and_no_traceback(name: str, mark: str) -> None:
    """It says of itself that it is whole, and all of it can be put back: what is missing is missed later, wherever it is read."""
    interrupted(name, *WORDS, "out=part")
    place = place_of(Path("part"))
    (path,) = names(place)
    state = read_state(path, Path("part"))
    entries = state.objects["objects"]
    last = max(at for at, (own, kind, _) in enumerate(entries) if own[0] == mark and kind == "instance")
    bare = [[*entry[:2], ["tuple", []] if at == last else entry[2]] for at, entry in enumerate(entries)]
    path.unlink()
    write_state(place, step_of(path), state.about, {**state.objects, "objects": bare}, state.storages)
    done = command(name, "resume=part")
    assert done.code == 5
    assert_short(done.err)
    assert f"broke down after it went on from the state after step {step_of(path)} (AttributeError" in done.err
    assert not Path("part").exists()


@pytest.mark.sampled(2)
@pytest.mark.parametrize("last", [True, False], ids=["saving fails", "keeping fails"])
def test_a_full_disk_loses_nothing_that_was_kept(last: bool) -> None:
    assert command("train", *WORDS, "out=whole").code == 0

    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    where = "mlnn.runs.writing.RunFolder.write_text" if last else "mlnn.runs.kept.keeper.write_state"
    failing = RunFolderError("part: cannot write: No space left on device")
    with (
        patch(where, side_effect=failing),
        patch("mlnn.runs.kept.keeper.EVERY", -math.inf),
        patch("mlnn.runs.kept.keeper.SHARE", math.inf),
    ):
        done = command("train", *WORDS, "out=part")
    if last:
        assert done.code == 5
        assert_short(done.err)
        assert "to go on: " in done.err
        assert command("train", "resume=part").code == 0
    else:
        assert done.code == 0
        assert "could not be kept" in done.out
    same("whole", "part")


def test_a_held_folder_is_one_clear_error() -> None:
    interrupted("train", *WORDS, "out=part")
    told = json.loads((place_of(Path("part")) / "kept.json").read_text(encoding="utf-8"))
    with open_place(Path("part").absolute(), told, overwrite=False):
        assert [one.state for one in standing(Path().absolute())] == ["running"]
        done = command("train", "resume=part")
    assert done.code == 5
    assert_short(done.err)
    assert "another process is writing there" in done.err


def half_written(name: str) -> Path:
    path = Path(name)
    path.mkdir()
    (path / "trace.csv").write_text("step\n", encoding="utf-8")
    return path


def test_runs_are_listed_verified_shown_and_cleaned() -> None:
    assert command("train", *WORDS, "out=runs/good").code == 0
    interrupted("train", *WORDS, "out=runs/part")
    gone = 2**22 - 3  # above what this system numbers its processes with
    half_written(f"runs/.x.partial-{gone}-1")
    half_written(f"runs/.y.old-{gone}-1")
    half_written(f"runs/.mine.partial-{os.getpid()}-1")
    found = {one.final.name: one.state for one in standing(Path("runs"))}
    assert found == {"good": "done", "part": "interrupted", "x": "left over", "y": "replaced", "mine": "running"}
    listed = command("runs", "list")
    assert listed.code == 0
    assert all(word in listed.out for word in ("good", "interrupted", "left over"))
    assert command("runs", "verify", "runs").code == 0
    shown = command("runs", "show", "runs/part")
    assert "resume=runs/part" in shown.out.replace("\n", "")
    cleaned = command("runs", "clean")
    assert cleaned.code == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        f".mine.partial-{os.getpid()}-1", ".part.partial-run", "good", "y",
    ]  # fmt: skip
    assert command("runs", "clean", "interrupted=true").code == 0
    assert not place_of(Path("runs/part")).exists()


@pytest.mark.parametrize("what", ["trace.csv", "status.json", "report.html"])
def test_a_changed_file_is_found(what: str) -> None:
    assert command("train", *WORDS, "out=runs/good").code == 0
    path = Path("runs/good", what)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = command("runs", "verify")
    assert done.code == 5
    assert_short(done.err)
    assert f"{what} has changed" in done.err


def test_a_damaged_state_is_found() -> None:
    interrupted("train", *WORDS, "out=runs/part")
    (state,) = names(place_of(Path("runs/part")))
    state.write_bytes(state.read_bytes()[:-1])
    done = command("runs", "verify")
    assert done.code == 5
    assert "the state after step 4 is damaged" in done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("look",), 2, "unknown question 'look'"),
        (("list", "nowhere"), 5, "there is no such folder"),
        (("list", "interrupted=true"), 2, "is for clean"),
        (("show", "nowhere/run"), 5, "there is no such folder"),
    ],
)
def test_what_cannot_be_asked_of_runs(words: tuple[str, ...], code: int, said: str) -> None:
    done = command("runs", *words)
    assert done.code == code
    assert_short(done.err)
    assert said in done.err


def test_a_place_whose_process_died_before_its_first_state_is_cleaned_at_the_next_call() -> None:
    place = placing.place_of(Path("part").absolute())
    place.mkdir()
    (place / "status.json").write_text('{"state": "running", "command": "train"}', encoding="utf-8")
    (place / "trace.records").write_bytes(b"torn")
    assert [one.state for one in standing(Path())] == ["left over"]
    assert command("train", *WORDS, "out=part").code == 0
    assert sorted(listing(Path())) == sorted(["part", *(f"part/{name}" for name in listing(Path("part")))])
