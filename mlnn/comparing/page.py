"""The pages of a comparison, and of a ladder of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlnn.comparing import figures
from mlnn.comparing.evidence_words import table, trace_notes, verdict_lines, yardsticks
from mlnn.comparing.ladder import ladder_figure
from mlnn.comparing.planted_figure import planted_figure
from mlnn.comparing.probe_figure import probe_figure
from mlnn.comparing.rungs import Row, rungs, summary
from mlnn.comparing.series import Trace
from mlnn.estimating.classical_page import distances
from mlnn.report.html import picture, render
from mlnn.report.words import facts, plain, severity, title

_LOSS = "Right is drawn dashed on top of left, so that both are seen where they coincide."
_GAP = (
    "Distance between the two weight vectors, relative to the distance travelled from the start. "
    "Inside the null band it is what rounding alone does."
)
_GRADIENT = (
    "At left's weights, on the same batch: right's gradient against left's. No chaos, and blind to the optimiser."
)
_SIZE = "How far the two losses, and the predictions on a fixed batch, are apart."
_PROBE = "Fixed raw outputs and targets, extremes included, before any training. Shaded: the domain of agreement."
_PLANTED = (
    "Faults of falling size, planted into right at left's weights. Filled: caught. Grey: what would pass as rounding. "
    "The verdict can be no finer than where the points sink into the grey."
)
_LADDER = "One point per seed, the architectures in the order of the ladder. Grey: the null band over the seeds."


def comparison_page(verdict: Mapping[str, Any], trace: Trace, about: Mapping[str, Any]) -> str:
    """The page of one comparison: the verdict in words, then the evidence. `trace` columns are (steps,) arrays."""
    pictures = [
        *picture("Probe", _PROBE, probe_figure(verdict.get("probe"), verdict.get("domain"), about)),
        *picture("Gradient gap at common weights", _GRADIENT, figures.gradient_figure(trace)),
        *picture("Weight gap", _GAP, figures.gap_figure(trace, about)),
        *picture("Resolution", _PLANTED, planted_figure(verdict.get("planted"))),
        *picture("Loss of both objectives", _LOSS, figures.loss_figure(trace, about)),
        *picture("Loss gap and prediction gap", _SIZE, figures.size_figure(trace)),
    ]
    return render(
        "comparison.html",
        [trace],
        title=title(about),
        relation=str(verdict.get("relation", "undecided")),
        sentence=verdict.get("sentence", ""),
        facts=facts(about),
        cards=yardsticks(verdict, trace),
        lines=verdict_lines(verdict),
        notes=[*trace_notes(trace), *distances(about.get("mle"))],
        pictures=pictures,
        evidence=table(verdict.get("evidence")),
        resolutions=table(verdict.get("resolutions")),
    )


def growth_page(
    rows: Sequence[Row], cells: Sequence[Mapping[str, Any]], about: Mapping[str, Any], lead: str | None = None
) -> str:
    """The page of a ladder of architectures: summary, picture, table, then each architecture to open.

    `rows` as `growth_table` takes them; `cells`: {"model", "seed", "verdict", "trace", "about"}, the first seed of a
    model is drawn in full, the others as faint lines. `lead`: the opening sentence, instead of one over the ladder.
    """
    ladder = rungs(rows)
    by_model: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        by_model.setdefault(str(cell["model"]), []).append(cell)
    return render(
        "growth.html",
        [cell["trace"] for cell in cells],
        title=title(about),
        summary=lead or summary(ladder),
        facts=facts({key: value for key, value in about.items() if key not in ("model", "parameters")}),
        pictures=picture("Weight gap along the ladder", _LADDER, ladder_figure(rows, about)),
        rungs=ladder,
        sections=[_section(model, seeds) for model, seeds in by_model.items()],
    )


def _section(model: str, seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, others = seeds[0], [cell["trace"] for cell in seeds[1:]]
    trace, about = first["trace"], first.get("about", {})
    faint = f" Seed {plain(first.get('seed'))}; other seeds faint." if others else ""
    return {
        "model": model,
        "parameters": about.get("parameters"),
        # Over the seeds the gravest relation; the sentence is that of the seed drawn in full.
        "relation": max((str(cell["verdict"].get("relation", "undecided")) for cell in seeds), key=severity),
        "sentence": first["verdict"].get("sentence", ""),
        "notes": trace_notes(trace),
        # A seed that is not drawn in full still says its verdict.
        "others": [(cell.get("seed"), cell["verdict"].get("relation")) for cell in seeds[1:]],
        "pictures": [
            *picture("Loss of both objectives", _LOSS + faint, figures.loss_figure(trace, about, others)),
            *picture("Weight gap", _GAP + faint, figures.gap_figure(trace, about, others)),
        ],
    }
