"""Logs that somebody sent: whatever they hold is read, or refused in one short error with exit code 3, and never acted upon."""

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from app_cases import assert_short, command
from log_cases import checksum, events, record, scalar

from mlnn.comparing.curves.gather import source
from mlnn.errors import ConfigError, DataError
from mlnn.logs import Limits, read_log

Arm = Callable[[Path], None]


def holding(content: str | bytes) -> Arm:
    def arm(path: Path) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return arm


def long_line(path: Path) -> None:
    """100 MB in one line, most of it a hole in the file."""
    with path.open("wb") as file:
        file.write(b'{"step": 1, "loss": "')
        file.seek(100_000_000)
        file.write(b'"}\n')


def folder(*arms: tuple[str, Arm]) -> Arm:
    def arm(path: Path) -> None:
        path.mkdir()
        for name, one in arms:
            one(path / name)

    return arm


def flipped(at: int) -> bytes:
    content = bytearray(events())
    content[at] ^= 1
    return bytes(content)


HUGE = struct.pack("<Q", 2**63)
CSV = holding("step,loss\n1,2\n")
REFUSED: dict[str, tuple[Arm, str]] = {
    "nothing there": (lambda _: None, "there is no file or folder of this name"),
    "empty": (holding(""), "is empty"),
    "a pipe": (os.mkfifo, "it is a pipe"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
    "a link to nowhere": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "something else": (holding(bytes(range(256)) * 20), "is no log that is read"),
    "a table without steps": (holding("a,b\n1,2\n"), "is no log that is read"),
    "a picture's text": (holding("<svg></svg>"), "is no log that is read"),
    "a million columns": (holding("step," + ",".join(f"c{i}" for i in range(10**6)) + "\n"), "line 1 is longer than"),
    "many columns": (holding("step," + ",".join(map(str, range(10**4))) + "\n"), "more than 10,000 series"),
    "many series": (
        holding("".join(f'{{"step": {i}, "l{i}": 1}}\n' for i in range(10_001))), "more than 10,000 series"
    ),
    "a column twice": (holding("step,a,a\n1,2,3\n"), "names the column 'a' twice"),
    "too many cells": (holding("step,a\n1,2\n1,2,3\n4,5\n"), "line 3 has 3 cells; the header names 2"),
    "too few cells": (holding("step,a\n1\n4,5\n"), "line 2 has 1 cells"),
    "a step that is none": (holding("step,a\n1.5,2\n"), "line 2 has '1.5' in column 'step'"),
    "a step of text": (holding("step,a\n\x1b[2J,2\n"), r"'\x1b[2J' in column 'step'"),
    "a step beyond 64 bits": (holding("step,a\n99999999999999999999,2\n"), "a step is a whole number"),
    "a step that is infinite": (holding("step,a\ninf,2\n"), "a step is a whole number"),
    "a quote without end": (holding('step,a\n1,"' + "x\n" * 10**5), "cannot be read as CSV"),
    "no numbers": (holding("step,a\n1,x\n2,y\n"), "no column beside the step holds numbers; found 'a'"),
    "no UTF-8": (holding(b"step,a\n1,2\n3,\xff\n"), "line 3 is not UTF-8 text"),
    "a line of 100 MB": (long_line, "line 1 is longer than 1,000,000 bytes"),
    "deep": (holding("[" * 10**5), "is nested too deep"),
    "a deep line": (holding('{"step": 1, "loss": 2}\n{"a": ' + '{"a": ' * 10**5 + "\n{}\n"), "line 2 is no JSON object"),
    "no JSON": (holding('{"step": 1,\n "loss": }'), "is no JSON: line 2"),
    "a line that is no object": (holding('{"step": 1, "loss": 2}\n[1]\n{}\n'), "line 2 is no JSON object"),
    "another JSON": (holding('{"lr": 1,\n"b": 2}'), "'log_history'"),
    "a history that is none": (holding('{"log_history": 3}'), "holds neither"),
    "a history of numbers": (holding('{"log_history": [3]}'), "entry 1 of its records is no object"),
    "a list of numbers": (holding("[1, 2]"), "entry 1 of its records is no object"),
    "a step that is a list": (holding('{"step": [1], "loss": 2}\n'), "line 1 has [1] for 'step'"),
    "a step that is true": (holding('{"step": true, "loss": 2}\n'), "line 1 has True for 'step'"),
    "records without steps": (holding('{"loss": 2}\n{"loss": 3}\n'), "none of its 2 records has a step"),
    "a number of 5000 digits": (holding('[{"step": 1, "loss": ' + "9" * 5000 + "}]"), "is no JSON"),
    "records without numbers": (holding('{"step": 1, "loss": "x"}\n'), "holds no number of any step"),
    "an event of 2^63 bytes": (holding(HUGE + checksum(HUGE) + b"x" * 50), "holds no number of any step"),
    "a length that is damaged": (holding(flipped(40)), "is damaged: the length of record 2, at byte 40"),
    "an event that is damaged": (holding(flipped(60)), "is damaged: the checksum of record 2"),
    "a last length that is damaged": (
        holding(events() + HUGE + b"abcd"), "is damaged: the length of record 6, at byte"
    ),
    "an event that is none": (holding(record(b"\x2a\xff\xff\xff\x7f")), "record 1 is no event"),
    "a field of no known kind": (holding(record(b"\x0b")), "record 1 is no event"),
    "a varint without end": (holding(record(b"\x10" + b"\xff" * 11)), "record 1 is no event"),
    "a tag that is no text": (holding(record(scalar("loss", 1, 1.0).replace(b"loss", b"\xff\xff\xff\xff"))), "record 1 is no"),
    "a folder of nothing": (folder(), "holds no run folder and no log"),
    "a folder of folders": (folder(("a", folder()), ("b\x1b", folder())), r"each may be one: a, b\x1b"),
    "a folder of links": (folder(("a", lambda path: path.symlink_to("/dev/zero"))), "holds no run folder and no log"),
    "a folder of pipes": (folder(("a", os.mkfifo)), "holds no run folder and no log"),
    "a folder of two logs": (folder(("a.csv", CSV), ("b.csv", CSV)), "holds several logs: name one of a.csv, b.csv"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_a_few_words(name: str) -> None:
    arm, words = REFUSED[name]
    arm(Path("x"))
    begun = time.process_time()
    with pytest.raises(DataError) as caught:
        source("x")
    assert words in str(caught.value)
    assert_short(f"error: {caught.value}")
    assert time.process_time() - begun < 3


@pytest.mark.parametrize(
    "name", ["nothing there", "a pipe", "deep", "an event that is damaged", "a folder of two logs"]
)
def test_the_command_ends_with_the_code_of_bad_data(name: str) -> None:
    REFUSED[name][0](Path("x"))
    done = command("curves", "x")
    assert (done.code, done.out) == (3, "")
    assert_short(done.err)
    assert not Path("curves.html").exists()


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(bytes=10), "more than 10 bytes, and is not read. If it should be: most_bytes=…"),
        (Limits(points=1), "more than 1 points, and is not read. If it should be: most_points=…"),
        (Limits(series=1), "more than 1 series, and is not read. If it should be: most_series=…"),
    ],
)
@pytest.mark.parametrize(
    "content",
    [
        b"step,a,b\n1,2,3\n2,3,4\n",
        b'{"step": 1, "a": 2, "b": 3}\n{"step": 2, "a": 2}\n',
        b'[{"step": 1, "a": 2, "b": 3}, {"step": 2, "a": 2}]',
        events() + record(scalar("b", 1, 1.0)),
    ],
)
def test_a_log_is_no_larger_than_was_said(limits: Limits, words: str, content: bytes) -> None:
    Path("x").write_bytes(content)
    assert read_log("x")
    with pytest.raises(DataError, match=words):
        read_log("x", limits)
    Path("folder").mkdir()
    Path("x").rename("folder/x")
    with pytest.raises(DataError, match=words):
        read_log("folder", limits)


def test_a_limit_is_a_whole_number() -> None:
    with pytest.raises(ConfigError, match=r"most_bytes: must be a whole number of at least 1, found 0\.5"):
        Limits(bytes=0.5)  # type: ignore[arg-type]


def test_links_and_pipes_beside_a_log_are_said_and_not_followed() -> None:
    folder(("a", CSV), ("b", os.mkfifo), ("c", lambda path: path.symlink_to("a")))(Path("x"))
    log = read_log("x")
    assert log.notes == ("links and pipes in it are not read: b, c.",)
    assert log.series["loss"].value.tolist() == [2.0]


def test_names_that_somebody_chose_are_shown_escaped() -> None:
    hostile = "\x1b[31m loss</script>"
    Path("a\x1bb").write_text(f'step,"{hostile}"\n1,2\n2,1\n', encoding="utf-8")
    done = command("curves", "a\x1bb", "page=x.html")
    assert done.code == 0, done.err
    assert "\x1b[31m" not in done.out
    page = Path("x.html").read_text(encoding="utf-8")
    assert "\x1b" not in page
    assert "loss</script>" not in page
    assert r"\x1b[31m loss&lt;/script&gt;" in page
