"""Every key of every YAML is a field of its record and every field a key, with one default; --help tells of each."""

import json
import pickle
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml
from app_cases import CONFIGS, ROOT, command

from mlnn import world
from mlnn.auditing import KINDS
from mlnn.cli.compose import composing, settings
from mlnn.cli.helping import keys_table
from mlnn.cli.said import read
from mlnn.comparing.relations import REQUIRABLE
from mlnn.estimating.choices import DISPERSIONS
from mlnn.estimating.linear.inference import COVARIANCES
from mlnn.estimating.linear.kinks import WAYS
from mlnn.keys import COMMANDS, DTYPES, OF_MANY, Key, Lane, Settings, entries
from mlnn.keys.commands import CERTIFICATES, RELATIONS
from mlnn.keys.shared import MOST_THREADS
from mlnn.training.recipe import DTYPES as TRAINED_IN

BENCHMARKS = {
    "estimation_speed": "SpeedSettings",
    "training_speed": "TrainingSpeedSettings",
    "verdict_benchmark": "BenchmarkSettings",
}


def record(name: str) -> type[Settings]:
    """The record of a command's keys, or of a benchmark's."""
    if name in COMMANDS:
        return COMMANDS[name]
    return runpy.run_path(str(ROOT / "experiments" / "benchmarks" / f"{name}.py"))[BENCHMARKS[name]]


def shipped(name: str) -> dict[str, Any]:
    """The keys that the YAML of a command sets, those of base.yaml first; of a group, the name of its choice."""
    found: dict[str, Any] = {}
    node = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    own = {key: value for key, value in node.items() if key not in ("defaults", "hydra")}
    for entry in node["defaults"]:
        if entry == "base":
            found |= yaml.safe_load((CONFIGS / "base.yaml").read_text(encoding="utf-8"))
        elif entry == "_self_":
            found |= {key: value for key, value in own.items() if key not in found}
        else:
            ((group, chosen),) = entry.items()
            where = group.rpartition("@")[2]
            if group == "pair":
                pair = yaml.safe_load((CONFIGS / "pair" / f"{chosen}.yaml").read_text(encoding="utf-8"))
                found |= {next(iter(one)).rpartition("@")[2]: next(iter(one.values())) for one in pair["defaults"]}
            elif not where.startswith("override ") and where != "experiment" and where not in own:
                found[where.partition(".")[0]] = chosen
            elif where in own and where not in found:
                found[where] = chosen
    return found


@pytest.mark.parametrize("name", [*COMMANDS, *BENCHMARKS])
def test_every_key_of_the_yaml_is_a_field_with_its_default_and_every_field_a_key(name: str) -> None:
    assert {key.name: key.default for key in entries(record(name)).values()} == shipped(name)


def test_the_keys_of_a_lane_are_those_of_its_yaml() -> None:
    plain = yaml.safe_load((CONFIGS / "lane" / "plain.yaml").read_text(encoding="utf-8"))
    assert {key.name: key.default for key in entries(Lane).values()} == plain
    known = entries(Lane)["optimizer"].known
    assert known is not None
    assert {key.name: key.default for key in entries(known).values()} == plain["optimizer"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_order_of_the_fields_is_that_of_the_composed_config(name: str) -> None:
    said = read(name, ["runs=[a]"] if name == "curves" else [])
    with composing(said):
        found = settings(said)
    apart = (*OF_MANY, "names", "config")
    assert [one for one in found.told() if one not in apart] == [
        one for one in entries(COMMANDS[name]) if one not in apart
    ]


def every_key(kind: type) -> list[Key]:
    own = list(entries(kind).values())
    return [*own, *(inner for one in own if one.known for inner in entries(one.known).values())]


@pytest.mark.parametrize("name", [*COMMANDS, *BENCHMARKS])
def test_every_key_has_a_meaning_and_a_default_that_it_may_have(name: str) -> None:
    for one in [*every_key(record(name)), *every_key(Lane)]:
        assert len(one.meaning) > 5
        assert "\n" not in one.meaning
        if one.check and one.default is not None:
            assert one.check(one.default) is None, one.name


@pytest.mark.parametrize("name", ["compare", "verdict_benchmark"])
def test_help_shows_the_keys_after_the_groups(name: str, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    done = command(name, "--help")
    assert (done.code, done.err) == (0, "")
    groups, keys_, config = (done.out.index(f"== {head} ==") for head in ("Configuration groups", "Keys", "Config"))
    assert groups < keys_ < config
    assert keys_table(record(name)) in done.out


def test_help_lists_the_choices_of_ones_own_folder_and_what_was_chosen(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("model/mine.yaml", "model/deep/deeper.yaml"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_text("_target_: torch.nn.Linear\nin_features: 31\n", encoding="utf-8")
    done = command("compare", "--help", "--config-dir", "own", "model=mine", "steps=7")
    assert (done.code, done.err) == (0, "")
    assert re.search(r"^model: .*\blogistic, mine, mlp\b", done.out, re.MULTILINE)
    assert "\nmodel/deep: deeper\n" in done.out
    assert [text in done.out for text in ("in_features: 31", "\nsteps: 7\n", "\nhydra")] == [True, True, False]
    plain, resolved = command("train", "--help").out, command("train", "--help", "--resolve").out
    assert ["seed: ${seed}" in page for page in (plain, resolved)] == [True, False]


def test_a_misspelt_key_beside_help_is_told_in_words(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("compare", "--help", "stepz=5")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: unknown key 'stepz'. Did you mean 'steps'?; --help lists all\n"


@pytest.mark.parametrize("name", [*COMMANDS, *BENCHMARKS])
def test_help_tells_of_every_key_in_columns(name: str) -> None:
    lines = [line for line in keys_table(record(name)).splitlines()[3:] if line]
    own = entries(record(name))
    assert {line.split()[0].partition(".")[0] for line in lines} == set(own)
    for line in lines:
        first, column = line.split()[0], max(len(other.split()[0]) for other in lines)
        meaning = own[first].meaning if first in own else ""
        assert line.endswith(meaning)
        assert line[column : column + 2] == "  "


def test_help_writes_defaults_as_they_are_typed() -> None:
    lines = keys_table(COMMANDS["compare"]).splitlines()
    rows = {line.split()[0]: line.split()[1] for line in lines[3:] if line}
    assert [rows[name] for name in ("out", "overwrite", "steps", "model", "trust", "lanes.<side>.prior")] == [
        "null", "false", "300", "mlp", "[]", "0.0",
    ]  # fmt: skip


def test_words_are_those_of_the_code_that_reads_them() -> None:
    assert set(DTYPES) == set(TRAINED_IN)
    assert RELATIONS == REQUIRABLE
    assert MOST_THREADS == world.MOST_THREADS
    assert CERTIFICATES == KINDS
    for name, words in (("dispersion", DISPERSIONS), ("cov", (*COVARIANCES, *WAYS))):
        check = entries(COMMANDS["estimate"])[name].check
        assert check is not None
        assert [check(word) for word in words] == [None] * len(words)
        assert ", ".join(sorted(words)) in (check("neither") or "")


def test_a_default_that_is_a_list_is_its_own_in_every_record() -> None:
    first, second = (COMMANDS["curves"]() for _ in range(2))
    first.runs.append("a")
    assert second.runs == []


def test_settings_go_to_other_processes_and_into_json() -> None:
    said = read("compare", ["seed=3"])
    with composing(said):
        found = settings(said)
    assert pickle.loads(pickle.dumps(found)) == found
    json.dumps(found.told())


def test_a_key_without_a_field_is_found() -> None:
    assert "steps" in shipped("train")
    assert shipped("compare")["left"] == "bce"
    assert entries(COMMANDS["train"])["seed"].default == shipped("train")["seed"] == 0
