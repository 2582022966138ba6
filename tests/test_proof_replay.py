"""A stored proof is found true again by code of its own, and one that was changed is not."""

import ast
import copy
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from flint import arb, arb_series
from proof_cases import BERNOULLI
from torch.nn import functional as F

import mlnn.proving.replay as module
from mlnn.likelihoods import bernoulli
from mlnn.likelihoods.huber import HyperbolicSecant
from mlnn.objectives import losses, losses_by_hand
from mlnn.proving import (
    prove,
    recurrences,
    replay_boxes,
    replay_claim,
    replay_door,
    replay_inner,
    replay_numbers,
    replay_plane,
    replay_sides,
    replay_ties,
    replay_work,
)
from mlnn.proving.balls import digits
from mlnn.proving.graph import Node
from mlnn.proving.replay import replay
from mlnn.proving.rules import RULES

PAIRS: list[tuple[Any, Any, str]] = [
    (BERNOULLI["with_logits"], BERNOULLI["relu"], "binary"),
    (BERNOULLI["with_logits"], lambda z, y: F.softplus(z) - y * z, "binary"),
    (losses.l1, losses.huber, "real"),
    (losses_by_hand.cosine, lambda z, y: 1 - (y - z).cos(), "real"),
    (losses_by_hand.log_cosh, HyperbolicSecant(), "real"),
]


def paper_of(left: Any, right: Any, targets: str) -> Any:
    """A proof's paper, written and read."""
    return json.loads(json.dumps(prove(left, right, targets, domain=(-40, 40)).paper))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_a_proof_is_found_true_again(number: int) -> None:
    found = replay(paper_of(*PAIRS[number]))
    assert found.holds, found.failed
    assert found.checked >= 1
    assert found.checked > found.unchecked


@pytest.fixture(scope="module")
def paper() -> Any:
    return paper_of(BERNOULLI["with_logits"], lambda z, y: F.softplus(z) - y * z, "binary")


def boxes_of(paper: Any) -> list[Any]:
    return list(paper[0]["questions"][0]["boxes"])


def test_a_box_that_is_missing_is_noticed(paper: Any) -> None:
    changed = copy.deepcopy(paper)
    del changed[0]["questions"][0]["boxes"][3]
    assert any("nothing is said of" in one for one in replay(changed).failed)
    changed = copy.deepcopy(paper)
    del changed[0]["questions"][0]["boxes"][-1]
    assert not replay(changed).holds


def test_an_answer_that_is_changed_is_noticed(paper: Any) -> None:
    for answer, other in (("equal", "differs"), ("differs", "equal")):
        changed = copy.deepcopy(paper)
        box = next(one for one in changed[0]["questions"][0]["boxes"] if one[2] == answer and one[0] != one[1])
        box[2] = other
        assert replay(changed).failed


def test_a_function_that_is_changed_is_noticed(paper: Any) -> None:
    changed = copy.deepcopy(paper)
    node = next(one for one in reversed(changed[0]["nodes"]) if one[0] == "lin" and len(one[2]) > 1)
    node[2][0] = "1/1000000"
    assert replay(changed).failed


def test_a_state_that_is_changed_is_noticed(paper: Any) -> None:
    changed = copy.deepcopy(paper)
    for case in changed:
        for question in case.get("questions", []):
            for box in question["boxes"]:
                box[3] = [[looks_at, -state] for looks_at, state in box[3]]
    assert replay(changed).failed


def test_a_tolerance_that_is_changed_is_noticed(paper: Any) -> None:
    changed = copy.deepcopy(paper)
    changed[0]["tolerance"] = "1"
    assert replay(changed).failed  # it differs by less than that


def test_nothing_of_the_prover_is_imported() -> None:
    own_code = (
        replay_boxes,
        replay_claim,
        replay_door,
        replay_inner,
        replay_numbers,
        replay_plane,
        replay_sides,
        replay_ties,
        replay_work,
    )
    own = {"mlnn.errors", "mlnn.visible", *(one.__name__ for one in (recurrences, *own_code))}
    for one in (module, recurrences, *own_code):
        tree = ast.parse(Path(str(one.__file__)).read_text(encoding="utf-8"))
        named = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert {name for name in named if name and name.startswith("mlnn")} <= own


def test_the_clip_is_replayed() -> None:
    found = replay(prove(BERNOULLI["log1p"], bernoulli.bernoulli_nll_clipped, domain=(-16.5, -15.5)).paper)
    assert found.holds, found.failed
    assert found.checked > 50


def with_gamma(z: Any, y: Any) -> Any:
    return (
        BERNOULLI["with_logits"](z, y)
        + torch.lgamma(1 + torch.exp(z))
        + torch.special.i0(z)
        + torch.digamma(torch.exp(z))
    )


def test_functions_without_a_short_recurrence_are_replayed_too() -> None:
    proof = prove(BERNOULLI["with_logits"], with_gamma, "binary", domain=(-0.0625, 0.0625))
    again = replay(proof.paper)
    assert (proof.answer, again.failed, again.unchecked) == ("differs", (), 0)
    changed = copy.deepcopy(json.loads(json.dumps(proof.paper)))
    for node in changed[0]["nodes"]:
        node[0] = "unheard of" if node[0] == "lgamma" else node[0]
    again = replay(changed)
    assert again.unchecked > 0  # what has no recurrence is no error


@pytest.mark.parametrize(
    ("op", "numbers", "place"),
    [
        ("log_erfc", [], 1.7),
        ("log_erfcx", [], 30.0),
        ("log_erfcx", [], -1.7),
        ("lgamma", [], 1.7),
        ("polygamma", ["1"], 2.3),
        ("hyp0f1", ["3/2"], -7.5),
        ("hyp0f1", ["1"], 5.25),
        ("gammaincc", [], 1.2),
    ],
)
def test_a_recurrence_of_its_own_agrees_with_the_provers_rule(op: str, numbers: list[str], place: float) -> None:
    jet = [arb(place), arb(1), arb(0.25), *[arb(0)] * 5]
    shape = [[arb(2.5), *[arb(0)] * 7]] if op == "gammaincc" else []
    with digits(160, 8):
        own = recurrences.OPERATIONS[op]([*shape, jet], numbers)
        args = [arb_series(one, 8) for one in (*shape, jet)]
        rule = RULES[op](Node(op, (0,), tuple(map(Fraction, numbers))), args, 8)
        assert all(one.overlaps(rule[at]) and one.rad() < 1e-30 for at, one in enumerate(own))
