"""Would the tests notice? Random single changes to the core of mlnn, each put to the tests that execute its line.

A change flips a comparison, takes `and` for `or`, drops a `not`, or makes a constant a thousand times as large. It is noticed
where a test fails that passes without it, or does not end. One that no test notices is listed: either the line does nothing, or
nothing holds it. The tests are those of `make test`, and which of them execute a line is measured first and kept (a quarter of an
hour); then a change takes seconds. It is no part of `make test`, and needs coverage.py: `pip install 'mlnn[bench]'`.

    python experiments/benchmarks/mutations.py --changes 100 --seed 0 [--folder comparing] [--jobs 2] [--out missed.json]
    python experiments/benchmarks/mutations.py --again missed.json --budget 400
    python experiments/benchmarks/mutations.py --every [--folder comparing] [--only decide] --out all.json
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from mutation_map import BUDGET, Map
from mutation_sites import ROOT, Change, drawn, sites
from mutation_tests import HEAVY, PROCESSES, Asked, Server, touched

FOLDERS = ("auditing", "auditing_models", "comparing", "estimating", "lifting", "likelihoods", "logs", "objectives", "recording",
           "targets", "training")  # fmt: skip
KEPT = ROOT / ".mutations"
FEW = 5
"""Files of tests that are imported first: to import them all takes longer than most tests."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome:
    """What became of a change: noticed by a test, or not, by so many, after `seconds`."""

    change: Change
    noticed: bool
    by: str
    asked: int
    seconds: float


@dataclass(frozen=True)
class Place:
    """A copy of the repository, and its tests waiting."""

    house: Path
    server: Server

    def put_to_the_tests(self, change: Change, kept: Map) -> Outcome:
        """Make the change, run the tests that execute it until one fails, and undo it.

        A test that fails in the same process without the change, too, notices nothing: it is left out, and the rest are asked.
        """
        begun = time.monotonic()
        tests = kept.chosen(change)
        left, by = tests, ""
        while left and not by:
            by = self._failing(change, left, kept)
            if not by:
                break
            name = by.partition(" (")[0]
            if name in left and not self._at_rest(name, kept):
                left, by = left[left.index(name) + 1 :], ""
        return Outcome(change, bool(by), by, len(tests), time.monotonic() - begun)

    def _failing(self, change: Change, tests: Sequence[str], kept: Map) -> str:
        path = self.house / change.file
        whole = path.read_bytes()
        changed = change.made(whole)
        path.write_bytes(changed)
        try:
            if kept.at_import(change) or _import_differs(change, whole, changed):
                return self._anew(tests, kept)
            asked = Asked(tests, (change.file, whole, changed))
            return _first_failing(self.server, asked, kept)
        finally:
            path.write_bytes(whole)

    def _anew(self, tests: Sequence[str], kept: Map) -> str:
        """The same where the change is to what an import makes: the first few files of tests are imported before the others."""
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        return self._failing_of(tests, files[:FEW], kept) or self._failing_of(tests, files[FEW:], kept)

    def _failing_of(self, tests: Sequence[str], files: Sequence[str], kept: Map) -> str:
        if not files:
            return ""
        try:
            server = Server(self.house, sorted(files))
        except ChildProcessError as error:
            return str(error)
        try:
            return _first_failing(server, Asked([test for test in tests if test.partition("::")[0] in files]), kept)
        finally:
            server.close()

    def _at_rest(self, test: str, kept: Map) -> bool:
        """Whether a test passes alone where nothing is changed."""
        return not _first_failing(self.server, Asked([test]), kept)


def _import_differs(change: Change, before: bytes, after: bytes) -> bool:
    try:
        touched(change.file, before, after)
    except ImportError:
        return True
    return False


def _first_failing(server: Server, asked: Asked, kept: Map) -> str:
    told = list(server.ask(asked, kept.patience))  # to its end
    return next((one.test for one in told if not one.passed), "")


def run(todo: Sequence[Change], kept: Map, jobs: int) -> Iterator[Outcome]:
    """The outcome of every change, `jobs` at once, each in a copy of the repository of its own; first what is not measured yet.

    Raises ChildProcessError where the tests cannot be imported though nothing is changed.
    """
    PROCESSES.set_forkserver_preload(HEAVY)
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    places: SimpleQueue[Place] = SimpleQueue()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(jobs) as pool:
        made = []
        for job in range(jobs):
            house = _copied(Path(scratch) / str(job))
            made.append(Place(house, Server(house)))
            places.put(made[-1])
        kept.imported = {file: set(lines) for file, lines in made[0].server.imported.items()}

        def lent(do: Callable[[Place], Result]) -> Result:
            place = places.get()
            try:
                return do(place)
            finally:
                places.put(place)

        try:
            missing = kept.missing()
            for found in pool.map(lambda file: lent(lambda place: (file, kept.measure(place.server, file))), missing):
                file, measured = found
                seconds = sum(seconds for _, seconds in measured.tests)
                print(f"{file}: {len(measured.tests)} tests measured ({seconds:.0f} s)", flush=True)
                for test in measured.failing:
                    print(f"left out, for it fails though nothing is changed: {test}", flush=True)
            yield from pool.map(lambda change: lent(lambda place: place.put_to_the_tests(change, kept)), todo)
        finally:
            for place in made:
                place.server.close()


def _copied(house: Path) -> Path:
    """A copy of the files that belong to the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (house / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, house / name)
    return house


def main() -> None:
    """Draw, run, tell; exits with 1 where less than 90 % of the changes were noticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", action="append", choices=FOLDERS, help="again for several; all without")
    parser.add_argument("--every", action="store_true", help="every change, in the order of the files")
    parser.add_argument("--only", default="", help="files with this in their path")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds of tests, as measured, for one change")
    parser.add_argument("--again", type=Path, help="instead: what was missed, of the file of another call's --out")
    parser.add_argument("--map", type=Path, default=KEPT, help="the folder that keeps which tests execute a line")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    folders = asked.folder or FOLDERS
    todo = sites(folders) if asked.every else drawn(folders, asked.changes, asked.seed)
    if asked.again:
        told = json.loads(asked.again.read_text(encoding="utf-8"))
        todo = [Change(**one["change"]) for one in told if not one["noticed"]]
    todo = [change for change in todo if asked.only in change.file]
    found = []
    for outcome in run(todo, Map(asked.map, asked.budget), asked.jobs):
        found.append(outcome)
        word = "noticed" if outcome.noticed else "MISSED"
        told = f"{outcome.by or f'{outcome.asked} tests'}, {outcome.seconds:.0f} s"
        print(f"{len(found)} of {len(todo)}: {word} {outcome.change} ({told})", flush=True)
        if asked.out:
            asked.out.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n", encoding="utf-8")
    noticed = sum(outcome.noticed for outcome in found)
    print(f"{noticed} of {len(found)} changes were noticed ({noticed / max(len(found), 1):.0%})")
    sys.exit(0 if noticed >= 0.9 * len(found) else 1)


if __name__ == "__main__":
    main()
