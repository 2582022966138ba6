"""Two losses on paper: proved equal, refuted with the place, or undecided for a reason that is named."""

import math
import random
from typing import Any

import pytest
import torch
from app_cases import ROOT
from docs_cases import runnable
from proof_cases import BERNOULLI, Loss, OwnBackward, bumped
from torch import Tensor, nn
from torch.nn import functional as F

import mlnn
from mlnn.errors import ConfigError
from mlnn.likelihoods import bernoulli
from mlnn.likelihoods.gamma import Gamma
from mlnn.likelihoods.huber import HuberDensity, HyperbolicSecant
from mlnn.likelihoods.laplace import FlatToppedLaplace, Laplace
from mlnn.likelihoods.negative_binomial import NegativeBinomial
from mlnn.likelihoods.normal import Normal
from mlnn.likelihoods.poisson import Poisson
from mlnn.objectives import losses, losses_by_hand, losses_without_likelihood
from mlnn.proving import Proof, prove
from mlnn.proving.answers import Part

FRAMEWORK = losses.bce_with_logits


def part(proof: Proof, question: str, target: str) -> Part:
    return next(one for one in proof.parts if (one.question, one.target) == (question, target))


@pytest.mark.sampled(6)
@pytest.mark.parametrize("right", BERNOULLI)
@pytest.mark.parametrize("left", ["relu"])
def test_forms_of_the_bernoulli_likelihood_are_proved_equal(left: str, right: str) -> None:
    found = prove(BERNOULLI[left], BERNOULLI[right], domain=(-700, 700))
    assert (found.answer, found.relation) == ("proved", "equal"), found.sentence
    assert found.domain == (-700, 700)
    assert found.boxes < 3000


def test_what_is_proved_says_how_and_of_what() -> None:
    found = mlnn.prove(FRAMEWORK, bernoulli.bernoulli_nll_log1p)
    assert found.sentence.startswith("proved equal on [−88, 88] for both targets, and every soft label between")
    assert "1e-15" in found.sentence
    assert "proof: proved" in repr(found)
    assert "<table>" in found._repr_html_()
    assert found.to_dict()["answer"] == "proved"
    assert found.meets("equal")
    assert not prove(FRAMEWORK, lambda z, y: FRAMEWORK(z, y) + 1).meets("equal")
    with pytest.raises(ConfigError, match="same"):
        found.meets("same")


def test_the_threshold_of_softplus_is_found_where_it_is() -> None:
    found = prove(FRAMEWORK, lambda z, y: F.softplus(z) - y * z)
    assert found.answer == "differs"
    for target in ("y = 0", "y = 1"):
        value = part(found, "value", target)
        ((low, high),) = value.differs
        assert low == 20
        assert high == pytest.approx(34.5387763949107, abs=1e-11)  # log(1e15)
        assert value.size is not None
        assert value.size[0] == pytest.approx(2.0611536203e-9, rel=1e-9)
        assert value.size[1] - value.size[0] < 1e-17
        assert value.place == 20


def test_the_clip_of_probabilities_is_found_to_twelve_digits() -> None:
    found = prove(FRAMEWORK, bernoulli.bernoulli_nll_clipped)
    below, above = part(found, "value", "y = 1").differs
    edge = 16.118095550958316  # log((1 − 1e-7)/1e-7)
    assert below == (-88, pytest.approx(-edge, abs=1e-12))
    assert above[0] == pytest.approx(edge, abs=2e-8)
    size = part(found, "value", "y = 1").size
    assert size is not None
    assert size[0] == pytest.approx(88 - edge, abs=1e-6)
    assert part(found, "right's gradient", "y = 1").answer == "proved"  # 0 beyond the clip, as its slope is


@pytest.mark.rest
def test_the_clamp_of_the_frameworks_loss_is_where_it_was_measured() -> None:
    """FACTS: beyond ±27.63 the gradient of BCELoss is not that of its value, which agrees to the clamp at −100."""
    found = prove(FRAMEWORK, losses.bce, domain=(-150, 150))
    assert part(found, "value", "y = 1").differs == ((-150, pytest.approx(-100, abs=1e-11)),)
    gradient = part(found, "gradient", "y = 1")
    assert gradient.differs[0] == (-150, pytest.approx(-27.6310211159, abs=1e-9))
    assert any("right's gradient is not the slope of its value" in finding for finding in found.findings)
    assert prove(FRAMEWORK, losses.bce, domain=(-27, 27)).answer == "proved"


@pytest.mark.rest
def test_a_log_with_an_epsilon_differs_everywhere() -> None:
    def fault(z: Tensor, y: Tensor) -> Tensor:
        p = torch.sigmoid(z)
        return -(y * torch.log(p + 1e-12) + (1 - y) * torch.log(1 - p + 1e-12))

    found = prove(FRAMEWORK, fault)
    assert found.where == ((-88, 88),)
    assert found.size is not None
    assert found.size[0] == pytest.approx(88 - 27.631021115928547, rel=1e-9)


@pytest.mark.sampled(100)
@pytest.mark.parametrize("number", range(100))
def test_a_bump_that_no_grid_sees_is_found(number: int) -> None:
    draws = random.Random(number)
    centre, width = draws.uniform(-80, 80), 10 ** draws.uniform(-8, -4)
    left, right = draws.sample(sorted(BERNOULLI), 2)
    found = prove(BERNOULLI[left], bumped(BERNOULLI[right], centre, width))
    assert found.answer == "differs"
    for target in ("y = 0", "y = 1"):
        ((low, high),) = part(found, "value", target).differs
        assert low < centre < high
        assert high - low < 10 * width


def test_a_smaller_tolerance_is_kept() -> None:
    tiny = bumped(FRAMEWORK, 3.3, 1.0, 1e-20)
    assert prove(FRAMEWORK, tiny, domain=(2, 5)).answer == "proved"
    assert prove(FRAMEWORK, tiny, domain=(2, 5), tolerance=1e-21).answer == "differs"


def test_a_point_with_a_wrong_gradient_is_a_point() -> None:
    found = prove(FRAMEWORK, BERNOULLI["relu"])
    assert found.answer == "proved"
    assert found.points == ((0.0, 0.5),)
    assert any("right's gradient is wrong at 0 alone, by 0.5" in finding for finding in found.findings)
    assert prove(FRAMEWORK, bernoulli.bernoulli_nll_log1p).points == ()


def test_a_backward_pass_of_its_own_is_judged_by_itself() -> None:
    found = prove(FRAMEWORK, OwnBackward.apply)
    assert found.answer == "differs"
    assert part(found, "value", "y = 1").answer == "proved"
    own = part(found, "right's gradient", "y = 1")
    ((low, high),) = own.differs
    assert (low, high) == (-88, pytest.approx(-6.90675477864855, abs=1e-11))  # σ(z) = 1e-3
    same = prove(OwnBackward.apply, OwnBackward.apply)
    assert same.answer == "proved"
    assert len(same.findings) >= 2


def test_a_detached_part_is_found() -> None:
    found = prove(FRAMEWORK, lambda z, y: FRAMEWORK(z.detach(), y) + 0 * z)
    assert part(found, "value", "y = 0").answer == "proved"
    assert part(found, "gradient", "y = 0").answer == "differs"


def test_kinks_that_two_forms_share_are_no_fault() -> None:
    hinge = losses_without_likelihood.hinge
    assert prove(hinge, hinge).findings == ()
    clamped = prove(hinge, lambda z, y: (1 - (2 * y - 1) * z).clamp(min=0))
    assert clamped.answer == "proved"
    assert clamped.points == ((-1.0, 1.0), (1.0, 1.0))  # relu says 0 there, clamp 1; both are slopes of a side


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("left", "right", "targets", "shift"),
    [
        (losses.l1, Laplace(), "real", "−ln 2"),
        (losses_by_hand.log_cosh, HyperbolicSecant(), "real", "−ln π"),
        (losses.huber, HuberDensity(), "real", "-1.07305859"),
        (losses_by_hand.epsilon_insensitive, FlatToppedLaplace(), "real", "-0.788457360"),
        (losses.poisson_nll, Poisson(), "counts", "−ln 7!"),
    ],
)  # fmt: skip
def test_constants_are_found_and_named(left: Loss, right: Any, targets: str, shift: str) -> None:
    found = prove(left, right, targets)
    assert (found.answer, found.relation) == ("differs", "shifted"), found.sentence
    assert any(shift in value for _, value in found.shift)
    assert found.meets("shifted")
    assert not found.meets("equal")


def test_a_factor_is_found() -> None:
    found = prove(losses.mse, Normal(), "real")
    assert (found.relation, found.scale) == ("scaled", "2")
    assert "−ln 2π" in found.shift[0][1]
    assert found.variable == "raw output − target"
    weighted = prove(FRAMEWORK, lambda z, y: 3 * FRAMEWORK(z, y) + y)
    assert (weighted.relation, weighted.scale) == ("scaled", "1/3")
    assert dict(weighted.shift) == {"y = 0": "0", "y = 1": "-1/3"}
    assert prove(FRAMEWORK, lambda z, y: (1 + y) * FRAMEWORK(z, y)).relation is None


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("left", "right", "targets"),
    [
        (losses.smooth_l1, losses.huber, "real"),
        (losses.mse, lambda z, y: y * y - 2 * z * y + z * z, "real"),
        (losses_by_hand.gamma_loss, Gamma(), "positive"),
        (losses_by_hand.negative_binomial_loss, NegativeBinomial(), "counts"),
        (FRAMEWORK, bernoulli.bernoulli_nll_log1p, "unit"),
    ],
)
def test_all_targets_at_once(left: Loss, right: Any, targets: str) -> None:
    found = prove(left, right, targets)
    assert found.answer == "proved", found.sentence
    assert found.targets.startswith("every target")


@pytest.mark.rest
def test_a_fault_in_one_target_is_found_in_endless_spaces() -> None:
    found = prove(losses.poisson_nll, lambda z, y: torch.exp(z) - y * z + 1e-9 * (y == 7) * z, "counts")
    assert found.answer == "differs"
    assert part(found, "value", "y = 3").answer == "proved"
    assert part(found, "value", "y = 7").answer == "differs"
    same = lambda z, y: torch.exp(z) - y * z + 0 * (y == 7) * z  # noqa: E731
    listed = prove(losses.poisson_nll, same, "counts")
    assert listed.answer in ("proved", "undecided")
    assert "7" in listed.targets or listed.answer == "proved"


@pytest.mark.parametrize(
    ("right", "reason"),
    [
        (lambda z, y: z * float(z[0]) + y, "_local_scalar_dense"),
        (lambda z, y: z if z.sum() > 0 else y - z, "_local_scalar_dense"),
        (lambda z, y: z * torch.special.zeta(2 + y, 1 + z.exp()), "zeta"),
        (lambda z, y: y + torch.from_numpy(z.detach().numpy().copy()), "numpy"),
        (lambda z, y: y * torch.rand_like(z), "random"),
        (lambda z, y: z.round() * y, "round"),
        (lambda z, y: (z * y).int().double(), "whole number"),
        (lambda z, y: 1 / 0 * z * y, "ZeroDivisionError"),
    ],
)
def test_what_is_no_graph_is_undecided_for_a_reason(right: Loss, reason: str) -> None:
    found = prove(FRAMEWORK, right)
    assert found.answer == "undecided"
    assert found.relation is None
    assert found.reason is not None
    assert reason in found.reason
    assert found.reason.startswith("right: ")


def test_a_branch_in_python_on_numbers_that_left_torch_is_never_proved() -> None:
    def hidden(z: Tensor, y: Tensor) -> Tensor:
        far = torch.tensor([float(one) > 5 for one in z.detach().numpy()])
        return FRAMEWORK(z, y) + far.double()

    assert prove(FRAMEWORK, hidden).answer == "undecided"


def test_a_budget_is_kept_and_said() -> None:
    def turned(z: Tensor, y: Tensor) -> Tensor:
        return FRAMEWORK(z, y) + (2 * z).sin() - 2 * z.sin() * z.cos()  # an identity that no form knows

    assert prove(FRAMEWORK, turned).answer == "proved"
    found = prove(FRAMEWORK, turned, boxes=8)
    assert found.answer == "undecided"
    assert found.reason is not None
    assert "after" in found.reason
    assert found.boxes <= 20


def test_a_side_without_a_value_differs() -> None:
    found = prove(FRAMEWORK, lambda z, y: FRAMEWORK(z, y) + 0 * torch.log(z + 3))
    assert found.answer == "differs"
    assert part(found, "value", "y = 0").differs[0] == (-88, pytest.approx(-3, abs=1e-11))
    both = prove(lambda z, y: torch.log(z) + y, lambda z, y: torch.log(2 * z) - math.log(2) + y)
    assert both.answer == "proved"
    assert "neither side has a value on [−88, " in both.sentence


def test_a_single_place_decides_of_values() -> None:
    found = prove(FRAMEWORK, lambda z, y: FRAMEWORK(z, y) + 1.0 * (z == 7))
    assert found.answer == "differs"
    assert found.where == ((7, 7),)
    assert found.size == pytest.approx((1, 1))
    assert found.relation is None


def test_a_jump_in_both_at_the_same_place_is_no_difference() -> None:
    def jump(z: Tensor, y: Tensor) -> Tensor:
        return torch.where(z > 3, z, -z) + y

    assert prove(jump, lambda z, y: y - torch.where(z > 3, -z, z)).answer == "proved"
    at = prove(jump, lambda z, y: torch.where(z >= 3, z, -z) + y)
    assert (at.answer, at.where) == ("differs", ((3, 3),))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"domain": (5, -5)}, "domain"), ({"domain": (-float("inf"), 5)}, "domain"), ({"domain": (0, 1e9)}, "domain"),
        ({"tolerance": 0}, "tolerance"), ({"tolerance": -1}, "tolerance"), ({"boxes": 0}, "boxes"), ({"targets": "bin"}, "targets"),
        ({"outputs": "logits"}, "outputs"),
    ],
)  # fmt: skip
def test_bad_arguments_are_met_at_the_door(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        prove(FRAMEWORK, FRAMEWORK, **given)


@pytest.mark.rest
def test_modules_and_probabilities_are_taken() -> None:
    assert prove(nn.BCEWithLogitsLoss(), FRAMEWORK).answer == "proved"
    found = prove(nn.BCELoss(), FRAMEWORK, outputs=("probabilities", "raw"), domain=(-20, 20))
    assert found.answer == "proved"


def test_without_ball_arithmetic_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import mlnn.proving

    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(ConfigError, match=r"pip install 'mlnn\[proof\]'"):
        mlnn.proving.__getattr__("prove")


def test_the_librarys_settings_are_as_before() -> None:
    from flint import ctx

    before = ctx.prec, ctx.cap
    prove(FRAMEWORK, BERNOULLI["relu"])
    assert (ctx.prec, ctx.cap) == before


@pytest.mark.rest
def test_the_page_on_proofs_is_true() -> None:
    blocks, names = runnable((ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")), dict[str, Any]()
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "proofs.md", "exec"), names)


@pytest.mark.rest
def test_several_raw_outputs_are_proved_by_their_form() -> None:
    def stable(z: Tensor, y: Tensor) -> Tensor:
        return torch.logsumexp(z, 1) - z.gather(1, y[:, None])[:, 0]

    for form in (stable, losses.nll_loss, losses.kl_divergence):
        found = prove(losses.cross_entropy, form, "classes(4)")
        assert found.answer == "proved", found.sentence
    shifted = prove(losses.cross_entropy, lambda z, y: stable(z, y) + 0.5, "classes(3)")
    assert (shifted.relation, shifted.shift[0][1]) == ("shifted", "-1/2")


def test_several_raw_outputs_are_refuted_on_lines() -> None:
    found = prove(losses.cross_entropy, lambda z, y: losses.cross_entropy(1.0001 * z, y), "classes(3)", domain=(-9, 9))
    assert found.answer == "differs"
    other = prove(losses.cross_entropy, lambda z, y: losses.cross_entropy(z + 0 * z[:, :1].sin(), y), "classes(3)")
    assert other.answer in ("proved", "undecided")


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "hidden",
    [
        lambda z, y: torch.exp(z) - y * z + (float(y[0]) > 500),
        lambda z, y: torch.exp(z) - y * z + (y > 500).int(),
        lambda z, y: torch.exp(z) - y * z + 1e-9 * (y - 500).relu() * z,
        lambda z, y: torch.exp(z) - y * z + torch.from_numpy(y.numpy() > 500),
        lambda z, y: torch.exp(z) - y * z + torch.zeros(501)[y.clamp(max=500).long()],
    ],
)
def test_nothing_is_said_of_targets_that_a_loss_may_treat_otherwise(hidden: Loss) -> None:
    found = prove(losses.poisson_nll, hidden, "counts")
    assert found.answer == "undecided", found.sentence
    assert found.reason is not None
    assert "0, 1, 2, 3, 7, 20" in found.reason


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "right",
    [
        lambda z, y: FRAMEWORK(z, y) / len(z),
        lambda z, y: FRAMEWORK(z, y) * torch.softmax(z, 0),
        lambda z, y: FRAMEWORK(z - z.mean(), y),
        lambda z, y: FRAMEWORK(z, y) * (1 + (y.mean().item() - y).abs()),
    ],
)
def test_rows_that_are_coupled_are_refuted_by_a_batch(right: Loss) -> None:
    found = prove(FRAMEWORK, right)
    assert (found.answer, found.relation) == ("differs", None)
    assert any("rows of a batch are coupled" in one for one in found.findings)
    assert "a batch of 2 rows" in found.sentence
