"""A stored proof that claims more than its boxes, or other losses than its own, is noticed."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from proof_cases import BERNOULLI
from torch.nn import functional as F

from mlnn.errors import DataError
from mlnn.objectives import losses, losses_by_hand
from mlnn.proving import prove
from mlnn.proving.replay import replay

RIGHT: dict[str, tuple[Any, Any, str]] = {
    "labels": (BERNOULLI["with_logits"], BERNOULLI["relu"], "binary"),
    "a residual": (lambda f, y: (y - f) ** 2, lambda f, y: by_angles(y - f), "real"),
    "powers of the target": (
        lambda f, y: f.exp() - y * f,
        lambda f, y: f.exp() * (1 + y) - y * (f + f.exp()),
        "counts",
    ),
    "a form": (
        torch.nn.CrossEntropyLoss(reduction="none"),
        lambda z, y: z.logsumexp(-1) - z.gather(-1, y[:, None])[:, 0],
        "classes(3)",
    ),
    "log-odds": (lambda z, y: odds(z, y, 0.7), lambda z, y: odds_by_angles(z, y, 0.7), "classes(3)"),
}  # fmt: skip


def by_angles(r: torch.Tensor) -> torch.Tensor:
    """A square by an identity that no form knows, so that boxes are looked at."""
    return r**2 * (2 * torch.cos(r) ** 2 - torch.cos(2 * r))


def odds(z: torch.Tensor, y: torch.Tensor, power: float) -> torch.Tensor:
    own = z.log_softmax(-1).gather(-1, y[:, None])[:, 0]
    return -((1 - own.exp()) ** power) * own


def odds_by_angles(z: torch.Tensor, y: torch.Tensor, power: float) -> torch.Tensor:
    """The same, times 1 by an identity that no form knows."""
    probability = z.softmax(-1).gather(-1, y[:, None])[:, 0]
    return odds(z, y, power) * (2 * torch.cos(probability) ** 2 - torch.cos(2 * probability))


def stored(left: Any, right: Any, targets: str) -> Any:
    """As it is written to proof.json and read."""
    return json.loads(json.dumps(prove(left, right, targets, domain=(-20, 20)).to_dict()))


class Proofs(dict[str, Any]):
    """The proofs of RIGHT, each made when it is first asked for: that in log-odds takes longer than all others."""

    def __missing__(self, name: str) -> Any:
        return self.setdefault(name, stored(*RIGHT[name]))


@pytest.fixture(scope="module")
def proofs() -> Proofs:
    return Proofs()


NAMES = [pytest.param(name, marks=pytest.mark.rest) if name == "log-odds" else name for name in RIGHT]


def boxed(proof: Any) -> Any:
    """The first question about values or gradients that has boxes."""
    asked = (one for part in proof["paper"] if "questions" in part for one in part["questions"])
    return next((one for one in asked if one["name"] in ("value", "gradient") and one["boxes"]), None)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", NAMES)
def test_a_proof_is_found_true_with_all_that_it_claims(proofs: dict[str, Any], name: str) -> None:
    proof = proofs[name]
    assert proof["answer"] == "proved"
    found = replay(proof)
    assert found.holds, found.failed
    assert found.checked > replay(proof["paper"]).checked


def test_a_proof_itself_is_replayed_as_its_record_is() -> None:
    proof = prove(*RIGHT["labels"], domain=(-4, 4))
    assert replay(proof).holds


def _answer(proof: Any) -> None:
    proof["answer"] = "differs"


def _relation(proof: Any) -> None:
    proof["relation"] = "scaled"


def _domain(proof: Any) -> None:
    proof["domain"][1] = 30.0


def _all_domains(proof: Any) -> None:
    proof["domain"][1] = 30.0
    next(part for part in proof["paper"] if part.get("kind") == "sides")["domain"][1] = "30"


def _tolerance(proof: Any) -> None:
    proof["tolerance"] = 1e-30


def _both_tolerances(proof: Any) -> None:
    proof["tolerance"] = 2.0**-80
    next(part for part in proof["paper"] if part.get("kind") == "sides")["tolerance"] = f"1/{2**80}"


def _targets(proof: Any) -> None:
    proof["targets"] = "all 7 targets"


def _all_targets(proof: Any) -> None:
    proof["targets"] = "every target" if proof["targets"].startswith(("all", "both")) else "both targets"


def _variable(proof: Any) -> None:
    proof["variable"] = "raw output − target" if proof["variable"] == "raw output" else "raw output"


def _part(proof: Any) -> None:
    proof["paper"] = [
        part for part in proof["paper"] if part is not next(one for one in proof["paper"] if "questions" in one)
    ]


def _sides(proof: Any) -> None:
    proof["paper"] = [part for part in proof["paper"] if part.get("kind") != "sides"]


def _shift(proof: Any) -> None:
    proof["shift"] = [["y = 1", "1"]]


CHANGES: list[Callable[[Any], None]] = [
    _answer, _relation, _domain, _all_domains, _tolerance, _both_tolerances, _targets, _all_targets, _variable, _part, _sides,
    _shift,
]  # fmt: skip


@pytest.mark.sampled(6)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_claim_that_is_changed_is_noticed(proofs: dict[str, Any], name: str, change: Callable[[Any], None]) -> None:
    proof = copy.deepcopy(proofs[name])
    change(proof)
    assert not replay(proof).holds


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ["labels", "a residual", pytest.param("log-odds", marks=pytest.mark.rest)])
def test_a_box_that_is_removed_shrunk_or_reworded_is_noticed(proofs: dict[str, Any], name: str) -> None:
    wide = max(range(len(boxed(proofs[name])["boxes"])), key=lambda at: _width(boxed(proofs[name])["boxes"][at]))
    for change in (_removed, _shrunk, _void, _point):
        proof = copy.deepcopy(proofs[name])
        change(boxed(proof)["boxes"], wide)
        assert not replay(proof).holds, change.__name__


def _width(box: Any) -> float:
    low, high = (float(_fraction(end)) for end in box[:2])
    return high - low


def _fraction(text: str) -> float:
    over, _, under = text.partition("/")
    return int(over) / int(under or 1)


def _removed(boxes: Any, at: int) -> None:
    del boxes[at]


def _shrunk(boxes: Any, at: int) -> None:
    over, _, under = boxes[at][1].partition("/")
    boxes[at][1] = f"{int(over) * 1024 - 1}/{int(under or 1) * 1024}"


def _void(boxes: Any, at: int) -> None:
    boxes[at][2] = "void"


def _point(boxes: Any, at: int) -> None:
    boxes[at][2] = "point"


OTHERS: dict[str, tuple[Any, Any, str]] = {
    "labels": (
        lambda z, y: 2 * F.softplus(z, threshold=99) - y * z,
        lambda z, y: 2 * torch.logaddexp(z, 0 * z) - y * z,
        "binary",
    ),
    "a residual": (losses_by_hand.log_cosh, lambda f, y: (y - f).cosh().log(), "real"),
    "log-odds": (lambda z, y: odds(z, y, 0.9), lambda z, y: odds_by_angles(z, y, 0.9), "classes(3)"),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", OTHERS)
def test_boxes_of_another_proof_are_noticed(proofs: dict[str, Any], name: str) -> None:
    other = stored(*OTHERS[name])
    assert replay(other).holds
    proof = copy.deepcopy(proofs[name])
    own, others = ([part for part in one["paper"] if "questions" in part] for one in (proof, other))
    sides = [part for part in proof["paper"] if "questions" not in part]
    assert [part["target"] for part in own] == [part["target"] for part in others]
    proof["paper"] = [*others, *sides]
    assert replay(proof["paper"]).holds  # each by itself is right
    found = replay(proof)
    assert any("not of the two sides" in one for one in found.failed)


def test_powers_of_targets_beyond_those_that_they_are_held_for_are_noticed(proofs: dict[str, Any]) -> None:
    proof = copy.deepcopy(proofs["powers of the target"])
    assert proof["targets"] == "every target up to 1000"
    proof["targets"] = "every target"
    assert any("boxes are of other targets" in one for one in replay(proof).failed)


def test_boxes_of_powers_that_do_not_add_up_are_noticed(proofs: dict[str, Any]) -> None:
    proof = copy.deepcopy(proofs["powers of the target"])
    sides = next(part for part in proof["paper"] if part.get("kind") == "sides")
    tilted = len(sides["nodes"])
    places = [next(at for at, node in enumerate(sides["nodes"]) if node[3] == name) for name in ("y0", "z0")]
    sides["nodes"].append(["mul", places, [], None])
    sides["nodes"].append(["lin", [sides["pairs"][0][1], tilted], ["0", "1", "1/10000000000000000"], None])
    for pair in sides["pairs"]:
        pair[1] = tilted + 1  # a tilt of 1e-16 y f, which the boxes know nothing of
    assert any("do not add up" in one for one in replay(proof).failed)


@pytest.mark.parametrize(
    "wrong",
    [
        {"answer": "yes"}, {"domain": [1]}, {"domain": ["a", 2]}, {"tolerance": None}, {"tolerance": float("nan")},
        {"tolerance": 0}, {"targets": 3}, {"points": [[1]]}, {"points": 5}, {"relation": 7}, {"paper": None},
        {"domain": [-1e99, 1]},
    ],
)  # fmt: skip
def test_what_is_no_proof_is_a_data_error(proofs: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        replay(proofs["a form"] | wrong)


def test_a_difference_and_what_is_undecided_are_held_to_their_boxes() -> None:
    differs = stored(losses.l1, losses.huber, "real")
    assert differs["answer"] == "differs"
    assert replay(differs).holds
    assert not replay(differs | {"answer": "proved", "relation": "equal"}).holds
    undecided = json.loads(json.dumps(prove(losses.l1, losses.huber, "real", boxes=1).to_dict()))
    if undecided["answer"] == "undecided":
        assert not replay(undecided | {"answer": "proved", "relation": "equal"}).holds
