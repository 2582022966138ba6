"""The objective taken out of somebody's step: bit for bit the loss, in float64 too, audited, probed and said in a sentence."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lift_cases import CASES, CLASSES, EIGHT, LABELS, TOKENS, Single, X, made
from torch import Tensor, nn

import mlnn
from mlnn.errors import ConfigError, NoAnswerError
from mlnn.lifting.described import described
from mlnn.lifting.lifted import Lifted
from mlnn.lifting.rows import BatchLoss, RowLoss
from mlnn.objectives import Objective
from mlnn.objectives.grid import curves, make_grid
from mlnn.recording.lift import of_lifted
from mlnn.testing import assert_same_objective

REFUSED = ("fused", "past the model", "noise")
REFERENCES = {
    "cross-entropy": nn.CrossEntropyLoss(),
    "bce": nn.BCEWithLogitsLoss(),
    "mse": nn.MSELoss(),
    "poisson": nn.PoissonNLLLoss(),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.1),
    "hidden": nn.CrossEntropyLoss(ignore_index=-100),
    "padded": lambda z, y: 0.5 * F.cross_entropy(z, y, ignore_index=-100, reduction="none"),
    "doubled": lambda z, y: 2 * F.cross_entropy(z, y),
    "wrong divisor": lambda z, y: 6 / 5 * F.cross_entropy(z, y),
    "log-probabilities": nn.CrossEntropyLoss(),
    "in place": lambda z, y: F.cross_entropy(z / 2, y),
    "by a mask": nn.CrossEntropyLoss(ignore_index=9),
    "from its largest": nn.CrossEntropyLoss(),
    "gaussian": lambda z, y: F.gaussian_nll_loss(z[:, 0], y, z[:, 1].exp(), reduction="none"),
}


def lifted(name: str) -> Objective:
    return mlnn.lift(*made(name))


def inside(objective: Objective) -> Lifted:
    found = objective.function
    assert isinstance(found, RowLoss | BatchLoss)
    return found.lifted


@pytest.mark.parametrize("name", [name for name in CASES if name not in REFUSED])
def test_a_lifted_objective_is_the_loss_bit_for_bit_and_its_float64_twin(name: str) -> None:
    step, model, batch = made(name)
    found = inside(mlnn.lift(step, model, batch))
    loss = step(model, batch).detach()
    points = [entry.value.clone().requires_grad_() for entry in found.outputs]
    value = found(*points)
    assert torch.equal(value.reshape(()), loss)
    value.backward()
    twins = [entry.value.double().requires_grad_() for entry in found.outputs]
    twin = found(*twins)
    twin.backward()
    assert twin.dtype == torch.float64
    assert 0 < abs(float(twin.detach()) - float(value.detach())) < 1e-6 or name == "hinge"
    for one, two in zip(points, twins, strict=True):
        assert one.grad is not None
        torch.testing.assert_close(one.grad.double(), two.grad, atol=1e-6, rtol=1e-5)


def test_the_float64_twin_computes_in_float64_what_the_loss_casts_down() -> None:
    def step(model: nn.Module, batch: Any) -> Tensor:
        weights = torch.tensor([0.1, 0.2, 0.7])
        return (
            F.log_softmax(model(batch[0]).float(), 1, dtype=torch.float32).gather(1, batch[1][:, None])[:, 0]
            * weights[batch[1]]
        ).sum()

    found = inside(mlnn.lift(step, Single(CLASSES), (X, LABELS)))
    twin = found.outputs[0].value.double()
    wanted = (
        twin.log_softmax(1).gather(1, LABELS[:, None])[:, 0] * torch.tensor([0.1, 0.2, 0.7]).double()[LABELS]
    ).sum()
    assert abs(float(found(twin)) - float(wanted)) < 1e-15


@pytest.mark.parametrize("name", REFERENCES)
def test_a_lifted_objective_is_that_of_a_row_wherever_it_is_asked(name: str) -> None:
    objective = lifted(name)
    space = objective.targets
    reference = Objective.of(REFERENCES[name], replace(space, raw=None) if name == "gaussian" else space)
    reference = replace(reference, targets=space)
    grid = make_grid(space)
    mine, theirs = (curves(one, grid, torch.float64) for one in (objective, reference))
    near = grid.reach.squeeze(1) < 80  # beyond, a sum of rows overflows before it is divided
    assert bool(mine.finite[near].all())
    torch.testing.assert_close(mine.value[near], theirs.value[near], atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(mine.gradient[near], theirs.gradient[near], atol=1e-12, rtol=1e-12)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("cross-entropy", "likelihood", "minimises 1.000000 × −log of the categorical likelihood, mean over rows."),
        ("bce", "likelihood", "minimises 1.000000 × −log of the Bernoulli likelihood, mean over rows."),
        ("mse", "likelihood family", "minimises −log of the normal likelihood, its dispersion free, mean over rows."),
        (
            "gaussian",
            "likelihood",
            "minimises 1.000000 × −log of the normal, variance learned likelihood, mean over rows.",
        ),
        ("poisson", "likelihood", "minimises 1.000000 × −log of the Poisson likelihood, mean over rows."),
        ("smoothed", "calibrated", "minimises no likelihood (calibrated), mean over rows: "),
        ("focal", "calibrated", "minimises no likelihood (calibrated), mean over rows: "),
        ("hinge", "no link", "minimises no likelihood (no link), mean over rows: "),
        ("hidden", "likelihood", "minimises 1.000000 × −log of the categorical likelihood, mean over kept tokens."),
        (
            "padded",
            "scaled likelihood",
            "minimises 0.500000 × −log of the categorical likelihood, mean over kept tokens.",
        ),
        ("doubled", "scaled likelihood", "minimises 2.000000 × −log of the categorical likelihood, mean over rows."),
        (
            "wrong divisor",
            "scaled likelihood",
            "minimises 1.200000 × −log of the categorical likelihood, mean over rows.",
        ),
        (
            "summed",
            "scaled likelihood",
            "minimises 1.000000 × −log of the categorical likelihood, summed over the 6 rows.",
        ),
        ("probabilities", "likelihood", "minimises 1.000000 × −log of the Bernoulli likelihood, mean over rows."),
        (
            "log-probabilities",
            "likelihood",
            "; the model returns log-probabilities, and logits become these by a log-softmax.",
        ),
    ],
)
def test_an_audit_and_a_sentence_say_what_a_step_minimises(name: str, kind: str, sentence: str) -> None:
    objective = lifted(name)
    certificate = mlnn.audit(objective)
    assert certificate.kind == kind
    assert sentence in described(objective, certificate)


def test_the_eight_are_among_what_is_audited() -> None:
    assert set(EIGHT) <= CASES.keys()
    assert "likelihood" in described(lifted("bce"))


@pytest.mark.rest
def test_a_lifted_objective_goes_through_the_gate() -> None:
    assert assert_same_objective(lifted("bce"), nn.BCEWithLogitsLoss()).relation == "equal"
    with pytest.raises(AssertionError, match="scaled"):
        assert_same_objective(lifted("doubled"), nn.CrossEntropyLoss(), "classes(3)")


def test_what_separates_and_what_does_not() -> None:
    hidden = lifted("hidden").function
    assert isinstance(hidden, RowLoss)
    assert hidden.rows is not None
    assert (hidden.rows.kept, hidden.rows.positions, hidden.rows.checked) == (7, 9, 7)
    for name, words in (("class weights", "do not count alike, by 0.5 to 1.5"), ("pairs", "depends on the others")):
        objective = lifted(name)
        whole = objective.function
        assert isinstance(whole, BatchLoss)
        assert words in whole.reason
        assert words in described(objective)
        entries = whole.lifted
        value = objective(entries.outputs[0].value, entries.constants[whole.target].value)
        assert torch.equal(value, entries(entries.outputs[0].value))
        with pytest.raises(ConfigError, match="takes whole batches"):
            objective(torch.zeros(2, CLASSES), torch.zeros(2))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fused", "multiplies what the model returned by weights"),
        ("past the model", "did not call the model"),
        ("noise", "draws random numbers"),
    ],
)
def test_what_cannot_be_lifted_says_why(name: str, words: str) -> None:
    with pytest.raises(NoAnswerError, match=words):
        lifted(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own backward", "another gradient than its formula has, off by 0.5 of"),
        ("own backward", "its backward pass is autograd's, not that of Doubled"),
        ("penalty", "weights lead to the loss by another way"),
        ("frozen", "decides something in Python"),
        ("branch", "decides something in Python"),
    ],
)
def test_what_of_a_step_is_not_in_its_objective_is_said(name: str, words: str) -> None:
    assert words in "; ".join(inside(lifted(name)).notes)
    assert inside(lifted("cross-entropy")).notes == ()
    assert inside(lifted("gaussian")).notes == (), "a number was read, and nothing hangs on it"


def test_targets_and_target_can_be_said() -> None:
    step, model, (x, y) = made("mse")
    assert mlnn.lift(step, model, (x, y), targets="positive").targets.kind == "positive"

    def two(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return F.mse_loss(model(batch["x"]) * batch["a"], batch["b"])

    batch = {"x": x, "a": y + 0.5, "b": y}
    with pytest.raises(ConfigError, match=r"'a' .*, 'b' .* may each be the target"):
        mlnn.lift(two, model, batch)
    found = mlnn.lift(two, model, batch, target="b").function
    assert isinstance(found, BatchLoss)
    with pytest.raises(ConfigError, match="'c' is none of what enters"):
        mlnn.lift(two, model, batch, target="c")
    with pytest.raises(ConfigError, match="goes with none of the raw outputs"):
        mlnn.lift(step, model, (x, y), targets="classes(7)")
    with pytest.raises(ConfigError, match="give a capsule, or a step"):
        mlnn.lift(step)


def test_lifting_leaves_model_batch_and_streams_as_they_were() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, CLASSES))

    def step(model: nn.Module, batch: list[Tensor]) -> Tensor:
        batch[1].add_(0)
        return F.cross_entropy(model(batch[0]), batch[1])

    batch, before = [X.clone(), LABELS.clone()], {name: part.clone() for name, part in model.state_dict().items()}
    stream = torch.random.get_rng_state()
    objective = mlnn.lift(step, model, batch)
    assert torch.equal(torch.random.get_rng_state(), stream)
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())
    assert batch[1]._version == 0
    assert all(weight.grad is None for weight in model.parameters())
    assert objective.targets.kind == "classes"


def test_a_step_that_was_renamed_keeps_its_name() -> None:
    step, model, batch = made("bce")
    assert mlnn.lift(mlnn.Step(step, "ours"), model, batch).name == "ours"


@pytest.mark.parametrize("name", [name for name in CASES if name not in (*REFUSED, "class weights", "pairs")])
def test_many_rows_at_once_are_what_rows_alone_are(name: str) -> None:
    loss = lifted(name).function
    assert isinstance(loss, RowLoss)
    assert loss.spread is not None
    space, draws = loss.form.space, torch.Generator().manual_seed(7)
    size = (17, space.outputs) if loss.form.several else (17,)
    output = 4 * torch.randn(size, generator=draws, dtype=torch.float64)
    output = output.sigmoid() if name == "probabilities" else output
    target = replace(space, ignore=None).draw(draws, (17,))
    many = loss.spread.values(output, target, raises=False)
    torch.testing.assert_close(many, loss(output, target), atol=1e-12, rtol=1e-12)


def test_a_large_batch_is_asked_for_many_rows_at_once() -> None:
    x, y = torch.randn(70, 5), torch.randint(3, (70,))
    y[:3] = -100
    loss = mlnn.lift(lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]), Single(3), (x, y)).function
    assert isinstance(loss, RowLoss)
    assert loss.rows is not None
    assert (loss.rows.kept, loss.pays) == (67, True)
    assert not lifted("cross-entropy").function.pays  # type: ignore[attr-defined]
    output, target = 30 * torch.randn(200, 3, dtype=torch.float64), torch.randint(3, (200,))
    target[7] = -100
    torch.testing.assert_close(
        loss(output, target), F.cross_entropy(output, target, reduction="none"), atol=1e-12, rtol=1e-12
    )


def test_rows_are_mapped_one_by_one_where_they_are_not_spread() -> None:
    loss = lifted("by a mask").function
    assert isinstance(loss, RowLoss)
    z, y = torch.randn(4, 3, dtype=torch.float64), torch.tensor([2, 9, 0, 2])
    torch.testing.assert_close(loss(z, y), F.cross_entropy(z, y, reduction="none", ignore_index=9))
    other = lifted("hidden").function
    labels = torch.tensor([2, 1, 0, 2])
    mapped = torch.func.vmap(other)(z[None].expand(2, 4, 3), labels.expand(2, 4))
    torch.testing.assert_close(mapped[1], F.cross_entropy(z, labels, reduction="none"))


def test_other_targets_may_be_put_in() -> None:
    step, model, batch = made("hidden")
    objective = mlnn.lift(step, model, batch)
    z = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.0, 4.0], [1.0, 2.0, 3.0]], dtype=torch.float64)
    y = torch.tensor([2, -100, 0])
    wanted = F.cross_entropy(z, y, reduction="none", ignore_index=-100)
    torch.testing.assert_close(objective.rows(z, y), wanted)
    torch.testing.assert_close(objective(z.expand(2, 3, 3), y.expand(2, 3)), wanted.sum() / 2)
    assert of_lifted(inside(objective)).targets == objective.targets
    assert int((TOKENS == -100).sum()) == 3
