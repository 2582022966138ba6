"""Two recorded trainings, and what is said of them: each kind of difference is told by its name, stage and step."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diff_cases import BATCH, Plan, loop, net, picked, ranks, smoothed, step_of, stepper, train
from torch import Tensor
from torch.nn import functional as F

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.recording import record
from mlnn.runs import to_json

ROUNDING = 16 * 2.0**-23
"""What is allowed of float32 where no capsule tells how this training answers one ulp."""
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The recording of a plan, made once."""
    made: dict[str, Path] = {}
    count = itertools.count()
    out = tmp_path_factory.mktemp("recordings")

    def of(**changed: Any) -> Path:
        key = repr(sorted(changed.items()))
        if key not in made:
            made[key] = train(out / str(next(count)), **changed)
        return made[key]

    return of


def test_the_same_training_twice_is_bitwise(make: Make, tmp_path: Path) -> None:
    found = mlnn.diff(make(), train(tmp_path / "again"))
    assert (found.relation, found.stage, found.step, found.resolution, found.settings) == (
        "bitwise",
        None,
        None,
        0.0,
        (),
    )
    assert found.sentence.startswith("The same training, bit for bit, in all 6 steps")
    assert found.meets("bitwise")
    assert {one.word for one in found.stages} >= {"alike", "the same rows in the same order", "bit for bit the same"}


@pytest.mark.parametrize(
    ("changed", "batch"),
    [({"flipped": True}, "reordered"), ({"micro": 2}, "recut"), ({"micro": 2, "flipped": True}, "recut")],
)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_same_rows_otherwise_are_equal(make: Make, changed: dict[str, Any], batch: str, optimizer: str) -> None:
    found = mlnn.diff(make(optimizer=optimizer), make(optimizer=optimizer, **changed))
    assert (found.relation, found.stage, found.resolution) == ("equal", None, ROUNDING)
    assert {row.batch for row in found.rows} == {batch}
    assert found.judged == 6
    gradient = found.rows[0].gradient
    assert gradient is not None
    assert 0 < gradient.distance < 4 * 2.0**-23
    assert ("in another order" if batch == "reordered" else "cut into other micro-batches") in found.sentence
    assert (found.meets("equal"), found.meets("bitwise")) == (True, False)


def test_other_threads_are_a_finding_and_no_difference(make: Make) -> None:
    found = mlnn.diff(make(), make(threads=2))
    assert found.relation in ("bitwise", "equal")
    assert [one.words() for one in found.settings] == ["threads 1 against 2"]
    assert "threads 1 against 2" in repr(found)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("times", [2.0, 0.5, 1.00001])
def test_a_factor_is_told(make: Make, optimizer: str, times: float) -> None:
    found = mlnn.diff(make(optimizer=optimizer), make(optimizer=optimizer, times=times))
    assert (found.relation, found.stage, found.step) == ("scaled", "loss", 0)
    assert found.scale == pytest.approx(times, rel=1e-6)
    assert f"B's gradient is A's times {times:.6f}" in found.sentence
    assert (found.meets("scaled"), found.meets("shifted")) == (True, False)


def test_a_gradient_alone_that_is_scaled(make: Make, tmp_path: Path) -> None:
    plan = Plan()
    model = net(plan)
    optimizer = stepper(plan, model)
    torch.manual_seed(5)
    with record(model, optimizer, tmp_path / "b", capsules=()):
        for step in range(plan.steps):
            optimizer.zero_grad()
            step_of(plan, model, step)
            for weight in model.parameters():
                assert weight.grad is not None
                weight.grad *= 3
            optimizer.step()
    found = mlnn.diff(make(), tmp_path / "b")
    assert (found.relation, found.stage, found.step) == ("scaled", "gradient", 0)
    assert found.scale == pytest.approx(3)


def test_micro_batches_whose_losses_were_not_divided(make: Make) -> None:
    found = mlnn.diff(make(), make(micro=2, divided=False))
    assert (found.relation, found.stage, found.step) == ("scaled", "loss", 0)
    assert found.scale == pytest.approx(2, abs=1e-6)
    assert "B's gradient is A's times 2.000000" in found.sentence
    assert "A makes a step of 1 micro-batch and B of 2" in found.sentence
    assert "they were not divided by the number of micro-batches" in found.sentence
    back = mlnn.diff(make(micro=2, divided=False), make())
    assert back.scale == pytest.approx(0.5)
    assert "A's losses are added up as they are" in back.sentence
    four = mlnn.diff(make(), make(micro=4, divided=False, times=0.5))
    assert four.scale == pytest.approx(2)
    assert "not divided" not in four.sentence


def test_a_factor_that_changes_is_none(make: Make, tmp_path: Path) -> None:
    class Growing:
        count = 0

        def __call__(self, output: Tensor, target: Tensor) -> Tensor:
            self.count += 1
            return F.cross_entropy(output, target) * (1 + self.count)

    found = mlnn.diff(make(optimizer="adam"), train(tmp_path / "b", optimizer="adam", loss=Growing()))
    assert (found.relation, found.step) == ("different", 0)
    assert "a factor that changes from step to step" in found.sentence


def test_a_multiple_at_the_first_step_alone_is_no_factor(make: Make) -> None:
    """At a small rate the weights stay together, so that the next steps still tell."""
    calls: list[int] = []

    def other(output: Tensor, target: Tensor) -> Tensor:
        calls.append(1)
        return F.cross_entropy(output, target) * 1.5 if len(calls) == 1 else smoothed(0.5)(output, target)

    found = mlnn.diff(make(rate=1e-3), make(rate=1e-3, loss=other))
    assert (found.relation, found.step) == ("different", 0)
    assert "is A's times 1.500000 at step 0, and at later steps no multiple of it" in found.sentence


@pytest.mark.parametrize(
    ("base", "changed", "stage", "step", "words"),
    [
        ({}, {"other": 3}, "batch", 3, "It was given other rows"),
        ({"flipped": True}, {"other": 3}, "batch", 3, "It was given other rows"),
        ({"dropout": 0.3}, {"dropout": 0.3, "reseed": 2}, "random state", 2, "(torch)"),
        ({}, {"faster": 3}, "weights", 3, "The learning rates are 0.1 in A and 0.11 in B"),
        ({"optimizer": "adam"}, {"faster": 3, "optimizer": "adam"}, "weights", 3, "0.01 in A and 0.011 in B"),
        ({"flipped": True, "optimizer": "adam"}, {"faster": 3, "optimizer": "adam"}, "weights", 3, "0.011 in B"),
        ({}, {"decay": 0.01}, "weights", 0, "weight_decay 0.0 against 0.01"),
        ({"optimizer": "adam"}, {"decay": 0.01, "optimizer": "adam"}, "weights", 0, "weight_decay"),
        ({}, {"optimizer": "momentum"}, "weights", 1, "momentum 0.0 against 0.9"),
        ({}, {"optimizer": "adam"}, "weights", 0, "optimiser SGD against Adam"),
        ({}, {"loss": smoothed(1e-3)}, "loss", 0, "The rows and their order were the same"),
        ({}, {"times": -1.0}, "loss", 0, "point the other way"),
        ({}, {"first": 4}, "weights", None, "before the first step"),
    ],
)  # fmt: skip
def test_what_differs_first_is_named(
    make: Make, base: dict[str, Any], changed: dict[str, Any], stage: str, step: int | None, words: str
) -> None:
    found = mlnn.diff(make(**base), make(**changed))
    assert (found.relation, found.stage, found.step) == ("different", stage, step)
    assert words in found.sentence
    assert not found.meets("scaled")
    marked = [one.name for one in found.stages if one.beyond is not None]
    assert marked == ([] if step is None else [stage])


def test_a_random_state_that_nothing_draws_from_is_no_difference(make: Make) -> None:
    found = mlnn.diff(make(), make(reseed=2))
    assert found.relation == "bitwise"
    assert [one.bits for one in found.stages if one.name == "random state"] == [2]


def test_masks_that_fell_on_other_rows_leave_it_undecided(make: Make) -> None:
    found = mlnn.diff(make(dropout=0.3), make(dropout=0.3, flipped=True))
    assert found.relation == "undecided"
    assert "they fell on other rows" in found.sentence
    assert mlnn.diff(make(dropout=0.3), make(dropout=0.3, times=2.0)).relation == "scaled"


def test_losses_that_differ_by_what_has_no_gradient(make: Make) -> None:
    found = mlnn.diff(make(), make(loss=lambda output, target: F.cross_entropy(output, target) + 0.25))
    assert (found.relation, found.stage, found.step) == ("shifted", "loss", 0)


def test_a_factor_that_clipping_hides(tmp_path: Path) -> None:
    folders = []
    for times in (1.0, 2.0):
        plan = Plan(times=times)
        model = net(plan)
        optimizer = stepper(plan, model)
        with record(model, optimizer, tmp_path / str(times), capsules=()):
            for step in range(plan.steps):
                optimizer.zero_grad()
                step_of(plan, model, step)
                torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
                optimizer.step()
        folders.append(tmp_path / str(times))
    found = mlnn.diff(*folders)
    assert (found.relation, found.stage) == ("scaled", "loss")
    assert found.scale == pytest.approx(2, rel=1e-5)
    assert "hides a factor" in found.sentence


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_another_dtype_is_never_bitwise_and_compared_as_far_as_the_coarser_goes(make: Make, dtype: torch.dtype) -> None:
    found = mlnn.diff(make(), make(dtype=dtype))
    assert (found.relation, found.stage) == ("indistinguishable", "environment")
    assert found.resolution is not None
    assert found.resolution > (0.1 if dtype == torch.bfloat16 else ROUNDING / 2)
    assert any(one.what == "computed in" for one in found.settings)
    assert mlnn.diff(make(), make(dtype=dtype, times=2.0)).relation == "scaled"
    other = mlnn.diff(make(), make(dtype=dtype, other=0))
    assert (other.relation, other.stage, other.step) == ("different", "batch", 0)


def test_float64_tells_finer(make: Make) -> None:
    one, two = make(dtype=torch.float64), make(dtype=torch.float64, flipped=True)
    found = mlnn.diff(one, two)
    assert (found.relation, found.resolution) == ("equal", 16 * 2.0**-52)
    assert mlnn.diff(one, make(dtype=torch.float64, loss=smoothed(1e-9))).relation == "different"


def test_autocast_on_one_side_is_known(make: Make) -> None:
    found = mlnn.diff(make(), make(autocast=torch.bfloat16))
    assert (found.relation, found.stage) == ("indistinguishable", "environment")
    assert [one.values for one in found.settings] == [("float32", "autocast to bfloat16")]
    assert (
        mlnn.diff(make(autocast=torch.bfloat16), make(autocast=torch.bfloat16, flipped=True)).relation
        == "indistinguishable"
    )
    assert mlnn.diff(make(), make(autocast=torch.bfloat16, times=2.0)).relation == "scaled"


def test_as_far_as_both_go(make: Make) -> None:
    found = mlnn.diff(make(), make(steps=4))
    assert (found.relation, len(found.rows)) == ("bitwise", 4)
    assert "A has 6 steps and B 4: compared as far as both go." in found.sentence
    every = mlnn.diff(make(), make(every=3))
    assert every.relation == "bitwise"
    assert "every step of A and one step in 3 of B" in every.sentence
    assert [row.gradient is not None for row in every.rows] == [True, False, False] * 2


def test_between_printed_steps_exact_differences_are_told(make: Make) -> None:
    for changed, stage in (({"faster": 2}, "weights"), ({"other": 2}, "batch")):
        found = mlnn.diff(make(every=4, flipped=True), make(every=4, **changed))
        assert (found.relation, found.stage, found.step) == ("different", stage, 2)
    equal = mlnn.diff(make(every=4), make(every=4, flipped=True))
    assert (equal.relation, equal.judged) == ("equal", 4)


def resumed(out: Path, lost: bool) -> Path:
    """A training that goes on after 3 steps in a recording of its own, with its optimiser's state or without."""
    plan = Plan(optimizer="momentum", steps=3)
    model = net(plan)
    optimizer = stepper(plan, model)
    torch.manual_seed(5)
    loop(plan, model, optimizer)
    again = stepper(plan, model)
    if not lost:
        again.load_state_dict(optimizer.state_dict())
    with record(model, again, out, capsules=()):
        loop(Plan(optimizer="momentum", steps=3, begin=3), model, again)
    return out


def test_a_resume_is_recognised(make: Make, tmp_path: Path) -> None:
    whole = make(optimizer="momentum")
    good, lost = resumed(tmp_path / "good", lost=False), resumed(tmp_path / "lost", lost=True)
    for pair, words in (
        ((whole, good), "B goes on where A stood after 3 steps"),
        ((good, whole), "A goes on where B stood"),
    ):
        found = mlnn.diff(*pair)
        assert (found.relation, len(found.rows)) == ("bitwise", 3)
        assert words in found.sentence
    found = mlnn.diff(whole, lost)
    assert (found.relation, found.stage, found.step) == ("different", "weights", 3)
    assert "step 3 of A (0 of B)" in found.sentence
    assert "the optimiser's own state differs" in found.sentence


def test_a_capsule_tells_how_the_training_answers_rounding(make: Make) -> None:
    found = mlnn.diff(make(capsules=(0,)), make(capsules=(0,), flipped=True))
    assert found.relation == "equal"
    assert "one ulp in every weight moved the gradient of step 0" in found.yardstick
    assert found.resolution is not None
    assert 8 * 2.0**-23 <= found.resolution != ROUNDING


def test_what_is_another_computation_though_all_that_went_in_is_the_same(make: Make) -> None:
    def own(output: Tensor, target: Tensor) -> Tensor:
        return -(output - output.exp().sum(1, keepdim=True).log())[torch.arange(len(target)), target].mean()

    found = mlnn.diff(make(), make(loss=own))
    assert found.relation == "equal"
    assert "the computation is another one by no more than rounding" in found.sentence
    assert "the computation is another" not in mlnn.diff(make(), make(flipped=True)).sentence


@pytest.mark.parametrize("changed", [{"poison": 2}, {"poison": 2, "times": 1.5}])
def test_one_that_is_not_finite(make: Make, changed: dict[str, Any]) -> None:
    found = mlnn.diff(make(times=changed.get("times", 1.0)), make(**changed))
    assert (found.relation, found.stage, found.step) == ("broken", "loss", 2)
    assert "At step 2 the loss of B is not finite, and that of A is." in found.sentence
    assert mlnn.diff(make(**changed), make(**changed)).relation == "bitwise"
    alike = mlnn.diff(make(**changed), make(**changed, flipped=True))
    assert (alike.relation, alike.judged) == ("equal", 2)
    assert "From step 2 on both are not finite" in alike.sentence
    first = mlnn.diff(make(poison=0), make(poison=0, flipped=True))
    assert (first.relation, first.judged) == ("undecided", 0)


def scaled(out: Path, spoilt: int | None, by: float = 4.0) -> Path:
    """A training under a gradient scaler, at one step of which the gradient overflows."""
    plan = Plan()
    model = net(plan)
    optimizer, scaler = stepper(plan, model), torch.amp.GradScaler("cpu", init_scale=by)
    with record(model, optimizer, out, capsules=()):
        for step in range(4):
            optimizer.zero_grad()
            x = torch.randn(BATCH, 8, generator=torch.Generator().manual_seed(step))
            loss = F.cross_entropy(model(x), torch.arange(BATCH) % 3)
            scaler.scale(loss).backward()
            if step == spoilt:
                model[0].weight.grad[0, 0] = torch.inf
            scaler.step(optimizer)
            scaler.update()
    return out


def test_a_step_that_a_gradient_scaler_left_out(tmp_path: Path) -> None:
    fine, one, two = (scaled(tmp_path / str(at), spoilt) for at, spoilt in enumerate((None, 1, 1)))
    found = mlnn.diff(fine, one)
    assert (found.relation, found.stage, found.step) == ("broken", "gradient", 1)
    assert "Step 1 was left out by B alone" in found.sentence
    alike = mlnn.diff(one, two)
    assert alike.relation == "bitwise"
    assert len(alike.rows) == 4
    assert mlnn.diff(fine, scaled(tmp_path / "more", None, by=16.0)).relation == "bitwise", (
        "scalers multiply and divide"
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"loss": lambda output, target: F.cross_entropy(output * 0, target)}, "the gradient is zero at every step"),
        ({"times": 1e-12}, "the weights never moved"),
        ({"loss": lambda output, _: output.sum() - output.detach().sum() + 1}, "the loss is the same number"),
        ({"steps": 0}, "no step in common"),
    ],
)
def test_trainings_that_did_not_train_are_undecided(make: Make, changed: dict[str, Any], words: str) -> None:
    found = mlnn.diff(make(**changed), make(**changed, threads=2))
    assert found.relation == "undecided"
    assert words in found.sentence
    assert not found.meets("scaled")


def test_other_models_are_undecided_and_the_parameter_named(make: Make) -> None:
    found = mlnn.diff(make(), make(names=True))
    assert (found.relation, found.stage) == ("undecided", "environment")
    assert "'0.weight' of A is not in B, which has '0.0.weight'" in found.sentence


def halves(rank: int) -> Callable[[int], Tensor]:
    return lambda step: picked(Plan(), step)[rank * BATCH // 2 : (rank + 1) * BATCH // 2]


def test_two_processes_and_one(make: Make, tmp_path: Path) -> None:
    found = mlnn.diff(make(), ranks(tmp_path / "two", [halves(0), halves(1)]))
    assert (found.relation, {row.batch for row in found.rows}) == ("equal", {"recut"})
    assert ("processes", ("1", "2")) in [(one.what, one.values) for one in found.settings]
    assert found.rows[0].losses[1] == pytest.approx(found.rows[0].losses[0], rel=1e-6)


@pytest.mark.parametrize(
    ("rows", "averaged", "stage", "words"),
    [
        ((0, 0), True, "batch", "In B, steps 0 to 3: every process was given the same rows"),
        ((0, 1), False, "gradient", "they were not averaged"),
    ],
)
def test_what_goes_wrong_between_processes_is_named(
    make: Make, tmp_path: Path, rows: tuple[int, int], averaged: bool, stage: str, words: str
) -> None:
    found = mlnn.diff(make(), ranks(tmp_path / "two", [halves(rank) for rank in rows], averaged=averaged))
    assert (found.relation, found.stage, found.step) == ("different", stage, 0)
    assert words in found.sentence
    assert "random" not in found.sentence, "processes whose streams stand elsewhere, and still"


def test_a_torn_recording_is_compared_as_far_as_it_goes(make: Make, tmp_path: Path) -> None:
    torn = train(tmp_path / "torn")
    whole = (torn / "steps.bin").read_bytes()
    (torn / "steps.bin").write_bytes(whole[: len(whole) - 100])
    (torn / "ended.json").unlink()
    found = mlnn.diff(make(), torn)
    assert (found.relation, len(found.rows)) == ("bitwise", 5)
    assert "B is torn: frame 6" in found.sentence
    assert "B did not end by itself" in found.sentence


def test_a_diff_is_plain_data_and_a_few_lines(make: Make) -> None:
    found = mlnn.diff(make(), make(faster=3, about=(("commit", "<b>abc</b>"),)))
    told = json.loads(to_json(found.to_dict()))
    assert (told["relation"], told["stage"], told["step"], len(told["rows"])) == ("different", "weights", 3, 6)
    assert repr(found).splitlines()[0] == "Diff: different"
    assert "&lt;b&gt;abc" in found._repr_html_()
    assert len(repr(found).splitlines()) < 12
    assert [one.same for one in found.parameters] == [False] * 4
    assert "about: commit not said against <b>abc</b>" in [one.words() for one in found.settings]


def test_one_layer_that_differs_is_named(make: Make, tmp_path: Path) -> None:
    plan = Plan()
    model = net(plan)
    optimizer = stepper(plan, model)
    torch.manual_seed(5)
    with record(model, optimizer, tmp_path / "b", capsules=()):
        for step in range(plan.steps):
            optimizer.zero_grad()
            step_of(plan, model, step)
            if step == 2:
                model[3].bias.grad *= 1.5
            optimizer.step()
    found = mlnn.diff(make(), tmp_path / "b")
    assert (found.relation, found.stage, found.step) == ("different", "gradient", 2)
    assert "Bits differ in '3.bias' alone, of 4 parameters." in found.sentence
    assert found.parameters[0].name == "3.bias"
    assert found.parameters[0].distance == pytest.approx(0.5, rel=1e-5)
    assert [one.same for one in found.parameters] == [False, True, True, True]


def test_a_word_that_is_no_relation_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="'eqal'"):
        mlnn.diff(make(), make()).meets("eqal")
    with pytest.raises(DataError, match="no recording here"):
        mlnn.diff(make(), "nowhere")
