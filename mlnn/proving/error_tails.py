"""Taylor coefficients of log erfc(u) and of log erfcx(u) = u² + log erfc(u) that hold at every point of a ball.

erfcx(u) = (2/√π) ∫₀^∞ e^(−t² − 2ut) dt (DLMF 7.2.2, with t + u for t) is completely monotone on the whole line: its k-th
coefficient has the sign (−1)^k, and its size falls in u. Over a ball each one lies between those at the two ends, where
balls around erfc(u), which falls by e^(−u²), tell nothing. Far below 0, erfcx(u) is 2e^(u²), and erfc(u) is nearly constant.
"""

from flint import arb, arb_series, ctx

from mlnn.proving.coefficients import kept

TURN = -1
"""From here on, in the middle of a ball, erfcx is taken."""
LOST = 2
"""Bits, beside 2·log₂ u, that the recurrence loses a coefficient: what it finds is the solution of it that falls the fastest."""


def log_erfc_coefficients(u: arb, terms: int) -> list[arb]:
    """Taylor coefficients of log erfc at every point of a finite ball."""
    return _by_erfcx(u, terms, -1) if _is_above(u) else _by_erfc(u, terms)


def log_erfcx_coefficients(u: arb, terms: int) -> list[arb]:
    """Taylor coefficients of log erfcx at every point of a finite ball."""
    return _by_erfcx(u, terms) if _is_above(u) else _by_erfc(u, terms, 1)


def _is_above(u: arb) -> bool:
    return bool(u.mid() > TURN)


def _by_erfcx(u: arb, terms: int, squares: int = 0) -> list[arb]:
    ends = [kept(erfcx_coefficients, end, terms) for end in ((u,) if u.is_exact() else (u.lower(), u.upper()))]
    found = _logarithm([one.union(other) for one, other in zip(ends[0], ends[-1], strict=True)])
    found[0] = _between(
        [end[0].log() + squares * at * at for end, at in zip(ends, (u.lower(), u.upper()), strict=False)]
    )
    return _with_square(found, u, squares)


def _by_erfc(u: arb, terms: int, squares: int = 0) -> list[arb]:
    found = arb_series([u, 1], terms).erfc().coeffs()
    ends = [u] if u.is_exact() else [u.lower(), u.upper()]
    found[0] = _between([end.erfc() for end in ends])
    logs = _logarithm(found + [arb(0)] * (terms - len(found)))
    logs[0] = _between([end.erfc().log() + squares * end * end for end in ends])
    return _with_square(logs, u, squares)


def _logarithm(found: list[arb]) -> list[arb]:
    logs = arb_series(found, len(found)).log()
    return [logs[place] for place in range(len(found))]


def _between(ends: list[arb]) -> arb:
    """What a function that falls is between two ends of a ball."""
    return ends[0].union(ends[-1])


def _with_square(found: list[arb], u: arb, squares: int) -> list[arb]:
    """With squares·u² added but to the value."""
    for place, one in ((1, 2 * squares * u), (2, arb(squares))):
        if place < len(found):
            found[place] = found[place] + one
    return found


def erfcx_coefficients(u: arb, terms: int) -> list[arb]:
    """Taylor coefficients of erfcx at a point, by erfcx′ = 2u·erfcx − 2/√π: (k + 1) c_(k+1) = 2 (u c_k + c_(k−1))."""
    before = ctx.prec
    ctx.prec = before + terms * (2 * int(abs(float(u)) + 1).bit_length() + LOST)
    try:
        found = [(u * u).exp() * u.erfc()]
        found.append(2 * u * found[0] - 2 / arb.pi().sqrt())
        for place in range(1, terms - 1):
            found.append(2 * (u * found[place] + found[place - 1]) / (place + 1))
        return found[:terms]
    finally:
        ctx.prec = before
