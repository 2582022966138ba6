"""A loss on paper: a graph over a small core of operations on the real numbers, every constant exact.

Sums are kept as one linear node with exact rational coefficients and their terms in a fixed order, so that forms that differ
in order, sign or bracketing only are one node, and so that two sides of a proof share what they share.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from mlnn.proving.exact import exact
from mlnn.targets.facts import COUNTS, HALF_LINE, UNIT_INTERVAL

BELOW, AT, ABOVE = -1, 0, 1
"""States of a switch: what it looks at is below zero, exactly zero, or above."""
TOTAL = frozenset({"lin", "mul", "square", "exp", "sigmoid", "softplus", "sin", "cos", "atan", "erf", "erfc", "log_erfc",
                   "log_erfcx", "var", "switch", "hyp0f1"})  # fmt: skip
"""Operations with a finite value wherever their arguments have one."""
Id: TypeAlias = int
Variable: TypeAlias = tuple[str, int]
"""A raw output ("z", entry) or a target ("y", entry) by its place in the batch."""


@dataclass(frozen=True)
class Node:
    """One operation. `args`: the nodes that it reads. `numbers`: of a `lin` its constant and coefficients, of a `power` its
    exponent, of a `polygamma` its order. `name`: of a variable."""

    op: str
    args: tuple[Id, ...] = ()
    numbers: tuple[Fraction, ...] = ()
    name: Variable | None = None


class Graph:
    """Nodes, each made once. Their numbers rise from what is read to what reads it. `support`: of targets, where it is known."""

    def __init__(self, support: str = "") -> None:
        self.support = support
        self.nodes: list[Node] = []
        self.reads: list[frozenset[Variable]] = []
        self.total: list[bool] = []
        self.positive: list[bool] = []
        self._known: dict[Node, Id] = {}
        self._switches: dict[tuple[Id, Id, Id, Id], Id] = {}
        self._restricted: dict[tuple[Id, int, Id], Id] = {}
        self.targets: dict[Variable, Fraction] = {}
        """The numbers of the targets that a loss is being followed at."""
        self.zero, self.one = self.const(0), self.const(1)
        self.lost = self.make("undefined", numbers=(Fraction(-1),))
        """−∞, which e to it and a sum of such are free of."""
        self.endless = self.make("undefined", numbers=(Fraction(1),))
        """∞, below which every number is."""

    def make(
        self, op: str, args: tuple[Id, ...] = (), numbers: tuple[Fraction, ...] = (), name: Variable | None = None
    ) -> Id:
        """A node, the one that there is if there is one."""
        node = Node(op, args, numbers, name)
        found = self._known.get(node)
        if found is not None:
            return found
        own: frozenset[Variable] = frozenset() if name is None else frozenset({name})
        self.nodes.append(node)
        self.reads.append(own.union(*(self.reads[one] for one in args)))
        safe = op in TOTAL or (op in ("inv", "log", "power") and self.positive[args[0]])
        self.total.append(safe and all(self.total[one] for one in args))
        self.positive.append(self._is_positive(node))
        self._known[node] = len(self.nodes) - 1
        return len(self.nodes) - 1

    def _is_positive(self, node: Node) -> bool:
        """Whether a node is above zero wherever it has a value, as far as its form tells."""
        if node.op == "lin":
            constant, *factors = node.numbers
            least = constant + sum(factor for factor in factors if factor < 0)
            terms = [*zip(factors, node.args, strict=True)]
            strict = least > 0 or any(factor > 0 and self.positive[one] for factor, one in terms)
            return (
                least >= 0
                and all(self.is_at_least_0(one) if factor > 0 else self._is_share(one) for factor, one in terms)
                and (strict or any(factor < 0 for factor in factors))
            )
        if node.op == "switch":
            return all(self.positive[one] for one in node.args[1:])
        if node.op == "var":
            return self.support == HALF_LINE and _is_target(node)
        return node.op in ("exp", "sigmoid", "softplus", "erfc") or (
            node.op in ("mul", "square", "inv", "power", "atan") and all(self.positive[one] for one in node.args)
        )

    def is_at_least_0(self, one: Id) -> bool:
        """Whether a node is not below 0 wherever it has a value, as far as its form tells."""
        node = self.nodes[one]
        if node.op == "lin":
            constant, *factors = node.numbers
            return constant + sum(factor for factor in factors if factor < 0) >= 0 and all(
                self.is_at_least_0(inner) if factor > 0 else self._is_share(inner) or self._is_label(inner)
                for factor, inner in zip(factors, node.args, strict=True)
            )
        if _is_target(node):
            return self.support in (COUNTS, HALF_LINE, UNIT_INTERVAL)
        return (
            self.positive[one]
            or node.op == "square"
            or (node.op == "mul" and all(self.is_at_least_0(inner) for inner in node.args))
        )

    def _is_label(self, one: Id) -> bool:
        """Whether a node is a soft label, which may be 0 and 1."""
        return self.support == UNIT_INTERVAL and _is_target(self.nodes[one])

    def is_whole(self, one: Id) -> bool:
        """Whether a node is a whole number by its form: a count, a number, or a sum of such."""
        node = self.nodes[one]
        if node.op == "lin":
            return all(number.denominator == 1 for number in node.numbers) and all(map(self.is_whole, node.args))
        return _is_target(node) and self.support == COUNTS

    def _is_share(self, one: Id) -> bool:
        """Whether a node is between 0 and 1, and neither, by its form: σ, or e to what is below 0."""
        node = self.nodes[one]
        return node.op == "sigmoid" or (node.op == "exp" and self._is_negative(self.nodes[node.args[0]]))

    def _is_negative(self, node: Node) -> bool:
        if node.op != "lin" or not node.args:
            return False
        signs = all(number <= 0 for number in node.numbers)
        return signs and all(self.positive[one] for one in node.args)

    def var(self, kind: str, place: int) -> Id:
        """The raw output or the target of an entry of the batch."""
        return self.make("var", name=(kind, place))

    def const(self, value: Fraction | float) -> Id:
        """An exact number, see `exact`. Raises ValueError for one that is not finite."""
        return self.make("lin", numbers=(exact(value),))

    def number(self, one: Id) -> Fraction | None:
        """The number that a node is, None where it is none."""
        node = self.nodes[one]
        return node.numbers[0] if node.op == "lin" and not node.args else None

    def linear(self, terms: Iterable[tuple[Fraction, Id]], constant: Fraction | float = 0) -> Id:
        """constant + Σ coefficient·node, brought into its one form."""
        total, found = exact(constant), dict[Id, Fraction]()
        for factor, one in terms:
            for inner_factor, inner, inner_constant in self._terms(one):
                total += factor * inner_constant
                if inner is not None:
                    found[inner] = found.get(inner, Fraction(0)) + factor * inner_factor
        errors = [one for one, factor in found.items() if factor and self.nodes[one].op in ("erf", "erfc")]
        for one in errors if len(errors) > 1 else ():
            total += self._as_tail(one, found)
        for one in [one for one, factor in found.items() if factor == 0]:
            del found[one]
            if not self.total[one]:  # 0·log(0) is no 0
                found[self.make("null", (one,))] = Fraction(1)
        ordered = sorted(found)
        if total == 0 and len(ordered) == 1 and found[ordered[0]] == 1:
            return ordered[0]
        if total == 1 and len(ordered) == 1 and found[ordered[0]] == -1 and self.nodes[ordered[0]].op == "sigmoid":
            return self.make("sigmoid", (self.neg(self.nodes[ordered[0]].args[0]),))
        other = self._other_error(ordered[0], found[ordered[0]], total) if total and len(ordered) == 1 else None
        if other is not None:
            return self.scale(*other)
        return self.make("lin", tuple(ordered), (total, *(found[one] for one in ordered)))

    def _other_error(self, one: Id, factor: Fraction, total: Fraction) -> tuple[Fraction, Id] | None:
        """1 ± erf(u) as erfc(∓u), which has digits where u is far from 0, 1 − erfc(u) as erf(u) and 2 − erfc(u) as erfc(−u): what
        it is a multiple of, after how many times."""
        node = self.nodes[one]
        if node.op == "erf" and abs(factor) == abs(total):
            return total, self.make("erfc", (self.neg(node.args[0]) if factor == total else node.args[0],))
        if node.op == "erfc" and factor == -total:
            return total, self.make("erf", node.args)
        if node.op == "erfc" and 2 * factor == -total:
            return -factor, self.make("erfc", (self.neg(node.args[0]),))
        return None

    def _as_tail(self, one: Id, terms: dict[Id, Fraction]) -> Fraction:
        """Put erfc(u), u of one sign, in place of erf(u), erf(−u) or erfc(−u), of which several are in a sum; the constant that is
        left over."""
        node, factor, inner = self.nodes[one], terms[one], self.nodes[self.nodes[one].args[0]]
        turned = inner.op == "lin" and inner.numbers[-1] < 0
        if node.op == "erfc" and not turned:
            return Fraction(0)
        tail = self.make("erfc", (self.neg(node.args[0]) if turned else node.args[0],))
        terms[one] = Fraction(0)
        terms[tail] = terms.get(tail, Fraction(0)) + (factor if node.op == "erf" and turned else -factor)
        return 2 * factor if node.op == "erfc" else -factor if turned else factor

    def _terms(self, one: Id) -> list[tuple[Fraction, Id | None, Fraction]]:
        node = self.nodes[one]
        if node.op != "lin":
            return [(Fraction(1), one, Fraction(0))]
        constant, *factors = node.numbers
        found: list[tuple[Fraction, Id | None, Fraction]] = [(Fraction(0), None, constant)]
        return found + list(zip(factors, node.args, [Fraction(0)] * len(factors), strict=True))

    def add(self, left: Id, right: Id) -> Id:
        return self.linear([(Fraction(1), left), (Fraction(1), right)])

    def sub(self, left: Id, right: Id) -> Id:
        return self.linear([(Fraction(1), left), (Fraction(-1), right)])

    def scale(self, factor: Fraction | float, one: Id) -> Id:
        return self.linear([(exact(factor), one)])

    def neg(self, one: Id) -> Id:
        return self.scale(-1, one)

    def switch(self, looks_at: Id, below: Id, at: Id, above: Id) -> Id:
        """One of three nodes, as another is below zero, zero, or above; of which only the chosen one needs a value.

        What it looks at is scaled so that one switch stands for u < 0, −u > 0 and 2u < 0; a switch that looks at another one is
        one within its three cases.
        """
        asked = looks_at, below, at, above
        if asked not in self._switches:  # the largest of many is as many switches in one another, met over and over
            self._switches[asked] = self._switch(*asked)
        return self._switches[asked]

    def _switch(self, looks_at: Id, below: Id, at: Id, above: Id) -> Id:
        number = self.number(looks_at)
        if number is not None:
            return at if number == 0 else above if number > 0 else below
        if below == at == above and self.total[looks_at]:
            return at
        inner = self._inner(looks_at)
        if inner is not None:
            outer, cases = inner
            return self.switch(outer, *(self.switch(case, below, at, above) for case in cases))
        looks_at, sign = self._normal(looks_at)
        if sign < 0:
            below, above = above, below
        for one, known in ((looks_at, above), (self.neg(looks_at), below)):
            if self.total[one] and (
                self.positive[one] or (self.is_at_least_0(one) and self._is_one_at_0(one, at, known))
            ):
                return known
        branches = [self._under(looks_at, place, one) for place, one in enumerate((below, at, above), 1)]
        return self.make("switch", (looks_at, *branches))

    def _is_one_at_0(self, looks_at: Id, left: Id, right: Id) -> bool:
        """Whether two nodes are a multiple of what a switch looks at apart, as far as their forms tell."""
        node = self.nodes[apart := self.sub(left, right)]
        terms = node.args if node.op == "lin" and node.numbers[0] == 0 else (apart,)
        return self.total[apart] and all(
            one == looks_at or (self.nodes[one].op == "mul" and looks_at in self.nodes[one].args) for one in terms
        )

    def _inner(self, one: Id) -> tuple[Id, list[Id]] | None:
        """Of a sum with one switch in it: what that looks at, and the sum in its three cases."""
        node = self.nodes[one]
        terms = self._terms(one)
        inner = [term for term in terms if term[1] is not None and self.nodes[term[1]].op == "switch"]
        if len(inner) != 1:
            return None
        factor, switch, _ = inner[0]
        assert switch is not None
        constant = node.numbers[0] if node.op == "lin" else Fraction(0)
        rest = [(other, term) for other, term, _ in terms if term is not None and term != switch]
        looks_at, *cases = self.nodes[switch].args
        return looks_at, [self.linear([*rest, (factor, case)], constant) for case in cases]

    def _under(self, looks_at: Id, place: int, one: Id) -> Id:
        """A node where it is known in which state a switch is, in the switches within it too."""
        asked = looks_at, place, one
        if asked not in self._restricted:
            node, found = self.nodes[one], one
            if node.op == "switch" and node.args[0] == looks_at:
                found = self._under(looks_at, place, node.args[place])
            elif node.op == "switch":
                branches = [self._under(looks_at, place, other) for other in node.args[1:]]
                found = one if branches == [*node.args[1:]] else self.switch(node.args[0], *branches)
            self._restricted[asked] = found
        return self._restricted[asked]

    def _normal(self, one: Id) -> tuple[Id, int]:
        node = self.nodes[one]
        if node.op != "lin":
            return one, 1
        lead: Fraction = node.numbers[1]
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


def _is_target(node: Node) -> bool:
    return node.name is not None and node.name[0] == "y"
