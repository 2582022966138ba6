"""Counts, reals, positive numbers, fractions: is there a base measure under which exp(−loss) sums to one for every output?

In this order, each step exact where it answers: a location family; Z constant as it stands; a natural exponential family
named by its variance function; Z constant at another temperature; a proof that there is none (see `refute`).
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.exponential import examine_exponential
from mlnn.auditing.families import Exponential, Family, exponential_form, named_family, tidy
from mlnn.auditing.finding import Finding
from mlnn.auditing.integrals import Z_ROUNDING, Total, partition, spread
from mlnn.auditing.known import Known, known_density
from mlnn.auditing.location import examine_location
from mlnn.auditing.refute import FAR_COUNTS, FOLLOWS, elicits, elsewhere, one_way, worse_everywhere
from mlnn.auditing.several import examine_several
from mlnn.auditing.unproven import AGREE, far_from_zero, not_proven
from mlnn.seeding import generator

Z_DIFFERS = 1e-4
"""Relative spread of Z from which it differs. Measured on the catalogue and the tests' losses on numbers: likelihoods spread
by up to 1.4e-11, the nearest loss that is none by 0.068; between Z_ROUNDING and this it is not decided."""
PLACES = 9
"""Outputs at which Z is computed: each costs an integral over the targets."""
SUMMED = 4096
"""Counts that are summed at another temperature; what lies beyond them is looked at through FADED_OUT."""
LOG_TAUS = [k / 4 for k in range(-16, 17)]
"""Where log τ is looked for, τ from e^−4 to e^4: between two neighbours a change of sign is halved down to float64."""
HALVED = 60
"""Halvings after which an interval of log τ is below float64's resolution."""
FADED_OUT = 40
"""loss/τ at the last count summed must exceed this: e^−40 is less than float64 can add to a sum of 1."""
OTHER_TAUS = (0.5, 2.0)
"""Temperatures tried to see whether the dispersion is free; beyond them nothing is promised."""


@dataclass(frozen=True)
class Look:
    """A loss as it is looked at first: Z as it stands at `outputs`, and what its gradients say of an exponential family."""

    loss: Loss
    outputs: Tensor
    total: Total
    form: Exponential | None
    family: Family | None

    @property
    def off(self) -> float:
        """How far Z is from constant."""
        return spread(self.total.z)

    @property
    def settled(self) -> bool:
        return self.total.within(Z_ROUNDING)

    @property
    def stranger(self) -> Family | None:
        """The family, where it lives elsewhere than on the target space."""
        return self.family if self.family and self.family.nll is None else None

    @property
    def beyond(self) -> bool:
        """Whether it makes its outputs means beyond the counts looked at: of those every one pulls one way."""
        return self.loss.space.countable and self.form is not None and float(self.form.mean.max()) > FAR_COUNTS[-1]

    def link(self) -> str | None:
        """Of the mean, or else of what the best output follows."""
        return self.form.link if self.form else elicits(self.loss)[1]


def some_outputs(loss: Loss) -> Tensor:
    """Outputs at which Z is computed, (F,) or (F, m), uneven, inside ±2, where every density has its bulk in reach."""
    noise = generator(2, "audit")
    if loss.space.outputs == 1:
        reach = loss.space.facts.near_output
        line = torch.linspace(-reach, reach, PLACES, dtype=torch.float64)
        return line + 0.2 * (torch.rand(PLACES, generator=noise, dtype=torch.float64) - 0.5)
    return torch.randn(PLACES, loss.space.outputs, generator=noise, dtype=torch.float64)


def examine_numeric(loss: Loss) -> Finding:
    """What a loss is on counts, real, positive or unit targets."""
    if loss.space.outputs > 1:
        return examine_several(loss)
    found = examine_location(loss)
    if found:
        return found
    look = _look(loss)
    if look.stranger:
        return _without_likelihood(look)
    if look.settled and look.off <= Z_ROUNDING:
        return _as_it_stands(look)
    found = _of_family(look)
    if found:
        return found
    found = _by_coordinate(look)
    if found:
        return found
    if look.settled and look.off < Z_DIFFERS:
        said = f"Z varies by {look.off:.1g}: more than rounding, less than certain"
        return Finding("undecided", residual=look.off, said=said)
    found = _at_another_temperature(loss, look.outputs) if loss.space.countable else None
    return found or _without_likelihood(look)


def _look(loss: Loss) -> Look:
    outputs = some_outputs(loss)
    total = partition(loss, outputs)
    form = exponential_form(loss)
    return Look(loss, outputs, total, form, named_family(form, loss.space.facts.support) if form else None)


def _of_family(look: Look) -> Finding | None:
    """The finding where the loss is that of an exponential family which lives on the target space."""
    if look.form and look.family and look.family.nll:
        return examine_exponential(look.loss, look.form, look.family)
    return None


def _as_it_stands(look: Look) -> Finding:
    """Z is one number for every output; is it so at other temperatures too?"""
    total = float(look.total.z.median())
    itself = abs(total - 1) <= Z_ROUNDING
    kind = "likelihood family" if not itself and _is_free(look) else "likelihood"
    known = _known(look)
    if known.reference is None:
        but, witness = far_from_zero(look.loss, total)
        if but:
            said = f"Z is {total:.6g} near output 0, {but}"
            return Finding("undecided", link=known.link, residual=look.off, witness=witness, said=said)
    return Finding(
        kind,
        known.name,
        1.0,
        known.link,
        _constant(-math.log(total)),
        "1" if itself else f"1/{total:.10g}",
        look.off,
        reference=known.reference,
        free_below=OTHER_TAUS[1],
    )


def _is_free(look: Look) -> bool:
    """Whether Z is one number at other temperatures too."""
    tried = (partition(look.loss, look.outputs, tau) for tau in OTHER_TAUS)
    return all(one.within(Z_ROUNDING) and spread(one.z) <= Z_ROUNDING for one in tried)


def _known(look: Look) -> Known:
    """Name, link and formula: of the exponential family, of a density of mlnn's, or as far as the gradients tell."""
    named = _of_family(look)
    known = known_density(look.loss, look.outputs, look.loss.space.wide_points)
    if named:
        return Known(named.family, named.link, named.reference)
    if known:
        return replace(known, link=look.form.link) if look.form else known
    return Known(None, look.link(), None)


def _by_coordinate(look: Look) -> Finding | None:
    """The finding where Z is one number with the measure of log y, or of logit y: h = 1/y, or 1/(y(1 − y))."""
    loss, along = look.loss, look.loss.space.coordinate
    if along is None or loss.space.whole_line or loss.space.outputs > 1 or look.off <= Z_DIFFERS:
        return None

    def log_base(y: Tensor) -> Tensor:
        return -along.log_slope(along.back(y))

    total = partition(loss, look.outputs, log_base=log_base)
    if not total.within(Z_ROUNDING) or spread(total.z) > Z_ROUNDING:
        return None
    reach = loss.space.facts.far_output
    far = partition(loss, torch.linspace(-reach, reach, PLACES, dtype=torch.float64) + 0.00321, log_base=log_base)
    z = float(total.z.median())
    if not far.within(AGREE) or float((far.z / z - 1).abs().max()) > AGREE:
        return None
    parts = (["y"] if along.overflows else ["y", "(1 − y)"]) + [f"{z:.10g}"] * (abs(z - 1) > Z_ROUNDING)
    measure = f"1/{parts[0]}" if len(parts) == 1 else f"1/({'·'.join(parts)})"
    return Finding("likelihood", None, 1.0, look.link(), lambda y: log_base(y) - math.log(z), measure, spread(total.z))


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

    for log_tau in _roots(apart):
        z = torch.exp(log_z(log_tau) - log_z(log_tau)[0])
        if spread(z) <= Z_ROUNDING and bool((value[:, -1] / math.exp(log_tau) > FADED_OUT).all()):
            tau, total = tidy(math.exp(log_tau)), float(log_z(log_tau)[0])
            measure = "1" if abs(total) <= Z_ROUNDING else f"1/{math.exp(total):.10g}"
            return Finding("scaled likelihood", None, tau, elicits(loss)[1], _constant(-total), measure, spread(z))
    return None


def _roots(function: Callable[[float], float]) -> Iterator[float]:
    """Where a function changes its sign over LOG_TAUS, by bisection."""
    values = [function(at) for at in LOG_TAUS]
    for (low, one), (high, two) in itertools.pairwise(zip(LOG_TAUS, values, strict=True)):
        if not one * two < 0:
            continue
        for _ in range(HALVED):
            middle = (low + high) / 2
            low, high = (middle, high) if function(middle) * one > 0 else (low, middle)
        yield low


def _constant(log_h: float) -> Callable[[Tensor], Tensor]:
    return lambda y: torch.full_like(y, log_h, dtype=torch.float64)


def _without_likelihood(look: Look) -> Finding:
    """No base measure was found: it is proven that there is none, or it is not decided."""
    witness = None if look.beyond else worse_everywhere(look.loss)
    if witness is None and look.stranger:
        witness = elsewhere(look.loss, look.stranger, look.outputs, look.total.z if look.settled else None)
    pushed = one_way(look.loss) if witness is None and not look.beyond else None
    witness = witness or pushed
    if witness is None:
        return not_proven(look.loss, look.outputs, look.total, look.link(), look.off, Z_DIFFERS)
    # Where its family lives elsewhere Z may still be constant near 0, and is not what decides.
    residual = look.off if look.off > Z_DIFFERS else None
    if look.form and pushed is None:
        family = look.family
        lives = f"; the {family.name} that has its variance function lives on {family.lives}" if family else ""
        said = "its output is made the mean" + lives
        return Finding("proper", link=look.form.link, residual=residual, witness=witness, said=said)
    follows, link = elicits(look.loss)
    kind, said = FOLLOWS[follows]
    return Finding(kind, link=link, residual=residual, witness=witness, said=said)
