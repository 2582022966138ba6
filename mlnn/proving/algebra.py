"""Products, powers, exponentials and logarithms of nodes, each brought into one form where that holds for all real numbers.

What may be rewritten is what needs no condition: signs and numbers out of products, log of what is above zero by its form, σ and
softplus by their names. So forms that a stable kernel and a textbook write differently are often one node, which needs no proof.
"""

import math
from collections.abc import Iterable
from fractions import Fraction
from functools import partial
from itertools import pairwise

from mlnn.proving.error_powers import apart, joined
from mlnn.proving.exact import exact
from mlnn.proving.graph import Graph, Id, Node
from mlnn.proving.roots import HALF, is_root, root
from mlnn.proving.shapes import is_exponentials, is_lost, one_plus_exp

MOST_FACTORED = 10**6
"""Whole numbers up to it are taken apart in a logarithm."""


def mul(g: Graph, left: Id, right: Id) -> Id:
    """A product, numbers and signs taken out of it, its factors in order."""
    factor, factors = Fraction(1), list[Id]()
    for one in (left, right):
        number = g.number(one)
        if number is not None:
            factor *= number
            continue
        node = g.nodes[one]
        if node.op == "lin":
            lead = node.numbers[1]
            factor, one = factor * lead, g.scale(1 / lead, one)
            node = g.nodes[one]
        factors += node.args if node.op == "mul" else (one,)
    if not factors:
        return g.const(factor)
    factors = _squares(g, sorted(_joined(g, _cancelled(g, _grown(g, factors)))))
    factor *= math.prod(number for one in factors if (number := g.number(one)) is not None)
    factors = [one for one in factors if g.number(one) is None]
    if not factors:
        return g.const(factor)
    if len(factors) == 1:
        return g.scale(factor, factors[0])
    return g.scale(factor, g.make("mul", tuple(factors)))


def product(g: Graph, factors: Iterable[Id]) -> Id:
    found = g.one
    for one in factors:
        found = mul(g, found, one)
    return found


def _grown(g: Graph, factors: list[Id]) -> list[Id]:
    """Factors with all exponentials as one."""
    grown = [one for one in factors if g.nodes[one].op == "exp"]
    if len(grown) < 2:
        return factors
    total = exp(g, g.linear([(Fraction(1), g.nodes[one].args[0]) for one in grown]))
    return [one for one in factors if one not in grown] + ([] if total == g.one else [total])


def _cancelled(g: Graph, factors: list[Id]) -> list[Id]:
    """Factors without pairs of a number above zero and its inverse: x and 1/x, σ(u) and 1 + e^(−u); σ(u) and e^(−u) as σ(−u)."""
    factors = [single for one in factors for single in _singles(g, one)]
    found = list(factors)
    for one in factors:
        node = g.nodes[one]
        if node.op not in ("inv", "sigmoid") or not g.positive[one]:
            continue
        other = node.args[0] if node.op == "inv" else inv(g, one)
        if other in found and one in found:
            found.remove(one)
            found.remove(other)
        elif node.op == "sigmoid" and (falling := exp(g, g.neg(node.args[0]))) in found and one in found:
            found.remove(one)
            found.remove(falling)
            found.append(g.make("sigmoid", (g.neg(node.args[0]),)))
    return found


def _singles(g: Graph, one: Id) -> list[Id]:
    """What a square, or one of such, of a number above zero is a product of."""
    node = g.nodes[one]
    return 2 * _singles(g, node.args[0]) if node.op == "square" and g.positive[one] else [one]


def _joined(g: Graph, factors: list[Id]) -> list[Id]:
    """Factors with e^(u²)·erfc(u), and its inverse, as one power of e."""
    grown = next((one for one in factors if g.nodes[one].op == "exp"), None)
    if grown is None:
        return factors
    for one in factors:
        w = joined(g, g.nodes[grown].args[0], one, partial(square, g))
        if w is not None:
            rest = list(factors)
            rest.remove(one)
            rest.remove(grown)
            return _joined(g, [*rest, exp(g, w)])
    return factors


def _squares(g: Graph, factors: list[Id]) -> list[Id]:
    """Factors in order, two that are alike as one square."""
    while True:
        twice = next((one for one, other in pairwise(factors) if one == other), None)
        if twice is None:
            return factors
        at, node = factors.index(twice), g.nodes[twice]
        squared = node.args[0] if is_root(g, node) else g.make("square", (twice,))
        factors = sorted([*factors[:at], squared, *factors[at + 2 :]])


def square(g: Graph, one: Id) -> Id:
    return mul(g, one, one)


def inv(g: Graph, one: Id) -> Id:
    number = g.number(one)
    if number:
        return g.const(1 / number)
    node = g.nodes[one]
    if node.op == "lin" and len(node.args) == 1 and node.numbers[0] == 0:
        return g.scale(1 / node.numbers[1], inv(g, node.args[0]))
    if node.op == "exp":
        return exp(g, g.neg(node.args[0]))
    if is_exponentials(g, node):
        lead, rest = _led(g, node)
        return mul(g, exp(g, g.neg(lead)), inv(g, rest))
    if node.op in ("mul", "square"):
        found = [inv(g, other) for other in node.args] * (2 if node.op == "square" else 1)
        return product(g, found)
    if node.op == "inv" and g.positive[one]:
        return node.args[0]
    if is_root(g, node):
        return mul(g, one, inv(g, node.args[0]))
    if node.op == "sigmoid":  # 1 + e^(−u)
        return g.linear([(Fraction(1), exp(g, g.neg(node.args[0])))], 1)
    grown = one_plus_exp(g, one)
    return g.make("inv", (one,)) if grown is None else g.make("sigmoid", (g.neg(grown),))


def exp(g: Graph, one: Id) -> Id:
    """An exponential; of a logarithm in a sum what it is the logarithm of, where that is above zero."""
    if g.number(one) == 0:
        return g.one
    if is_lost(g, one):
        return g.zero
    terms = (
        dict(zip(node.args, node.numbers[1:], strict=True))
        if (node := g.nodes[one]).op == "lin"
        else {one: Fraction(1)}
    )
    for inner, factor in terms.items():
        found = _undone(g, inner, factor)
        if found is not None:
            return mul(g, found, exp(g, g.sub(one, g.scale(factor, inner))))
        if g.nodes[inner].op == "log_erfcx" and factor in (1, -1):
            (u,) = g.nodes[inner].args
            rest = apart(g, one, inner, int(factor), square(g, u))
            if rest is not None:
                return mul(g, _error(g, u, factor), exp(g, rest))
    return g.make("exp", (one,))


def _undone(g: Graph, inner: Id, factor: Fraction) -> Id | None:
    """e^(factor·inner), where that is no exponential."""
    node = g.nodes[inner]
    if factor not in (1, -1) or node.op not in ("log", "log_erfc", "softplus"):
        return None
    if node.op == "log_erfc":
        return _error(g, node.args[0], factor)
    if node.op == "log":
        return node.args[0] if factor == 1 else inv(g, node.args[0])
    if factor == -1:
        return g.make("sigmoid", (g.neg(node.args[0]),))
    return g.linear([(Fraction(1), exp(g, node.args[0]))], 1)


def _error(g: Graph, u: Id, factor: Fraction) -> Id:
    """erfc(u), or 1 over it."""
    found = g.make("erfc", (u,))
    return found if factor == 1 else inv(g, found)


def log(g: Graph, one: Id) -> Id:
    """A logarithm; of 1 + e^u the softplus of u, of σ(u) minus that of −u, of a product or a power of numbers above zero a sum or
    a multiple, of a sum of exponentials the first exponent and the logarithm of the rest."""
    node, number = g.nodes[one], g.number(one)
    if number is not None and number > 0:
        return _log_of_number(g, number)
    if node.op == "lin" and len(node.args) == 1 and node.numbers[0] == 0 < node.numbers[1] and g.positive[node.args[0]]:
        return g.add(log(g, g.const(node.numbers[1])), log(g, node.args[0]))
    times = _exponent(g, node)
    if times is not None:
        return g.linear([(times, log(g, other)) for other in node.args])
    if is_exponentials(g, node):
        lead, rest = _led(g, node)
        return g.add(lead, log(g, rest))
    if node.op == "square":
        return g.scale(2, log(g, _size(g, node.args[0])))
    return _log(g, one)


def _exponent(g: Graph, node: Node) -> Fraction | None:
    """What numbers above 0 are raised to in a product or a power of such; None of anything else."""
    if node.op not in ("mul", "inv", "square", "power") or not all(g.positive[other] for other in node.args):
        return None
    return node.numbers[0] if node.op == "power" else Fraction({"mul": 1, "inv": -1, "square": 2}[node.op])


def _log_of_number(g: Graph, number: Fraction) -> Id:
    """A sum of logarithms of primes, of a number of few digits."""
    terms = list[tuple[Fraction, Id]]()
    for whole, times in ((number.numerator, 1), (number.denominator, -1)):
        parts = factored(whole) if whole <= MOST_FACTORED else {whole: 1} if whole > 1 else {}
        terms += [(Fraction(times * power), g.make("log", (g.const(Fraction(part)),))) for part, power in parts.items()]
    return g.linear(terms)


def factored(whole: int) -> dict[int, int]:
    """The primes of a whole number, and how often each is in it."""
    found, part = dict[int, int](), 2
    while part * part <= whole:
        while whole % part == 0:
            whole, found[part] = whole // part, found.get(part, 0) + 1
        part += 1
    return found | ({whole: found.get(whole, 0) + 1} if whole > 1 else {})


def _size(g: Graph, one: Id) -> Id:
    """The absolute value."""
    if g.nodes[one].op == "square":
        return one
    return g.switch(one, g.neg(one), g.zero, one)


def _led(g: Graph, node: Node) -> tuple[Id, Id]:
    """(u, s) of a sum of exponentials that is e^u·s, u the first exponent."""
    lead = g.nodes[node.args[0]].args[0]
    rest = [(Fraction(1), exp(g, g.sub(g.nodes[other].args[0], lead))) for other in node.args[1:]]
    return lead, g.linear(rest, 1)


def _log(g: Graph, one: Id) -> Id:
    node, grown = g.nodes[one], one_plus_exp(g, one)
    if node.op == "exp":
        return node.args[0]
    if node.op == "erfc":
        return g.make("log_erfc", node.args)
    if grown is not None:
        return g.make("softplus", (grown,))
    if node.op == "sigmoid":
        return g.neg(g.make("softplus", (g.neg(node.args[0]),)))
    return g.make("log", (one,))


def div(g: Graph, left: Id, right: Id) -> Id:
    return mul(g, left, inv(g, right))


def power(g: Graph, one: Id, exponent: Fraction | float) -> Id:
    """A fixed power: a product for whole exponents up to 4, of a square that of a size; a real one of a number above 0 else."""
    exponent = exact(exponent)
    if exponent == 0:
        return g.one
    node = g.nodes[one]
    if node.op == "square" and exponent.denominator > 1:
        return power(g, _size(g, node.args[0]), 2 * exponent)
    number = g.number(one)
    if number is not None and abs(exponent) == HALF and (found := root(g, number ** int(2 * exponent))) is not None:
        return found
    if exponent.denominator == 1 and abs(exponent) <= 4:
        twice = square(g, one)
        found = {1: one, 2: twice, 3: mul(g, twice, one), 4: square(g, twice)}[abs(int(exponent))]
        return found if exponent > 0 else inv(g, found)
    if node.op == "exp":
        return exp(g, g.scale(exponent, node.args[0]))
    times = _exponent(g, node)
    if times is not None:
        return product(g, (power(g, other, exponent * times) for other in node.args))
    return g.make("power", (one,), (exponent,))
