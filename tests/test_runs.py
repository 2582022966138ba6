"""Run folders under failing disks and sudden death: the final path holds the old run, nothing, or a complete run."""

import contextlib
import errno
import itertools
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from mlnn.errors import RunFolderError
from mlnn.runs import TraceWriter, new_run, read_run, read_trace
from mlnn.runs import writing as runs
from mlnn.runs.environment import environment

ROWS = [{"step": i, "loss": 0.1 / (i + 1), "gap": float("inf") if i == 1 else -1e-300} for i in range(3)]


def fill(run, mark):
    run.write_text("config.yaml", f"mark: {mark}\n")
    with contextlib.closing(TraceWriter(run.path("trace.csv"))) as trace:
        for row in ROWS:
            trace.append(row)
    for name in ("verdict", "environment", "data"):
        run.write_json(f"{name}.json", {"mark": mark})
    run.write_text("figures/gap.svg", "<svg/>")


def write(final, mark, overwrite=True):
    with new_run(final, "compare", overwrite) as run:
        fill(run, mark)


def write_naively(final, mark):
    """The writer that the tests below must catch: straight into the final folder."""
    runs.disk("write", final, final.mkdir, exist_ok=True)
    (final / runs.CHECKSUMS).unlink(missing_ok=True)
    run = runs.RunFolder(final, final)
    fill(run, mark)
    runs.seal(run)


def is_whole(final):
    """Whether nothing stands there, or the old run or the new one: complete and consistent in itself."""
    if not final.exists():
        return True
    try:
        found = read_run(final)
    except RunFolderError:
        return False
    marks = {found.config, *(f"mark: {part['mark']}\n" for part in (found.verdict, found.environment, found.data))}
    return len(marks) == 1 and marks <= {"mark: new\n", "mark: old\n"} and len(found.trace["loss"]) == len(ROWS)


def at_disk_call(patch, is_hit, act):
    """Let `act(call, *args)` stand in for the disk calls whose number (from 1) is a hit; returns the calls seen."""
    seen, real = [], runs.disk

    def disk(doing, path, call, *args, **options):
        seen.append(doing)
        return real(doing, path, *((act, call) if is_hit(len(seen)) else (call,)), *args, **options)

    patch.setattr(runs, "disk", disk)
    return seen


def halve(call, *args, **options):
    """Do half of the call: a text is written to its middle; everything else is done (a file is closed all the same)."""
    name = getattr(call, "__name__", "")
    args = (args[0][: len(args[0]) // 2],) if name in ("write", "write_text") else args
    if name in ("write", "write_text", "close"):
        call(*args, **options)


def fill_up(call, *args, **options):
    halve(call, *args, **options)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def failing(is_hit):
    def attack(writer, final, number):
        with pytest.MonkeyPatch.context() as patch:
            seen = at_disk_call(patch, lambda n: is_hit(n, number), fill_up)
            message = None
            try:
                writer(final, "new")
            except RunFolderError as error:
                message = str(error)
        assert (message is None) == (len(seen) < number)
        assert message is None or "No space left on device" in message
        assert len(os.listdir(final.parent)) <= 1
        return message is None

    return attack


def dying(half):
    def die(call, *args, **options):
        if half:
            halve(call, *args, **options)
        os._exit(9)

    def attack(writer, final, number):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the child touches files only, none of the parent's threads
            child = os.fork()
        if child == 0:
            try:
                at_disk_call(pytest.MonkeyPatch(), lambda n: n == number, die)
                writer(final, "new")
            finally:
                os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    return attack


ATTACKS = {
    "fails once": failing(lambda n, number: n == number),
    "fails for ever": failing(lambda n, number: n >= number),
    "dies before": dying(half=False),
    "dies half-way": dying(half=True),
}


def broken_by(attack, folder, writer, before):
    """Numbers of the disk calls at which an attack leaves something broken, and the number that meets no call."""
    bad = []
    for number in itertools.count(1):
        final = folder / str(number) / "run"
        final.parent.mkdir()
        if before:
            write(final, "old")
        survived = ATTACKS[attack](writer, final, number)
        lost = before and not final.exists() and not list(final.parent.glob(".run.old-*"))
        bad += [number] if lost or not is_whole(final) else []
        if survived:
            assert read_run(final).config == "mark: new\n"
            return bad, number
    raise AssertionError("unreachable")


@pytest.mark.sampled(4)
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_disk_call_can_break_a_run(tmp_path, attack, before):
    bad, calls = broken_by(attack, tmp_path, write, before)
    assert calls > 25
    assert bad == []


@pytest.mark.sampled(2)
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_naive_writer_is_caught(tmp_path, attack):
    bad, calls = broken_by(attack, tmp_path, write_naively, True)
    assert len(bad) > calls // 2


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_nothing(tmp_path, error):
    def interrupted():
        with new_run(tmp_path / "a" / "b" / "run", "compare") as run:
            fill(run, "new")
            raise error

    with pytest.raises(error):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_read_back_bit_for_bit(tmp_path):
    numbers = {"x": 0.1, "n": [float("nan"), float("-inf"), np.float32(0.1)], "k": np.arange(2), "ok": np.bool_(True)}
    with new_run(tmp_path / "run", "compare") as run:
        fill(run, "new")
        run.write_json("verdict.json", numbers)
        assert not run.final.exists()
    found = read_run(run.final)
    assert found.verdict == {"x": 0.1, "n": ["nan", "-inf", float(np.float32(0.1))], "k": [0, 1], "ok": True}
    assert found.trace["step"].dtype == np.int64
    for name in ROWS[0]:
        assert found.trace[name].tolist() == [row[name] for row in ROWS]
    assert (run.final / "figures" / "gap.svg").exists()


def test_without_a_path_two_runs_of_one_second_get_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with new_run(None, "compare") as first, new_run(None, "compare") as second:
        fill(first, "1")
        fill(second, "2")
    assert {read_run(run.final).config for run in (first, second)} == {"mark: 1\n", "mark: 2\n"}
    assert first.final.parent == tmp_path / "runs" / "compare"
    assert sorted(os.listdir(first.final.parent)) == sorted([first.final.name, second.final.name])


def test_what_is_not_ours_is_not_overwritten(tmp_path):
    write(tmp_path / "run", "old")
    with pytest.raises(RunFolderError, match=r"is not empty.*overwrite=true"):
        write(tmp_path / "run", "new", overwrite=False)
    (tmp_path / "photos").mkdir()
    write(tmp_path / "photos", "new", overwrite=False)  # an empty folder is free
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "environment.json").write_text("{}")
    with pytest.raises(RunFolderError, match="is not an mlnn run"):
        write(tmp_path / "notes", "new")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="is a file"):
        write(tmp_path / "file", "new")
    with pytest.raises(RunFolderError, match="Not a directory"):
        write(tmp_path / "file" / "run", "new")
    assert sorted(os.listdir(tmp_path)) == ["file", "notes", "photos", "run"]
    assert read_run(tmp_path / "run").config == "mark: old\n"


def test_a_run_that_appears_meanwhile_is_kept(tmp_path):
    with pytest.raises(RunFolderError, match="is not empty"), new_run(tmp_path / "run", "compare"):
        write(tmp_path / "run", "old")
    assert read_run(tmp_path / "run").config == "mark: old\n"


@pytest.mark.parametrize("name", ["", "../x", "/x", "a/../../x"])
def test_a_file_stays_inside_its_run(tmp_path, name):
    with pytest.raises(RunFolderError, match="inside the run folder"), new_run(tmp_path / "run", "compare") as run:
        run.write_text(name, "x")


def test_a_changed_file_is_named(tmp_path):
    final = tmp_path / "run"
    write(final, "old")
    files = [p for p in final.rglob("*") if p.is_file() and p.name != runs.CHECKSUMS]
    assert len(files) == 6
    for path in files:
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        with pytest.raises(RunFolderError, match=f"{path.name} has changed"):
            read_run(final)
        path.unlink()
        with pytest.raises(RunFolderError, match=f"{path.name}: cannot read: No such file"):
            read_run(final)
        path.write_bytes(content)
    for damage in ("", "{", "[]", '{"a": 1}'[:-1]):
        (final / runs.CHECKSUMS).write_text(damage)
        with pytest.raises(RunFolderError, match=r"checksums\.json: is damaged"):
            read_run(final)
    with pytest.raises(RunFolderError, match="no run folder here"):
        read_run(tmp_path / "elsewhere")


DAMAGED = [
    ("", "line 1 is cut off"),
    ("step,loss", "line 1 is cut off"),
    ("step,step\n", "line 1 is damaged"),
    ("0,0.5\n1,0.25\n", "line 1 is damaged"),
    ("step,loss\n0,0.5\n1,0.2", "line 3 is cut off"),
    ("step,loss\n0,0.5\n1\n", "line 3 is damaged"),
    ("step,loss\n0,0.5,3\n", "line 2 is damaged"),
    ("step,loss\n0,O.5\n", "line 2 is damaged"),
    ("step,loss\n0,1_0\n", "line 2 is damaged"),
    ("step,loss\n0,\n", "line 2 is damaged"),
    ("step,loss\n0,\xff\n", "byte 12 is not UTF-8"),
]


@pytest.mark.parametrize(("text", "line"), DAMAGED)
def test_a_damaged_trace_names_the_line(tmp_path, text, line):
    (tmp_path / "trace.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunFolderError, match=line):
        read_trace(tmp_path / "trace.csv")


def test_a_trace_of_any_floats_and_of_none(tmp_path):
    path = tmp_path / "trace.csv"
    bits = np.random.default_rng(0).integers(0, 2**64, 3000, dtype=np.uint64).view(np.float64)
    with contextlib.closing(TraceWriter(path)) as trace:
        for value in bits:
            trace.append({"x": value, "half": np.float32(value > 0), "count": np.int64(2**62)})
    found = read_trace(path)
    np.testing.assert_array_equal(found["x"], bits)
    assert found["count"].dtype == np.float64  # 19 digits may not fit int64
    path.write_text("step,loss\n")
    assert {name: len(column) for name, column in read_trace(path).items()} == {"step": 0, "loss": 0}


def test_rows_hold_to_the_header(tmp_path):
    trace = TraceWriter(tmp_path / "trace.csv")
    for row in ({}, {"a,b": 1}, {"a b": 1}, {"": 1}):
        with pytest.raises(RunFolderError, match="no comma, quote or space"):
            trace.append(row)
    trace.append({"step": 0, "loss": 1.0})
    for row, name in (
        ({"step": 1}, "loss"),
        ({"step": 1, "loss": 2, "gap": 3}, "gap"),
        ({"step": 1, "los": 2}, "los, loss"),
    ):
        with pytest.raises(RunFolderError, match=f"differs from the header in: {name}$"):
            trace.append(row)
    trace.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the disk that is always full")
def test_a_full_disk_under_the_trace():
    trace = TraceWriter(Path("/dev/full"))
    trace.append(ROWS[0])
    with pytest.raises(RunFolderError, match="No space left on device"):
        trace.close()


def test_the_environment_is_json_and_names_nobody(tmp_path, monkeypatch):
    found = environment()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [name for name in ("python", "torch", "numpy", "threads", "time") if not found[name]] == []
    text = json.dumps(found)
    assert str(Path.cwd()) not in text
    assert str(Path.home()) + "/" not in text
    assert os.uname().nodename not in (text if len(os.uname().nodename) > 3 else "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert environment()["git"] is None  # no git, no repository: still no error
