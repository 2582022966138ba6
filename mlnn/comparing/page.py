"""The page of a comparison: the verdict in words, then the evidence."""

from mlnn.comparing import figures
from mlnn.comparing.badges import badge
from mlnn.comparing.evidence_words import table, trace_notes, verdict_lines, yardsticks
from mlnn.comparing.planted_figure import Planted, planted_figure
from mlnn.comparing.probe_figure import ProbeCurves, probe_figure
from mlnn.comparing.records import RunInfo
from mlnn.comparing.trace import Columns
from mlnn.comparing.verdict import Verdict
from mlnn.estimating.classical_page import distances
from mlnn.report.html import picture, render

LOSS = "Right is drawn dashed on top of left, so that both are seen where they coincide."
GAP = (
    "Distance between the two weight vectors, relative to the distance travelled from the start. "
    "Inside the null band it is what rounding alone does."
)
_GRADIENT = (
    "At left's weights, on the same batch: right's gradient against left's. No chaos, and blind to the optimiser."
)
_SIZE = "How far the two losses, and the predictions on a fixed batch, are apart."
_FOLLOWED = "Right is asked at left's weights, where left's training was looked at."
"""Of a verdict, of which left alone trains: there is one trajectory, and there are no predictions of right's own."""
_PROBE = "Fixed raw outputs and targets, extremes included, before any training. Shaded: the domain of agreement."
_PLANTED = (
    "Faults of falling size, planted into right at left's weights. Filled: caught. Grey: what would pass as rounding. "
    "The verdict can be no finer than where the points sink into the grey."
)


def comparison_page(verdict: Verdict, trace: Columns, run: RunInfo, probe: ProbeCurves | None, planted: Planted) -> str:
    """The page of one comparison: the verdict in words, then the evidence. `trace` columns are (steps,) arrays."""
    followed = run.mode == "verdict"
    losses = f"{_FOLLOWED} {LOSS}" if followed else LOSS
    size = ("Loss gap", _FOLLOWED) if followed else ("Loss gap and prediction gap", _SIZE)
    notes = trace_notes(trace, run.trace_every, thinned=followed and run.looks is not None)
    pictures = [
        *picture("Probe", _PROBE, probe_figure(probe, verdict.domain, run)),
        *picture("Gradient gap at common weights", _GRADIENT, figures.gradient_figure(trace)),
        *picture("Weight gap", GAP, figures.gap_figure(trace, run)),
        *picture("Resolution", _PLANTED, planted_figure(planted)),
        *picture("Loss of both objectives", losses, figures.loss_figure(trace, run)),
        *picture(*size, figures.size_figure(trace)),
    ]
    return render(
        "comparison.html",
        [trace],
        title=run.title,
        badge=badge,
        relation=verdict.relation,
        sentence=verdict.sentence,
        facts=run.facts(),
        cards=yardsticks(verdict, trace, run.trace_every),
        lines=verdict_lines(verdict),
        proof=verdict.proof and verdict.proof.says,
        notes=[*notes, *distances(run.mle)],
        followed=followed,
        pictures=pictures,
        evidence=table(verdict.evidence),
        resolutions=table(verdict.resolutions),
    )
