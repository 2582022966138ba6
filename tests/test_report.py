"""The report: what must be on screen is there, hostile and broken input is harmless, and nothing is fetched."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import pytest
from report_cases import (
    BARE,
    HOSTILE,
    MINIMAL,
    PROBE,
    RUN,
    TRACES,
    TRAINED,
    VERDICT,
    make_cells,
    make_rows,
    make_trace,
)
from rich.console import Console

from mlnn.comparing.console import curves_table, growth_table, verdict_panel
from mlnn.comparing.curves.curve import Curve, Difference, Ground
from mlnn.comparing.curves.page import curves_page
from mlnn.comparing.growth import GrowthCell
from mlnn.comparing.growth_page import growth_page
from mlnn.comparing.page import comparison_page
from mlnn.comparing.records import GrowthRow, RunInfo
from mlnn.comparing.rungs import rungs, summary
from mlnn.comparing.still import growth_png, headline
from mlnn.comparing.train_page import train_page
from mlnn.errors import DataError
from mlnn.report import console
from mlnn.report.html import picture


class Page(HTMLParser):
    """What a browser would see: balanced tags, text outside scripts, loads, and the figures' JSON."""

    VOID = ("meta", "br", "hr", "img", "link", "input")

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.loads, self.figures, self.tags = [], "", [], [], []
        self.json = False
        self.feed(html)
        self.close()
        assert self.open == [], f"unclosed: {self.open}"

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.loads += [value for name, value in attrs.items() if name in ("src", "href", "srcset", "action")]
        self.json = attrs.get("type") == "application/json"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            if self.json:
                self.figures.append(json.loads(data, parse_constant=pytest.fail))
        elif self.open and self.open[-1] == "style":
            assert "url(" not in data
            assert "@import" not in data
        else:
            self.text += data


def shown(renderable):
    out = io.StringIO()
    Console(width=100, file=out).print(renderable)
    return out.getvalue()


def check(html):
    page = Page(html)
    assert page.loads == []
    assert any(attrs.get("content", "").startswith("default-src 'none'") for _, attrs in page.tags)
    assert "undefined" not in page.text
    return page


# The console


def test_verdict_panel_says_relation_sentence_and_resolution():
    text = shown(verdict_panel(VERDICT, replace(RUN, left="[red]bce")))
    for words in ("✓ equal", "Equal where it matters.", "1.23e-6", "[red]bce", "moons, 512 rows", "1.23 %"):
        assert words in text
    assert "not measured" in shown(verdict_panel(BARE, RunInfo()))


def test_growth_table_fits_100_columns():
    text = shown(growth_table(make_rows()))
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 2 + 3
    assert "! broken" in text
    assert "NaN" in text
    assert "2e-8 … 2e-6" in text
    assert "–" in shown(growth_table([GrowthRow("bare")]))


def test_curves_table():
    trace = make_trace(broken=20)
    curve, none = Curve("a", trace["step"], trace["loss_right"]), np.zeros(0)
    difference = Difference("a − b", np.array([1, 2, 3]), np.array([0, 5e-7, 1e-9]))
    text = shown(curves_table([curve, Curve("empty", none, none)], [difference]))
    assert "NaN" in text
    assert re.search(r"a − b +3 +5e-7 +2", text)


def test_paths_are_not_wrapped_and_progress_is_silent_in_a_pipe(capsys):
    long = "/" + "x" * 300
    with console.progress("training") as advance:
        advance(3, 10)
    console.paths({"page": long})
    console.show("[bold]done")  # brackets are somebody's text
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"page    {long}", "[bold]done"]
    assert err == ""


# The pages


def test_only_a_thinned_page_says_so():
    assert "at most 400 points" in check(comparison_page(VERDICT, make_trace(500), RUN, PROBE, {})).text
    assert "at most 400 points" not in check(comparison_page(VERDICT, make_trace(400), RUN, PROBE, {})).text


@pytest.mark.parametrize("name", TRACES)
def test_comparison_page_of_any_trace(name):
    page = check(comparison_page(VERDICT, TRACES[name], RUN, PROBE, {}))
    assert "Equal where it matters." in page.text
    assert "How to read this" in page.text
    assert len(page.figures) == (1 if name == "minimal" else 5)


@pytest.mark.parametrize("relation", ["bitwise", "shifted", "scaled", "different", "broken", "undecided"])
def test_comparison_page_of_a_bare_verdict(relation):
    page = check(comparison_page(replace(BARE, relation=relation), MINIMAL, RunInfo(), None, {}))
    assert relation in page.text
    assert "✓" not in page.text or relation == "bitwise"
    assert "left against right" in page.text


def test_verdict_comes_before_the_evidence():
    text = check(comparison_page(VERDICT, make_trace(), RUN, PROBE, {})).text
    assert text.index("Equal where it matters.") < text.index("Evidence") < text.index("Verdict in detail")


def test_growth_page_has_a_section_per_architecture_and_the_first_is_open():
    rows = make_rows()
    page = check(growth_page(make_cells(rows), RUN))
    sections = [attrs for tag, attrs in page.tags if tag == "details"]
    assert ["open" in attrs for attrs in sections] == [True, False, False]
    assert len(page.figures) == 1 + 2 * 3
    assert summary(rungs(rows)) in page.text
    # mlp: seed 0 is equal, seed 1 broken; the badge in the table and the badge on the section both say so.
    assert page.text.count("! broken") == 2


def test_growth_page_without_cells_or_rows():
    assert "No architecture was compared." in check(growth_page([], RunInfo())).text


def test_growth_page_of_a_cell_of_which_nothing_was_measured():
    page = check(growth_page([GrowthCell("bare", 0, GrowthRow("bare"), BARE, MINIMAL, RunInfo())], RunInfo()))
    assert "bare" in page.text
    assert "–" in page.text


def test_growth_page_draws_other_seeds_faintly():
    rows = [row for row in make_rows() if row.model == "cnn"]
    loss = check(growth_page(make_cells(rows), RUN)).figures[1]
    assert [line["opacity"] < 0.5 for line in loss["data"][:2]] == [True, False]


def test_curves_page():
    step, ground = np.arange(5), Ground(data="moons", seed=0, batch_size=32)
    curves = [Curve(name, step, np.ones(5), ground) for name in "ab"]
    page = check(curves_page(curves, [Difference("a − b", step, np.zeros(5))], ["Same data."]))
    assert len(page.figures) == 2
    assert "Same data." in page.text
    assert [line["name"] for line in page.figures[0]["data"]] == ["a", "b"]
    check(curves_page([], [], []))


def test_train_page():
    trace = {"step": np.arange(5), "loss": np.array([1, 0.5, np.inf, np.nan, np.nan])}
    page = check(train_page(trace, TRAINED))
    assert page.figures[0]["data"][0]["y"] == [1, 0.5, None, None, None]


def test_hostile_names_stay_text():
    rows = [replace(row, model=HOSTILE) for row in make_rows()]
    run = replace(RUN, left=HOSTILE, model=HOSTILE, data=HOSTILE)
    verdict = replace(VERDICT, relation=HOSTILE, sentence=HOSTILE, evidence={HOSTILE: HOSTILE}, control=HOSTILE)
    cells = [replace(cell, model=HOSTILE, run=run, verdict=verdict) for cell in make_cells(rows)]
    trace = make_trace()
    curves = [Curve(HOSTILE, trace["step"], trace["loss_left"], Ground(data=HOSTILE, seed=HOSTILE))]
    pages = [
        check(comparison_page(verdict, trace, run, PROBE, {HOSTILE: [(1e-3, 1e-4, 1e-9)]})),
        check(growth_page(cells, run)),
        check(curves_page(curves, [], [HOSTILE])),
        check(
            train_page(
                {"step": trace["step"], "loss": trace["loss_left"]}, replace(TRAINED, model=HOSTILE, data=HOSTILE)
            )
        ),
    ]
    for page in pages:
        assert HOSTILE in page.text
        assert not any(tag == "b" and "alert" in str(attrs) for tag, attrs in page.tags)
        assert sum(tag == "script" for tag, _ in page.tags) == len(page.figures) + 2
        assert all("<script" not in json.dumps(figure) for figure in page.figures)


def test_nothing_in_a_figure_can_close_its_script_element():
    [held] = picture("", "", go.Figure(layout={"title": {"text": HOSTILE}}))
    assert "<" not in held.json
    assert json.loads(held.json)["layout"]["title"]["text"] == HOSTILE.replace("<", "&lt;")


def test_the_page_check_sees_a_load():
    with pytest.raises(AssertionError):
        check('<meta content="default-src \'none\'"><img src="https://example.org/x.png">')


# The still picture


def test_headline_answers_yes_only_if_every_rung_is_equal():
    assert headline(rungs(make_rows(broken=False)), RUN, "float32")[1].startswith("Yes: equal on all 3")
    assert headline(rungs(make_rows()), RUN, "float32")[1].startswith("Not always: equal on 2 of 3")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("broken", [False, True])
def test_png_is_written_and_not_empty(tmp_path, broken):
    path = growth_png(make_rows(broken), tmp_path / "growth.png", RUN)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert 15_000 < len(data) < 200_000


@pytest.mark.parametrize(
    "rows",
    [
        [GrowthRow("bare")],
        [GrowthRow("$x_{1}$", weight_gap=0.0, null_low=np.nan, null_high=np.nan)],
        [GrowthRow("a" * 90, weight_gap=np.nan, relation="broken", float64_weight_gap=0.0)],
    ],
)
def test_png_of_bare_rows(tmp_path, rows):
    assert growth_png(rows, tmp_path / "growth.png", RunInfo()).stat().st_size > 5_000


def test_png_without_rows_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no rows"):
        growth_png([], tmp_path / "growth.png", RunInfo())
