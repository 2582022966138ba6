"""What is proved on paper beside a verdict: one line, the rows that stood where it is about, and no word against the verdict."""

import dataclasses
import io
import json
import sys

import pytest
import torch
from faults import PAIRS
from faults.pair import Pair
from proof_cases import BERNOULLI, bumped
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F
from training_cases import compare

from mlnn.comparing import proved
from mlnn.comparing.console import verdict_panel
from mlnn.comparing.on_paper import RAW, RESIDUAL, Alone, OnPaper, beside
from mlnn.comparing.probe import probe
from mlnn.comparing.proved import BOXES
from mlnn.comparing.relations import ORDER, weakest
from mlnn.comparing.standing import Standing
from mlnn.comparing.verdict import Verdict
from mlnn.errors import ConfigError
from mlnn.likelihoods.bernoulli import bernoulli_nll_clipped
from mlnn.likelihoods.normal import Normal
from mlnn.likelihoods.poisson import Poisson
from mlnn.objectives import Objective, losses
from mlnn.objectives.grid import Grid
from mlnn.objectives.losses_without_likelihood import hinge
from mlnn.proving import prove
from mlnn.targets import TargetSpace
from mlnn.testing import assert_same_objective

pytestmark = pytest.mark.proves

BCE = nn.BCEWithLogitsLoss()
KINK = 7.25


def kinked(z: Tensor, y: Tensor) -> Tensor:
    """A form whose gradient is off by 1 at KINK alone, which no probe looks for."""
    return losses.bce_with_logits(z, y) + F.relu(z - KINK) - F.relu(KINK - z) - (z - KINK)


def branching(z: Tensor, y: Tensor) -> Tensor:
    return losses.bce_with_logits(z, y) * (1 + 0 * z.detach().sum().item())


def flat(at: float) -> nn.Module:
    """A head whose first raw outputs are all one number."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    nn.init.zeros_(model[2].weight)
    nn.init.constant_(model[2].bias, at)
    return model


def proof_of(verdict: Verdict) -> OnPaper:
    assert verdict.proof is not None
    return verdict.proof


def test_a_comparison_says_what_is_proved_in_one_line_and_keeps_it() -> None:
    found = compare(BCE, bernoulli_nll_clipped, steps=2, proof=BOXES)
    proof = proof_of(found.verdict)
    assert proof.says == "differs beyond [−16.1181, 16.1181], by up to 71.88; the verdict holds inside"
    assert (found.verdict.relation, proof.answer, proof.differing, proof.rows) == ("equal", "differs", "value", 0)
    assert proof.where[0] == (-88, pytest.approx(-16.118095550958316, abs=1e-7))
    assert proof.size == (pytest.approx(88 - 16.118095550958316, abs=1e-6),) * 2
    assert f"<b>On paper</b>: {proof.says}." in found.page()
    assert "on paper" in repr(found)
    told = json.loads(json.dumps(found.verdict.to_dict()))
    assert Verdict.from_dict(told).proof == proof
    with (console := Console(width=200, file=io.StringIO())).capture() as printed:
        console.print(verdict_panel(found.verdict, found.run))
    assert f"on paper                 {proof.says}" in printed.get()


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("left", "right", "targets", "says"),
    [
        (BCE, BERNOULLI["log1p"], "binary", "proved equal on [−88, 88] for both targets, and every soft label between"),
        (BCE, lambda z, y: F.softplus(z) - y * z, "binary", "differs on [20, 34.5388], by up to 2.061e-09"),
        (losses.mse, Normal(), "real", "for every target, by the residual: left is 2 times right plus −ln 2π"),
        (losses.poisson_nll, Poisson(), "counts", "left is right plus −ln 2 at y = 2, −ln 3! at y = 3"),
        (
            losses.cross_entropy,
            losses.nll_loss,
            "classes(4)",
            "proved equal on [−88, 88] for all 4 targets, by the form",
        ),
        (BCE, branching, "binary", "undecided: right: Python reads a number"),
    ],
    ids=["equal", "threshold", "scaled", "shifted", "classes", "branching"],
)
def test_the_gate_has_the_line(left: object, right: object, targets: str, says: str) -> None:
    assert says in proof_of(assert_same_objective(left, right, targets, "scaled")).says


@pytest.mark.parametrize(("right", "told"), [(bernoulli_nll_clipped, True), (hinge, False)])
def test_a_gate_that_fails_says_it_where_there_is_something_to_say(right: object, told: bool) -> None:
    with pytest.raises(AssertionError) as failure:
        assert_same_objective(BCE, right)
    proof = proof_of(failure.value.verdict)  # type: ignore[attr-defined]
    assert proof.answer == ("differs" if told else "not run")
    assert (f"On paper: {proof.says}." in str(failure.value)) == told
    assert told or proof.says.startswith("not run: the probe shows the difference")


def test_a_bump_that_no_grid_sees_is_said_beside_a_verdict_that_holds_where_it_looked() -> None:
    found = assert_same_objective(BCE, bumped(losses.bce_with_logits, 0.7137, 1e-4))
    proof = proof_of(found)
    assert found.relation == "equal"
    assert (proof.answer, proof.probed, proof.rows) == ("differs", False, 0)
    assert "by up to 1e-09" in proof.says
    assert proof.says.endswith("no raw output of the probe or of a training row lies there")


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("right", "at", "size"), [(BERNOULLI["relu"], 0.0, 0.5), (kinked, KINK, 1.0)])
def test_rows_that_stand_on_an_isolated_point_are_counted_with_their_first_step(
    right: object, at: float, size: float
) -> None:
    stood = compare(BCE, right, model=lambda: flat(at), steps=2, proof=BOXES).verdict
    (one,) = proof_of(stood).alone
    assert one == Alone(at, size, 32, 0)
    assert "32 training rows stood there, the first at step 0" in proof_of(stood).says
    assert stood.relation == "different"
    assert "around the two" not in proof_of(stood).says
    apart = compare(BCE, right, steps=2, proof=BOXES).verdict
    assert proof_of(apart).alone == (Alone(at, size, 0, None),)
    assert "no training row stood there" in proof_of(apart).says
    if at == 0:  # the probe looks there too
        assert "32 training rows stood there, the first at step 0" in stood.sentence
        assert [point["step"] for point in stood.points] == [0]


def test_a_row_is_held_to_places_of_residuals_and_of_intervals() -> None:
    z, y = torch.tensor([1.5, 2.0, 9.0]), torch.tensor([0.0, 1.5, 0.0])
    raw = OnPaper("differs", "", where=((8, 10), (1.4, 1.6)), alone=(Alone(2.0, 1.0),))
    assert [mask.tolist() for mask in raw.masks(z, y)] == [[False, True, False], [True, False, True]]
    residual = dataclasses.replace(raw, variable="raw output − target", where=((0, 1),), alone=(Alone(1.5, 1.0),))
    assert [mask.tolist() for mask in residual.masks(z, y)] == [[True, False, False], [False, True, False]]
    sequences = raw.masks(torch.stack([z, z + 6.5], 1), torch.zeros(3, 2))
    assert sequences[1].tolist() == [True, True, True]
    assert raw.masks(torch.zeros(3, 4), torch.zeros(3)) == []
    assert dataclasses.replace(raw, variable="place on a line").masks(z, y) == []


def test_without_ball_arithmetic_the_verdict_is_the_same_and_the_proof_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = assert_same_objective(BCE, BERNOULLI["log1p"])
    monkeypatch.setitem(sys.modules, "flint", None)
    without = assert_same_objective(BCE, BERNOULLI["log1p"])
    assert proof_of(without).says == "not run: python-flint is not installed (pip install 'mlnn[proof]')"
    assert dataclasses.replace(without, proof=None) == dataclasses.replace(with_it, proof=None)


def test_none_is_made_where_none_is_asked_for_or_can_be() -> None:
    assert proof_of(compare(BCE, BERNOULLI["log1p"], steps=1).verdict).says == "not run: proof=0 asks for none"
    with pytest.raises(ConfigError, match="proof"):
        compare(BCE, BERNOULLI["log1p"], steps=1, proof=-1)


@pytest.mark.rest
def test_a_small_budget_tells_the_place_to_fewer_digits() -> None:
    space = TargetSpace("binary")
    left, right = (Objective.of(one, space) for one in (BCE, bernoulli_nll_clipped))
    seen = probe(left, right, space, torch.float32)
    few, many = (proved.proved(left, right, space, seen, boxes) for boxes in (100, 1000))
    assert few.boxes < 250 < many.boxes
    assert "undecided on" in few.says
    assert few.where[0][1] < many.where[0][1] < few.where[0][1] + 1


def test_what_was_stored_before_there_were_proofs_is_read_and_what_is_damaged_is_not() -> None:
    told = Verdict(
        "equal", "equal", "equal", "", proof=OnPaper("proved", "proved", alone=(Alone(0.0, 0.5, 3, 0),))
    ).to_dict()
    assert Verdict.from_dict(told | {"proof": None}).proof is None
    assert Verdict.from_dict({key: value for key, value in told.items() if key != "proof"}).proof is None
    bad = [
        {"where": [[1]]},
        {"where": 3},
        {"size": "x"},
        {"probed": "yes"},
        {"alone": [3]},
        {"alone": 0},
        {"where": ""},
        {"where": False},
        {"alone": [{"rows": "x"}]},
        {"boxes": []},
    ]
    for damage in bad:
        with pytest.raises(ValueError, match="no "):
            Verdict.from_dict(told | {"proof": told["proof"] | damage})  # type: ignore[operator]


@pytest.mark.parametrize(
    ("variable", "where", "looked"),
    [
        (RAW, ((1.9, 2.1),), True), (RAW, ((0.9, 1.1), (1.4, 1.6)), False), (RAW, ((3.4, 3.6), (-2.0, -2.0)), True),
        (RESIDUAL, ((1.4, 1.6),), True), (RESIDUAL, ((3.4, 3.6),), False), (RAW, (), False),
        ("place on a line", ((-9.0, 9.0),), False),
    ],
)  # fmt: skip
def test_a_probe_has_looked_where_one_of_its_points_lies(
    variable: str, where: tuple[tuple[float, float], ...], looked: bool
) -> None:
    output, target = torch.tensor([-2.0, 0.0, 2.0]).double(), torch.tensor([0.0, 0.5])
    points = Grid(output, output, target, torch.zeros(3, dtype=torch.int64))
    found = OnPaper("differs", "", variable=variable, where=where)
    assert proved._probed(found, points).probed is looked
    several = dataclasses.replace(points, output=torch.zeros(3, 2))
    assert not proved._probed(found, several).probed
    assert not proved._probed(found, dataclasses.replace(points, target=torch.zeros(2, 3))).probed


PROVED, APART = OnPaper("proved", "p", "equal"), OnPaper("differs", "d", where=((3, 4), (5, 88)))
AROUND = "row by row: what differs is how rows are joined, floating point, or the training around the two"
UNSEEN = "no raw output of the probe or of a training row lies there"
ROUNDING = "at the raw outputs looked at in floating point it is no more than rounding of the values there"


@pytest.mark.parametrize(
    ("found", "relation", "domain", "rows", "says"),
    [
        (PROVED, "different", "all", 0, AROUND),
        (PROVED, "scaled", "all", 0, AROUND),
        (dataclasses.replace(PROVED, relation="scaled"), "scaled", "all", 0, ""),
        (PROVED, "equal", "all", 0, ""),
        (APART, "equal", (-4, 3), 0, "the verdict holds inside"),
        (APART, "equal", (-4, 4), 0, UNSEEN),
        (dataclasses.replace(APART, probed=True), "equal", (-4, 4), 0, ROUNDING),
        (APART, "bitwise", "all", 0, UNSEEN),
        (APART, "equal", "all", None, "no raw output of the probe lies there"),
        (APART, "equal", "all", 2, ROUNDING),
        (APART, "different", "none", 2, ""),
        (dataclasses.replace(APART, relation="shifted"), "equal", "all", 2, ""),
    ],
)
def test_a_proof_and_a_verdict_that_sound_apart_say_how_both_are_true(
    found: OnPaper, relation: str, domain: str | tuple[float, float], rows: int | None, says: str
) -> None:
    seen = Standing() if rows is None else Standing({0: rows})
    assert beside(found, relation, domain, seen).says.removeprefix(found.says).removeprefix("; ") == says


ROWWISE = [pair for pair in PAIRS if pair.family == "textbook" and not (pair.step or pair.update or pair.extras)]
HOLDS = {name: ORDER[: ORDER.index(name) + 1] for name in ("equal", "shifted", "scaled")}
NEAR, CLOSE = 15.0, 1e-6
"""Raw outputs at which float64 has at least this of every form."""


def against(left: Objective, right: Objective, targets: TargetSpace) -> str | None:
    """What speaks against a proof in what floating point shows at the probe's raw outputs; None for nothing."""
    try:
        seen = probe(left, right, targets, torch.float64)
    except ConfigError:  # the two cannot be compared at all
        return None
    proof = prove(left, right, targets, boxes=100, slopes=False)
    floating = weakest(seen.value.relation, seen.gradient.relation)
    if proof.relation is not None and floating not in (*HOLDS[proof.relation], "undecided"):
        return f"{proof.relation} on paper, {floating} at the probe's raw outputs"
    output = seen.grid.output
    for part in proof.parts if output.ndim == 1 else ():
        column = [place for place, label in enumerate(seen.grid.labels) if part.target == f"y = {label:g}"]
        if part.question != "value" or not column:
            continue
        apart = (seen.left.value - seen.right.value)[:, column[0]].abs()
        for low, high in part.equal:
            inside = (output >= low) & (output <= high) & (output.abs() <= NEAR)
            if bool((apart[inside] > CLOSE).any()):
                return f"equal on paper on [{low}, {high}] at {part.target}, not so in float64"
    return None


@pytest.mark.sampled(240)
@pytest.mark.parametrize("pair", ROWWISE, ids=lambda pair: pair.name)
def test_no_proof_speaks_against_what_floating_point_shows(pair: Pair) -> None:
    space = TargetSpace.parse(pair.targets)
    left, right = (
        Objective.of(one, space, kind) for one, kind in zip((pair.left, pair.right), pair.outputs, strict=True)
    )
    assert against(left, right, space) is None


@pytest.mark.rest
def test_a_proof_that_spoke_against_it_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    space = TargetSpace("binary")
    left, right = (Objective.of(one, space) for one in (BCE, lambda z, y: losses.bce_with_logits(z, y) + 1e-3 * z * z))
    assert against(left, right, space) is None
    same = prove(left, left, space)
    monkeypatch.setitem(globals(), "prove", lambda *_, **__: same)
    assert against(left, right, space) == "equal on paper, different at the probe's raw outputs"
    wrong = dataclasses.replace(same, relation=None)
    monkeypatch.setitem(globals(), "prove", lambda *_, **__: wrong)
    assert "not so in float64" in str(against(left, right, space))
