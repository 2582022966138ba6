"""Labels: at which outputs a loss is asked for its probabilities, and what is found, one answer at a time."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from asked_cases import asked, f64, numbers
from torch import Tensor

from mlnn import objectives as o
from mlnn.auditing import finite, implied, links
from mlnn.auditing.finding import Finding
from mlnn.auditing.implied import Implied

BINARY = asked(o.bce_with_logits, "binary")
LINE = torch.linspace(-2, 2, 9, dtype=f64)


def two(p: Tensor) -> Tensor:
    return torch.stack([1 - p, p], 1)


def told(output: Tensor, p: Tensor) -> Implied:
    return Implied(output, -p.log(), torch.zeros(*p.shape, 1, dtype=f64), told=p)


# Where it is asked.
@pytest.mark.parametrize(("targets", "share", "constant", "count", "scales", "chosen"), [
    ("classes(3)", lambda s: 0.6 * (s == 1), None, 81, [1.0], 1.0), ("classes(3)", lambda s: 0.6 * (s == 1), 0.0, 81, [1.0], 1.0),
    ("classes(3)", lambda s: 0.4 * (s == 1), None, 81, [1.0, 0.3, 3, 0.1, 10, 0.03, 0.01, 1e2, 1e-3, 1e3, 1e4, 1e6], 1.0),
    ("classes(3)", lambda s: 0.3 * (s == 1) + 0.4 * (s > 50) + 0.1 * (s < 0.5), None, 81,
     [1.0, 0.3, 3, 0.1, 10, 0.03, 0.01, 1e2, 1e-3, 1e3, 1e4, 1e6], 100.0),
    ("classes(20)", lambda s: 0.6 * (s == 1), 0.0, 81, [1.0], 1.0), ("classes(21)", lambda s: 0.6 * (s == 1), 0.0, 25, [], 1.0),
    ("classes(21)", lambda s: 0.6 * (s == 1), None, 25, [1.0], 1.0), ("classes(256)", lambda s: 0.6 * (s == 1), 0.0, 25, [], 1.0),
    ("classes(257)", lambda s: 0.6 * (s == 1), None, 8, [], 1.0),
])  # fmt: skip
def test_a_cloud_is_scaled_until_half_of_its_outputs_are_plain(
    targets: str, share: Any, constant: Any, count: int, scales: Any, chosen: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = SimpleNamespace(outputs=int(targets[8:-1]))
    drawn = torch.randn(count, space.outputs, generator=implied.generator(3, "audit"), dtype=f64)
    seen: list[float] = []

    def ask(_loss: object, output: Tensor) -> Any:
        scale = float(output[0, 0] / drawn[0, 0])
        if len(output) == 16:
            seen.append(scale)
        plain = torch.arange(100) < 100 * float(share(torch.tensor(round(scale, 9))))
        return SimpleNamespace(plain=plain, constant=constant)

    monkeypatch.setattr(implied, "implied", ask)
    found = implied.telling_outputs(SimpleNamespace(space=space))  # type: ignore[arg-type]
    assert torch.allclose(found, chosen * drawn)
    assert seen == pytest.approx(scales)


@pytest.mark.parametrize(("near", "far", "low", "high"), [
    (60, (), -2.05, 2.05), (40, (), -2.05, 2.05), (40, (90,), -2.05, 2.05), (40, (144, 150), -1e-6, 2.6e-6),
    (40, (20, 200), -2.2e4, 2.2e-2),
])  # fmt: skip
def test_a_line_is_spread_over_the_stretch_that_is_in_sight(
    near: int, far: tuple[int, ...], low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """81 outputs within ±2, of which so many are in sight; then 290, from −10⁶ to 10⁶."""
    asked_at: list[int] = []

    def ask(_loss: object, output: Tensor) -> Implied:
        asked_at.append(len(output))
        p = torch.full((len(output),), 0.005, dtype=f64)
        p[torch.tensor(far, dtype=torch.long) if len(output) == 290 else torch.arange(near)] = 0.5
        return told(output, two(p))

    monkeypatch.setattr(implied, "implied", ask)
    found = implied.telling_outputs(BINARY)
    assert asked_at == ([81] if near > 41 else [81, 290])
    assert bool((found.diff() > 0).all())
    wide = high - low
    assert low - 0.01 * wide <= float(found[0]) < low + 0.1 * wide
    assert high - 0.1 * wide < float(found[-1]) <= high + 0.2 * wide


def test_probabilities_are_in_sight_of_one_another_above_a_hundredth() -> None:
    found = implied._in_sight(told(numbers(0, 0, 0, 0, 0), two(numbers(0.009, 0.011, 0.5, 0.988, 0.992))))
    assert found.tolist() == [False, True, True, True, False]


# What is found.
@pytest.mark.parametrize(("changed", "found"), [
    ({}, "linked"), ({"constant": 0.3}, "likelihood"), ({"classes": 3}, "solved"), ({"outputs": 300, "classes": 300}, "undecided"),
    ({"outputs": 256, "classes": 256}, "linked"), ({"outputs": 2, "classes": 3}, "linked"),
])  # fmt: skip
def test_in_which_order_labels_are_looked_at(changed: Any, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"constant": None, "classes": 2, "outputs": 1} | changed
    p = torch.full((9, given["classes"]), 1 / given["classes"], dtype=f64)
    at = SimpleNamespace(constant=given["constant"], value=-p.log() - (given["constant"] or 0.0), output=LINE)
    usual = SimpleNamespace(
        defined=torch.tensor([True, True, False, True]), valid=torch.tensor([True, False, False, True])
    )
    sizes: list[int] = []
    monkeypatch.setattr(finite, "telling_outputs", lambda _: LINE)
    answer = lambda _, output: at if output is LINE else (sizes.append(len(output)), usual)[1]  # noqa: E731
    monkeypatch.setattr(finite, "implied", answer)
    monkeypatch.setattr(finite, "examine_solved", lambda _: Finding("solved"))
    monkeypatch.setattr(finite, "sums_witness", lambda _: None)
    monkeypatch.setattr(finite, "_with_link", lambda *_: Finding("linked"))
    made = lambda one, **new: one if one is at else Finding(one.kind, unreachable=new["unreachable"])  # noqa: E731
    monkeypatch.setattr(finite, "replace", made)
    monkeypatch.setattr(finite, "_likelihood", lambda _loss, _at, tau, shift, off: Finding("likelihood", scale=tau, residual=off,
                                                                                          measure=str(shift.tolist())))  # fmt: skip
    monkeypatch.setattr(finite, "moderate_outputs", lambda _, count: torch.zeros(count))
    loss: Any = SimpleNamespace(space=SimpleNamespace(outputs=given["outputs"]))
    one = finite.examine_finite(loss)
    assert one.kind == found
    assert one.unreachable == (0.25 if found == "linked" else 0.0)
    assert sizes == ([15 if given["outputs"] > 20 else 61] if found == "linked" else [])
    if found == "likelihood":
        assert (one.scale, one.residual, one.measure) == (1.0, 0.0, "[-0.3, -0.3]")


@pytest.mark.parametrize(("found", "unreachable"), [
    (Finding("proper"), 0.25), (Finding("undecided"), 0.0), (Finding("likelihood", log_base=torch.zeros_like), 0.0),
])  # fmt: skip
def test_what_is_no_likelihood_is_told_with_the_share_of_outputs_that_imply_none(
    found: Finding, unreachable: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = SimpleNamespace(
        defined=torch.ones(4).bool(), valid=torch.arange(4) > 0, constant=None, value=torch.zeros(4, 2)
    )
    monkeypatch.setattr(finite, "implied", lambda *_: usual)
    monkeypatch.setattr(finite, "telling_outputs", lambda _: LINE)
    monkeypatch.setattr(finite, "_with_link", lambda *_: found)
    assert finite.examine_finite(BINARY).unreachable == unreachable


@pytest.mark.parametrize(("tau", "residual", "link", "witness", "kind"), [
    (1.0, 0.9e-7, "σ(f)", "w", "fitted"), (1.0, 1.1e-7, "σ(f)", "w", "proper"), (-1.0, 0.0, "σ(f)", "w", "proper"),
    (math.nan, 0.0, None, "w", "calibrated"), (1.0, 0.5, "σ(f)", None, "undecided"), (1.0, 0.5, None, None, "undecided"),
])  # fmt: skip
def test_what_a_temperature_that_is_fitted_says(
    tau: float, residual: float, link: Any, witness: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside: list[Tensor] = []
    monkeypatch.setattr(finite, "implied", lambda _, output: beside.append(output))
    monkeypatch.setattr(finite, "_unread", lambda *_: None)
    monkeypatch.setattr(finite, "_fit", lambda _: (tau, numbers(0, 0), residual))
    monkeypatch.setattr(finite, "_fitted", lambda *_: Finding("fitted"))
    monkeypatch.setattr(finite, "_link", lambda _: link)
    monkeypatch.setattr(finite, "temperature_witness", lambda *_: witness)
    found = finite._with_link(BINARY, told(LINE, two(torch.sigmoid(LINE))))
    assert found.kind == kind
    assert (beside[0] - LINE).tolist() == pytest.approx([1e-3] * 9)
    monkeypatch.setattr(finite, "_unread", lambda *_: Finding("unread"))
    assert finite._with_link(BINARY, told(LINE, two(torch.sigmoid(LINE)))).kind == "unread"


@pytest.mark.parametrize(("flat", "sums", "kind"), [("flat", "sums", "no link"), ("flat", None, "no link"),
                                                    (None, "sums", "no link"), (None, None, "undecided")])  # fmt: skip
def test_no_link_is_shown_by_a_witness_of_either_kind(
    flat: Any, sums: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finite, "flat_witness", lambda _: flat)
    monkeypatch.setattr(finite, "sums_witness", lambda _: sums)
    found = finite._no_link(told(LINE, two(0 * LINE + 1e-7)), "said")
    assert (found.kind, found.witness) == (kind, flat or sums)
    if kind == "no link":
        assert (found.said, found.residual) == ("said", 1.0), "nothing is plain there"


@pytest.mark.parametrize("balance", [Finding("no link", said="out of balance"), None])
def test_where_probabilities_are_not_defined_the_gradients_may_be_out_of_balance(
    balance: Finding | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finite, "unbalanced", lambda *_: balance)
    at = told(LINE, two(0 * LINE + math.nan))
    found = finite._unread(BINARY, at, at)
    assert found is not None
    assert found.kind == ("no link" if balance else "undecided")
    assert (found is balance) == (balance is not None)


def test_farther_out_an_expectation_is_asked_at_two_four_and_ten_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finite, "implied", lambda _, output: output)
    found: Any = finite._far(BINARY, told(LINE, two(torch.sigmoid(LINE))))
    assert found.tolist() == pytest.approx([*(2 * LINE).tolist(), *(4 * LINE).tolist(), *(10 * LINE).tolist()])


@pytest.mark.parametrize(("p", "link", "known"), [
    (torch.sigmoid(2 * LINE - 0.3), "σ(2·f − 0.3)", True), (torch.special.ndtr(LINE), "σ(f)", False),
    (torch.special.ndtr(LINE), "Φ(f)", False), (torch.sigmoid(LINE), None, False), (torch.sigmoid(LINE), "softmax(f)", True),
])  # fmt: skip
def test_a_formula_is_known_for_the_logit_and_the_softmax(p: Tensor, link: str | None, known: bool) -> None:
    output = LINE if link != "softmax(f)" else torch.stack([0 * LINE, LINE], 1)
    found = finite._reference(told(output, two(p)), 2.0, numbers(0.1, 0.4), link)
    assert (found is not None) == known
    if found:
        value, slope = found(output, torch.ones(9, dtype=torch.long))
        assert value.tolist() == pytest.approx((0.4 - 2 * p.log()).tolist())
        assert slope.shape == output.shape


# Links of one entry.
ENTRY = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=f64)


@pytest.mark.parametrize("least", [1.0, 2.0, 1e-3, 1e-4, 1e-5, 1e-6])
def test_a_width_that_is_kept_above_a_least_is_read(least: float) -> None:
    for name, link in (("exp", torch.exp), ("softplus", torch.nn.functional.softplus)):
        found = links.read_entry(ENTRY, least + link(ENTRY[:, 1]))
        assert found is not None
        assert found.words == f"{least:g} + {name}(f₂)"
        assert found.of(ENTRY).tolist() == pytest.approx((least + link(ENTRY[:, 1])).tolist())


@pytest.mark.parametrize(("value", "words", "slope", "shift"), [
    (ENTRY[:, 0], "f₁", 1.0, 0.0), (2 * ENTRY[:, 1] + 0.25 + 1e-9, "2·f₂ + 0.25", 2.0, 0.25),
    (torch.exp(1.23456 * ENTRY[:, 0]), "exp(1.23456·f₁)", 1.23456, 0.0), (0.5 * ENTRY[:, 0] + 0.5, "0.5·f₁ + 0.5", 0.5, 0.5),
    (torch.sigmoid(-ENTRY[:, 1] - 0.3), "σ(−f₂ − 0.3)", -1.0, -0.3), (0 * ENTRY[:, 0] + 3.0, None, 0.0, 0.0),
    (ENTRY.sum(1), None, 0.0, 0.0), (ENTRY[:, 0] + 1e-6 * ENTRY[:, 0] ** 2, None, 0.0, 0.0),
])  # fmt: skip
def test_a_number_is_read_as_a_link_of_one_entry(value: Tensor, words: str | None, slope: float, shift: float) -> None:
    found = links.read_entry(ENTRY, value)
    assert (found and found.words) == words
    if found:
        assert (found.slope, found.shift) == (slope if slope != 1.23456 else pytest.approx(slope, abs=1e-9), shift)


@pytest.mark.parametrize(("form", "a", "b", "entry", "words"), [
    ("{}", 0.5, 0.5, "f", "(1+f)/2"), ("{}", 0.5, 0.5, "f₁", "0.5·f₁ + 0.5"), ("σ({})", 0.5, 0.5, "f", "σ(0.5·f + 0.5)"),
    ("{}", 0.5, 0.3, "f", "0.5·f + 0.3"), ("{}", 0.3, 0.5, "f", "0.3·f + 0.5"), ("{}", 1.0, 0.0, "f", "f"),
    ("{}", -1.0, -2.0, "f", "−f − 2"), ("{}", 1 + 0.9e-8, 0.9e-8, "f", "f"), ("{}", 0.5, 0.5 + 2e-8, "f", "0.5·f + 0.5"),
    ("{}", 0.5 + 2e-8, 0.5, "f", "0.5·f + 0.5"), ("{}", 1.0, 1.1e-8, "f", "f + 1.1e-08"),
])  # fmt: skip
def test_a_link_in_words(form: str, a: float, b: float, entry: str, words: str) -> None:
    assert links._write(form, a, b, entry) == words


@pytest.mark.parametrize(
    ("size", "bend", "straight"), [(1e-3, 0.5e-8, True), (1e-3, 3e-8, False), (1e3, 0.5e-5, True), (1e3, 3e-5, False)]
)
def test_a_line_is_straight_to_a_share_of_the_largest_and_of_1(size: float, bend: float, straight: bool) -> None:
    wave = bend * (-1.0) ** torch.arange(9, dtype=f64)
    found = links.affine(LINE, size * LINE / 2 + wave)
    assert (found is not None) == straight
    assert found is None or found[0] == pytest.approx(size / 2, rel=1e-4)


def test_a_softmax_in_words() -> None:
    assert links._inner(1 + 0.9e-8, [0.0, 0.9e-8]) == "f"
    assert links._inner(1 + 1e-6, [0.0, 1.1e-8]) == "1·f + (0, 1.1e-08)"
    assert links._inner(2.0, [0.0, -0.5]) == "2·f + (0, -0.5)"
    p = torch.softmax(torch.stack([0 * LINE, LINE, -LINE], 1), 1)
    assert links.softmax_link(torch.stack([0 * LINE, LINE], 1), p) is None, "of another number of entries"
