"""The pages of loss curves: that of one training, and those of stored runs side by side."""

from collections.abc import Sequence

from mlnn.comparing import figures
from mlnn.comparing.curves import Curve, Difference
from mlnn.comparing.trace import Columns
from mlnn.comparing.trained import Trained, likelihood_facts
from mlnn.estimating.classical_page import DIGITS, NORM, Looks, coefficients, course_figure, norm_figure, own_scale
from mlnn.report.html import picture, render


def curves_page(curves: Sequence[Curve], differences: Sequence[Difference] = (), notes: Sequence[str] = ()) -> str:
    """The page of stored runs side by side; `notes`: sentences shown above the pictures."""
    return render(
        "curves.html",
        [*({"step": curve.step} for curve in curves), *({"step": one.step} for one in differences)],
        title=f"{len(curves)} stored run{'s' if len(curves) != 1 else ''}",
        notes=notes,
        runs=[(curve.name, curve.ground.facts()) for curve in curves],
        pictures=[
            *picture("Loss curves", "Dashed curves lie on top of solid ones.", figures.overlay_figure(curves)),
            *picture("Differences", "Absolute, step by step.", figures.difference_figure(differences)),
        ],
    )


def train_page(trace: Columns, run: Trained, course: Looks = ()) -> str:
    """The page of one lane on its own: its loss curve, column `loss` (steps,), and what is known of its likelihood.

    `course`: its distance to the classical estimate at the steps that were looked at.
    """
    curve = Curve(run.objective, trace["step"], trace["loss"])
    caption = "A loss in nats per row that is a likelihood's is −log(likelihood) ÷ rows."
    return render(
        "train.html",
        [trace],
        title=f"Training {run.model}",
        facts=run.facts(),
        likelihood=likelihood_facts(run.likelihood),
        mle=run.mle,
        coefficients=coefficients(run.mle),
        own_scale=own_scale(run.mle),
        pictures=[
            *picture("Loss", caption, figures.overlay_figure([curve])),
            *picture("Digits of the maximum-likelihood estimate", DIGITS, course_figure({"": course})),
            *picture("Norm of the weights", NORM, norm_figure({"": course})),
        ],
    )
