"""A command of many cells: trained where they are missing, told of together, and how to go on where something ended early."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlnn.cli.jobs import PATIENCE, await_others
from mlnn.cli.launcher import is_chosen
from mlnn.cli.launching import supervision
from mlnn.cli.performing import gravest
from mlnn.cli.running import note, write_pictures
from mlnn.cli.said import Said
from mlnn.comparing.growing import growth
from mlnn.comparing.growth import Cells, GrowthCell, cell_name, finished
from mlnn.errors import MlnnError, NoAnswerError
from mlnn.keys import CompareSettings, GrowthSettings
from mlnn.runs import Study, open_study, unused
from mlnn.runs.environment import environment
from mlnn.runs.jobs import forget_claims
from mlnn.runs.study import EXECUTION
from mlnn.settings import dataset
from mlnn.workers import Outcome

TOLD = 2
"""Failed cells that an error names; the others are in its count, and each has a log."""


def train_cells(
    settings: CompareSettings | GrowthSettings,
    said: Said,
    kind: str,
    below: str,
    cells: Cells,
    write: Callable[[Study, Sequence[GrowthCell]], None],
) -> tuple[Path, list[GrowthCell]]:
    """(folder, finished cells) of a study of these cells; `write` tells of them, in the study's own files.

    Raises NoAnswerError, with the gravest code of those that failed, after the others have ended and been written of.
    """
    from mlnn.report.console import progress, show

    out = Path(settings.out or unused(kind))
    with (
        open_study(out, kind, _of(cells), environment(), settings.overwrite) as study,
        how_to_go_on(said, study.final),
    ):
        if study.finished:
            show(f"{study.final} is finished; nothing is left to train")
            if settings.figure.format is not None:
                write_pictures(
                    study.final, (study.final / "report.html").read_text("utf-8"), settings.figure, study.path
                )
                study.seal()
            return study.final, finished(cells, study, below)
        if study.damaged is not None:
            show(f"note: {study.damaged}; what is not whole is trained again")
        for difference in study.elsewhere(environment()):
            show(f"note: cells trained earlier were trained in another environment: {difference}")
        await_others([cell_name(*cell) for cell in cells], study.path(below))
        with progress(f"{len(cells)} cells") as advance, _counting(said, study.final, len(cells), advance):
            own = supervision(said, study.final)
            failed = growth(cells, study, below, settings.jobs, settings.job_timeout, advance, own)
        found = finished(cells, study, below)
        if not found:
            first = failed[0]
            raise NoAnswerError(f"{cell_name(*cells[first.place])}: {first.failure}", first.code)
        write(study, found)
        note(study, settings)
        study.write_json("data.json", dataset(settings).to_dict())
        if failed:
            raise _failure(failed, cells, study, below)
        forget_claims(study.path(below))
        study.seal()
    return study.final, found


@contextmanager
def _counting(said: Said, out: Path, of: int, advance: Callable[[int, int], None]) -> Iterator[None]:
    """Count the cells that are sealed while the block runs, where a launcher takes them: it tells of all together, at the end."""
    ended = threading.Event()

    def count() -> None:
        while not ended.wait(PATIENCE):
            advance(Study.kept(out), of)

    thread = threading.Thread(target=count, daemon=True)
    if is_chosen(said):
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()


@contextmanager
def how_to_go_on(said: Said, out: Path) -> Iterator[None]:
    """An end that comes early, by Ctrl-C or by an error, names the command that goes on with what is kept in `out`."""
    try:
        yield
    except (KeyboardInterrupt, MlnnError) as early:
        kept, begun = Study.kept(out), Study.begun(out)
        if not kept and not begun:
            raise
        words = f"to go on: {said.again(out)}"
        if isinstance(early, KeyboardInterrupt):
            told = f"{kept} finished are kept" if kept else f"none has finished, and what {begun} have begun is kept"
            raise KeyboardInterrupt(f"{told} in {out}\n{words}") from None
        raise NoAnswerError(f"{early}\n{words}", early.exit_code) from early


def _failure(failed: Sequence[Outcome], cells: Cells, study: Study, below: str) -> NoAnswerError:
    lines = [f"{len(failed)} of {len(cells)} cells failed; the others are in {study.final}"]
    for outcome in failed[:TOLD]:
        name = cell_name(*cells[outcome.place])
        lines.append(f"  {name}: {str(outcome.failure).splitlines()[0][:250]} (log: {below}/{name}.log)")
    if len(failed) > TOLD:
        lines[-1] += f"; and {len(failed) - TOLD} more"
    return NoAnswerError("\n".join(lines), gravest(outcome.code for outcome in failed))


def _of(cells: Cells) -> dict[str, object]:
    """What a study is of: each cell's settings less those that say how it is run, and the data that they mean."""
    data: dict[str, str] = {}
    for _, settings in cells:
        key = str(settings.data)
        if key not in data:
            data[key] = dataset(settings).fingerprint()
    return {
        "cells": {
            cell_name(name, settings): {k: v for k, v in settings.told().items() if k not in EXECUTION}
            for name, settings in cells
        },
        "data": list(data.values()),
    }
