"""A stored proof that somebody sent, held to its shape before anything is computed from it; what it says may be false.

Every message names the part and the entry. Nothing of the prover is imported.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mlnn.errors import DataError
from mlnn.visible import shown

MOST_PARTS, MOST_NODES, MOST_ROWS = 2000, 20_000, 100_000
"""Parts of a paper; nodes, and boxes, pieces or places, of one part."""
DEEPEST = 250
"""Nodes within nodes."""
FARTHEST = 40_000
"""Of a place on a line: e to it has 17 thousand digits."""
LONGEST = 4000
"""Characters of a number."""
_FRACTION = re.compile(r"-?\d+(/[1-9]\d*)?", re.ASCII)
_DECIMAL = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d{1,5})?", re.ASCII)
_VARIABLE = re.compile(r"[yz]\d{1,4}", re.ASCII)
UNARY = {"square", "inv", "exp", "log", "power", "sigmoid", "softplus", "sin", "cos", "atan", "erf", "erfc", "log_erfc",
         "log_erfcx", "lgamma", "polygamma", "hyp0f1", "null"}  # fmt: skip
ARITY = {"var": 0, "switch": 4, "gammaincc": 2} | dict.fromkeys(UNARY, 1)
NUMBERS = {"power": 1, "polygamma": 1, "hyp0f1": 1}
"""How many each operation is stored with; the others with none, a sum with one more than it has terms."""
MOST_ORDER, MOST_EXPONENT = 64, 10**6
INSIDE = ("any", "above 0", "inside 0 and 1")
SUPPORTS = ("the whole line", "(0, ∞)", "[0, 1]", "0, 1, 2, …")
SAYS = ("no probability", "mirrored", "no temperature", "temperatures")


class _Off(Exception):
    """What is not as it belongs there."""


def admitted(paper: object) -> Sequence[Mapping[str, Any]]:
    """The same paper, every entry of which is what a replay takes it for. Raises DataError with the first that is not."""
    if not isinstance(paper, list | tuple) or len(paper) > MOST_PARTS:
        raise DataError(f"the paper of a proof: at most {MOST_PARTS} parts belong there, found {_told(paper)}")
    for number, part in enumerate(paper):
        try:
            _part(part)
        except _Off as problem:
            raise DataError(f"the paper of a proof, part {number}: {problem}") from None
    return paper


def _told(found: object) -> str:
    if isinstance(found, str):
        return f"'{shown(found, 60)}'"
    if isinstance(found, bool | float | type(None)) or (isinstance(found, int) and abs(found) < 10**18):
        return str(found)
    size = f" of {len(found)}" if isinstance(found, list | tuple | dict) else ""
    return type(found).__name__ + size


def _need(fine: bool, what: str, found: object) -> None:
    if not fine:
        raise _Off(f"{what} belongs there, found {_told(found)}")


def _entry(part: Mapping[str, Any], key: str) -> Any:
    if key not in part:
        raise _Off(f"'{key}' is missing")
    return part[key]


def _rows(found: object, what: str, most: int = MOST_ROWS, least: int = 0) -> Sequence[Any]:
    fine = isinstance(found, list | tuple) and least <= len(found) <= most
    _need(fine, f"{what}: a list of {least} to {most}", found)
    assert isinstance(found, list | tuple)
    return found


def _whole(found: object, what: str, low: int, high: int) -> int:
    fine = isinstance(found, int) and not isinstance(found, bool) and low <= found <= high
    _need(fine, f"{what}: a whole number of {low} to {high}", found)
    assert isinstance(found, int)
    return found


def _word(found: object, what: str, words: Collection[str]) -> None:
    _need(isinstance(found, str) and found in words, f"{what}: one of {', '.join(words)}", found)


def _text(found: object, what: str) -> None:
    _need(isinstance(found, str) and len(found) <= LONGEST, f"{what}: a short text", found)


def number(found: object, what: str, most: float | None = None, pattern: re.Pattern[str] = _FRACTION) -> Fraction:
    """A number in text: an exact fraction, "-3/8"."""
    fine = isinstance(found, str) and len(found) <= LONGEST and pattern.fullmatch(found)
    _need(bool(fine), f"{what}: a number in text", found)
    assert isinstance(found, str)
    value = Fraction(found)
    _need(most is None or abs(value) <= most, f"{what}: a number within ±{most}", found)
    return value


def _part(part: object) -> None:
    _need(isinstance(part, dict), "an object", part)
    assert isinstance(part, dict)
    if "kind" not in part:
        _boxes(part)
        return
    _word(part["kind"], "kind", KINDS)
    KINDS[part["kind"]](part)


def _reach(part: Mapping[str, Any]) -> None:
    """The domain and the tolerance."""
    low, high = (number(end, "domain", FARTHEST) for end in _rows(_entry(part, "domain"), "domain", 2, 2))
    _need(low <= high, "domain: from low to high", part["domain"])
    _need(number(_entry(part, "tolerance"), "tolerance") > 0, "tolerance: a number above 0", part["tolerance"])


def _boxes(part: Mapping[str, Any]) -> None:
    _text(_entry(part, "target"), "target")
    _reach(part)
    several = nodes(_entry(part, "nodes"), 3)
    for question in _rows(_entry(part, "questions"), "questions", 64):
        _need(isinstance(question, dict), "questions: objects", question)
        _text(_entry(question, "name"), "name")
        for side in ("plus", "minus"):
            _whole(_entry(question, side), side, 0, several - 1)
        _need(isinstance(_entry(question, "slope"), bool), "slope: true or false", question["slope"])
        for box in _rows(_entry(question, "boxes"), "boxes"):
            _box(box, several)


def _box(box: object, several: int) -> None:
    low, high, answer, states = _rows(box, "a box", 4, 4)
    _need(number(low, "a box", FARTHEST) <= number(high, "a box", FARTHEST), "a box: from low to high", box)
    _text(answer, "the answer of a box")
    _states(states, 0, several)


def _states(states: object, least: int, several: int) -> None:
    for one in _rows(states, "states", MOST_NODES):
        place, state = _rows(one, "a state", 2, 2)
        _whole(place, "the node of a state", least, several - 1)
        _whole(state, "a state", -1, 1)


def nodes(found: object, wide: int) -> int:
    """How many nodes there are: each [operation, places of earlier nodes, numbers] and, of `wide` 4, the name of a variable."""
    depths: list[int] = []
    for place, node in enumerate(_rows(found, "nodes", MOST_NODES)):
        op, args, numbers, *name = _rows(node, f"nodes[{place}]", wide, wide)
        _text(op, f"nodes[{place}]: the operation")
        _rows(args, f"nodes[{place}]: arguments", MOST_NODES)
        for one in args:
            _whole(one, f"nodes[{place}]: the place of an earlier node", 0, place - 1)
        _numbers(op, args, numbers, f"nodes[{place}]")
        named = name and name[0] is not None
        _need(not name or bool(named) == (op == "var"), f"nodes[{place}]: a name of a variable alone", node)
        if named:
            fine = isinstance(name[0], str) and bool(_VARIABLE.fullmatch(name[0]))
            _need(fine, f"nodes[{place}]: z0, y0, …", name[0])
        depths.append(1 + max((depths[one] for one in args), default=0))
        _need(depths[-1] <= DEEPEST, f"nodes[{place}]: at most {DEEPEST} nodes within nodes", depths[-1])
    return len(depths)


def _numbers(op: str, args: Sequence[Any], numbers: object, where: str) -> None:
    """Arguments and numbers of the known operations; nothing is asked of others, which are not computed."""
    values = [number(one, f"{where}: {op}") for one in _rows(numbers, f"{where}: numbers", MOST_NODES)]
    if op == "lin":
        _need(len(values) == len(args) + 1, f"{where}: a number, and one for each term,", numbers)
    elif op == "mul":
        _need(len(args) >= 1, f"{where}: factors", args)
    elif op in ARITY:
        _need(len(args) == ARITY[op], f"{where}: {ARITY[op]} arguments of {op}", args)
        _need(len(values) == NUMBERS.get(op, 0), f"{where}: {NUMBERS.get(op, 0)} numbers of {op}", numbers)
    if op == "power":
        _need(abs(values[0]) <= MOST_EXPONENT, f"{where}: an exponent within ±{MOST_EXPONENT}", numbers)
    if op == "polygamma":
        _need(values[0] in range(MOST_ORDER + 1), f"{where}: an order of 0 to {MOST_ORDER}", numbers)
    if op == "hyp0f1":
        _need(0 < values[0] <= MOST_EXPONENT, f"{where}: a number above 0", numbers)


def _own_nodes(part: Mapping[str, Any], *roots: str) -> int:
    several = nodes(_entry(part, "nodes"), 4)
    for root in roots:
        _whole(_entry(part, root), root, 0, several - 1)
    return several


def _identity(part: Mapping[str, Any]) -> None:
    _own_nodes(part, "left", "right")
    _word(_entry(part, "inside"), "inside", INSIDE)


def _places(part: Mapping[str, Any]) -> None:
    several = _own_nodes(part)
    _word(_entry(part, "says"), "says", SAYS)
    for one in _rows(_entry(part, "losses"), "losses", 64, 2):
        _whole(one, "a loss", 0, several - 1)
    for place in _rows(_entry(part, "places"), "places", 64, 2 if part["says"] == "mirrored" else 1):
        for one in _rows(place, "a place", 64, len(part["losses"]) - 1):
            number(one, "a place", FARTHEST)


def _one_way(part: Mapping[str, Any]) -> None:
    _own_nodes(part, "loss")
    number(_entry(part, "place"), "place", FARTHEST)
    _need(_whole(_entry(part, "sign"), "sign", -1, 1) != 0, "sign: −1 or 1", 0)
    _word(_entry(part, "support"), "support", SUPPORTS)


def _side(side: Mapping[str, Any]) -> None:
    _own_nodes(side, "exponent")
    _need(_whole(_entry(side, "sign"), "sign", -1, 1) != 0, "sign: −1 or 1", 0)
    _need(isinstance(_entry(side, "log"), bool), "log: true or false", side["log"])
    number(_entry(side, "start"), "start", 2**64)
    if "kind" in side:  # a part by itself, of an integral that is infinite
        _of(_entry(side, "of"))


def _of(of: object) -> None:
    """What ties exponents to a loss."""
    _need(isinstance(of, dict), "of: an object", of)
    assert isinstance(of, dict)
    _own_nodes(of, "loss", "own")
    _word(_entry(of, "support"), "support", SUPPORTS)
    for key in ("drift", "level"):
        number(_entry(of, key), key)
    _need(number(_entry(of, "scale"), "scale", pattern=_DECIMAL) != 0, "scale: a number other than 0", of["scale"])
    if _entry(of, "width") is not None:
        *places, share = _rows(of["width"], "width", 3, 3)
        for one in places:
            _whole(one, "width", 0, 9999)
        number(share, "width")


def _integral(part: Mapping[str, Any]) -> None:
    _whole(_entry(part, "unit"), "unit", 1, 2**64)
    sides = _rows(_entry(part, "sides"), "sides", 2)
    for side in sides:
        _need(isinstance(side, dict), "sides: objects", side)
        _side(side)
        for key in ("slope", "bound"):
            number(_entry(side, key), key, pattern=_DECIMAL)
    _need([side["sign"] for side in sides] in ([], [-1, 1]), "sides: none, or that below and that above", sides)
    parts = _rows(_entry(part, "parts"), "parts", 3, 1)
    _need(len(parts) == 1 + sum(side["log"] for side in sides), "parts: one, and one for each tail by its log,", parts)
    for one in parts:
        _need(isinstance(one, dict), "parts: objects", one)
        several = _own_nodes(one, "exponent")
        for piece in _rows(_entry(one, "pieces"), "pieces", MOST_ROWS, 1):
            *ends, states = _rows(piece, "a piece", 3, 3)
            low, high = (number(end, "a piece", FARTHEST) for end in ends)
            _need(low < high, "a piece: from low to high", piece)
            _states(states, -1, several)
    for end in _rows(_entry(part, "total"), "total", 2, 2):
        number(end, "total", pattern=_DECIMAL)
    _of(_entry(part, "of"))


def _sides(part: Mapping[str, Any]) -> None:
    several = _own_nodes(part)
    _need(isinstance(_entry(part, "residual"), bool), "residual: true or false", part["residual"])
    _reach(part)
    for one in _rows(part["inner"], "inner", 3, 3) if "inner" in part else ():
        number(one, "inner", FARTHEST)
    for pair in _rows(_entry(part, "pairs"), "pairs", 64):
        target, left, slopes, right, others = _rows(pair, "a pair", 5, 5)
        number(target, "the target of a pair", FARTHEST)
        for one in (left, right, *_rows(slopes, "a gradient", 64, 1), *_rows(others, "a gradient", 64, len(slopes))):
            _whole(one, "a node of a pair", 0, several - 1)
        _need(len(slopes) == len(others), "two gradients of one length", pair)


def _rectangle(part: Mapping[str, Any]) -> None:
    several = _own_nodes(part)
    _reach(part)
    for one in _rows(_entry(part, "asked"), "asked", 4):
        _need(isinstance(one, dict), "asked: objects", one)
        _text(_entry(one, "name"), "name")
        _word(_entry(one, "by"), "by", ("form", "boxes"))
        _whole(_entry(one, "node"), "node", 0, several - 1)
        for box in _rows(_entry(one, "boxes"), "boxes", MOST_ROWS, 1):
            ends = [number(each, "a box", FARTHEST) for each in _rows(box, "a box", 4, 4)]
            _need(ends[0] < ends[1] and 0 <= ends[2] < ends[3] <= 1, "a box: from low to high, labels of 0 to 1", box)


KINDS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "identity": _identity,
    "integral": _integral,
    "endless": _side,
    "places": _places,
    "one way": _one_way,
    "sides": _sides,
    "rectangle": _rectangle,
}
