"""A certificate is proved on a whole interval of raw outputs, or refuted, and that agrees with what the audit says."""

import json
import math
import sys
from fractions import Fraction
from typing import Any

import mpmath
import pytest
import torch
from audit_cases import CATALOGUE, bce
from certified_cases import EVERY, LIKELY, UNDECIDED, certificate, loss_of, proof_of
from flint import arb
from torch.nn import functional as F

import mlnn
from mlnn.auditing.guarded import target_space
from mlnn.auditing.page import audit_page
from mlnn.objectives import Objective
from mlnn.proving import closed
from mlnn.proving.algebra import log, mul, square
from mlnn.proving.balls import Evaluation, digits
from mlnn.proving.certified import Certified, Claim
from mlnn.proving.certify import certify
from mlnn.proving.closed import FAMILIES, Family
from mlnn.proving.graph import Graph
from mlnn.proving.meant import as_node
from mlnn.proving.replay_certificate import replay_certificate

SMALL = 1e-8
"""What a sum may be off where floats say that it is 1."""


@pytest.mark.sampled(72)
@pytest.mark.parametrize("name", EVERY)
def test_what_is_proved_agrees_with_what_the_audit_says(name: str) -> None:
    found, proof = certificate(name), proof_of(name)
    if found.kind == "batch-coupled":
        assert proof.answer == "not run"
        return
    if proof.answer == "undecided":
        assert proof.reason == UNDECIDED.get(name)
        return
    assert proof.answer == ("proved" if found.kind in LIKELY else "refuted"), proof.sentence
    domain = found.domains.get("float64")
    for low, high in proof.where:  # where floats say that it holds, it is off by less than they tell
        outside = isinstance(domain, tuple) and (high <= domain[0] + SMALL or low >= domain[1] - 1e-3 * abs(domain[1]))
        assert outside or (proof.size is not None and proof.size[1] < SMALL), proof.sentence


@pytest.mark.sampled(60)
@pytest.mark.parametrize("name", EVERY)
def test_a_proof_is_found_true_again(name: str) -> None:
    proof = proof_of(name)
    if proof.answer in ("proved", "refuted"):
        again = replay_certificate(json.loads(json.dumps(proof.paper)))
        assert again.holds, again.failed
        assert again.checked >= 1


@pytest.mark.sampled(150)
@pytest.mark.parametrize("name", [name for name in EVERY if name not in UNDECIDED])
def test_nothing_is_proved_of_the_opposite(name: str) -> None:
    """No likelihood is refuted where it holds everywhere, and of no other loss a sum is proved everywhere, whatever is claimed."""
    found = certificate(name)
    if found.kind == "batch-coupled":
        return  # a row by itself may well be a likelihood
    loss, targets = loss_of(name)
    space = target_space(targets)
    likely = found.kind in LIKELY
    labels = {float(y): 0.0 for y in space.facts.values} if space.facts.values is not None else {}
    for infinite in (False, True) if likely else (False,):
        claim = Claim(not likely, log_base={} if likely else labels, infinite=infinite)
        proof = certify(Objective.of(loss, space, "raw"), claim)
        if proof.answer == "proved" and not likely:
            assert proof.where or not space.finite, proof.sentence  # on a part, and said to fail elsewhere
        elif proof.answer == "refuted":
            assert not likely or (found.proof and found.proof.where), proof.sentence


def test_most_of_what_ships_is_decided() -> None:
    left = [name for name in CATALOGUE if name in UNDECIDED]
    assert len(left) <= 0.2 * len(CATALOGUE)


def asked(loss: Any, targets: str = "binary") -> Certified:
    found = mlnn.audit(loss, targets, prove=True).proof
    assert found is not None
    return found


def test_the_threshold_of_softplus_is_where_a_sum_is_not_one() -> None:
    found = asked(lambda f, y: bce(f - 18, y))
    assert (found.answer, found.domain) == ("proved", (-88, 38))
    assert found.where[0] == pytest.approx((38, 52.5387763949), abs=1e-9)
    assert found.size == pytest.approx((2.06e-9, 2.06e-9), rel=1e-2)
    assert "not on [38, 52.53" in found.sentence


def test_a_penalty_far_out_ends_what_is_proved() -> None:
    found = proof_of("BCE, doubled beyond 5")
    assert (found.answer, found.domain) == ("proved", (-5, 5))


def test_a_bump_that_no_grid_sees_is_seen() -> None:
    def bumped(f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(f, y, reduction="none") + 1e-6 * torch.exp(
            -(((f - 0.7137) * 1e4) ** 2)
        )

    found = mlnn.audit(bumped, "binary", prove=True)
    assert found.kind == "likelihood"  # at the outputs looked at
    assert found.proof is not None
    low, high = found.proof.where[0]
    assert low < 0.7137 < high
    assert high - low < 2e-3
    assert found.proof.size == pytest.approx((1e-6, 1e-6), rel=1e-2)


@pytest.mark.rest
def test_what_is_small_is_proved_to_what_it_is() -> None:
    found = asked(lambda f, y: F.binary_cross_entropy_with_logits(f, y, reduction="none") + 1e-12 * torch.cos(f))
    assert (found.answer, found.tolerance, found.domain) == ("proved", 1e-9, (-88, 88))
    assert "within 1e-09" in found.sentence


def test_what_is_not_asked_for_is_not_there() -> None:
    found = mlnn.audit(F.binary_cross_entropy_with_logits, "binary")
    assert found.proof is None
    assert found.to_dict()["proof"] is None


def test_without_ball_arithmetic_the_certificate_is_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = torch.nn.BCEWithLogitsLoss()
    plain = mlnn.audit(loss, "binary", prove=True)
    monkeypatch.setitem(sys.modules, "flint", None)
    monkeypatch.delitem(sys.modules, "mlnn.proving.certify", raising=False)
    found = mlnn.audit(loss, "binary", prove=True)
    assert found.proof is not None
    assert found.proof.sentence.startswith("proof: not run (python-flint is not installed")
    first, second = plain.to_dict(), found.to_dict()
    assert first.pop("proof") != second.pop("proof")
    assert first == second


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", ["normal", "brier", "BCE, doubled beyond 5", "ordinal"])
def test_a_proof_is_stored_and_read(name: str) -> None:
    stored = json.loads(json.dumps(certificate(name).to_dict(), allow_nan=False))
    read = Certified.read(stored["proof"])
    assert json.loads(json.dumps(read.to_dict())) == json.loads(json.dumps(proof_of(name).to_dict()))
    assert read.domain == proof_of(name).domain


def test_the_page_and_the_brief_say_what_is_proved() -> None:
    found = certificate("normal")
    assert "Proved at every raw output: exp(−loss/τ)·h(y) adds up to 1" in audit_page(found)
    assert "proved" in repr(found)


def test_the_same_boxes_whatever_the_machine() -> None:
    loss, targets = loss_of("negative_binomial")
    objective = Objective.of(loss, target_space(targets), "raw")
    few = certify(objective, Claim(True, log_base={1.0: 0.0}), budget=10)
    assert (few.answer, few.boxes) == ("undecided", 0)  # not reached within the budget, and no family is told


@pytest.mark.sampled(2)
@pytest.mark.parametrize("h", [1e-3, -1e-3])
def test_a_base_measure_that_is_off_is_not_proved(h: float) -> None:
    for name, base in (("normal", {0.3: h}), ("poisson", {2.0: h}), ("bce_with_logits", {0.0: h, 1.0: 0.0})):
        loss, targets = loss_of(name)
        found = certify(Objective.of(loss, target_space(targets), "raw"), Claim(True, log_base=base))
        assert found.answer == "undecided", found.sentence


def sums_to(family: Family, theta: float, shape: float) -> Any:
    """Σ or ∫ g(y) e^(θy), by mpmath."""

    def term(y: Any) -> Any:
        with digits(200, 1):
            log_base = family.log_base(arb(mpmath.nstr(mpmath.mpf(y), 40)), arb(shape))
        return mpmath.exp(mpmath.mpf(log_base.str(40, radius=False)) + theta * y)

    if family.support == "{0, 1}":
        return mpmath.fsum(term(y) for y in range(int(shape) + 1))
    if family.support == closed.COUNTS:
        return mpmath.fsum(term(y) for y in range(160))
    ends = [-mpmath.inf, 0, mpmath.inf] if family.support == closed.LINE else [mpmath.mpf(10) ** -4, 1, 5, 30, 200]
    return mpmath.quad(term, ends)


def misses(family: Family) -> bool:
    """Whether a family's sum is not e^(c K), at any of a few places."""
    for theta, shape in ((-0.7, 2.0), (-1.3, 3.0)):
        graph = Graph()
        with digits(160, 1):
            node = graph.scale(Fraction(shape), family.cumulant(graph, graph.const(theta)))
            wanted = Evaluation(graph, arb(0), {}, 1)[node][0].exp()
        if abs(float(wanted.mid()) / float(sums_to(family, theta, shape)) - 1) > 1e-5:
            return True
    return False


@pytest.mark.rest
@pytest.mark.sampled(3)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: one.name)
def test_a_closed_sum_is_what_mpmath_adds_up(family: Family) -> None:
    assert not misses(family)
    shifted = Family(family.name, family.support, family.cumulant, lambda y, c: family.log_base(y, c) + arb("0.001"))
    other = Family(
        family.name, family.support, lambda g, t: g.add(family.cumulant(g, t), g.const(0.001)), family.log_base
    )
    assert misses(shifted)
    assert misses(other)


def test_numbers_with_names_are_read_as_such() -> None:
    graph = Graph()
    assert as_node(graph, 3.7) == graph.const(3.7)
    assert as_node(graph, -math.log(2)) == graph.neg(log(graph, graph.const(2)))
    assert as_node(graph, 0.123456789) == graph.const(0.123456789)
    assert as_node(graph, 0.5) == mul(graph, graph.const(0.5), square(graph, graph.one))
