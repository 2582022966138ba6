"""The proof of a certificate checked again, by code of its own: identities at random places, integrals by other jets, tails by
mpmath's intervals, and what is read off slopes by mpmath's numbers.

Nothing of the prover is imported. Boxes of a sum are checked as those of two losses are (`mlnn.proving.replay`).
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from flint import arb, ctx
from mpmath import iv, mp

from mlnn.proving.recurrences import OPERATIONS, WideError, number
from mlnn.proving.replay import Jets, Replayed, Tally
from mlnn.proving.replay_door import admitted
from mlnn.proving.replay_numbers import UNKNOWN, rational, value_of
from mlnn.proving.replay_sides import checked_sides
from mlnn.proving.replay_tails import dual_of, interval, slope_of
from mlnn.proving.replay_work import MOST_STEPS, SpentError, allowance

PLACES = 24
"""Random places at which an identity is looked at."""
DIGITS = 60
HALVED = 12
"""Halvings of a stored piece of an integral."""
FAR = 1e-3
"""Difference of two losses below which they say nothing of τ."""
PIECE = 1e-16
"""Half the width of a piece's integral at which it is not halved further."""
Paper = Mapping[str, Any]


def replay_certificate(paper: object, steps: float = MOST_STEPS) -> Replayed:
    """Check every part of a proof's `paper`, in at most so many steps. Raises DataError where the paper is no paper."""
    found = Tally()
    with allowance(steps):
        try:
            for part in admitted(paper):
                if "questions" in part:
                    found.boxes(part)
                else:
                    found.said(_said(part))
        except SpentError:
            found.failed.append(f"not replayed to its end: it takes more than {steps:,.0f} steps")
    return found.replayed


def _said(part: Paper) -> str | bool | None:
    before = iv.prec
    try:
        with mp.workdps(DIGITS):
            return KINDS[part["kind"]](part)
    except UNKNOWN as problem:
        return f"{part['kind']}: cannot be computed ({type(problem).__name__})"
    finally:
        iv.prec = before


def _identity(part: Paper) -> str | None:
    """Both nodes are worth the same at random places."""
    draws = random.Random(1)
    names = sorted({node[3] for node in part["nodes"] if node[3]})
    for _ in range(PLACES):
        places = {name: mp.mpf(draws.uniform(-6, 6)) for name in names}
        places |= {name: _inside(part["inside"], draws) for name in names if name.startswith("y")}
        left, right = (value_of(part["nodes"], part[side], places) for side in ("left", "right"))
        if not abs(left - right) <= mp.mpf(10) ** (8 - DIGITS) * max(1, abs(left)):
            return f"two nodes said to be equal differ by {mp.nstr(left - right, 5)}"
    return None


def _inside(where: str, draws: random.Random) -> Any:
    """A target."""
    u = mp.mpf(draws.uniform(-6, 6))
    return {"any": u, "above 0": mp.exp(u), "inside 0 and 1": 1 / (1 + mp.exp(-u))}[where]


def _integral(part: Paper) -> str | None:
    """The pieces follow on each other and add up, with the tails, to what is said."""
    total = arb(0)
    before, ctx.prec = ctx.prec, 320
    try:
        for one in part["parts"]:
            pieces = one["pieces"]
            if any(left[1] != right[0] for left, right in itertools.pairwise(pieces)):
                return "pieces of an integral do not follow on each other"
            for low, high, states in pieces:
                total += _piece(one["nodes"], one["exponent"], Fraction(low), Fraction(high), dict(states), HALVED)
        wrong = next((said for said in map(_tail, part["sides"]) if said), None) or _ends(part) or _tied(part)
        if wrong:
            return wrong
        total = total + sum((arb(0).union(number(_decimal(side["bound"]))) for side in part["sides"]), arb(0))
        total = total * part["unit"]
        low, high = (number(_decimal(end)) for end in part["total"])
        loose = abs(total) * arb(1e-9)
        fits = total.overlaps(low.union(high)) and bool(total.rad() < loose)
        return None if fits else f"an integral is {total.str(12)}, not [{part['total'][0]}, {part['total'][1]}]"
    except WideError:
        return "a piece of an integral is too wide to be checked"
    finally:
        ctx.prec = before


COORDINATES: dict[str, Callable[[Any], Any]] = {
    "the whole line": lambda u: u,
    "(0, ∞)": mp.exp,
    "[0, 1]": lambda u: 1 / (1 + mp.exp(-u)),
}
"""A target by its place on the line."""


def _tied(part: Paper) -> str | None:
    """Every exponent is that of the loss at random outputs and residuals."""
    draws, sides = random.Random(3), part.get("sides", [part])
    logs = [{**one, "log": True, "sign": side["sign"]} for one, side in _by_log(part)]
    for one in [*part.get("parts", ())[:1], *logs, *sides]:
        for _ in range(PLACES):
            f, t = mp.mpf(draws.uniform(-3, 3)), mp.mpf(draws.uniform(0.1, 3))
            log, sign = one.get("log", False), one.get("sign", 1)
            residual = sign * (mp.exp(t) if log else t) * part.get("unit", 1)
            wanted = _exponent(part["of"], f, residual) - (t if log else 0)
            found = value_of(one["nodes"], one["exponent"], {"z0": t})
            if not abs(wanted - found) <= mp.mpf(10) ** -24 * max(1, abs(wanted)):
                return f"an exponent differs from the loss's by {mp.nstr(wanted - found, 5)}"
    return None


def _exponent(of: Paper, f: Any, residual: Any) -> Any:
    """(loss − its terms of the target alone)/τ at an output and a residual."""
    place, width, share = of["width"] or (0, 1, "0")
    outputs = {f"z{place}": f, f"z{width}": f / 3 + 1}
    log_width = rational(share) * outputs[f"z{width}"]
    u = f + mp.exp(log_width) * residual
    places = {**outputs, "y0": COORDINATES[of["support"]](u)}
    loss, own = (value_of(of["nodes"], of[name], places) for name in ("loss", "own"))
    return (loss - own - log_width - rational(of["drift"]) * u - rational(of["level"])) / rational(of["scale"])


def _decimal(text: str) -> str:
    return str(Fraction(text))


def _ends(part: Paper) -> str | None:
    """That the parts reach to where the tails begin."""
    if not part["sides"]:
        return None
    first = part["parts"][0]["pieces"]
    inner = [-Fraction(first[0][0]), Fraction(first[-1][1])]
    logs = {side["sign"]: one for one, side in _by_log(part)}
    for reached, side in zip(inner, part["sides"], strict=True):
        if side["log"]:
            pieces = logs[side["sign"]]["pieces"]
            joined = reached == 1 and Fraction(pieces[0][0]) == 0
            reached = Fraction(pieces[-1][1])
            if not joined:
                return "the part of an integral over the logarithm does not begin at 0"
        if reached != Fraction(side["start"]):
            return "an integral does not reach to where its tail begins"
    return None


def _by_log(part: Paper) -> Iterator[tuple[Paper, Paper]]:
    """The parts over the logarithm of the residual, each with its side."""
    return zip(part.get("parts", ())[1:], (side for side in part.get("sides", ()) if side["log"]), strict=True)


def _piece(nodes: Sequence[Any], root: int, low: Fraction, high: Fraction, states: Mapping[int, int], left: int) -> arb:
    """∫ e^(−exponent) over a piece, by jets of the exponent's exponential."""
    width = number(str(high - low))
    if -1 in states:  # around a place where a switch changes
        if high - low > Fraction(1, 2**60):
            raise WideError
        return arb(0).union(width)
    try:
        radius, middle = width / 2, number(str((low + high) / 2))
        jets = []
        for place in (middle, arb(middle, radius.upper())):
            inner = Jets([node[:3] for node in nodes], [place, arb(1)], states, (low, high))(root)
            jets.append(OPERATIONS["exp"]([[-one for one in inner]], []))
        at, wide = jets
        order = len(wide) - 1
        found = sum((2 * at[k] * radius ** (k + 1) / (k + 1) for k in range(0, order, 2)), arb(0))
        found += arb(0, (2 * abs(wide[order]) * radius ** (order + 1) / (order + 1)).upper())
        if found.is_finite() and found.rad() < PIECE:
            return found
    except WideError:
        pass
    if not left:
        raise WideError
    middle_ = (low + high) / 2
    return _piece(nodes, root, low, middle_, states, left - 1) + _piece(nodes, root, middle_, high, states, left - 1)


def _tail(side: Paper) -> str | None:
    """The exponent's slope from the start on, by mpmath's intervals, and the bound that it gives."""
    iv.prec = 160
    start = interval(side["start"])
    slope = slope_of(side["nodes"], side["exponent"], iv.mpf([start.a, mp.inf]))
    told = interval(_decimal(side["slope"]))
    if slope is None or not slope.a >= told.a * (1 - mp.mpf(2) ** -40) or not told.a > 0:
        return f"the slope of a tail is not said to be at least {side['slope']} by mpmath"
    value = dual_of(side["nodes"], side["exponent"], start)[0]
    bound = iv.exp(-value) / told
    return (
        None
        if bound.b <= interval(_decimal(side["bound"])).b * (1 + mp.mpf(2) ** -40)
        else "a tail is larger than was said"
    )


def _endless(part: Paper) -> str | None:
    iv.prec = 160
    slope = slope_of(part["nodes"], part["exponent"], iv.mpf([interval(part["start"]).a, mp.inf]))
    return _tied(part) if slope is not None and slope.b <= 0 else "a tail is not shown to be endless"


def _places(part: Paper) -> str | None:
    """The probabilities that the slopes ask for at the places, and what the losses make of them, once more."""
    nodes, losses = part["nodes"], part["losses"]
    seen = [_asked(nodes, losses, [rational(one) for one in place]) for place in part["places"]]
    tiny = mp.mpf(10) ** -25
    if part["says"] == "no probability":
        return None if any(p <= tiny for p in seen[0][1]) else "every target has a probability above 0"
    if part["says"] == "mirrored":
        same = all(abs(p - mp.mpf(1) / 2) < tiny for _, asked in seen for p in asked)
        apart = abs(seen[0][0][0] - seen[1][0][0]) > tiny
        return None if same and apart else "the places do not ask for ½ at two losses"
    rates = list(_rates(seen))
    if part["says"] == "no temperature":
        return None if any(rate <= tiny for rate in rates) else "every temperature is above 0"
    apart = rates and max(rates) - min(rates) > mp.mpf(10) ** -20
    return None if apart else "the places ask for one temperature"


def _rates(seen: Sequence[tuple[list[Any], list[Any]]]) -> Iterator[Any]:
    """1/τ by each two places and target."""
    for (here, p), (there, q) in itertools.combinations(seen, 2):
        for a, b, x, y in zip(p, q, here, there, strict=True):
            if abs(x - y) > FAR:
                yield -(mp.log(a) - mp.log(b)) / (x - y)


def _asked(nodes: Sequence[Any], losses: Sequence[int], place: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Losses at a place, and the probabilities at which their expected slope is 0."""
    at = {f"z{one}": value for one, value in enumerate(place)}
    several = len(losses)
    rows = mp.matrix(several, several)
    for row, loss in itertools.product(range(several - 1), range(several)):
        name = f"z{row}"
        rows[row, loss] = mp.diff(
            lambda t, name=name, loss=loss: value_of(nodes, losses[loss], at | {name: t}), at[name], h=mp.mpf(10) ** -30
        )
    for loss in range(several):
        rows[several - 1, loss] = 1
    asked = mp.lu_solve(rows, mp.matrix([0] * (several - 1) + [1]))
    return [value_of(nodes, one, at) for one in losses], list(asked)


def _one_way(part: Paper) -> str | None:
    """The slope has one sign at random targets, small and large."""
    draws = random.Random(2)
    for _ in range(PLACES):
        y = mp.exp(draws.uniform(-6, 12)) if part["support"] != "[0, 1]" else mp.mpf(draws.uniform(0, 1))
        slope = mp.diff(
            lambda t, y=y: value_of(part["nodes"], part["loss"], {"z0": t, "y0": y}), rational(part["place"])
        )
        if not slope * part["sign"] > 0:
            return f"the slope at target {mp.nstr(y, 5)} has another sign"
    return None


KINDS: dict[str, Callable[[Paper], str | bool | None]] = {
    "identity": _identity,
    "integral": _integral,
    "endless": _endless,
    "places": _places,
    "one way": _one_way,
    "sides": checked_sides,
}
