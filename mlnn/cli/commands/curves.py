"""How do the loss curves of stored runs compare? curves.py RUN RUN … [page=FILE]"""

from pathlib import Path

from mlnn.cli.said import Said
from mlnn.keys import CurvesSettings


def run(settings: CurvesSettings, _said: Said) -> None:
    from mlnn.comparing.console import curves_table
    from mlnn.comparing.curves import curves, differences
    from mlnn.comparing.curves_page import curves_page
    from mlnn.errors import ConfigError, RunFolderError
    from mlnn.report.console import paths, show
    from mlnn.runs import read_run, write_file

    if not settings.runs:
        raise ConfigError("runs: none given; name one or more run folders: curves.py runs/train/… runs/train/…")
    found = curves([read_run(str(folder)) for folder in settings.runs])
    apart, notes = differences(found)
    page = Path(settings.page or "curves.html")
    try:
        write_file(page, curves_page(found, apart, notes))
    except RunFolderError as problem:
        raise RunFolderError(f"page: {problem}") from None

    show(curves_table(found, apart))
    for sentence in notes:
        show(sentence)
    paths({"page": page})
