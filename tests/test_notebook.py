"""The notebook in docs: it runs from start to end as it is, what is stored in it is what comes out, and GitHub can show it."""

import copy
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from app_cases import ROOT
from notebook_cases import Made, code, differences, read, run, store, stored

pytestmark = pytest.mark.proves

NOTEBOOK = ROOT / "docs" / "from_sigmoid_to_likelihood.ipynb"
MINUTE = 60.0
"""Seconds of processor time that a run may take: what the notebook promises."""
LARGEST = 300_000
"""Bytes of the file: pages that are larger are slow to show."""
LONGEST = 24
"""Lines of a cell: one idea each."""


@pytest.fixture(scope="module")
def fresh() -> tuple[list[Made], float]:
    begun = time.process_time()
    return run(read(NOTEBOOK)), time.process_time() - begun


@pytest.mark.rest
def test_what_is_stored_is_what_comes_out(fresh: tuple[list[Made], float]) -> None:
    cells = code(read(NOTEBOOK))
    assert len(cells) >= 15
    found = {
        place: differences(stored(cell), made) for place, (cell, made) in enumerate(zip(cells, fresh[0], strict=True))
    }
    assert {place: told for place, told in found.items() if told} == {}
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))


@pytest.mark.rest
def test_it_takes_less_than_a_minute(fresh: tuple[list[Made], float]) -> None:
    assert fresh[1] < MINUTE


@pytest.mark.rest
def test_it_says_what_it_is_there_to_say(fresh: tuple[list[Made], float]) -> None:
    text = "".join(made.text for made in fresh[0])

    def after(words: str) -> float:
        [number] = re.findall(re.escape(words) + r" *= *([\d.e+-]+)", text)[:1]
        return float(number)

    assert after("cross-entropy loss, summed") == after("−log(likelihood)")
    assert after("exp(−loss)") == re_likelihood(text)
    assert "relation: equal" in text
    assert "on paper 6.902" in text
    assert "'hinge' is no likelihood" in text
    assert "separation: complete" in text
    assert "False" not in text
    slope, pull = (re.findall(re.escape(words) + r"(.*)", text) for words in ("slope of −log(likelihood):", "n λ w:"))
    assert slope == pull


def re_likelihood(text: str) -> float:
    """The likelihood that is printed below the loss."""
    return float(re.findall(r"^likelihood += ([\d.e+-]+)$", text, re.MULTILINE)[-1])


def test_it_is_a_notebook_that_github_shows() -> None:
    notebook = read(NOTEBOOK)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert NOTEBOOK.stat().st_size < LARGEST
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        assert source.strip()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | (
            {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        )
        if cell["cell_type"] == "code":
            assert len(source.splitlines()) <= LONGEST
            assert not re.search(r"^\s*[%!]", source, re.MULTILINE), "what only Jupyter understands"
    assert sum(len(stored(cell).pictures) for cell in code(notebook)) == 2


def test_a_changed_number_word_or_picture_is_seen() -> None:
    made = Made("w = 1.149 after 10 steps\n", (b"png",))
    assert differences(made, made) == []
    assert differences(made, replace(made, text="w = 1.1491 after 10 steps\n")) == []
    assert differences(made, replace(made, text="w = 1.249 after 10 steps\n"))
    assert differences(made, replace(made, text="w = 1.149 after 11 steps\n"))
    assert differences(made, replace(made, text="w = -1.149 after 10 steps\n"))
    assert differences(made, replace(made, text="v = 1.149 after 10 steps\n"))
    assert differences(made, replace(made, text="w = nan after 10 steps\n"))
    assert differences(made, replace(made, pictures=()))


def test_storing_a_run_keeps_the_rest(tmp_path: Path) -> None:
    notebook = read(NOTEBOOK)
    small = copy.deepcopy(notebook) | {"cells": [notebook["cells"][0], copy.deepcopy(code(notebook)[0])]}
    small["cells"][1]["source"] = [
        "import matplotlib.pyplot as plt\n",
        "plt.plot([1, 2])\n",
        "plt.show()\n",
        "print(1 + 1)",
    ]
    path = tmp_path / "small.ipynb"
    path.write_text(json.dumps(small))
    store(path)
    [cell] = code(read(path))
    assert stored(cell).text == "2\n"
    assert [picture[:4] for picture in stored(cell).pictures] == [b"\x89PNG"]
    assert read(path)["cells"][0] == notebook["cells"][0]


def test_a_cell_that_fails_fails_the_run() -> None:
    notebook = {"cells": [{"cell_type": "code", "source": ["1 / 0"]}]}
    with pytest.raises(ZeroDivisionError):
        run(notebook)
