"""A stored JSON file holds a checksum of itself: no bit of it changes unseen, and one of an earlier mlnn is still read."""

import json
from pathlib import Path

import pytest
from app_cases import rewritten

import mlnn
from mlnn.errors import RunFolderError
from mlnn.runs import damage, hashed_json, is_older, read_hashed
from mlnn.runs.jobs import DONE, JobRow, read_row, write_row

TOLD = {"word": "ü", "numbers": [1, 0.1, float("nan")], "nested": {"a": None}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    path.write_text(hashed_json(TOLD), encoding="utf-8")
    return path


def test_it_reads_back_as_it_was_told(path: Path) -> None:
    assert read_hashed(path) == {"format": 2, "word": "ü", "numbers": [1, 0.1, "nan"], "nested": {"a": None}}


def test_every_bit_and_every_truncation_is_seen(path: Path) -> None:
    honest = path.read_bytes()
    flipped = (
        honest[:at] + bytes([honest[at] ^ 1 << bit]) + honest[at + 1 :] for at in range(len(honest)) for bit in range(8)
    )
    for content in (*flipped, *(honest[:at] for at in range(len(honest)))):
        path.write_bytes(content)
        with pytest.raises(RunFolderError, match=r"a\.json"):
            read_hashed(path)


def test_what_follows_or_comes_before_is_seen_too(path: Path) -> None:
    honest = path.read_bytes()
    for content in (honest + b"\n", b" " + honest, honest.replace(b"\n", b"\r\n"), honest[:-3] + b',"b":1}\n'):
        path.write_bytes(content)
        with pytest.raises(RunFolderError):
            read_hashed(path)


def test_one_of_an_earlier_mlnn_is_read_and_one_that_lost_its_checksum_is_not(path: Path) -> None:
    for older in ({"a": 1}, {"format": 1, "a": 1}):
        path.write_text(json.dumps(older))
        assert read_hashed(path) == older
        assert is_older(older)
    for lost in ({"format": 2, "a": 1}, {"format": "1", "a": 1}, {"format": 1, "checksum": "0" * 64}):
        path.write_text(json.dumps(lost))
        with pytest.raises(RunFolderError, match="the checksum at its end is not there"):
            read_hashed(path)


def test_somebody_who_makes_the_checksum_anew_is_believed(path: Path) -> None:
    rewritten(path, lambda told: told.update(word="other"))
    assert read_hashed(path)["word"] == "other"


def test_a_damaged_row_is_no_row_and_the_table_says_so(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    (tmp_path / "study.json").write_text(hashed_json({"kind": "sweep", "of": {"cells": {"a": {}, "b": {}}}}))
    write_row(tmp_path, "a", JobRow(DONE, {"seed": "0"}, 0, 1.0, None, 1))
    content = (tmp_path / "a.json").read_bytes()
    (tmp_path / "a.json").write_bytes(content.replace(b'"tries": 1', b'"tries": 3'))
    assert read_row(tmp_path, "a") is None
    assert list(mlnn.load(tmp_path)["error"]) == ["its row is damaged", "it was not run"]


def test_the_file_of_checksums_is_looked_at_to_its_last_byte(tmp_path: Path) -> None:
    sums = tmp_path / "checksums.json"
    sums.write_text("{}\n", encoding="utf-8")
    assert damage(tmp_path) is None
    for content in ("{}", "{}\n\n", "{} \n"):
        sums.write_text(content, encoding="utf-8")
        assert "checksums.json is damaged" in (damage(tmp_path) or "")
