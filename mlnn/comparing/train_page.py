"""The page of one training: its loss curve, and what is known of its likelihood."""

from mlnn.comparing.curves.curve import Curve
from mlnn.comparing.curves.figures import overlay_figure
from mlnn.comparing.trace import Columns
from mlnn.comparing.trained import Trained, likelihood_facts
from mlnn.estimating.classical_page import DIGITS, NORM, Looks, coefficients, course_figure, norm_figure, own_scale
from mlnn.report.html import picture, render
from mlnn.report.thin import MOST


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
            *picture("Loss", caption, overlay_figure([curve], most=MOST)),
            *picture("Digits of the maximum-likelihood estimate", DIGITS, course_figure({"": course})),
            *picture("Norm of the weights", NORM, norm_figure({"": course})),
        ],
    )
