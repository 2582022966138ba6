"""The page of a ladder of comparisons: summary, picture, table, then each architecture to open."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlnn.comparing import figures
from mlnn.comparing.badges import badge, severity
from mlnn.comparing.evidence_words import trace_notes
from mlnn.comparing.growth import GrowthCell
from mlnn.comparing.ladder import ladder_figure
from mlnn.comparing.page import GAP, LOSS
from mlnn.comparing.records import RunInfo
from mlnn.comparing.rungs import rungs, summary
from mlnn.report.html import Picture, picture, render
from mlnn.report.words import plain

_LADDER = "One point per seed, the architectures in the order of the ladder. Grey: the null band over the seeds."


@dataclass(frozen=True)
class Section:
    """One architecture on the page of a ladder: the first seed in full, the others as faint lines and by their relation.

    `relation`: the gravest over the seeds; `sentence`: that of the seed drawn in full; `others`: (seed, relation) each.
    """

    model: str
    parameters: int | None
    relation: str
    sentence: str
    notes: Sequence[str]
    others: Sequence[tuple[int, str]]
    pictures: Sequence[Picture]


def growth_page(cells: Sequence[GrowthCell], run: RunInfo, lead: str | None = None) -> str:
    """The page of a ladder of architectures: summary, picture, table, then each architecture to open.

    `run`: what all cells share; `lead`: the opening sentence, instead of one over the ladder.
    """
    rows = [cell.row for cell in cells]
    ladder = rungs(rows)
    by_model: dict[str, list[GrowthCell]] = {}
    for cell in cells:
        by_model.setdefault(cell.model, []).append(cell)
    return render(
        "growth.html",
        [cell.trace for cell in cells],
        title=run.title,
        badge=badge,
        summary=lead or summary(ladder),
        facts=replace(run, model=None, parameters=None).facts(),
        pictures=picture("Weight gap along the ladder", _LADDER, ladder_figure(rows, run)),
        rungs=ladder,
        sections=[_section(model, seeds) for model, seeds in by_model.items()],
    )


def _section(model: str, seeds: Sequence[GrowthCell]) -> Section:
    first, others = seeds[0], [cell.trace for cell in seeds[1:]]
    faint = f" Seed {plain(first.seed)}; other seeds faint." if others else ""
    return Section(
        model=model,
        parameters=first.run.parameters,
        relation=max((cell.verdict.relation for cell in seeds), key=severity),
        sentence=first.verdict.sentence,
        notes=trace_notes(first.trace, first.run.trace_every),
        others=[(cell.seed, cell.verdict.relation) for cell in seeds[1:]],
        pictures=[
            *picture("Loss of both objectives", LOSS + faint, figures.loss_figure(first.trace, first.run, others)),
            *picture("Weight gap", GAP + faint, figures.gap_figure(first.trace, first.run, others)),
        ],
    )
