"""A stored proof from somebody else: whatever it holds, it is refused in a few words or not found true, within its steps."""

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from certified_cases import proof_of
from proof_cases import BERNOULLI

from mlnn.errors import DataError
from mlnn.objectives import losses
from mlnn.proving import prove
from mlnn.proving.replay import Replayed, replay
from mlnn.proving.replay_certificate import replay_certificate

STEPS = 500
Path = tuple[Any, ...]
NAMES = ("pair", "classes", "normal", "student_t", "poisson", "brier", "MSE on counts", "Tukey's biweight")
LONG = "9" * 5000
VALUES: tuple[Any, ...] = (
    None, True,
    -1, 10**30, -(10**30), 7.5, math.nan, math.inf, "", "unheard of", "nan", "inf", "1e999999999", "1/0", LONG, "3/8", "-1",
    "60000", [], {}, [[]], [None] * 3, ["1"], {"kind": "identity"}, [[[[[[]]]]]],
)  # fmt: skip
"""What is put in the place of every field."""


def turned(z: Any, y: Any) -> Any:
    """By an identity that no form knows, so that boxes are looked at."""
    return BERNOULLI["relu"](z, y) + (2 * z).sin() - 2 * z.sin() * z.cos()


@cache
def stored(name: str) -> Any:
    """Real proofs, as JSON holds them."""
    if name == "pair":
        found: Any = prove(BERNOULLI["with_logits"], turned, domain=(-1, 1)).paper
    elif name == "classes":
        found = prove(losses.cross_entropy, losses.nll_loss, "classes(3)").paper
    else:
        found = proof_of(name).paper
    return json.loads(json.dumps(found))


def asked(paper: Any, steps: float = STEPS) -> Replayed | str:
    """The replay of a paper by both doors, or the error in words; any other exception is a failure."""
    try:
        replay(paper, steps)
        return replay_certificate(paper, steps)
    except DataError as problem:
        said = str(problem)
    assert len(said.splitlines()) <= 3
    assert len(said) < 600
    return said


def fields(one: Any, path: Path = ()) -> Iterator[Path]:
    """Every place in a paper, the last of alike ones in a list."""
    yield path
    parts = one.items() if isinstance(one, dict) else list(enumerate(one))[-1:] if isinstance(one, list) else ()
    if isinstance(one, list) and len(one) <= 5:
        parts = enumerate(one)
    for key, part in parts:
        yield from fields(part, (*path, key))


def changed(paper: Any, path: Path, value: Any) -> Any:
    found = copy.deepcopy(paper)
    if not path:
        return value
    at = found
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return found


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", NAMES)
def test_every_field_may_be_anything(name: str) -> None:
    paper, count, refused = stored(name), 0, 0
    assert isinstance(asked(paper, 10**7), Replayed)
    for number, path in enumerate(fields(paper)):
        for value in VALUES[number % 6 :: 6]:  # a sixth of them each, all over the fields
            said = asked(changed(paper, path, value))
            count, refused = count + 1, refused + isinstance(said, str)
    assert count > 40
    assert refused > count / 2


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", NAMES)
def test_every_key_may_be_missing(name: str) -> None:
    paper = stored(name)
    for path in fields(paper):
        if path and isinstance(path[-1], str):
            without = copy.deepcopy(paper)
            at = without
            for key in path[:-1]:
                at = at[key]
            del at[path[-1]]
            said = asked(without)
            if "endless" in str(paper) and path[-1] in ("slope", "bound"):
                continue  # such a side has neither
            assert isinstance(said, str), path
            assert "is missing" in said or path[-1] == "kind", said


def in_a_circle(paper: Any) -> None:
    paper[0]["nodes"][2][1] = [2]


def forwards(paper: Any) -> None:
    paper[0]["nodes"][2][1] = [len(paper[0]["nodes"]) - 1]


def many_boxes(paper: Any) -> None:
    paper[0]["questions"][0]["boxes"] = [["0", "1", "equal", []]] * 1_000_000


def many_nodes(paper: Any) -> None:
    paper[0]["nodes"] += [["lin", [], ["1"]]] * 1_000_000


def deep(paper: Any) -> None:
    nodes = paper[0]["nodes"]
    for _ in range(3000):
        nodes.append(["exp", [len(nodes) - 1], []])


def wide_power(paper: Any) -> None:
    paper[0]["nodes"].append(["power", [0], ["9" * 3000]])


def backwards(paper: Any) -> None:
    paper[0]["domain"].reverse()


def not_all_of_the_domain(paper: Any) -> None:
    paper[0]["domain"] = ["-400", "400"]


def nothing_but_open(paper: Any) -> None:
    for case in paper:
        case.pop("pairs", None)
        for question in case.get("questions", []):
            question["boxes"] = [[*case["domain"], "open", []]]
    del paper[-1]


def unheard_of(paper: Any) -> None:
    for part in paper:
        for node in part["nodes"]:
            node[0] = node[0] if node[0] in ("var", "lin", "switch") else "unheard of"
    del paper[-1]


def no_tolerance(paper: Any) -> None:
    paper[0]["tolerance"] = "0"


def towers(paper: Any) -> None:
    """e to e to e to e to a raw output, in the sides."""
    nodes, pair = paper[-1]["nodes"], paper[-1]["pairs"][0]
    for _ in range(6):
        nodes.append(["exp", [len(nodes) - 1], [], None])
    pair[1] = len(nodes) - 1


def another_side(paper: Any) -> None:
    """A loss that is 1e-9 off, in the sides alone."""
    nodes, pair = paper[-1]["nodes"], paper[-1]["pairs"][0]
    nodes.append(["lin", [pair[1]], ["1/1000000000", "1"], None])
    pair[1] = len(nodes) - 1


def another_gradient(paper: Any) -> None:
    pair = paper[-1]["pairs"][0]
    pair[2] = [pair[1]]


HOSTILE: list[Callable[[Any], None]] = [
    in_a_circle, forwards, many_boxes, many_nodes, deep, wide_power, backwards, not_all_of_the_domain, nothing_but_open, unheard_of,
    no_tolerance, towers, another_side, another_gradient,
]  # fmt: skip


@pytest.mark.sampled(3)
@pytest.mark.parametrize("change", HOSTILE, ids=lambda one: one.__name__)
def test_a_hostile_proof_is_not_found_true(change: Callable[[Any], None]) -> None:
    paper = copy.deepcopy(stored("pair"))
    change(paper)
    begun = time.process_time()
    said = asked(paper, 10**6)
    assert time.process_time() - begun < 20  # of processor time, ten times what the slowest takes
    if change is towers:  # no number, at fewer than half of the places, is nothing that fails
        assert isinstance(said, Replayed)
    else:
        assert isinstance(said, str) or not said.holds, said


def test_the_work_is_bounded() -> None:
    said = replay(stored("pair"), 1000)
    assert any("takes more than 1,000 steps" in one for one in said.failed)
    assert not said.holds
    assert replay(stored("pair")).holds


def test_both_sides_of_a_form_are_asked_again() -> None:
    paper = stored("classes")
    found = replay(paper)
    assert (found.checked, found.failed) == (1, ())
    side = copy.deepcopy(paper)
    pair = side[-1]["pairs"][1]
    pair[3] = pair[4][0]
    assert any("apart at y = 1" in one for one in replay(side).failed)
