"""Are two recorded trainings the same? Where they first differ, by how much, and a page: diff.py A B [require=equal] [page=FILE]"""

from pathlib import Path

from mlnn.cli.said import Said
from mlnn.keys import DiffSettings


def run(settings: DiffSettings, _said: Said) -> None:
    from mlnn.errors import ConfigError, RequirementNotMetError, RunFolderError
    from mlnn.recording.differing.console import diff_panel
    from mlnn.recording.differing.diff import diff
    from mlnn.recording.differing.page import diff_page
    from mlnn.report.console import paths, show
    from mlnn.runs import write_file

    if len(settings.recordings) != 2:
        count = len(settings.recordings) or "none"
        raise ConfigError(f"recordings: {count} given; name two folders that mlnn.record has written: diff.py A B")
    found = diff(*settings.recordings)
    page = Path(settings.page or "diff.html")
    try:
        write_file(page, diff_page(found))
    except RunFolderError as problem:
        raise RunFolderError(f"page: {problem}") from None

    show(diff_panel(found))
    paths({"page": page})
    if settings.require is not None and not found.meets(settings.require):
        raise RequirementNotMetError(f"required '{settings.require}', found '{found.relation}': {found.sentence}")
