"""Which tests execute a line: measured once, and kept, a file of tests at a time.

A measurement holds for the texts it was made of. Where a file of mlnn has changed since, its lines are followed; where a file of
tests has, it is measured again.
"""

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path

from mutation_sites import ROOT, Change, around, statement, used
from mutation_tests import Asked, Server, Told

BUDGET = 40.0
"""Seconds, as measured, of the tests that one change is put to; more is to be asked for where a busy machine was measured."""
PATIENCE = 60.0
"""Seconds that a test may take beyond twenty times what it has taken at rest before it is said not to end."""


@dataclass(frozen=True)
class Measured:
    """A file of tests: `tests` that pass and their seconds; `lines`: by file of mlnn, groups of lines with the numbers of the tests
    that execute them; `texts`: the digest of each file of mlnn when that was so."""

    digest: str
    tests: Sequence[tuple[str, float]]
    lines: Mapping[str, Sequence[tuple[Sequence[int], Sequence[int]]]]
    texts: Mapping[str, str]
    failing: Sequence[str]


class Map:
    """What was measured, in a folder."""

    def __init__(self, folder: Path, budget: float = BUDGET) -> None:
        """`budget`: seconds of tests, as measured, that one change is put to."""
        self.folder, self.budget = folder, budget
        (folder / "texts").mkdir(parents=True, exist_ok=True)
        self.measured: dict[str, Measured] = {}
        self.imported: dict[str, set[int]] = {}

    def missing(self) -> list[str]:
        """The files of tests that are to be measured, those that are known loaded."""
        found = []
        for path in sorted((ROOT / "tests").glob("test_*.py")):
            kept = self.folder / f"{path.stem}.json"
            if kept.exists():
                self.measured[path.stem] = Measured(**json.loads(kept.read_text(encoding="utf-8")))
            if path.stem not in self.measured or self.measured[path.stem].digest != digest_of_tests(path):
                self.measured.pop(path.stem, None)
                found.append(f"tests/{path.name}")
        return found

    def measure(self, server: Server, file: str) -> Measured:
        """Runs a file's tests and keeps which lines each executes."""
        tests = [test for test in server.tests if test.startswith(f"{file}::")]
        asked = Asked(tests, first=False, lines=True)
        told = list(server.ask(asked, lambda _: 1800.0)) if tests else []
        good = [one for one in told if one.passed]
        files = {name for one in good for name in one.lines}
        for name in files:
            text = self.folder / "texts" / digest(ROOT / name)
            if not text.exists():
                text.write_bytes((ROOT / name).read_bytes())
        found = Measured(
            digest_of_tests(ROOT / file),
            [(one.test, round(one.seconds, 3)) for one in good],
            {name: _grouped(name, good) for name in sorted(files)},
            {name: digest(ROOT / name) for name in sorted(files)},
            [one.test for one in told if not one.passed],
        )
        path = self.folder / f"{Path(file).stem}.json"
        path.with_suffix(f".{os.getpid()}").write_text(json.dumps(asdict(found)), encoding="utf-8")
        path.with_suffix(f".{os.getpid()}").replace(path)
        self.measured[Path(file).stem] = found
        return found

    def seconds(self, test: str) -> float:
        """What a test took at rest."""
        return self._seconds().get(test, 0.0)

    def patience(self, test: str) -> float:
        """How long to wait for a test."""
        return PATIENCE + 20 * self.seconds(test)

    @cache  # noqa: B019  one map a process
    def _seconds(self) -> dict[str, float]:
        return {test: seconds for found in self.measured.values() for test, seconds in found.tests}

    def at_import(self, change: Change) -> bool:
        """Whether the import of the tests executes a change's line."""
        return change.line in self.imported.get(change.file, ())

    def chosen(self, change: Change) -> list[str]:
        """The tests that a change is put to, in order: those that execute its line, the quickest first, each file given as much
        time as any other, files that name its function or module before the rest; then the others of these files, which may read
        what a first test has computed and kept. No more than the budget. What an import makes is put to all tests that name it."""
        if self.at_import(change):
            lines, names = used(change)
            return self._chosen(lines, names, naming=True)
        lines, names = {change.file: {change.line}}, around(change)
        return self._chosen(lines, names) or self._chosen({change.file: {*statement(change)}}, names)

    def _chosen(self, lines: Mapping[str, Iterable[int]], names: Iterable[str], naming: bool = False) -> list[str]:
        first: list[tuple[float, float, str]] = []
        direct: list[tuple[float, float, str]] = []
        others: list[tuple[float, float, str]] = []
        for stem, found in self.measured.items():
            executing, telling = self._executing(stem, lines), _naming(stem, found, names)
            telling = telling if naming else telling & executing
            first += _cumulated(one for one in found.tests if one[0] in telling)
            direct += _cumulated(one for one in found.tests if one[0] in executing - telling)
            if executing:
                others += _cumulated(one for one in found.tests if one[0] not in executing | telling)
        taken: list[str] = []
        spent = 0.0
        for _, seconds, test in [*sorted(first), *sorted(direct), *sorted(others)]:
            if spent + seconds <= self.budget or not taken:
                taken.append(test)
                spent += seconds
        return taken

    def _executing(self, stem: str, lines: Mapping[str, Iterable[int]]) -> set[str]:
        found = self.measured[stem]
        numbers: set[int] = set()
        for file in lines.keys() & found.lines.keys():
            moved = followed(self.folder / "texts" / found.texts[file], ROOT / file)
            wanted = {moved[line] for line in lines[file] if line in moved}
            numbers |= {test for group, tests in found.lines[file] if wanted.intersection(group) for test in tests}
        return {found.tests[number][0] for number in numbers}


def _grouped(file: str, told: Sequence[Told]) -> list[tuple[list[int], list[int]]]:
    """The lines of a file, those that the same tests execute together."""
    by_line: dict[int, list[int]] = {}
    for number, one in enumerate(told):
        for line in one.lines.get(file, ()):
            by_line.setdefault(line, []).append(number)
    groups: dict[tuple[int, ...], list[int]] = {}
    for line, tests in by_line.items():
        groups.setdefault(tuple(tests), []).append(line)
    return [(lines, list(tests)) for tests, lines in groups.items()]


def _cumulated(tests: Iterable[tuple[str, float]]) -> Iterator[tuple[float, float, str]]:
    """Of a file's tests, the quickest first: the seconds until each has ended, its own, its name."""
    ended = 0.0
    for test, seconds in sorted(tests, key=itemgetter(1)):
        ended += seconds
        yield ended, seconds, test


def _naming(stem: str, found: Measured, names: Iterable[str]) -> set[str]:
    """The tests of a file that name one of these in their parameters; all where only the file's text does."""
    text = (ROOT / "tests" / f"{stem}.py").read_text(encoding="utf-8")
    named = [name for name in names if re.search(rf"\b{name}\b", text)]
    if not named:
        return set()
    naming = {test for test, _ in found.tests if any(re.search(rf"\b{name}\b", test) for name in named)}
    return naming or {test for test, _ in found.tests}


@cache
def followed(then: Path, now: Path) -> dict[int, int]:
    """By line of a file as it is now, the line that it was; a line that is new stands where the one before it stood."""
    old, new = (path.read_text(encoding="utf-8").splitlines() for path in (then, now))
    moved: dict[int, int] = {}
    for tag, first, last, begin, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for place in range(begin, end):
            moved[place + 1] = (
                first + place - begin + 1 if tag == "equal" else min(first + place - begin + 1, max(last, 1))
            )
    return moved


def digest(path: Path) -> str:
    """Of a file's text."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def digest_of_tests(path: Path) -> str:
    """Of a file of tests and of the cases that it imports."""
    text = path.read_bytes()
    names = sorted(set(re.findall(rb"^(?:from|import) (\w+)", text, re.MULTILINE)))
    cases = [path.parent / f"{name.decode()}.py" for name in names]
    parts = [text, *(case.read_bytes() for case in cases if case.exists())]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
