"""What is told of a sweep: a console table that is readable in 100 columns, and a page with a row a job."""

import re
from pathlib import Path

import pytest
from rich.console import Console

from mlnn.cli.jobs import Job
from mlnn.cli.said import Said
from mlnn.cli.sweep_page import console_table, lead, sweep_page
from mlnn.report.console import fitted_table
from mlnn.report.library import LIBRARY, sharing
from mlnn.runs.jobs import DONE, FAILED, JobRow

NUMBERS = {f"a_long_name_of_number_{n}": 1.0 / (n + 3) for n in range(9)}


def job(name: str, **swept: str) -> Job:
    return Job(name, Said("compare"), swept)


FOUND = [
    (job("seed=0,objective=bce", seed="0", objective="bce"),
     JobRow(DONE, {}, 0, 1.5, None, 1, None, {"relation": "equal", "resolution": 1e-7, **NUMBERS})),
    (job("seed=0,objective=mse", seed="0", objective="mse"),
     JobRow(DONE, {}, 1, 1.5, "required 'equal'", 1, None, {"relation": "different", "resolution": 1e-7, **NUMBERS})),
    (job("seed=1,objective=<b>bad</b>", seed="1", objective="<b>bad</b>"),
     JobRow(FAILED, {}, 4, 60.0, "took longer than 60 s " + "and so on " * 40)),
]  # fmt: skip


def printed(found: list[tuple[Job, JobRow]]) -> list[str]:
    console = Console(width=100, record=True, file=open("/dev/null", "w"), markup=False)  # noqa: SIM115
    console.print(console_table(found))
    return [line.rstrip() for line in console.export_text().splitlines() if line.strip()]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_console_has_one_line_a_job_whatever_it_is_that_does_not_fit() -> None:
    lines = printed(FOUND)
    rows = [line for line in lines if re.match(r" *[01] +(bce|mse|<b>)", line)]
    assert len(rows) == 3, lines
    assert max(map(len, lines[: 2 + len(rows)])) <= 100
    header = lines[0]
    assert all(name in header for name in ("seed", "objective", "status", "relation", "error"))
    told = " ".join(lines[2 + len(rows) :])
    assert "not shown for want of width: " in told
    assert "a_long_name_of_number_8" in told
    assert "a_long_name_of_number_8" not in header
    assert all(name in header or name in told for name in NUMBERS)


def test_columns_that_fit_are_all_there_and_the_weightiest_stay() -> None:
    rows = [{"a": "x" * 20, "b": "y" * 20, "c": 1.5}]
    table, left = fitted_table(["a", "b", "c"], rows, ["c", "b"], 100)
    assert ([column.header for column in table.columns], left) == (["a", "b", "c"], [])
    table, left = fitted_table(["a", "b", "c"], rows, ["c", "b"], 40)
    assert ([column.header for column in table.columns], left) == (["b", "c"], ["a"])
    table, left = fitted_table(["a", "b"], rows, ["b"], 5)
    assert ([column.header for column in table.columns], left) == (["b"], ["a"])


def test_the_page_has_a_row_a_job_with_links_to_what_is_there_and_nothing_that_acts(tmp_path: Path) -> None:
    page_of = tmp_path / FOUND[0][0].name / "report.html"
    page_of.parent.mkdir()
    page_of.write_text("page", encoding="utf-8")
    (tmp_path / "seed=0,objective=mse.log").write_text("", encoding="utf-8")
    (tmp_path / f"{FOUND[2][0].name}.log").parent.mkdir(parents=True, exist_ok=True)
    with sharing("."):
        page = sweep_page(FOUND, "compare", tmp_path)
    assert len(page) < 30_000
    assert page.count("<tr>") == 1 + len(FOUND) + 1
    assert 'href="seed%3D0%2Cobjective%3Dbce/report.html"' in page
    assert page.count("report.html") == 1
    assert f'<script src="./{LIBRARY}">' in page
    assert "<b>bad" not in page
    assert "&lt;b&gt;bad" in page
    assert "2 of 3 jobs gave an answer. Of 1 it is not what was required. 1 failed" in page
    assert "took longer than 60 s" in page
    assert "≠ different" in page


def test_the_lead_counts() -> None:
    rows = [row for _, row in FOUND]
    assert lead(rows[:1] * 2) == "All 2 jobs gave an answer."
    assert "failed" not in lead(rows[:2])
    assert lead(rows[2:]).startswith("0 of 1 jobs gave an answer. 1 failed")
