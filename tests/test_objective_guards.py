"""How an objective is taken, from both sides: its reduction, its extras, and what its reading is worth."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlnn import objectives as o
from mlnn.errors import ConfigError
from mlnn.objectives import Objective, precision, read_likelihood
from mlnn.objectives.layout import Layout, extras_needed, extras_taken, layout_of, sliced
from mlnn.objectives.reading import score
from mlnn.objectives.reduction import drawn_batch, reduction, unsteady
from mlnn.objectives.rowwise import row_by_row, unreduced
from mlnn.objectives.step import Step
from mlnn.targets import TargetSpace

f64 = torch.float64
REAL = TargetSpace("real")


def rows(f: Tensor, y: Tensor) -> Tensor:
    return (f - y) ** 2


def small(f: Tensor, y: Tensor) -> Tensor:
    return 1e-4 * rows(f, y)


def couples(by: float) -> Any:
    return lambda f, y: rows(f, y) + by * f.mean()


KINDS: dict[str, tuple[Any, str | None]] = {
    "per row": (rows, "per row"),
    "mean": (lambda f, y: rows(f, y).mean(), "mean"),
    "sum": (lambda f, y: rows(f, y).sum(), "sum"),
    "broadcast": (lambda f, y: rows(f[:, None], y[None]).mean(), "broadcast"),
    "coupled": (couples(1.0), "coupled"),
    "coupled by little": (couples(1e-6), "coupled"),
    "coupled by rounding": (couples(1e-13), "per row"),
    "one kind at 7 rows and another at 37": (
        lambda f, y: rows(f, y).sum() if len(f) == 7 else rows(f, y).mean(),
        "coupled",
    ),
    "a mean of small rows": (lambda f, y: small(f, y).mean(), "mean"),
    "a mean of small rows, nearly": (lambda f, y: small(f, y).mean() + 3e-8 * (len(f) > 1), "coupled"),
    "a mean of small rows, to rounding": (lambda f, y: small(f, y).mean() + 1e-11 * (len(f) > 1), "mean"),
    "a broadcast of small rows, nearly": (
        lambda f, y: small(f[:, None], y[None]).mean() + 3e-8 * (len(f) > 1),
        "coupled",
    ),
    "refused": (lambda f, y: rows(f, y[:3]), None),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_reduction_is_told_to_rounding(name: str) -> None:
    function, kind = KINDS[name]
    found = reduction(Objective.of(function, REAL, name="loss"))
    assert (found and found.kind) == kind
    if found:
        assert found.couples == (kind in ("coupled", "broadcast"))


def test_the_same_call_gives_the_same_answer_also_where_it_is_nan() -> None:
    calls: list[int] = []

    def moody(f: Tensor, y: Tensor) -> Tensor:
        calls.append(1)
        return rows(f, y) + (len(calls) > 2)

    def turning(f: Tensor, y: Tensor) -> Tensor:
        calls.append(1)
        return rows(f, y) + (f - f.detach()) * (len(calls) > 4)

    assert "answered the same call twice differently" in (unsteady(Objective.of(moody, REAL, name="loss")) or "")
    assert "answered the same call twice differently" in (unsteady(Objective.of(turning, REAL, name="loss")) or "")
    assert unsteady(Objective.of(rows, REAL)) is None
    assert unsteady(Objective.of(lambda f, y: rows(f, y) * torch.nan, REAL, name="loss")) is None
    assert unsteady(Objective.of(lambda f, y: rows(f, y[:3]), REAL, name="loss")) is None, "a refusal is told elsewhere"


# Extras.
MASK, COUNT = torch.ones(100, 20, dtype=f64), torch.tensor(5.0)


def test_made_up_rows_have_the_extras_of_the_data_over_and_over() -> None:
    weights = torch.arange(100, dtype=f64)
    table = torch.ones(3, dtype=f64)
    short = layout_of((20,), {"mask": MASK, "weight": weights, "table": table}, torch.zeros(100, 20, dtype=f64))
    assert short.positions == (8,)
    assert not short.whole
    made = short.rows(130)
    assert made["mask"].shape == (130, 8)
    assert made["weight"].tolist() == [float(k % 64) for k in range(130)]
    assert made["table"] is table, "no row's own"
    assert short.targets_of(130) is not None
    assert layout_of((20,), {}, MASK) == Layout((8,)) or layout_of((20,), {}, MASK).targets is None
    assert Layout().targets_of(3) is None
    whole = layout_of((20,), {"mask": MASK, "count": COUNT}, torch.zeros(100, 20, dtype=f64))
    assert whole.whole
    assert (whole.positions, whole.extras["mask"].shape) == ((20,), (100, 20))
    assert Layout(()).expanded(torch.ones(4, 3), 1).shape == (4, 3)
    assert Layout((2, 5)).expanded(torch.ones(4, 3), 1).shape == (4, 2, 5, 3)
    assert Layout((2, 5)).expanded(torch.ones(4), 0).shape == (4, 2, 5)


def test_a_slice_of_rows_takes_what_is_the_rows_own() -> None:
    cut = sliced({"mask": MASK, "count": COUNT, "table": torch.ones(3)}, slice(2, 5), 100)
    assert (cut["mask"].shape, cut["count"].shape, cut["table"].shape) == ((3, 20), (), (3,))


def with_extras(f: Tensor, y: Tensor, mask: Tensor, scale: float = 1.0, *, weight: Tensor) -> Tensor:
    return f * y * mask * weight * scale


def anything(f: Tensor, y: Tensor, **rest: Tensor) -> Tensor:
    return sum(rest.values(), f * y)


def test_which_extras_a_loss_takes_and_which_it_needs() -> None:
    assert extras_taken(with_extras) == {"mask", "scale", "weight"}
    assert extras_needed(with_extras) == {"mask", "weight"}
    assert extras_taken(anything) is None
    assert extras_needed(anything) == frozenset()
    assert extras_taken(lambda f, y, /, mask: f * y * mask) == {"mask"}
    assert extras_taken(lambda f, /, y, mask: f * y * mask) == {"mask"}
    assert extras_taken(nn.MSELoss()) == extras_needed(nn.MSELoss()) == frozenset()
    assert extras_taken(dict.fromkeys) == extras_taken(rows) == frozenset()


# Asked row by row.
def test_a_module_is_asked_without_its_own_reduction_and_any_other_as_it_is() -> None:
    for kind in ("mean", "sum"):
        assert unreduced(Objective.of(nn.MSELoss(reduction=kind), REAL)).function.reduction == "none"  # type: ignore[attr-defined]
    alone = Objective.of(nn.MSELoss(reduction="none"), REAL)
    assert unreduced(alone) is alone
    plain = Objective.of(rows, REAL)
    assert unreduced(plain) is plain


def test_each_row_is_asked_alone_where_the_objective_reduces_or_refuses() -> None:
    f, y = torch.linspace(-2, 2, 9, dtype=f64), torch.linspace(0, 1, 9, dtype=f64)

    def picky(f: Tensor, y: Tensor) -> Tensor:
        if bool((f > 1.9).any()):
            raise ValueError("too far\nout")
        return rows(f, y).mean()

    for function, refused in ((rows, False), (lambda f, y: rows(f, y).sum(), False), (picky, True)):
        value, gradient, said = row_by_row(Objective.of(function, REAL, name="loss"), f, y)
        kept = slice(0, 8) if refused else slice(0, 9)
        torch.testing.assert_close(value[kept], rows(f, y)[kept])
        torch.testing.assert_close(gradient[kept], 2 * (f - y)[kept])
        assert bool(value[8:].isnan().all()) == refused
        assert said == ("ValueError: too far" if refused else None)
    value, gradient, _ = row_by_row(Objective.of(lambda f, y: y + 0 * f.detach(), REAL, name="loss"), f, y)
    assert gradient.tolist() == [0.0] * 9, "an output that is ignored has gradient 0"


# What a reading is worth.
def test_a_score_in_numbers() -> None:
    nll, least = torch.tensor([1.0, 2.0], dtype=f64), torch.tensor([0.5, 0.5], dtype=f64)
    found = score("any", nll, least, 3)
    assert (found.log_likelihood, found.per_row, found.deviance) == (-3.0, -1.5, 4.0)
    assert (found.aic, found.bic) == (pytest.approx(12.0), pytest.approx(3 * math.log(2) + 6))
    assert found.geometric_mean == pytest.approx(math.exp(-1.5))
    assert score("any", nll, None, 3).deviance is None
    assert score("any", nll, -torch.inf * least, 3).deviance is None
    assert score("any", -708.0 * torch.ones(2, dtype=f64), None, 3).geometric_mean == pytest.approx(math.exp(708))
    assert score("any", -710.0 * torch.ones(2, dtype=f64), None, 3).geometric_mean == math.inf


class Own:
    """A likelihood from elsewhere, without a saturated model."""

    def __init__(self, sd: float = 2.0) -> None:
        self.sd = sd

    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        return o.Normal(self.sd).nll(output, target)


class Total(Own):
    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        return super().nll(output, target).sum()


def caveats(given: Any, module: nn.Module, kind: str, output: Tensor, target: Tensor) -> set[str]:
    """The first words of each."""
    found = read_likelihood(Objective.of(given, TargetSpace(kind)), module, output, target)
    assert found is not None
    return {" ".join(one.split()[:4]) for one in found.caveats} - {"AIC and BIC presume"}


def test_what_a_reading_may_not_mean_is_said_where_it_is_so() -> None:
    node, deep = nn.Linear(2, 1), nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 1))
    y = torch.tensor([0.0, 1.0] * 10, dtype=f64)
    far, near = 5 * (2 * y - 1), 0 * y
    assert caveats(o.Normal(), node, "real", near, y) == set()
    assert caveats(o.Normal(), nn.Linear(19, 1), "real", near, y) == {"20 parameters for 20"}
    assert caveats(o.Normal(), nn.Linear(18, 1), "real", near, y) == set()
    assert caveats(o.Normal(), deep, "real", near, y) == {"hidden layers make the", "Dropout: in training the"}
    assert caveats(o.Bernoulli(), node, "binary", far, y) == {"every target has a"}
    assert caveats(o.Bernoulli(), node, "binary", near, y) == set()
    assert caveats(o.Normal(0.1), node, "real", y, y) == set(), "reals are not told rightly or wrongly"
    assert caveats(o.Normal(), node, "real", near / 0, y) == {"some rows have no"}
    assert caveats(Own(), node, "real", near, y) == {"a saturated model of"}
    assert caveats(o.NormalLearnedVariance(), node, "real", torch.stack([near, near], 1), y) == {
        "the likelihood is unbounded,"
    }
    assert read_likelihood(Objective.of(Total(), REAL), node, near, y) is None, "it tells of no row"
    assert read_likelihood(Objective.of(o.hinge, TargetSpace("binary")), node, near, y) is None
    named = read_likelihood(Objective.of(Own(), REAL), node, near, y)
    assert named is not None
    assert named.likelihood == "Own(sd=2)"


# What an objective computes in.
def answer(value: float, gradient: float = 1.0, *asked: torch.dtype) -> precision._Answer:
    one = torch.ones(3, dtype=f64)
    return precision._Answer(value * one, gradient * one[:, None], frozenset(asked))


def test_how_far_two_answers_are_apart() -> None:
    assert answer(1.0).off(answer(1.0)) == 0
    assert answer(1.1).off(answer(1.0)) == pytest.approx(0.1)
    assert answer(1.0, 3.0).off(answer(1.0, 2.0)) == pytest.approx(0.5)
    assert answer(math.nan).off(answer(1.0)) == math.inf
    other = precision._Answer(torch.ones(1, dtype=f64), torch.ones(3, 1, dtype=f64), frozenset())
    assert answer(1.0).off(other) == math.inf
    assert answer(1.0).changed(answer(1.0, 2.0)).tolist() == answer(1.0).changed(answer(2.0)).tolist() == [True] * 3
    assert answer(1.0).changed(answer(1.0)).tolist() == [False] * 3
    reduced = precision._Answer(2 * torch.ones(1, dtype=f64), torch.ones(3, 1, dtype=f64), frozenset())
    assert reduced.changed(other).tolist() == [False] * 3, "of a batch's number the rows' gradients tell"


@pytest.mark.parametrize(("twin", "told", "why"), [
    (None, answer(1.0), "no finite answer"), (answer(1.0, 1.0, torch.float32), None, None), (answer(9.0), answer(1.0), None),
    (answer(1.00001, 1.0, torch.float32), answer(1.0), None), (answer(1.001, 1.0, torch.float32), answer(1.0), "reads something"),
    (answer(1.1, 1.0, torch.bfloat16), answer(1.0), None), (answer(1.5, 1.0, torch.bfloat16), answer(1.0), "reads something else"),
    (answer(1.1, 1.0, torch.bfloat16, torch.float32), answer(1.0), None),
])  # fmt: skip
def test_a_twin_is_that_of_the_objective_where_it_moves_by_no_more_than_rounding(
    twin: Any, told: Any, why: str | None
) -> None:
    found = precision._unopened(twin, told)
    assert (found is None) if why is None else (why in (found or ""))


@pytest.mark.parametrize(("share", "matters"), [(1.0, True), (1e-4, True), (1e-10, False)])
def test_a_cast_matters_where_it_moves_an_answer_by_more_than_rounding(share: float, matters: bool) -> None:
    cast = Objective.of(lambda f, y: rows(f, y) + share * f.float().double(), REAL, name="loss")
    output, target = drawn_batch(REAL, 37)
    twin = precision._answer(cast, output, target, f64)
    assert twin is not None
    assert twin.asked == {torch.float32}
    assert precision._matter(cast, output, target, f64, twin) == ([torch.float32] if matters else [])
    alone = precision._answer(Objective.of(rows, REAL), output, target, f64)
    assert alone is not None
    assert precision._matter(cast, output, target, f64, alone) == [], "nothing was asked for"


@pytest.mark.parametrize(("size", "noisy"), [(0.0, False), (1e-11, False), (3e-8, True)])
def test_an_answer_as_noisy_as_float32_computes_in_it(size: float, noisy: bool) -> None:
    """The noise is of values and gradients that no rounding of the output explains."""

    def loss(f: Tensor, y: Tensor) -> Tensor:
        wave = size * torch.sin(1e9 * f.detach())
        return (1 + wave) * rows(f, y)

    output, target = drawn_batch(REAL, 37)
    assert precision._sealed_in(Objective.of(loss, REAL), output, target) == (torch.float32 if noisy else None)
    ulps = precision.STEP / torch.finfo(torch.float32).eps
    assert 4 < ulps < 5
    assert abs(ulps - round(ulps)) > 0.1, "no whole number of them"


def of_rounded(share: float) -> Any:
    """A share of the rows is computed of the output as float32 has it."""

    def loss(f: Tensor, y: Tensor) -> Tensor:
        low = torch.from_numpy(f.detach().numpy().astype("float32").astype("float64"))
        some = torch.arange(len(f)) < share * len(f)
        return rows(torch.where(some, f + (low - f.detach()), f), y)

    return loss


@pytest.mark.parametrize(("shares", "sealed"), [(0.0, False), (1.0, True), (0.9, True)])
def test_most_rows_stay_where_the_output_is_rounded_first(shares: float, sealed: bool) -> None:
    output, target = drawn_batch(REAL, 37)
    found = precision._sealed_in(Objective.of(of_rounded(shares), REAL), output, target)
    assert (found == torch.float32) == sealed


# Rows of several positions, and a whole step.
def test_a_row_is_the_mean_of_its_positions_that_count() -> None:
    value = torch.tensor([[1.0, 2.0, 6.0], [4.0, 5.0, 9.0]], dtype=f64)
    target = torch.tensor([[0, 1, -100], [1, 2, 0]])
    plain, ignoring = (Objective.of(o.cross_entropy, TargetSpace("classes", 3, ignore=label)) for label in (None, -100))
    assert plain.per_row(value, target).tolist() == [3.0, 6.0]
    assert ignoring.per_row(value, target).tolist() == [1.5, 6.0]
    assert ignoring.per_row(value[:, 0], target).tolist() == [1.0, 4.0], "the objective's own mean of a row"
    single = ignoring.per_row(value[:, 0], target[:, 2])
    assert bool(single[0].isnan())
    assert float(single[1]) == 4.0
    assert plain.per_row(value[:, 0], target[:, 2]).tolist() == [1.0, 4.0]


@pytest.mark.parametrize(("shape", "fits"), [
    ((4,), True), ((), True), ((4, 6), True), ((24,), True), ((6,), False), ((4, 6, 1), False),
])  # fmt: skip
def test_an_answer_is_one_of_the_shapes_that_rows_and_positions_have(shape: tuple[int, ...], fits: bool) -> None:
    space = TargetSpace("classes", 3)
    made = Objective.of(lambda f, _y: f.sum() * torch.ones(shape, dtype=f64), space, name="loss")
    output, target = torch.zeros(4, 6, 3, dtype=f64), torch.zeros(4, 6, dtype=torch.int64)
    if fits:
        assert made.rows(output, target).shape == ((4, 6) if shape == (24,) else shape)
    else:
        with pytest.raises(ConfigError, match=r"one value per position \(4, 6\) or a scalar is expected"):
            made.rows(output, target)


@pytest.mark.parametrize(("function", "words"), [
    (lambda model, x: model(x).mean(), None), (lambda model, x: model(x).mean().item(), "returned float, not a tensor"),
    (lambda model, x: model(x)[:, 0], r"returned float32 of shape \(5,\)"),
    (lambda model, x: model(x).mean().long(), r"returned int64 of shape \(\)"),
])  # fmt: skip
def test_a_step_answers_with_one_real_number(function: Any, words: str | None) -> None:
    step = Step(function, "mine")
    if words is None:
        assert step(nn.Linear(2, 1), torch.ones(5, 2)).shape == ()
    else:
        with pytest.raises(ConfigError, match=f"step 'mine' {words}"):
            step(nn.Linear(2, 1), torch.ones(5, 2))
    assert not step.rowwise
