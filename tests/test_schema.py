"""What composed settings may say: keys, types, bounds and references, apart from how they were composed."""

import copy
from dataclasses import dataclass
from typing import Any

import pytest

from mlnn.cli.schema import check_references, typed
from mlnn.errors import ConfigError
from mlnn.keys import CompareSettings, Node, choice, entries

SHIPPED: dict[str, Any] = {
    "seed": 0,
    "margin": 0.05,
    "device": "cpu",
    "overwrite": False,
    "batch_size": 64,
    "out": None,
    "require": None,
    "domain": None,
    "jobs": None,
    "trust": [],
    "ladder": {"one": ["model=mlp"]},
    "model": {"_target_": "mlnn.models.MLP", "_partial_": True, "depth": 2},
    "job_timeout": None,
    "retry": "unanswered",
    "left": {"_target_": "mlnn.objectives.bce", "prior": 1.0},
    "threads": 1,
    "most_jobs": 1000,
    "most_config_bytes": 1000000,
    "data": {"_target_": "mlnn.data.iris"},
    "optimizer": {"_target_": "torch.optim.Adam"},
    "right": {"_target_": "mlnn.objectives.bce"},
    "steps": 3,
    "dtype": "float32",
    "null_twins": 3,
    "mode": "study",
    "looks": None,
    "engine": "auto",
    "trace_every": 1,
    "proof": 1000,
    "seeds": None,
    "resume": None,
    "resume_anyway": False,
    "figure": {"format": None, "width": 89, "height": None, "font": 7.5},
}
LANE: dict[str, Any] = {
    "outputs": "raw", "accumulate": 1, "compile": False, "autocast": None, "optimizer": {"foreach": None}, "model": None,
    "mapping": None, "update": None, "prior": 0.0,
}  # fmt: skip
SHIPPED["lanes"] = {"left": dict(LANE), "right": dict(LANE)}


@dataclass(frozen=True, kw_only=True)
class Climbing(CompareSettings):
    """A comparison with a ladder: every kind of key there is."""

    ladder: Node = choice("architectures", "rungs")


def changed(path: str, value: Any) -> dict[str, Any]:
    """The shipped settings with one value changed."""
    given = copy.deepcopy(SHIPPED)
    *above, last = path.split(".")
    node = given
    for key in above:
        node = node[key]
    node[last] = value
    return given


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 3),
        ("margin", 1),
        ("batch_size", None),
        ("out", "here"),
        ("jobs", 2),
        ("domain", [-1, 1]),
        ("trust", ["my_zoo"]),
        ("ladder", {"two": ["model=conv"]}),
        ("model", {"_target_": "my_zoo.Net", "size": "any"}),
        ("lanes.left.autocast", "bfloat16"),
        ("left.epsilon", 1e-7),
        ("left.prior", "whatever the objective makes of it"),
        ("lanes.left.optimizer.foreach", False),
        ("lanes.left.optimizer.lr", 0.1),
        ("lanes.left.mapping", "my_zoo.to_fused"),
    ],
)
def test_what_may_be_said(path: str, value: Any) -> None:
    typed(Climbing, changed(path, value))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sede", 1, r"sede: unknown key 'sede'\. Did you mean 'seed'"),
        ("seed", None, "seed: None is not a whole number"),
        ("seed", True, "seed: True is not a whole number"),
        ("seed", 1.0, r"seed: 1\.0 is not a whole number"),
        ("margin", "wide", "margin: 'wide' is not a number"),
        ("margin", True, "margin: True is not a number"),
        ("device", None, "device: None is not a word"),
        ("overwrite", "maybe", "overwrite: 'maybe' is not true or false"),
        ("overwrite", 1, "overwrite: 1 is not true or false"),
        ("batch_size", 16.0, r"batch_size: 16\.0 is not a whole number"),
        ("out", 3, "out: 3 is not a word"),
        ("require", ["equal"], "require: .* is not a word"),
        ("jobs", "two", "jobs: 'two' is not a whole number"),
        ("trust", "os", "trust: 'os' is not a list"),
        ("ladder", ["one"], "ladder: .* is not a group"),
        ("model", None, "model: None is not a group"),
        ("left", None, "left: None is not a group"),
        ("lanes.left.compile", 3, "lanes.left.compile: 3 is not true or false"),
        ("lanes.left.autocast", 16, "lanes.left.autocast: 16 is not a word"),
        ("lanes.left.optimizer", 0.1, r"lanes.left.optimizer: 0\.1 is not a group"),
        ("lanes.left.optimizer.foreach", "yes", "lanes.left.optimizer.foreach: 'yes' is not true or false"),
        ("lanes.left.mapping", 3, "lanes.left.mapping: 3 is not a word"),
    ],
)
def test_what_may_not_be_said(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        typed(Climbing, changed(path, value))


@pytest.mark.parametrize("key", SHIPPED)
def test_no_key_may_be_taken_out(key: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: was taken out"):
        typed(Climbing, {name: value for name, value in SHIPPED.items() if name != key})


@pytest.mark.parametrize(
    "text", ["${seed}", "${lanes.left.compile}", "${trust[0]}", "a ${seed} b ${out}", "plain: text", "$x"]
)
def test_references_to_other_keys_are_read(text: str) -> None:
    check_references({"a": [{"b": text}]})


@pytest.mark.parametrize(
    "text",
    ["${oc.env:HOME}", "a ${now:%Y} b", "${${a}:HOME}", "${oc.${a}:HOME}", "${seed} ${oc.env:HOME}", "${a.${b}}"],
)
def test_resolvers_are_refused_where_they_stand(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^a\[0\]\.b: "):
        check_references({"a": [{"b": text}]})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        *(("jobs", 0, "above 0"), ("jobs", -1, "above 0")),
        *(("job_timeout", 0.0, "above 0"), ("job_timeout", -2.0, "above 0")),
    ],
)
def test_how_many_and_how_long_are_above_0(key: str, value: float, message: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}: .*{message}"):
        typed(CompareSettings, {name: one for name, one in SHIPPED.items() if name != "ladder"} | {key: value})


@pytest.mark.parametrize(
    ("path", "value", "needed"),
    [
        ("steps", -3, "-3; at least 1"),
        ("threads", 0, "0; 1 to 1024"),
        ("threads", 10**9, "1000000000; 1 to 1024"),
        ("margin", -1, "-1; at least 0"),
        ("margin", float("nan"), "nan; at least 0"),
        ("batch_size", 0, "0; at least 1"),
        ("null_twins", -1, "-1; at least 0"),
        ("dtype", "float23", "unknown dtype 'float23'. Did you mean 'float32'"),
        ("device", "gpu", "'gpu' is no device; 'cpu' always is"),
        ("device", "cuda:first", "'cuda:first' is no device"),
        ("require", "equall", "unknown relation 'equall'. Did you mean 'equal'"),
        ("seeds", [], "[]; give different whole numbers"),
        ("seeds", [0, True], "[0, True]; give different whole numbers"),
        ("domain", [0, 1, 2], "[0, 1, 2]; two raw outputs"),
        ("mode", "verdicts", "unknown mode 'verdicts'. Did you mean 'verdict'"),
        ("looks", 0, "0; at least 1"),
        ("looks", "some", "'some'; give all, how many"),
        ("looks", True, "True is not a word or a whole number or a list"),
        ("looks", 2.0, "2.0 is not a word or a whole number or a list"),
        ("looks", [], "[]; give all, how many"),
        ("looks", [0, 0], "[0, 0]; give all, how many, or different steps"),
        ("looks", [0, -1], "[0, -1]; give all, how many, or different steps"),
        ("looks", [0, 1.0], "[0, 1.0]; give all, how many, or different steps"),
        ("engine", "stack", "unknown engine 'stack'. Did you mean 'stacked'"),
        ("trace_every", 0, "0; at least 1"),
        ("trace_every", True, "True is not a whole number"),
        ("trace_every", 1.5, "1.5 is not a whole number"),
        ("lanes.left.accumulate", 0, "0; at least 1"),
        ("lanes.right.prior", -1.0, "-1.0; at least 0"),
        ("lanes.right.autocast", "half", "unknown dtype 'half'"),
        ("lanes.right.outputs", "logits", "unknown kind of outputs 'logits'"),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_what_is_needed(path: str, value: Any, needed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        typed(Climbing, changed(path, value))
    assert str(refused.value).startswith(f"{path}: {needed}")


def test_a_key_of_a_lane_may_not_be_taken_out_and_one_of_its_optimizer_may() -> None:
    lane = {name: value for name, value in LANE.items() if name != "prior"}
    with pytest.raises(ConfigError, match=r"^lanes\.left\.prior: was taken out"):
        typed(Climbing, changed("lanes.left", lane))
    typed(Climbing, changed("lanes.left.optimizer", {}))


def test_settings_are_told_as_they_were_composed() -> None:
    given = {name: SHIPPED[name] for name in entries(CompareSettings)}
    told = typed(CompareSettings, given).told()
    del given["seeds"]
    assert told == given | {"names": {}}
    assert list(told) == [*given, "names"]
