"""The stored proof of a certificate is found true again by code of its own, and one that was changed is not."""

import ast
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certified_cases import proof_of

from mlnn.proving import replay_certificate as module
from mlnn.proving import replay_numbers, replay_tails
from mlnn.proving.replay_certificate import replay_certificate

Change = Callable[[Any], None]


def paper_of(name: str) -> Any:
    return json.loads(json.dumps(proof_of(name).paper))


def part(paper: Any, kind: str) -> Any:
    return next(one for one in paper if one.get("kind") == kind)


def shorter(paper: Any) -> None:
    del part(paper, "integral")["parts"][0]["pieces"][3]


def ends_early(paper: Any) -> None:
    del part(paper, "integral")["parts"][0]["pieces"][-1]


def without_a_tail(paper: Any) -> None:
    part(paper, "integral")["sides"][1]["start"] = "2"


def steeper(paper: Any) -> None:
    part(paper, "integral")["sides"][0]["slope"] = "100000"


def smaller(paper: Any) -> None:
    part(paper, "integral")["sides"][0]["bound"] = "1e-3000"


def another_total(paper: Any) -> None:
    part(paper, "integral")["total"] = ["1.001", "1.002"]


def another_unit(paper: Any) -> None:
    part(paper, "integral")["unit"] = 2


def another_function(paper: Any) -> None:
    found = part(paper, "identity")
    found["left"] = found["nodes"][found["left"]][1][0]


def another_loss(paper: Any) -> None:
    found = part(paper, "integral")["of"]
    found["loss"] = found["nodes"][found["loss"]][1][0]


def another_exponent(paper: Any) -> None:
    nodes = part(paper, "integral")["sides"][0]["nodes"]
    nodes[-1] = ["lin", [len(nodes) - 2], ["0", "2"], None]


def another_sign(paper: Any) -> None:
    part(paper, "one way")["sign"] *= -1


def another_place(paper: Any) -> None:
    part(paper, "one way")["place"] = "3"


def one_place(paper: Any) -> None:
    found = part(paper, "places")
    found["places"] = found["places"][:1] * 2


def says_no_probability(paper: Any) -> None:
    part(paper, "places")["says"] = "no probability"


def says_no_temperature(paper: Any) -> None:
    part(paper, "places")["says"] = "no temperature"


def an_inner_place(paper: Any) -> None:
    part(paper, "places")["places"] = [["1/4"]]


def lighter(paper: Any) -> None:
    """A slope of the logarithm that is above 0: the tail has an end."""
    found = part(paper, "endless")
    found["nodes"].append(["lin", [found["exponent"]], ["0", "-1"], None])
    found["exponent"] = len(found["nodes"]) - 1


CHANGES: list[tuple[str, Change]] = [
    ("normal", shorter), ("normal", ends_early), ("normal", without_a_tail), ("normal", steeper), ("normal", smaller),
    ("normal", another_total), ("normal", another_unit),
    ("normal", another_loss), ("normal", another_exponent), ("student_t", another_exponent), ("cross_entropy", another_function),
    ("poisson", another_function), ("student_t", ends_early), ("student_t", smaller), ("student_t", steeper),
    ("MSE on counts", another_sign), ("MSE on counts", another_place), ("brier", one_place), ("brier", says_no_probability),
    ("brier", says_no_temperature), ("hinge", an_inner_place), ("mae_on_sigmoid", one_place),
    ("Tukey's biweight", lighter),
]  # fmt: skip


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("name", "change"), CHANGES, ids=lambda one: one if isinstance(one, str) else one.__name__)
def test_a_change_is_noticed(name: str, change: Change) -> None:
    paper = paper_of(name)
    assert replay_certificate(paper).holds
    changed = copy.deepcopy(paper)
    change(changed)
    assert replay_certificate(changed).failed


def test_nothing_of_the_prover_is_imported() -> None:
    own = {
        "mlnn.proving.recurrences",
        "mlnn.proving.replay",
        "mlnn.proving.replay_door",
        "mlnn.proving.replay_sides",
        "mlnn.proving.replay_work",
        "mlnn.proving.replay_numbers",
        "mlnn.proving.replay_tails",
    }
    for one in (module, replay_numbers, replay_tails):
        tree = ast.parse(Path(str(one.__file__)).read_text(encoding="utf-8"))
        named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {name for name in named if name and name.startswith("mlnn")} <= own
