"""A sweep: jobs that end badly in every way leave the others alone, and a second call runs what has no answer yet."""

import csv
import json
import time
from pathlib import Path

import pytest
from app_cases import Result, assert_short, command, write

from mlnn.cli.said import jobs, read
from mlnn.cli.sweep import identity, named
from mlnn.runs import read_run

pytestmark = pytest.mark.slow

MODULE = """
import ctypes, os, signal, sys, time
import torch
from torch.nn.functional import softplus


def good(output, target):
    with open("calls", "a") as file:
        file.write("good\\n")
    return softplus(output) - target * output


def diverges(output, target):
    return output * torch.nan


def raises(output, target):
    raise ValueError("planted")


def exits(output, target):
    sys.exit(0)


def leaves(output, target):
    os._exit(0)


def killed(output, target):
    os.kill(os.getpid(), signal.SIGKILL)


def crashes(output, target):
    ctypes.string_at(0)


def hangs(output, target):
    time.sleep(600)


def full(output, target):
    raise MemoryError


def recurses(output, target):
    return recurses(output, target)
"""
BAD = {
    # what the objective does: (exit code of its job, what the table says of it)
    "diverges": (4, "non-finite"),
    "raises": (2, "planted"),
    "exits": (4, "sys.exit(0)"),
    "leaves": (4, "ended with code 0"),
    "killed": (4, "signal 9"),
    "crashes": (4, "signal 11"),
    "full": (4, "ran out of memory"),
    "recurses": (2, "RecursionError"),
    "missing": (2, "unknown objective 'missing'"),
}
GOOD = ["good", "bce_with_logits", "bernoulli_nll"]
SMALL = ("trust=[my_zoo]", "data=spector", "steps=1", "batch_size=16", "model=logistic")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    shape = "# {0}.\n_target_: my_zoo.{0}\n_partial_: true\n"
    made = {f"conf/objective/{name}.yaml": shape.format(name) for name in ("good", "hangs", *BAD) if name != "missing"}
    write(folder, {"my_zoo.py": MODULE} | made)
    return folder


def sweep(home: Path, *words: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        return command("train", "--config-dir", "conf", "-m", *SMALL, *words)


def table(home: Path, out: str) -> dict[str, dict[str, str]]:
    with open(home / out / "sweep.csv", newline="", encoding="utf-8") as file:
        return {row["objective"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def ended(home: Path) -> Result:
    return sweep(home, "objective=" + ",".join([*GOOD[:1], *BAD, *GOOD[1:]]), "out=all")


@pytest.mark.usefixtures("ended")
def test_every_job_is_in_the_table_with_how_it_ended(home: Path) -> None:
    rows = table(home, "all")
    assert set(rows) == {*GOOD, *BAD}
    for name in GOOD:
        assert rows[name]["exit_code"] == "0"
        assert float(rows[name]["loss"]) == read_run(home / f"all/objective={name}").trace["loss"][-1]
    for name, (code, words) in BAD.items():
        assert rows[name]["exit_code"] == str(code), name
        assert words in rows[name]["error"], name
        assert words in (home / f"all/objective={name}.log").read_text(encoding="utf-8"), name


def test_the_gravest_code_counts_and_the_failures_are_named(ended: Result) -> None:
    assert ended.code == 4
    assert_short(ended.err.rpartition("\nto go on")[0] or ended.err)
    assert f"{len(BAD)} of {len(BAD) + len(GOOD)} jobs" in ended.err
    assert "objective=diverges" in ended.err
    assert "to go on: " in ended.err


def test_a_second_call_runs_only_what_has_no_answer(home: Path) -> None:
    words = ("objective=good,diverges,raises", "out=again")
    assert sweep(home, *words).code == 4
    before = (home / "calls").read_text(encoding="utf-8").count("good")
    zoo = home / "my_zoo.py"
    zoo.write_text(MODULE.replace('raise ValueError("planted")', "return good(output, target)"), encoding="utf-8")
    done = sweep(home, *words)
    zoo.write_text(MODULE, encoding="utf-8")
    assert done.code == 4, "the training that ended non-finite is an answer, and stays one"
    rows = table(home, "again")
    assert {name: row["exit_code"] for name, row in rows.items()} == {"good": "0", "diverges": "4", "raises": "0"}
    assert "job 3 of 3" in done.out
    assert "job 1 of" not in done.out
    assert (home / "calls").read_text(encoding="utf-8").count("good") > before, "it was mended, and so it ran"
    assert (home / "again/checksums.json").exists(), "with every answer there the sweep is sealed"
    trace = home / "again/objective=good/trace.csv"
    whole = trace.read_bytes()
    trace.write_bytes(whole[:-3])
    zoo.write_text(MODULE.replace('raise ValueError("planted")', "return good(output, target)"), encoding="utf-8")
    mended = sweep(home, *words)
    zoo.write_text(MODULE, encoding="utf-8")
    assert trace.read_bytes() == whole, "a job whose folder was damaged since is run again"
    assert mended.out.count("job 3 of 3") == 1
    assert "job 2 of 3" not in mended.out


def test_a_job_that_hangs_is_ended_and_the_next_one_runs(home: Path) -> None:
    done = sweep(home, "objective=hangs,good", "job_timeout=30", "out=hung")
    rows = table(home, "hung")
    assert (done.code, rows["hangs"]["exit_code"], rows["good"]["exit_code"]) == (4, "4", "0")
    assert "longer than 30 s" in rows["hangs"]["error"]


def test_a_sweep_with_other_settings_is_refused_and_more_jobs_may_join(home: Path) -> None:
    assert sweep(home, "seed=0,1", "objective=good", "out=more").code == 0
    refused = sweep(home, "seed=0,1", "objective=bce", "out=more")
    assert refused.code == 5
    assert "objective=good" in refused.err
    assert "objective=bce" in refused.err
    done = sweep(home, "seed=0,1,2", "objective=good", "out=more")
    assert (done.code, done.out.count("done (")) == (0, 1)
    assert len(json.loads((home / "more/study.json").read_text(encoding="utf-8"))["of"]["cells"]) == 3


def test_jobs_side_by_side_give_the_bits_of_one_after_the_other(home: Path) -> None:
    for count in (1, 2):
        done = sweep(home, "seed=0,1,2", "objective=good", f"jobs={count}", f"out=by{count}")
        assert (done.code, done.out.count("done (")) == (0, 3)
    for seed in (0, 1, 2):
        traces = [(home / f"by{count}/seed={seed}/trace.csv").read_bytes() for count in (1, 2)]
        assert traces[0] == traces[1]
    rows = []
    for count in (1, 2):
        with open(home / f"by{count}/sweep.csv", newline="", encoding="utf-8") as file:
            rows.append([row | {"seconds": ""} for row in csv.DictReader(file)])
    assert rows[0] == rows[1], "in the order of the combinations, whichever ended first"


def test_two_jobs_do_run_side_by_side(home: Path) -> None:
    words = ("objective=hangs", "seed=0,1,2,3", "job_timeout=20")
    begun = time.monotonic()
    assert sweep(home, *words, "jobs=4", "out=beside").code == 4
    assert time.monotonic() - begun < 4 * 20, "one after the other they take four times as long as one may"


@pytest.mark.parametrize("said", ["0", "-1", "two", "1.5", "true"])
def test_a_number_of_jobs_that_is_none_is_refused_before_any_of_them_runs(home: Path, said: str) -> None:
    done = sweep(home, "seed=0,1", "objective=good", f"jobs={said}", "out=refused")
    assert done.code == 2
    assert done.err.startswith("error: jobs: ")
    assert not (home / "refused").exists()


def test_a_requirement_that_is_not_met_is_an_answer_with_code_1(home: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        small = ("data=spector", "steps=2", "batch_size=16", "model=logistic", "null_twins=0", "require=bitwise")
        done = command("compare", "-m", *small, "objective@right=bce,bernoulli_nll", "out=required")
    assert done.code == 1
    with open(home / "required/sweep.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["objective@right"], row["exit_code"], row["relation"]) for row in rows] == [
        ("bce", "0", "bitwise"),
        ("bernoulli_nll", "1", "equal"),
    ]
    assert {"resolution", "weight_gap", "gradient_gap", "seconds"} <= rows[0].keys()


def test_folders_are_named_by_what_is_swept_and_never_alike() -> None:
    said = read("train", ["-m", "seed=1,2", "model.width=" + ",".join("9" * n for n in (1, 90, 91)), "data=spector"])
    found = named(jobs(said))
    assert [job.name for job in found][:1] == ["seed=1,model.width=9"]
    assert len({job.name for job in found}) == len(found) == 6
    assert all(len(job.name) < 100 and "/" not in job.name for job in found)
    assert found[0].swept == {"seed": "1", "model.width": "9"}
    lists = named(jobs(read("compare", ["-m", "domain=[-5,5],[-6,6]", "+left.tau=0.1,0.2", "data=spector"])))
    assert [job.swept for job in lists][::3] == [
        {"domain": "[-5,5]", "left.tau": "0.1"}, {"domain": "[-6,6]", "left.tau": "0.2"},
    ]  # fmt: skip


def test_what_a_job_is_does_not_depend_on_how_strictly_or_how_large_it_is_shown() -> None:
    base = identity(read("train", ["seed=1", "steps=3"]))
    more = [
        "figure.width=120",
        "figure.format=pdf",
        "jobs=2",
        "job_timeout=9",
        "retry=failed",
        "trust=[zoo]",
        "out=x",
        "require=a",
    ]
    assert identity(read("train", ["seed=1", *more, "steps=3"])) == base == ["seed=1", "steps=3"]
    for word in ("seed=2", "model.width=3", "+figures=3", "~model"):
        assert identity(read("train", ["seed=1", "steps=3", word])) != base
