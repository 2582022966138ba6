"""The answer of a proof, in one object."""

import dataclasses
from dataclasses import dataclass, field

from mlnn.errors import ConfigError, unknown
from mlnn.proving.answers import Interval, Part
from mlnn.report.brief import Brief

ANSWERS = ("proved", "differs", "undecided")
RELATIONS = ("equal", "shifted", "scaled")


@dataclass(frozen=True, repr=False)
class Proof:
    """Whether two losses are equal on paper for every raw output of an interval, in values and in the gradients that their own code
    gives.

    `answer`: "proved" (|left − right| ≤ `tolerance` on all of `domain`, for all of `targets`, but for `points`), "differs"
    (certainly, somewhere), "undecided" (`reason` says why). `relation`: the strongest that is proved: "equal", "shifted" (values
    differ by `shift`, a number for each target, to 30 digits), "scaled" (left's gradient is `scale` times right's); None without.
    `where`: intervals of raw outputs (of residuals where `variable` says so) on which they differ; `size`: bounds of the largest
    difference of their values there, or of their gradients where values agree. `points`: single raw outputs where a gradient is
    wrong, with the size of the fault, ∞ where that of one side is no number. `boxes`: how many were looked at. `parts`: every
    question by itself; `findings`: what else there is to say, a side's gradient that is not the slope of its own value among it.
    `paper`: what `mlnn.proving.replay` checks the proof with.
    """

    answer: str
    sentence: str
    domain: Interval
    tolerance: float
    relation: str | None = None
    targets: str = ""
    variable: str = "raw output"
    where: tuple[Interval, ...] = ()
    size: Interval | None = None
    points: tuple[tuple[float, float], ...] = ()
    boxes: int = 0
    reason: str | None = None
    shift: tuple[tuple[str, str], ...] = ()
    scale: str | None = None
    findings: tuple[str, ...] = ()
    parts: tuple[Part, ...] = field(default=())
    paper: tuple[dict[str, object], ...] = field(default=())

    def _brief(self) -> Brief:
        """What an interactive session shows."""
        facts = [("relation", self.relation or "none proved"), ("targets", self.targets), ("boxes", str(self.boxes))]
        rows = [(part.question, part.target, part.answer, str(part.boxes)) for part in self.parts]
        return Brief(f"proof: {self.answer}", self.sentence, facts, [("question", "target", "answer", "boxes"), *rows])

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def meets(self, require: str) -> bool:
        """Whether a relation at least as strong is proved; ConfigError for a word that is none."""
        if require not in RELATIONS:
            raise ConfigError("require: " + unknown("relation", require, RELATIONS))
        return self.relation is not None and RELATIONS.index(self.relation) <= RELATIONS.index(require)

    def to_dict(self) -> dict[str, object]:
        """Plain data, the boxes among them."""
        return dataclasses.asdict(self)
