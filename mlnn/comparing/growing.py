"""Training the cells of a growth that are missing: those that differ in their seed alone as one call, where that can be.

Sharing is an attempt: whatever ends such a call, its cells that are not sealed are trained each in a process of its own, as if
nobody had tried.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from mlnn.comparing.configured import beside, run_comparison, run_together
from mlnn.comparing.finished import Comparison
from mlnn.comparing.growth import Cells, cell_name
from mlnn.errors import NoAnswerError
from mlnn.keys import ComparedSettings
from mlnn.runs import Study
from mlnn.runs.jobs import claimed, forget_claim
from mlnn.runs.study import clear, whole
from mlnn.workers import Call, Outcome, side_by_side, supervised

MOST = 5
"""Seeds that share stacks, at most. A step of one of 1, 3, 5 and 8 takes 1.8, 1.0, 0.8 and 0.7 ms of a node, 5.2, 2.9, 2.9 and
2.9 ms of MLP 4×64, 16.6, 13.9, 13.5 and 13.7 ms of the convolution; what is not sealed yet is lost with the process."""
Supervise = Callable[..., Iterator[Outcome]]
Group = Sequence[int]
"""Places of cells that are trained as one."""


def growth(
    cells: Cells,
    study: Study,
    below: str,
    jobs: int | None,
    timeout: float | None,
    progress: Callable[[int, int], None],
    supervise: Supervise | None = None,
) -> list[Outcome]:
    """Train every cell (rung name, settings) that `study` does not hold yet, `jobs` at once (None: as many as have cores).

    Each is sealed in `study`/`below`/<rung>-seed<n> as soon as it, and those that it shares stacks with, have ended. Returns the
    outcomes of those that failed; their `place` counts in `cells`. timeout: seconds to a cell. supervise: what makes the calls, in
    the place of `mlnn.workers.supervised`.
    """
    missing = [place for place in longest_first(cells) if not _sealed(cells, study, below, place)]
    done = len(cells) - len(missing)
    progress(done, len(cells))
    threads = max((settings.threads for _, settings in cells), default=1)
    at_once, failed = side_by_side(jobs, len(missing), threads), []
    groups = [group for group in grouped(cells, longest_first(cells), at_once) if not set(missing).isdisjoint(group)]
    calls = partial(supervise or supervised, at_once=at_once, timeout=timeout)
    while groups:
        alone: list[Group] = []
        for group, outcome in _trained(cells, groups, study, below, calls):
            own = [place for place in group if place in missing]
            again = [place for place in own if len(group) > 1 and not _sealed(cells, study, below, place)]
            alone += [[place] for place in again]
            if len(group) == 1 and outcome.failure is not None and not _sealed(cells, study, below, group[0]):
                failed.append(replace(outcome, place=group[0]))
            done += len(own) - len(again)
            progress(done, len(cells))
        groups = alone
    return sorted(failed, key=lambda outcome: outcome.place)


def longest_first(cells: Cells) -> list[int]:
    """Places in `cells`, in the order in which to begin them: so that no core is left with a long one when others are done.

    How long a cell takes is not known before; more steps take longer, and a ladder climbs, so its last rungs do.
    """
    return sorted(range(len(cells)), key=lambda place: (cells[place][1].steps, place), reverse=True)


def grouped(cells: Cells, places: Sequence[int], at_once: int) -> list[Group]:
    """Places in groups that are trained as one, in their order: cells of one rung that differ in their seed alone.

    Cores come first: where there are fewer such rungs than calls at once, each is cut into as many groups as keep all of them busy,
    for rows that share stacks cost less than alone, but more than nothing.
    """
    alike: dict[str, list[int]] = {}
    for place in places:
        name, settings = cells[place]
        common = beside(settings)
        key = str(place) if common is None else json.dumps([name, common], default=repr)
        alike.setdefault(key, []).append(place)
    parts = -(-at_once // max(len(alike), 1))
    return [group for own in alike.values() for group in _cut(own, max(parts, -(-len(own) // MOST)))]


def _cut(places: Sequence[int], parts: int) -> Iterator[Group]:
    """Parts of nearly the same length, none of them empty."""
    bounds = [len(places) * part // parts for part in range(parts + 1)]
    return (places[start:end] for start, end in pairwise(bounds) if end > start)


def _trained(
    cells: Cells, groups: Sequence[Group], study: Study, below: str, supervise: Supervise
) -> Iterator[tuple[Group, Outcome]]:
    """Each group with its outcome, in the order in which they end; of one that has failed as a group, without its log."""
    calls = [_call([cells[place] for place in group], study, below) for group in groups]
    for outcome in supervise(calls):
        group = groups[outcome.place]
        if len(group) > 1 and outcome.failure is not None:
            with suppress(OSError):  # its cells will tell for themselves
                calls[outcome.place].log.unlink()
        yield group, outcome


def _call(cells: Cells, study: Study, below: str) -> Call:
    """One call for some cells, whose log is that of the first.

    Those that an earlier call has sealed before it was ended are trained once more with the others, for these are to have the bits
    that they would have had; sealed they are not.
    """
    folders = [study.path(f"{below}/{cell_name(*cell)}") for cell in cells]
    (name, settings), log = cells[0], folders[0].with_name(f"{folders[0].name}.log")
    if len(cells) == 1:
        return Call(train_cell, (name, settings, folders[0]), log)
    return Call(train_together, (name, [own for _, own in cells], folders), log, len(cells))


def _sealed(cells: Cells, study: Study, below: str, place: int) -> bool:
    return study.done(f"{below}/{cell_name(*cells[place])}")


def train_cell(name: str, settings: ComparedSettings, folder: Path) -> None:
    """Train one cell and seal it in `folder`, unless that is done; NoAnswerError where another process is at it."""
    with _ours([folder]) as due:
        if due:
            _seal(run_comparison(settings), name, settings, folder)


def train_together(name: str, several: Sequence[ComparedSettings], folders: Sequence[Path]) -> None:
    """Train cells that differ in their seed alone as one, and seal each in its folder, but for what lies there already."""
    with _ours(folders) as due:
        found = run_together(several) if due else []
        for comparison, settings, folder in zip(found, several, folders, strict=bool(due)):
            if folder in due:
                _seal(comparison, name, settings, folder)


@contextmanager
def _ours(folders: Sequence[Path]) -> Iterator[set[Path]]:
    """Those that are not sealed, cleared of what an earlier try has left, and no other process's until the block ends: a call that
    a launcher has taken may outlive its caller."""
    with ExitStack() as stack:
        if not all(stack.enter_context(claimed(folder.parent, folder.name)) for folder in folders):
            raise NoAnswerError("another process is at it; once that has ended, the same command goes on")
        due = {folder for folder in folders if not whole(folder)}
        for folder in due:
            clear(folder)
        yield due
        for folder in folders:
            forget_claim(folder.parent, folder.name)


def _seal(comparison: Comparison, name: str, settings: ComparedSettings, folder: Path) -> None:
    comparison.run = replace(comparison.run, model=name)
    comparison.save(folder, config=json.dumps(settings.told(), indent=1), page=False)
