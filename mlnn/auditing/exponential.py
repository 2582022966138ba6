"""Are the values of a loss those of the exponential family that its gradients name? What is left of them is log h.

The gradients tell the family (see `families`), the values its dispersion, to rounding, and whether it is that family's between
the outputs that gradients were asked at. A power variance has values beyond any rounding at small means and targets: a deviance
of power 10 is 10²² at a target of 0.001, in whose float64 nothing of the output is left. There the gradients alone tell.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mlnn.auditing.ask import Loss
from mlnn.auditing.families import AFFINE_IN_TARGET, FITS, OUTPUTS, Exponential, Family
from mlnn.auditing.finding import Finding, Reference, by_formula

LEFT = 1e-5
"""Nats by which a value may miss the family's: Z is then one number to as much. Of values of 10⁶ FITS alone would pass a tenth."""
MEAN_OF: dict[str, Callable[[Tensor], Tensor]] = {"f": lambda f: f, "exp(f)": torch.exp, "σ(f)": torch.sigmoid}
"""The mean by the plain links."""
NEAR_TARGET = 20.0
"""Targets for which the base measure is looked at: beyond, it is a small difference of large numbers."""
READABLE = LEFT / (16 * torch.finfo(torch.float64).eps)
"""Values up to which LEFT is more than their rounding: a few roundoffs of what they are made of. Beyond, gradients tell."""
ENOUGH = 0.5
"""Share of the targets that must have readable values at two outputs at least."""


def examine_exponential(loss: Loss, form: Exponential, family: Family) -> Finding | None:
    """The finding for a family that lives on the target space; None where the loss's values are not the family's.

    loss/τ − NLL must not depend on the output, for every target looked at: what is left is log h.
    """
    target, tau, middle = loss.space.fitted_points, family.tau, len(OUTPUTS) // 2
    held = loss.values(OUTPUTS, target) / tau
    family = _as_wide(form, family, target, held)
    nll = family.nll
    assert nll is not None
    kernel = family.kernel or nll

    def left(target: Tensor, less: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        at, mean = OUTPUTS[middle].expand_as(target), form.mean[middle].expand_as(target)
        return loss.value(at, target) / tau - less(mean, target)

    def log_base(target: Tensor) -> Tensor:
        return left(target, nll)

    truth = torch.stack([kernel(mean.expand_as(target), target) for mean in form.mean])
    size = torch.maximum(held.abs(), truth.abs()).clamp_min(1.0)
    off = (held - left(target, kernel) - truth).abs()
    told, residual = _readable(held, truth), float((off / size).max())
    told = told & told[middle]
    if float((told.sum(0) > 1).double().mean()) < ENOUGH or not _affine_too(loss, form, target[~told.all(0)]):
        return None
    if not residual <= FITS or not float(off[told].max()) <= LEFT:
        return None
    shown = loss.space.inner_points
    if not bool(_has_digits(loss, tau, shown)[shown.abs() < NEAR_TARGET].all()):
        return None
    target = target[(target < NEAR_TARGET) & ((target < -NEAR_TARGET) | _has_digits(loss, tau, target))]
    if not len(target):
        return None
    log_h = log_base(target)
    even = bool(log_h.abs().max() <= FITS)
    kind = "likelihood family" if family.free and not even else "likelihood" if tau == 1 else "scaled likelihood"
    return Finding(kind, family.name, tau, form.link, log_base, _measure(log_h, target, even), residual,
                   reference=_reference(family, form.link, lambda y: left(y, kernel)))  # fmt: skip


def _as_wide(form: Exponential, family: Family, target: Tensor, held: Tensor) -> Family:
    """The family of the dispersion that its values (F, Y) have: they tell it to rounding, differences of the mean to ten digits."""
    if family.spread_by is None or family.nll is None:
        return family
    kernel = family.kernel or family.nll
    truth = torch.stack([kernel(mean.expand_as(target), target) for mean in form.mean])
    seen = _readable(held, truth)
    middle = len(held) // 2
    varies, whole = ((side - side[middle])[seen & seen[middle]] for side in (held, truth))
    times = float((varies * whole).sum() / (whole**2).sum())
    return family.spread_by(times) if abs(times - 1) <= FITS else family


def _readable(held: Tensor, truth: Tensor) -> Tensor:
    """Mask (F, Y) of the values whose rounding is less than LEFT."""
    return torch.maximum(held.abs(), truth.abs()) <= READABLE


def _affine_too(loss: Loss, form: Exponential, target: Tensor) -> bool:
    """Whether at these targets (Y,), whose values do not tell, each gradient is what that of a far target says, to its own size.

    With gradients η′(f)(μ − y) the two are as μ − y of the one to that of the other.
    """
    far = loss.space.fitted_points.max()
    gradient = loss.cross(OUTPUTS, torch.cat([target, far[None]]))[1].squeeze(-1)
    beside, mean = gradient[:, -1:], form.mean[:, None]
    off = (gradient[:, :-1] * (mean - far) - beside * (mean - target)).abs()
    return bool((off <= AFFINE_IN_TARGET * beside.abs() * (mean.abs() + target.abs())).all())


def _has_digits(loss: Loss, tau: float, target: Tensor) -> Tensor:
    """Mask (Y,) of the targets at which h, a small difference of large numbers, is not rounding: so steep is no loss there."""
    value = loss.values(OUTPUTS[len(OUTPUTS) // 2][None], target)[0] / tau
    return torch.finfo(torch.float64).eps * value.abs() <= FITS


def _reference(family: Family, link: str | None, log_base: Callable[[Tensor], Tensor]) -> Reference | None:
    """τ·(NLL + log h) by the family's formula, for the plain links; `log_base` is what is left of a loss less that formula."""
    nll, of_log = family.kernel or family.nll, family.of_log
    assert nll is not None
    if link == "exp(f)" and of_log is not None:
        return by_formula(lambda f, y: family.tau * (of_log(f, y) + log_base(y)))
    if link not in MEAN_OF:
        return None
    mean = MEAN_OF[link]
    return by_formula(lambda f, y: family.tau * (nll(mean(f), y) + log_base(y)))


def _measure(log_h: Tensor, target: Tensor, even: bool) -> str:
    """h in words."""
    if even:
        return "1"
    factorials = float((log_h + torch.lgamma(target + 1)).abs().max())
    return "1/y!" if factorials <= FITS and bool((target == target.round()).all()) else "a function of y"
