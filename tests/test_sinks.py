"""A comparison's numbers in somebody's tracker: by each convention, the same as in the trace, and no trouble of it is ours."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import mlnn
from mlnn.errors import ConfigError

pytestmark = pytest.mark.proves

X = torch.linspace(-1, 1, 48).reshape(24, 2)
Y = (X[:, 0] > 0).float()


def small(**options: Any) -> mlnn.Comparison:
    return mlnn.compare(
        lambda: nn.Linear(2, 1),
        nn.BCEWithLogitsLoss(),
        lambda z, y: nn.functional.softplus(z) - z * y,
        (X, Y),
        **({"steps": 5, "batch_size": 8, "optimizer": partial(torch.optim.SGD, lr=0.1)} | options),
    )


@pytest.fixture(scope="module")
def alone() -> mlnn.Comparison:
    return small()


def same(found: mlnn.Comparison, other: mlnn.Comparison) -> bool:
    return found.trace.keys() == other.trace.keys() and all(
        found.trace[name].tobytes() == column.tobytes() for name, column in other.trace.items()
    )


class Log:
    """Weights & Biases' convention."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.summary: dict[str, Any] = {}

    def log(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        self.rows.append((step, metrics))


class LogMetrics:
    """MLflow's and Lightning's."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.files: dict[str, str] = {}

    def log(self, *_: Any) -> None:
        raise AssertionError("log_metrics comes first")

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.rows.append((step, metrics))

    def set_tags(self, tags: dict[str, Any]) -> None:
        self.told = tags

    def log_text(self, text: str, name: str) -> None:
        self.files[name] = text


class AddScalar:
    """TensorBoard's."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.texts: dict[str, tuple[str, int]] = {}

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        if not self.rows or self.rows[-1][0] != step:
            self.rows.append((step, {}))
        self.rows[-1][1][tag] = value

    def add_text(self, tag: str, text: str, step: int) -> None:
        self.texts[tag] = (text, step)


def check(rows: list[tuple[int, dict[str, float]]], found: mlnn.Comparison) -> None:
    """Every row is the trace's; what was not measured is not there."""
    assert [step for step, _ in rows] == found.trace["step"].tolist()
    for place, (_, metrics) in enumerate(rows):
        assert {
            "mlnn/loss_left",
            "mlnn/loss_right",
            "mlnn/weight_gap",
            "mlnn/null_low",
            "mlnn/null_high",
        } <= metrics.keys()
        assert not [name for name in metrics if "_null_" in name or "control" in name]
        for name, value in metrics.items():
            assert value == found.trace[name.removeprefix("mlnn/")][place]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", [Log, LogMetrics, AddScalar])
def test_each_convention_gets_the_rows_of_the_trace(kind: Any, alone: mlnn.Comparison) -> None:
    sink = kind()
    found = small(sink=sink)
    assert same(found, alone)
    check(sink.rows, found)


def test_a_function_is_a_sink_and_rows_are_those_that_the_trace_keeps() -> None:
    rows: list[tuple[int, dict[str, float]]] = []
    found = small(sink=lambda metrics, step: rows.append((step, metrics)), trace_every=2)
    assert [step for step, _ in rows] == found.trace["step"].tolist() == [0, 2, 4]
    check(rows, found)


@pytest.mark.rest
def test_a_gap_that_was_not_measured_is_not_sent() -> None:
    rows: list[dict[str, float]] = []
    found = small(sink=lambda metrics, _: rows.append(metrics), looks=[0, 3])
    measured = [0, 3]
    assert np.flatnonzero(~np.isnan(found.trace["gradient_gap"])).tolist() == measured
    assert [step for step, metrics in enumerate(rows) if "mlnn/gradient_gap" in metrics] == measured
    assert all("mlnn/weight_gap" in metrics for metrics in rows)


@pytest.mark.rest
def test_a_verdict_alone_is_sent_too() -> None:
    rows: list[tuple[int, dict[str, float]]] = []
    small(sink=lambda metrics, step: rows.append((step, metrics)), mode="verdict", looks=[0, 3])
    assert [step for step, _ in rows] == [0, 3]
    assert all("mlnn/gradient_gap" in metrics and "mlnn/weight_gap" not in metrics for _, metrics in rows)


@pytest.mark.rest
def test_the_verdict_and_the_page_go_where_the_tracker_has_a_place_for_them(alone: mlnn.Comparison) -> None:
    log, metrics, scalars = Log(), LogMetrics(), AddScalar()
    for sink in (log, metrics, scalars):
        small(sink=sink)
    relation = alone.verdict.relation
    assert log.summary["mlnn/relation"] == metrics.told["mlnn/relation"] == relation
    assert log.summary["mlnn/sentence"] == alone.verdict.sentence
    assert scalars.texts["mlnn/relation"] == (relation, 5)
    assert metrics.files["mlnn_page.html"].startswith("<!doctype html>")
    assert [step for step, _ in log.rows] == [0, 1, 2, 3, 4], "no page without a tracker that takes one"


def test_a_sink_that_raises_is_warned_of_once_and_changes_nothing(alone: mlnn.Comparison) -> None:
    calls = []

    def broken(_: dict[str, float], step: int) -> None:
        calls.append(step)
        if step == 2:
            raise OSError("disk \x1b[2Jfull")

    with pytest.warns(UserWarning, match=r"sink: OSError: disk \\x1b\[2Jfull; nothing more is sent") as told:
        found = small(sink=broken)
    assert (len(told), calls) == (1, [0, 1, 2])
    assert same(found, alone)
    assert found.verdict.to_dict() == alone.verdict.to_dict()


def test_an_interrupt_in_a_sink_ends_the_comparison() -> None:
    def stop(_: dict[str, float], __: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(sink=stop)


@pytest.mark.rest
def test_what_a_sink_does_to_the_world_reaches_no_lane(alone: mlnn.Comparison) -> None:
    def draws(_: dict[str, float], __: int) -> None:
        torch.rand(3), np.random.rand(3), torch.manual_seed(5)  # noqa: NPY002

    assert same(small(sink=draws), alone)


def test_a_loss_that_is_not_finite_is_sent_as_it_is() -> None:
    rows: list[dict[str, float]] = []
    mlnn.compare(
        lambda: nn.Linear(2, 1), nn.BCEWithLogitsLoss(), lambda z, y: z * y * float("nan"), (X, Y),
        optimizer=partial(torch.optim.SGD, lr=0.1), steps=2, batch_size=8, sink=lambda metrics, _: rows.append(metrics),
    )  # fmt: skip
    assert np.isnan(rows[0]["mlnn/loss_right"])


def test_what_is_no_sink_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(ConfigError, match=r"^sink: dict has none of log\(metrics, step\)"):
        small(sink={}, optimizer="never looked at")
