"""Does the maximum of a likelihood of several raw outputs exist? The models inside it, each asked whether its rows are separated.

A direction along which a model inside never loses and somewhere gains lifts the whole likelihood from every place (Albert &
Anderson 1984), so none of them is the maximum. Where no model inside is separated, hurdles and cumulative links have one; a
mixture with zeros may still have none: it ends at the likelihood within it, when there are no more zeros than that has already.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.catalogue import Family, family_of
from mlnn.estimating.linear.ancillary import linear, maximise, total
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.inference import unshifted
from mlnn.estimating.linear.joint import Joint
from mlnn.estimating.linear.least_squares import EPS
from mlnn.estimating.linear.separation import Separation, find_separation
from mlnn.estimating.linear.start import start
from mlnn.likelihoods.likelihood import Question
from mlnn.targets import TargetSpace

FAR = 12.0
"""Raw outputs, or steps between thresholds, beyond which a maximum is doubted: separated rows stop beyond 40."""
SAME = 1e-6
"""Relative to 1 + |llf|: a mixture whose zeros come from nowhere else ends this near to the likelihood within it."""
REACHES = (1.0, 4.0, 16.0, 64.0)
"""Of a logit that runs away, how much further it is tried: beyond 40 a share is 0 or 1 to float64's last digit."""
BUDGET = 300
"""Iterations towards the maximum of the likelihood within, whatever the caller allowed."""


@dataclass(frozen=True)
class Parts:
    """What runs away. kind: "quasi", or "complete" where every model inside is. direction, limits: (p, m), or of thresholds
    (d, 1), ±inf and NaN. thresholds: their names, where they stand for constants."""

    kind: str
    direction: Tensor
    limits: Tensor
    thresholds: tuple[str, ...]


def doubtful(found: Joint) -> bool:
    """Whether raw outputs are so far out that the maximum may be at infinity."""
    eta = linear(found.design, found.beta)
    cuts = found.family.likelihood.cuts(found.beta[-1])
    if cuts is None:
        return bool(eta.abs().max() > FAR)
    return bool(eta[:, 0].abs().max() > FAR) or (len(cuts) > 1 and bool(cuts.diff().max() > FAR))


def separated_parts(family: Family, design: Design) -> Parts | None:
    """What runs away, by linear programmes; None where no model inside is separated. Raises what `find_separation` raises."""
    asked = [(one, _asked(one, family, design)) for one in family.likelihood.questions(design.y)]
    if all(found.kind == "none" for _one, found in asked):
        return None
    kind = "complete" if all(found.kind == "complete" for _one, found in asked) else "quasi"
    if family.likelihood.constant_after is not None:
        return _of_thresholds(kind, asked[0][1], design)
    direction = torch.zeros(design.width, family.outputs, dtype=torch.float64)
    limits = torch.full_like(direction, torch.nan)
    for one, found in asked:
        if found.direction is not None and found.infinite is not None:
            rows = [-1] if one.output in family.constants else list(range(design.width))
            direction[rows, one.output] = found.direction.double()
            limits[rows, one.output] = found.infinite.double() * torch.inf  # 0 · ∞ is NaN
    if family.likelihood.within is not None and all(found.kind != "none" for _one, found in asked):
        limits[:] = torch.nan  # zeros that one raw output explains leave nothing to the other: either may run
    return Parts(kind, direction, limits, ())


def _of_thresholds(kind: str, found: Separation, design: Design) -> Parts:
    assert found.direction is not None
    assert found.infinite is not None
    width = len(design.features)
    names = tuple(f"{k}|{k + 1}" for k in range(len(found.direction) - width))
    slopes = found.infinite[:width, None].double() * torch.inf
    return Parts(kind, found.direction[:width, None].double(), slopes, names)


def _asked(one: Question, family: Family, design: Design) -> Separation:
    x = design.x if one.rows is None else design.x[one.rows]
    y = one.target if one.rows is None or one.beside is not None else one.target[one.rows]
    if one.output in family.constants and one.beside is None:
        x = x[:, :0]
    if one.beside is not None:
        return find_separation(torch.cat([x.double(), one.beside], dim=1), y, TargetSpace(one.kind), False)
    return find_separation(x, y, TargetSpace(one.kind), design.intercept)


def check_not_within(family: Family, design: Design, reached: float) -> None:
    """Raise DataError where the likelihood within, without its zeros from elsewhere, is as likely as what was `reached`."""
    name = family.likelihood.within
    if name is None:
        return
    inner = family_of(name)
    fitted = maximise(inner, design, start(inner, design), BUDGET)[1]
    if -fitted.point.value >= reached - SAME * (1 + abs(reached)):
        raise DataError(
            f"{family.name}: no finite maximum: the share of zeros from elsewhere runs to 0, as there are no more zeros than"
            f" '{name}' has already; use '{name}'"
        )


def check_no_flight(found: Joint) -> None:
    """Raise DataError where a mixture's share of zeros from elsewhere runs to 0, or to 1, in some rows for ever.

    Of rows whose logit is beyond `FAR` already a direction is sought that takes them further, or leaves them, and holds all
    others. Where the rows are no less likely along it, however far, what Newton's method stopped at is no maximum.
    """
    family, design = found.family, found.design
    logit = linear(design, found.beta)[:, 1]
    far = logit.abs() > FAR
    if not bool(far.any()):
        return
    columns = torch.cat([part.clone() for _rows, part in design.chunks()])
    if 1 in family.constants:
        columns[:, :-1] = 0.0
    signed = torch.where((logit > 0)[:, None], -columns, columns)
    gone = find_separation(signed, (~far).double(), TargetSpace("counts"), False)
    if gone.direction is None:
        return
    steps = (columns @ gone.direction.double()) * far
    length = float(steps.abs().max())
    ways = [found.beta.clone() for _ in REACHES]
    for way, reach in zip(ways, REACHES, strict=True):
        way[:, 1] += reach / length * gone.direction.double()
    slack = 64 * EPS * found.point.size
    if any(not total(family, design, linear(design, way)) <= found.point.value + slack for way in ways):
        return
    rows = (steps.abs() > SAME * length).nonzero()[:, 0]
    end = "0" if bool((logit[rows] < 0).all()) else "1" if bool((logit[rows] > 0).all()) else "0 or 1"
    delta = unshifted(design, gone.direction.double()[:, None])[:, 0]
    runs = [name for name, part in zip(design.names, delta.tolist(), strict=True) if abs(part) > SAME]
    raise DataError(
        f"{family.name}: no finite maximum: the share of zeros from elsewhere runs to {end} in {len(rows)} of {len(logit)} rows"
        f" (row {int(rows[0])} the first), and with it coefficients of {family.labels[1]}: {', '.join(runs[:5])}; leave columns"
        f" out, take constant='{family.labels[1]}', or use '{family.likelihood.within}'"
    )
