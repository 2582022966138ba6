"""What a disk, a folder or a machine does to a run: a short error, what was kept untouched, nothing half-written; or no matter."""

import errno
import io
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from app_cases import SMALL, Result, assert_short, command, listing
from test_resume import interrupted, same

from mlnn.errors import RunFolderError
from mlnn.runs.kept.journal import Journal
from mlnn.runs.kept.keeper import Keeper
from mlnn.runs.kept.place import place_of, where_differs
from mlnn.runs.kept.states import names

WORDS = (*SMALL[1:], "steps=6")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def refusing(code: int) -> Iterator[None]:
    """A disk that takes nothing: no folder made, no file opened to be written, nothing renamed."""

    def refuse(call: Callable[..., Any], writes: Callable[..., bool]) -> Callable[..., Any]:
        def called(*given: Any, **options: Any) -> Any:
            if writes(*given, **options):
                raise OSError(code, os.strerror(code))
            return call(*given, **options)

        return called

    def opened(_: Any, mode: str = "r", *_more: Any, **_options: Any) -> bool:
        return bool(set(mode) & set("wax+"))

    def flagged(_: Any, flags: int, *_more: Any, **_options: Any) -> bool:
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

    always = {name: refuse(getattr(os, name), lambda *_, **__: True) for name in ("mkdir", "rename", "replace")}
    with patch.multiple(os, open=refuse(os.open, flagged), **always), patch.object(io, "open", refuse(io.open, opened)):
        yield


def contents(folder: Path) -> dict[str, bytes]:
    """All files but how a run in progress stands."""
    files = [name for name in listing(folder) if (folder / name).is_file() and not name.endswith("-run/status.json")]
    return {name: (folder / name).read_bytes() for name in files}


def refused(*words: str, code: int = 5) -> Result:
    """A command that ends in a short error and leaves all as it was."""
    before = contents(Path())
    done = command(*words)
    assert done.code == code, done
    assert_short(done.err)
    assert contents(Path()) == before
    return done


@pytest.mark.sampled(2)
@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC], ids=["read-only", "full"])
@pytest.mark.parametrize("begun", [False, True], ids=["new", "kept"])
def test_a_disk_that_takes_nothing_leaves_what_was_kept(begun: bool, code: int) -> None:
    if begun:
        assert command("train", *WORDS, "out=whole").code == 0
        interrupted("train", *WORDS, "out=part")
    with refusing(code):
        done = refused("train", *(["resume=part"] if begun else [*WORDS, "out=part"]))
    assert os.strerror(code) in done.err
    if begun:
        assert command("train", "resume=part").code == 0
        same("whole", "part")


@pytest.mark.rest
def test_a_disk_that_is_full_when_all_steps_are_done_costs_the_writing_alone() -> None:
    assert command("compare", *WORDS, "out=whole").code == 0
    with (
        ExitStack() as stack,
        patch("mlnn.runs.kept.keeper.EVERY", 0.0),
        patch("mlnn.runs.kept.keeper.SHARE", math.inf),
    ):
        full = refusing(errno.ENOSPC)
        with patch.object(Keeper, "finished", lambda _: stack.enter_context(full)):
            done = command("compare", *WORDS, "out=part")
    assert done.code == 5
    assert_short(done.err)
    assert "No space left on device\nto go on: " in done.err
    assert not Path("part").exists()
    assert [path.name.split("-")[1] for path in names(place_of(Path("part")))] == ["6", "5"]
    assert command("compare", "resume=part").code == 0
    same("whole", "part")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("lost", ["unset", "missing", "gone in the middle"])
def test_no_folder_for_temporary_files_costs_nothing(lost: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("compare", *WORDS, "out=whole").code == 0
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("TMPDIR") if lost == "unset" and "TMPDIR" in os.environ else None
    if lost != "unset":
        monkeypatch.setenv("TMPDIR", str(home / "gone"))
    if lost == "gone in the middle":
        (home / "gone").mkdir()
        assert tempfile.gettempdir() == str(home / "gone")
        shutil.rmtree(home / "gone")
    done = command("compare", *WORDS, "out=part")
    assert (done.code, done.err) == (0, "")
    same("whole", "part")


@pytest.mark.sampled(6, 5)
@pytest.mark.parametrize("what", ["status.json", "trace.records", "run", ".lock", "the newest state", "every state"])
def test_a_half_deleted_folder_goes_on_with_what_there_is(what: str) -> None:
    assert command("train", *WORDS, "out=whole").code == 0
    interrupted("train", *WORDS, "out=part", at=1)
    interrupted("train", "resume=part", at=3)
    place = place_of(Path("part"))
    states = names(place)
    gone = {"the newest state": states[:1], "every state": states}.get(what, [place / what])
    for path in gone:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = command("train", "resume=part")
    assert (done.code, done.err) == (0, "")
    same("whole", "part")
    assert not place.exists()


@pytest.mark.rest
def test_a_finished_run_from_which_a_file_is_gone_is_no_run_to_go_on_with() -> None:
    assert command("train", *WORDS, "out=run").code == 0
    for name in sorted(contents(Path("run"))):
        shutil.copytree("run", "part")
        Path("part", name).unlink()
        done = refused("train", "resume=part")
        assert name in done.err
        shutil.rmtree("part")


def test_a_state_of_a_later_format_is_refused_by_its_number() -> None:
    with patch("mlnn.runs.kept.states.FORMAT", 2):
        interrupted("train", *WORDS, "out=part")
    done = refused("train", "resume=part")
    assert "format 2, and this mlnn reads 1" in done.err
    assert command("runs", "verify", ".").code == 5


def test_what_a_machine_left_that_ended_right_after_the_last_rename_is_taken_away() -> None:
    interrupted("train", *WORDS, "out=part")
    place = place_of(Path("part"))
    shutil.copytree(place, "copy")
    assert command("train", "resume=part").code == 0
    shutil.copytree("copy", place)
    shutil.rmtree(place / "run", ignore_errors=True)
    assert "left over" in command("runs", "list", ".").out
    done = command("train", "resume=part")
    assert (done.code, place.exists()) == (0, False)
    shutil.copytree("copy", place)
    shutil.rmtree(place / "run", ignore_errors=True)
    assert command("runs", "clean", ".").code == 0
    assert sorted(path.name for path in Path().iterdir()) == ["copy", "part"]


def test_a_trace_of_other_columns_is_told_of(tmp_path: Path) -> None:
    journal = Journal(tmp_path, tmp_path / "run")
    journal.append({"step": 0, "left_loss": 0.5})
    with pytest.raises(RunFolderError, match=r"other columns than this run \(left, left_loss\); overwrite=true"):
        journal.append({"step": 1, "left": 0.5})


def test_what_an_environment_says_of_itself_stays_on_one_line() -> None:
    (told,) = where_differs({"platform": "here\n" * 40}, {"platform": "there"})
    assert "\n" not in told
    assert len(told) <= 120
