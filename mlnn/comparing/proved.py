"""The proof on paper that a comparison makes of its two objectives before they train."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from mlnn.comparing.on_paper import RAW, RESIDUAL, Alone, OnPaper
from mlnn.comparing.probed import Probe
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.objectives.grid import Grid
from mlnn.targets import TargetSpace

if TYPE_CHECKING:
    from mlnn.proving import Proof

BOXES = 1000
"""For each target: forms of one likelihood take 50 to 400 of them, a clip or the clamp of `BCELoss` 500 to 800. With fewer the ends
of an interval are told to fewer digits, for the widest boxes are looked at first."""
ON_LINES = 100
"""For each line through several raw outputs, on which two losses can be refuted and not proved."""
DOMAIN = (-88.0, 88.0)
"""Where e^z and e^−z are numbers of float32."""
PLAIN = 0.01
"""A difference of this share of values or gradients at ordinary raw outputs needs no proof."""
NOT_ASKED = OnPaper("not run", "not run: proof=0 asks for none")
OF_STEPS = OnPaper("not run", "not run: a step tells no loss of raw outputs that could be read")
MISSING = OnPaper("not run", "not run: python-flint is not installed (pip install 'mlnn[proof]')")
SHOWN = OnPaper("not run", "not run: the probe shows the difference; mlnn.prove says where the two part")


def proved(left: Objective, right: Objective, targets: TargetSpace, probe: Probe, boxes: int) -> OnPaper:
    """What is proved of two objectives on DOMAIN with a budget of `boxes` for each target: 0.1 to 0.5 s for forms of one
    likelihood (measured on one core). "not run", with the reason, where nothing is to be asked."""
    if not boxes:
        return NOT_ASKED
    if max((part.size for part in (probe.value, probe.gradient) if part.relation == "different"), default=0.0) > PLAIN:
        return SHOWN
    try:
        from mlnn.proving import prove  # ball arithmetic, for those alone who have it
    except ConfigError:
        return MISSING
    one, other = (replace(side, device=None) for side in (left, right))
    boxes = boxes if targets.outputs == 1 else min(boxes, ON_LINES)
    return _told(prove(one, other, targets, domain=DOMAIN, boxes=boxes, slopes=False), probe.grid)


def _told(proof: "Proof", grid: Grid) -> OnPaper:
    """A proof as a verdict has it."""
    from mlnn.proving.briefly import line, parted

    differing, where = parted(proof)
    found = OnPaper(
        proof.answer, line(proof), proof.relation, proof.domain, proof.tolerance, proof.variable,
        differing if where else None, where, proof.size, tuple(Alone(place, size) for place, size in proof.points), proof.boxes,
    )  # fmt: skip
    return _probed(found, grid)


def _probed(found: OnPaper, grid: Grid) -> OnPaper:
    """With whether the probe's grid looks where the two differ."""
    if found.variable not in (RAW, RESIDUAL) or grid.output.ndim != 1 or grid.target.ndim != 1:
        return found
    output, target = torch.broadcast_tensors(grid.output.double()[:, None], grid.target.double())
    *_, inside = found.masks(output.flatten(), target.flatten())
    return replace(found, probed=bool(inside.any()))
