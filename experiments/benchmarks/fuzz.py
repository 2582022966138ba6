"""What do hostile files do? Every field of every format that mlnn reads, replaced by what does not belong, under an audit hook.

Of each case: does it end in a traceback or a warning, does a message act or run on, does it hang, does it do anything at all? The
results are a line each in `--out`; a second call does what is missing. Of a finding the case itself reproduces it.

    python experiments/benchmarks/fuzz.py --cases 20000 --seed 0 --out fuzz.jsonl [--only "config model,csv"] [--case NAME]
    python experiments/benchmarks/fuzz.py --planted --out planted.jsonl
    python experiments/benchmarks/fuzz.py --flips 10000 --out flips.jsonl
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from fuzzing.running import Case
    from fuzzing.specimen import Specimen
    from fuzzing.watch import Watch

HERE, ROOT = Path(__file__).resolve().parent, Path(__file__).resolve().parents[2]
AT_ONCE = 400
"""Cases of one child process."""
LONGEST = 60
"""Seconds of a case."""
MEMORY = 12 << 30
"""Bytes of address space of a child: what asks for more ends there, not the machine."""
FONTS = "changed: os.mkdir " + str(Path.home() / ".c")  # the names of the user's fonts


def main() -> None:
    """Run what is missing in children, tell what was found; exit code 1 where anything was."""
    told = _arguments()
    out = Path(told.out)
    if told.serve:
        _serve(told)
        return
    line = [sys.executable, str(Path(__file__).resolve()), "--serve", *sys.argv[1:]]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE))), "OMP_NUM_THREADS": "1"}
    environment["CUDA_VISIBLE_DEVICES"] = ""  # torch's threads for devices do not outlive a fork
    with tempfile.TemporaryDirectory(prefix="mlnn-fuzz-") as own:
        temporary = Path(own) / "temporary"  # what is written there is no act
        temporary.mkdir()
        code = subprocess.run(line, env=environment | {"TMPDIR": str(temporary)}, check=False).returncode
    if code:
        sys.exit(f"the harness itself ended with {code}")
    sys.exit(_tell(out))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000, help="how many in all")
    parser.add_argument(
        "--flips", type=int, default=0, help="instead: single bits and truncations of stored run folders"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--planted", action="store_true", help="instead: readers with a hole each, all of which are to be found"
    )
    parser.add_argument("--only", default="", help="names of specimens, with commas between")
    parser.add_argument("--case", default="", help="this one, as a finding names it")
    parser.add_argument("--out", default="fuzz.jsonl", help="a line a case; what is there is not done again")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _done(out: Path) -> list[dict[str, object]]:
    lines = out.read_text().splitlines() if out.is_file() else []
    return [found for line in lines if "found" in (found := json.loads(line))]


def _note_death(out: Path, code: int) -> None:
    """A child that died did so in the case that it began last."""
    lines = out.read_text().splitlines() if out.is_file() else []
    last = json.loads(lines[-1]) if lines else {}
    if "begun" in last:
        found = {"case": last["begun"], "found": f"the process died with {code}", "seconds": 0.0, "refused": False}
        with out.open("a") as file:
            file.write(json.dumps(found) + "\n")
    else:
        sys.exit(f"the child ended with {code} before its first case")


def _serve(told: argparse.Namespace) -> None:
    """Make the specimens and the list of cases once, and fork a child for every few that are missing."""
    from fuzzing.watch import Watch

    home = Path(tempfile.mkdtemp(prefix="home-", dir=Path(tempfile.gettempdir()).parent))
    watch = Watch((FONTS, "process: git"))
    work = _flips(told, home) if told.flips else _cases(told, home, watch)
    out = Path(told.out)
    while True:
        met = {str(one["case"]) for one in _done(out)}
        missing = [pair for pair in work if pair[0] not in met][:AT_ONCE]
        if not missing:
            return
        sys.stdout.flush()
        child = os.fork()
        if not child:
            _do(missing, out, watch)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            _note_death(out, code)


def _do(work: "Work", out: Path, watch: "Watch") -> NoReturn:
    """A child: each case begun and ended in the file of results."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        sys.addaudithook(watch)
        with out.open("a") as file:
            for name, do in work:
                file.write(json.dumps({"begun": name}) + "\n")
                file.flush()
                file.write(json.dumps(do()) + "\n")
                file.flush()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


Work = Sequence[tuple[str, Callable[[], dict[str, object]]]]


def _cases(told: argparse.Namespace, home: Path, watch: "Watch") -> Work:
    from fuzzing import SPECIMENS, Case, cases
    from fuzzing.planted import HOLES, PLANTED

    if told.planted:
        holes = [Case(name, "a.json", "json", '["name"]', change) for name, (_, change, _) in HOLES.items()]
        return [(hole.name, _doing(hole, PLANTED[hole.specimen], home, watch, 1)) for hole in holes]
    wanted = told.only.split(",") if told.only else list(SPECIMENS)
    some = {name: SPECIMENS[name] for name in wanted}
    found = [Case.named(told.case)] if told.case else cases(some, home, told.seed, told.cases)
    return [(case.name, _doing(case, SPECIMENS[case.specimen], home, watch, LONGEST)) for case in found]


def _doing(
    case: "Case", specimen: "Specimen", home: Path, watch: "Watch", longest: int
) -> Callable[[], dict[str, object]]:
    from fuzzing import run_case

    return lambda: asdict(run_case(case, specimen, home, watch, longest))


def _flips(told: argparse.Namespace, home: Path) -> Work:
    from fuzzing.flipping import flips

    return flips(home, told.flips, told.seed)


def _tell(out: Path) -> int:
    """The counts by specimen, the findings, each kind once with a case that reproduces it."""
    done = _done(out)
    by = Counter(str(one["case"]).split("|")[0] for one in done)
    wrong = [one for one in done if one["found"]]
    bad = Counter(str(one["case"]).split("|")[0] for one in wrong)
    for name, count in by.items():
        print(f"{count:7,} {name}: {bad[name]} found")
    kinds: dict[str, list[str]] = {}
    for one in wrong:
        kinds.setdefault(str(one["found"])[-110:], []).append(str(one["case"]))
    for kind, names in sorted(kinds.items(), key=lambda pair: -len(pair[1])):
        print(f"\n{len(names)} x {kind}\n    --case '{names[0]}'")
    seconds = sum(float(str(one["seconds"])) for one in done)
    slow = max((float(str(one["seconds"])) for one in done), default=0.0)
    refused = sum(bool(one["refused"]) for one in done)
    print(
        f"\n{len(done):,} cases, {len(wrong)} found; {seconds:.0f} s, the slowest {slow:.1f} s; {refused:,} raised an error of ours"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    main()
