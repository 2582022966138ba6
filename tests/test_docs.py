"""Are README and docs true? Links, commands, overrides, names, relations, exit codes and forms against the code."""

import dataclasses
import inspect
import re
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from app_cases import COMMANDS, CONFIGS, ROOT
from docs_cases import (
    PAGES,
    anchors,
    blocks,
    broken_python,
    command_lines,
    dead_links,
    exists,
    missing_files,
    refused_lines,
    said_of_codes,
    spans,
    tables,
    unknown_commands,
    unknown_names,
    words,
)

import mlnn
from mlnn import errors
from mlnn.auditing.certificate import KINDS
from mlnn.cli import app, performing, said
from mlnn.cli.compose import composing, settings
from mlnn.comparing.relations import ORDER, REQUIRABLE
from mlnn.comparing.verdict import Verdict
from mlnn.targets import SPACES
from mlnn.testing import assert_same_objective
from mlnn.training.recipe import DTYPES

pytestmark = pytest.mark.proves

README, DOCS, FORMS = ROOT / "README.md", ROOT / "docs", ROOT / ".github" / "ISSUE_TEMPLATE"
FINDERS = (unknown_commands, refused_lines, unknown_names, broken_python, missing_files)
MEANINGS = {
    0: "done",
    errors.RequirementNotMetError.exit_code: "require=",
    errors.ConfigError.exit_code: "usage or config",
    errors.DataError.exit_code: "data",
    errors.NoAnswerError("").exit_code: "no answer",
    errors.RunFolderError.exit_code: "run folder",
    performing.BUG: "bug",
    performing.INTERRUPTED: "interrupted",
}
"""A word that the docs must use of each exit code."""
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@cache
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@every_page
def test_every_link_and_picture_of_a_page_leads_somewhere(page: Path) -> None:
    assert dead_links(text(page), page.parent) == []


@every_page
@pytest.mark.parametrize("find", FINDERS, ids=lambda find: find.__name__)
def test_what_a_page_names_exists(page: Path, find: Any) -> None:
    assert find(text(page)) == []


def test_the_finders_find_something_to_look_at() -> None:
    lines = [line for page in PAGES for line in command_lines(text(page))]
    assert {line[0] for line in lines if line} >= set(COMMANDS)
    assert sum(len(line) > 1 for line in lines) > 25
    assert sum(len(blocks(text(page), "python")) for page in PAGES) > 10
    assert len([span for page in PAGES for span in spans(text(page)) if span.startswith("mlnn.")]) > 30


@pytest.mark.parametrize(
    ("find", "planted", "told"),
    [
        (unknown_commands, "Say `mlnn comprae model=mlp`.", "comprae"),
        (unknown_commands, "```sh\nmlnn trian\n```\n", "trian"),
        (refused_lines, "```sh\nmlnn compare modl=mlp  # words\n```\n", "modl"),
        (refused_lines, "```sh\nmlnn compare model=mpl\n```\n", "mpl"),
        (refused_lines, "```sh\nmlnn compare -m seed=0,1 model.deep=2\n```\n", "deep"),
        (refused_lines, "```sh\nmlnn compare --config-dir my/conf model=my_net setps=3\n```\n", "setps"),
        (refused_lines, "```sh\nmlnn compare left.accumulate=4\n```\n", "lanes.left.accumulate"),
        (refused_lines, "```sh\nmlnn train 'data=[iris'\n```\n", "cannot be read"),
        (unknown_names, "```python\nimport mlnn\nmlnn.comprae(1)\n```\n", "mlnn.comprae"),
        (unknown_names, "```python\nfrom mlnn.runs import read_ruin\n```\n", "mlnn.runs.read_ruin"),
        (unknown_names, "See `mlnn.Comparison.verdcit`.", "mlnn.Comparison.verdcit"),
        (broken_python, "```python\nif True print(1)\n```\n", "syntax"),
        (missing_files, "It lies in `mlnn/gone/away.py`.", "mlnn/gone/away.py"),
    ],
)
def test_a_wrong_text_is_found(find: Any, planted: str, told: str) -> None:
    (problem,) = find(planted)
    assert told in problem
    assert find("Plain words, `f(x)` and a [link](README.md).") == []


def test_a_dead_link_is_found() -> None:
    page = (
        "# One head\n[a](gone.md) ![b](README.md) [c](#one-head) [d](#two) [e](README.md#no-such) [f](https://x.org/y)"
    )
    assert dead_links(page, ROOT) == ["gone.md", "#two", "README.md#no-such"]
    assert "two-commands" in anchors(text(README))


@pytest.mark.parametrize("page", [README, DOCS / "reading_a_verdict.md"], ids=lambda page: page.name)
def test_the_relations_are_those_of_the_code_strongest_first(page: Path) -> None:
    assert [words(rows) for rows in tables(text(page), "relation")] == [list(ORDER)]


def test_the_kinds_of_certificate_are_those_of_the_code() -> None:
    assert [words(rows) for rows in tables(text(DOCS / "glossary.md"), "kind")] == [list(KINDS)]
    (command_rows,) = tables(text(README), "command")
    assert {word.split()[1] for word in words(command_rows)} == set(app.COMMANDS) == set(COMMANDS)


def test_a_table_that_is_not_true_is_found() -> None:
    rows = "| relation | words |\n| --- | --- |\n| `bitwise` | a |\n| `eqal`, `equal` | b |\n\n| other |\n| --- |\n| `c` |\n"
    assert [words(found) for found in tables(rows, "relation")] == [["bitwise", "eqal", "equal"]]
    assert tables(rows, "kind") == []


def unknown_requirements(page: str) -> list[str]:
    """What follows `require=`, in inline code, shell and Python, and can't be required."""
    named = re.findall(r"require=[\"']?(\w+)", page)
    return [word for word in named if word not in (*REQUIRABLE, *KINDS, "mle")]


@every_page
def test_what_is_required_can_be(page: Path) -> None:
    assert unknown_requirements(text(page)) == []
    assert unknown_requirements("`require=eqal`, require='equal', require=mle") == ["eqal"]


def test_the_facts_of_a_verdict_are_its_fields() -> None:
    (rows,) = tables(text(DOCS / "reading_a_verdict.md"), "key")
    assert len(words(rows)) > 4
    assert [word for word in words(rows) if word not in Verdict.__dataclass_fields__] == []


def test_the_exit_codes_are_those_of_the_code() -> None:
    meanings, order = said_of_codes(text(README))
    assert order == list(performing.GRAVEST)
    assert meanings.keys() == MEANINGS.keys() == {0, *performing.GRAVEST}
    assert [code for code, word in MEANINGS.items() if word not in meanings[code]] == []


def test_wrong_exit_codes_are_read_as_they_stand() -> None:
    wrong = "Exit codes: 0 done; 3 bad usage\nor config; 71 a bug. Of several, the first of 3, 71."
    assert said_of_codes(wrong) == ({0: "done", 3: "bad usage or config", 71: "a bug"}, [3, 71])


@cache
def keys() -> frozenset[str]:
    """Every key and group of every command, dotted, and every argument of the public functions."""
    found = {path.name for path in CONFIGS.iterdir() if path.is_dir()}

    def walk(node: dict[str, Any], where: str) -> None:
        for key, value in node.items():
            found.add(f"{where}{key}")
            if isinstance(value, dict):
                walk(value, f"{where}{key}.")

    for name in COMMANDS:
        line = said.read(name, ["runs=[a]"] if name == "curves" else [])
        with composing(line):
            walk(dataclasses.asdict(settings(line)), "")
    for function in (
        mlnn.compare,
        mlnn.audit,
        mlnn.prove,
        mlnn.estimate,
        mlnn.record,
        mlnn.replay,
        assert_same_objective,
    ):
        found |= set(inspect.signature(function).parameters)
    return frozenset(found)


def unknown_keys(page: str) -> list[str]:
    """Keys of `key=…` in inline code that nothing takes; a part of a key in … stands for any."""
    named = [match[1] for span in spans(page) if (match := re.match(r"([a-z_]+(?:\.[a-z_]+)*)(?:@[a-z.]+)?=", span))]
    own = ("data.likelihood",)  # of data=synthetic
    return [key for key in named if key not in keys() and key not in own]


@every_page
def test_every_key_in_a_sentence_is_a_key(page: Path) -> None:
    assert unknown_keys(text(page)) == []


def test_a_key_that_is_none_is_found() -> None:
    assert unknown_keys("`requier=equal`, `lanes.left.accumulate=4`, `seed=`, `lanes.left.speed=1`") == [
        "requier",
        "lanes.left.speed",
    ]


def unheld(page: str) -> list[str]:
    """Code in the last column of the glossary that neither exists nor is a key or a command."""
    cells = [row[2] for heading in ("word", "word of a certificate") for rows in tables(page, heading) for row in rows]
    code = [span for cell in cells for span in spans(cell)]
    held = {f"{key}=" for key in keys()} | {f"mlnn {name}" for name in COMMANDS}
    return [span for span in code if span not in held and not (span.startswith("mlnn.") and exists(span))]


def test_every_word_of_the_glossary_is_in_the_code() -> None:
    page = text(DOCS / "glossary.md")
    assert sum(len(rows) for rows in tables(page, "word")) > 25
    assert unheld(page) == []
    head = "| word | meaning | in the code |\n| --- | --- | --- |\n"
    row = "| lane | a run | `mlnn.training.Lane`, `mlnn.Lain`, `seed=`, `sede=`, `mlnn grow` |\n"
    assert unheld(head + row) == ["mlnn.Lain", "sede=", "mlnn grow"]
    spaces = next(row[1] for rows in tables(page, "word") for row in rows if row[0] == "target space")
    assert [word.partition("(")[0] for word in spans(spaces)] == list(SPACES)


def untold(pair: str) -> list[str]:
    """What the file of a pair does not state: s and c, and the data that fit."""
    return [needed for needed in ("# NLL = ", "# Data that fit: ") if needed not in pair]


@pytest.mark.parametrize("path", sorted((CONFIGS / "pair").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_file_of_a_pair_states_its_constants_and_data(path: Path) -> None:
    assert untold(text(path)) == []
    assert untold("# NLL = loss.\n") == ["# Data that fit: "]


def test_the_catalogue_in_the_recipes_is_complete() -> None:
    (rows,) = tables(text(DOCS / "recipes.md"), "`pair=`")
    assert sorted(words(rows)) == sorted(path.stem for path in (CONFIGS / "pair").glob("*.yaml"))
    data = {path.stem for path in (CONFIGS / "data").glob("*.yaml")}
    assert {word for row in rows for word in spans(row[2]) if "=" not in word} <= data


def test_the_numbers_of_known_pairs_and_losses_are_those_of_the_code() -> None:
    from judging import cells, select

    told = " ".join(text(README).split())
    losses = yaml.safe_load(text(CONFIGS / "catalogue" / "losses.yaml"))
    for count, words_after in (
        (len(select(families=["textbook"])), "known pairs"),
        (len(select(["equal"], families=["textbook"])), "equal on paper"),
        (len(select(["unequal"], families=["textbook"])), "with a bug"),
        (len(cells(select(families=["textbook"]), full=False)), "runs mlnn"),
        (len(losses), "losses, on one page"),
    ):
        assert f"{count} {words_after}" in told


def test_the_picture_of_the_architecture_is_a_picture() -> None:
    root = ET.parse(DOCS / "architecture.svg").getroot()
    assert root.tag.endswith("svg")
    assert {"recipe", "lockstep", "verdict", "certificate", "estimate"} <= {node.text for node in root.iter()}


def make_check() -> list[str]:
    """The commands of `make check`, as they are typed."""
    rule = text(ROOT / "Makefile").split("\ncheck: ")[1].split("\n\n")[0]
    return re.findall(r"@\$\(BIN\)/(.+)", rule)


def test_pre_commit_runs_what_make_check_runs_and_downloads_nothing() -> None:
    repos = yaml.safe_load(text(ROOT / ".pre-commit-config.yaml"))["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    assert [hook["entry"] for hook in repos[0]["hooks"]] == [f".venv/bin/{line}" for line in make_check()]
    assert {hook["language"] for hook in repos[0]["hooks"]} == {"system"}


def test_the_workflow_calls_the_script_on_a_python_that_is_allowed() -> None:
    workflow = yaml.safe_load(text(ROOT / ".github" / "workflows" / "ci.yml"))
    runs = {name: [step["run"] for step in one["steps"] if "run" in step] for name, one in workflow["jobs"].items()}
    assert runs == {"all": [".ci/run"], "rest": ['make test ARGS="-m rest"']}
    job = workflow["jobs"]["all"]
    assert job["strategy"]["matrix"]["python-version"] == ["3.11"]
    assert 'requires-python = ">=3.11,<3.14"' in text(ROOT / "pyproject.toml"), (
        "the comment on newer versions rests on it"
    )


@pytest.mark.parametrize("name", ["bug", "wrong_verdict"])
def test_a_form_has_what_a_form_needs(name: str) -> None:
    form = yaml.safe_load(text(FORMS / f"{name}.yml"))
    assert {"name", "description", "body"} <= form.keys()
    asked = [item for item in form["body"] if item["type"] != "markdown"]
    assert {item["type"] for item in asked} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert len({item["id"] for item in asked}) == len(asked)
    assert all(item["attributes"]["label"] for item in asked)


def test_the_form_of_a_wrong_verdict_offers_what_there_is() -> None:
    body = yaml.safe_load(text(FORMS / "wrong_verdict.yml"))["body"]
    offered = {item["id"]: item["attributes"]["options"] for item in body if item["type"] == "dropdown"}
    assert offered["expected"] == list(ORDER)
    assert sorted(offered["dtype"]) == sorted(DTYPES)
    assert [word.partition("(")[0] for word in offered["targets"]] == list(SPACES)
    assert {"objectives", "verdict", "environment"} <= {item["id"] for item in body if "id" in item}


RUNNABLE = {
    page.stem: runs
    for page in PAGES
    if page.parent == DOCS
    if (runs := [block for block in blocks(text(page), "python") if "my_" not in block])
}


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE)
def test_the_examples_of_a_page_run_one_after_another(page: str) -> None:
    assert any("assert" in block for block in RUNNABLE[page]), "examples say what comes out"
    session: dict[str, object] = {"__name__": "example"}
    for number, block in enumerate(RUNNABLE[page]):
        exec(compile(block, f"{page}-{number}", "exec"), session)
