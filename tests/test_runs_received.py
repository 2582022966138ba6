"""Run folders that somebody sent: what they name, hold or are never acts, never blocks, and ends in a short error."""

import hashlib
import json
import os
import re
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from mlnn.comparing.curves.gather import gather
from mlnn.errors import RunFolderError
from mlnn.runs import CHECKSUMS, new_run, read_run, read_trace
from mlnn.runs import reading as reading_module

PARTS = {
    "config.yaml": "mark: sent\n",
    "trace.csv": "step,loss\n0,0.5\n1,0.25\n",
    "verdict.json": "{}",
    "environment.json": "{}",
    "data.json": '{"name": "spector"}',
    "about.json": "{}",
    "figures/gap.svg": "<svg/>",
}


def send(folder: Path, changed: dict[str, str | bytes] | None = None, extra: dict[str, object] | None = None) -> Path:
    """A run folder as somebody might make it: right checksums of whatever it holds, and `extra` lines among them."""
    digests: dict[str, object] = {}
    for name, text in (PARTS | (changed or {})).items():
        content = text.encode() if isinstance(text, str) else text
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digests[name] = hashlib.sha256(content).hexdigest()
    (folder / CHECKSUMS).write_text(json.dumps(digests | (extra or {})))
    return folder


def refused(folder: Path, match: str) -> str:
    """The error of reading it: short, printable, at once."""
    started = time.perf_counter()
    with pytest.raises(RunFolderError, match=match) as caught:
        read_run(folder)
    message = str(caught.value)
    assert time.perf_counter() - started < 5
    assert len(message.replace(str(folder), "")) < 400
    assert all(character == "\n" or character.isprintable() for character in message)
    return message


def test_an_honest_one_is_read(tmp_path: Path) -> None:
    run = read_run(send(tmp_path / "run"))
    assert run.trace["loss"].tolist() == [0.5, 0.25]
    assert run.data == {"name": "spector"}
    (tmp_path / "run" / ".DS_Store").write_bytes(b"left by a file manager")
    (tmp_path / "link").symlink_to(tmp_path / "run")  # the reader's own link to the folder
    assert read_run(tmp_path / "link").config == "mark: sent\n"


NAMES = [
    "/etc/passwd",
    "../secret",
    "a/../../secret",
    "figures/../../secret",
    "./trace.csv",
    "figures//gap.svg",
    "..",
    ".",
    "",
    "figures/",
    "..\\secret",
    "C:secret",
    "C:/secret",
    "//host/share/secret",
    "NUL",
    "figures/com1.txt",
    "x\x00y",
    "x\ny",
    "\x1b[2Jx",
    "x\u202ey",
    "x" * 300,
    "d/" * 600 + "x",
    "/dev/zero",
    "checksums.json",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_among_the_checksums_never_becomes_a_path_unchecked(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = send(tmp_path / "run", extra={name: hashlib.sha256(b"secret").hexdigest()})
    refused(folder, r"checksums\.json names .* no file inside the run folder")
    with pytest.raises(RunFolderError, match="not a file name inside"), new_run(tmp_path / "new", "compare") as run:
        run.path(name if name != "checksums.json" else "../checksums.json")


def make_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path has to be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


SPECIAL = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link out": lambda path: path.symlink_to(path.parents[1] / "secret"),
    "link inside": lambda path: path.symlink_to(path.parent / "config.yaml"),
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nothing"),
    "folder": lambda path: path.mkdir(),
    "socket": make_socket,
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", ["trace.csv", "about.json", CHECKSUMS, "extra"])
def test_what_is_no_plain_file_is_never_opened(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = send(tmp_path / "run")
    (folder / name).unlink(missing_ok=True)
    if kind == "folder" and name == "extra":
        name = "about.json"
        (folder / name).unlink()
    SPECIAL[kind](folder / name)
    refused(folder, r"link|plain file|cannot read")


def test_a_folder_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    folder = send(tmp_path / "run")
    (folder / "figures" / "gap.svg").rename(tmp_path / "gap.svg")
    (folder / "figures").rmdir()
    (folder / "figures").symlink_to(tmp_path)
    refused(folder, "'figures' is a link")
    with pytest.MonkeyPatch.context() as patch:  # the second lock holds alone
        patch.setattr(reading_module, "_files", lambda _: [])
        refused(folder, r"gap\.svg: cannot read: 'figures' is a link")


def test_a_file_that_nobody_vouched_for_is_noticed(tmp_path: Path) -> None:
    folder = send(tmp_path / "run")
    (folder / "figures" / "more.html").write_text("<script>")
    refused(folder, r"'figures/more\.html' was not there when the run was written")
    (folder / "figures" / "more.html").unlink()
    digests = json.loads((folder / CHECKSUMS).read_text())
    for name in PARTS:
        (folder / CHECKSUMS).write_text(json.dumps({key: value for key, value in digests.items() if key != name}))
        refused(folder, "single run" if name == "trace.csv" else re.escape(name))
    for wrong in (None, 3, [], "", "0" * 63, {"a": 1}, "\x1b"):
        (folder / CHECKSUMS).write_text(json.dumps(digests | {"about.json": wrong}))
        refused(folder, r"no SHA-256 of 'about\.json'")
    (folder / CHECKSUMS).write_text(json.dumps(digests))
    assert read_run(folder).about == {}


JSON = {
    "deep list": '{"a": ' + "[" * 10**5 + "]" * 10**5 + "}",
    "deep object": '{"a":' * 10**5 + "1" + "}" * 10**5,
    "not closed": "[" * 10**6,
    "long integer": '{"a": ' + "9" * 10**5 + "}",
    "long fraction": '{"a": 0.' + "9" * 10**6 + "e9999}",
    "infinite": '{"a": 1e999}',
    "negative": '{"a": -1e999}',
    "NaN": '{"a": NaN}',
    "Infinity": '{"a": -Infinity}',
    "twice": '{"a": 1, "a": 2}',
    "twice, hidden": '{"\\u001b[2J": 1, "\\u001b[2J": 2}',
    "surrogate": '{"a": "\\ud800"}',
    "list": "[]",
    "text": '"x"',
    "empty": "",
    "utf-16": "{}".encode("utf-16"),
    "zero bytes": b"\x00" * 100,
}


@pytest.mark.parametrize("kind", JSON)
@pytest.mark.parametrize("name", ["about.json", "verdict.json", CHECKSUMS])
def test_json_that_cannot_be_meant(tmp_path: Path, kind: str, name: str) -> None:
    content = JSON[kind]
    if name == CHECKSUMS:
        folder = send(tmp_path / "run")
        (folder / CHECKSUMS).write_bytes(content.encode() if isinstance(content, str) else content)
    else:
        folder = send(tmp_path / "run", {name: content})
    refused(folder, re.escape(name) + ": is damaged")


TRACES = {
    "header": "step," + ",".join(f"c{k}" for k in range(10**5)) + "\n",
    "long name": "step," + "c" * 10**6 + "\n",
    "hidden name": "step,\x1b[2Jloss\n0,1.0\n",
    "turned name": "step,\u202essol\n0,1.0\n",
    "space": "step,a loss\n0,1.0\n",
    "long integer": "step,loss\n0,0.5\n1," + "9" * 10**6 + "\n",
    "long fraction": "step,loss\n0,0.5\n1,0." + "9" * 10**6 + "\n",
    "infinite": "step,loss\n0,0.5\n1,1e+999\n",
    "beyond": "step,loss\n0,0.5\n1,2e+308\n",
    "formula": "step,loss\n0,=1+1\n",
    "long exponent": "step,loss\n0,1e-" + "9" * 10**6 + "\n",
}


@pytest.mark.parametrize("kind", TRACES)
def test_a_trace_that_nobody_wrote(tmp_path: Path, kind: str) -> None:
    message = refused(send(tmp_path / "run", {"trace.csv": TRACES[kind]}), r"trace\.csv: line \d")
    assert "line 3" in message or TRACES[kind].count("\n") < 3


def test_infinite_losses_that_were_written_are_read(tmp_path: Path) -> None:
    run = read_run(send(tmp_path / "run", {"trace.csv": "step,loss\n0,inf\n1,-inf\n2,nan\n3,1.7e+308\n"}))
    np.testing.assert_array_equal(run.trace["loss"], [np.inf, -np.inf, np.nan, 1.7e308])


@pytest.mark.parametrize("name", ["trace.csv", "figures/gap.svg", "about.json", CHECKSUMS])
def test_size_is_asked_before_anything_is_read(tmp_path: Path, name: str) -> None:
    folder = send(tmp_path / "run")
    os.truncate(folder / name, 10**13)  # a hole: ten terabytes that take no room
    message = refused(folder, r"more than [\d,]+ bytes")
    assert "most_bytes" in message or name == CHECKSUMS
    if name == "trace.csv":
        with pytest.raises(RunFolderError, match="more than 1,000,000,000"):
            read_trace(folder / name)


def test_the_limit_can_be_raised_and_lowered(tmp_path: Path) -> None:
    folder = send(tmp_path / "run")
    total = sum(len(text) for text in PARTS.values())
    assert read_run(folder, most_bytes=total).config
    with pytest.raises(RunFolderError, match=f"more than {total - 1} bytes"):
        read_run(folder, most_bytes=total - 1)


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = send(tmp_path / "run")
    monkeypatch.setattr(reading_module, "MOST_FILES", 8)
    refused(folder, "more than 8 files")
    monkeypatch.setattr(reading_module, "MOST_FILES", 9)  # with the folder of the figures
    assert read_run(folder)
    refused(send(tmp_path / "named", extra={f"x{k}": "0" * 64 for k in range(9)}), "names 16 files, more than 9")


@pytest.mark.parametrize("name", ["nothing", "x\x00y", "\x1b[2J", "x" * 5000, "~nobody/run", "http://host/run", "-"])
def test_a_folder_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    message = refused(Path(name), "no run folder here")
    assert len(message) < 400
    refused(Path("/dev/zero"), "no run folder here")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "no run folder here")


def test_a_trace_of_its_own_is_a_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trace.csv")
    for path in (tmp_path / "trace.csv", Path("/dev/zero"), tmp_path, tmp_path / "none", Path("x\x00")):
        with pytest.raises(RunFolderError, match="cannot read"):
            read_trace(path)


def test_curves_of_a_trace_without_steps(tmp_path: Path) -> None:
    for number, trace in enumerate(["loss\n0.5\n", "step,loss\n0.5,1.0\n", "step,loss\nnan,1.0\n"]):
        run = read_run(send(tmp_path / str(number), {"trace.csv": trace}))
        with pytest.raises(RunFolderError, match="a column 'step' of whole numbers"):
            gather([run])


def test_names_of_curves_hold_nothing_hidden(tmp_path: Path) -> None:
    about = json.dumps({"left": "\x1b[2J\u202e", "right": ["[red]"] * 10**4})
    run = read_run(
        send(tmp_path / "a\x1b[31m\nb", {"trace.csv": "step,loss_left,loss_right\n0,1,2\n", "about.json": about})
    )
    names = [curve.name for curve in gather([run]).curves]
    assert names == ["a\\x1b[31m\\x0ab \\x1b[2J\\u202e", "a\\x1b[31m\\x0ab a list of 10000"]


@pytest.mark.parametrize("piece", ['{"seed": {"a": [1]}}', '{"seed": [1]}', '{"batch_size": [[[]]]}'])
def test_what_curves_are_compared_by_is_a_word_or_a_number(tmp_path: Path, piece: str) -> None:
    with pytest.raises(RunFolderError, match=r"is damaged: no (seed|batch_size) is"):
        gather([read_run(send(tmp_path / "run", {"about.json": piece}))])


@pytest.mark.parametrize("inside", [True, False])
def test_overwriting_never_goes_through_a_link(tmp_path: Path, inside: bool) -> None:
    """Somebody's folder looks like a run; a link to it stands where the new run is to go."""
    theirs = send(tmp_path / "theirs")
    link = tmp_path / "out"
    link.symlink_to(theirs if inside else tmp_path / "nowhere")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for overwrite in (True, False):
        with pytest.raises(RunFolderError, match="is a link"), new_run(link, "train", overwrite) as run:
            run.write_text("config.yaml", "mine")
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    assert read_run(theirs).config == "mark: sent\n"


def test_a_link_that_appears_while_training_is_left_alone(tmp_path: Path) -> None:
    theirs = send(tmp_path / "theirs")

    def train() -> None:
        with new_run(tmp_path / "out", "train", True) as run:
            run.write_text("config.yaml", "mine")
            (tmp_path / "out").symlink_to(theirs)

    with pytest.raises(RunFolderError, match="is a link"):
        train()
    assert read_run(theirs).config == "mark: sent\n"


def test_what_only_looks_like_a_run_through_links_is_not_replaced(tmp_path: Path) -> None:
    theirs = send(tmp_path / "theirs")
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.png").write_bytes(b"cat")
    for name in ("environment.json", CHECKSUMS):
        (photos / name).symlink_to(theirs / name)
    with pytest.raises(RunFolderError, match="is not an mlnn run"), new_run(photos, "train", True) as run:
        run.write_text("config.yaml", "mine")
    assert (photos / "cat.png").read_bytes() == b"cat"


def test_links_inside_a_replaced_run_are_removed_not_followed(tmp_path: Path) -> None:
    theirs = send(tmp_path / "theirs")
    old = send(tmp_path / "old")
    (old / "more").symlink_to(theirs)
    with new_run(old, "train", True) as run:
        run.write_text("config.yaml", "mine")
    assert read_run(theirs).config == "mark: sent\n"
    assert not (old / "more").exists()
