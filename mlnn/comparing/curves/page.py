"""The page of loss curves side by side."""

from collections.abc import Sequence

from mlnn.comparing.curves.curve import PLACES, Curve, Difference
from mlnn.comparing.curves.figures import MOST, difference_figure, overlay_figure
from mlnn.comparing.curves.groups import Band
from mlnn.report.html import picture, render


def curves_page(
    curves: Sequence[Curve],
    differences: Sequence[Difference] = (),
    notes: Sequence[str] = (),
    *,
    said: Sequence[str] = (),
    null: Difference | None = None,
    bands: Sequence[Band] = (),
    raw: Sequence[Curve] = (),
    smooth: int | None = None,
    align: str = "step",
) -> str:
    """The page of runs side by side. `said`: what the curves say, sentences; `notes`: what should be known of them; `null`: the
    difference of a null pair; `bands`: of groups, in place of single curves; `raw`: the curves before they were smoothed over
    `smooth` points; `align`: by what they are laid side by side.
    """
    foreign = any(curve.origin for curve in curves)
    drawn = overlay_figure(curves, bands, raw, not foreign, PLACES[align])
    apart = difference_figure(differences, null, not foreign, PLACES[align])
    longest = max([len(one.loss) for one in curves] + [len(one.gap) for one in differences], default=0)
    return render(
        "curves.html",
        [],
        title=f"{len(curves)} run{'s' if len(curves) != 1 else ''} side by side",
        notes=notes,
        said=said,
        foreign=foreign,
        smooth=smooth,
        points=longest if longest > MOST else 0,
        drawn=MOST,
        bands=bool(bands),
        runs=[(curve.name, " · ".join(f"{word} {value}" for word, value in curve.facts)) for curve in curves],
        pictures=[
            *picture("Loss curves", _caption(bands, smooth), drawn),
            *picture("Differences", _apart(null), apart),
        ],
    )


def _caption(bands: Sequence[Band], smooth: int | None) -> str:
    words = "Bands from the lowest to the highest run of a group, a line through the middle." if bands else ""
    words = words or "Dashed curves lie on top of solid ones."
    if smooth:
        words += f" Smoothed: the mean of the last {smooth} values."
        words += "" if bands else " The values themselves lie faint below."
    return words


def _apart(null: Difference | None) -> str:
    return "Absolute, step by step, not smoothed." + (" Grey: the null pair." if null is not None else "")
