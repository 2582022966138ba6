"""The numbers behind the figure: Z against the output, and the probability or density that the loss implies."""

from typing import Any

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.finding import Finding
from mlnn.auditing.implied import implied
from mlnn.auditing.integrals import Total, partition

SEEN = (-1.0, 0.0, 1.0)
"""Raw outputs for which the implied density is drawn."""


def curves(loss: Loss, finding: Finding) -> dict[str, Any]:
    """Binary and classes: output, z, implied, declared. Others: output, z, and densities over `target` at some outputs.

    z: Σ or ∫ exp(−loss) over the targets; z_held: the same with temperature and base measure put in, 1 for a likelihood.
    """
    if loss.space.finite:
        return _finite(loss, finding)
    return _numeric(loss, finding)


def _finite(loss: Loss, finding: Finding) -> dict[str, Any]:
    line = torch.linspace(-6, 6, 121, dtype=torch.float64) + 0.00123
    output = _first(line, loss.space.outputs)
    value, held, p = loss.values(output, loss.space.inner_points), None, None
    if finding.log_base is not None and finding.scale is not None:
        p = held = torch.exp(finding.log_base(loss.space.inner_points) - value / finding.scale)
    else:
        p = implied(loss, output).p
    which = 1 if output.ndim == 1 else 0
    declared = torch.sigmoid(line) if output.ndim == 1 else torch.softmax(output, 1)[:, 0]
    found: dict[str, Any] = {
        "output": line.tolist(), "z": torch.exp(-value).sum(1).tolist(), "about": which,
        "implied": p[:, which].tolist(), "declared": declared.tolist(),
    }  # fmt: skip
    if held is not None:
        found["z_held"] = held.sum(1).tolist()
    return found


def _numeric(loss: Loss, finding: Finding) -> dict[str, Any]:
    line = torch.linspace(-2, 2, 9, dtype=torch.float64) + 0.00123
    output = _first(line, loss.space.outputs)
    endless = finding.turns or finding.kind == "unnormalisable"
    found: dict[str, Any] = {"output": line.tolist(), "z": None if endless else _settled(partition(loss, output))}
    if finding.log_base is not None and finding.scale is not None and not endless:
        found["z_held"] = _settled(partition(loss, output, finding.scale, finding.log_base))
    along = loss.space.coordinate
    target = torch.linspace(*along.span, 181).double() if along else torch.arange(16, dtype=torch.float64)
    value = loss.values(_first(torch.tensor(SEEN, dtype=torch.float64), loss.space.outputs), target)
    tau = finding.scale or 1.0
    weight = finding.log_base(target) if finding.log_base else torch.zeros_like(target)
    return found | {
        "target": target.tolist(),
        "densities": {str(f): row for f, row in zip(SEEN, torch.exp(weight - value / tau).tolist(), strict=True)},
    }  # fmt: skip


def _settled(total: Total) -> list[float] | None:
    """Z as a list; None where a sum or integral has not settled to six digits."""
    return total.z.tolist() if bool(torch.isfinite(total.z).all()) and total.within(1e-6) else None


def _first(line: Tensor, outputs: int) -> Tensor:
    """The line itself, or as the first of several outputs, the others 0."""
    if outputs == 1:
        return line
    output = torch.zeros(len(line), outputs, dtype=torch.float64)
    output[:, 0] = line
    return output
