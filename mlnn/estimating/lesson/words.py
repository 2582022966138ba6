"""The sentences of a lesson: each for somebody who meets maximum likelihood for the first time."""

import math
import re

from mlnn.estimating.distance import Finding
from mlnn.estimating.lesson.axis import OFF
from mlnn.estimating.lesson.lesson import Lesson
from mlnn.objectives import Reading
from mlnn.report.words import number
from mlnn.training import Stop

INDISTINCT, INSIDE = 0.999, 0.05
"""p-values above which no test could tell the network from the estimate, and above which it lies in the 95 % region."""
MOST_DIGITS = 10
"""Of a log-likelihood in a sentence: what agrees to so many is the same to a reader."""
SLIGHT = 0.0001
"""Standard errors: what is nearer is told as nearer than that."""
CERTAIN = 1e-9
"""Nats: a supremum nearer to 0 is that of rows that are all told for certain."""

COURSE = "The lower the loss, the higher the likelihood: the same curve on two scales."
PATHS = (
    "Each weight on its way, in the units of the data. Green: the maximum-likelihood estimate, with one and two of its standard"
    " errors around it; data drawn anew would move the estimate itself about so far."
)
PATHS_ONLY = "Each weight on its way, in the units of the data. There is no finite estimate that it could reach."
ONE_FEATURE = (
    "The rows, and what y is like at each x: to the network as it is now, and to the maximum-likelihood estimate."
)
CHANGES = "The rows, and the line on which the decision changes: solid for the network, dashed for the maximum-likelihood estimate."
EQUAL = (
    "The rows, and lines along which y is alike (its {centre} stands beside each): solid for the network, dashed for the"
    " maximum-likelihood estimate."
)
DIGITS = (
    "How many leading digits of the weights agree with the maximum-likelihood estimate: each digit more is ten times nearer. The"
    " line of the worst weight, and of the median one."
)


def headline(lesson: Lesson, found: Finding | None, reading: Reading | None, stopped: Stop | None) -> str:
    """What to know at one glance. reading: of the trained network, over all rows; stopped: where training went non-finite."""
    told = [f"Training stopped at step {stopped.step}: {stopped.what} not finite."] if stopped else []
    if lesson.likelihood is None:
        told += [lesson.why_not or "No likelihood is known behind this loss, and so the curve has no second axis."]
        told += ["The curve can be read as log-likelihoods, on the right."] * lesson.two_scales
    else:
        told += [_loss(lesson), _maximum(lesson) if stopped else _end(lesson, found, reading)]
    return " ".join(part for part in told if part)


def _loss(lesson: Lesson) -> str:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", lesson.likelihood or "")
    if lesson.axis is None:
        return f"The likelihood behind this loss is {name}."
    loss = f"This loss is −log of {'an' if name[:1] in 'AEIOU' else 'a'} {name} likelihood"
    if not math.isclose(lesson.axis.rate, lesson.rows, rel_tol=OFF):
        return f"{loss}, up to a factor and a constant that leave the best weights as they are."
    rows = f"divided by the {lesson.rows:,} rows"
    return f"{loss}, {rows}" + (", up to a constant that only depends on the data." if lesson.axis.at else ".")


def _end(lesson: Lesson, found: Finding | None, reading: Reading | None) -> str:
    if not len(lesson.log_likelihoods) or not math.isfinite(lesson.log_likelihoods[-1]):
        if reading is None or not math.isfinite(reading.log_likelihood):
            return ""
        return f"Training ended at a log-likelihood of {number(reading.log_likelihood, 5)}, all training rows together."
    start, last, top = float(lesson.log_likelihoods[0]), float(lesson.log_likelihoods[-1]), lesson.top
    end, highest = _apart(last, last if top is None else top)
    went = f"Training took the log-likelihood from {number(start, 5)} to {end}"
    if top is None:
        return f"{went}." + (
            f" There is no unique estimate to compare it with: {found.why}." if found and found.why else ""
        )
    if lesson.separated:
        return (
            f"{went}. It has no maximum: ever larger weights bring it ever nearer to {'0' if abs(top) < CERTAIN else highest}, and"
            " none reach that, so there is no maximum-likelihood estimate (MLE)."
        )
    if end == highest:
        return f"{went}, which is the highest that any weights reach: the maximum-likelihood estimate (MLE)."
    return f"{went}; the highest that any weights reach, the maximum-likelihood estimate (MLE), is {highest}."


def _maximum(lesson: Lesson) -> str:
    """Where the maximum is, of a training that said nothing of it."""
    if lesson.top is None or lesson.separated:
        return ""
    return f"The highest log-likelihood that any weights reach, the maximum-likelihood estimate (MLE), is {number(lesson.top, 5)}."


def _apart(last: float, top: float) -> tuple[str, str]:
    """Two log-likelihoods with as many digits as tell them apart, five at least."""
    for digits in range(5, MOST_DIGITS):
        if number(last, digits) != number(top, digits):
            return number(last, digits), number(top, digits)
    return number(last, 5), number(top, 5)


def details(lesson: Lesson, found: Finding | None, reading: Reading | None) -> list[str]:
    """What there is to say next, a sentence or two each."""
    told = []
    if found is not None and found.lr_pvalue is not None and math.isfinite(found.lr_pvalue):
        told.append(_distance(found, found.lr_pvalue))
    if lesson.separated and found is not None:
        whole = "completely: some weights tell every row for certain" if found.separation == "complete" else "in part"
        told.append(
            f"The rows are separated {whole}. The weights have length {number(found.norm, 4)} now. Under gradient"
            " descent they grow like the logarithm of the steps: an optimiser that stops has met its own tolerance, not a maximum."
        )
    if lesson.fixed:
        told.append(
            f"The log-likelihoods are taken at {lesson.fixed}, its own maximum-likelihood value; the weights that are best do not"
            " depend on it."
            + (f" The numbers at the end of the page are those of {reading.likelihood}." if reading else "")
        )
    if lesson.decay:
        told.append(
            f"The optimiser has a weight decay of {lesson.decay:g}, which pulls the weights towards 0: where training comes to rest"
            " is not the maximum of the likelihood but that of likelihood × prior, or near it."
        )
    return told


def stands_for(found: Finding | None) -> str:
    """Of which rows, and in which units, the numbers are."""
    basis = found.basis if found is not None else None
    if basis is None:
        return ""
    rows = f"the {basis.rows:,} rows that were trained on ({basis.held_out:,} more are held out)"
    rows = rows if basis.held_out else f"all {basis.rows:,} rows"
    told = [f"The estimate is that of {rows}, {'with' if basis.constant else 'without'} a constant."]
    parts = ["the features"] * basis.features + ["y"] * basis.target
    if parts and basis.own is not None:
        told.append(
            f"For training {' and '.join(parts)} had the mean taken off and {'were' if len(parts) > 1 or basis.features else 'was'}"
            " divided by the standard deviation; here the weights are carried back to the units of the data. The fit is the same."
        )
    if basis.target and basis.own is not None:
        told.append(
            f"A density is counted per unit of y: in the data's own unit the log-likelihood of the estimate is"
            f" {number(basis.own.llf, 7)}."
        )
    return " ".join(told)


def _distance(found: Finding, p: float) -> str:
    """How far the network is, in digits, standard errors, and what a test would see."""
    assert found.summary is not None
    digits, errors = found.summary.digits_least, found.summary.standard_errors
    first = f"The weight that is farthest from the estimate has {digits:.1f} digits of it"
    near = f"all are within {SLIGHT} standard errors of it"
    away = f"none is more than {errors:.2g} standard errors away" if errors >= SLIGHT else near
    beside = "" if math.isnan(errors) else f", and {away}"
    if p > INDISTINCT:
        return f"{first}{beside}: no test on these data could tell the network from the estimate."
    if p > INSIDE:
        return (
            f"{first}{beside}. That is short of the maximum, but inside the region in which the true weights lie with 95 %"
            f" confidence (a likelihood-ratio test has p = {number(p, 3)})."
        )
    return (
        f"{first}{beside}. That is outside the region in which the true weights lie with 95 % confidence: training has not arrived"
        " yet, or something holds it back."
    )
