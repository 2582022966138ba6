"""The pages of loss curves: that of one training, and those of stored runs side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlnn.comparing import figures
from mlnn.comparing.series import Trace
from mlnn.estimating import Finding
from mlnn.estimating.classical_page import DIGITS, NORM, Looks, coefficients, course_figure, norm_figure, own_scale
from mlnn.report.html import picture, render
from mlnn.report.words import facts, likelihood_facts


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


def train_page(trace: Trace, about: Mapping[str, Any], course: Looks = (), found: Finding | None = None) -> str:
    """The page of one lane on its own: its loss curve, column `loss` (steps,), and what `about` has of its likelihood.

    `course`: its distance to the classical estimate at the steps that were looked at; `found`: what that came to.
    """
    run = {"name": about.get("objective", "loss"), "trace": trace}
    caption = "A loss in nats per row that is a likelihood's is −log(likelihood) ÷ rows."
    return render(
        "train.html",
        [trace],
        title=f"Training {about.get('model', 'a model')}",
        facts=facts(about),
        likelihood=likelihood_facts(about["likelihood"]) if "likelihood" in about else [],
        mle=found,
        coefficients=coefficients(found),
        own_scale=own_scale(found),
        pictures=[
            *picture("Loss", caption, figures.overlay_figure([run])),
            *picture("Digits of the maximum-likelihood estimate", DIGITS, course_figure({"": course})),
            *picture("Norm of the weights", NORM, norm_figure({"": course})),
        ],
    )
