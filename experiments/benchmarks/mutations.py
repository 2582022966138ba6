"""Would the tests notice? Random single changes to the core of mlnn, each put to the tests of its folder.

A change flips a comparison, takes `and` for `or`, drops a `not`, or makes a constant a thousand times as large. A change that
no test notices is listed: either the line does nothing, or nothing holds it. It takes hours, and is no part of `make test`.

    python experiments/benchmarks/mutations.py --changes 100 --seed 0 [--folder comparing] [--jobs 2] [--out missed.json]
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
TESTS = {
    "comparing": ("bounds", "places_seen", "batch", "looks", "measures", "decide", "probe", "gate", "resolution",
                  "comparison_kinds", "comparison_record", "floating_point", "hidden_faults", "seeds", "trace_every", "comparison",
                  "lanes", "pairs", "where", "cause", "cause_extras", "points", "curves", "probe_grid", "left_out", "unexcused",
                  "step", "masks_and_steps", "together", "growing", "curves_logs", "sinks"),
    "training": ("bounds", "outputs_fit", "carrying", "following", "stacking", "stacking_parts", "stacking_optimizers",
                 "stacking_objectives", "stacking_refused", "stacking_agrees", "together", "many", "decide", "training", "lane",
                 "lanes", "randomness", "comparison_kinds", "comparison", "own_update"),
    "objectives": ("bounds", "defaults", "space_numbers", "objective_guards", "objectives", "losses", "reading", "promotion",
                   "step", "shapes", "gate", "probe"),
    "likelihoods": ("likelihood_facts", "defaults", "likelihoods", "bernoulli", "users_likelihood", "estimation", "nonlinear"),
    "targets": ("space_numbers", "targets", "shapes", "likelihoods", "gate", "audit"),
    "auditing": ("audit_edges", "audit_constants", "audit", "audit_record", "audit_undecided", "audit_unsettled", "audit_input",
                 "report_audit_parts"),
    "auditing_models": ("audit_model", "audit_prior", "audit_input"),
    "lifting": ("tracing", "lift", "lift_received", "lift_capsule"),
    "recording": ("fingerprint", "diff_judging", "recording", "replay", "diff", "recording_trainers", "lift_capsule"),
    "logs": ("logs", "logs_received", "curves_logs"),
    "estimating": ("estimation_guards", "estimation", "estimation_existence", "separation", "estimation_numbers", "nonlinear",
                   "model_estimates", "network", "twin", "information", "basis", "estimation_refused", "estimation_reading",
                   "estimation_engine", "estimation_statsmodels", "estimator"),
}  # fmt: skip
"""By folder of mlnn, the tests that are to notice, those that tell soonest first."""
SHOWN = ("page", "console", "words", "figure", "figures", "still", "sentence", "brief", "briefly", "summary", "ladder")
"""Files that end in these draw or tell (a ladder is the picture of a growth); what they hold is looked at, and tested as text,
not as numbers."""
LONGEST = 900.0
"""Seconds after which a change that never ends counts as noticed: the suite of a folder takes a fraction of it."""
FLIPPED = {
    ast.Lt: ">", ast.LtE: ">", ast.Gt: "<", ast.GtE: "<", ast.Eq: "!=", ast.NotEq: "==", ast.Is: "is not",
    ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
THOUSAND = 1000
Result = TypeVar("Result")


@dataclass(frozen=True)
class Change:
    """One change to one file: the text `before` at an offset (bytes of UTF-8) becomes `after`."""

    file: str
    line: int
    start: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before} → {self.after}"


@dataclass(frozen=True)
class Outcome:
    """What became of a change: noticed by a test, or not, after `seconds`."""

    change: Change
    noticed: bool
    by: str
    seconds: float


def changes(path: Path) -> Iterator[Change]:
    """Every change that can be made to a file."""
    text = path.read_bytes()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def make(node: ast.expr, after: str, start: int | None = None, end: int | None = None) -> Change:
        first = starts[node.lineno - 1] + node.col_offset if start is None else start
        last = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0) if end is None else end
        line = text.count(b"\n", 0, first) + 1
        return Change(str(path.relative_to(ROOT)), line, first, text[first:last].decode(), after)

    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in FLIPPED:
                first = starts[(left.end_lineno or 0) - 1] + (left.end_col_offset or 0)
                last = starts[right.lineno - 1] + right.col_offset
                if "(" not in text[first:last].decode() and ")" not in text[first:last].decode():
                    yield make(node, f" {FLIPPED[type(op)]} ", first, last)
            case ast.BoolOp(op=op, values=[one, two, *_]):
                first = starts[(one.end_lineno or 0) - 1] + (one.end_col_offset or 0)
                last = starts[two.lineno - 1] + two.col_offset
                word = "and" if isinstance(op, ast.And) else "or"
                between = text[first:last].decode()
                if len(node.values) == 2 and between.strip() == word:
                    yield make(node, between.replace(word, "or" if word == "and" else "and"), first, last)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield make(node, ast.unparse(operand))
            case ast.Constant(value=float() as value) if value:
                yield make(node, repr(value * THOUSAND))


def drawn(folders: Sequence[str], count: int, seed: int) -> list[Change]:
    """A random sample of the changes to these folders' files, the same for the same seed; each site as likely as any other."""
    files = [path for folder in folders for path in sorted((ROOT / "mlnn" / folder).rglob("*.py"))]
    sites = [change for path in files if not path.stem.endswith(SHOWN) for change in changes(path)]
    return random.Random(seed).sample(sites, min(count, len(sites)))


def put_to_the_tests(change: Change, failing: Mapping[str, Sequence[str]], house: Path) -> Outcome:
    """Make the change in a copy of the repository, run the tests of its folder until one fails, and undo it.

    `failing`: by folder, the tests that fail though nothing is changed; they are left out.
    """
    path, begun = house / change.file, time.monotonic()
    whole = path.read_bytes()
    last = change.start + len(change.before.encode())
    path.write_bytes(whole[: change.start] + change.after.encode() + whole[last:])
    try:
        folder = Path(change.file).parts[1]
        by = next(iter(failures(folder, house, ["-x", *(f"--deselect={test}" for test in failing[folder])])), None)
    finally:
        path.write_bytes(whole)
    return Outcome(change, by is not None, by or "", time.monotonic() - begun)


def failures(folder: str, house: Path, options: Sequence[str] = ()) -> list[str]:
    """What fails of a folder's tests in a copy of the repository: tests by their names, or how the run ended otherwise."""
    tests = [f"tests/test_{name}.py" for name in TESTS[folder]]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "slow or not slow",
        *options,
        *tests,
    ]
    env = os.environ | {"PYTHONPATH": str(house)}  # child processes too read the changed copy
    try:
        done = subprocess.run(command, cwd=house, capture_output=True, text=True, timeout=LONGEST, env=env)
    except subprocess.TimeoutExpired:
        return ["it did not end"]
    told = [
        line.split(" ", 1)[1].split(" - ")[0]
        for line in done.stdout.splitlines()
        if line.startswith(("FAILED ", "ERROR "))
    ]
    return [] if done.returncode == 0 else told or [f"exit code {done.returncode}"]


def run(todo: Sequence[Change], jobs: int) -> Iterator[Outcome]:
    """The outcome of every change, `jobs` at once, each in a copy of the repository of its own.

    A test that fails though nothing is changed notices nothing: it is named and left out. Raises SystemExit where a folder's tests
    do not run at all.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        houses: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            houses.put(_copied(Path(folder) / str(number)))

        def lent(do: Callable[[Path], Result]) -> Result:
            house = houses.get()
            try:
                return do(house)
            finally:
                houses.put(house)

        folders = sorted({Path(change.file).parts[1] for change in todo})
        failing = dict(zip(folders, pool.map(lambda name: lent(partial(failures, name)), folders), strict=True))
        for name, found in failing.items():
            if any("::" not in one for one in found):
                raise SystemExit(f"{name}: its tests do not run though nothing is changed: {found[0]}")
            for one in found:
                print(f"{name}: left out, for it fails though nothing is changed: {one}", flush=True)
        yield from pool.map(lambda change: lent(partial(put_to_the_tests, change, failing)), todo)


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
    parser.add_argument("--folder", action="append", choices=sorted(TESTS), help="again for several; all without")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    todo = drawn(asked.folder or sorted(TESTS), asked.changes, asked.seed)
    found = []
    for outcome in run(todo, asked.jobs):
        found.append(outcome)
        word = "noticed" if outcome.noticed else "MISSED"
        print(f"{len(found)} of {len(todo)}: {word} ({outcome.seconds:.0f} s) {outcome.change}", flush=True)
    noticed = sum(outcome.noticed for outcome in found)
    print(f"{noticed} of {len(found)} changes were noticed ({noticed / len(found):.0%})")
    if asked.out:
        asked.out.write_text(json.dumps([asdict(outcome) for outcome in found], indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if noticed >= 0.9 * len(found) else 1)


if __name__ == "__main__":
    main()
