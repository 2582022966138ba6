"""What the page of a training says and shows of it: the headline, the words, the pictures in their order."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from app_cases import command
from lesson_cases import Ran, one_feature
from torch import nn

from mlnn import data
from mlnn.estimating import Trajectory
from mlnn.estimating.classical_page import norm_figure
from mlnn.estimating.lesson import figures, words
from mlnn.estimating.lesson.axis import Axis
from mlnn.estimating.lesson.lesson import Lesson
from mlnn.likelihoods import Bernoulli
from mlnn.models import MLP
from mlnn.objectives import bce, hinge, mse, poisson_nll
from mlnn.report.figures import write_figures
from mlnn.report.size import Size
from mlnn.training import LaneRecipe, train

# The words and the page


def test_the_headline_of_a_maximum_that_is_reached_and_of_one_that_is_not() -> None:
    short = Ran(data.spector(), bce, lr=0.01).headline
    assert "−log of a Bernoulli likelihood, divided by the 32 rows." in short
    assert short.endswith("the maximum-likelihood estimate (MLE), is -12.89.")
    there = Ran(one_feature(), bce, steps=400, lr=4.0)
    assert "which is the highest that any weights reach" in there.headline
    assert "all are within 0.0001 standard errors of it" in there.details
    assert "no test on these data could tell" in there.details
    assert "no test on these data could tell" not in Ran(data.spector(), bce, lr=0.01).details


def test_what_is_not_in_nats_is_not_said_to_be() -> None:
    rows = data.diabetes()
    ran = Ran(rows, mse)
    assert "up to a factor and a constant" in ran.headline
    assert "taken at sigma = " in ran.details
    assert "those of Normal(sigma=1)" in ran.details
    figure = figures.course_figure(ran.trace["step"], ran.trace["loss"], ran.lesson)
    assert figure.layout.yaxis.title.text == "loss, mean per row"
    assert "a constant that only depends on the data" in Ran(data.cpunish(), poisson_nll, lr=1e-9).headline


def test_weight_decay_is_told() -> None:
    assert "weight decay of 0.05" in Ran(data.spector(), bce, weight_decay=0.05).details
    assert "weight decay" not in Ran(data.spector(), bce).details


def test_a_loss_without_a_likelihood_has_one_axis_and_the_reason() -> None:
    ran = Ran(data.spector(), hinge)
    lesson = Lesson(**{**vars(ran.lesson), "why_not": "'hinge' is no likelihood."})
    assert words.headline(lesson, None, None, None) == "'hinge' is no likelihood."
    assert "No likelihood is known" in ran.headline
    figure = figures.course_figure(ran.trace["step"], ran.trace["loss"], lesson)
    assert "yaxis2" not in figure.layout.to_plotly_json()
    read = Lesson(**{**vars(lesson), "axis": Axis(0.0, 32.0), "why_not": "It is one."})
    figure = figures.course_figure(ran.trace["step"], ran.trace["loss"], read)
    assert figure.layout.yaxis2.side == "right"


@pytest.mark.rest
def test_of_a_loss_without_a_known_likelihood_the_page_says_what_an_audit_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ("data=spector", "model=logistic", "steps=3")
    assert command("train", *rows, "batch_size=null", "objective=hinge", "out=hinge").code == 0
    page = Path("hinge/report.html").read_text().partition("<script>")[0]
    assert "is no likelihood" in page
    assert "has no second axis" in page
    assert "yaxis2" not in page
    assert "Where the equality of loss" in page
    for batch, read in (("null", True), ("16", False)):
        words = ("objective=bernoulli_nll_clipped", f"batch_size={batch}", f"out=of_{batch}")
        assert command("train", *rows, *words).code == 0
        page = Path(f"of_{batch}/report.html").read_text().partition("<script>")[0]
        assert "is −log of a likelihood (Bernoulli)" in page
        assert ("on the right." in page.partition("How to read")[0]) is read
        assert ("yaxis2" in page) is read


def deep(**how: object) -> Ran:
    return Ran(data.spector(), bce, partial(MLP, width=4, depth=1), **how)  # type: ignore[arg-type]


def test_a_deep_network_has_a_log_likelihood_and_nothing_is_said_of_a_maximum() -> None:
    ran = deep(size=8)
    assert ran.run.likelihood
    assert ran.lesson.log_likelihoods[-1] == pytest.approx(ran.run.likelihood.log_likelihood, rel=1e-12)
    assert f" to {ran.run.likelihood.log_likelihood:.5g}." in ran.headline
    assert "maximum" not in ran.headline
    assert ran.lesson.axis == Axis(0.0, 32.0)
    assert "Where the equality" not in ran.page()


def test_all_rows_are_looked_at_seldom_and_change_no_bit_of_the_training() -> None:
    few = deep(size=2, steps=64)
    assert list(few.lesson.steps) == [0, 32, 64]
    assert len(deep(steps=100).lesson.steps) == 40
    alone = train(few.recipe, LaneRecipe(few.objective, partial(torch.optim.SGD, lr=0.1)), lambda _row: None)
    pairs = zip(alone.module.parameters(), few.lane.module.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    once = deep(size=1, steps=20)
    assert len(once.lesson.steps) == 0
    figure = figures.course_figure(once.trace["step"], once.trace["loss"], once.lesson)
    assert "yaxis2" not in figure.layout.to_plotly_json(), (
        "an axis of all rows beside a curve of batches alone says nothing"
    )
    assert f"ended at a log-likelihood of {once.run.likelihood.log_likelihood:.5g}" in once.headline  # type: ignore[union-attr]


def test_a_training_that_diverged_is_not_said_to_have_no_maximum() -> None:
    ran = Ran(data.longley(), mse, steps=60, lr=1.0)
    assert ran.lane.stopped
    assert ran.headline.startswith("Training stopped at step")
    assert norm_figure({"": ran.course.looks}) is None
    page = ran.page()
    assert "no maximum to reach" not in page.partition("Where the equality")[0]
    assert "nan" not in page.split("<script")[0].lower()


def test_the_page_holds_the_headline_first_and_every_picture() -> None:
    ran = Ran(one_feature(), bce, size=16)
    page = ran.page()
    body = page.partition("<body>")[2]
    assert body.index(ran.headline.split("(")[0].replace("'", "&#39;")) < body.index('class="plot"')
    headings = re.findall(r"<h3>(.*?)</h3>", body)
    assert headings[:4] == ["Loss", "The fit", "The weights on their way", "Digits of the maximum-likelihood estimate"]
    assert headings[4:8] == ["Rounding", "A loss that is no likelihood", "No maximum", "Weight decay"]
    for held in re.findall(r'<script type="application/json">(.*?)</script>', body):
        drawn = json.loads(held, parse_constant=pytest.fail)
        assert {trace["type"] for trace in drawn["data"]} == {"scatter"}


def test_a_module_is_left_as_it_is_by_a_look() -> None:
    rows = data.spector()
    module = nn.Linear(3, 1).double()
    before = [weight.detach().clone() for weight in module.parameters()]
    course = Trajectory(Bernoulli(), rows, 1)
    course.watch(0, module)
    assert course.looks[0].coefficients is not None
    assert course.looks[0].coefficients.shape == (4, 1)
    assert all(torch.equal(one, two) for one, two in zip(before, module.parameters(), strict=True))


@pytest.mark.rest
def test_every_picture_can_be_had_for_paper(tmp_path: Path) -> None:
    """Panels are as high as their labels need, whatever the width."""
    (tmp_path / "figures").mkdir()
    size = Size("svg", 89.0)
    names = write_figures(Ran(data.diabetes(), mse).page(), size, lambda name: tmp_path / name)
    assert [name.partition("-")[2] for name in names[:2]] == ["loss.svg", "the-weights-on-their-way.svg"]
    assert len(names) == 7
    for name in names:
        width, height = map(float, re.findall(r'(?:width|height)="([\d.]+)pt"', (tmp_path / name).read_text())[:2])
        assert width == pytest.approx(89 / 25.4 * 72, rel=1e-3)
        assert height > (2 if "way" in name else 1) * 90
