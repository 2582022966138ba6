"""A loss on paper: a graph over a small core of operations on the real numbers, every constant exact.

Sums are kept as one linear node with exact rational coefficients and their terms in a fixed order, so that forms that differ
in order, sign or bracketing only are one node, and so that two sides of a proof share what they share.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

BELOW, AT, ABOVE = -1, 0, 1
"""States of a switch: what it looks at is below zero, exactly zero, or above."""
TOTAL = frozenset({"lin", "mul", "square", "exp", "sigmoid", "softplus", "sin", "cos", "atan", "erf", "erfc", "var", "switch"})
"""Operations with a finite value wherever their arguments have one."""
Id: TypeAlias = int
Variable: TypeAlias = tuple[str, int]
"""A raw output ("z", entry) or a target ("y", entry) by its place in the batch."""


@dataclass(frozen=True)
class Node:
    """One operation. `args`: the nodes that it reads. `data`: of a `lin` its constant and coefficients; of a `var` its name; of a
    `power` its exponent; of a `polygamma` its order."""

    op: str
    args: tuple[Id, ...] = ()
    data: tuple[Fraction, ...] | Variable | Fraction | int | None = None


class Graph:
    """Nodes, each made once. Their numbers rise from what is read to what reads it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.reads: list[frozenset[Variable]] = []
        self.total: list[bool] = []
        self.positive: list[bool] = []
        self._known: dict[Node, Id] = {}
        self.zero, self.one = self.const(0), self.const(1)

    def make(self, op: str, args: tuple[Id, ...] = (), data: object = None) -> Id:
        """A node, the one that there is if there is one."""
        node = Node(op, args, data)  # type: ignore[arg-type]
        found = self._known.get(node)
        if found is not None:
            return found
        reads = frozenset({data}) if op == "var" else frozenset[Variable]().union(*(self.reads[one] for one in args))
        self.nodes.append(node)
        self.reads.append(reads)  # type: ignore[arg-type]
        safe = op in TOTAL or (op in ("inv", "log", "power") and self.positive[args[0]])
        self.total.append(safe and all(self.total[one] for one in args))
        self.positive.append(self._is_positive(node))
        self._known[node] = len(self.nodes) - 1
        return len(self.nodes) - 1

    def _is_positive(self, node: Node) -> bool:
        """Whether a node is above zero wherever it has a value, as far as its form tells."""
        if node.op == "lin":
            constant, *factors = node.data  # type: ignore[misc]
            signs = all(factor > 0 for factor in factors) and constant >= 0  # type: ignore[operator]
            return signs and (bool(factors) or constant > 0) and all(self.positive[one] for one in node.args)
        if node.op == "switch":
            return all(self.positive[one] for one in node.args[1:])
        return node.op in ("exp", "sigmoid", "softplus", "erfc") or (
            node.op in ("mul", "square", "inv", "power") and all(self.positive[one] for one in node.args)
        )

    def var(self, kind: str, place: int) -> Id:
        """The raw output or the target of an entry of the batch."""
        return self.make("var", (), (kind, place))

    def const(self, value: Fraction | float) -> Id:
        """An exact number: a float stands for the number that it is. Raises ValueError for one that is not finite."""
        return self.make("lin", (), (_exact(value),))

    def number(self, one: Id) -> Fraction | None:
        """The number that a node is, None where it is none."""
        node = self.nodes[one]
        return node.data[0] if node.op == "lin" and not node.args else None  # type: ignore[index,return-value]

    def linear(self, terms: Iterable[tuple[Fraction, Id]], constant: Fraction | float = 0) -> Id:
        """constant + Σ coefficient·node, brought into its one form."""
        total, found = _exact(constant), dict[Id, Fraction]()
        for factor, one in terms:
            for inner_factor, inner, inner_constant in self._terms(one):
                total += factor * inner_constant
                if inner is not None:
                    found[inner] = found.get(inner, Fraction(0)) + factor * inner_factor
        for one in [one for one, factor in found.items() if factor == 0]:
            del found[one]
            if not self.total[one]:  # 0·log(0) is no 0
                found[self.make("null", (one,))] = Fraction(1)
        ordered = sorted(found)
        if total == 0 and len(ordered) == 1 and found[ordered[0]] == 1:
            return ordered[0]
        if total == 1 and len(ordered) == 1 and found[ordered[0]] == -1 and self.nodes[ordered[0]].op == "sigmoid":
            return self.make("sigmoid", (self.neg(self.nodes[ordered[0]].args[0]),))
        return self.make("lin", tuple(ordered), (total, *(found[one] for one in ordered)))

    def _terms(self, one: Id) -> list[tuple[Fraction, Id | None, Fraction]]:
        node = self.nodes[one]
        if node.op != "lin":
            return [(Fraction(1), one, Fraction(0))]
        constant, *factors = node.data  # type: ignore[misc]
        found: list[tuple[Fraction, Id | None, Fraction]] = [(Fraction(0), None, constant)]  # type: ignore[list-item]
        return found + list(zip(factors, node.args, [Fraction(0)] * len(factors), strict=True))  # type: ignore[arg-type]

    def add(self, left: Id, right: Id) -> Id:
        return self.linear([(Fraction(1), left), (Fraction(1), right)])

    def sub(self, left: Id, right: Id) -> Id:
        return self.linear([(Fraction(1), left), (Fraction(-1), right)])

    def scale(self, factor: Fraction | float, one: Id) -> Id:
        return self.linear([(_exact(factor), one)])

    def neg(self, one: Id) -> Id:
        return self.scale(-1, one)

    def mul(self, left: Id, right: Id) -> Id:
        """A product, numbers and signs taken out of it, its factors in order."""
        factor, factors = Fraction(1), list[Id]()
        for one in (left, right):
            number = self.number(one)
            if number is not None:
                factor *= number
                continue
            node = self.nodes[one]
            if node.op == "lin" and len(node.args) == 1 and node.data[0] == 0:  # type: ignore[index]
                factor, one = factor * node.data[1], node.args[0]  # type: ignore[index,operator]
                node = self.nodes[one]
            factors += node.args if node.op == "mul" else (one,)
        if not factors:
            return self.const(factor)
        factors = self._squares(sorted(factors))
        if len(factors) == 1:
            return self.scale(factor, factors[0])
        return self.scale(factor, self.make("mul", tuple(factors)))

    def _squares(self, factors: list[Id]) -> list[Id]:
        """Factors in order, two that are alike as one square."""
        while True:
            twice = next((one for one, other in zip(factors, factors[1:], strict=False) if one == other), None)
            if twice is None:
                return factors
            at = factors.index(twice)
            factors = sorted([*factors[:at], self.make("square", (twice,)), *factors[at + 2 :]])

    def square(self, one: Id) -> Id:
        return self.mul(one, one)

    def inv(self, one: Id) -> Id:
        number = self.number(one)
        if number:
            return self.const(1 / number)
        node = self.nodes[one]
        if node.op == "lin" and len(node.args) == 1 and node.data[0] == 0:  # type: ignore[index]
            return self.scale(1 / node.data[1], self.inv(node.args[0]))  # type: ignore[index,operator]
        if node.op == "sigmoid":  # 1 + e^(−u)
            return self.linear([(Fraction(1), self.exp(self.neg(node.args[0])))], 1)
        grown = self._one_plus_exp(one)
        return self.make("inv", (one,)) if grown is None else self.make("sigmoid", (self.neg(grown),))

    def exp(self, one: Id) -> Id:
        """An exponential; of a logarithm in a sum what it is the logarithm of, where that is above zero."""
        if self.number(one) == 0:
            return self.one
        terms = dict(zip(node.args, node.data[1:], strict=True)) if (node := self.nodes[one]).op == "lin" else {one: 1}  # type: ignore[index,dict-item]
        for inner, factor in terms.items():
            found = self._undone(inner, factor)  # type: ignore[arg-type]
            if found is not None:
                return self.mul(found, self.exp(self.sub(one, self.scale(factor, inner))))  # type: ignore[arg-type]
        return self.make("exp", (one,))

    def _undone(self, inner: Id, factor: Fraction) -> Id | None:
        """e^(factor·inner), where that is no exponential."""
        node = self.nodes[inner]
        if factor not in (1, -1) or node.op not in ("log", "softplus"):
            return None
        if node.op == "log":
            return node.args[0] if factor == 1 else self.inv(node.args[0])
        if factor == -1:
            return self.make("sigmoid", (self.neg(node.args[0]),))
        return self.linear([(Fraction(1), self.exp(node.args[0]))], 1)

    def log(self, one: Id) -> Id:
        """A logarithm; of 1 + e^u the softplus of u, of σ(u) minus that of −u, of a product of numbers above zero a sum, of a sum of
        exponentials the first exponent and the logarithm of the rest."""
        if self.number(one) == 1:
            return self.zero
        node = self.nodes[one]
        if node.op == "exp":
            return node.args[0]
        if node.op in ("mul", "inv", "square") and all(self.positive[other] for other in node.args):
            factor = {"mul": 1, "inv": -1, "square": 2}[node.op]
            return self.linear([(Fraction(factor), self.log(other)) for other in node.args])
        if node.op == "lin" and node.data[0] == 0 and len(node.args) > 1 and self._exponentials(node):  # type: ignore[index]
            lead = self.nodes[node.args[0]].args[0]
            rest = [(Fraction(1), self.exp(self.sub(self.nodes[other].args[0], lead))) for other in node.args[1:]]
            return self.add(lead, self.log(self.linear(rest, 1)))
        return self._log(one)

    def _exponentials(self, node: Node) -> bool:
        return all(factor == 1 for factor in node.data[1:]) and all(self.nodes[one].op == "exp" for one in node.args)  # type: ignore[index]

    def _log(self, one: Id) -> Id:
        node, grown = self.nodes[one], self._one_plus_exp(one)
        if grown is not None:
            return self.make("softplus", (grown,))
        if node.op == "sigmoid":
            return self.neg(self.make("softplus", (self.neg(node.args[0]),)))
        return self.make("log", (one,))

    def _one_plus_exp(self, one: Id) -> Id | None:
        """u, of a node 1 + e^u."""
        node = self.nodes[one]
        if node.op != "lin" or node.data != (1, 1) or self.nodes[node.args[0]].op != "exp":
            return None
        return self.nodes[node.args[0]].args[0]

    def div(self, left: Id, right: Id) -> Id:
        return self.mul(left, self.inv(right))

    def power(self, one: Id, exponent: Fraction | float) -> Id:
        """A fixed power: a product for whole exponents up to 4; a real one of a number above 0 else."""
        exponent = _exact(exponent)
        if exponent == 0:
            return self.one
        if exponent.denominator == 1 and abs(exponent) <= 4:
            square = self.square(one)
            found = {1: one, 2: square, 3: self.mul(square, one), 4: self.square(square)}[abs(int(exponent))]
            return found if exponent > 0 else self.inv(found)
        return self.make("power", (one,), exponent)

    def switch(self, looks_at: Id, below: Id, at: Id, above: Id) -> Id:
        """One of three nodes, as another is below zero, zero, or above; of which only the chosen one needs a value.

        What it looks at is scaled so that one switch stands for u < 0, −u > 0 and 2u < 0.
        """
        number = self.number(looks_at)
        if number is not None:
            return at if number == 0 else above if number > 0 else below
        if below == at == above and self.total[looks_at]:
            return at
        looks_at, sign = self._normal(looks_at)
        if sign < 0:
            below, above = above, below
        return self.make("switch", (looks_at, below, at, above))

    def _normal(self, one: Id) -> tuple[Id, int]:
        node = self.nodes[one]
        if node.op != "lin":
            return one, 1
        lead: Fraction = node.data[1]  # type: ignore[index,assignment]
        return self.scale(1 / lead, one), 1 if lead > 0 else -1

    def needed(self, roots: Iterable[Id]) -> list[Id]:
        """The nodes that some nodes rest on, in order."""
        todo, seen = list(roots), set[Id]()
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo += self.nodes[one].args
        return sorted(seen)


def rebuilt(graph: Graph, roots: tuple[Id, ...], into: Graph, values: Mapping[Variable, Fraction]) -> tuple[Id, ...]:
    """Some nodes of a graph in another one, with numbers in place of variables."""
    found: dict[Id, Id] = {}
    for one in graph.needed(roots):
        node = graph.nodes[one]
        args = tuple(found[other] for other in node.args)
        if node.op == "var":
            value = values.get(node.data)  # type: ignore[arg-type]
            found[one] = into.make("var", (), node.data) if value is None else into.const(value)
        elif node.op == "lin":
            constant, *factors = node.data  # type: ignore[misc]
            found[one] = into.linear(zip(factors, args, strict=True), constant)  # type: ignore[arg-type]
        else:
            found[one] = _again(into, node, args)
    return tuple(found[root] for root in roots)


def _again(into: Graph, node: Node, args: tuple[Id, ...]) -> Id:
    if node.op == "mul":
        found = args[0]
        for other in args[1:]:
            found = into.mul(found, other)
        return found
    if node.op in ("inv", "exp", "log", "square", "switch"):
        made: Id = getattr(into, node.op)(*args)
        return made
    if node.op == "null" and into.total[args[0]]:
        return into.zero
    return into.make(node.op, args, node.data)


def _exact(value: Fraction | float) -> Fraction:
    try:
        return value if isinstance(value, Fraction) else Fraction(value)
    except (OverflowError, ValueError):
        raise ValueError(f"a constant that is {value}") from None
