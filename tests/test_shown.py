"""What a session and a failing test show first: a few lines, never tensors or mlnn's own insides; and where files go."""

import os
import pickle
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from objective_cases import binary, scaled, smoothed
from torch import nn
from training_cases import SGD, X, Y, compare, data, lane_recipe, recipe

import mlnn
from mlnn import runs
from mlnn.errors import ConfigError, MlnnError, RunFolderError
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.runs import writing
from mlnn.testing import assert_same_objective

log1p = bernoulli_nll_log1p


def small(right: Any = log1p, **options: Any) -> mlnn.Comparison:
    return compare(bce, right, **({"steps": 3, "null_twins": 0} | options))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("right", [log1p, scaled(2.0, 0.5), smoothed(0.1)], ids=["equal", "scaled", "different"])
def test_a_comparison_shows_its_verdict_and_a_small_table(right: Any) -> None:
    found = small(right)
    lines = repr(found).splitlines()
    assert 6 <= len(lines) <= 14
    assert lines[0] == f"Comparison of bce and {found.about['right']}: {found.verdict.relation}"
    assert lines[1] == found.verdict.sentence
    assert [line.split()[0] for line in lines[-4:]] == ["step", "0", "1", "2"]
    assert f"{found.trace['loss_left'][1]:.6g}" in lines[-2]
    assert len(repr(found)) < 1500
    assert "tensor(" not in repr(found)
    page = found._repr_html_()
    assert found.verdict.relation in page
    assert page.count("<table") == 2
    assert len(page) < 4000


def test_a_verdict_shows_what_there_is_to_know() -> None:
    found = small(scaled(2.0, 0.5)).verdict
    shown = repr(found)
    assert shown.splitlines()[:2] == ["Verdict: scaled", found.sentence]
    for word in ("all raw outputs" if found.domain == "all" else "raw outputs from", "right = 2 · left", "resolution"):
        assert word in shown
    assert len(shown.splitlines()) <= 8
    assert found.sentence[:20] in found._repr_html_()
    gate = assert_same_objective(bce, log1p, domain=(-20, 15))
    assert "raw outputs from -27.6" in repr(gate)


def test_the_parts_of_a_recipe_show_themselves_in_a_line() -> None:
    wide = binary(nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)))
    for part in (data(), wide, lane_recipe(), recipe()):
        assert len(repr(part)) < 700
        assert "tensor(" not in repr(part)
        assert "\n" not in repr(part)
    assert repr(data()) == "Dataset('data': 96 rows of shape (4,), targets binary)"


def test_names_that_would_act_on_a_terminal_are_written_out() -> None:
    found = small(about={"data": "evil\x1b[2J\u202e"})
    assert "\x1b" not in repr(found) + found._repr_html_()
    assert "evil\\x1b[2J\\u202e" in repr(found)
    assert "<script>" not in small(about={"data": "<script>"})._repr_html_()


FAILING = """
import torch
from mlnn.testing import assert_same_objective

def smoothed(logits, labels):
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, 0.9 * labels)

def raising(logits, labels):
    raise ValueError("my own fault")

def test_different():
    assert_same_objective(torch.nn.BCEWithLogitsLoss(), smoothed)

def test_not_compared():
    assert_same_objective(torch.nn.BCEWithLogitsLoss(), raising)

def test_usage():
    assert_same_objective(torch.nn.BCEWithLogitsLoss(), smoothed, "binarry")
"""


@pytest.mark.slow
def test_a_failing_gate_shows_the_message_first_and_none_of_the_insides(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(FAILING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "3 failed" in done.stdout
    told = [line for line in done.stdout.splitlines() if line.startswith("E  ")]
    assert told[0].startswith("E       AssertionError: not the same objective: required 'equal', found 'different'")
    firsts = [line for line in told if "Error" in line]
    assert len(firsts) == 3
    assert "the two objectives cannot be compared: objective 'raising' raised ValueError" in firsts[1]
    assert "unknown target space 'binarry'" in firsts[2]
    assert "mlnn/" not in done.stdout
    assert "During handling" not in done.stdout
    assert "direct cause" not in done.stdout


def test_the_gates_error_carries_its_verdict() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_same_objective(bce, scaled(1.1))
    assert caught.value.verdict.relation == "scaled"
    assert caught.value.__cause__ is caught.value.__context__ is None
    with pytest.raises(ConfigError) as usage:
        assert_same_objective(bce, log1p, "binarry")
    assert not isinstance(usage.value, AssertionError)
    for wrong in ({"require": None}, {"seed": 1.5}, {"domain": (1, 0)}, {"outputs": 3}, {"targets": None}):
        with pytest.raises(MlnnError):
            assert_same_objective(bce, log1p, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("lost", ["missing", "a file"])
def test_a_lost_folder_for_temporary_files_costs_nothing(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "tmp"
    if lost == "a file":
        place.write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    found = small()
    assert found.verdict.relation == "equal"
    assert len(found.trace["step"]) == 3
    assert found.save(tmp_path / "run").is_dir()


def full(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """A disk without room for more, at every call that writes below `place`."""
    real = writing.disk

    def disk(doing: str, path: Path, call: Any, *args: Any, **options: Any) -> Any:
        def fail(*_: Any, **__: Any) -> Any:
            raise OSError(28, "No space left on device")

        return real(doing, path, fail if str(path).startswith(str(place)) else call, *args, **options)

    monkeypatch.setattr(writing, "disk", disk)


def test_a_run_that_cannot_be_saved_is_kept_and_the_error_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    found = small()
    with monkeypatch.context() as patch:
        full(patch, tmp_path / "out")
        with pytest.raises(RunFolderError, match=r"No space left[\s\S]*the run is kept in .*\.trace") as caught:
            found.save(tmp_path / "out" / "run", config="steps: 3\n")
    (kept,) = (tmp_path / "temporary").glob("mlnn-kept-*/run")
    assert str(kept) in str(caught.value)
    read = runs.read_run(kept)
    assert read.config == "steps: 3\n"
    assert all(np.array_equal(read.trace[name], column, equal_nan=True) for name, column in found.trace.items())
    assert not (tmp_path / "out").exists()
    assert runs.read_run(found.save(tmp_path / "out" / "run")).trace.keys() == found.trace.keys()


def test_where_nothing_can_be_written_the_session_still_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    found = small()
    full(monkeypatch, tmp_path)
    with pytest.raises(RunFolderError, match=r"Nothing is lost: this session has it as \.trace"):
        found.save(tmp_path / "run")
    assert len(found.trace["step"]) == 3
    assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()
    monkeypatch.undo()
    found.save(tmp_path / "run")
    with pytest.raises(RunFolderError, match="is not empty") as caught:  # nothing has gone wrong: nothing to keep
        found.save(tmp_path / "run")
    assert "kept" not in str(caught.value)


@pytest.mark.rest
def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, page = small(), tmp_path / "page.html"
    page.write_text("mine")
    real = os.replace
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", partial(_interrupted, real))
        with pytest.raises(KeyboardInterrupt):
            found.report(page)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert page.read_text() == "mine"
    assert found.report(page) == page
    assert found.verdict.sentence[:30] in page.read_text(encoding="utf-8")
    (tmp_path / "link.html").symlink_to(page)
    found.report(str(tmp_path / "link.html"))
    assert (tmp_path / "link.html").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    for bad in (tmp_path, tmp_path / "no" / "page.html", page / "page.html", tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(RunFolderError, match="cannot write"):
            found.report(bad)
    assert Path(os.devnull).is_char_device()


def _interrupted(_real: object, *_: object) -> None:
    raise KeyboardInterrupt


def test_a_comparison_leaves_no_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert str(small()).startswith("Comparison of bce and bernoulli_nll_log1p: equal\n")
    assert list(tmp_path.iterdir()) == []


def test_the_data_of_these_tests_can_fail_a_gate() -> None:
    assert small(smoothed(0.1), data=(X, Y), optimizer=SGD).verdict.relation == "different"
