"""The numbers behind the figure: Z against the output, and the probability or density that the loss implies."""

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.finding import Finding
from mlnn.auditing.implied import implied
from mlnn.auditing.integrals import Total, partition
from mlnn.auditing.record import Curves, Row, row

SEEN = (-1.0, 0.0, 1.0)
"""Raw outputs for which the implied density is drawn."""
ASIDE = 0.00123
"""By this outputs are moved off the round numbers, where losses have their kinks."""
DRAWN_COUNTS = 16
"""Counts that are drawn: as many bars as can be told apart."""
SIX_DIGITS = 1e-6
"""Share to which Z is known where it is drawn: more than can be seen."""


def curves(loss: Loss, finding: Finding) -> Curves:
    """Of labels, with the probabilities implied and declared; of numbers, with the density implied at some outputs."""
    return _finite(loss, finding) if loss.space.finite else _numeric(loss, finding)


def _finite(loss: Loss, finding: Finding) -> Curves:
    line = torch.linspace(-6, 6, 121, dtype=torch.float64) + ASIDE
    output = _first(line, loss.space.outputs)
    value, held, p = loss.values(output, loss.space.inner_points), None, None
    if finding.log_base is not None and finding.scale is not None:
        p = held = torch.exp(finding.log_base(loss.space.inner_points) - value / finding.scale)
    else:
        p = implied(loss, output).p
    which = 1 if output.ndim == 1 else 0
    declared = torch.sigmoid(line) if output.ndim == 1 else torch.softmax(output, 1)[:, 0]
    return Curves(
        output=row(line),
        z=row(torch.exp(-value).sum(1)),
        about=which,
        implied=row(p[:, which]),
        declared=row(declared),
        z_held=None if held is None else row(held.sum(1)),
    )


def _numeric(loss: Loss, finding: Finding) -> Curves:
    line = torch.linspace(-2, 2, 9, dtype=torch.float64) + ASIDE
    output = _first(line, loss.space.outputs)
    endless = finding.turns or finding.kind == "unnormalisable"
    z, held = () if endless else _settled(partition(loss, output)), None
    if finding.log_base is not None and finding.scale is not None and not endless:
        held = _settled(partition(loss, output, finding.scale, finding.log_base))
    along = loss.space.coordinate
    target = torch.linspace(*along.span, 181).double() if along else torch.arange(DRAWN_COUNTS, dtype=torch.float64)
    value = loss.values(_first(torch.tensor(SEEN, dtype=torch.float64), loss.space.outputs), target)
    tau = finding.scale or 1.0
    weight = finding.log_base(target) if finding.log_base else torch.zeros_like(target)
    densities = dict(zip(SEEN, map(row, torch.exp(weight - value / tau)), strict=True))
    return Curves(output=row(line), z=z, z_held=held, target=row(target), densities=densities)


def _settled(total: Total) -> Row:
    """Z per output; () where a sum or integral has not settled to six digits."""
    return row(total.z) if bool(torch.isfinite(total.z).all()) and total.within(SIX_DIGITS) else ()


def _first(line: Tensor, outputs: int) -> Tensor:
    """The line itself, or as the first of several outputs, the others 0."""
    if outputs == 1:
        return line
    output = torch.zeros(len(line), outputs, dtype=torch.float64)
    output[:, 0] = line
    return output
