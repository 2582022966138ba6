"""Taylor coefficients of σ and of log Γ that hold at every point of a ball; those of the last balls are kept."""

from collections.abc import Callable

from flint import arb, arb_series, ctx, fmpq

STRIP, BOUND = 3, fmpq(71, 10)
"""Of the half-width π of the strip around the real line on which σ is regular. At w = x + iy there, |1 + e^(−w)| ≥ |sin y|, so on a
disc of radius 3 around a real number |σ| ≤ 1/sin 3 < 7.1; where x < −4 it is at most e^(x+3)/(1 − e^(−1)) < 2 e^(x+3). By Cauchy's
estimate the k-th coefficient is at most that over 3^k. Balls alone overestimate it by the k-th power of their width."""
MOST_KNOWN = 64
_known: dict[tuple[object, ...], list[arb]] = {}
"""By function, ball, number of coefficients and digits: σ and softplus, of u and of −u, ask for the same ones, as log Γ and its
derivatives do."""


def kept(make: Callable[[arb, int], list[arb]], u: arb, terms: int) -> list[arb]:
    """What `make` finds, from memory where it was found of late; nobody changes it."""
    key = (make.__name__, u.mid().man_exp(), u.rad().man_exp(), terms, ctx.prec)
    found = _known.get(key)
    if found is None:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        found = _known[key] = make(u, terms)
    return found


def sigmoid_coefficients(u: arb, terms: int) -> list[arb]:
    """Taylor coefficients of σ at every point of a finite ball."""
    if not u > 0:
        return kept(_below, u, terms)
    found = kept(_below, -u, terms)  # σ(u) = 1 − σ(−u)
    return [1 - found[0], *(one if place % 2 else -one for place, one in enumerate(found[1:], 1))]


def lgamma_coefficients(x: arb, terms: int) -> list[arb]:
    """Taylor coefficients of log Γ at every point of a finite ball above 0."""
    return kept(_lgamma, x, terms)


def _lgamma(x: arb, terms: int) -> list[arb]:
    before, ctx.cap = ctx.cap, max(ctx.cap, terms)  # no series is longer than the cap
    try:
        found = arb_series([x, 1], terms).lgamma()
        return [found[place] for place in range(terms)]
    finally:
        ctx.cap = before


def _below(u: arb, terms: int) -> list[arb]:
    """The same where u is not above 0."""
    if u.is_exact():
        return _by_balls(u, terms)
    size = 2 * (u.upper() + STRIP).exp() if u.upper() < -STRIP - 1 else arb(BOUND)
    bounds = [(size / arb(STRIP) ** place).upper() for place in range(terms)]
    try:
        found = _by_balls(u, terms)
    except ValueError:  # a ball around e^u holds −1
        found = [arb(0, bound) for bound in bounds]
    found[0] = _by_balls(u.lower(), 1)[0].union(_by_balls(u.upper(), 1)[0])
    return [one if not place or abs(one) <= bounds[place] else arb(0, bounds[place]) for place, one in enumerate(found)]


def _by_balls(u: arb, terms: int) -> list[arb]:
    grown = arb_series([u, 1], terms).exp()
    found = (grown / (grown + 1)).coeffs()
    return found + [arb(0)] * (terms - len(found))


def softplus_at(u: arb) -> arb:
    """log(1 + e^u)."""
    return u + (-u).exp().log1p() if u > 0 else u.exp().log1p()
