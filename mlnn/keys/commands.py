"""The keys of each command, in the order of its YAML in configs/."""

from dataclasses import dataclass

from mlnn.keys.field import (
    Node,
    above,
    at_least,
    choice,
    interval,
    key,
    looks,
    one_of,
    seeds,
    share,
)  # fmt: skip
from mlnn.keys.reading import (
    CERTIFICATES,
    RELATIONS,
    CurvesSettings,
    DiffSettings,
    LiftSettings,
    ReplaySettings,
    RunsSettings,
)
from mlnn.keys.shared import (
    BATCH,
    DATA,
    DTYPE,
    MODEL,
    OBJECTIVE,
    OPTIMIZER,
    SEEDS,
    STEPS,
    TAKES,
    BaseSettings,
    ComparedSettings,
    ModelSettings,
    Settings,
    TrainedSettings,
    dtype_word,
    outputs_word,
)

MODES = ("study", "verdict")
PROVED = ("equal", "shifted", "scaled")
ENGINES = ("auto", "plain", "stacked")
ENGINE = "plain: lanes one by one; stacked: as rows of one computation; auto: stacked where that can be"
EVERY = "steps to a row of the trace; its gaps are the largest since the row before, the verdict sees all"
RESUME = "a run that was interrupted, whose folder is named: it goes on with the words that began it; command line only"
ANYWAY = "go on in another environment too, the run marked as not repeatable; command line only"
LADDER = "rungs, each a name with its overrides"


@dataclass(frozen=True, kw_only=True)
class TrainSettings(TrainedSettings):
    """mlnn train"""

    data: Node = choice("digits_parity", DATA)
    steps: int = key(300, STEPS, at_least(1))
    batch_size: int | None = key(64, BATCH, at_least(1))
    dtype: str = key("float32", DTYPE, dtype_word)
    outputs: str = key("raw", TAKES, outputs_word)
    resume: str | None = key(None, RESUME)
    resume_anyway: bool = key(False, ANYWAY)


@dataclass(frozen=True, kw_only=True)
class CompareSettings(ComparedSettings):
    """mlnn compare"""

    mode: str = key(
        "study", "all lanes train, or verdict: left alone, right is asked from its state", one_of("mode", MODES)
    )
    looks: str | int | list[int] | None = key(
        None,
        "steps at which right is asked at left's weights: all, how many, or a list; null: all, of a verdict a tenth",
        looks,
    )
    engine: str = key("auto", ENGINE, one_of("engine", ENGINES))
    trace_every: int = key(1, EVERY, at_least(1))
    require: str | None = key(
        None, f"weakest relation that passes: {', '.join(RELATIONS)}", one_of("relation", RELATIONS)
    )
    seeds: list[int] | None = key(
        None, "e.g. [0, 1, 2, 3, 4]: many seeds as one result, with an equivalence test of the final loss", seeds
    )
    margin: float = key(0.05, "of that test, as a share of left's final loss", at_least(0))
    domain: list[float] | None = key(
        None, "raw outputs on which it must hold, e.g. [-15, 15]; null: wherever training went", interval
    )
    resume: str | None = key(None, RESUME)
    resume_anyway: bool = key(False, ANYWAY)


@dataclass(frozen=True, kw_only=True)
class GrowthSettings(ComparedSettings):
    """mlnn growth"""

    optimizer: Node = choice("sgd", OPTIMIZER)
    ladder: Node = choice("architectures", LADDER)
    steps: int = key(75, STEPS, at_least(1))
    seeds: list[int] = key([0, 1, 2], SEEDS, seeds)
    engine: str = key("auto", ENGINE, one_of("engine", ENGINES))
    trace_every: int = key(1, EVERY, at_least(1))


@dataclass(frozen=True, kw_only=True)
class AuditSettings(BaseSettings):
    """mlnn audit"""

    objective: Node = choice("bce", OBJECTIVE)
    catalogue: Node | None = key(None, "losses to audit together; experiment=catalogue sets it")
    loss: str | None = key(
        None, "your own, instead of objective=: my_module:my_loss, which is imported; command line only"
    )
    targets: str | None = key(
        None,
        "binary, classes(K), real, counts, positive, unit, each with (raw=m); null: what the objective is for, else binary",
    )
    classes: int = key(3, "K where the objective is for classes", at_least(2))
    outputs: str = key("raw", "raw, or probabilities for a loss that takes them", outputs_word)
    dtype: str = key("float32", f"{DTYPE}; its domain is stated", dtype_word)
    require: str | None = key(
        None, "the kind it must be, e.g. likelihood (scaled ones and families pass too)", one_of("kind", CERTIFICATES)
    )


@dataclass(frozen=True, kw_only=True)
class ProveSettings(BaseSettings):
    """mlnn prove"""

    left: Node = choice("bce_with_logits", "one loss")
    right: Node = choice("bernoulli_nll_log1p", "the other")
    loss: str | None = key(
        None, "your own, instead of objective@right=: my_module:my_loss, which is imported; command line only"
    )
    targets: str | None = key(
        None, "binary, classes(K), real, counts, positive, unit, …; null: what left is for, else right, else binary"
    )
    classes: int = key(3, "K where the two are for classes", at_least(2))
    outputs: str = key("raw", f"{TAKES}, both sides alike", outputs_word)
    domain: list[float] = key([-88, 88], "raw outputs, or residuals, on which it is asked", interval)
    tolerance: float = key(1e-15, "nats per row; equal is |left − right| ≤ tolerance", above(0))
    boxes: int = key(6000, "of the raw outputs, for each target; what they do not reach is undecided", at_least(1))
    require: str | None = key(
        None, f"weakest relation that must be proved: {', '.join(PROVED)}", one_of("relation", PROVED)
    )


@dataclass(frozen=True, kw_only=True)
class AuditModelSettings(ModelSettings):
    """mlnn audit_model"""

    model: Node = choice("resnet", MODEL)
    optimizer: Node = choice("adamw", OPTIMIZER)
    rows: int = key(16, "of the batch that is tried", at_least(1))
    outputs: int = key(1, "raw outputs per row of the model", at_least(1))


@dataclass(frozen=True, kw_only=True)
class EstimateSettings(BaseSettings):
    """mlnn estimate"""

    data: Node = choice("spector", DATA)
    optimizer: Node = choice("lbfgs", OPTIMIZER)
    objective: Node | None = key(
        None, "instead of likelihood=: the likelihood that an objective is, your own among them"
    )
    model: Node | None = key(None, "a small network, estimated through its Hessian")
    likelihood: str | None = key(
        None, "bernoulli, bernoulli_probit, categorical, normal, poisson, gamma, …; null: by the targets"
    )
    intercept: bool = key(True, "whether the model has one")
    dispersion: str = key(
        "unbiased",
        "of the standard errors: unbiased, as printed tables have it, or ml",
        one_of("dispersion", ("unbiased", "ml")),
    )
    cov: str = key(
        "expected",
        "of the standard errors: expected, observed, robust (HC0), HC1, HC2, HC3; of a likelihood with kinks kernel, bootstrap",
        one_of("covariance", ("expected", "observed", "robust", "HC0", "HC1", "HC2", "HC3", "kernel", "bootstrap")),
    )
    penalty: str | None = key(
        None,
        "firth: ½ log|information| is added to the log-likelihood, which is then finite for separated rows too; of bernoulli,"
        " categorical and poisson; null: none",
        one_of("penalty", ("firth",)),
    )
    constant: list[str] = key([], "raw outputs that have a constant alone, e.g. [logit_inflation]")
    draws: int = key(200, "samples of the rows, for cov=bootstrap", at_least(2))
    held_out: float = key(0.0, "share of the rows left out: an estimate takes all", share)
    standardize: bool = key(False, "features to mean 0 and deviation 1, instead of their own units")
    standardize_target: bool = key(False, "the target likewise")
    starts: int = key(3, "with model=…: first weights tried", at_least(1))
    steps: int = key(
        60, "of a network of the same form, trained beside it to see how near `optimizer` comes; 0: none", at_least(0)
    )
    require: str | None = key(
        None, "mle: exit code 1 where there is no finite estimate", one_of("requirement", ("mle",))
    )


@dataclass(frozen=True, kw_only=True)
class EstimatorSettings(TrainedSettings):
    """mlnn estimator"""

    data: Node = choice("synthetic", DATA)
    model: Node = choice("logistic", MODEL)
    objective: Node = choice("bce_with_logits", OBJECTIVE)
    ladder: Node = choice("estimators", LADDER)
    passes: int = key(2000, "over the data, per optimiser", above(0))
    batch_size: int | None = key(None, BATCH, at_least(1))
    dtype: str = key("float64", DTYPE, dtype_word)
    outputs: str = key("raw", TAKES, outputs_word)
    seeds: list[int] = key([0], SEEDS, seeds)
    resume: str | None = key(None, RESUME)
    resume_anyway: bool = key(False, ANYWAY)


@dataclass(frozen=True, kw_only=True)
class BeyondOneNodeSettings(TrainedSettings):
    """mlnn beyond_one_node"""

    data: Node = choice("breast_cancer_mean", DATA)
    objective: Node = choice("bernoulli_nll", OBJECTIVE)
    optimizer: Node = choice("lbfgs", OPTIMIZER)
    ladder: Node = choice("beyond_one_node", LADDER)
    steps: int = key(150, f"{STEPS}; L-BFGS: times max_iter", at_least(1))
    batch_size: int | None = key(None, BATCH, at_least(1))
    dtype: str = key("float64", DTYPE, dtype_word)
    outputs: str = key("raw", TAKES, outputs_word)
    seeds: list[int] = key([0, 1, 2, 3], SEEDS, seeds)


COMMANDS: dict[str, type[Settings]] = {
    "train": TrainSettings,
    "compare": CompareSettings,
    "growth": GrowthSettings,
    "audit": AuditSettings,
    "audit_model": AuditModelSettings,
    "prove": ProveSettings,
    "estimate": EstimateSettings,
    "estimator": EstimatorSettings,
    "beyond_one_node": BeyondOneNodeSettings,
    "curves": CurvesSettings,
    "diff": DiffSettings,
    "replay": ReplaySettings,
    "lift": LiftSettings,
    "runs": RunsSettings,
}
"""Each command with the record of its keys, in the order in which --help tells of them."""
