"""Finite targets, more raw outputs than there are probabilities: an output at which no probabilities at all balance the gradients.

A likelihood has p_k = h_k·exp(−loss_k/τ) with Σ p_k = 1 at every output f, and so Σ p_k ∂loss_k/∂f = 0: the gradients of its K
targets are linearly dependent wherever it is looked at. Where they are not, there is no base measure at any temperature.
"""

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.finding import Finding
from mlnn.auditing.following import best_output
from mlnn.auditing.implied import Implied
from mlnn.auditing.record import Witness, raw_output, row

INDEPENDENT = 1e-6
"""Smallest singular value of the gradients, as a share of the largest, from which they are independent: autograd leaves 1e-15."""
SHARES = ((0.2, 0.5), (0.35, 0.15), (0.1, 0.25), (0.6, 0.3))
"""Probabilities of the last two targets, and the rest shared by the others unevenly, under which expectations are made least."""
SAME = 2e-4
"""To which a probability and the output that stands for it must agree: a minimum is found to half of the digits."""


def unbalanced(loss: Loss, at: Implied) -> Finding | None:
    """The finding where at some output the gradients of all targets are linearly independent; None where none was found."""
    witness = _witness(at)
    if witness is None:
        return None
    pairs = [(share, best_output(loss, torch.arange(len(share)).to(torch.float64), share)) for share in _shares(at)]
    found = [(share, best) for share, best in pairs if best is not None]
    if len(found) < len(pairs):
        return Finding("no link", witness=witness, said="its expectation is least at no output: it goes on falling")
    shares, best = (torch.stack(list(side)) for side in zip(*found, strict=True))
    if float((best - best[0]).abs().max()) <= SAME:
        return Finding("no link", witness=witness, said="its best output does not move with the probabilities")
    links = {"softmax(f)": torch.softmax(best, 1), "σ(f) of each entry": torch.sigmoid(best)}
    link = next(
        (name for name, p in links.items() if p.shape == shares.shape and bool((p - shares).abs().max() <= SAME)), None
    )
    return Finding("proper" if link else "calibrated", link=link, witness=witness)


def _shares(at: Implied) -> list[Tensor]:
    """Probabilities (K,) of the targets, none alike."""
    count = at.value.shape[1]
    found = []
    for last, second in SHARES:
        rest = torch.arange(1, count - 1, dtype=torch.float64)
        rest = rest / rest.sum() * (1 - last - second) if count > 2 else rest
        shares = torch.cat([rest, torch.tensor([second, last], dtype=torch.float64)])
        found.append(shares / shares.sum())
    return found


def _witness(at: Implied) -> Witness | None:
    """The output at which the gradients (K, m) of the K targets are farthest from linearly dependent."""
    classes, outputs = at.gradient.shape[1:]
    usable = torch.isfinite(at.gradient).all(2).all(1) & torch.isfinite(at.value).all(1)
    if outputs < classes or not bool(usable.any()):
        return None
    sizes = torch.linalg.svdvals(at.gradient[usable])
    apart = sizes[:, -1] / sizes[:, 0].clamp_min(torch.finfo(torch.float64).tiny)
    best = int(apart.argmax())
    if not float(apart[best]) > INDEPENDENT:
        return None
    return Witness(
        outputs=(raw_output(at.output[usable][best]),),
        targets=tuple(map(float, range(min(classes, 8)))),
        loss=(row(at.value[usable][best, :8]),),
        says="the gradients of all targets are linearly independent at this output, so that no probabilities make its expected"
        " gradient vanish, and those of a likelihood would",
    )
