"""A loss that computes in a lower float: is it found, named, promoted, and never taken for another objective?"""

from functools import partial
from pathlib import Path

import pytest
import torch
from promotion_cases import (
    HAS_GCC,
    LOWERED,
    WEIGHT,
    WORKSPACE,
    Loss,
    by_custom_op,
    by_numpy,
    ce,
    in_c,
    into_a_workspace,
    kernel,
    under_autocast,
)  # fmt: skip
from torch import Tensor, nn
from torch.nn import functional as F
from training_cases import SGD

import mlnn
from mlnn.comparing.evidence import Judged
from mlnn.comparing.verdict import Verdict
from mlnn.objectives import Objective
from mlnn.objectives.precision import looked_into
from mlnn.objectives.promotion import Inside, promoted
from mlnn.objectives.reduction import drawn_batch, reduction
from mlnn.targets import TargetSpace
from mlnn.testing import assert_same_objective
from mlnn.training import LaneRecipe
from mlnn.training.twins import casts, promoted_sides

f32, f64, bf16 = torch.float32, torch.float64, torch.bfloat16
THREE = TargetSpace.parse("classes(3)")
CE = nn.CrossEntropyLoss()
EPS = float(torch.finfo(f32).eps)
needs_gcc = pytest.mark.skipif(not HAS_GCC, reason="no C compiler here")


def objective(loss: Loss) -> Objective:
    return Objective.of(loss, THREE)


def asked(loss: Loss, promote: bool) -> tuple[Tensor, Tensor]:
    """Mean value and gradient in float64."""
    output, target = drawn_batch(THREE, 37)
    output.requires_grad_()
    with promoted() if promote else torch.enable_grad():
        value = loss(output, target)
        value = value.mean() if value.ndim else value
        (gradient,) = torch.autograd.grad(value, output)
        return value.detach().clone(), gradient


@pytest.mark.parametrize("name", LOWERED)
def test_a_cast_is_promoted_wherever_it_hides(name: str) -> None:
    loss, _ = LOWERED[name]
    weight = WEIGHT.double() if name in ("a buffer", "class weights that torch refuses") else None
    reduction = "sum" if name == "sum(dtype=)" else "mean"
    truth = asked(lambda z, y: F.cross_entropy(z, y, weight, reduction=reduction), promote=False)
    found = asked(loss, promote=True)
    for one, other in zip(found, truth, strict=True):
        assert one.dtype == f64
        torch.testing.assert_close(one, other, rtol=1e-15, atol=1e-15)
    if name != "class weights that torch refuses":
        plain = asked(loss, promote=False)
        assert max(float((a - b).abs().max()) for a, b in zip(plain, truth, strict=True)) > 1e-9


@pytest.mark.parametrize("name", LOWERED)
def test_what_a_loss_computes_in_is_found(name: str) -> None:
    loss, dtype = LOWERED[name]
    inside = looked_into(objective(loss)).inside
    assert inside is not None
    assert (inside.name, inside.promotes, inside.sealed) == (dtype, True, None)


@pytest.mark.parametrize(
    "loss",
    [
        ce,
        lambda z, y: ce(z, y) * (y >= 0).float(),
        lambda z, y: ce(z + (z.round() - z).detach(), y),
        lambda z, y: F.multi_margin_loss(z, y),
        lambda z, y: ce(z + torch.rand_like(z), y),
        lambda z, y: ce(z, y) * torch.ones(len(z)),
        lambda z, y: (z - z.logsumexp(1, keepdim=True))[:, 0] * (y == 0).half().sum() / 64,
    ],
    ids=["plain", "a mask", "rounds", "a margin", "random", "ones", "a count"],
)
def test_a_cast_that_changes_nothing_is_no_finding(loss: Loss) -> None:
    assert looked_into(objective(loss)).inside == Inside()


def test_what_a_loss_does_to_the_run_is_undone() -> None:
    before = torch.get_default_dtype()
    with promoted():
        assert torch.zeros(2).dtype == f64
    with pytest.raises(RuntimeError), promoted():
        torch.zeros(2) @ torch.zeros(3)
    assert torch.get_default_dtype() == before
    assert torch.zeros(2, dtype=f32).dtype == f32


def test_what_is_written_into_a_tensor_from_outside_is_there_afterwards() -> None:
    WORKSPACE.zero_()
    output, target = drawn_batch(THREE, 8)
    with promoted():
        into_a_workspace(output, target)
        assert torch.equal(WORKSPACE[:8] + 0.0, output)  # while it is promoted, to the last bit
    assert torch.equal(WORKSPACE[:8], output.float())
    assert not WORKSPACE[8:].any()


def test_random_draws_stay_those_of_the_run() -> None:
    for draw in (lambda: torch.rand(5), lambda: torch.randn(5, dtype=f32)):
        torch.manual_seed(3)
        plain = draw()
        torch.manual_seed(3)
        with promoted():
            raised = draw()
        assert raised.dtype == f64
        assert torch.equal(raised, plain.double())


def test_a_compiled_loss_is_promoted_too() -> None:
    compiled = torch.compile(lambda z, y: F.cross_entropy(z.float(), y), backend="eager")
    truth = asked(CE, promote=False)
    assert float((asked(compiled, promote=False)[1] - truth[1]).abs().max()) > 1e-9
    assert torch.equal(asked(compiled, promote=True)[1], truth[1])


@pytest.mark.parametrize("loss", [by_numpy, by_custom_op, lambda z, y: by_numpy(z, y).mean()])
def test_a_kernel_that_no_dispatch_sees_is_told_by_its_answers(loss: Loss) -> None:
    inside = looked_into(objective(loss)).inside
    assert inside is not None
    assert (inside.name, inside.promotes) == ("float32", False)
    assert inside.sealed is not None
    assert "no dispatch" in inside.sealed


def only_in_bfloat16(z: Tensor, y: Tensor) -> Tensor:
    low = z.to(bf16)
    if low.dtype != bf16:
        raise TypeError("this kernel reads bfloat16")
    return ce(low.float(), y).to(z.dtype)


def nan_in_double(z: Tensor, y: Tensor) -> Tensor:
    low = z.to(bf16)
    return ce(low.float(), y).to(z.dtype) * (1.0 if low.dtype == bf16 else float("nan"))


@pytest.mark.parametrize("loss", [only_in_bfloat16, nan_in_double])
def test_a_loss_that_cannot_be_promoted_is_sealed_in_what_it_computes_in(loss: Loss) -> None:
    inside = looked_into(objective(loss)).inside
    assert inside == Inside(bf16, False, "with its casts promoted to float64 it gives no finite answer")


def test_a_loss_that_gives_no_answer_at_all_is_left_as_it_is() -> None:
    def refusing(z: Tensor, y: Tensor) -> Tensor:
        raise ValueError(f"not today: {len(z)} and {len(y)} rows")

    for loss in (refusing, lambda z, y: ce(z, y) * float("nan")):
        assert looked_into(objective(loss)).inside == Inside()


def test_a_loss_that_refuses_float64_and_casts_to_it_is_promoted() -> None:
    def in_float32_alone(z: Tensor, y: Tensor) -> Tensor:
        if z.dtype == f64 and torch.zeros(1).float().dtype == f32:
            raise TypeError("float32 is needed")
        return ce(z.float(), y)

    inside = looked_into(objective(in_float32_alone)).inside
    assert inside is not None
    assert inside.promotes
    assert inside.sealed is None


def test_a_loss_that_answers_only_where_it_is_promoted_is_promoted() -> None:
    inside = looked_into(objective(lambda z, y: ce((z.half() * 1e5 / 1e5).to(z.dtype), y))).inside
    assert inside == Inside(torch.float16, True, None)


@needs_gcc
def test_a_kernel_behind_a_pointer_is_not_promoted(tmp_path_factory: pytest.TempPathFactory) -> None:
    inside = looked_into(objective(in_c(folder(tmp_path_factory)))).inside
    assert inside is not None
    assert inside.name == "float32"
    assert not inside.promotes
    assert str(inside.sealed).endswith(("reads something else", "no finite answer")), (
        "half of its answer is never written"
    )


def folder(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp() / "kernel"
    base.mkdir(exist_ok=True)
    return base


@pytest.mark.parametrize("loss", [lambda z, y: ce(z.float(), y), by_custom_op])
@pytest.mark.parametrize("kind", ["per row", "mean", "sum"])
def test_rounding_never_couples_rows(loss: Loss, kind: str) -> None:
    reduced = {"per row": loss, "mean": lambda z, y: loss(z, y).mean(), "sum": lambda z, y: loss(z, y).sum()}[kind]
    found = reduction(looked_into(objective(reduced)))
    assert found is not None
    assert found.kind == kind


def test_rows_that_are_coupled_are_still_found() -> None:
    coupled = looked_into(objective(lambda z, y: ce(z.float() - z.float().mean() / 100 * z.float(), y)))
    found = reduction(coupled)
    assert found is not None
    assert found.couples


def verdict(left: object, right: object, dtype: torch.dtype = f32, targets: str = "classes(3)") -> Verdict:
    try:
        return assert_same_objective(left, right, targets, dtype=dtype)
    except AssertionError as failure:
        found: Verdict = failure.verdict  # type: ignore[attr-defined]
        return found


PAIRS = {
    "float32 in a float32 run": (CE, lambda z, y: F.cross_entropy(z.float(), y), f32, "bitwise", {"right": "float32"}),
    "float32 in a float64 run": (CE, lambda z, y: ce(z.float(), y), f64, "indistinguishable", {"right": "float32"}),
    "another formula": (CE, kernel(), f32, "equal", {"right": "float32"}),
    "both": (kernel(), lambda z, y: ce(z.float(), y), f32, "equal", {"left": "float32", "right": "float32"}),
    "bfloat16": (CE, lambda z, y: ce(z.to(bf16).float(), y), f32, "indistinguishable", {"right": "bfloat16"}),
    "bfloat16 in a bfloat16 run": (CE, lambda z, y: ce(z.to(bf16).float(), y), bf16, "equal", {"right": "bfloat16"}),
    "autocast": (CE, under_autocast, f32, "indistinguishable", {"right": "bfloat16"}),
    "a wrong backward": (kernel(), kernel(factor=1 + 1e-4), f32, "different", {"left": "float32", "right": "float32"}),
    "a small fault behind bfloat16": (
        CE, lambda z, y: F.cross_entropy(z.to(bf16).float(), y, label_smoothing=1e-4), f32, "different",
        {"right": "bfloat16"},
    ),
}  # fmt: skip


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", PAIRS)
def test_what_a_side_computes_in_is_a_finding_and_no_difference(name: str) -> None:
    left, right, dtype, relation, computes_in = PAIRS[name]
    found = verdict(left, right, dtype)
    assert (found.relation, found.computes_in) == (relation, computes_in), found.sentence
    assert "couples" not in found.sentence
    assert " computes in" in found.sentence or "Both compute in" in found.sentence
    if relation == "indistinguishable":
        assert "same mathematics" in found.sentence
    if relation != "different":  # eight bits of a raw output beyond 256 leave no fraction of it
        low, high = (-float("inf"), float("inf")) if isinstance(found.domain, str) else found.domain
        assert found.domain == "all" or ("bfloat16" in computes_in.values() and low < -256 and high > 256), found.domain
        assert found.resolution is not None
        assert found.resolution <= 1e-9
    assert Verdict.from_dict(found.to_dict()).computes_in == computes_in


@pytest.mark.sampled(4)
@needs_gcc
@pytest.mark.parametrize(
    ("small", "factor", "dtype", "relation"),
    [
        (0.0, 1.0, f32, "indistinguishable"),
        (0.0, 1.0, f64, "indistinguishable"),
        (0.0, 1.0, bf16, "indistinguishable"),
        (0.0, 1.0 + 1e-4, f32, "different"),
        (0.0, 1.0 + 1e-4, f64, "different"),
        (0.05, 1.0, f32, "different"),
    ],
)
def test_a_sealed_kernel_is_judged_in_float32_alone(
    small: float, factor: float, dtype: torch.dtype, relation: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = verdict(CE, in_c(folder(tmp_path_factory), small, factor), dtype)
    assert found.relation == relation, found.sentence
    assert "kernel computes in float32 whatever it is given" in found.sentence
    if relation == "indistinguishable":
        assert "judged in float32 alone" in found.sentence
        assert found.resolution is not None
        assert 1e-7 < found.resolution <= 1e-4


@pytest.mark.rest
def test_a_sealed_kernel_against_itself_and_against_twice_itself() -> None:
    assert verdict(by_custom_op, by_custom_op).relation == "bitwise"
    twice = verdict(by_custom_op, lambda z, y: 2 * by_custom_op(z, y))
    assert twice.relation == "scaled"
    assert twice.scale == pytest.approx(2, rel=1e-6)


@torch.library.custom_op("mlnn_tests::rounded", mutates_args=())
def rounded(z: Tensor) -> Tensor:
    """To bfloat16, where no dispatch sees it."""
    return z.to(bf16).to(z.dtype)


rounded.register_autograd(lambda _ctx, slope: slope)


@pytest.mark.rest
def test_a_kernel_sealed_in_bfloat16_claims_no_more_than_that_can_tell() -> None:
    found = verdict(CE, lambda z, y: ce(rounded(z), y))
    assert found.computes_in == {"right": "bfloat16"}
    assert found.relation in ("indistinguishable", "undecided"), found.sentence
    if found.relation == "undecided":
        assert "planted fault" in found.sentence


@pytest.mark.parametrize(("gap", "real"), [(0.9, False), (1.1, True)])
@pytest.mark.parametrize("null", [0.0, 1e-5])
def test_judged_alone_a_gap_is_held_to_its_null_draws(gap: float, real: bool, null: float) -> None:
    judged = Judged(alone=True)
    bound = max(4.0 * EPS, 3.0 * null)
    judged.see(0, {"float32": gap * bound, "float64": 1.0}, 1.0, null)
    assert bool(judged.real) == real
    assert judged.allowed == bound


def test_a_lower_float_inside_explains_its_own_rounding_and_no_more_of_float64() -> None:
    low, plain = Judged(floor=float(torch.finfo(bf16).eps)), Judged()
    for judged in (low, plain):
        judged.see(0, {"float32": 4e-3, "float64": 1e-16}, 1.0)
    assert low.unexplained("float32") is None
    assert plain.unexplained("float32") is not None
    low.see(1, {"float32": 4e-3, "float64": 1e-12}, 1.0)
    assert low.real == 1e-12


class Norm(nn.Module):
    """A root mean square norm as transformers have it: in float32 whatever it is given."""

    def forward(self, x: Tensor) -> Tensor:
        low = x.float()
        return (low * torch.rsqrt(low.square().mean(1, keepdim=True) + 1e-6)).to(x.dtype)


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), Norm(), nn.Linear(8, 3))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("dtype", [f32, f64])
@pytest.mark.parametrize(("fault", "relation"), [(0.0, "equal"), (1e-6, "different")])
def test_a_model_that_casts_inside_is_promoted_with_its_loss(dtype: torch.dtype, fault: float, relation: str) -> None:
    draws = torch.Generator().manual_seed(1)
    x, y = torch.randn(40, 4, generator=draws), torch.randint(0, 3, (40,), generator=draws)
    found = mlnn.compare(
        normed, CE, lambda z, t: F.cross_entropy(z, t, label_smoothing=fault) if fault else -z.log_softmax(1)[range(len(t)), t],
        (x, y), optimizer=partial(torch.optim.SGD, lr=0.1), steps=8, batch_size=8, dtype=dtype, null_twins=0,
    ).verdict  # fmt: skip
    assert found.relation == relation, found.sentence
    assert found.computes_in == {}


def test_a_model_is_asked_whether_it_casts() -> None:
    x = torch.randn(3, 4, dtype=f64)
    assert casts(normed(), x, 0)
    assert not casts(nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 3)), x, 0)
    zeros = normed()
    nn.init.zeros_(zeros[2].weight)  # type: ignore[arg-type]
    assert casts(zeros, x, 0)


def test_one_model_of_both_sides_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[nn.Module] = []

    def noted(model: nn.Module, *_: object) -> bool:
        models.append(model)
        return len(models) == 2

    monkeypatch.setattr("mlnn.training.twins.casts", noted)
    sides = (LaneRecipe(objective(ce), SGD), LaneRecipe(objective(ce), SGD))
    one, two = normed(), normed()
    assert promoted_sides(sides, (one, one), torch.ones(2, 4), 0) == (False, False)
    assert models == [one]
    assert promoted_sides(sides, (one, two), torch.ones(2, 4), 0) == (True, False)
    assert models == [one, one, two]


@pytest.mark.parametrize(
    ("loss", "targets", "family"),
    [
        (
            lambda z, y: F.binary_cross_entropy_with_logits(z.float(), y.float(), reduction="none"),
            "binary",
            "Bernoulli",
        ),
        (lambda z, y: ce(z.float(), y), "classes(3)", "categorical"),
        (lambda z, y: F.mse_loss(z.float(), y.float(), reduction="none"), "real", "normal"),
        (lambda z, y: ce(z.to(bf16).float(), y), "classes(3)", "categorical"),
    ],
    ids=["bce", "cross-entropy", "mse", "bfloat16"],
)
def test_an_audit_gives_a_loss_that_computes_in_less_its_certificate(loss: Loss, targets: str, family: str) -> None:
    found = mlnn.audit(loss, targets)
    assert found.is_likelihood
    assert found.family == family
    assert "whatever it is given" in " ".join(found.notes)


def test_an_audit_still_finds_what_is_wrong_with_a_loss_that_computes_in_less() -> None:
    assert not mlnn.audit(lambda z, y: F.cross_entropy(z.float(), y, label_smoothing=0.1), "classes(3)").is_likelihood
    sealed = mlnn.audit(by_numpy, "classes(3)")
    assert sealed.kind == "undecided"
    assert "no promotion reaches" in sealed.sentence
    assert mlnn.audit(ce, "classes(3)").notes == ()
