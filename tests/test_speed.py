"""The speed command: contenders alternate in processes of their own, and their answers are compared. Nothing is timed here."""

import json
from pathlib import Path

import numpy as np
import pytest
from app_cases import assert_short, command
from speed import CONTENDERS, draw, race


def test_the_data_are_as_asked_for() -> None:
    x, y = draw(4000, 3, 0.5, 0)
    assert x.shape == (4000, 3)
    assert np.corrcoef(x.T)[0, 1] == pytest.approx(0.5, abs=0.05)
    assert set(np.unique(y)) == {0.0, 1.0}
    again, _ = draw(4000, 3, 0.5, 0)
    assert np.array_equal(x, again)


@pytest.mark.slow
def test_contenders_agree() -> None:
    seen = []
    found = race(3000, 3, 0.0, 1, ["sklearn_tight", "statsmodels_logit"], 0, lambda done, of: seen.append((done, of)))
    assert [one["name"] for one in found] == ["mlnn", "sklearn_tight", "statsmodels_logit"]
    assert seen[-1] == (6, 6)  # warm and first
    assert found[0]["ratio"] == 1
    assert found[0]["errors_apart"] == 0
    assert all(len(one["seconds"]) == len(one["first_seconds"]) == 1 for one in found)
    assert all(one["first_memory"] > one["memory"] for one in found)  # a library is larger than these rows
    assert all(one["first_ratio"] == one["first"] / found[0]["first"] for one in found)
    assert max(one["errors_apart"] for one in found) < 1e-5
    assert [one["standard_errors"] for one in found] == [True, False, True]


@pytest.mark.rest
def test_a_package_that_is_not_there_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONTENDERS, "glum", (CONTENDERS["glum"][0], "no_such_package_anywhere"))
    found = race(2000, 2, 0.0, 1, ["glum"], 0, lambda *_: None)
    assert [one["name"] for one in found] == ["mlnn"]


@pytest.mark.slow
def test_the_command_writes_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("estimation_speed", "rows=2000", "columns=2", "repeats=1", "rivals=[sklearn]", "out=here")
    assert (done.code, done.err) == (0, "")
    assert json.loads(Path("here/speed.json").read_text())["sizes"]["rows"] == 2000
    for words, named in ((("rows=0",), "rows"), (("rivals=[stata]",), "stata"), (("correlation=1.0",), "correlation")):
        done = command("estimation_speed", *words, "out=there")
        assert done.code == 2
        assert_short(done.err)
        assert named in done.err
