"""One HTML page per run, whole in itself: styles, data and the plotting library inline, nothing fetched."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from mlnn.report import figures
from mlnn.report.evidence import table, trace_notes, verdict_lines, yardsticks
from mlnn.report.ladder import ladder_figure
from mlnn.report.planted import planted_figure
from mlnn.report.probe import probe_figure
from mlnn.report.rungs import Row, rungs, summary
from mlnn.report.series import Trace
from mlnn.report.thin import MOST
from mlnn.report.twin import Rows, coefficients, course_figure, distances, norm_figure, own_scale
from mlnn.report.words import badge, facts, likelihood_facts, number, plain, severity, title
from mlnn.visible import visible

Picture = dict[str, Any]
_NO_BOX = "<extra></extra>"

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
_DIGITS = "How many digits of the classical estimate the network's coefficients have, as training goes on."
NORM = (
    "There is no maximum to reach. Under gradient descent this is a straight line: growth like the logarithm of the steps. An"
    " optimiser that stops has met its own tolerance, not a maximum."
)
_LADDER = "One point per seed, the architectures in the order of the ladder. Grey: the null band over the seeds."


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mlnn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {"number": number, "plain": plain}
    environment.globals |= {"badge": badge, "plotly_js": Markup(get_plotlyjs()), "most": MOST}
    return environment


def _shown(value: Any) -> Any:
    """What a template shows, hidden characters written out; markup is our own."""
    return visible(value) if type(value) is str else value


def _harmless(value: Any) -> Any:
    """A picture's JSON in which no text is markup: plotly reads tags (`<b>`, `<a href=…>`) in names, labels and hovers."""
    if isinstance(value, dict):
        return {key: _harmless(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_harmless(item) for item in value]
    if not isinstance(value, str):
        return value
    # The one tag of our own says that a hover has no second box.
    return visible(value, keep="").replace("<", "&lt;").replace(_NO_BOX.replace("<", "&lt;"), _NO_BOX)


def picture(heading: str, caption: str, figure: go.Figure | None) -> list[Picture]:
    """A figure as the page holds it, or nothing: [] without a figure."""
    if figure is None:
        return []
    # The JSON sits in a <script> element, which nothing in it may close.
    told = json.dumps(_harmless(json.loads(figure.to_json())), separators=(",", ":"))
    text = Markup(told.replace("<", "\\u003c"))
    return [{"heading": heading, "caption": caption, "json": text, "height": figure.layout.height}]


def render(template: str, traces: Sequence[Trace], **values: Any) -> str:
    thinned = any(len(trace["step"]) > MOST for trace in traces)
    return _environment().get_template(template).render(thinned=thinned, **values)


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


def curves_page(
    runs: Sequence[Mapping[str, Any]], differences: Sequence[Mapping[str, Any]] = (), notes: Sequence[str] = ()
) -> str:
    """The page of stored runs side by side.

    `runs`: {"name", "trace", "about"}, the trace with `step` and `loss` (or `loss_left`, `loss_right`); `differences`:
    {"name", "trace"}, the trace with `step` and `abs_loss_gap`; `notes`: sentences shown above the pictures.
    """
    return render(
        "curves.html",
        [one["trace"] for one in [*runs, *differences]],
        title=f"{len(runs)} stored run{'s' if len(runs) != 1 else ''}",
        notes=list(notes),
        runs=[(run["name"], facts(run.get("about", {}))) for run in runs],
        pictures=[
            *picture("Loss curves", "Dashed curves lie on top of solid ones.", figures.overlay_figure(runs)),
            *picture("Differences", "Absolute, step by step.", figures.difference_figure(differences)),
        ],
    )


def train_page(trace: Trace, about: Mapping[str, Any], course: Rows = ()) -> str:
    """The page of one lane on its own: its loss curve, column `loss` (steps,), and what `about` has of its likelihood.

    `course`: its distance to the classical estimate, a dict per step that was looked at.
    """
    run = {"name": about.get("objective", "loss"), "trace": trace}
    caption = "A loss in nats per row that is a likelihood's is −log(likelihood) ÷ rows."
    return render(
        "train.html",
        [trace],
        title=f"Training {about.get('model', 'a model')}",
        facts=facts(about),
        likelihood=likelihood_facts(about["likelihood"]) if "likelihood" in about else [],
        mle=about.get("mle"),
        coefficients=coefficients(about.get("mle")),
        own_scale=own_scale(about.get("mle")),
        pictures=[
            *picture("Loss", caption, figures.overlay_figure([run])),
            *picture("Digits of the maximum-likelihood estimate", _DIGITS, course_figure({"": course})),
            *picture("Norm of the weights", NORM, norm_figure({"": course})),
        ],
    )
