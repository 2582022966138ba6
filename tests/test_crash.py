"""Runs ended by force at operations on the disk, and gone on with: the short form of experiments/benchmarks/crash.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from app_cases import ROOT

SCRIPT = ROOT / "experiments" / "benchmarks" / "crash.py"


def crashes(out: Path, *words: str) -> tuple[int, dict[str, object]]:
    """(exit code, answer) of the harness, in a process that nothing was computed in."""
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    told = [sys.executable, str(SCRIPT), f"out={out}", "models=logistic", "dtypes=float32", "steps=3", *words]
    done = subprocess.run(told, capture_output=True, text=True, env=surroundings, timeout=600, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_crash_at_any_operation_loses_no_bit(tmp_path: Path) -> None:
    code, found = crashes(tmp_path / "crash.jsonl", "every=9", "kills=2", "kinds=python,train")
    assert (code, found["wrong"]) == (0, [])
    assert isinstance(found["tries"], int)
    assert found["tries"] > 100
    again = crashes(tmp_path / "crash.jsonl", "every=9", "kills=2", "kinds=python,train")
    assert again == (code, found), "it goes on where it has ended"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["crash", "kill", "fault"])
def test_each_form_sees_a_trace_that_is_written_in_place(form: str, tmp_path: Path) -> None:
    code, found = crashes(tmp_path / "crash.jsonl", f"forms={form}", "every=5", "kills=12", "plant=1")
    assert code == 1
    assert "was kept, and it goes on at" in str(found["wrong"])
