"""What runs away of a likelihood of several outputs: which models inside are asked, and what their answers come to."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating.linear import parts
from mlnn.estimating.linear.design import Design
from mlnn.estimating.linear.separation import Separation
from mlnn.estimating.network import trust_region
from mlnn.likelihoods.likelihood import Question

f64 = torch.float64
X = torch.tensor([[-2.0], [0.0], [2.0]], dtype=f64)
NOBODY = torch.zeros(3, dtype=torch.bool)


def design(x: Tensor = X, intercept: bool = True) -> Design:
    names = tuple("ab"[: x.shape[1]])
    return Design(x, torch.tensor([0.0, 1.0, 2.0]).double(), None, intercept, torch.zeros(x.shape[1]).double(), names)


def answer(kind: str, direction: list[float] | None = None) -> Separation:
    along = None if direction is None else torch.tensor(direction, dtype=f64)
    return Separation(kind, along, None if along is None else along.sign(), None, NOBODY, NOBODY)


def family(
    after: int | None = None,
    within: str | None = None,
    constants: tuple[int, ...] = (),
    outputs: int = 2,
    asked: Any = (),
) -> Any:
    likelihood = SimpleNamespace(constant_after=after, within=within, questions=lambda _y: asked)
    return SimpleNamespace(
        likelihood=likelihood, constants=constants, outputs=outputs, name="it", labels=("mean", "zeros")
    )


NONE, QUASI, COMPLETE = answer("none"), answer("quasi", [1.0, -0.5]), answer("complete", [0.5, 0.0])


@pytest.mark.parametrize(("answers", "how", "kind", "direction", "limits"), [
    ((NONE, NONE), {}, None, None, None),
    ((QUASI, NONE), {}, "quasi", [[1, 0], [-0.5, 0]], [[math.inf, None], [-math.inf, None]]),
    ((NONE, COMPLETE), {}, "quasi", [[0, 0.5], [0, 0]], [[None, math.inf], [None, None]]),
    ((COMPLETE, COMPLETE), {}, "complete", [[0.5, 0.5], [0, 0]], [[math.inf, math.inf], [None, None]]),
    ((COMPLETE, QUASI), {}, "quasi", [[0.5, 1], [0, -0.5]], [[math.inf, math.inf], [None, -math.inf]]),
    ((QUASI, answer("quasi", [1.0])), {"constants": (1,)}, "quasi", [[1, 0], [-0.5, 1]],
    [[math.inf, None], [-math.inf, math.inf]]),
    ((QUASI, QUASI), {"within": "poisson"}, "quasi", [[1, 1], [-0.5, -0.5]], [[None, None], [None, None]]),
    ((QUASI, NONE), {"within": "poisson"}, "quasi", [[1, 0], [-0.5, 0]], [[math.inf, None], [-math.inf, None]]),
])  # fmt: skip
def test_what_the_models_inside_come_to(
    answers: Any, how: dict[str, Any], kind: str | None, direction: Any, limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(answers)
    monkeypatch.setattr(parts, "_asked", lambda *_: next(left))
    asked = [SimpleNamespace(output=k) for k in range(2)]
    found = parts.separated_parts(family(asked=asked, **how), design())
    if kind is None:
        assert found is None
        return
    assert found is not None
    assert (found.kind, found.direction.tolist(), found.thresholds) == (kind, direction, ())
    assert [[None if math.isnan(v) else v for v in row] for row in found.limits.tolist()] == limits


def test_of_thresholds_the_slopes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_asked", lambda *_: answer("quasi", [1.0, -0.5, 0.25]))
    found = parts.separated_parts(family(after=1, asked=[SimpleNamespace(output=0)]), design())
    assert found is not None
    assert (found.direction.tolist(), found.limits.tolist(), found.thresholds) == ([[1]], [[math.inf]], ("0|1", "1|2"))


@pytest.mark.parametrize(("output", "rows", "beside", "x", "y", "intercept"), [
    (0, None, None, [[-2], [0], [2]], [5, 6, 7], True), (0, [0, 2], None, [[-2], [2]], [5, 7], True),
    (1, None, None, [[], [], []], [5, 6, 7], True), (1, [0, 2], None, [[], []], [5, 7], True),
    (0, None, [[1], [2], [3]], [[-2, 1], [0, 2], [2, 3]], [5, 6, 7], False),
    (1, [0, 2, 2], [[1], [2], [3]], [[-2, 1], [2, 2], [2, 3]], [5, 6, 7], False),
])  # fmt: skip
def test_what_a_model_inside_is_asked(
    output: int, rows: Any, beside: Any, x: Any, y: Any, intercept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "find_separation", lambda *given: given)
    columns = None if beside is None else torch.tensor(beside).double()
    one = Question(output, "counts", torch.tensor([5, 6, 7]), None if rows is None else torch.tensor(rows), columns)
    found: Any = parts._asked(one, family(constants=(1,)), design())
    assert (found[0].tolist(), found[1].tolist(), found[2].kind, found[3]) == (x, y, "counts", intercept)


@pytest.mark.parametrize(("within", "inner", "refused"), [
    (None, 0.0, False), ("poisson", -10.0, True), ("poisson", -11.0, False), ("poisson", -9.0, True),
    ("poisson", -10.0 - 0.9e-5, True), ("poisson", -10.0 - 1.3e-5, False),
])  # fmt: skip
def test_a_mixture_without_zeros_from_elsewhere_is_refused(
    within: str | None, inner: float, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A millionth of 1 + 10 nats is rounding."""
    fitted = SimpleNamespace(point=SimpleNamespace(value=-inner))
    monkeypatch.setattr(parts, "maximise", lambda *_: (None, fitted))
    monkeypatch.setattr(parts, "start", lambda *_: None)
    if refused:
        with pytest.raises(DataError, match="use 'poisson'"):
            parts.check_not_within(family(within=within), design(), -10.0)
    else:
        parts.check_not_within(family(within=within), design(), -10.0)


class Flight:
    """Logits of zeros from elsewhere at three rows, a direction that is found for them, and what is asked along it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, direction: list[float] | None, gain: float = 1.0) -> None:
        self.asked: Any = None
        self.reaches: list[float] = []
        self.gain = gain

        def find(*given: Any) -> Any:
            self.asked = given
            return SimpleNamespace(direction=None if direction is None else torch.tensor(direction))

        monkeypatch.setattr(parts, "find_separation", find)
        monkeypatch.setattr(parts, "total", self.total)

    def total(self, _family: Any, _design: Any, eta: Tensor) -> float:
        self.reaches.append(float((eta[:, 1] - self.logit).abs().max()))
        return 5.0 - self.gain

    def check(self, slope: float, level: float, constants: tuple[int, ...] = (), x: Tensor = X) -> None:
        beta = torch.zeros(x.shape[1] + 1, 2, dtype=f64)
        beta[0, 1], beta[-1, 1] = slope, level
        self.logit = x[:, 0] * slope + level
        found: Any = SimpleNamespace(family=family(within="poisson", constants=constants), design=design(x), beta=beta)
        found.point = SimpleNamespace(size=1.0, value=5.0)
        parts.check_no_flight(found)


@pytest.mark.parametrize(("slope", "level", "end", "rows"), [
    (10.0, 0.0, "0 or 1 in 2 of 3 rows", 0), (-10.0, 0.0, "0 or 1 in 2 of 3", 0), (5.0, -14.0, "0 in 1 of 3", 0),
    (1.0, 15.0, "1 in 2 of 3", 0),
    (6.5, 0.0, "0 or 1 in 2 of 3", 0), (6.5, 1.5, "1 in 1 of 3 rows .row 2", 2),
])  # fmt: skip
def test_a_share_of_zeros_that_runs_away_is_told(
    slope: float, level: float, end: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    flight = Flight(monkeypatch, [1.0, 0.0])
    with pytest.raises(DataError, match=rf"runs to {end}") as caught:
        flight.check(slope, level)
    assert f"(row {rows} the first), and with it coefficients of zeros: a; leave" in str(caught.value)
    assert flight.reaches == pytest.approx([1, 4, 16, 64])


def test_rows_far_out_are_asked_for_a_way_farther_and_others_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    flight = Flight(monkeypatch, None)
    flight.check(10.0, 0.0)
    signed, held, space, intercept = flight.asked
    assert (signed.tolist(), held.tolist(), space.kind, intercept) == (
        [[-2, 1], [0, 1], [-2, -1]],
        [0, 1, 0],
        "counts",
        False,
    )
    flight.check(10.0, 0.0, constants=(1,))
    assert flight.asked[0].tolist() == [[0, 1], [0, 1], [0, -1]]
    assert flight.reaches == []
    flight.asked = None
    for slope, level in ((5.9, 0.0), (0.0, 11.9), (-5.9, 0.0)):
        flight.check(slope, level)
    assert flight.asked is None, "none is beyond 12"


@pytest.mark.parametrize(
    ("gain", "told"), [(1.0, True), (0.0, True), (-1e-15, True), (-1e-9, False), (math.nan, False)]
)
def test_a_way_that_loses_is_no_flight(gain: float, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    flight = Flight(monkeypatch, [1.0, 0.0], gain)
    if told:
        with pytest.raises(DataError, match="runs to"):
            flight.check(10.0, 0.0)
    else:
        flight.check(10.0, 0.0)


def test_what_moves_by_a_millionth_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.tensor([[-2.0, 1.0], [0.0, 0.0], [2e-5, 0.0]], dtype=f64)
    with pytest.raises(DataError, match="in 2 of 3 rows") as caught:
        Flight(monkeypatch, [1.0, 1e-4, 0.0]).check(1.0, 20.0, x=x)
    assert "zeros: a, b; leave" in str(caught.value)
    with pytest.raises(DataError, match="in 1 of 3 rows") as caught:
        Flight(monkeypatch, [1.0, 1e-7, 0.0]).check(1.0, 20.0, x=x * torch.tensor([[1.0], [1.0], [0.01]]))
    assert "zeros: a; leave" in str(caught.value)


@pytest.mark.parametrize(
    ("straight", "curved", "taken"), [(3.0, 2.0, 2.0), (2.0, 3.0, 2.0), (2.0, None, 2.0), (3.0, 3.0, 3.0)]
)
def test_a_step_ends_where_it_is_lower(straight: float, curved: float | None, taken: float) -> None:
    bowl: Any = SimpleNamespace(parameters=lambda step: step, turn=lambda *_: None if curved is None else torch.ones(1))
    values = {1.0: straight, 2.0: curved}
    problem: Any = SimpleNamespace(value=lambda theta: values[float(theta)])
    region: Any = SimpleNamespace(theta=torch.zeros(1))
    place, value = trust_region._best(problem, region, bowl, torch.ones(1), 0.0)
    assert value == taken
    assert values[float(place)] == taken
