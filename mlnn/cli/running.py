"""The run folder of a command, alike for all of them: what was composed and where it ran, beside what the command writes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlnn.cli.said import Said
from mlnn.keys import BaseSettings, FigureSettings

if TYPE_CHECKING:
    from mlnn.report.size import Size
    from mlnn.runs import RunFolder, Study


@contextmanager
def answering(settings: BaseSettings, said: Said) -> Iterator["RunFolder"]:
    """The folder of this run, there once the block has ended well. A command writes its result and its page into it."""
    from mlnn.runs import new_run

    with new_run(settings.out, said.command, settings.overwrite) as folder:
        yield folder
        note(folder, settings)


def note(folder: "RunFolder | Study", settings: BaseSettings, config: str | None = None) -> None:
    """What every folder holds of the call itself; `config`: that of the call which began it, where it is another."""
    from mlnn.runs.environment import environment

    folder.write_text("config.yaml", settings.config if config is None else config)
    folder.write_json("environment.json", environment())


def write_page(folder: "RunFolder | Study", page: str, figure: FigureSettings) -> None:
    """The page, and its pictures as files where they are asked for."""
    folder.write_text("report.html", page)
    write_pictures(folder.final, page, figure, folder.path)


def sized(figure: FigureSettings) -> "Size | None":
    """The form of the files; None where none are asked for."""
    from mlnn.report.size import Size

    return None if figure.format is None else Size(figure.format, figure.width, figure.height, figure.font)


def write_pictures(where: Path, page: str, figure: FigureSettings, place: Callable[[str], Path]) -> None:
    """The pictures of a page as files, where they are asked for: `place` gives the path of a name, for the folder `where`."""
    size = sized(figure)
    if size is None:
        return
    from mlnn.report.console import show
    from mlnn.report.figures import write_figures
    from mlnn.runs import disk

    if not disk("write figures", where, write_figures, page, size, place):
        show("the page has no pictures, so that figure.format has written none")


def point_to(folder: Path, **files: str) -> None:
    """Say where the files of a run lie, each after what it is."""
    from mlnn.report.console import paths

    drawn = {"figures": "figures"} if (folder / "figures").is_dir() else {}
    paths({what: folder / name for what, name in (files | drawn).items()})
