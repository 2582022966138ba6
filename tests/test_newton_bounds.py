"""What Newton's method decides at every step, scripted, and what is left of separated rows: both sides of each bound."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.linear import existence, newton
from mlnn.estimating.linear.design import Design, design_of
from mlnn.estimating.linear.separation import Separation
from mlnn.seeding import generator

f64 = torch.float64
DRAWS = generator(6, "test")
X = torch.randn(12, 2, generator=DRAWS, dtype=f64)
COUNTS = torch.tensor([0, 1, 2, 3, 0, 1, 5, 2, 1, 0, 2, 4]).double()


class Script:
    """Newton's method with the length of every step given: what it decides is kept."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, pushes: list[float], rate: float = 0.0, ends_late: bool = False
    ) -> None:
        self.kinds: list[str] = []
        self.late: list[bool] = []
        self.corrected = 0
        left = iter(pushes)
        point = SimpleNamespace(beta=0.0, value=1.0, hessian=None)

        def at_rounding(_family: Any, _point: Any, _push: float, _last: float, late: bool) -> bool:
            self.late.append(late)
            return ends_late and late

        def downhill(_family: Any, _design: Any, point: Any, _step: Any, kind: str, *_: Any) -> Any:
            self.kinds.append(kind)
            return point

        def corrected(*_: Any) -> None:
            self.corrected += 1

        scripted: dict[str, Any] = {
            "_first": lambda *_: point, "_root": lambda *_: "a root", "_step": lambda *_: (next(left), 0.0),
            "_downhill": downhill,
            "_rate": lambda *_: rate, "_at_rounding": at_rounding, "_corrected": corrected,
            "cholesky_root": lambda _: "a root",
            "evaluate": lambda *_: point,
        }  # fmt: skip
        for name, does in scripted.items():
            monkeypatch.setattr(newton, name, does)

    def run(
        self, rows: int = 1, robust: bool = False, canonical: bool = True, squares: bool = False, **how: Any
    ) -> int:
        likelihood = SimpleNamespace(squares=squares, robust=robust, canonical=canonical)
        family: Any = SimpleNamespace(likelihood=likelihood, name="it", dispersion=1.0)
        design: Any = SimpleNamespace(y=range(rows))
        return newton.newton(family, design, torch.zeros(1), **how).iterations


@pytest.mark.parametrize(("pushes", "robust", "kinds"), [
    ([5.0, 2.0, 0.5, 0.0], False, ["expected", "expected", "observed"]),
    ([5.0, 2.0, 0.0], True, ["observed", "observed"]),
    ([*[5.0] * 11, 0.0], False, [*["expected"] * 9, "observed", "observed"]),
    ([0.9, 1.1, 0.0], False, ["observed", "expected"]),
])  # fmt: skip
def test_observed_curvature_is_taken_near_the_maximum_or_after_ten_steps(
    pushes: list[float], robust: bool, kinds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(monkeypatch, pushes)
    assert script.run(robust=robust) == len(pushes)
    assert script.kinds == kinds


@pytest.mark.parametrize(("push", "rate", "rows", "settled", "corrected"), [
    (0.9e-6, 1e-4, 4, True, False), (0.9e-6, 1e-4, 3, False, False), (2e-6, 0.0, 4, False, False),
    (0.9e-6, 0.1, 4, False, False),
    (0.9e-6, 1.0e-3, 4, True, False), (0.9e-6, 1.3e-3, 4, False, False), (0.01, 1.0, 4, False, True),
    (0.01, 0.0031, 4, False, False),
    (0.01, 0.0033, 4, False, True), (0.01, math.inf, 4, False, True), (0.01, 1.0, 3, False, False),
])  # fmt: skip
def test_of_many_rows_a_last_pass_is_spared(
    push: float, rate: float, rows: int, settled: bool, corrected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newton, "MANY", 4)
    script = Script(monkeypatch, [push, 0.0], rate)
    assert script.run(rows) == (1 if settled else 2)
    assert bool(script.corrected) == corrected
    other = Script(monkeypatch, [push, 0.0], rate)
    other.run(rows, canonical=False)
    assert not other.corrected


def test_half_of_the_steps_are_early_and_an_end_is_a_billionth_of_a_standard_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script(monkeypatch, [5.0] * 6)
    with pytest.raises(newton.NotConvergedError, match="max_iter=6 iterations are over"):
        script.run(max_iter=6)
    assert script.late == [False, False, False, True, True, True]
    assert Script(monkeypatch, [5.0] * 6, ends_late=True).run(max_iter=6) == 4
    for push, steps in ((0.9e-9, 1), (1.1e-9, 2)):
        assert Script(monkeypatch, [push, 0.0]).run() == steps
    assert Script(monkeypatch, [0.2, 0.0]).run(tolerance=0.3) == 1
    with pytest.raises(newton.NotConvergedError, match="the curvature vanished"):
        Script(monkeypatch, [math.inf]).run()


@pytest.mark.parametrize(("pushes", "steps"), [
    ([1.0, 0.4, 0.3], 3), ([1.0, 0.6], 2), ([1.0, 0.4, 0.19, 0.0], 4), ([0.9e-9], 1), ([1.1e-9, 1e-10], 2),
])  # fmt: skip
def test_rounding_is_taken_off_while_steps_halve_the_gradient(
    pushes: list[float], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Script(monkeypatch, pushes).run(squares=True) == steps


@pytest.mark.parametrize(("name", "counts"), [("poisson", True), ("normal", False)])
def test_a_counts_nll_is_as_large_as_the_parts_that_cancel_in_it(name: str, counts: bool) -> None:
    family = family_of(name)
    design = design_of((X, COUNTS), family, True, None)[0]
    beta = torch.tensor([[0.3], [-0.2], [1.0]]).double()
    found = newton.evaluate(family, design, beta, "expected")
    eta = torch.cat([X - X.mean(0), torch.ones(12, 1)], 1) @ beta
    alone = float(family.likelihood.nll(eta[:, 0], COUNTS).abs().sum())
    assert found.size == pytest.approx(alone + counts * float((COUNTS * eta[:, 0].abs()).sum()))


@pytest.mark.parametrize(("changed", "told"), [
    ({}, True), ({"value": math.inf}, False), ({"gradient": torch.tensor([math.nan, 1.0])}, False),
    ({"hessian": torch.tensor([[1.0, 0.0], [0.0, math.inf]])}, False),
])  # fmt: skip
def test_a_point_is_finite_where_all_its_sums_are(changed: dict[str, Any], told: bool) -> None:
    point = newton.Point(torch.zeros(2, 1), "expected", 1.0, 1.0, torch.ones(2), torch.eye(2))
    assert newton.finite(replace(point, **changed)) == told


# Of separated rows.
@pytest.mark.parametrize(("kind", "outputs", "y", "targets", "space"), [
    ("binary", 1, [0.0, 0.5, 1.0], [0, 0.5, 1], "unit"), ("ordinal", 1, [0, 1, 4], [0, 0.25, 1], "unit"),
    ("ordinal", 2, [0, 1, 4], [0, 1, 4], "ordinal"), ("counts", 1, [0.0, 1.0, 7.0], [0, 1, 1], "counts"),
    ("real", 1, [0.0, 5.0, -7.0], [0, 5, -7], "real"), ("ordinal", 1, [0, 0], [0, 0], "unit"),
])  # fmt: skip
def test_which_targets_pin_their_row(kind: str, outputs: int, y: Any, targets: Any, space: str) -> None:
    family: Any = SimpleNamespace(space=SimpleNamespace(kind=kind), outputs=outputs)
    found, over = existence._pinning(family, SimpleNamespace(y=torch.tensor(y)))  # type: ignore[arg-type]
    assert found.tolist() == targets
    assert over.kind == space


@pytest.mark.parametrize(("known", "told"), [(False, None), (True, "its own limit")])
def test_the_limit_of_classes_is_the_softmaxs(known: bool, told: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existence, "class_limit", lambda *_: (torch.ones(1), 2.5))
    infinite, overlap = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([True, False])
    found = Separation("quasi", infinite, infinite, None, overlap, overlap)
    family: Any = SimpleNamespace(knows_information=known)
    design: Any = SimpleNamespace(x=None, y=None, intercept=False, weights=None)
    _, beta, reached = existence.supremum(family, design, found)
    assert reached == 2.5 if told else math.isnan(reached)
    assert beta.shape == ((1,) if told else (1, 2))
    whole = existence.supremum(family, design, replace(found, kind="complete"))
    assert whole[2] == 0.0
    assert whole[1].isinf().tolist() == [[True, False]]


def limit(columns: list[Tensor], monkeypatch: pytest.MonkeyPatch) -> tuple[list[bool], int]:
    """Which coefficients are known of rows that keep these columns, where a last one runs away; in how many directions."""
    seen: list[Design] = []

    def maximise(family: Any, part: Design, *_: Any) -> Any:
        seen.append(part)
        return family, SimpleNamespace(beta=torch.zeros(part.width, 1, dtype=f64), point=SimpleNamespace(value=1.0))

    monkeypatch.setattr(existence, "maximise", maximise)
    monkeypatch.setattr(existence, "start", lambda *_: None)
    x = torch.stack([*columns, torch.zeros(12, dtype=f64)], 1)
    x = torch.cat([x, torch.ones(1, x.shape[1], dtype=f64)])
    y = torch.cat([(COUNTS > 1).double(), torch.ones(1, dtype=f64)])
    runs = torch.tensor([0.0] * len(columns) + [1.0, 0.0])
    overlap = torch.arange(13) < 12
    design = design_of((x, y), family_of("bernoulli"), True, None)[0]
    _, beta, reached = existence.supremum(
        family_of("bernoulli"), design, Separation("quasi", runs, runs, None, overlap, overlap)
    )
    assert reached == -1.0
    assert beta[len(columns), 0] == math.inf
    return (beta[:, 0] == 0).tolist(), seen[0].width


def test_coefficients_that_the_rows_left_determine_stay_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = torch.linalg.qr(torch.cat([torch.ones(12, 1).double(), X], 1))[0][:, 1:].unbind(1)
    assert limit([one, other], monkeypatch) == ([True, True, False, True], 3)
    assert limit([one, one], monkeypatch) == ([False, False, False, True], 2)
    assert limit([one, one + 1e-10 * other], monkeypatch)[1] == 3, "above a trillionth it is a direction of its own"
    assert limit([one, one + 1e-13 * other], monkeypatch)[1] == 2
    assert limit([one, other, other + 1.4e-8 * one], monkeypatch) == ([False, False, False, False, True], 3)
    assert limit([one, other, other + 1.4e-10 * one], monkeypatch)[0] == [True, False, False, False, True]


def test_fewer_rows_than_coefficients_are_told() -> None:
    family = family_of("normal")
    existence.check_determined(family, design_of((X, COUNTS), family, True, None)[0])
    with pytest.raises(
        DataError, match=r"data: 2 rows for 3 coefficients; .* rows; besides, columns x0 and x1 tell the same"
    ):
        existence.check_determined(family, design_of((X[:2], COUNTS[:2]), family, True, None, enough=False)[0])
