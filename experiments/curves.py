"""How do the loss curves of stored runs compare? curves.py RUN RUN … [page=FILE]"""

import sys
from pathlib import Path

from mlnn import app


def overlay(settings: dict) -> None:
    from mlnn.curves import curves, differences
    from mlnn.errors import ConfigError, RunFolderError
    from mlnn.report.console import curves_table, paths, show
    from mlnn.report.page import curves_page
    from mlnn.runs import read_run

    if not settings["runs"]:
        raise ConfigError("runs: none given; name one or more run folders: curves.py runs/train/… runs/train/…")
    found = curves([read_run(str(folder)) for folder in settings["runs"]])
    drawn = [{"name": c.name, "trace": {"step": c.step, "loss": c.loss}, "about": c.ground} for c in found]
    apart, notes = differences(found)
    page = Path(settings["page"] or "curves.html")
    try:
        page.write_text(curves_page(drawn, apart, notes), encoding="utf-8")
    except OSError as problem:
        raise RunFolderError(f"page: cannot write {page}: {problem.strerror}") from problem

    show(curves_table(drawn, apart))
    for sentence in notes:
        show(sentence)
    paths({"page": page})


if __name__ == "__main__":
    folders = [word for word in sys.argv[1:] if not word.startswith("-") and ("=" not in word or Path(word).is_dir())]
    rest = [word for word in sys.argv[1:] if word not in folders]
    quoted = ",".join("'" + folder.replace("'", r"\'") + "'" for folder in folders)
    sys.argv[1:] = [*rest, f"runs=[{quoted}]"] if folders else rest
    app.main(overlay, "curves")
