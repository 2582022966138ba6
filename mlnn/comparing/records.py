"""What a comparison was, as records: the run, its lanes, and a row of growth.csv."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mlnn.comparing import stored
from mlnn.report.words import facts
from mlnn.training import Stop


@dataclass(frozen=True)
class RunInfo:
    """What was run; None is not said, or not one thing over all that is told of together.

    `left`, `right`: the objectives; `model`, `data`, `targets`, `optimizer`, `dtype`, `device`: by their names; `batch_size`:
    rows of a batch; `seed`: a number, or several in words; `parameters`: weights of the model; `mode`: study or verdict;
    `looks`: at how many steps right was asked at left's weights, None for all; `engine`: of a study,
    stacked, or plain and why; `trace_every`: steps to a row of the trace, whose gaps are the largest since the row before; `mle`:
    per side that has a classical estimate, how far its weights ended from it (as `mlnn.estimating.Finding.to_dict` tells it);
    `more`: what the caller names besides.
    """

    left: str = "left"
    right: str = "right"
    model: str | None = None
    data: str | None = None
    targets: str | None = None
    optimizer: str | None = None
    steps: int | None = None
    batch_size: int | None = None
    dtype: str | None = None
    device: str | None = None
    seed: int | str | None = None
    parameters: int | None = None
    mode: str | None = None
    looks: int | None = None
    engine: str | None = None
    trace_every: int | None = None
    mle: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, told: stored.Stored) -> "RunInfo":
        """What `to_dict` gave, back from JSON; ValueError names what is not what belongs there."""
        seed = stored.plain(told, "seed")
        if isinstance(seed, float | bool):
            raise ValueError(f"no seed is {seed}")
        mle = stored.table(told, "mle") or {}
        known = {one.name for one in fields(cls)} - {"more"}
        return cls(
            left=stored.word_or(told, "left", "left"),
            right=stored.word_or(told, "right", "right"),
            model=stored.word(told, "model"),
            data=stored.word(told, "data"),
            targets=stored.word(told, "targets"),
            optimizer=stored.word(told, "optimizer"),
            steps=stored.whole(told, "steps"),
            batch_size=stored.whole(told, "batch_size"),
            dtype=stored.word(told, "dtype"),
            device=stored.word(told, "device"),
            seed=seed,
            parameters=stored.whole(told, "parameters"),
            mode=stored.word(told, "mode"),
            looks=stored.whole(told, "looks"),
            engine=stored.word(told, "engine"),
            trace_every=stored.whole(told, "trace_every"),
            mle={side: stored.table(mle, side) or {} for side in mle},
            more={key: value for key, value in told.items() if key not in known},
        )

    def to_dict(self) -> dict[str, object]:
        """Plain data for `about.json`."""
        return {name: value for name, value in vars(self).items() if name != "more"} | dict(self.more)

    def named(self, names: Mapping[str, object]) -> "RunInfo":
        """The same run under other names; ValueError for one that is no name."""
        return RunInfo.from_dict(self.to_dict() | dict(names)) if names else self

    @property
    def title(self) -> str:
        """`left against right`."""
        return f"{self.left} against {self.right}"

    @property
    def working_dtype(self) -> str:
        """The dtype of the pair itself, in a word."""
        return self.dtype or "working dtype"

    def facts(self) -> list[tuple[str, str]]:
        """What was run, as (word, value) pairs."""
        return facts(self.to_dict())


@dataclass(frozen=True)
class LaneInfo:
    """What one lane was: its objective, dtype and accumulation, what moved its rounding, where it went non-finite."""

    objective: str
    dtype: str
    accumulate: int
    rows: str
    weights: str
    stopped: Stop | None

    def to_dict(self) -> dict[str, object]:
        """Plain data for `verdict.json`."""
        return asdict(self)


@dataclass(frozen=True)
class GrowthRow:
    """A line of growth.csv, one architecture and seed, the fields being its columns in order; None: not measured.

    Gaps are the largest over the steps; `weight_gap`, the null band and `float64_weight_gap` are those of the last row of the trace
    that both sides ran: of its step, or with `trace_every` the largest since the row before. `shrink`: weight gap ÷ that of
    float64; `gradient_shrink`: the verdict's, of gradients at common weights. `non_finite`: steps, of a verdict rows of the trace,
    on which a side was not finite; `left_domain`: fraction of rows outside the domain.
    """

    model: str
    parameters: int | None = None
    depth: int | None = None
    seed: int | str | None = None
    relation: str = "undecided"
    max_abs_loss_gap: float | None = None
    gradient_gap: float | None = None
    weight_gap: float | None = None
    null_low: float | None = None
    null_high: float | None = None
    float64_weight_gap: float | None = None
    shrink: float | None = None
    first_difference_step: int | None = None
    steps: int | None = None
    non_finite: int | None = None
    gradient_gap_float64: float | None = None
    gradient_shrink: float | None = None
    left_domain: float | None = None

    def to_dict(self) -> dict[str, str | float | None]:
        """By column."""
        return asdict(self)
