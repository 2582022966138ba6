"""How far an audit looks and where what it says ends: domains, sums and integrals, and what is asked of a model, on both sides."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from asked_cases import asked, f64, normal, numbers, squared
from torch import Tensor, nn

from mlnn import objectives as o
from mlnn.auditing import careful, domain, finite, integrals, located, several, sound, unproven, vouching
from mlnn.auditing.careful import _beyond, _pieces, careful_z, locations
from mlnn.auditing.domain import _departs, _misses_one, departure
from mlnn.auditing.finding import Finding, by_formula
from mlnn.auditing.fitting import Fitted
from mlnn.auditing.integrals import Total
from mlnn.auditing.located import Located
from mlnn.auditing.vouching import Cloud
from mlnn.auditing_models import layers
from mlnn.auditing_models.calls import _nudge, change, checked_batch, in_mode, others_replaced
from mlnn.auditing_models.layers import Call
from mlnn.errors import DataError
from mlnn.seeding import generator

EVEN = Finding("likelihood", scale=1.0, log_base=lambda y: torch.full_like(y, -0.5 * math.log(2 * math.pi)),
               reference=by_formula(squared))  # fmt: skip


# A loss that is another one than its formula.
@pytest.mark.parametrize(("off", "wave", "departs"), [
    (0.9e-6, 0.0, False), (1.1e-6, 0.0, True), (-1.1e-6, 0.0, True), (4e-6, 0.0, True), (4e-6, 0.8, False), (4e-6, 0.3, True),
    (4e-6, 1.5, False),
])  # fmt: skip
def test_a_loss_departs_from_its_formula_by_about_one_number(off: float, wave: float, departs: bool) -> None:
    """A wave of so many times its size beside makes it look like rounding, or turn its sign."""
    loss = asked(lambda f, y: squared(f, y) + off * (1 + wave * torch.cos(3000 * f)))
    found = _departs(loss, EVEN, numbers(1.3), numbers(0.9, 1.2))
    assert found.tolist() == [departs]


@pytest.mark.parametrize(("end", "size"), [(2.0, 2.0), (30.0, 30.0), (50.0, 50.0), (64.0, None)])
def test_where_a_loss_departs_is_told_as_far_as_a_person_writes_clamps(end: float, size: float | None) -> None:
    found = departure(asked(lambda f, y: squared(f, y) + 0.5 * (f.abs() > end)), EVEN)
    assert (found is None) == (size is None)
    if found and size:
        assert size <= found[0] <= 1.25 * size
        assert found[1] == (size < 5), (
            "only at outputs of ordinary training it is asked whether it is a likelihood there"
        )
    assert departure(asked(squared), EVEN) is None
    assert departure(asked(lambda f, y: squared(f, y) + 1.0), replace(EVEN, reference=None)) is None
    turning = departure(asked(lambda f, y: squared(f, y) + 0.5 * (f.abs() > 2)), replace(EVEN, turns=True))
    assert turning is not None
    assert not turning[1]


@pytest.mark.parametrize(("off", "misses"), [(1.9e-6, False), (2.2e-6, True), (-2.2e-6, True)])
def test_a_total_misses_1_by_more_than_twice_its_error(off: float, misses: bool) -> None:
    assert _misses_one(asked(lambda f, y: squared(f, y) + off), EVEN, numbers(0.3, -1.2)) == misses
    labels = Finding("likelihood", scale=1.0, log_base=lambda y: torch.zeros_like(y, dtype=f64))
    loss = asked(lambda f, y: o.bce_with_logits(f, y) + off / 2, "binary")
    assert _misses_one(loss, labels, numbers(0.3)) == misses
    double = replace(labels, scale=2.0)
    assert not _misses_one(asked(lambda f, y: 2 * o.bce_with_logits(f, y), "binary"), double, numbers(0.3))


def test_domains_meet_in_the_narrower_and_float64_holds_as_far_as_what_computes() -> None:
    found = domain.find_domains(asked(squared), EVEN, (torch.float32, torch.float64))
    assert set(found) == {"float64", "float32"}
    assert found["float64"] == "all"
    cut = asked(lambda f, y: squared(f, y) + 0.5 * torch.relu(f - 3))
    assert domain.find_domains(cut, EVEN, (torch.float64,))["float64"] == (-math.inf, pytest.approx(3.0, rel=1e-3))
    both = asked(lambda f, y: squared(f, y) + 0.5 * torch.relu(f.abs() - 3))
    low, high = domain.find_domains(both, EVEN, (torch.float64,))["float64"]  # type: ignore[misc]
    assert (low, high) == (pytest.approx(-3.0, rel=1e-3), pytest.approx(3.0, rel=1e-3))
    nowhere = asked(lambda f, y: 2 * squared(f, y))
    assert domain.find_domains(nowhere, EVEN, (torch.float64,))["float64"] == (0.0, 0.0)


# What can be read at all.
@pytest.mark.parametrize(
    ("share", "targets", "read"), [(0.15, "real(raw=2)", True), (0.3, "real(raw=2)", False), (0.02, "real", False)]
)
def test_of_several_outputs_a_density_may_be_nothing_at_a_fifth_of_the_targets(
    share: float, targets: str, read: bool
) -> None:
    wide = asked(normal, targets).space.wide_points
    edge = float(torch.as_tensor(wide, dtype=f64).sort(descending=True).values[max(round(share * len(wide)) - 1, 0)])

    def loss(output: Tensor, y: Tensor) -> Tensor:
        value = squared(output, y) if output.ndim == 1 else normal(output, y)
        return torch.where(y >= edge, math.inf, value)

    told = sound.cannot_be_read(asked(loss, targets))
    assert (told is None) == read


def test_targets_outside_of_a_space_are_not_asked_for_several_outputs() -> None:
    two = asked(normal, "positive(raw=2)")
    there = two._there(numbers(0.0, 1.0, math.inf, 2.0))
    assert there is not None
    assert there.tolist() == [False, True, False, True]
    assert two._there(numbers(1.0, 2.0)) is None
    assert two._there(numbers(0.0, math.inf)) is None, "all of them are asked then, and say so"
    assert asked(squared, "positive")._there(numbers(0.0, 1.0)) is None
    assert two._inside(numbers(-1.0, -2.0)) is None


# A loss of a residual.
@pytest.mark.parametrize(("rise", "told"), [(2302.0, False), (2304.0, True)])
def test_what_was_infinity_less_infinity_on_a_steep_side_is_nothing(rise: float, told: bool) -> None:
    loss = asked(lambda f, y: rise * y.log() / 54 + 0 * f, "positive")
    along = loss.space.coordinate
    assert along is not None
    assert along.tail is not None
    near, far, _ = along.tail
    height = asked(lambda f, y: rise * torch.relu(y.log()) / (far - near) + 0 * f, "positive")
    found = Located(height, along, 1.0, False, 0.0)
    v = numbers(-2 * far, 1.0, 2 * far)
    seen = found.told(v, numbers(math.nan, 1.0, math.nan))
    assert seen[1] == 1.0
    assert torch.isnan(seen[0])
    assert (float(seen[2]) == math.inf) == told
    assert found.told(v, numbers(1.0, 2.0, 3.0)).tolist() == [1.0, 2.0, 3.0]
    line = asked(squared)
    assert line.space.coordinate is not None
    whole = Located(line, line.space.coordinate, 1.0, False, 0.0)
    assert bool(torch.isnan(whole.told(v, numbers(math.nan, 1.0, math.nan))[0]))
    assert 2 * 1000 * math.log(10) / 2 < located.LOST


# Integrals by pieces.
def test_pieces_are_halved_until_they_add_up() -> None:
    calls: list[int] = []

    def density(v: Tensor) -> Tensor:
        calls.append(len(v))
        return torch.exp(-0.5 * (v / 0.01) ** 2)

    places = torch.linspace(-5, 5, 4, dtype=f64)
    assert _pieces(density, places) == pytest.approx(0.01 * math.sqrt(2 * math.pi), rel=1e-9)
    assert 3 < len(calls) < 15
    assert math.isnan(_pieces(lambda v: torch.where(v > 0.1, math.inf, 1.0), places))
    assert math.isnan(_pieces(lambda v: 1 + torch.sin(1e9 * v), places)), "it never adds up"
    assert _pieces(lambda v: 0 * v, places) == 0.0


@pytest.mark.parametrize(("rate", "bend", "shift", "known"), [
    (0.5, 0.0, 0.0, True), (0.5, 0.3, 0.0, True), (0.05, 0.0, 0.0, True), (-0.1, 0.0, 0.0, False), (0.05, 0.0, 1e-5, False),
    (0.05, 0.0, 1e-8, True),
])  # fmt: skip
def test_beyond_both_ends_a_density_falls_at_one_rate(rate: float, bend: float, shift: float, known: bool) -> None:
    """`shift`: what is off far from the lower end, where it has had room to go astray."""
    low, high = careful.LOGITS

    def log_density(v: Tensor) -> Tensor:
        return -rate * v.abs() + bend * torch.exp(-v.abs()) + torch.where((v > low + 50) & (v < 0), shift, 0.0)

    found, error = _beyond(log_density, low, high, math.exp(-10) if rate > 0 else 1.0)
    assert math.isfinite(found) == known
    if known:
        truth = sum(
            math.exp(-rate * abs(end)) / rate + bend * math.exp(-(rate + 1) * abs(end)) / (rate + 1)
            for end in (low, high)
        )
        assert found == pytest.approx(truth, rel=1e-4 if shift else 1e-7)
        assert 0 < error < 1e-6 * found


@pytest.mark.parametrize(("z", "added"), [(1.0, False), (math.exp(-60), True)])
def test_nothing_is_added_beyond_where_nothing_is_left(z: float, added: bool) -> None:
    low, high = careful.LOGITS

    def log_density(v: Tensor) -> Tensor:
        return -5.0 * v.abs()

    found, _ = _beyond(log_density, low, high, z)
    assert (found > 0) == added
    rising, _ = _beyond(lambda v: torch.where(v < -190, -60.0 - 0.1 * (v + 200), -1e4 * v.abs()), low, high, 1.0)
    assert not rising > 0 or math.isnan(rising)


def test_places_that_the_entries_of_an_output_may_stand_for() -> None:
    line = asked(normal, "real(raw=2)").space.coordinate
    assert line is not None
    found = locations(numbers(0.5, 2.0), line).tolist()
    for place in (0.5, 2.0, math.exp(0.5), math.log1p(math.exp(2.0)), 1 / (1 + math.exp(-0.5))):
        assert min(abs(one - place) for one in found) < 1e-12
    half = asked(normal, "positive(raw=2)").space.coordinate
    assert half is not None
    assert all(map(math.isfinite, locations(numbers(-800.0, 0.3), half).tolist()))


@pytest.mark.parametrize(("error", "z", "taken"), [(0.9e-6, 1.0, True), (1.1e-6, 1.0, False), (0.0, math.nan, False)])
def test_fractions_that_did_not_settle_are_taken_by_pieces_to_a_millionth(
    error: float, z: float, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unproven, "careful_z", lambda *_: (z, error))
    total = Total(numbers(3.0, 4.0), 1.0, numbers(0.0, 1.0), "why")
    found = unproven._by_pieces(asked(squared, "unit"), numbers(0.0, 1.0), total)
    assert found.z.tolist() == ([3.0, 1.0] if taken else [3.0, 4.0])
    assert found.error == (error if taken else 1.0)
    assert unproven._by_pieces(asked(squared), numbers(0.0, 1.0), total) is total
    known = replace(total, errors=numbers(0.0, 0.0))
    assert unproven._by_pieces(asked(squared, "unit"), numbers(0.0, 1.0), known) is known


def test_a_power_of_a_positive_target_is_closed_where_coordinates_end(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = asked(lambda f, y: f + 1.02 * torch.log1p(y * torch.exp(-f)) + 0 * y, "positive")
    found = integrals.partition(slow, numbers(0.0, 0.5))
    assert found.z.tolist() == pytest.approx([50.0, 50.0], rel=1e-6)
    ended: list[bool] = []
    before = integrals._with_ends
    monkeypatch.setattr(integrals, "_with_ends", lambda *given: (ended.append(True), before(*given))[1])
    integrals.partition(asked(lambda f, y: f + y * torch.exp(-f), "positive"), numbers(0.0))
    assert not ended, "an exponential settles by itself"
    integrals.partition(asked(squared), numbers(0.0))
    assert not ended
    integrals.partition(asked(lambda f, y: o.bce_with_logits(f, y), "unit"), numbers(0.0))
    assert ended


def test_decades_go_from_a_hundredth_of_the_width_to_ten_thousand_units() -> None:
    found = integrals._decades(1.0)
    assert found == sorted(found)
    assert (found[-1], min(one for one in found if one > 0), len(found)) == (1e4, 0.01, 15)
    assert integrals._decades(0.01)[-1] == 1e6


@pytest.mark.parametrize(("tau", "even", "known"), [(1.0, True, True), (2.0, True, False), (1.0, False, False)])
def test_a_density_is_known_by_its_values_as_it_stands_only(
    tau: float, even: bool, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(several, "known_density", lambda *_: calls.append("known"))
    monkeypatch.setattr(several, "named_density", lambda *_: calls.append("named"))
    here = Cloud(torch.zeros(9, 2, dtype=f64), Total(torch.ones(9, dtype=f64), 0.0, torch.zeros(9, dtype=f64)))
    several._known(asked(normal, "real(raw=2)"), here, Fitted(tau, None if even else torch.zeros_like, "1"))
    assert calls == (["known"] if known else []) + ["named"]


@pytest.mark.parametrize(("middle", "tau", "free", "kind", "measure"), [
    (1.0, 1.0, False, "likelihood", "1"), (1 + 0.9e-8, 1.0, True, "likelihood", "1"),
    (1 + 1.1e-8, 1.0, False, "likelihood", "1/1.000000011"),
    (2.0, 1.0, True, "likelihood family", "1/2"), (2.0, 3.0, True, "scaled likelihood", "1/2"),
])  # fmt: skip
def test_what_a_density_of_several_outputs_is_certified_as(
    middle: float, tau: float, free: bool, kind: str, measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(several, "_known", lambda *_: several.Known("normal", "f", by_formula(normal)))
    monkeypatch.setattr(several, "_is_free", lambda *_: free)
    z = torch.full((9,), middle, dtype=f64)
    here = Cloud(torch.zeros(9, 2, dtype=f64), Total(z, 0.0, 0 * z))
    found = several._certified(asked(normal, "real(raw=2)"), here, Fitted(tau, None, "1"))
    assert (found.kind, found.measure) == (kind, measure)
    base = several._certified(asked(normal, "real(raw=2)"), here, Fitted(tau, torch.zeros_like, "y"))
    assert base.measure == "y"
    assert base.kind == ("likelihood" if tau == 1 else "scaled likelihood")


def test_what_was_missed_near_zero_is_integrated_once_more() -> None:
    loss = asked(normal, "real(raw=2)")
    z = torch.ones(12, dtype=f64)
    here = Cloud(torch.zeros(12, 2, dtype=f64), Total(z, 0.0, 0 * z))
    again = vouching.once_more(loss, here)
    assert len(again.outputs) == vouching.NEAR
    assert again.total.z.tolist() == pytest.approx([math.sqrt(2 * math.pi)] * 9, rel=1e-9)
    lost = replace(here, total=replace(here.total, z=z * math.nan))
    assert vouching.once_more(loss, lost) is lost
    assert vouching.once_more(asked(normal, "unit(raw=2)"), here) is here
    assert vouching.once_more(asked(normal, "counts(raw=2)"), here) is here


def test_a_link_of_labels_is_read_where_there_is_one() -> None:
    p = torch.sigmoid(torch.linspace(-2, 2, 9, dtype=f64))
    at = SimpleNamespace(
        plain=torch.ones(9).bool(), output=torch.linspace(-2, 2, 9, dtype=f64), p=torch.stack([1 - p, p], 1)
    )
    assert finite._link(at) == "σ(f)"  # type: ignore[arg-type]
    few = SimpleNamespace(**{**vars(at), "plain": torch.arange(9) < 3})
    assert finite._link(few) is None  # type: ignore[arg-type]
    three = SimpleNamespace(**{**vars(at), "p": torch.stack([(1 - p) / 2, p, (1 - p) / 2], 1)})
    assert finite._link(three) is None, "each label has its own"  # type: ignore[arg-type]


# Models.
class Noisy(nn.Module):
    """Adds noise once in so many calls of a generator; `far`: another shape."""

    def __init__(self, by: float = 1.0, drop: bool = False) -> None:
        super().__init__()
        self.by, self.drop = by, drop

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.rand(())
        if self.drop and noise < 0.2:
            return x[:1]
        return x + self.by * noise


@pytest.mark.parametrize(("layer", "drawn"), [
    (Noisy(), True), (Noisy(0.0), False), (nn.Identity(), False), (nn.Dropout(0.5), True), (Noisy(0.0, drop=True), True),
])  # fmt: skip
def test_a_layer_draws_where_its_answer_changes_with_random_numbers(layer: nn.Module, drawn: bool) -> None:
    model = nn.Sequential(layer)
    entry = Call("0", 0, (torch.ones(3, 2, dtype=f64),), {}, None)
    assert layers.draws(model, entry, 0) == drawn


class Coupled(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by * x.mean(0)


@pytest.mark.parametrize(("layer", "coupled"), [
    (Coupled(1e-3), True), (Coupled(1e-14), False), (nn.Identity(), False), (nn.Flatten(0), False), (nn.BatchNorm1d(2), True),
])  # fmt: skip
def test_a_layer_couples_rows_by_more_than_rounding(layer: nn.Module, coupled: bool) -> None:
    x = torch.randn(4, 2, generator=generator(0, "test"), dtype=f64)
    model = nn.Sequential(layer).double()
    assert layers.couples(model, Call("0", 0, (x,), {}, None), 4, (0, 1), 1e-9, 0) == coupled
    assert not layers.couples(model, Call("0", 0, (x,), {}, None), 5, (0, 1), 1e-9, 0), "its rows are other ones"


def test_culprits_are_the_innermost_layers() -> None:
    calls = [
        Call("a.b", 0, (), {}, None),
        Call("a", 0, (), {}, None),
        Call("c", 2, (), {}, None),
        Call("", 0, (), {}, None),
    ]
    assert layers.culprits(calls, lambda one: one.name in ("a.b", "a", "")) == ["a.b"]
    assert layers.culprits(calls, lambda one: one.name in ("a", "c", "")) == ["a", "c"]
    assert layers.culprits(calls, lambda one: one.name == "") == [""]
    assert layers.culprits(calls, lambda _: False) == []


def test_the_coarsest_precision_of_the_answers_counts() -> None:
    def answers(*kinds: torch.dtype) -> float:
        return layers.lowest_eps([Call("", 0, (), {}, torch.zeros(2).to(kind)) for kind in kinds])

    assert answers(torch.float64, torch.float32) == torch.finfo(torch.float32).eps
    assert answers(torch.float64) == torch.finfo(f64).eps
    assert answers(torch.int64) == answers() == 0.0


@pytest.mark.parametrize(("before", "after", "scale", "size"), [
    ([1.0, 2.0], [1.0, 2.5], 2.0, 0.25), ([1.0], [1.0], 0.0, 0.0), ([1.0], [2.0], 0.0, math.inf),
    ([1.0], [math.nan], 1.0, math.inf),
    ([1.0], [1.0, 1.0], 1.0, math.inf), ([], [], 1.0, 0.0),
])  # fmt: skip
def test_a_change_is_measured_by_the_output(before: list[float], after: list[float], scale: float, size: float) -> None:
    assert change(numbers(*before), numbers(*after), scale) == size


def test_other_rows_are_replaced_and_the_one_stays() -> None:
    x = torch.arange(20.0).reshape(5, 4)
    same, anew = others_replaced(x, 2, generator(0, "test"))
    assert torch.equal(same, x[2].expand(5, 4))
    assert torch.equal(anew[2], x[2])
    assert not torch.equal(anew, x)
    assert all(set(anew[:, k].tolist()) <= set(x[:, k].tolist()) for k in range(4))


@pytest.mark.parametrize(("x", "words"), [
    (torch.ones(1, 2), "two rows or more"), (torch.ones(2, 0), "two rows or more"), (torch.ones(3, 2), "all 3 rows are the same"),
    (torch.tensor([[1.0], [math.nan]]), "NaN or infinity"), ([[1.0], [2.0]], "found list"), (torch.tensor(1.0), "a tensor"),
    (torch.eye(2).to_sparse(), "sparse"),
])  # fmt: skip
def test_a_batch_shows_something(x: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        checked_batch(x)
    assert checked_batch(torch.eye(2)).dtype == f64
    assert checked_batch(torch.arange(4).reshape(2, 2)).dtype == torch.int64


def test_weights_are_nudged_by_a_thousandth_of_their_size() -> None:
    def moved(weight: nn.Parameter) -> float:
        before = weight.detach().clone()
        _nudge(weight, generator(0, "test"))
        return float((weight.detach() - before).square().mean().sqrt())

    assert moved(nn.Parameter(torch.full((4000,), 5.0))) == pytest.approx(5e-3, rel=0.05)
    assert moved(nn.Parameter(torch.zeros(4000))) == pytest.approx(1e-3, rel=0.05)
    assert moved(nn.Parameter(torch.full((4,), 5.0), requires_grad=False)) == 0.0
    broken = nn.Parameter(torch.tensor([1.0, math.inf]))
    _nudge(broken, generator(0, "test"))
    assert broken.tolist() == [1.0, math.inf]


def test_a_model_in_training_mode_keeps_the_modes_of_its_parts() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Dropout())
    model[0].eval()
    assert [part.training for part in in_mode(model, True)] == [False, True]
    assert [part.training for part in in_mode(model, False)] == [False, False]
    model.eval()
    assert [part.training for part in in_mode(model, True)] == [True, True]


def test_z_by_pieces_sees_a_density_as_wide_as_any_output_makes_it() -> None:
    for size in (1e2, 1e5):
        wide = asked(lambda output, y, size=size: 0.5 * (y / size) ** 2 + 0 * output.sum(1), "real(raw=2)")
        z, _ = careful_z(wide, numbers(0.0, 0.0))
        assert z == pytest.approx(size * math.sqrt(2 * math.pi), rel=1e-9)
