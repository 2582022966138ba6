"""Bumps that no grid sees and equal losses in many forms: a few of the pairs of the benchmark, and what it calls wrong."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from app_cases import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "benchmarks"))
import proof_bumps

BUMPED = {one.name: one for one in proof_bumps.bumped()}
EQUAL = {one.name: one for one in proof_bumps.rewritten()}


def test_every_kind_meets_every_bump() -> None:
    met = {(one.kind.name, one.what) for one in BUMPED.values()}
    assert len(met) == len(proof_bumps.KINDS) * len(proof_bumps.BUMPS)
    assert len(BUMPED) == len(EQUAL) == 100
    assert all(1e-8 <= one.width <= 1e-4 for one in BUMPED.values())


@pytest.mark.sampled(4, 3)
@pytest.mark.parametrize("number", [0, 2, 7, 12])
def test_a_bump_is_found_where_it_is(number: int) -> None:
    found = proof_bumps.row(BUMPED[f"bump {number}"])
    assert (found.answer, found.wrong) == ("differs", ""), found.sentence


@pytest.mark.sampled(3)
@pytest.mark.parametrize("number", [5, 7, 52])
def test_equal_losses_are_proved(number: int) -> None:
    found = proof_bumps.row(EQUAL[f"equal {number}"])
    assert (found.answer, found.wrong) == ("proved", ""), found.sentence


def test_wrong_answers_are_told() -> None:
    pair = BUMPED["bump 7"]
    same = replace(pair, right=pair.left)
    assert proof_bumps.row(same).wrong == "called equal"
    elsewhere = replace(pair, centre=pair.centre + 1)
    assert proof_bumps.row(elsewhere).wrong == "found where there is no bump"
    assert proof_bumps.row(replace(pair, expected="proved")).wrong == "called different"


@pytest.mark.rest
def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_bumps, "LIMIT", 60)
    rows = proof_bumps.main(tmp_path, 100)
    text = (tmp_path / "bumps.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["name"] for line in text.splitlines()] == ["bump 0", "equal 0"]
    assert proof_bumps.main(tmp_path, 100) == rows
    assert "| binary | 1 | 1 | 0 | 0 |" in (tmp_path / "bumps.md").read_text(encoding="utf-8")
