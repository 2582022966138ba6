"""Counts, reals, positive numbers, fractions: is there a base measure under which exp(−loss) sums to one for every output?

In this order, each step exact where it answers: a location family; Z constant as it stands; a natural exponential family
named by its variance function; outputs that are worse for every target alike, which no base measure can forgive.
"""

import math
from typing import Any

import torch
from scipy.optimize import nnls
from torch import Tensor

from mlnn.audit.ask import Loss
from mlnn.audit.families import Exponential, Family, examine_exponential, exponential_form, named_family
from mlnn.audit.finding import Finding
from mlnn.audit.integrals import partition, spread
from mlnn.audit.location import examine_location
from mlnn.seeding import generator

ROUNDING, REAL = 1e-8, 1e-4
WORSE = 1e-9
"""Of the loss itself: more than rounding."""
COUNTED = 60
"""Counts whose base measure is sought where no family has a name for it."""


def some_outputs(loss: Loss) -> Tensor:
    """Outputs at which Z is computed, (F,) or (F, m): inside ±1.5, where every density has its bulk in reach."""
    if loss.space.outputs == 1:
        return torch.linspace(-1.5, 1.5, 7, dtype=torch.float64) + 0.00321
    return torch.randn(7, loss.space.outputs, generator=generator(2, "audit"), dtype=torch.float64)


def examine_numeric(loss: Loss) -> Finding:
    """What a loss is on counts, real, positive or unit targets."""
    found = examine_location(loss)
    if found:
        return found
    outputs = some_outputs(loss)
    z, error = partition(loss, outputs)
    off = spread(z)
    settled = error <= ROUNDING * float(z.abs().max())
    form = exponential_form(loss)
    family = named_family(form, loss.space.kind) if form else None
    if settled and off <= ROUNDING:
        return _as_it_stands(loss, outputs, float(z.median()), off, form, family)
    if form and family and family.nll:
        return examine_exponential(loss, form, family)
    if settled and off < REAL:
        return Finding("undecided", residual=off, said=f"Z varies by {off:.1g}: more than rounding, less than certain")
    witness = _worse_everywhere(loss)
    if witness is None and family:
        witness = _elsewhere(loss, family, outputs, z, settled)
    if witness is None and loss.space.kind == "counts":
        return _by_least_squares(loss, form)
    return _without_likelihood(loss, form, off, witness, family)


def _as_it_stands(
    loss: Loss, outputs: Tensor, total: float, off: float, form: Exponential | None, family: Family | None
) -> Finding:
    """Z is one number for every output; is it so at other temperatures too?"""
    free = all(spread(partition(loss, outputs, tau)[0]) <= ROUNDING for tau in (0.5, 2.0))
    itself = abs(total - 1) <= ROUNDING
    kind = "likelihood" if itself or not free else "likelihood family"
    link = form.link if form else _elicits(loss)[1]
    return Finding(kind, family.name if family and family.nll else None, 1.0, link,
                   lambda y: torch.full_like(y, 1 / total), "1" if itself else f"1/{total:.10g}", off)  # fmt: skip


def _without_likelihood(
    loss: Loss, form: Exponential | None, off: float, witness: dict[str, Any] | None, family: Family | None = None
) -> Finding:
    """No base measure was found: it is proven that there is none, or it is not decided."""
    if witness is None:
        return Finding("undecided", link=form.link if form else _elicits(loss)[1], residual=off,
                       said="Z varies with the output, and no base measure was found; nor a proof that there is none")  # fmt: skip
    lives = f"; the {family.name} that has its variance function lives on {family.lives}" if family else ""
    if form:
        return Finding(
            "proper", link=form.link, residual=off, witness=witness, said="its output is made the mean" + lives
        )
    elicits, link = _elicits(loss)
    said = (
        "its output follows the target, but not its mean" if elicits else "its best output does not follow the target"
    )
    return Finding("calibrated" if elicits else "no link", link=link, residual=off, witness=witness, said=said)


def _worse_everywhere(loss: Loss) -> dict[str, Any] | None:
    """Two outputs of which one has the larger loss for every target: its Z is smaller whatever τ and h are."""
    if loss.space.outputs > 1 or loss.space.kind == "real":
        return None
    reach = {"counts": [*range(200), 1e3, 1e4, 1e5], "positive": [10.0**e for e in range(-9, 7)],
             "unit": [k / 200 for k in range(1, 200)]}[loss.space.kind]  # fmt: skip
    outputs = torch.linspace(-6, 6, 25, dtype=torch.float64) + 0.00321
    value = loss.values(outputs, torch.tensor(reach, dtype=torch.float64))
    excess = (value[:, None] - value[None] - WORSE * value.abs().clamp_min(1.0)).amin(-1).nan_to_num(-math.inf)
    if not float(excess.max()) > 0:
        return None
    bad, good = divmod(int(excess.argmax()), len(outputs))
    few = [0, 1, 2] if loss.space.kind == "counts" else [len(reach) // 4, len(reach) // 2]
    return {
        "outputs": [float(outputs[bad]), float(outputs[good])],
        "targets": [reach[k] for k in few],
        "loss": [[float(value[bad, k]) for k in few], [float(value[good, k]) for k in few]],
        "excess": float(excess.max()),
        "says": "the first output has the larger loss for every target, so its sum of exp(−loss/τ)·h is smaller: not both can be 1",
    }


def _elsewhere(loss: Loss, family: Family, outputs: Tensor, z: Tensor, settled: bool) -> dict[str, Any]:
    """The only measure with this variance function leaves out a target of the space, or has one that is not in it."""
    low, high = int(z.nan_to_num(math.inf).argmin()), int(z.nan_to_num(-math.inf).argmax())
    found = {
        "outputs": [outputs[low].tolist(), outputs[high].tolist()], "z": [float(z[low]), float(z[high])],
    } if settled else {}  # fmt: skip
    return found | {
        "family": family.name, "lives": family.lives, "space": str(loss.space),
        "says": "a variance function belongs to one family alone, and that one does not live on the target space",
    }  # fmt: skip


def _by_least_squares(loss: Loss, form: Exponential | None) -> Finding:
    """h ≥ 0 with Σ_y exp(−loss(f, y)) h(y) = 1 at many outputs, by non-negative least squares.

    Where it fails, the residual r proves it: Σ_f r_f exp(−loss(f, y)) ≤ 0 for every y although Σ r > 0 (Farkas).
    """
    outputs = torch.linspace(-4, 0.5, 40, dtype=torch.float64) + 0.00321
    kernel = torch.exp(-loss.values(outputs, torch.arange(COUNTED, dtype=torch.float64)))
    if not bool(torch.isfinite(kernel).all()):
        return Finding("undecided", said="exp(−loss) is not finite at every output and count looked at")
    scale = kernel.amax(0).clamp_min(1e-300)
    h, off = nnls((kernel / scale).numpy(), torch.ones(len(outputs), dtype=torch.float64).numpy())
    rest = 1 - kernel @ (torch.from_numpy(h) / scale)
    beyond = torch.exp(-loss.values(outputs, torch.tensor([1e2, 1e3, 1e4], dtype=torch.float64)))
    if off <= 1e-6 or not bool((rest @ beyond <= 1e-12).all()):
        return Finding("undecided", residual=float(off),
                       said="no family of that name, and neither a base measure on the counts nor a proof against one")  # fmt: skip
    steep = int(rest.abs().argmax())
    witness = {
        "outputs": outputs.tolist(), "weights": rest.tolist(), "output": float(outputs[steep]),
        "z": float(1 - rest[steep]), "needed": 1.0,
        "says": "with these weights on the outputs no count adds to the sum of exp(−loss), and yet it would have to be positive",
    }  # fmt: skip
    return _without_likelihood(loss, form, float(off), witness)


def _elicits(loss: Loss) -> tuple[bool, str | None]:
    """Whether the best output for a target rises with it, and the name of the map from the one to the other."""
    if loss.space.outputs > 1:
        return False, None
    target = torch.tensor([0.2, 0.5, 0.7] if loss.space.kind == "unit" else [1.0, 2.0, 3.0], dtype=torch.float64)
    line = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    best = loss.values(line, target).argmin(0)
    inside = bool(((best > 0) & (best < len(line) - 1)).all())
    rises = inside and bool((line[best].diff() > 0).all())
    for name, place in (("f", target), ("exp(f)", target.log()), ("σ(f)", target.logit())):
        if rises and bool((line[best] - place).abs().max() <= 0.011):
            return True, name
    return rises, None
