"""The labels of the field's pairs, proved without a verdict: value and gradient of both sides, or where both loops lead."""

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from faults import PAIRS
from faults.field_rows import ignoring, in_place_target, weights_unread
from faults.field_updates import by_token_count, shares_of_means, whole_window
from faults.pair import BITS, Batch, Pair
from faults.rows import draw_batch, draw_batches, draw_output, read
from torch import Tensor, nn

from mlnn.seeding import generator

FIELD = [pair for pair in PAIRS if pair.family == "field"]
BY_NAME = {pair.name: pair for pair in FIELD}
ROWS, SCALES = 11, (0.3, 1.0, 4.0)
ROUNDING = {"float64": 1e-12, "float32": 2e-6, "bfloat16": 3e-2}
"""What an equal side may be off by that computes in a precision of its own, relative to the batch's largest."""
LEAST = 10.0
"""A fault shows by this many times what rounding may do."""


@dataclasses.dataclass(frozen=True)
class Sides:
    """One question put to both sides: values, and gradients laid flat."""

    values: tuple[float, float]
    gradients: tuple[Tensor, Tensor]


def rounding(pair: Pair) -> float:
    return ROUNDING[min(pair.inside, key=lambda inside: BITS[inside])]


def asked(pair: Pair) -> Iterator[Sides]:
    """Both sides on random batches: of every scale and where the fault is said to show, plain and under random weights."""
    draws = generator(0, "field", pair.name)
    for scale in SCALES * 2:
        batch = draw_batch(pair, ROWS, draws)
        if pair.step:
            yield _of_step(pair, batch)
            continue
        z = draw_output(pair, ROWS, draws, scale)
        spots = [z] if pair.shows is None else [z, pair.shows(z)]
        for spot in spots:
            yield from _of_objective(pair, spot, batch, draws)


def _of_objective(pair: Pair, z: Tensor, batch: Batch, draws: torch.Generator) -> Iterator[Sides]:
    extras = {name: tensor for name, tensor in batch.items() if name not in ("x", "y")}
    free = [z.clone().requires_grad_() for _ in range(2)]
    given = zip((pair.left, pair.right), free, strict=True)
    left, right = (function(one.clone(), batch["y"].clone(), **extras) for function, one in given)  # type: ignore[misc]
    weights = [torch.tensor(1.0, dtype=torch.float64)]
    if left.ndim and left.shape == right.shape:
        weights.append(torch.rand(left.shape, generator=draws, dtype=torch.float64))
    for weight in weights:
        values = [(side * weight).double().mean() for side in (left, right)]
        slopes = [torch.autograd.grad(v, one, retain_graph=True)[0] for v, one in zip(values, free, strict=True)]
        yield Sides(tuple(v.item() for v in values), tuple(s.flatten() for s in slopes))  # type: ignore[arg-type]


def _of_step(pair: Pair, batch: Batch) -> Sides:
    model = _model(pair)
    values, slopes = [], []
    for function in (pair.left, pair.right):
        loss = function(model, batch)
        found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)
        values.append(loss.item())
        slopes.append(torch.cat([slope.flatten() for slope in found]))
    return Sides((values[0], values[1]), (slopes[0], slopes[1]))


def _model(pair: Pair) -> nn.Module:
    assert pair.model is not None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return pair.model().double()


def gaps(pair: Pair) -> tuple[float, float, float]:
    """(largest gap of a value, largest gap of a gradient, the same under the one factor that fits best), all relative."""
    found = list(asked(pair))
    value = max(abs(two - one) / (1 + abs(one)) for one, two in (sides.values for sides in found))
    ones, twos = [], []
    for one, two in (sides.gradients for sides in found):
        size = one.norm().clamp_min(1e-30)
        ones.append(one / size)
        twos.append(two / size)
    apart = max(float((two - one).norm()) for one, two in zip(ones, twos, strict=True))
    one, two = torch.cat(ones), torch.cat(twos)
    factor = (one @ two) / (one @ one)
    return value, apart, max(float((b - factor * a).norm()) for a, b in zip(ones, twos, strict=True))


def held(pair: Pair) -> str | None:
    """What is wrong with a pair's label; None if it holds."""
    if pair.update:
        apart = _loops(pair)
        return None if (apart < 1e-10) == (pair.kind == "equal") else f"weights are {apart:.1e} apart"
    value, slope, scaled = gaps(pair)
    same, told = rounding(pair), LEAST * rounding(pair)
    said = f"value {value:.1e}, gradient {slope:.1e}, under one factor {scaled:.1e}"
    if not all(gap == gap for gap in (value, slope, scaled)):
        return f"not finite: {said}"
    if pair.kind == "equal":
        fits = slope <= same and (value <= same or "shifted" in pair.relations)
        return None if fits else said
    if pair.relations == ("scaled",):
        return None if scaled <= same and slope > told else said
    parts = "scaled" in pair.relations or scaled > told or value > told  # else it is only a factor
    return None if max(value, slope) > told and parts else said


def _loops(pair: Pair) -> float:
    """How far apart, relative, the two loops' weights are in the end."""
    assert pair.update is not None
    ends = []
    for update in pair.update:
        model = _model(pair)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for batch in draw_batches(pair, pair.steps or 6, 16, generator(0, "loops")):
            assert torch.isfinite(torch.tensor(update(model, optimizer, [batch])))
        ends.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
    return float((ends[1] - ends[0]).norm() / ends[0].norm())


@pytest.mark.parametrize("pair", FIELD, ids=lambda pair: pair.name)
def test_a_label_is_true(pair: Pair) -> None:
    assert held(pair) is None


@pytest.mark.parametrize("pair", [pair for pair in FIELD if pair.relations == ("shifted",)], ids=lambda pair: pair.name)
def test_a_shift_depends_on_the_target_only(pair: Pair) -> None:
    draws = generator(0, "shift")
    y = draw_batch(pair, ROWS, draws)["y"]
    outputs = [draw_output(pair, ROWS, draws, scale) for scale in SCALES]
    shifts = [float((pair.right(z, y) - pair.left(z, y)).mean()) for z in outputs]
    assert abs(shifts[0]) > 1e-3
    assert max(shifts) - min(shifts) < 1e-13


@pytest.mark.parametrize(
    "name",
    ["casts: smoothing 1e-3", "kernel: small probabilities dropped", "tokens: smoothing 1e-4", "rows: floored at -30",
     "spaces: labels summed", "steps: second head weaker", "updates: clipped in parts"],
)  # fmt: skip
def test_a_fault_that_is_labelled_equal_is_found(name: str) -> None:
    assert held(dataclasses.replace(BY_NAME[name], kind="equal", relations=("equal",))) is not None


@pytest.mark.parametrize(
    "name",
    ["casts: bfloat16 outputs", "kernel: plain", "tokens: chunked sums", "steps: contrast", "updates: clipped by hand"],
)
def test_an_equal_pair_that_is_labelled_wrong_is_found(name: str) -> None:
    assert held(dataclasses.replace(BY_NAME[name], kind="unequal", relations=("different",))) is not None


def test_a_factor_and_a_difference_are_told_apart() -> None:
    assert held(dataclasses.replace(BY_NAME["tokens: mean of sequence means"], relations=("scaled",))) is not None
    assert held(dataclasses.replace(BY_NAME["rows: weights unread"], relations=("scaled",))) is not None
    nan = dataclasses.replace(BY_NAME["tokens: masked"], right=lambda z, y: (z * torch.nan).mean() + 0 * y.sum())
    assert "not finite" in str(held(nan))


def test_a_fault_that_shows_far_out_does_not_show_in_the_middle() -> None:
    for name in ("rows: padding not masked", "rows: floored at -30", "rows: kink under a zero head"):
        assert held(dataclasses.replace(BY_NAME[name], shows=None)) is not None, name


def test_the_field_has_faults_and_right_forms_of_every_kind() -> None:
    kinds = {pair.name.split(":")[0] for pair in FIELD}
    assert kinds == {"casts", "kernel", "tokens", "positions", "rows", "spaces", "steps", "updates"}
    for kind in kinds:
        own = [pair.kind for pair in FIELD if pair.name.startswith(f"{kind}:")]
        assert min(own.count("equal"), own.count("unequal")) >= 5, kind
    assert min(sum(pair.kind == kind for pair in FIELD) for kind in ("equal", "unequal")) >= 32
    spaces = {read(pair.targets).kind for pair in FIELD}
    assert spaces == {"binary", "classes", "multilabel", "simplex", "ordinal", "real"}
    assert all(pair.cause is None for pair in FIELD if pair.kind == "equal")


def test_what_a_side_computes_in_widens_what_is_expected_of_an_equal_pair_only() -> None:
    pair = BY_NAME["kernel: plain"]
    assert pair.expected("float32") == ("bitwise", "equal")
    assert pair.computes_in("float64") == {"right": "float32"}
    assert pair.expected("float64") == ("bitwise", "equal", "indistinguishable")
    assert BY_NAME["casts: float32 against float64"].computes_in("float64") == {"left": "float32"}
    assert BY_NAME["casts: bfloat16 outputs"].computes_in("float32") == {"right": "bfloat16"}
    assert BY_NAME["kernel: small probabilities dropped"].expected("float64") == ("different",)


def test_a_space_is_read_as_it_is_written() -> None:
    space = read("classes(5, ignore=-100, axis=1)")
    assert (space.kind, space.size, space.ignore, space.axis) == ("classes", 5, -100, 1)
    assert space.raw_shape(3, (6,)) == (3, 5, 6)
    assert read("classes(5, ignore=2)").ignore == 2
    assert read("ordinal(4)").raw_shape(3, ()) == (3, 3)
    assert read("binary").raw_shape(3, (6,)) == (3, 6)
    assert read("real").outputs == 1


def test_rows_are_of_the_shape_that_is_said_and_the_same_every_time() -> None:
    pair = BY_NAME["tokens: given count"]
    one, two = (draw_batch(pair, ROWS, generator(1, "rows")) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert one["x"].shape == (ROWS, 6, 5)
    assert one["y"].shape == (ROWS, 6)
    keep = one["y"] != -100
    assert keep[:, 0].all()  # no row is empty
    assert 0.2 < keep.double().mean() < 0.8
    assert len(set(keep.sum(1).tolist())) > 2  # of unequal length
    for pair in FIELD:
        drawn = draw_batch(pair, 4, generator(2, pair.name))
        assert all(len(tensor) == 4 for tensor in drawn.values()), pair.name
    parts = draw_batches(BY_NAME["updates: never zeroed"], 3, 16, generator(3, "rows"))
    assert [len(part["y"]) for part in parts] == [16, 16, 16]
    assert not torch.equal(parts[0]["x"], parts[1]["x"])


def test_a_pair_that_is_said_to_write_in_place_does() -> None:
    draws = generator(4, "in place")
    batch, z = draw_batch(BY_NAME["rows: target overwritten"], ROWS, draws), torch.randn(ROWS, 5, dtype=torch.float64)
    before = batch["y"].clone()
    assert torch.isclose(in_place_target(z, batch["y"]), ignoring(z, before))
    assert not torch.equal(batch["y"], before)
    ours = z.clone()
    BY_NAME["rows: output overwritten"].right(ours, before.clamp_min(0))
    assert not torch.equal(ours, z)
    extra = torch.rand(ROWS, dtype=torch.float64)
    assert weights_unread(z, before.clamp_min(0), extra) == weights_unread(z, before.clamp_min(0), 2 * extra)


@pytest.mark.parametrize("name", ["clipped by hand", "scheduled by hand", "values clamped by hand"])
def test_what_both_loops_do_is_felt(name: str) -> None:
    """Else the pair would be equal for want of anything done."""
    pair = BY_NAME[f"updates: {name}"]
    for update in pair.update or ():
        assert _loops(dataclasses.replace(pair, update=(by_token_count, update))) > 1e-3


def test_what_a_loop_keeps_lies_with_its_optimiser() -> None:
    """Lanes of one side share the function: a second run of it begins afresh."""
    for pair in (pair for pair in FIELD if pair.update):
        assert _loops(dataclasses.replace(pair, update=(pair.update[1], pair.update[1]))) == 0, pair.name


def test_a_window_may_come_whole_or_in_parts() -> None:
    pair = BY_NAME["updates: accumulated by token count"]
    (window,) = draw_batches(pair, 1, 16, generator(5, "window"))
    parts = [{name: tensor[at : at + 4] for name, tensor in window.items()} for at in range(0, 16, 4)]
    for update in (by_token_count, shares_of_means, whole_window):
        ends = []
        for batches in ([window], parts):
            model = _model(pair)
            update(model, torch.optim.SGD(model.parameters(), lr=0.1), batches)
            ends.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
        assert torch.equal(*ends)
