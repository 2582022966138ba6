"""`mlnn diff`: panel, page, exit codes; and recordings that somebody else sent, which are data."""

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from app_cases import assert_short, command, rewritten
from diff_cases import train

import mlnn
from mlnn.comparing.relations import ORDER
from mlnn.errors import DataError
from mlnn.recording.differing.page import MEANINGS, diff_page
from mlnn.recording.frames import HEAD, MAGIC


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("pair")
    plans: dict[str, dict[str, Any]] = {"a": {}, "same": {}, "flipped": {"flipped": True}, "faster": {"faster": 2}}
    return {name: train(out / name, **plan) for name, plan in plans.items()}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_command_shows_a_panel_and_a_page(folders: dict[str, Path]) -> None:
    done = command("diff", str(folders["a"]), str(folders["faster"]), "page=side.html")
    assert (done.code, done.err) == (0, "")
    told = " ".join(done.out.split())
    for words in ("different", "the weights are the first to differ", "0.1 in A and 0.11", "random state", "side.html"):
        assert words in told
    page = Path("side.html").read_text(encoding="utf-8")
    for words in ("Stage by stage", "the weights are the first to differ", "explained by rounding", "0.weight"):
        assert words in page
    assert "<script src=" not in page


@pytest.mark.parametrize(
    ("other", "require", "code"),
    [("same", "bitwise", 0), ("flipped", "equal", 0), ("flipped", "bitwise", 1), ("faster", "scaled", 1)],
)
def test_what_is_required(folders: dict[str, Path], other: str, require: str, code: int) -> None:
    done = command("diff", str(folders["a"]), str(folders[other]), f"require={require}")
    assert done.code == code
    assert Path("diff.html").is_file()
    if code:
        assert f"required '{require}', found" in done.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "recordings: none given"),
        (("a",), 2, "recordings: 1 given"),
        (("a", "a", "a"), 2, "recordings: 3 given"),
        (("a", "nowhere"), 3, "nowhere: no recording here"),
        (("a", "a", "require=eqal"), 2, "'eqal'"),
        (("a", "a", "page=no/such/x.html"), 5, "page: "),
    ],
)
def test_bad_usage(folders: dict[str, Path], words: tuple[str, ...], code: int, told: str) -> None:
    done = command("diff", *(str(folders[word]) if word in folders else word for word in words))
    assert (done.code, done.out.strip()) == (code, "")
    assert_short(done.err)
    assert told in done.err
    assert os.listdir() == []


def test_a_page_of_every_relation(folders: dict[str, Path]) -> None:
    assert set(MEANINGS) == set(ORDER)
    for other in ("same", "flipped", "faster"):
        found = mlnn.diff(folders["a"], folders[other])
        page = diff_page(found)
        assert MEANINGS[found.relation] in page
        assert ("Set otherwise" in page) == bool(found.settings)
        assert ("<h2>Parameters" in page) == (found.relation != "bitwise")


def test_the_band_of_the_page_ends_where_the_two_part(folders: dict[str, Path]) -> None:
    found = mlnn.diff(folders["a"], folders["faster"])
    assert [allowed == allowed for allowed in found.allowed] == [True, True, True, False, False, False]


def edited(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        rewritten(folder / name, change)

    return act


def reframed(place: int, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """A frame whose JSON says something else, with a checksum that fits."""

    def act(folder: Path) -> None:
        raw, found = (folder / "steps.bin").read_bytes(), []
        while raw:
            _, text, size, _ = HEAD.unpack(raw[: HEAD.size])
            found.append((raw[HEAD.size : HEAD.size + text], raw[HEAD.size + text : HEAD.size + text + size]))
            raw = raw[HEAD.size + text + size :]
        told = json.loads(found[place][0])
        change(told)
        found[place] = json.dumps(told).encode(), found[place][1]
        frames = [HEAD.pack(MAGIC, len(t), len(r), zlib.crc32(r, zlib.crc32(t))) + t + r for t, r in found]
        (folder / "steps.bin").write_bytes(b"".join(frames))

    return act


def fifo(folder: Path) -> None:
    (folder / "steps.bin").unlink()
    os.mkfifo(folder / "steps.bin")


def link(folder: Path) -> None:
    (folder / "steps.bin").rename(folder / "elsewhere")
    (folder / "steps.bin").symlink_to(folder / "elsewhere")


def huge(folder: Path) -> None:
    with open(folder / "steps.bin", "r+b") as file:
        file.write(struct.pack("<4sIII", MAGIC, 2**31, 2**31, 0))


REFUSED = {
    "no settings": lambda folder: (folder / "recording.json").unlink(),
    "a device": fifo,
    "a link": link,
    "a frame of 4 GB": huge,
    "steps of something else": lambda folder: (folder / "steps.bin").write_bytes(b"PK" + bytes(200)),
    "settings of something else": lambda folder: (folder / "recording.json").write_text("[]"),
    "a name twice": edited("recording.json", lambda told: told["parameters"].append(told["parameters"][0])),
    "as many processes as there are atoms": edited("recording.json", lambda told: told.update(ranks=10**400)),
    "a negative rank": edited("recording.json", lambda told: told.update(rank=-1)),
    "a step that falls": reframed(3, lambda told: told.update(step=0)),
    "a step beyond counting": reframed(6, lambda told: told.update(step=10**30)),
    "a loss that is missing": reframed(2, lambda told: told.update(arrays=[])),
    "rows that are words": reframed(2, lambda told: told["forwards"][0].update(rows="\x1b[31mmany")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_recording_that_is_damaged_is_one_short_error(name: str) -> None:
    REFUSED[name](train(Path("mine")))
    done = command("diff", "mine", "mine")
    assert (done.code, done.out.strip()) == (3, "")
    assert_short(done.err)
    assert "mine" in done.err
    assert "\x1b" not in done.err
    assert not Path("diff.html").exists()


def test_names_that_somebody_chose_are_shown_and_do_nothing(folders: dict[str, Path]) -> None:
    evil = "\x1b[31m<script>alert(1)</script>" + "x" * 5000

    def renamed(told: Any) -> None:
        told["parameters"][0]["name"] = evil
        told["about"] = {evil: evil}
        told["groups"][0]["weight_decay"] = evil

    edited("recording.json", renamed)(train(Path("mine")))
    other = command("diff", str(folders["a"]), "mine")
    assert other.code == 0
    assert "'0.weight' of A is not in B" in " ".join(other.out.split())
    assert len(other.out) < 20_000
    edited("recording.json", renamed)(train(Path("its"), faster=2))
    done = command("diff", "mine", "its")
    page = Path("diff.html").read_text(encoding="utf-8")
    for text in (other.out, done.out, page):
        assert "\x1b[31m" not in text
    assert "<script>alert" not in page
    assert "the weights are the first to differ" in " ".join(done.out.split())


def test_a_dtype_that_nobody_knows_is_undecided() -> None:
    edited("recording.json", lambda told: told["parameters"][0].update(dtype="float31"))(train(Path("mine")))
    found = mlnn.diff("mine", "mine")
    assert found.relation == "undecided"
    assert "'float31', whose rounding is not known" in found.sentence


def test_a_capsule_that_is_damaged_leaves_the_usual_yardstick(folders: dict[str, Path]) -> None:
    made = train(Path("mine"), capsules=(0,))
    assert "one ulp" in mlnn.diff(folders["flipped"], made).yardstick
    for text in ("[]", '{"null": {"loss": -1, "gradient": "inf", "again": 3}}', '{"null": 7}', "\x00"):
        (made / "capsules" / "0" / "capsule.json").write_text(text, encoding="utf-8")
        found = mlnn.diff(folders["flipped"], made)
        assert (found.relation, "one ulp" in found.yardstick) == ("equal", False)


def test_numbers_that_are_none_are_told_as_such_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    made = train(Path("mine"))
    raw = bytearray((made / "steps.bin").read_bytes())
    _, text, size, _ = HEAD.unpack(raw[: HEAD.size])
    for place in range(0, size, 8):
        raw[HEAD.size + text + place : HEAD.size + text + place + 8] = struct.pack("<d", 1e308)
    body = bytes(raw[HEAD.size : HEAD.size + text + size])
    raw[: HEAD.size] = HEAD.pack(MAGIC, text, size, zlib.crc32(body))
    (made / "steps.bin").write_bytes(bytes(raw))
    found = mlnn.diff(made, train(Path("its")))
    assert (found.relation, found.stage) == ("different", "weights")
    diff_page(found)
    assert [str(one.message) for one in recwarn] == []
    with pytest.raises(DataError, match="no recording here"):
        mlnn.diff("\0", "its")
