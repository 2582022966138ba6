"""A stored proof is found true again by code of its own, and one that was changed is not."""

import ast
import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from proof_cases import BERNOULLI
from torch.nn import functional as F

import mlnn.proving.replay as module
from mlnn.likelihoods import bernoulli
from mlnn.likelihoods.huber import HyperbolicSecant
from mlnn.objectives import losses, losses_by_hand
from mlnn.proving import prove
from mlnn.proving.replay import replay

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
        for question in case["questions"]:
            for box in question["boxes"]:
                box[3] = [[looks_at, -state] for looks_at, state in box[3]]
    assert replay(changed).failed


def test_a_tolerance_that_is_changed_is_noticed(paper: Any) -> None:
    changed = copy.deepcopy(paper)
    changed[0]["tolerance"] = "1"
    assert replay(changed).failed  # it differs by less than that


def test_nothing_of_the_prover_is_imported() -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    named = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in named if name and name.startswith("mlnn")]
    assert "flint" in named


def test_the_clip_is_replayed() -> None:
    found = replay(prove(BERNOULLI["log1p"], bernoulli.bernoulli_nll_clipped, domain=(-16.5, -15.5)).paper)
    assert found.holds, found.failed
    assert found.checked > 50


def test_what_has_no_recurrence_here_is_unchecked_and_no_error() -> None:
    def right(z: Any, y: Any) -> Any:
        return BERNOULLI["with_logits"](z, y) + torch.lgamma(1 + torch.exp(z))

    proof = prove(BERNOULLI["with_logits"], right, "binary", domain=(-1, 1))
    again = replay(proof.paper)
    assert (proof.answer, again.failed, again.checked > 0, again.unchecked > 0) == ("differs", (), True, True)
