"""The keys that several commands share, in the order in which configs are composed."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from mlnn.keys.field import Node, above, at_least, choice, device, key, nested, one_of

DTYPES = ("float64", "float32", "bfloat16", "float16")
OUTPUTS = ("raw", "probabilities")
FIGURES = ("pdf", "svg", "png")
MOST_THREADS = 1024
"""As many as `mlnn.world` takes: a thread too many for the machine's memory ends the process."""
RETRIES = ("none", "unanswered", "failed")
OF_MANY = ("ladder", "catalogue", "seeds")
"""Keys that make one command many runs; a single one of them has none."""

STEPS, BATCH = "optimiser steps", "rows of a batch; null: the full batch"
DTYPE, TAKES = f"working precision: {', '.join(DTYPES)}", "raw, or probabilities for an objective that takes them"
DATA, MODEL, OPTIMIZER = "the data set", "from inputs to raw outputs", "the optimiser"
OBJECTIVE, SEEDS = "the loss or likelihood", "each a run of its own"
dtype_word, outputs_word = one_of("dtype", DTYPES), one_of("kind of outputs", OUTPUTS)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What any command is told. `names`: what was chosen from each group, by the key that it fills. `config`: the composed
    config as text, references not filled in; empty for a cell, whose settings are composed from it."""

    names: dict[str, str] = field(default_factory=dict)
    config: str = ""

    def told(self) -> dict[str, Any]:
        """The keys of one run as plain data, in the order of the config, and then `names`."""
        plain = dataclasses.asdict(self)
        kept = {name: value for name, value in plain.items() if name not in (*OF_MANY, "names", "config")}
        return kept | {"names": plain["names"]}


@dataclass(frozen=True, kw_only=True)
class FigureSettings:
    """The pictures of the page once more, each as a file for a paper, in figures/."""

    format: str | None = key(
        None, "also write the page's pictures as files: pdf, svg or png; null: none", one_of("format", FIGURES)
    )
    width: float = key(89.0, "millimetres; 89 is a column of a journal, 183 its page", at_least(30, 1000))
    height: float | None = key(None, "millimetres; null: in proportion to the width", at_least(30, 1000))
    font: float = key(7.5, "points of the labels", at_least(4, 40))


@dataclass(frozen=True, kw_only=True)
class BaseSettings(Settings):
    """configs/base.yaml."""

    seed: int = key(0, "split by purpose: data, row order, first weights, dropout")
    threads: int = key(
        1, "of torch; they change bits in some architectures, so they are pinned", at_least(1, MOST_THREADS)
    )
    device: str = key("cpu", "where it is computed: cpu, cuda, cuda:1, mps, …", device)
    out: str | None = key(None, "run folder; null: runs/<command>/<date>_<time>; command line only")
    overwrite: bool = key(False, "replace an earlier run in `out`; command line only")
    jobs: int | None = key(
        None,
        "jobs of -m, or processes for cells of seeds= or a ladder, at once; null: the cores over `threads`",
        above(0),
    )
    job_timeout: float | None = key(
        None, "seconds that a job of -m, or a cell of seeds= or a ladder, may take; null: as long as it likes", above(0)
    )
    retry: str = key(
        RETRIES[1],
        "which failed jobs of -m a later call runs again: none; unanswered: those that gave no answer; failed: those as well"
        " whose answer is a failure, a training that ended non-finite",
        one_of("retry", RETRIES),
    )
    most_jobs: int = key(1000, "of one sweep or ladder; command line only", at_least(1))
    most_config_bytes: int = key(1_000_000, "of one config file in --config-dir; command line only", at_least(1))
    figure: FigureSettings = nested(FigureSettings, "the page's pictures as files")
    trust: list[str] = key([], "your own modules that a config may name, e.g. trust=[my_zoo]; command line only")


@dataclass(frozen=True, kw_only=True)
class ModelSettings(BaseSettings):
    """What is about a model on data."""

    data: Node = choice("digits_parity", DATA)
    model: Node = choice("mlp", MODEL)


@dataclass(frozen=True, kw_only=True)
class TrainedSettings(ModelSettings):
    """One lane of an objective."""

    objective: Node = choice("bce", OBJECTIVE)
    optimizer: Node = choice("adam", OPTIMIZER)


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """Arguments of the optimiser that every one of torch's has; a lane may set any others of its own."""

    foreach: bool | None = key(None, "many tensors at once, as torch.optim has it")
    fused: bool | None = key(None, "one kernel a step, as torch.optim has it")
    weight_decay: float | None = key(None, "weight decay in the optimiser")


@dataclass(frozen=True, kw_only=True)
class Lane:
    """configs/lane/plain.yaml: how one side of a comparison is run, whatever its objective."""

    outputs: str = key("raw", TAKES, outputs_word)
    accumulate: int = key(1, "micro-batches per step", at_least(1))
    compile: bool = key(False, "run through torch.compile")
    autocast: str | None = key(None, "a dtype for torch.autocast", dtype_word)
    optimizer: Node = key(dataclasses.asdict(Overlay()), "laid over the shared optimizer", known=Overlay)
    model: Node | None = key(None, "another implementation: +model@lanes.right.model=my_net")
    mapping: str | None = key(None, "function from left's state dict to its own, e.g. my_zoo.to_fused")
    update: str | None = key(
        None, "a step of this lane's own: function (model, optimizer, batches), or a class of them"
    )
    prior: float = key(0.0, "Gaussian prior on the weights, added to this lane's loss: ½·prior·|w|²", at_least(0))


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """The two sides."""

    left: Lane = choice("plain", "the left one")
    right: Lane = choice("plain", "the right one")


@dataclass(frozen=True, kw_only=True)
class ComparedSettings(ModelSettings):
    """Two objectives, many lanes in lockstep."""

    optimizer: Node = choice("adam", OPTIMIZER)
    left: Node = choice("bce", "the objective of the left lane")
    right: Node = choice("bernoulli_nll_log1p", "the objective of the right lane")
    lanes: Lanes = choice("plain", "how each side is run")
    steps: int = key(300, STEPS, at_least(1))
    batch_size: int | None = key(64, BATCH, at_least(1))
    dtype: str = key("float32", DTYPE, dtype_word)
    null_twins: int = key(3, "left once more, with changes that only move rounding", at_least(0))
    proof: int = key(1000, "boxes for each target that the proof on paper may take; 0: none", at_least(0))
