"""Is anything of a sweep lost where its jobs are bad and its caller is killed? Sixty jobs, fifteen of them bad, ten kills.

    python experiments/benchmarks/sweep_by_force.py FOLDER [launcher=joblib] [jobs=60] [bad=15] [kills=10]

Kills the process that sweeps (SIGKILL, that one alone) again and again, always a little later, and each time calls the same command
anew; then lets it end, and looks: every job is in the table, every good one has a whole run folder and all of them the same bits,
every bad one is named with what it did, and no job was begun again after its row said that it had ended. What has been
done so far lies in FOLDER, and the same command goes on with it. Exits with 1 where something was lost.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlnn import load
from mlnn.runs import damage
from mlnn.runs.jobs import JobRow, read_row

BAD = {
    "raises": "planted",
    "exits": "sys.exit(0)",
    "killed": "signal 9",
    "hangs": "took longer than",
    "diverges": "non-finite",
    "starves": "ran out of memory",
}
"""What a bad job does, and words by which the table is to name it."""
LAUNCHERS = {"here": ("jobs=2",), "joblib": ("hydra/launcher=joblib", "jobs=2"),
             "submitit": ("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=30"),
             "ray": ("hydra/launcher=ray",)}  # fmt: skip
TIMEOUT = 60
"""Seconds to a job: one that is good takes two, and twenty on a machine that is busy with other things."""
MODULE = """
import os, resource, signal, sys, time
import torch
from torch.nn.functional import softplus

_begun = False


def _begin(name):
    global _begun
    if not _begun:
        _begun = True
        with open(os.environ["BY_FORCE_BEGUN"], "a") as file:
            file.write(name + "\\n")


def good(output, target, *, name):
    _begin(name)
    return softplus(output) - target * output


def raises(output, target, *, name):
    _begin(name)
    raise ValueError("planted")


def exits(output, target, *, name):
    _begin(name)
    sys.exit(0)


def killed(output, target, *, name):
    _begin(name)
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(output, target, *, name):
    _begin(name)
    time.sleep(3600)


def diverges(output, target, *, name):
    _begin(name)
    return output * torch.nan


def starves(output, target, *, name):
    _begin(name)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, resource.RLIM_INFINITY))
    return output + torch.ones(2**30, dtype=torch.float64).sum()
"""


@dataclass(frozen=True)
class Force:
    """How many jobs, how many of them bad, how often the caller is killed, and where jobs run."""

    launcher: str = "here"
    jobs: int = 60
    bad: int = 15
    kills: int = 10
    timeout: int = TIMEOUT

    @property
    def names(self) -> list[str]:
        """The jobs in the order of the sweep: the bad ones spread among the good."""
        kinds = [list(BAD)[number % len(BAD)] for number in range(self.bad)]
        every = max(1, self.jobs // max(self.bad, 1))
        found = []
        for number in range(self.jobs):
            kind = kinds.pop() if kinds and (number % every == 0 or self.jobs - number <= len(kinds)) else "good"
            found.append(f"{kind}_{number:02}")
        return found


def prepare(folder: Path, force: Force) -> None:
    """The user's module and a config a job."""
    conf = folder / "conf" / "objective"
    conf.mkdir(parents=True, exist_ok=True)
    (folder / "forced.py").write_text(MODULE, encoding="utf-8")
    for name in force.names:
        text = f"# {name}.\n_target_: forced.{name.partition('_')[0]}\n_partial_: true\nname: {name}\n"
        (conf / f"{name}.yaml").write_text(text, encoding="utf-8")


def call(folder: Path, force: Force) -> "subprocess.Popen[bytes]":
    """The sweep, in a process of its own; what it says goes to a log."""
    words = ["-m", "trust=[forced]", "data=spector", "model=logistic", "steps=1", "batch_size=16", "retry=none", "out=sweep",
             f"job_timeout={force.timeout}", f"objective={','.join(force.names)}", *LAUNCHERS[force.launcher]]  # fmt: skip
    surroundings = os.environ | {
        "BY_FORCE_BEGUN": str(folder.resolve() / "begun"),
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    with open(folder / "said.log", "ab") as log:
        return subprocess.Popen([sys.executable, "-m", "mlnn", "train", "--config-dir", "conf", *words],
                                cwd=folder, env=surroundings, stdout=log, stderr=log, start_new_session=True)  # fmt: skip


def rows(folder: Path, force: Force) -> dict[str, JobRow | None]:
    """The row of every job."""
    return {name: read_row(folder / "sweep", f"objective={name}") for name in force.names}


def begun(folder: Path) -> Counter[str]:
    """How often each job was begun."""
    path = folder / "begun"
    return Counter(path.read_text(encoding="utf-8").split()) if path.exists() else Counter()


def ended(folder: Path, force: Force) -> list[str]:
    """The jobs whose rows say that they have ended."""
    return [name for name, row in rows(folder, force).items() if row is not None and row.ended]


def kill_often(folder: Path, force: Force) -> None:
    """Call and kill, as often as is left to do; note after each kill how often what had ended was begun."""
    noted = folder / "kills.jsonl"
    done = len(noted.read_text(encoding="utf-8").splitlines()) if noted.exists() else 0
    for number in range(done, force.kills):
        chance = random.Random(number)
        goal = number * force.jobs // (force.kills + 1)
        process = call(folder, force)
        while process.poll() is None and len(ended(folder, force)) <= goal:
            time.sleep(0.1)
        time.sleep(chance.uniform(0.0, 1.5))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        counts = begun(folder)
        with open(noted, "a", encoding="utf-8") as file:
            kept = {name: counts[name] for name in ended(folder, force)}
            file.write(json.dumps({"code": process.returncode, "ended": kept}) + "\n")
        print(f"kill {number + 1} of {force.kills}: {len(kept)} of {force.jobs} jobs had ended", flush=True)


def lost(folder: Path, force: Force) -> list[str]:
    """What is wrong with the sweep in `folder`, a sentence each; nothing where all is well."""
    found = [*_wrong_rows(folder, force), *_begun_again(folder)]
    good = [name for name in force.names if name.startswith("good")]
    whole = [name for name in good if damage(folder / "sweep" / f"objective={name}") is None]
    found += [f"{name}: its run folder is not whole" for name in good if name not in whole]
    bits = {_digest(folder / "sweep" / f"objective={name}" / "trace.csv") for name in whole}
    found += [f"{len(bits)} different traces of the same training"] * (len(bits) > 1)
    table = load(folder / "sweep")
    if sorted(table["job"]) != sorted(f"objective={name}" for name in force.names):
        found.append(f"the table has {len(table)} rows")
    return found


def _wrong_rows(folder: Path, force: Force) -> list[str]:
    found = []
    for name, row in rows(folder, force).items():
        kind = name.partition("_")[0]
        if row is None or not row.ended:
            found.append(f"{name}: has not ended")
        elif kind == "good" and row.code != 0:
            found.append(f"{name}: is good and ended with {row.code}: {row.error}")
        elif kind != "good" and BAD[kind] not in str(row.error):
            found.append(f"{name}: is named by {row.error!r}, not by '{BAD[kind]}'")
    return found


def _begun_again(folder: Path) -> list[str]:
    """Jobs that were begun once more after a kill found them ended."""
    counts, notes = begun(folder), folder / "kills.jsonl"
    lines: Sequence[str] = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
    found = dict.fromkeys(
        name for line in lines for name, count in json.loads(line)["ended"].items() if counts[name] > count
    )
    return [f"{name}: was begun again after it had ended" for name in found]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def by_force(folder: Path, force: Force) -> list[str]:
    """All of it: kills, the last call, and what was lost."""
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder, force)
    kill_often(folder, force)
    code = call(folder, force).wait()
    expected = 4 if force.bad else 0
    return [*lost(folder, force), *([f"the last call ended with {code}"] if code != expected else [])]


def main(words: Sequence[str]) -> int:
    """What the script does; its exit code."""
    said: Mapping[str, str] = dict(word.split("=", 1) for word in words[1:])
    numbers = {key: int(value) for key, value in said.items() if key != "launcher"}
    force, folder = Force(launcher=said.get("launcher", "here"), **numbers), Path(words[0])
    begin = time.monotonic()
    found = by_force(folder, force)
    table = load(folder / "sweep")
    counts = table["status"].value_counts()
    told = f"{counts.get('done', 0)} results, {counts.get('failed', 0)} named failures, {len(found)} faults"
    tried = f"{sum(begun(folder).values())} begun for {force.jobs} jobs, {time.monotonic() - begin:.0f} s"
    print(f"{force.launcher}: {told}, {tried}")
    print(*found, sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
