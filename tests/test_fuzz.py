"""The harness of hostile files sees what acts, a sample of its cases does nothing, and no bit of a run changes unseen."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from app_cases import ROOT
from fuzzing import SPECIMENS, Case
from fuzzing.changing import table_changed, tree_changed, tree_changes, tree_places
from fuzzing.formats import FORMATS
from fuzzing.planted import HOLES

LIGHT = "log csv,trainer state,json lines,events,csv,packed csv,recording,config train,config table"


def fuzz(out: Path, *words: str) -> tuple[int, list[dict[str, object]], str]:
    """(Exit code, outcomes, what was told) of the harness."""
    line = [sys.executable, str(ROOT / "experiments" / "benchmarks" / "fuzz.py"), "--out", str(out), *words]
    environment = os.environ | {"TMPDIR": str(out.parent)}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd=out.parent)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    return done.returncode, [one for one in found if "found" in one], done.stdout + done.stderr


@pytest.mark.slow
def test_every_planted_hole_is_found_and_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    code, found, told = fuzz(tmp_path / "out", "--planted")
    assert code == 1, told
    seen = {str(one["case"]).split("|")[0]: str(one["found"]) for one in found}
    assert seen.keys() == HOLES.keys()
    for name, (_, _, wanted) in HOLES.items():
        assert wanted in seen[name], (name, seen[name])
    assert fuzz(tmp_path / "out", "--planted")[1] == found


def test_a_sample_of_hostile_files_does_nothing(tmp_path: Path) -> None:
    code, found, told = fuzz(tmp_path / "out", "--cases", "18", "--only", LIGHT)
    assert (code, len(found)) == (0, 18), told
    assert any(one["refused"] for one in found)
    assert not all(one["refused"] for one in found)


@pytest.mark.slow
def test_a_larger_sample_of_every_specimen_does_nothing(tmp_path: Path) -> None:
    code, found, told = fuzz(tmp_path / "out", "--cases", "300", "--seed", "11")
    assert (code, len(found)) == (0, 300), told


@pytest.mark.slow
def test_no_bit_of_a_stored_run_changes_unnoticed(tmp_path: Path) -> None:
    code, found, told = fuzz(tmp_path / "out", "--flips", "600")
    assert (code, len(found)) == (0, 600), told


def test_a_case_is_found_again_by_its_name() -> None:
    case = Case("csv", "table.csv", "csv", '["a|b", 0]', "null")
    assert Case.named(case.name) == case
    for specimen in SPECIMENS.values():
        assert all(form in FORMATS for forms in specimen.parts.values() for form in forms)


def test_every_field_is_a_place_and_every_change_is_one() -> None:
    tree = {"a": [1, {"b": "c"}], "d": 7}
    places = list(tree_places(tree))
    assert places == [(), ("a",), ("a", 0), ("a", 1), ("a", 1, "b"), ("d",)]
    same = json.dumps(tree)
    for where in places:
        assert all(tree_changed(tree, where, change) != same for change in tree_changes(where) if change != "one"), (
            where
        )
    assert tree_changed(tree, ("d",), "twice") == '{"a": [1, {"b": "c"}], "d": 7, "d": 7}'
    assert table_changed("a,b\n1,2\n", (1, 0), "gone") == b"a,b\n2\n"
