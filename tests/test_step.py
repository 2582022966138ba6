"""Whole steps side by side: right and wrong ones of every kind, places that training does not visit, what is refused."""

import math
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from step_cases import (
    HEADS,
    KINDS,
    TOKENS,
    Tokens,
    TwoHeads,
    changed,
    fused,
    heads_by_hand,
    heads_loss,
    kept,
    smoothed_where_sure,
    token_loss,
)
from torch import Tensor, nn
from training_cases import SGD, X, Y, network, recipe

import mlnn
from mlnn.comparing.verdict import Verdict
from mlnn.data.nested import split
from mlnn.errors import ConfigError, DataError
from mlnn.testing import assert_same_step
from mlnn.training import Batch
from mlnn.training.asking import _shares, ask_step

BCE = nn.BCEWithLogitsLoss()


def verdict(model: Any, left: Any, right: Any, batches: Any, **options: Any) -> Verdict:
    sides = [one if isinstance(one, mlnn.LaneRecipe) else mlnn.Step(one) for one in (left, right)]
    standard = {"optimizer": SGD, "steps": len(batches), "batch_size": None, "null_twins": 1}
    return mlnn.compare(model, *sides, batches, **standard | options).verdict


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", KINDS)
def test_a_right_step_is_equal_and_a_wrong_one_is_not(kind: str) -> None:
    model, batches, left, right, wrong = KINDS[kind]
    found = verdict(model, left, right, batches)
    assert found.relation == "equal", found.sentence
    assert found.resolution is not None
    assert found.resolution <= 1e-11
    assert len(found.resolutions) >= 2
    found = verdict(model, left, wrong, batches)
    assert found.relation == "different", found.sentence
    assert "gradients differ by" in found.sentence or "gradients at common weights differ by" in found.sentence


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda z: z.clamp(-30, 30), "raw outputs"),
        (lambda z: 1e4 * torch.tanh(z / 1e4), "raw outputs"),
        (lambda z: z - 0.1 * (z - z.amax(-1, keepdim=True) + 60).clamp(max=0), "raw outputs"),
        (lambda z: z + torch.where(z < -50, 1.0, 0.0), "raw outputs"),
    ],
    ids=["clip at 30", "soft cap at 10⁴", "a floor 60 below the largest", "a step at -50"],
)
def test_a_fault_far_from_where_training_goes_is_found_and_said_where(change: Any, where: str) -> None:
    seen: list[float] = []

    def watched(z: Tensor) -> Tensor:
        seen.append(float(z.detach().abs().max()))
        return change(z)

    found = verdict(Tokens, token_loss, partial(changed, change=watched), TOKENS, steps=2)
    assert found.relation == "different", found.sentence
    assert where in found.sentence
    assert min(seen) < 1, "training itself stays near 0"


def test_a_smoothing_of_sure_rows_alone_is_found() -> None:
    found = verdict(Tokens, token_loss, smoothed_where_sure, TOKENS)
    assert found.relation == "different"
    assert "raw outputs × 100" in found.sentence


def test_a_fault_far_out_is_found_without_raw_outputs_too() -> None:
    found = verdict(Tokens, fused, partial(fused, cap=1e4), TOKENS)
    assert found.relation == "different"
    assert "the last matrix × 1000" in found.sentence
    equal = verdict(Tokens, fused, fused, TOKENS)
    assert equal.relation == "bitwise"
    assert "the last matrix × 0, 0.1, 3, 10, 100, 1000" in equal.sentence


def test_where_a_head_starts_at_zero_raw_outputs_are_moved_all_the_same() -> None:
    def zeroed() -> nn.Module:
        model = Tokens()
        nn.init.zeros_(model.head.weight)
        return model

    found = verdict(zeroed, token_loss, partial(changed, change=lambda z: z.clamp(-5, 5)), TOKENS)
    assert found.relation == "different"
    assert "moved" in found.sentence


def test_a_side_that_overflows_far_out_holds_up_to_there() -> None:
    def naive(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        labels = batch["labels"].flatten()
        z = model(batch["input_ids"]).flatten(0, 1)[labels != -100]
        return (z.exp().sum(1).log() - z.gather(1, labels[labels != -100][:, None])[:, 0]).mean()

    found = verdict(Tokens, token_loss, naive, TOKENS)
    assert found.relation == "equal", found.sentence
    assert isinstance(found.domain, tuple)
    assert 10 < found.domain[1] < 100
    assert found.left_domain == 0
    assert any("right is not finite in float32" in str(note) for note in found.evidence["notes"])  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match="but not on all raw outputs"):
        assert_same_step(Tokens, token_loss, naive, TOKENS)
    assert_same_step(Tokens, token_loss, naive, TOKENS, domain=(-20, 20))


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("change", "relation"),
    [
        (lambda loss: 2 * loss, "scaled"),
        (lambda loss: loss + 0.25, "shifted"),
        (lambda loss: loss * (1 + 1e-9), "indistinguishable"),
        (lambda loss: loss * (1 + 1e-5), "scaled"),
        (lambda loss: loss + 1e-3 * loss.square(), "different"),
        (lambda loss: loss + 1e-3 * loss.square().detach(), "different"),
    ],
    ids=["twice", "plus a constant", "1e-9", "1e-5", "squared", "squared without gradient"],
)
def test_every_relation_is_found_between_steps(change: Any, relation: str) -> None:
    found = verdict(TwoHeads, heads_loss, lambda model, batch: change(heads_loss(model, batch)), HEADS)
    assert found.relation == relation, found.sentence
    if relation == "scaled":
        assert found.scale == pytest.approx(float(change(torch.tensor(1.0, dtype=torch.float64))), rel=1e-9)
    if relation == "shifted":
        assert found.shift == pytest.approx(0.25)
    if "without" in relation:
        assert found.gradient_relation in ("bitwise", "equal")


def test_a_step_that_goes_non_finite_alone_is_broken() -> None:
    calls = []

    def breaking(model: nn.Module, batch: Any) -> Tensor:
        loss = heads_loss(model, batch)
        far = batch[0].sum() == HEADS[3][0].to(batch[0]).sum()
        calls.append(far)
        return loss * math.nan if far else loss

    found = verdict(TwoHeads, heads_loss, breaking, HEADS)
    assert found.relation == "broken", found.sentence
    assert "step 3" in found.sentence
    both = verdict(TwoHeads, breaking, breaking, HEADS)
    assert both.relation == "bitwise"
    assert "not finite were left's loss from step 3 on and right's" in both.sentence


def test_a_step_beside_an_objective_on_a_data_set() -> None:
    step = mlnn.Step(lambda model, batch: F.binary_cross_entropy_with_logits(model(batch[0])[:, 0], batch[1]), "mine")
    standard = {"optimizer": SGD, "steps": 6, "batch_size": 32, "null_twins": 1}
    for left, right in ((step, BCE), (BCE, step)):
        found = mlnn.compare(network, left, right, (X, Y), **standard)
        assert found.verdict.relation == "bitwise"
        assert found.verdict.left_domain == 0
        assert "mine" in (found.run.left, found.run.right)
    total = mlnn.Step(lambda model, batch: BCE(model(batch[0])[:, 0], batch[1]) * len(batch[1]))
    found = mlnn.compare(network, BCE, total, (X, Y), **standard)
    assert (found.verdict.relation, found.verdict.scale) == ("scaled", 32)
    assert found.verdict.first_difference is not None
    assert found.verdict.first_difference["parameter"] == "0.weight"
    assert "report" not in found.page()[:10]


@pytest.mark.rest
def test_micro_batches_and_autocast_are_the_lanes_as_ever() -> None:
    whole = mlnn.LaneRecipe(mlnn.Step(heads_loss), SGD)
    parts = mlnn.LaneRecipe(mlnn.Step(heads_loss), SGD, accumulate=4)
    assert verdict(TwoHeads, whole, parts, HEADS).relation == "equal"
    total = mlnn.LaneRecipe(mlnn.Step(lambda m, b: heads_loss(m, b) * len(b[0])), SGD, accumulate=4)
    assert verdict(TwoHeads, whole, total, HEADS).scale == pytest.approx(4)
    coarse = mlnn.LaneRecipe(mlnn.Step(heads_loss), SGD, autocast=torch.bfloat16)
    found = verdict(TwoHeads, whole, coarse, HEADS)
    assert (found.relation, found.computes_in) == ("indistinguishable", {"right": "bfloat16"})


@pytest.mark.rest
def test_what_a_step_computes_in_is_a_finding_and_a_fault_beside_it_is_found() -> None:
    def cast(model: nn.Module, batch: dict[str, Tensor], dtype: torch.dtype, wrong: float = 0.0) -> Tensor:
        logits, labels = kept(model(batch["input_ids"]).to(dtype), batch)
        chosen = torch.where(logits.softmax(1) < wrong, 0.0, logits.softmax(1)).detach()
        return (chosen * logits).sum(1).mean() - logits.gather(1, labels[:, None]).mean()

    single, coarse, wrong = (
        partial(cast, dtype=torch.float32),
        partial(cast, dtype=torch.bfloat16),
        partial(cast, dtype=torch.float32, wrong=0.07),
    )
    found = verdict(Tokens, partial(cast, dtype=torch.float64), single, TOKENS)
    assert found.relation in ("equal", "indistinguishable"), found.sentence
    assert found.computes_in == {"right": "float32"}
    found = verdict(Tokens, single, coarse, TOKENS)
    assert (found.relation, found.computes_in["right"]) == ("indistinguishable", "bfloat16")
    assert "same mathematics" in found.sentence
    assert found.resolution is not None
    assert found.resolution <= 1e-11
    assert verdict(Tokens, single, wrong, TOKENS).gradient_relation == "different"


def test_dropout_meets_the_same_masks_and_batch_norm_the_same_rows() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.4), nn.Linear(8, 3))

    def step(m: nn.Module, batch: Any, sign: float = 1.0) -> Tensor:
        return sign * F.nll_loss(sign * m(batch[0]).log_softmax(1), batch[1][0])

    found = verdict(model, step, lambda m, b: F.cross_entropy(m(b[0]), b[1][0]), HEADS)
    assert found.relation in ("bitwise", "equal"), found.sentence

    def evaluating(m: nn.Module, batch: Any) -> Tensor:
        m[2].eval()
        return step(m, batch)

    assert verdict(model, step, evaluating, HEADS).relation == "different"


def writes(model: nn.Module, batch: Any) -> Tensor:
    with torch.no_grad():
        model.size.weight.add_(1.0)
    return heads_loss(model, batch)


def writes_unseen(model: nn.Module, batch: Any) -> Tensor:
    model.size.weight.data.add_(1.0)
    return heads_loss(model, batch)


def calls_backward(model: nn.Module, batch: Any) -> Tensor:
    loss = heads_loss(model, batch)
    loss.backward()
    return loss


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda m, b: m(b[0])[1], r"returned float32 of shape \(16,\); one real number is needed"),
        (lambda m, b: heads_loss(m, b).item(), "returned float, not a tensor"),
        (lambda *_: None, "returned NoneType, not a tensor"),
        (lambda m, b: m(b[0])[0].argmax(), "returned int64"),
        (lambda m, b: heads_loss(m, b).detach(), "no gradient to any weight"),
        (lambda *_: torch.ones(4, requires_grad=True).sum(), "reaches none of the model's weights"),
        (lambda m, b: m(b[0], b[1]), "raised TypeError"),
        (writes, "changes the model's weights"),
        (writes_unseen, "changes the model's weights"),
        (calls_backward, "calls backward itself"),
    ],
)
def test_what_is_no_loss_is_refused_in_a_few_lines(step: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        verdict(TwoHeads, heads_loss, step, HEADS)
    assert len(str(caught.value).splitlines()) <= 4
    with pytest.raises(ConfigError, match="cannot be called"):
        mlnn.Step(3)  # type: ignore[arg-type]
    assert repr(mlnn.Step(partial(heads_by_hand, weight=1.0))) == "Step('heads_by_hand')"


def test_a_step_that_keeps_state_is_undecided_and_says_so() -> None:
    kept: list[Tensor] = []

    def averaged(model: nn.Module, batch: Any) -> Tensor:
        kept.append(heads_loss(model, batch).detach())
        return heads_loss(model, batch) * (1 + 1e-3 * len(kept))

    found = verdict(TwoHeads, heads_loss, averaged, HEADS)
    assert found.relation == "undecided"
    assert "right's step 'averaged' answered the same call differently" in found.sentence


def test_a_step_may_write_into_its_batch_and_nobody_else_sees_it() -> None:
    def scales(model: nn.Module, batch: Any) -> Tensor:
        x, (kind, size) = batch
        loss = heads_loss(model, (x.clone(), (kind.clone(), size.clone())))
        for part in (x, kind, size):
            part.zero_()
        return loss

    assert verdict(TwoHeads, heads_loss, scales, HEADS).relation == "bitwise"
    assert HEADS[0][0].abs().sum() > 0


def test_the_gate_names_size_and_place_and_carries_the_verdict() -> None:
    assert assert_same_step(TwoHeads, heads_loss, heads_by_hand, HEADS).relation == "equal"
    assert assert_same_step(TwoHeads, heads_loss, heads_by_hand, iter(HEADS), steps=3).evidence["steps"] == 3
    wrong = partial(heads_by_hand, weight=0.5001)
    with pytest.raises(
        AssertionError, match=r"not the same step: required 'equal', found 'different'.*first weights"
    ) as caught:
        assert_same_step(TwoHeads, heads_loss, wrong, HEADS)
    assert caught.value.verdict.relation == "different"  # type: ignore[attr-defined]
    twice = lambda model, batch: 2 * heads_loss(model, batch)  # noqa: E731
    assert assert_same_step(TwoHeads, heads_loss, twice, HEADS, require="scaled").scale == 2
    for batches, steps in (([], None), (HEADS, len(HEADS) + 1)):
        with pytest.raises(DataError, match="batches"):
            assert_same_step(TwoHeads, heads_loss, heads_loss, batches, steps=steps)
    with pytest.raises(ConfigError, match="Did you mean"):
        assert_same_step(TwoHeads, heads_loss, heads_loss, HEADS, require="eqal")


def test_a_model_that_gives_its_own_loss_has_no_raw_outputs_to_move() -> None:
    class Both(nn.Module):
        """Raw outputs, or the loss itself where labels are given, as models of a library do."""

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(4, 3)

        def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
            z: Tensor = self.body(x)
            return z if labels is None else F.cross_entropy(z, labels)

    draws = torch.Generator().manual_seed(2)
    batches = [(torch.randn(8, 4, generator=draws), torch.randint(0, 3, (8,), generator=draws)) for _ in range(5)]
    outside = lambda model, batch: F.cross_entropy(model(batch[0]), batch[1])  # noqa: E731
    found = verdict(Both, outside, lambda model, batch: model(batch[0], labels=batch[1]), batches)
    assert found.relation in ("bitwise", "equal"), found.sentence
    wrong = verdict(Both, outside, lambda model, batch: model(batch[0], labels=batch[1].flip(0)), batches)
    assert wrong.relation == "different"


def asked_of_a_step(step: Any, parts: list[Any], frozen: bool = False) -> tuple[float, list[Tensor | None]]:
    """Loss and gradients of a line's two weights."""
    module = nn.Linear(2, 1).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.5, -1.0]]))
        module.bias.fill_(0.25)
    module.bias.requires_grad_(not frozen)
    recipe_ = mlnn.LaneRecipe(mlnn.Step(step), SGD)
    value, _, _ = ask_step(recipe_.objective, module, module, Batch(0, torch.arange(8), 0, recipe()), parts, recipe_)
    return value, [module.weight.grad, module.bias.grad]


def squares(model: nn.Module, batch: Any) -> Tensor:
    return ((model(batch[0])[:, 0] - batch[1]) ** 2).mean()


LINE = (X[:8].double()[:, :2], torch.arange(8.0, dtype=torch.float64))


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 8])
def test_micro_batches_of_several_sizes_have_the_gradient_of_the_whole(parts: int) -> None:
    value, slopes = asked_of_a_step(squares, split(LINE, parts))
    whole, wanted = asked_of_a_step(squares, [LINE])
    assert value == pytest.approx(whole, rel=1e-13)
    for mine, theirs in zip(slopes, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_a_part_counts_as_many_rows_as_it_has_and_one_where_that_cannot_be_told() -> None:
    three, one = torch.zeros(3, 2), torch.zeros(1, 2)
    assert _shares([three, one]) == [0.75, 0.25]
    assert _shares([(three, one), (one, three)]) == [0.5, 0.5]
    assert _shares([(three, one), three]) == [0.25, 0.75]
    assert _shares([one]) == [1.0]


def in_place(model: nn.Module, batch: Any) -> Tensor:
    with torch.no_grad():
        model.weight += 1
    return squares(model, batch)


def backwards(model: nn.Module, batch: Any) -> Tensor:
    loss = squares(model, batch)
    loss.backward(retain_graph=True)
    return loss


def constant(model: nn.Module, batch: Any) -> Tensor:
    return squares(model, batch).detach()


def aside(_model: nn.Module, batch: Any) -> Tensor:
    return (batch[0].clone().requires_grad_() ** 2).mean()


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize(
    ("step", "words"),
    [
        (in_place, "changes the model's weights"),
        (backwards, "calls backward itself"),
        (constant, "no gradient to any weight"),
        (aside, "reaches none of the model's weights"),
    ],
)
def test_a_step_that_does_more_or_less_than_a_loss_is_refused(step: Any, words: str, parts: int) -> None:
    with pytest.raises(ConfigError, match=words):
        asked_of_a_step(step, split(LINE, parts))


def test_a_step_may_leave_weights_alone_and_be_nothing_on_its_first_part() -> None:
    assert asked_of_a_step(squares, [LINE], frozen=True)[1][1] is None
    nothing = (LINE[0], asked_of(LINE[0]))
    value, slopes = asked_of_a_step(squares, [nothing, LINE])
    whole, wanted = asked_of_a_step(squares, [LINE])
    assert value == pytest.approx(whole / 2)
    assert all(map(torch.equal, slopes, [one / 2 for one in wanted if one is not None]))


def asked_of(x: Tensor) -> Tensor:
    """What the line says of x, so that its loss is 0."""
    return x @ torch.tensor([0.5, -1.0], dtype=torch.float64) + 0.25
