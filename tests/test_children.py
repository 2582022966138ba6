"""Workers do not import what lies in the current folder, and would without the block that sees to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_cases import ROOT

from mlnn.workers import safe_children

WORK = """
import contextlib, sys
from mlnn.workers import safe_children
import joblib
with safe_children() if sys.argv[1] == 'safe' else contextlib.nullcontext():
    print(joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(number) for number in (-1, -2)))
"""


@pytest.mark.parametrize("how", ["safe", "plain"])
def test_a_decoy_in_the_current_folder_is_not_imported(tmp_path: Path, how: str) -> None:
    (tmp_path / "numpy.py").write_text("open('acted', 'w').close()\nraise SystemExit(3)\n")
    line = [sys.executable, "-P", "-c", WORK, how]
    surroundings = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"} | {
        "PYTHONPATH": str(ROOT)
    }
    done = subprocess.run(line, cwd=tmp_path, env=surroundings, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip() == "[1, 2]") is (how == "safe")
    assert (tmp_path / "acted").exists() is (how == "plain")


@pytest.mark.parametrize("before", [None, "", "1"])
def test_the_variable_is_as_before(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    if before is not None:
        monkeypatch.setenv("PYTHONSAFEPATH", before)

    def fail() -> None:
        with safe_children():
            assert os.environ["PYTHONSAFEPATH"] == "1"
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert os.environ.get("PYTHONSAFEPATH") == before
