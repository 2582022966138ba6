"""What composed settings may say: keys, types and references, apart from how they were composed."""

import copy
from typing import Any

import pytest
import yaml
from app_cases import CONFIGS

from mlnn.cli.schema import UNSET, check_keys, check_references
from mlnn.errors import ConfigError

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
    "left": {"_target_": "mlnn.objectives.bce", "prior": 1.0},
    "lanes": {"left": {"compile": False, "autocast": None, "optimizer": {"foreach": None}, "mapping": None}},
}


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
    check_keys(changed(path, value), SHIPPED)


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
        check_keys(changed(path, value), SHIPPED)


@pytest.mark.parametrize("key", SHIPPED)
def test_no_key_may_be_taken_out(key: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: was taken out"):
        check_keys({name: value for name, value in SHIPPED.items() if name != key}, SHIPPED)


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


def test_what_a_key_holds_once_it_is_set_is_known_of_every_key_that_ships_empty() -> None:
    def empty(node: Any, path: str = "") -> list[str]:
        if not isinstance(node, dict) or "_target_" in node:
            return [path] if node is None else []
        return [found for key, value in node.items() for found in empty(value, f"{path}.{key}".lstrip("."))]

    files = [*CONFIGS.glob("*.yaml"), *CONFIGS.glob("lane/*.yaml")]
    nodes = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in files]
    for node in nodes:
        node.pop("hydra", None)
        node.pop("defaults", None)
    found = {key.rpartition(".")[2] for node in nodes for key in empty(node)}
    assert {"out", "jobs", "model", "seeds"} <= found
    assert found <= UNSET.keys()


@pytest.mark.parametrize(("key", "value"), [("jobs", 0), ("jobs", -1), ("job_timeout", 0.0), ("job_timeout", -2.0)])
def test_how_many_and_how_long_are_above_0(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{key}: .*more than 0"):
        check_keys(SHIPPED | {key: value}, SHIPPED)
