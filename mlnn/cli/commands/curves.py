"""How do the loss curves of runs compare, stored ones and those in logs of other tools? curves.py RUN LOG … [page=FILE]"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlnn.cli.running import write_pictures
from mlnn.cli.said import Said
from mlnn.keys import CurvesSettings

if TYPE_CHECKING:
    from mlnn.comparing.curves.curve import Curve
    from mlnn.comparing.curves.gather import Gathered
    from mlnn.comparing.curves.groups import Band


def run(settings: CurvesSettings, _said: Said) -> None:
    from mlnn.comparing.console import curves_table
    from mlnn.comparing.curves.apart import differences
    from mlnn.comparing.curves.page import curves_page
    from mlnn.comparing.curves.smooth import smoothed
    from mlnn.comparing.curves.told import MORE, told
    from mlnn.errors import ConfigError, RunFolderError
    from mlnn.report.console import paths, show
    from mlnn.runs import write_file

    if not settings.runs:
        raise ConfigError("runs: none given; name one or more run folders or logs: curves.py runs/train/… metrics.csv")
    gathered = _gathered(settings, settings.runs)
    found, notes = gathered.curves, list(gathered.notes)
    smooth = [smoothed(curve, settings.smooth) for curve in found] if settings.smooth else found
    bands, tests = _groups(settings, smooth)
    apart, more = differences(found) if settings.group is None and settings.align != "time" else ([], [])
    notes += more
    if settings.align == "time":
        notes.append("By time the curves are drawn only: no two points lie at the same time, so none are compared.")
    said = told(found, apart, _null(settings), settings.align)
    sentences = [*tests, *([MORE] if tests else []), *said.sentences]
    page = Path(settings.page or "curves.html")
    html = curves_page(
        smooth, apart, notes, said=sentences, null=said.null, bands=bands,
        raw=found if settings.smooth and not bands else (), smooth=settings.smooth, align=settings.align,
    )  # fmt: skip
    try:
        write_file(page, html)
        write_pictures(page.parent, html, settings.figure, partial(_beside, page))
    except RunFolderError as problem:
        raise RunFolderError(f"page: {problem}") from None

    show(curves_table(found, apart, settings.align))
    for sentence in [*sentences, *notes]:
        show(sentence)
    paths({"page": page} | ({"figures": page.parent / "figures"} if settings.figure.format else {}))


def _beside(page: Path, name: str) -> Path:
    """The path of a figure beside the page."""
    path = page.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _gathered(settings: CurvesSettings, where: list[str]) -> "Gathered":
    """The curves of what lies at some paths."""
    from mlnn.comparing.curves.gather import gather, source
    from mlnn.logs import Limits

    metric = [settings.metric] if isinstance(settings.metric, str) else settings.metric or []
    limits = Limits(settings.most_bytes, settings.most_points, settings.most_series)
    return gather([source(path, limits, settings.step) for path in where], metric, settings.align)


def _groups(settings: CurvesSettings, found: list["Curve"]) -> tuple[list["Band"], list[str]]:
    """The bands of the groups, and the sentences about their final losses, each group against the first."""
    from mlnn.comparing.curves.groups import band, finals, groups
    from mlnn.comparing.curves.told import final_words

    if settings.group is None:
        return [], []
    if settings.align == "time":
        from mlnn.errors import ConfigError

        raise ConfigError("group: no two runs have points at the same time; align=step or align=tokens")
    made = groups(found, settings.group)
    tests = [finals(made[0], other, settings.margin) for other in made[1:]]
    return [band(group) for group in made], [final_words(test, settings.smooth, settings.align) for test in tests]


def _null(settings: CurvesSettings) -> tuple["Curve", "Curve"] | None:
    """The two curves of the null pair."""
    from mlnn.errors import ConfigError

    if settings.null_pair is None:
        return None
    if settings.group is not None or settings.align == "time":
        raise ConfigError("null_pair: lies beside the differences of single runs; leave out group= and align=time")
    found = _gathered(settings, settings.null_pair).curves
    if len(found) != 2:
        raise ConfigError(f"null_pair: two curves are needed, found {len(found)}; metric=… names one series")
    return found[0], found[1]
