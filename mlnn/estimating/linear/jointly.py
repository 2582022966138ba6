"""Estimating coefficients of several raw outputs and several numbers in one: start, maximum, or why there is none."""

import math

import torch
from torch import Tensor

from mlnn.errors import ConfigError, MlnnError
from mlnn.estimating.catalogue import Family, family_of
from mlnn.estimating.linear import other_answers
from mlnn.estimating.linear.ancillary import NoNumberError, linear, maximise, total
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.joint import Joint, held_at_zero, maximise_jointly
from mlnn.estimating.linear.newton import NotConvergedError
from mlnn.estimating.linear.parts import BUDGET, check_no_flight, check_not_within, doubtful, separated_parts
from mlnn.estimating.linear.start import beside_offset, start
from mlnn.estimating.result import Estimate

FAR_INSIDE = -8.0
"""Logits of the share of zeros from elsewhere, in every row, below which there may be none at all."""


def jointly(family: Family, design: Design, cov: str, max_iter: int) -> Estimate:
    """The estimate, or the statement that there is none.

    Raises ConfigError where a raw output has a constant alone and the model none; DataError for a mixture that ends at the
    likelihood within it; what `maximise_jointly` raises.
    """
    if family.constants and not design.intercept:
        raise ConfigError(
            "intercept: a raw output has a constant alone here, or thresholds in its place; leave it True"
        )
    try:
        found: Joint | MlnnError = maximise_jointly(family, design, _start(family, design), max_iter)
    except (NotConvergedError, NoNumberError) as error:
        found = error
    failed = not isinstance(found, Joint)
    if failed or (family.likelihood.jointly and doubtful(found)):  # type: ignore[arg-type]
        gone = separated_parts(family, design)
        if gone is not None:
            return other_answers.of_questions(family, design, gone, _null(family, design), cov)
    if isinstance(found, MlnnError):
        if isinstance(found, NotConvergedError) and math.isfinite(found.reached):
            check_not_within(family, design, found.reached)
        raise found
    if family.likelihood.within:
        if bool((linear(design, found.beta)[:, 1] < FAR_INSIDE).all()):
            check_not_within(family, design, -found.point.value)
        check_no_flight(found)
    return other_answers.of_joint(found, _null(family, design), "observed" if cov == "expected" else cov)


def _start(family: Family, design: Design) -> Tensor:
    """The likeliest of constants alone and, of a mixture, the coefficients of the likelihood within beside them."""
    told = family.likelihood.level(design.y, design.weigh(slice(0, len(design.y)), torch.ones(len(design.y)).double()))
    if told is None or not design.intercept:
        return start(family, design)
    flat = torch.zeros(design.width, family.outputs, dtype=torch.float64)
    flat[-1] = told
    places = [flat]
    if family.likelihood.within is not None:
        inner = family_of(family.likelihood.within)
        try:
            slopes = maximise(inner, design, start(inner, design), BUDGET)[1].beta
            places.append(torch.cat([torch.cat([slopes[:-1], flat[:-1, 1:]], dim=1), flat[-1:]]))
        except MlnnError:  # what it starts from is no answer
            pass
    held = held_at_zero(family, design.width, design.intercept)
    places = [beside_offset(family, design, torch.where(held, 0.0, place)) for place in places]
    values = [total(family, design, linear(design, place)) for place in places]
    return places[min(range(len(values)), key=lambda k: values[k] if values[k] == values[k] else torch.inf)]


def _null(family: Family, design: Design) -> float:
    """The maximum log-likelihood of constants alone, NaN where there is none."""
    alone = design.without_features()
    try:
        return -maximise_jointly(family, alone, _start(family, alone), BUDGET).point.value
    except (NotConvergedError, NoNumberError):
        return float("nan")
