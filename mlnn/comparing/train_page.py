"""The page of one training: its loss curve as a log-likelihood, its way to the maximum, and where the equality stops."""

from collections.abc import Iterator

from mlnn.comparing.curves.curve import Curve
from mlnn.comparing.curves.figures import overlay_figure
from mlnn.comparing.trace import Columns
from mlnn.comparing.trained import Trained, likelihood_facts
from mlnn.estimating.classical_page import MOST_ROWS, NORM, Looks, coefficients, course_figure, norm_figure, own_scale
from mlnn.estimating.lesson import figures, words
from mlnn.estimating.lesson.lesson import Lesson
from mlnn.estimating.lesson.limits import limits
from mlnn.report.html import Picture, picture, render
from mlnn.report.thin import MOST
from mlnn.report.words import number

DIGITS = (7, 7, 4, 3, 3)
"""Significant ones of a column: of network and estimate what a reader compares, of errors and digits what they mean."""


def train_page(trace: Columns, run: Trained, course: Looks = (), lesson: Lesson | None = None) -> str:
    """The page of one lane on its own: its loss curve, column `loss` (steps,), and what is known of its likelihood.

    `course`: its distance to the classical estimate at the steps that were looked at; `lesson`: what the run teaches, from
    which the headline, the axis in log-likelihoods and the pictures of the fit come.
    """
    return render(
        "train.html",
        [trace],
        title=f"Training {run.model}",
        facts=run.facts(),
        likelihood=likelihood_facts(run.likelihood),
        headline=words.headline(lesson, run.mle, run.likelihood, run.stopped) if lesson else "",
        details=words.details(lesson, run.mle, run.likelihood) if lesson else [],
        basis=words.stands_for(run.mle),
        weights=_weights(lesson),
        coefficients=coefficients(run.mle),
        own_scale=own_scale(run.mle),
        first=_first(trace, run, lesson),
        pictures=[*_lesson(lesson), *_course(course)],
        limits=[
            one
            for limit in (limits() if run.mle is not None or (lesson and lesson.likelihood is None) else ())
            for one in picture(limit.heading, limit.sentence, figures.limit_figure(limit))
        ],
    )


def _weights(lesson: Lesson | None) -> list[list[str]]:
    """Rows for a table, in the data's own units: name, network, MLE, standard error, distance in these, digits that agree."""
    path = lesson.path if lesson is not None else None
    if path is None:
        return []
    rows = zip(path.names, path.table(MOST_ROWS), strict=False)
    return [[name, *(number(value, digits) for value, digits in zip(row, DIGITS, strict=True))] for name, row in rows]


def _first(trace: Columns, run: Trained, lesson: Lesson | None) -> list[Picture]:
    if lesson is None:
        curve = Curve(run.objective, trace["step"], trace["loss"])
        caption = "A loss in nats per row that is a likelihood's is −log(likelihood) ÷ rows."
        return picture("Loss", caption, overlay_figure([curve], most=MOST))
    caption = words.COURSE if lesson.two_scales else "Mean per row, before each update."
    return picture("Loss", caption, figures.course_figure(trace["step"], trace["loss"], lesson))


def _lesson(lesson: Lesson | None) -> Iterator[Picture]:
    """The fit over the data, and the weights on their way."""
    if lesson is not None and lesson.fit is not None:
        one, labels = len(lesson.fit.features) == 1, lesson.fit.classes
        equal = words.EQUAL.format(centre=lesson.fit.centre)
        caption = words.ONE_FEATURE if one else words.CHANGES if labels > 2 else equal
        yield from picture("The fit", caption, figures.fit_figure(lesson.fit))
    if lesson is not None and lesson.path is not None:
        caption = words.PATHS if lesson.path.mle is not None else words.PATHS_ONLY
        more = len(lesson.path.names) - figures.MOST_PANELS
        caption += f" The first {figures.MOST_PANELS} of {len(lesson.path.names)}." if more > 0 else ""
        yield from picture("The weights on their way", caption, figures.paths_figure(lesson.path))


def _course(course: Looks) -> Iterator[Picture]:
    yield from picture("Digits of the maximum-likelihood estimate", words.DIGITS, course_figure({"": course}))
    yield from picture("Norm of the weights", NORM, norm_figure({"": course}))
