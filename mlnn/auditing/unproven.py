"""Why a loss on numbers is not decided: Z differs, did not settle, or is infinite. Three findings, each with its own words."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.careful import careful_z
from mlnn.auditing.finding import Finding
from mlnn.auditing.integrals import Base, Total, partition
from mlnn.auditing.record import Output, Witness, raw_output, row

AGREE = 1e-6
"""Two quadratures, cut differently, must agree to that share before Z is said to differ between outputs."""
NOISE = 64 * torch.finfo(torch.float64).eps
"""Share of the losses that log exp(−loss)·|y| has lost where it is their small difference with a logarithm."""
DIGITS_LEFT = 1e-3
"""With more noise than this a fall of the density may drown in it."""
EITHER = "neither a base measure was found nor a proof that there is none"


def not_proven(loss: Loss, outputs: Tensor, total: Total, link: str | None, off: float, real: float) -> Finding:
    """The finding where neither a base measure nor a proof against all was found, with what is known of Z at `outputs`.

    off: how far Z is from constant; from `real` on that is a difference, if another quadrature finds it too.
    """
    what = "sum" if loss.space.countable else "integral"
    known = bool(total.known(AGREE).all())
    if not known:
        endless = infinite(loss, outputs)
        if endless:
            said = f"as it stands, its {what} over the targets is infinite at output {say(endless.outputs[0])}"
            return Finding("undecided", link=link, witness=endless, said=f"{said}, and {EITHER}")
    why = _disagrees(loss, outputs, total)[0] if known else total.why or "its error is too large"
    if why or off < real:
        why = why or f"it is known to {AGREE:.0e}, and what it varies by, {off:.1g}, is less than certain"
        return Finding("undecided", link=link, said=f"its {what} over the targets did not settle at the outputs looked"
                       f" at ({why}), so that it is not known whether it is one number; {EITHER}")  # fmt: skip
    low, high = int(total.z.argmin()), int(total.z.argmax())
    witness = _two(outputs[[low, high]], total.z[[low, high]])
    below, above = map(say, witness.outputs)
    said = f"Z, its {what} over the targets, differs: {total.z[low]:.6g} at output {below} and {total.z[high]:.6g} at {above}"
    return Finding("undecided", link=link, residual=off, witness=witness, said=f"{said}; {EITHER}")


def _two(outputs: Tensor, z: Tensor) -> Witness:
    """Two outputs (2,) or (2, m) and their Z (2,)."""
    return Witness(
        outputs=tuple(map(raw_output, outputs)),
        z=row(z),
        says="as the loss stands, exp(−loss) adds up to two different numbers over the targets",
    )


def _disagrees(loss: Loss, outputs: Tensor, total: Total) -> tuple[str, Tensor]:
    """A reason why Z is not known where a quadrature cut otherwise finds another, and the mask (F,); "" where it does not."""
    known = torch.isfinite(total.z) & (total.z > 0)
    if not bool(known.all()):
        return "exp(−loss) under- or overflows float64", ~known
    if loss.space.countable:
        return "", ~known
    again = partition(loss, outputs, shells=True)
    open_ = ~again.known(AGREE)
    if bool(open_.any()):
        return again.why or "its error is too large", open_
    apart = (again.z - total.z).abs() / total.z
    return f"two quadratures of it are {apart.max():.1g} apart" if bool((apart > AGREE).any()) else "", apart > AGREE


def far_from_zero(loss: Loss, total: float) -> tuple[str, Witness | None]:
    """Why a Z that is `total` near output 0 is not vouched for, and a witness; "" where it is the same far from 0 too."""
    reach = loss.space.facts.far_output
    outputs = torch.linspace(-reach, reach, 11, dtype=torch.float64) + 0.00321
    found = _by_pieces(loss, outputs, partition(loss, outputs))
    off = (found.z / total - 1).abs()
    if found.within(AGREE) and bool((off <= AGREE).all()):
        return "", None
    open_ = ~found.known(AGREE)
    why = found.why or "its error is too large"
    if not bool(open_.any()):
        why, open_ = _disagrees(loss, outputs, found)
    if bool(open_.any()):
        return f"but over outputs out to ±{reach:g} it did not settle ({why})", None
    worst = int(off.argmax())
    return f"but {found.z[worst]:.6g} at output {say(float(outputs[worst]))}", _two(
        torch.tensor([0.0, float(outputs[worst])]), torch.tensor([total, float(found.z[worst])]).double()
    )


def _by_pieces(loss: Loss, outputs: Tensor, found: Total) -> Total:
    """The same, of fractions, with what did not settle integrated piece by piece out to logits of −200."""
    along = loss.space.coordinate
    if along is None or not along.beyond or bool(found.known(AGREE).all()):
        return found
    z, errors = found.z.clone(), found.errors.clone()
    for at in (~found.known(AGREE)).nonzero().squeeze(1).tolist():
        again, error = careful_z(loss, outputs[at])
        if math.isfinite(again) and error <= AGREE * again:
            z[at], errors[at] = again, error
    return Total(z, float(errors.max()), errors, found.why)


def infinite(loss: Loss, outputs: Tensor) -> Witness | None:
    """An output at which exp(−loss), in whatever way the target is counted, does not fall off faster than 1/|y|.

    Told far out: to 10⁶⁰, or where log y or logit y is 600, or a count of 10¹¹. None where it falls off, or float64 has
    too few digits left to tell.
    """
    for target, value, steady in _far_out(loss, outputs):
        if bool(steady.any()):
            at = int(steady.nonzero()[0, 0])
            return Witness(
                outputs=(raw_output(outputs[at]),),
                targets=row(target),
                loss=(row(value[at]),),
                says="over these targets exp(−loss) falls off no faster than 1/|y|, so that it adds up without end",
            )
    return None


def endless(loss: Loss, outputs: Tensor, tau: float = 1.0, log_base: Base | None = None) -> bool:
    """Whether at every one of the outputs exp(−loss/τ)·h adds up without end: there is nothing to integrate."""
    found = torch.zeros(len(outputs), dtype=torch.bool)
    for _, _, steady in _far_out(loss, outputs, tau, log_base):
        found |= steady
    return bool(found.all())


def _far_out(
    loss: Loss, outputs: Tensor, tau: float = 1.0, log_base: Base | None = None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Towards each end of the line: targets (Y,) far out, the loss there (F, Y), and where its density does not fall (F,)."""
    along = loss.space.coordinate
    above, below = along.farthest if along else (loss.space.facts.far_points, ())
    if not above:
        return
    place = torch.tensor([*above, *below], dtype=torch.float64)
    target = along.target(place) if along else place
    value = loss.values(outputs, target)
    weight = place.abs().log() if along is None or loss.space.whole_line else along.log_slope(place)
    # log of exp(−loss/τ)·h times |y|: it must fall for the integral to be finite
    height = weight - value / tau + (0.0 if log_base is None else log_base(target))
    for one in (slice(0, len(above)), slice(len(above), None)):
        seen = height[:, one]
        if seen.shape[1] < 2:
            continue
        noise, rises = NOISE * (weight[one] - seen).abs().amax(1), seen.diff(dim=1).amin(1)
        steady = torch.isfinite(seen).all(1) & ((rises > noise) | ((rises >= -noise) & (noise < DIGITS_LEFT)))
        yield target[one], value[:, one], steady


def say(output: Output) -> str:
    """A raw output in words, to four digits."""
    if isinstance(output, tuple):
        return "(" + ", ".join(map(say, output)) + ")"
    return f"{output:.4g}" if math.isfinite(output) else str(output)
