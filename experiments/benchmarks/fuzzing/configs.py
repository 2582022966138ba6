"""Specimens of configs that somebody may send: an experiment of each command, and choices of each group."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fuzzing.specimen import Specimen, said

GLOBAL = "# @package _global_\n"
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "train": {"seed": 0, "steps": 2, "batch_size": 8, "dtype": "float32", "outputs": "raw", "threads": 1, "device": "cpu",
              "optimizer": {"lr": 0.1}, "model": {"width": 4, "depth": 1}, "figure": {"format": None, "width": 80.0}},
    "compare": {"steps": 2, "batch_size": 8, "mode": "study", "looks": 2, "engine": "auto", "trace_every": 1, "null_twins": 0,
                "require": None, "domain": [-3, 3], "margin": 0.1, "lanes": {"left": {"accumulate": 1, "outputs": "raw"},
                "right": {"optimizer": {"lr": 0.1}}}},
    "estimate": {"likelihood": "bernoulli", "intercept": True, "dispersion": "ml", "cov": "expected", "draws": 10, "steps": 0,
                 "held_out": 0.1, "standardize": True, "starts": 1, "data": {"held_out": 0.1, "seed": 1}},
    "audit": {"targets": "binary", "classes": 3, "outputs": "raw", "dtype": "float32", "require": None, "threads": 1},
    "growth": {"seeds": [0], "jobs": 1, "job_timeout": 5.0, "null_twins": 0, "proof": 10, "steps": 2, "engine": "auto",
               "lanes": {"left": {"accumulate": 1}}},
    "prove": {"targets": "binary", "classes": 3, "outputs": "raw", "domain": [-3, 3], "tolerance": 1e-15,
              "boxes": 50, "require": None},
    "estimator": {"passes": 2, "batch_size": 8, "dtype": "float64", "outputs": "raw", "seeds": [0], "optimizer": {"lr": 0.1}},
    "beyond_one_node": {"steps": 2, "seeds": [0], "dtype": "float64", "jobs": 1, "optimizer": {"lr": 0.1}},
    "audit_model": {"rows": 4, "outputs": 1, "optimizer": {"lr": 0.1, "weight_decay": 0.1}, "model": {"width": 4}},
}  # fmt: skip
WORDS = {
    "train": ("data=spector", "model=mlp"), "compare": ("data=spector", "model=logistic", "optimizer=sgd"),
    "growth": ("data=spector", "model=logistic", "ladder=one"), "prove": (),
    "estimator": ("data=spector", "ladder=one"), "beyond_one_node": ("data=spector", "ladder=one"),
    "estimate": ("data=spector",), "audit": ("objective=bce",), "audit_model": ("model=mlp", "data=spector"),
}  # fmt: skip
TRAINED = ("train", "batch_size=8")
COMPARED = ("compare", "batch_size=8", "data=spector", "model=logistic")
GROUPS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "model": (
        {"_target_": "mlnn.models.MLP", "_partial_": True, "width": 4, "depth": 1, "activation": "tanh", "norm": "none",
         "dropout": 0.0, "residual": False},
        (*TRAINED, "data=spector"),
    ),
    "data": (
        {"_target_": "mlnn.data.synthetic", "likelihood": "bernoulli", "rows": 32, "features": 3, "weights": None,
         "intercept": 0.0, "dispersion": 1.0, "classes": 3, "standardize": False, "held_out": 0.2, "seed": "${seed}"},
        (*TRAINED, "model=logistic"),
    ),
    "table": (
        {"_target_": "mlnn.data.table", "path": "table.csv", "target": "y", "features": ["a"], "missing": "refuse",
         "held_out": 0.0, "standardize": True},
        (*TRAINED, "model=logistic"),
    ),
    "formula": (
        {"_target_": "mlnn.data.table", "path": "table.csv", "formula": "y ~ a + C(b)", "held_out": 0.0},
        (*TRAINED, "model=logistic"),
    ),
    "objective": ({"_target_": "mlnn.objectives.focal", "_partial_": True, "gamma": 2.0}, ("audit",)),
    "optimizer": (
        {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.1, "betas": [0.9, 0.99], "eps": 1e-8,
         "weight_decay": 0.0, "fused": False},
        (*TRAINED, "data=spector", "model=logistic"),
    ),
    "pair": (
        {"defaults": [{"/objective@left": "bce"}, {"/objective@right": "bernoulli_nll_log1p"}], "batch_size": 8}, COMPARED,
    ),
    "lane": (
        {"outputs": "raw", "accumulate": 1, "compile": False, "autocast": None, "optimizer": {"foreach": None, "lr": 0.1},
         "model": None, "mapping": None, "update": None, "prior": 0.0},
        COMPARED,
    ),
    "catalogue": ({"one": ["objective=bce"], "two": ["objective=mse", "targets=binary"]}, ("audit",)),
    "ladder": (
        {"one": ["model=mlp", "model.depth=1"], "two": ["model=logistic", "steps=1"]},
        ("growth", "data=spector", "seeds=[0]", "jobs=1"),
    ),
}  # fmt: skip
HEADS = {"pair": GLOBAL}
CHOSEN = {"table": "data=sent", "formula": "data=sent", "lane": "lane@lanes.left=sent"}
"""The word that chooses a config where it is not `group=sent`."""


@contextmanager
def short() -> Iterator[None]:
    """Trainings end after two steps, whatever number of steps was asked for; of a growth only its plan is made."""
    from mlnn import training
    from mlnn.comparing.comparison import compare
    from mlnn.errors import NoAnswerError
    from mlnn.estimating.race import race

    train = training.train

    def raced(name: str, cell: Any, *rest: Any) -> Any:
        return race(name, replace(cell, passes=min(cell.passes, 2)), *rest)

    def trained(recipe: Any, *rest: Any, **more: Any) -> Any:
        return train(replace(recipe, steps=min(recipe.steps, 2)), *rest, **more)

    def compared(*rest: Any, steps: int, **more: Any) -> Any:
        more |= {"null_twins": min(more["null_twins"], 1)}
        return compare(*rest, steps=min(steps, 2), **more)

    def planned(*_rest: Any, **_more: Any) -> Any:
        raise NoAnswerError("planned")

    with (
        patch.object(training, "train", trained),
        patch("mlnn.comparing.configured.compare", compared),
        patch("mlnn.cli.cells.train_cells", planned),
        patch("mlnn.estimating.race.race", raced),
        patch("mlnn.cli.commands.beyond_one_node.supervision", _here),
        patch("mlnn.workers.warm"),  # it starts a process, which is asked for
    ):
        yield


def _here(*_of: Any) -> Callable[..., Iterator[Any]]:
    """Calls that would be made in processes of their own, made in this one."""
    from mlnn.errors import MlnnError
    from mlnn.workers import Outcome

    def one(place: int, call: Any) -> Outcome:
        try:
            return Outcome(place, call.function(*call.arguments))
        except MlnnError as problem:
            return Outcome(place, failure=str(problem), code=problem.exit_code)

    return lambda calls, **_how: (one(place, call) for place, call in enumerate(calls))


def _read(*words: str) -> Callable[[Path], str]:
    def read(_folder: Path) -> str:
        with short():
            return said(words[0], "--config-dir", "conf", *words[1:], "out=out")

    return read


def _made(name: str, content: object, head: str = "") -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        path = folder / "conf" / name
        path.parent.mkdir(parents=True)
        path.write_text(head + json.dumps(content))
        (folder / "conf/ladder").mkdir(exist_ok=True)
        (folder / "conf/ladder/one.yaml").write_text(json.dumps({"one": ["model=logistic"]}))
        (folder / "table.csv").write_text("a,b,y\n" + "".join(f"{row},{row % 3},{row % 2}\n" for row in range(12)))

    return make


def configs() -> dict[str, Specimen]:
    """By name."""
    found = {}
    for command, content in EXPERIMENTS.items():
        name = "experiment/sent.yaml"
        parts = {f"conf/{name}": ("yaml",)}
        words = (command, "experiment=sent", *WORDS[command])
        found[f"config {command}"] = Specimen(_made(name, content, GLOBAL), parts, _read(*words))
    for kind, (content, words) in GROUPS.items():
        group = "data" if kind in ("table", "formula") else kind
        name = f"{group}/sent.yaml"
        found[f"config {kind}"] = Specimen(
            _made(name, content, HEADS.get(kind, "")),
            {f"conf/{name}": ("yaml", "bytes")},
            _read(*words, CHOSEN.get(kind, f"{group}=sent")),
        )
    return found
