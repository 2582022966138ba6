"""The table of proofs: what is asked, and what its answers are read as."""

import sys
from pathlib import Path

import pytest
from app_cases import ROOT

sys.path.insert(0, str(ROOT / "experiments" / "benchmarks"))
import proof_table
from proof_table import Question


def test_every_objective_that_ships_is_asked_about() -> None:
    asked = {one.name: one for one in proof_table.of_objectives()}
    assert asked.keys() == {file.stem for file in (ROOT / "configs" / "objective").glob("*.yaml")}
    assert (asked["l1"].known, asked["l1"].targets) == ("−log of Laplace", "real")
    assert asked["hinge"].known == "itself"
    assert asked["cross_entropy"].targets == "classes(3)"


def test_pairs_are_those_of_two_losses_of_a_row() -> None:
    names = [one.name for one in proof_table.of_pairs()]
    assert "classes: largest taken off" in names
    assert not any(name.startswith(("optimizer:", "binary: accumulate")) for name in names)


@pytest.mark.parametrize(
    ("name", "answer", "relation"),
    [("l1", "differs", "shifted"), ("cross_entropy", "proved", "equal"), ("multi_margin", "proved", "equal")],
)
def test_an_objective_is_proved_or_refuted(name: str, answer: str, relation: str) -> None:
    found = proof_table.row(next(one for one in proof_table.of_objectives() if one.name == name))
    assert (found.answer, found.relation) == (answer, relation), found.sentence


def test_a_table_is_written_and_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Question("one", "binary", "equal", lambda z, y: z - y, lambda z, y: z.round() - y)
    other = Question("other", "binary", "equal", lambda z, y: z - y, lambda z, y: z - y)
    monkeypatch.setattr(proof_table, "of_objectives", lambda: iter([]))
    monkeypatch.setattr(proof_table, "of_pairs", lambda: iter([asked]))
    proof_table.main(tmp_path, 1, [])
    file = tmp_path / "proofs.jsonl"
    (row,) = proof_table.kept(file)
    assert (row.title, row.answer) == ("Pairs", "undecided")
    text = (tmp_path / "proofs.md").read_text(encoding="utf-8")
    assert "1: 0 proved, 0 differs, 1 undecided; 0% decided" in text
    assert "| one | binary | equal | undecided: right: " in text
    file.write_text(
        file.read_text(encoding="utf-8").replace("undecided", "differs") + '{"title": "Pai', encoding="utf-8"
    )
    monkeypatch.setattr(proof_table, "of_pairs", lambda: iter([asked, other]))
    proof_table.main(tmp_path, 1, [])
    assert [(row.name, row.answer) for row in proof_table.kept(file)] == [("one", "differs"), ("other", "proved")]
