"""All outputs but one held still, a loss is one of one output; the base measure must be the same whatever the others are held at.

Where a slice is that of a natural exponential family (see `families`), its variance function leaves one temperature and one base
measure. So two slices that want two of them, or one whose family lives elsewhere, are a proof that there is none for all outputs.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.exponential import examine_exponential
from mlnn.auditing.families import Exponential, Family, exponential_form, named_family
from mlnn.auditing.finding import Finding
from mlnn.auditing.record import Witness, raw_output, row

HELD = 4
"""Outputs at which the others are held."""
MOST = 6
"""Entries that are looked at, one after the other."""
DIFFERENT = 1e-5
"""Difference of two log h, or share of two τ, that is more than the rounding of a family read off gradients."""


@dataclass(frozen=True)
class Slice:
    """The loss along one entry, the others `held` (m,): its family, and what `found` of it where that lives on the targets."""

    held: Tensor
    family: Family
    found: Finding | None


def sliced(loss: Loss, outputs: Tensor) -> Witness | None:
    """Two slices along one entry whose families contradict each other, or one that lives elsewhere; None where none was found."""
    for entry in range(min(loss.space.outputs, MOST)):
        first: Slice | None = None
        for held in outputs[:HELD]:
            here = _slice(loss, held, entry)
            if here is None:
                break
            if here.family.nll is None:
                return _elsewhere(loss, here)
            if first is None or first.found is None:
                first = here
                continue
            apart = _apart(loss, first, here)
            if apart:
                return apart
    return None


def _slice(loss: Loss, held: Tensor, entry: int) -> Slice | None:
    """None where the slice is no named family's."""
    whole = loss.objective

    def along(output: Tensor, target: Tensor) -> Tensor:
        full = held.to(output.dtype).expand(len(output), -1).clone()
        full[:, entry] = output
        return whole.rows(full, target)

    space = replace(loss.space, raw=1 if loss.space.facts.outputs > 1 else None)
    one = Loss(replace(whole, function=along, targets=space, device=None), space)
    form = exponential_form(one)
    family = named_family(form, space.facts.support) if form else None
    if form is None or family is None:
        return None
    return Slice(held, family, _found(one, form, family))


def _found(one: Loss, form: Exponential, family: Family) -> Finding | None:
    return examine_exponential(one, form, family) if family.nll else None


def _apart(loss: Loss, one: Slice, two: Slice) -> Witness | None:
    """The witness that two slices want two temperatures, or two base measures; None where they agree, or τ is free in both."""
    if one.found is None or two.found is None or one.family.free or two.family.free:
        return None
    target = torch.tensor(loss.space.facts.plain_points or (0.0, 1.0, 2.0, 5.0), dtype=torch.float64)
    assert one.found.log_base is not None
    assert two.found.log_base is not None
    taus = [float(side.found.scale or 1.0) for side in (one, two) if side.found]
    h = [one.found.log_base(target), two.found.log_base(target)]
    if abs(taus[0] - taus[1]) > DIFFERENT * max(taus):
        return Witness(
            outputs=(raw_output(one.held), raw_output(two.held)),
            temperature=tuple(taus),
            says="with all entries but one held at these outputs it is the loss of an exponential family at these two τ; a"
            " likelihood has one",
        )
    if float((h[0] - h[1]).abs().max()) > DIFFERENT:
        at = int((h[0] - h[1]).abs().argmax())
        return Witness(
            outputs=(raw_output(one.held), raw_output(two.held)),
            target=int(target[at]),
            probability=row(torch.exp(torch.stack([h[0][at], h[1][at]]))),
            says="with all entries but one held at these outputs it is the loss of an exponential family, which has one base"
            " measure; these are its two values for the target",
        )
    return None


def _elsewhere(loss: Loss, here: Slice) -> Witness:
    return Witness(
        outputs=(raw_output(here.held),),
        family=here.family.name,
        lives=here.family.lives,
        space=str(loss.space),
        says="with all entries but one held there it has the variance function of one family alone, and that one does not live"
        " on the target space",
    )
