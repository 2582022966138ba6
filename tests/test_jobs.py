"""The rows of a sweep's jobs, who is at a job, and the whole read back as one frame."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

import mlnn
from mlnn.errors import RunFolderError
from mlnn.runs import to_json
from mlnn.runs.frame import has_parquet, typed, write_parquet
from mlnn.runs.jobs import DONE, FAILED, QUEUED, RUNNING, JobRow, claimed, forget_claims, held, read_row, write_row

HOLDS = """
import sys, time
from pathlib import Path
from mlnn.runs.jobs import claimed

with claimed(Path(sys.argv[1]), "job") as ours:
    print(ours, flush=True)
    time.sleep(600)
"""
ENDED = JobRow(DONE, {"seed": "1"}, 0, 1.5, None, 2, "here:7", {"relation": "equal", "gap": math.nan, "steps": 3})


def test_a_row_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_row(tmp_path, "seed=1", ENDED)
    found = read_row(tmp_path, "seed=1")
    assert found is not None
    assert math.isnan(found.found["gap"])  # type: ignore[arg-type]
    assert (found.status, found.code, found.tries, found.swept) == (DONE, 0, 2, {"seed": "1"})
    assert found.found["steps"] == 3
    assert found.ended
    waiting = JobRow(swept={"seed": "2"})
    write_row(tmp_path, "seed=2", waiting)
    assert read_row(tmp_path, "seed=2") == waiting
    assert not waiting.ended


def test_a_row_of_an_earlier_mlnn_says_how_its_job_ended(tmp_path: Path) -> None:
    for code, status in ((0, DONE), (1, DONE), (4, FAILED)):
        (tmp_path / "old.json").write_text(json.dumps({"code": code, "seconds": 2.0, "error": None}), encoding="utf-8")
        row = read_row(tmp_path, "old")
        assert row is not None
        assert (row.status, row.code, row.tries) == (status, code, 1)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"code": true}', '{"status": "done"}', '{"status": "queued", "code": 0}', '{"status": "lost"}',
     '{"status": "failed", "code": "4"}', '{"status": ["done"], "code": 0}', '{"status": "failed", "code": -1}', '{"code": 256}',
     '{"status": "done", "code": 4}',
     '{"status": "failed", "code": 0}'],
)  # fmt: skip
def test_what_is_no_row_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.json").write_text(text, encoding="utf-8")
    assert read_row(tmp_path, "job") is None
    assert read_row(tmp_path, "missing") is None


def test_one_process_is_at_a_job_and_its_death_frees_it(tmp_path: Path) -> None:
    assert not held(tmp_path, "job")
    child = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        assert held(tmp_path, "job")
        with claimed(tmp_path, "job") as ours:
            assert not ours
        with claimed(tmp_path, "other") as ours:
            assert ours
    finally:
        child.kill()
        child.communicate()
    assert not held(tmp_path, "job")
    with claimed(tmp_path, "job") as ours:
        assert ours
        forget_claims(tmp_path)
    assert list(tmp_path.iterdir()) == []


def study(folder: Path, names: list[str], kind: str = "sweep of train") -> None:
    cells = {name: {"seed": number} for number, name in enumerate(names)}
    (folder / "study.json").write_text(to_json({"kind": kind, "of": {"cells": cells, "data": []}}), encoding="utf-8")


def test_a_sweep_is_one_frame_with_typed_columns_and_its_failures_as_rows(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    names = ["seed=0", "seed=1", "seed=2", "seed=3"]
    study(tmp_path, names)
    found = {"relation": "equal", "gap": 1e-300, "steps": 3, "stopped": False}
    write_row(tmp_path, names[0], JobRow(DONE, {"seed": "0", "lr": "0.1"}, 0, 1.5, None, 1, None, found))
    write_row(tmp_path, names[1], JobRow(FAILED, {"seed": "1", "lr": "1e-3"}, 4, 2.0, "took longer than 2 s", 1))
    write_row(tmp_path, names[2], JobRow(RUNNING, {"seed": "2", "lr": "1"}, tries=1))
    frame = mlnn.load(tmp_path)
    assert list(frame["job"]) == names
    assert list(frame["status"]) == [DONE, FAILED, RUNNING, QUEUED]
    assert frame["error"][1] == "took longer than 2 s"
    assert frame["gap"][0] == 1e-300
    kinds = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert kinds["lr"] == kinds["gap"] == kinds["seconds"] == "float64"
    assert (kinds["seed"], kinds["steps"], kinds["exit_code"], kinds["stopped"]) == (
        "Int64",
        "Int64",
        "Int64",
        "boolean",
    )
    assert pandas.isna(frame["relation"][1])
    assert len(frame[frame["exit_code"] == 0]) == 1
    if has_parquet():
        write_parquet(frame.astype(object).where(frame.notna(), None).to_dict("records"), tmp_path / "t.parquet")
        pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "t.parquet"), frame)


def test_cells_of_a_growth_that_failed_are_rows_too(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    study(tmp_path, ["mlp-seed0", "mlp-seed1", "node-seed2"], "growth")
    (tmp_path / "cells").mkdir()
    (tmp_path / "growth.csv").write_text("model,seed,weight_gap\nmlp,0,1e-7\n", encoding="utf-8")
    (tmp_path / "cells/mlp-seed1.log").write_text(
        "Traceback\n  long\nits process was killed by signal 9\n\n", encoding="utf-8"
    )
    frame = mlnn.load(tmp_path)
    assert list(frame["status"]) == ["done", "failed", "failed"]
    assert list(frame["seed"]) == [0, 1, 2]
    assert list(frame["model"]) == ["mlp", "mlp", "node"]
    assert frame["error"][1] == "its process was killed by signal 9"
    assert frame["error"][2] == "it was not run"


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "2"], "int64", [1, 2]),
        (["1", ""], "Int64", [1, None]),
        (["1", "2.5", ""], "float64", [1.0, 2.5, None]),
        (["1e-9", "-inf"], "float64", [1e-9, -math.inf]),
        (["True", "false"], "bool", [True, False]),
        (["[1,2]", "3"], "str", ["[1,2]", "3"]),
        (["1_000", "5"], "str", ["1_000", "5"]),
        (["12345678901234567890", "1"], "float64", [12345678901234567890.0, 1.0]),
        (["", ""], "float64", [None, None]),
    ],
)
def test_a_column_has_the_type_of_all_of_its_cells(cells: list[str], kind: str, values: list[object]) -> None:
    assert typed("width", cells) == (kind, values)
    assert typed("error", cells)[0] == "str"


def test_a_folder_that_holds_no_sweep_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    for folder, words in ((tmp_path / "gone", "no folder here"), (tmp_path, "holds no sweep")):
        with pytest.raises(RunFolderError, match=words):
            mlnn.load(folder)
    for text in ("{}", '{"of": []}', '{"of": {"cells": {"../up": 1}}}', '{"of": {"cells": [1]}}'):
        (tmp_path / "study.json").write_text(text, encoding="utf-8")
        if text not in ("{}", '{"of": []}'):
            with pytest.raises(RunFolderError, match="is damaged"):
                mlnn.load(tmp_path)
    (tmp_path / "checksums.json").write_text(to_json({"study.json": "0" * 64}), encoding="utf-8")
    with pytest.raises(RunFolderError, match="has changed"):
        mlnn.load(tmp_path)
