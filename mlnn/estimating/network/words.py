"""Is this network an MLE? The answer in words: the verdict, the reasons that hold, and what is identified all the same."""

import math

import numpy as np

from mlnn.estimating.network.report import SAME, NetworkReport

SLOPPY = 1e-12
"""Of the largest eigenvalue: flat for every practical purpose, if not on paper."""
VAGUE = 0.1
"""Share of the predictions' own spread above which they are not called identified."""


def answer(report: NetworkReport) -> str:
    """One honest paragraph."""
    parts = [_verdict(report), *(reason(report) for reason in REASONS), _identified(report)]
    return " ".join(part for part in parts if part)


def _verdict(report: NetworkReport) -> str:
    seeds = len(report.standings)
    if report.kind == "yes":
        seen = f"{seeds} seeds reach the same maximum"
        told = "the weights are the maximum-likelihood estimate" if report.exact else seen
        return f"Yes, to {report.digits:.1f} digits: {told}."
    if report.kind == "as a function":
        sure = "" if report.exact or all(report.met) else f", as far as {seeds} seeds can tell"
        digits = f", to {report.digits:.1f} digits of its coefficients" if report.exact else ""
        return f"Not the weights, but the function{sure}: its predictions are those of a maximum{digits}."
    if report.kind == "undecided":
        one = (
            "whether other seeds end there is not known" if seeds == 1 else "whether they are maxima could not be told"
        )
        return f"Undecided: training ended at stationary points, and {one}."
    return "No."


def _flat_directions(report: NetworkReport) -> str:
    if not report.flat:
        swapped = report.hidden and report.kind == "as a function"
        told = "No direction is flat, but hidden units can change places or signs: other weights are as good."
        return told if swapped else ""
    spectrum = report.standings[0].spectrum
    least = "" if spectrum.whole else "At least "
    wider = min(one.spectrum.below(SLOPPY) for one in report.standings)
    more = f", {wider} if all below {SLOPPY:.0e} of the largest are counted" if wider != report.flat else ""
    return f"{least}{report.flat} of {spectrum.parameters} directions are flat{more}: no estimate of the weights is unique."


def _all_met(report: NetworkReport) -> str:
    return "Every row is met: no network can make these rows more likely." if all(report.met) else ""


def _stopped_short(report: NetworkReport) -> str:
    if not report.stopped_short:
        return ""
    relative = max(one.gradient_relative for one in report.standings)
    errors = np.nanmax([0.0, *(one.gradient_in_errors for one in report.standings)])
    nowhere = report.separation == "complete"
    why = "there is no maximum to arrive at" if nowhere else "training is not where it could end"
    return (
        f"On {report.stopped_short} of {len(report.standings)} seeds the gradient has not vanished (up to {relative:.2g} of its"
        f" terms, {errors:.2g} standard errors): {why}."
    )


def _saddles(report: NetworkReport) -> str:
    told = f"{report.saddles} of {len(report.standings)} seeds stand on a saddle: the likelihood still rises to either side."
    return told if report.saddles else ""


def _separated(report: NetworkReport) -> str:
    if report.separation == "none":
        return ""
    where = [head.separation for head in report.heads if head].count(report.separation)
    whole = "; so the network has none either" if report.separation == "complete" else ""
    return (
        f"Given its features the last layer has no MLE on {where} of {len(report.standings)} seeds, {report.separation}"
        f" separation: its likelihood grows as long as its weights do{whole}."
    )


def _below_the_maximum(report: NetworkReport) -> str:
    short = max((one.lr / 2 for one in report.distances), default=0.0)
    told = f"The log-likelihood is up to {short:.2g} nats below the maximum, which a linear model reaches."
    return told if report.kind == "no" and short > SAME else ""  # NaN where there is no maximum


def _last_layer(report: NetworkReport) -> str:
    if report.separation != "none" or (report.classical and not report.flat):
        return ""
    gaps = [np.abs(head.distance.errors).max() for head in report.heads if head and head.distance]
    return f"Given its features the last layer is within {max(gaps):.1g} standard errors of its MLE." if gaps else ""


def _heights(report: NetworkReport) -> str:
    apart = report.spread.log_likelihood
    told = f"The seeds end {apart:.2g} nats apart: at most the highest is the maximum."
    return told if len(report.standings) > 1 and apart > SAME else ""


REASONS = (
    *(_flat_directions, _all_met, _stopped_short, _saddles, _separated),
    *(_below_the_maximum, _last_layer, _heights),
)
"""In the order in which they are given; each is "" where it does not hold."""


def _identified(report: NetworkReport) -> str:
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
