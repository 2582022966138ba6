"""Cases by number and by name, and one case done: the specimen made, changed, sealed and read under the watch."""

import os
import random
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fuzzing.changing import read_place, spelt
from fuzzing.formats import FORMATS
from fuzzing.planted import PLANTED
from fuzzing.specimen import Specimen
from fuzzing.specimens import SPECIMENS
from fuzzing.watch import Watch

SPLIT = "|"


@dataclass(frozen=True)
class Case:
    """One change of one place of a file of a specimen."""

    specimen: str
    part: str
    form: str
    place: str
    change: str

    @property
    def name(self) -> str:
        """Reads back by `named`."""
        return SPLIT.join((self.specimen, self.part, self.form, self.change, self.place))

    @staticmethod
    def named(word: str) -> "Case":
        specimen, part, form, change, place = word.split(SPLIT, 4)
        return Case(specimen, part, form, place, change)


@dataclass(frozen=True)
class Outcome:
    """`found`: what is wrong, "" where nothing is; `seconds`: processor time; `refused`: whether it was met with an error."""

    case: str
    found: str
    seconds: float
    refused: bool


@cache
def template(name: str, home: Path) -> Path:
    """The honest specimen, made once; of a planted one too."""
    folder = home / name.replace(" ", "_")
    folder.mkdir(parents=True)
    (SPECIMENS | PLANTED)[name].make(folder)
    return folder


def every(specimens: Mapping[str, Specimen], home: Path) -> Iterator[Case]:
    """All cases, systematically."""
    for name, specimen in specimens.items():
        folder = template(name, home)
        for part, forms in specimen.parts.items():
            content = (folder / part).read_bytes()
            for form in forms:
                for place in FORMATS[form].places(content):
                    for change in FORMATS[form].changes(place):
                        yield Case(name, part, form, spelt(place), change)


def cases(specimens: Mapping[str, Specimen], home: Path, seed: int, most: int) -> list[Case]:
    """A sample of all cases, of every specimen about as many, in an order that `seed` says."""
    draws = random.Random(seed)
    found: dict[str, list[Case]] = {name: [] for name in specimens}
    for case in every(specimens, home):
        found[case.specimen].append(case)
    for listed in found.values():
        draws.shuffle(listed)
    order = sorted(
        ((at, case) for listed in found.values() for at, case in enumerate(listed)), key=lambda pair: pair[0]
    )
    return [case for _, case in order[:most]]


def run_case(case: Case, specimen: Specimen, home: Path, watch: Watch, longest: int = 60) -> Outcome:
    """Do one case in a folder of its own."""
    honest = template(case.specimen, home)
    above = Path(tempfile.mkdtemp(dir=home, prefix="case-"))
    folder, here = above / "sent", os.getcwd()
    shutil.copytree(honest, folder)
    (above / "secret").write_text("secret")
    path = folder / case.part
    path.write_bytes(FORMATS[case.form].changed(path.read_bytes(), read_place(case.place), case.change))
    specimen.seal(folder)
    os.chdir(folder)
    try:
        return watched(case.name, lambda: specimen.read(folder), folder, watch, longest)
    finally:
        os.chdir(here)
        shutil.rmtree(above, ignore_errors=True)


def watched(name: str, read: Callable[[], str], folder: Path, watch: Watch, longest: int) -> Outcome:
    """Call `read` under the watch; what came of it."""

    def late(*_: object) -> None:
        raise TimeoutError(f"{longest} seconds are over")

    watch.folder, watch.seen = os.path.realpath(folder), []
    refused, found = False, ""
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(longest)
    begun = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            watch.on = True
            refused = bool(read())
    except KeyboardInterrupt:  # the harness itself is to end
        raise
    except BaseException as problem:
        watch.on = False
        found = told(problem)
    finally:
        watch.on = False
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return Outcome(name, "; ".join([*watch.seen, *([found] if found else [])]), time.process_time() - begun, refused)


def told(problem: BaseException) -> str:
    """An exception in a line, with the place of mlnn's that it came through last."""
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if "/mlnn/" in frame.filename]
    place = f" at {frames[-1].filename.rpartition('/mlnn/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(problem).__name__}: {str(problem)[:300]}{place}"
