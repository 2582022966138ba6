"""The verdict: what a comparison found, in one record."""

import dataclasses
from dataclasses import dataclass, field

from mlnn.arguments import interval
from mlnn.comparing import stored
from mlnn.comparing.on_paper import OnPaper
from mlnn.comparing.relations import ORDER, check_require
from mlnn.report.brief import Brief


@dataclass(frozen=True, repr=False)
class Verdict:
    """What the gaps say, with the resolution at which it was said.

    `relation`: the weaker of `value_relation` and `gradient_relation`. `domain`: "all" or the interval of raw outputs on
    which it holds; `left_domain`: fraction of training rows outside it (None without training). right = `scale`·left +
    `shift` (a number, or one per target). `resolution`: smallest planted fault, relative, that these checks caught.
    `first_difference`: step, parameter, row, raw output and target where bits first differ. `shrink`: float32 ÷ float64
    gradient gap at common weights. `computes_in`: sides that compute in less than what they are given, with what in, as in
    {"right": "float32"}: a finding, and no difference of objectives. `where`: of a difference, the entry with the largest share
    of the gap (row, position, class, output, target, probability, share) and the `region` it is confined to, if it is; `cause`:
    in words, if a test of that very cause held. `points`: isolated raw outputs at which one side's gradient is wrong, each with
    the training rows that stood on it; the relation is that of all other raw outputs. `proof`: what is proved of the two on paper,
    a statement of its own that moves no relation; None in what was stored before there were proofs.
    """

    relation: str
    value_relation: str
    gradient_relation: str
    sentence: str
    domain: str | tuple[float, float] = "all"
    left_domain: float | None = None
    scale: float = 1.0
    shift: float | dict[float, float] = 0.0
    resolution: float | None = None
    resolutions: dict[str, float | None] = field(default_factory=dict)
    first_difference: dict[str, object] | None = None
    control: str = "not run"
    shrink: float | None = None
    evidence: dict[str, object] = field(default_factory=dict)
    computes_in: dict[str, str] = field(default_factory=dict)
    where: dict[str, object] | None = None
    cause: str | None = None
    points: list[dict[str, object]] = field(default_factory=list)
    proof: OnPaper | None = None

    @property
    def stood(self) -> int:
        """Training rows that stood on isolated points: what their steps show is then no fault elsewhere."""
        return sum(rows for point in self.points if isinstance(rows := point.get("rows"), int))

    def meets(self, require: str, domain: tuple[float, float] | None = None, allow_points: bool = False) -> bool:
        """Whether the relation is at least as strong as `require`, on all raw outputs, or inside the allowed `domain`,
        or with every training row seen inside the verdict's own domain. Isolated points at which a gradient is wrong must
        be allowed, or have had no training row on them."""
        check_require(str(require))
        domain = interval("domain", domain)
        if ORDER.index(self.relation) > ORDER.index(require):
            return False
        if not (allow_points or all(point.get("rows") == 0 for point in self.points)):
            return False
        if self.domain == "all" or self.left_domain == 0:
            return True
        return (
            domain is not None
            and not isinstance(self.domain, str)
            and self.domain[0] <= domain[0]
            and domain[1] <= self.domain[1]
        )

    def to_dict(self) -> dict[str, object]:
        """Plain data for `verdict.json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, told: stored.Stored) -> "Verdict":
        """What `to_dict` gave, back from JSON; ValueError names what is not what belongs there."""
        proof = stored.table(told, "proof")
        return cls(
            stored.relation(told, "relation"), stored.relation(told, "value_relation"),
            stored.relation(told, "gradient_relation"), stored.word_or(told, "sentence", ""), stored.domain(told, "domain"),
            stored.number(told, "left_domain"), stored.number_or(told, "scale", 1.0), stored.shift(told, "shift"),
            stored.number(told, "resolution"), stored.sizes(told, "resolutions"),
            stored.table(told, "first_difference"), stored.word_or(told, "control", "not run"),
            stored.number(told, "shrink"), stored.table(told, "evidence") or {},
            stored.words(told, "computes_in"), stored.table(told, "where"), stored.word(told, "cause"),
            stored.tables(told, "points"), None if proof is None else OnPaper.from_dict(proof),
        )  # fmt: skip

    def facts(self) -> list[tuple[str, str]]:
        """What there is to know beside the sentence, (word, value): the domain, factor and shift, the resolution."""
        outside = "" if not self.left_domain else f", left by {self.left_domain:.2%} of the rows"
        ends = None if isinstance(self.domain, str) else "raw outputs from {:.4g} to {:.4g}".format(*self.domain)
        found = [("domain", f"{ends or {'all': 'all raw outputs'}.get(str(self.domain), self.domain)}{outside}")]
        if self.scale != 1:
            found += [("scale", f"right = {self.scale:.6g} · left")]
        if self.shift:
            one = f"{self.shift:.6g}" if isinstance(self.shift, int | float) else "one per target"
            found += [("shift", one)]
        if self.computes_in:
            found.append(("computes in", ", ".join(f"{side}: {dtype}" for side, dtype in self.computes_in.items())))
        planted = "no planted fault was caught" if self.resolutions else "no fault was planted"
        return [
            *found,
            ("resolution", f"{self.resolution:.0e}" if self.resolution else planted),
            ("control", self.control),
            *([("on paper", self.proof.says)] if self.proof else []),
        ]

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def _brief(self) -> Brief:
        return Brief(f"Verdict: {self.relation}", self.sentence, self.facts())
