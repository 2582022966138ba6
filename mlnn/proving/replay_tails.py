"""A stored node and its slope on intervals of mpmath, which may reach to infinity: written apart from the prover's rules."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mpmath import iv, mp

from mlnn.proving.recurrences import WideError
from mlnn.proving.replay_numbers import LARGEST, UNKNOWN
from mlnn.proving.replay_work import spend


def interval(text: str) -> Any:
    value = Fraction(text)
    return iv.mpf(value.numerator) / value.denominator


def slope_of(nodes: Sequence[Any], root: int, place: Any) -> Any:
    try:
        return dual_of(nodes, root, place)[1]
    except UNKNOWN:
        return None


def dual_of(nodes: Sequence[Any], root: int, place: Any, others: Mapping[str, Any] | None = None) -> Any:
    """(value, slope by the first raw output) of a stored node, as mpmath's intervals."""
    found: dict[int, Any] = {}

    def at(one: int) -> Any:
        if one not in found:
            op, args, numbers, name = nodes[one]
            spend(4 + 4 * len(args), iv.prec)
            if op == "var":
                found[one] = (place, iv.mpf(1)) if name == "z0" else ((others or {})[name], iv.mpf(0))
            elif op == "switch":
                looked = at(args[0])[0]
                sign = 1 if looked.a > 0 else -1 if looked.b < 0 else None
                if sign is None:
                    raise WideError
                found[one] = at(args[2 + sign])
            elif op == "log" and _led(nodes, args[0]):
                found[one] = _log_of_sum(nodes, args[0], at)
            else:
                found[one] = _dual(op, [at(other) for other in args], numbers)
        return found[one]

    return at(root)


def _led(nodes: Sequence[Any], place: int) -> bool:
    """Whether a node is a sum of exponentials, and perhaps a number, all above 0."""
    op, args, numbers, _ = nodes[place]
    return (
        op == "lin"
        and bool(args)
        and all(Fraction(one) >= 0 for one in numbers)
        and all(nodes[one][0] == "exp" for one in args)
    )


def _log_of_sum(nodes: Sequence[Any], place: int, at: Callable[[int], Any]) -> Any:
    """log(a + Σ b e^u): its slope is the mean of the slopes of u, with shares b e^u of the sum."""
    _, args, numbers, _ = nodes[place]
    rows = [(at(nodes[one][1][0]), interval(share)) for one, share in zip(args, numbers[1:], strict=True)]
    if Fraction(numbers[0]):
        rows.append(((iv.mpf(0), iv.mpf(0)), interval(numbers[0])))
    slope = iv.mpf(0)
    for mine, ((u, rise), share) in enumerate(rows):
        others = iv.mpf(1)
        for other, ((v, _), beside) in enumerate(rows):
            others += 0 if other == mine else beside / share * _exp(_less(nodes, place, at, (other, mine), v - u))
        slope += _times(rise, 1 / others)
    return iv.log(at(place)[0]), slope


def _less(nodes: Sequence[Any], place: int, at: Callable[[int], Any], pair: tuple[int, int], apart: Any) -> Any:
    """The difference of two exponents; of two multiples of one node by their factors, where both grow without end."""
    _, args, _, _ = nodes[place]
    if max(pair) >= len(args):
        return apart
    (one, factor), (other, beside) = (_multiple(nodes, nodes[args[which]][1][0]) for which in pair)
    return interval(str(factor - beside)) * at(one)[0] if one == other else apart


def _multiple(nodes: Sequence[Any], place: int) -> tuple[int, Fraction]:
    op, args, numbers, _ = nodes[place]
    plain = op == "lin" and len(args) == 1 and Fraction(numbers[0]) == 0
    return (args[0], Fraction(numbers[1])) if plain else (place, Fraction(1))


def _exp(x: Any) -> Any:
    """e^x; its ends may be without bound. Raises WideError where they have more digits than are worth an answer."""
    if any(mp.isfinite(end) and abs(end) > LARGEST for end in (mp.mpf(x.a), mp.mpf(x.b))):
        raise WideError
    return iv.exp(x)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + _exp(-x))


def _softplus(x: Any) -> Any:
    ends = [iv.mpf(mp.inf) if end == mp.inf else iv.log(1 + _exp(iv.mpf(end))) for end in (x.a, x.b)]
    return iv.mpf([ends[0].a, ends[1].b])


def _times(left: Any, right: Any) -> Any:
    """A product; 0 times a number without bound is 0."""
    return iv.mpf(0) if left == 0 or right == 0 else left * right


def _dual(op: str, args: Sequence[Any], numbers: Sequence[str]) -> Any:
    if op == "lin":
        shares = [interval(one) for one in numbers]
        value = sum((_times(share, x) for share, (x, _) in zip(shares[1:], args, strict=True)), shares[0])
        return value, sum((_times(share, rise) for share, (_, rise) in zip(shares[1:], args, strict=True)), iv.mpf(0))
    if op == "mul":
        value, slope = args[0]
        for x, rise in args[1:]:
            value, slope = _times(value, x), _times(slope, x) + _times(value, rise)
        return value, slope
    ((x, rise),) = args
    if op == "power":
        exponent = interval(numbers[0])
        value = iv.exp(exponent * _log(x)[0])
        return value, _times(exponent * value / x, rise)
    if op not in DUALS:
        raise WideError
    return DUALS[op](x)[0], _times(DUALS[op](x)[1], rise)


def _log(x: Any) -> Any:
    if not x.a > 0:
        raise WideError
    return iv.log(x), 1 / x


def _atan(x: Any) -> Any:
    """π is 4·atan 1 here."""
    with mp.workprec(iv.prec + 32):
        ends = [mp.atan(mp.mpf(end)) for end in (x.a, x.b)]
        slack = mp.mpf(2) ** -iv.prec
        value = iv.mpf([ends[0] - slack * (1 + abs(ends[0])), ends[1] + slack * (1 + abs(ends[1]))])
    return value, 1 / (1 + x**2)


DUALS: dict[str, Callable[[Any], Any]] = {
    "exp": lambda x: (_exp(x), _exp(x)),
    "log": _log,
    "inv": lambda x: (1 / x, -1 / (x * x)),
    "square": lambda x: (x**2, 2 * x),
    "sigmoid": lambda x: (_sigmoid(x), _sigmoid(x) * _sigmoid(-x)),
    "softplus": lambda x: (_softplus(x), _sigmoid(x)),
    "atan": _atan,
    "null": lambda x: (0 * x, 0 * x),
}
