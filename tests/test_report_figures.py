"""What the report draws: numbers on screen, thinning, the log axis, curves, yardsticks, probe and ladder."""

from dataclasses import replace

import numpy as np
import pytest
from report_cases import MINIMAL, PROBE, RUN, TRACES, VERDICT, make_rows, make_trace

from mlnn.comparing.badges import badge, severity
from mlnn.comparing.evidence_words import trace_notes, yardsticks
from mlnn.comparing.figures import gap_figure, gradient_figure, loss_figure
from mlnn.comparing.ladder import ladder_figure
from mlnn.comparing.probe_figure import ProbeCurves, TargetCurves, probe_figure
from mlnn.comparing.rungs import rungs, summary
from mlnn.comparing.trace import breaks, null_twins, twins
from mlnn.report.logaxis import log_axis
from mlnn.report.thin import thin
from mlnn.report.words import number, plain

# Numbers and words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (0.0, "0"), (float("nan"), "NaN"), (float("inf"), "∞"), (-float("inf"), "-∞"), (2305, "2,305"),
        (2.3456e-7, "2.35e-7"), (1e-5, "1e-5"), (0.12345, "0.123"), (-27.63, "-27.6"), (4.87e8, "4.87e8"),
        (np.float32(0.5), "0.5"), (np.int64(7), "7"), (5e-324, "4.94e-324"),
    ],
)  # fmt: skip
def test_number_on_screen(value, text):
    assert number(value) == text


def test_unknown_relation_is_never_shown_as_a_pass():
    assert badge("fine")[0] == "?"
    assert severity("fine") > severity("broken") > severity("different") > severity("undecided") > severity("equal")


def test_plain_values_as_one_short_text():
    value = {"a": [1.5, None, True], "b": (2, "x"), "c": {}}
    assert plain(value) == "a [1.5, –, yes], b [2, x], c –"


# Thinning


def test_thinning_keeps_extremes_ends_and_the_limit():
    x, y = np.arange(10_000), np.random.default_rng(0).normal(size=10_000)
    y[1234], y[8765] = 1e6, -1e6
    thin_x, thin_y = thin(x, y)
    assert len(thin_x) <= 400
    assert (thin_x[0], thin_x[-1]) == (0, 9999)
    assert (np.diff(thin_x) > 0).all()
    assert {1e6, -1e6} <= set(thin_y)
    assert (y[thin_x] == thin_y).all()


def test_thinning_leaves_short_curves_and_keeps_the_break_of_a_nan_tail():
    x, y = np.arange(400), np.arange(400.0)
    assert thin(x, y)[0] is x
    y = np.where(np.arange(5000) < 2000, 1.0, np.nan)
    thin_x, thin_y = thin(np.arange(5000), y)
    assert np.isnan(thin_y[thin_x >= 2000]).all()
    assert np.isfinite(thin_y[thin_x < 2000]).all()


# The log axis of gaps


def test_zero_gaps_sit_on_a_floor_below_every_positive_gap():
    axis = log_axis([[0.0, 3e-9, 1e-3, np.nan, np.inf]])
    placed = axis.place([0.0, 3e-9, np.nan, np.inf])
    assert 0 < placed[0] < 1e-9 < placed[1] == 3e-9
    assert np.isnan(placed[2:]).all()
    places, labels = axis.ticks()
    assert labels[0] == "0"
    assert places[0] == placed[0]
    assert places == sorted(places)


def test_axis_without_zeros_has_no_zero_tick():
    assert "0" not in log_axis([[1e-9, 1.0]]).ticks()[1]
    assert log_axis([]).ticks()[0]


def test_axis_survives_denormals():
    axis = log_axis([[5e-324, 1.0, 0.0]])
    assert (axis.place([0.0, 5e-324]) > 0).all()


# The trace


def test_columns_are_found_by_name():
    trace = dict.fromkeys(("weight_gap", "weight_gap_float64", "weight_gap_bfloat16", "weight_gap_ulps"), np.zeros(1))
    assert twins(trace, "weight_gap") == {"float64": "weight_gap_float64", "bfloat16": "weight_gap_bfloat16"}
    assert null_twins({"weight_gap_null_1": 0, "weight_gap_null": 0}, "weight_gap") == ["weight_gap_null_1"]


def test_break_is_found_on_its_side_and_said():
    assert breaks(make_trace()) == {}
    broken = make_trace(broken=20)
    assert breaks(broken) == {"right": 21}
    assert "right objective is no longer finite from step 21" in trace_notes(broken)[0]


def test_both_objectives_are_drawn_and_right_is_dashed_on_top():
    lines = [line for line in loss_figure(make_trace(), RUN).data if line.visible is True]
    assert [line.name for line in lines] == ["bce", "bernoulli_nll_log1p"]
    assert lines[0].line.width > lines[1].line.width
    assert lines[1].line.dash != "solid"


def test_gap_figure_has_band_pair_and_twin():
    names = [line.name for line in gap_figure(make_trace(), RUN).data if line.showlegend is not False]
    assert names == ["null band", "float32", "float64 twin"]
    without = make_trace()
    del without["null_low"]
    assert "null twin 1" in [line.name for line in gap_figure(without, RUN).data]


def test_zero_gap_is_drawn_and_says_zero():
    figure = gap_figure(TRACES["zero"], RUN)
    pair = next(line for line in figure.data if line.name == "float32")
    assert all(value > 0 for value in pair.y)
    assert set(pair.text) == {"0"}
    assert "0 = bitwise" in [note.text for note in figure.layout.annotations]


def test_broken_gap_breaks_the_line_and_is_marked():
    figure = gradient_figure(make_trace(broken=20))
    assert figure.data[0].y[20:] == (None,) * 30
    assert "right not finite from step 21" in [note.text for note in figure.layout.annotations]


@pytest.mark.parametrize("figure", [loss_figure, gap_figure])
def test_no_columns_no_figure(figure):
    assert figure(MINIMAL, RUN) is None
    assert gradient_figure(MINIMAL) is None


# The yardsticks


def test_yardsticks_say_where_the_gap_lies():
    def note(factor):
        trace = make_trace()
        trace["weight_gap"] = trace["weight_gap"] * factor
        return next(card.note for card in yardsticks(VERDICT, trace) if card.name == "Weight gap")

    assert "inside the null band" in note(1)
    assert "above the null band" in note(100)
    assert "below the null band" in note(0.01)


def test_yardsticks_of_a_trace_that_never_was_finite_say_nan():
    cards = {card.name: card for card in yardsticks(VERDICT, TRACES["all NaN"])}
    assert cards["Weight gap"].value == cards["Gradient gap"].value == "NaN"
    assert "inside" not in cards["Weight gap"].note


# The probe


@pytest.mark.parametrize("domain", ["all", (-27.6, 16.6), (-np.inf, np.inf), None])
def test_probe_is_drawn_with_its_domain(domain):
    figure = probe_figure(PROBE, domain, RUN)
    assert len(figure.data) == 8
    assert len(figure.layout.shapes) == (0 if domain is None else 4)


def test_probe_with_vectors_or_nothing_is_left_out():
    assert probe_figure(None, "all", RUN) is None
    assert probe_figure(replace(PROBE, output=np.array([[0.0, 1.0]])), "all", RUN) is None
    assert probe_figure(ProbeCurves(np.zeros(0), []), "all", RUN) is None


def test_probe_with_non_finite_values_and_extremes():
    curves = {"left": np.array([np.nan, 1.0, np.inf]), "right": np.array([1.0, np.nan, 2.0])}
    figure = probe_figure(ProbeCurves(np.array([1e4, 0.0, -1e4]), [TargetCurves(1, curves, curves)]), None, RUN)
    assert figure.data[0].x == (-1e4, 0.0, 1e4)
    assert figure.data[0].y == (None, 1.0, None)
    assert list(figure.layout.xaxis.range) == [-60, 60]


# The ladder


def test_rung_keeps_the_worst_seed():
    one_node, mlp, cnn = rungs(make_rows())
    assert (one_node.relation, mlp.relation) == ("equal", "broken")
    assert np.isnan(mlp.weight_gap)
    assert cnn.weight_gap == 8e-7
    assert (cnn.null_low, cnn.null_high) == (2e-8, 2e-6)


def test_summary_names_the_exceptions():
    text = summary(rungs(make_rows()))
    assert text.startswith("On 2 of 3 architectures the two objectives are equal; broken on mlp.")
    assert "No finite weight gap on mlp" in text
    assert summary(rungs(make_rows(broken=False))).startswith("On all 3 architectures the two objectives are equal.")
    assert summary([]) == "No architecture was compared."


def test_ladder_shows_every_seed_a_broken_one_too():
    figure = ladder_figure(make_rows(), RUN)
    points = next(line for line in figure.data if line.name == "float32")
    assert len(points.x) == 6
    assert all(x > 0 for x in points.x)
    assert list(points.marker.symbol).count("x") == 1
    assert any("NaN" in text and "broken" in text for text in points.text)
    assert figure.layout.yaxis.ticktext[2].strip() == "cnn · 500"
    assert ladder_figure([], RUN) is None


def test_a_point_between_two_that_were_not_measured_is_seen():
    """Of a study with looks the gap at common weights is known at some steps only: no line goes through one of them."""
    trace = make_trace()
    gap = trace["gradient_gap"].copy()
    full = gradient_figure(trace).data[0]
    assert full.mode == "lines"
    gap[2:] = np.nan
    gap[[9, 20, 21]] = 1e-7
    line = gradient_figure(trace | {"gradient_gap": gap}).data[0]
    assert line.mode == "lines+markers"
    assert [place for place, size in enumerate(line.marker.size) if size] == [9]
