"""Counts, reals, positive numbers, fractions: is there a base measure under which exp(−loss) sums to one for every output?

In this order, each step exact where it answers: a location family; Z constant as it stands; a natural exponential family
named by its variance function; Z constant at another temperature; a proof that there is none (see `refute`).
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.families import Exponential, Family, examine_exponential, exponential_form, named_family, tidy
from mlnn.auditing.finding import Finding
from mlnn.auditing.integrals import Total, partition, spread
from mlnn.auditing.known import Known, known_density
from mlnn.auditing.location import examine_location
from mlnn.auditing.refute import elicits, elsewhere, worse_everywhere
from mlnn.auditing.unproven import far_from_zero, not_proven
from mlnn.seeding import generator

ROUNDING, REAL = 1e-8, 1e-4
SUMMED = 4096


def some_outputs(loss: Loss) -> Tensor:
    """Outputs at which Z is computed, (F,) or (F, m), uneven, inside ±2, where every density has its bulk in reach."""
    noise = generator(2, "audit")
    if loss.space.outputs == 1:
        reach = loss.space.facts.near_output
        line = torch.linspace(-reach, reach, 9, dtype=torch.float64)
        return line + 0.2 * (torch.rand(9, generator=noise, dtype=torch.float64) - 0.5)
    return torch.randn(9, loss.space.outputs, generator=noise, dtype=torch.float64)


def examine_numeric(loss: Loss) -> Finding:
    """What a loss is on counts, real, positive or unit targets."""
    found = examine_location(loss)
    if found:
        return found
    outputs = some_outputs(loss)
    total = partition(loss, outputs)
    z, off, settled = total.z, spread(total.z), total.within(ROUNDING)
    form = exponential_form(loss)
    family = named_family(form, loss.space.facts.support) if form else None
    lives_elsewhere = family is not None and family.nll is None
    if settled and off <= ROUNDING and not lives_elsewhere:
        return _as_it_stands(loss, outputs, float(z.median()), off, form, family)
    if form and family and family.nll:
        found = examine_exponential(loss, form, family)
        if found:
            return found
    if settled and off < REAL and not lives_elsewhere:
        return Finding("undecided", residual=off, said=f"Z varies by {off:.1g}: more than rounding, less than certain")
    if loss.space.countable and not lives_elsewhere:
        found = _at_another_temperature(loss, outputs)
        if found:
            return found
    return _without_likelihood(loss, form, family, outputs, total)


def _as_it_stands(
    loss: Loss, outputs: Tensor, total: float, off: float, form: Exponential | None, family: Family | None
) -> Finding:
    """Z is one number for every output; is it so at other temperatures too?"""
    itself = abs(total - 1) <= ROUNDING
    tried = (partition(loss, outputs, tau) for tau in (0.5, 2.0) if not itself)
    free = all(one.within(ROUNDING) and spread(one.z) <= ROUNDING for one in tried)
    kind = "likelihood" if itself or not free else "likelihood family"
    named = examine_exponential(loss, form, family) if form and family and family.nll else None
    known: Known | None = known_density(loss, outputs, loss.space.wide_points)
    name = named.family if named else known.name if known else None
    link = form.link if form else known.link if known else elicits(loss)[1]
    reference = named.reference if named else known.reference if known else None
    if reference is None:
        but, witness = far_from_zero(loss, total)
        if but:
            return Finding(
                "undecided", link=link, residual=off, witness=witness, said=f"Z is {total:.6g} near output 0, {but}"
            )
    measure = "1" if itself else f"1/{total:.10g}"
    # Temperatures beyond those tried are not promised.
    return Finding(
        kind, name, 1.0, link, _constant(-math.log(total)), measure, off, reference=reference, free_below=2.0
    )


def _at_another_temperature(loss: Loss, outputs: Tensor) -> Finding | None:
    """The τ at which Σ exp(−loss/τ) is one for every output, by bisection between two outputs and then asking all."""
    value = loss.values(outputs, torch.arange(SUMMED, dtype=torch.float64))
    if not bool(torch.isfinite(value).all()):
        return None

    def log_z(log_tau: float) -> Tensor:
        return torch.logsumexp(-value / math.exp(log_tau), 1)

    def apart(log_tau: float) -> float:
        z = log_z(log_tau)
        return float(z[-1] - z[0])

    grid = [k / 4 for k in range(-16, 17)]
    signs = [apart(at) for at in grid]
    for k, (one, two) in enumerate(itertools.pairwise(signs)):
        if not one * two < 0:
            continue
        low, high = grid[k], grid[k + 1]
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if apart(middle) * one > 0 else (low, middle)
        z = torch.exp(log_z(low) - log_z(low)[0])
        if spread(z) <= ROUNDING and bool((value[:, -1] / math.exp(low) > 40).all()):
            tau, total = tidy(math.exp(low)), float(log_z(low)[0])
            measure = "1" if abs(total) <= ROUNDING else f"1/{math.exp(total):.10g}"
            return Finding("scaled likelihood", None, tau, elicits(loss)[1], _constant(-total), measure, spread(z))
    return None


def _constant(log_h: float) -> Callable[[Tensor], Tensor]:
    return lambda y: torch.full_like(y, log_h, dtype=torch.float64)


def _without_likelihood(
    loss: Loss, form: Exponential | None, family: Family | None, outputs: Tensor, total: Total
) -> Finding:
    """No base measure was found: it is proven that there is none, or it is not decided."""
    off, settled = spread(total.z), total.within(ROUNDING)
    witness = worse_everywhere(loss)
    if witness is None and form and family and family.nll is None:
        witness = elsewhere(loss, family, outputs, total.z if settled else None)
    if witness is None:
        return not_proven(loss, outputs, total, form.link if form else elicits(loss)[1], off, REAL)
    # Where its family lives elsewhere Z may still be constant near 0, and is not what decides.
    found = Finding("proper", residual=off if off > REAL else None, witness=witness)
    if form:
        lives = f"; the {family.name} that has its variance function lives on {family.lives}" if family else ""
        return replace(found, link=form.link, said="its output is made the mean" + lives)
    follows, link = elicits(loss)
    said = (
        "its output follows the target, but not its mean" if follows else "its best output does not follow the target"
    )
    return replace(found, kind="calibrated" if follows else "no link", link=link, said=said)
