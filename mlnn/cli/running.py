"""The run folder of a command, alike for all of them: what was composed and where it ran, beside what the command writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlnn.cli.said import Said
from mlnn.keys import BaseSettings

if TYPE_CHECKING:
    from mlnn.runs import RunFolder, Study


@contextmanager
def answering(settings: BaseSettings, said: Said) -> Iterator["RunFolder"]:
    """The folder of this run, there once the block has ended well. A command writes its result and its page into it."""
    from mlnn.runs import new_run

    with new_run(settings.out, said.command, settings.overwrite) as folder:
        yield folder
        note(folder, settings)


def note(folder: "RunFolder | Study", settings: BaseSettings) -> None:
    """What every folder holds of the call itself."""
    from mlnn.runs.environment import environment

    folder.write_text("config.yaml", settings.config)
    folder.write_json("environment.json", environment())


def point_to(folder: Path, **files: str) -> None:
    """Say where the files of a run lie, each after what it is."""
    from mlnn.report.console import paths

    paths({what: folder / name for what, name in files.items()})
