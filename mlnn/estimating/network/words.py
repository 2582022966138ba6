"""Is this network an MLE? The answer in words: the verdict, the reasons that hold, and what is identified all the same."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mlnn.estimating.network.network import NetworkReport

SAME = 1e-2  # seeds agree: nats of log-likelihood, share of the weights' size, share of the predictions' own spread
SLOPPY = 1e-12  # of the largest eigenvalue: flat for every practical purpose, if not on paper
VAGUE = 0.1  # share of the predictions' own spread above which they are not called identified


def answer(report: "NetworkReport") -> str:
    """One honest paragraph."""
    return " ".join([_verdict(report), *_reasons(report), _identified(report)]).strip()


def _verdict(report: "NetworkReport") -> str:
    seeds, exact = len(report.standings), report.twin is not None and report.twin.exists
    if report.kind == "yes":
        told = "the weights are the maximum-likelihood estimate"
        return (
            f"Yes, to {report.digits:.1f} digits: " + (told if exact else f"{seeds} seeds reach the same maximum") + "."
        )
    if report.kind == "as a function":
        sure = "" if exact or all(report.met) else f", as far as {seeds} seeds can tell"
        digits = f", to {report.digits:.1f} digits of its coefficients" if exact else ""
        return f"Not the weights, but the function{sure}: its predictions are those of a maximum{digits}."
    if report.kind == "undecided":
        one = (
            "whether other seeds end there is not known" if seeds == 1 else "whether they are maxima could not be told"
        )
        return f"Undecided: training ended at stationary points, and {one}."
    return "No."


def _reasons(report: "NetworkReport") -> Iterator[str]:
    seeds, spectrum = len(report.standings), report.standings[0].spectrum
    if report.flat:
        least = "" if spectrum.whole else "At least "
        wider = min(one.spectrum.below(SLOPPY) for one in report.standings)
        more = f", {wider} if all below {SLOPPY:.0e} of the largest are counted" if wider != report.flat else ""
        yield (
            f"{least}{report.flat} of {spectrum.parameters} directions are flat{more}: no estimate of the weights is unique."
        )
    elif report.hidden and report.kind == "as a function":
        yield "No direction is flat, but hidden units can change places or signs: other weights are as good."
    if all(report.met):
        yield "Every row is met: no network can make these rows more likely."
    if report.stopped_short:
        relative = max(one.gradient_relative for one in report.standings)
        errors = np.nanmax([0.0, *(one.gradient_in_errors for one in report.standings)])
        why = (
            "there is no maximum to arrive at"
            if report.separation == "complete"
            else "training is not where it could end"
        )
        yield (
            f"On {report.stopped_short} of {seeds} seeds the gradient has not vanished (up to {relative:.2g} of its terms,"
            f" {errors:.2g} standard errors): {why}."
        )
    if report.saddles:
        yield f"{report.saddles} of {seeds} seeds stand on a saddle: the likelihood still rises to either side."
    if report.separation != "none":
        where = [head.separation for head in report.heads if head].count(report.separation)
        whole = "; so the network has none either" if report.separation == "complete" else ""
        yield (
            f"Given its features the last layer has no MLE on {where} of {seeds} seeds, {report.separation} separation: its"
            f" likelihood grows as long as its weights do{whole}."
        )
    short = max((one.lr / 2 for one in report.distances), default=0.0)
    if report.kind == "no" and short > SAME:  # NaN where there is no maximum
        yield f"The log-likelihood is up to {short:.2g} nats below the maximum, which a linear model reaches."
    gaps = [np.abs(head.distance.errors).max() for head in report.heads if head and head.distance]
    if report.separation == "none" and gaps and not (report.twin and not report.flat):
        yield f"Given its features the last layer is within {max(gaps):.1g} standard errors of its MLE."
    if seeds > 1 and report.spread.log_likelihood > SAME:
        yield f"The seeds end {report.spread.log_likelihood:.2g} nats apart: at most the highest is the maximum."


def _identified(report: "NetworkReport") -> str:
    gaps = report.spread
    if math.isnan(gaps.weights):
        return ""
    told = (
        f"the predictions of the training rows differ by {gaps.predictions:.1g} ({gaps.relative:.2g} of their spread)"
    )
    told += "" if math.isnan(gaps.held_out) else f", those of held-out rows by {gaps.held_out:.1g}"
    told += f", the weights by {gaps.weights:.2g} of their size"
    if gaps.relative > VAGUE:
        return f"From seed to seed not even the predictions agree: {told}."
    where = " on the training rows, and there only" if gaps.relative_held_out > VAGUE else ""
    return f"What is identified is the predictions{where}: from seed to seed {told}."
