"""One rung of the ladder beyond one node: what page, console and JSON say of one architecture and its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlnn.estimating.distance import Finding
from mlnn.estimating.network.fisher import Standing
from mlnn.estimating.network.last_layer import Layer
from mlnn.estimating.network.report import NetworkReport
from mlnn.estimating.network.spread import Spread
from mlnn.estimating.network.words import answer


@dataclass(frozen=True)
class Seed:
    """One training: where it stands, whether at a stationary point, its least curvature there, and its last layer."""

    seed: int
    standing: Standing
    stationary: bool
    curvature: float
    head: Layer | None

    @property
    def finding(self) -> Finding | None:
        """What there is to say of the last layer beside its classical estimate, if it could be asked."""
        return self.head.finding if self.head else None

    @property
    def errors(self) -> float | None:
        """How many standard errors the last layer is from its MLE; None where there is none."""
        summary = self.finding.summary if self.finding else None
        return summary.standard_errors if summary else None

    def to_dict(self) -> dict[str, object]:
        """Plain data, the spectrum included."""
        numbers = {name: value for name, value in vars(self.standing).items() if name != "spectrum"}
        return {"seed": self.seed} | numbers | {
            "stationary": self.stationary,
            "curvature": self.curvature,
            "spectrum": self.standing.spectrum.to_dict(),
            "head": self.head.to_dict() if self.head else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """A `NetworkReport` by the architecture's name, told and without the rows: it comes from a process of its own.

    classical: of the first seed, where the network is linear in its input.
    """

    model: str
    kind: str
    digits: float
    answer: str
    likelihood: str
    rows: int
    parameters: int
    flat: int
    stopped_short: int
    saddles: int
    separation: str
    spread: Spread
    classical: Finding | None
    seeds: tuple[Seed, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        plain = {"twin" if name == "classical" else name: value for name, value in vars(self).items()}
        return plain | {
            "spread": self.spread.to_dict(),
            "twin": self.classical.to_dict() if self.classical else None,
            "seeds": [one.to_dict() for one in self.seeds],
        }


def architecture_of(model: str, seeds: Sequence[int], report: NetworkReport) -> Architecture:
    """What there is to tell of a report on modules trained from these seeds."""
    heads = [head.layer if head else None for head in report.heads]
    each = zip(seeds, report.standings, report.stationary, report.curvatures, heads, strict=True)
    return Architecture(
        model=model,
        kind=report.kind,
        digits=report.digits,
        answer=answer(report),
        likelihood=report.likelihood,
        rows=report.rows,
        parameters=report.standings[0].spectrum.parameters,
        flat=report.flat,
        stopped_short=report.stopped_short,
        saddles=report.saddles,
        separation=report.separation,
        spread=report.spread,
        classical=report.classical.finding(report.distances[0]) if report.classical else None,
        seeds=tuple(Seed(*one) for one in each),
    )
