"""The pictures of a page as files for a paper, and the library that draws them on the page."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from report_cases import PROBE, RUN, TRAINED, VERDICT, make_cells, make_rows, make_trace

from mlnn.comparing.growth_page import growth_page
from mlnn.comparing.page import comparison_page
from mlnn.comparing.train_page import train_page
from mlnn.errors import ConfigError
from mlnn.keys import FigureSettings, entries
from mlnn.report import draw, library
from mlnn.report.figures import pictures, write_figures
from mlnn.report.html import picture
from mlnn.report.size import COLUMN, FONT, FONTS, FORMATS, SIDES, Size
from mlnn.report.still import still

MOST_BYTES = 1_600_000
"""Of a page that stands alone."""


def comparison():
    return comparison_page(VERDICT, make_trace(), RUN, PROBE, {})


@pytest.mark.parametrize(
    "page",
    [
        comparison,
        lambda: growth_page(make_cells(make_rows()), RUN),
        lambda: train_page(
            {k: make_trace()[k] for k in ("step", "loss_left")} | {"loss": make_trace()["loss_left"]}, TRAINED
        ),
    ],
    ids=["comparison", "growth", "train"],
)
def test_a_page_that_stands_alone_is_small_and_holds_the_library_with_its_licence(page):
    html = page()
    assert len(html.encode()) <= MOST_BYTES
    assert "Permission is hereby granted, free of charge" in html
    assert "plotly.js (basic - minified) v4.1.1" in html
    assert "<script src" not in html


def test_pages_of_a_sweep_share_the_library_and_say_where_it_should_be():
    with library.sharing(".."):
        html = comparison()
    assert len(html.encode()) < 200_000
    assert f'<script src="../{library.LIBRARY}"></script>' in html
    assert "script-src 'unsafe-inline' 'self'" in html
    assert f"which is not where this page looks for it: ../{library.LIBRARY}" in html
    assert "<script src" not in comparison()  # the block has ended


def test_a_page_holds_what_all_pictures_share_once_and_each_picture_whole_again():
    figure = draw.blank("loss", "update", 300)
    figure.update_xaxes(type="log", showgrid=True)
    draw.line(figure, np.arange(3), np.array([3.0, 2.0, 1.0]), "one", "#000000")
    (one,) = picture("Loss", "falls", figure)
    assert draw.FONT not in one.json
    html = f'<section class="picture">\n<h3>Loss</h3><script type="application/json">{one.json}</script>'
    ((heading, told),) = pictures(html)
    assert heading == "Loss"
    whole = figure.to_plotly_json()["layout"]
    assert told["layout"]["font"] == dict(whole["font"])
    assert told["layout"]["xaxis"]["showgrid"] is True
    assert told["layout"]["xaxis"]["title"] == {"text": "update", "standoff": 8, "font": {"size": 13}}
    assert told["layout"]["yaxis"]["title"]["text"] == "loss"


def train():
    loss = make_trace()["loss_left"]
    return train_page({"step": make_trace()["step"], "loss": loss}, TRAINED)


def written(tmp_path, size, page=train):
    names = write_figures(page(), size, lambda name: tmp_path / name.replace("/", "-"))
    return {name: (tmp_path / name.replace("/", "-")).read_bytes() for name in names}


@pytest.mark.parametrize("form", FORMATS)
def test_every_picture_of_a_page_becomes_a_file_and_the_same_bytes_again(tmp_path, form):
    found = written(tmp_path, Size(form))
    assert [name.split("/")[1].split("-", 1)[0] for name in found] == [str(n) for n in range(1, len(found) + 1)]
    assert any("loss" in name for name in found)
    start = {"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}[form]
    assert all(data.startswith(start) for data in found.values())
    assert written(tmp_path, Size(form)) == found


def test_a_pdf_carries_its_letters_as_truetype_and_no_date(tmp_path):
    for data in written(tmp_path, Size("pdf")).values():
        assert b"/CIDFontType2" in data
        assert b"/Type3" not in data
        assert b"CreationDate" not in data


@pytest.mark.parametrize(("width", "height"), [(89.0, None), (183.0, None), (60.0, 45.0)])
def test_a_figure_is_as_wide_and_as_high_as_was_said(tmp_path, width, height):
    for data in written(tmp_path, Size("svg", width, height)).values():
        wide, high = (float(x) for x in re.search(rb'width="([\d.]+)pt" height="([\d.]+)pt"', data).groups())
        assert wide * 25.4 / 72 == pytest.approx(width, abs=0.01)
        if height is not None:
            assert high * 25.4 / 72 == pytest.approx(height, abs=0.01)


def test_text_of_an_svg_stays_text_and_is_as_large_as_was_said(tmp_path):
    data = written(tmp_path, Size("svg", font=9.0))
    loss = next(data[name] for name in data if "loss" in name).decode()
    assert "</text>" in loss
    assert "nats" in loss
    assert "font: 9px" in loss or "font-size: 9px" in loss


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"format": "gif"}, "format: unknown format 'gif'"),
        ({"width": 0}, "width: must be 30 to 1000 millimetres, found 0"),
        ({"width": float("nan")}, "width: must be"),
        ({"height": 1e9}, "height: must be"),
        ({"font": "large"}, "font: must be 4 to 40 points, found 'large'"),
        ({"width": True}, "width: must be"),
    ],
)
def test_a_size_that_no_page_has_is_refused(said, word):
    with pytest.raises(ConfigError, match=re.escape(word)):
        Size(**({"format": "pdf"} | said))


def test_the_keys_of_a_config_are_bound_as_sizes_are():
    keys = entries(FigureSettings)
    assert (keys["width"].default, keys["font"].default) == (COLUMN, FONT)
    for word in (*FORMATS, "gif", "PDF"):
        assert (keys["format"].check(word) is None) == (word in FORMATS)
    for name, ends in (("width", SIDES), ("height", SIDES), ("font", FONTS)):
        assert [keys[name].check(end) for end in ends] == [None, None]
        assert all(keys[name].check(end) for end in (ends[0] - 0.1, ends[1] + 0.1))


def drawn(figure):
    ((_, told),) = pictures(
        f'<section class="picture"><h3>a</h3><script type="application/json">{picture("a", "", figure)[0].json}</script>'
    )
    return still(Figure, told, Size("pdf"))


def test_lines_bands_bars_and_shapes_lie_where_the_page_has_them():
    figure = draw.blank("y", "x")
    x = np.array([1.0, 10.0, 100.0])
    figure.update_xaxes(type="log", range=[0, 2])
    draw.line(figure, x, np.array([1.0, np.nan, 3.0]), "broken", "#123456", dash="dot")
    draw.spread(figure, x, np.zeros(3), np.ones(3), "#00FF00")
    figure.add_bar(x=[1, 2], y=[5, 6], name="bars", marker={"color": "red"})
    figure.add_hline(2.0, line={"color": "black", "width": 1})
    figure.add_annotation(text="here & there", x=1, y=0.5, xref="x", yref="paper", showarrow=False)
    draw.line(figure, x, x, "hidden", "#000000", hidden=True)
    (axes,) = drawn(figure).axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlim() == (1.0, 100.0)
    lines = {line.get_label(): line for line in axes.lines}
    assert "hidden" not in lines
    assert np.array_equal(lines["broken"].get_xdata(), x)
    assert np.isnan(lines["broken"].get_ydata()[1])
    (band,) = [patch for patch in axes.patches if isinstance(patch, Polygon)]
    assert np.array_equal(band.get_xy()[:6], [[1, 1], [10, 1], [100, 1], [100, 0], [10, 0], [1, 0]])
    assert [bar.get_height() for bar in axes.containers[0]] == [5, 6]
    level = next(line for line in axes.lines if list(line.get_ydata()) == [2.0, 2.0])
    assert list(level.get_xdata()) == [0, 1]  # from side to side
    (note,) = axes.texts
    assert (note.get_text(), note.get_position()) == ("here & there", (10.0, 0.5))


def test_a_second_axis_and_a_grid_of_plots_keep_their_places():
    figure = draw.blank("left", "x")
    x = np.arange(3.0)
    draw.line(figure, x, x, "one", "#123456")
    draw.line(figure, x, 10 * x, "other", "#654321")
    figure.data[-1].update(yaxis="y2")
    figure.update_layout(yaxis2={"overlaying": "y", "side": "right", "title": {"text": "right"}})
    first, second = drawn(figure).axes
    assert (first.get_ylabel(), second.get_ylabel()) == ("left", "right")
    assert second.yaxis.get_ticks_position() == "right"
    assert np.array_equal(second.lines[0].get_ydata(), 10 * x)


def test_the_legend_names_what_is_drawn_once_and_dollars_are_no_formula():
    figure = draw.blank("$y$", "x")
    x = np.arange(3.0)
    draw.line(figure, x, x, "costs $5 to $6", "#123456")
    draw.line(figure, x, x + 1, "faint", "#123456", faint=True)
    made = drawn(figure)
    (legend,) = made.legends
    assert [text.get_text() for text in legend.get_texts()] == ["costs $5 to $6"]
    (axes,) = made.axes
    for text in (*legend.get_texts(), axes.yaxis.label, axes.xaxis.label):
        assert not text.get_parse_math()
    made.savefig(io.BytesIO(), format="png")


def test_a_page_without_pictures_has_no_figures():
    assert pictures("<h1>nothing</h1>") == []


@pytest.mark.slow
def test_a_command_writes_figures_and_refuses_a_bad_form_before_it_trains(tmp_path):
    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "mlnn", *words], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )

    done = run("train", "steps=5", "figure.format=pdf", "figure.width=120", "out=run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/figures/1-loss.pdf").read_bytes().startswith(b"%PDF")
    assert "figures/1-loss.pdf" in (tmp_path / "run/checksums.json").read_text()
    for word in ("figure.format=gif", "figure.width=5", "figure.colour=red"):
        bad = run("train", "steps=5", word, "out=bad")
        assert (bad.returncode, (tmp_path / "bad").exists()) == (2, False)
        assert word.partition("=")[0] in bad.stderr
