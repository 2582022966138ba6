"""`mlnn.diff`: two recorded trainings, and where they first differ by more than rounding."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mlnn.comparing.relations import ORDER, check_require
from mlnn.recording.differing.aligning import Pair, aligned, parameters_apart, remarks
from mlnn.recording.differing.batches import stirred
from mlnn.recording.differing.judging import Ground, Judgement, judge
from mlnn.recording.differing.records import ParameterApart, Row, Setting
from mlnn.recording.differing.relating import parting_prints, related
from mlnn.recording.differing.rows import apart, rows_of
from mlnn.recording.differing.settings import settings_apart
from mlnn.recording.differing.stages import Stage, stages_of
from mlnn.recording.differing.words import sentence
from mlnn.recording.differing.yardstick import EPS, Yardstick, nulls_of, precision_of
from mlnn.recording.reading import read_recording
from mlnn.recording.records import Recording
from mlnn.report.brief import Brief
from mlnn.visible import shown


@dataclass(frozen=True, repr=False)
class Diff:
    """What two recordings are to each other.

    `relation`: "bitwise"; "equal" (apart by no more than rounding of float32 or better explains, at every step that can be told);
    "indistinguishable" (the same in a coarser dtype, or in two); "shifted" (losses differ, gradients do not); "scaled" (B's
    gradient is `scale` times A's); "different"; "broken" (one is not finite where the other is); "undecided". `stage`:
    "environment", "batch", "random state", "loss", "gradient" or "weights", the first that differs beyond rounding, and `step`,
    A's, None before the first. `resolution`: the smallest relative distance that would have been told at the first step; 0 where
    every bit was. `yardstick`: what rounding is taken to be. `settings`: what was set otherwise. `findings`: what else, in words.
    `rows`: of each common step. `parameters`: by the size of the difference of their norms, where the two part.
    """

    relation: str
    sentence: str
    scale: float = 1.0
    stage: str | None = None
    step: int | None = None
    resolution: float | None = None
    yardstick: str = ""
    judged: int = 0
    names: tuple[str, str] = ("A", "B")
    settings: tuple[Setting, ...] = ()
    findings: tuple[str, ...] = ()
    rows: tuple[Row, ...] = field(default=())
    allowed: tuple[float, ...] = field(default=())
    parameters: tuple[ParameterApart, ...] = field(default=())

    def meets(self, require: str) -> bool:
        """Whether the relation is at least as strong as `require`; ConfigError for a word that is none."""
        check_require(str(require))
        return ORDER.index(self.relation) <= ORDER.index(require)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What is found of each stage, in the order in which a step makes them."""
        return stages_of(self.rows, self.allowed, self.settings, self.stage, self.step)

    def to_dict(self) -> dict[str, object]:
        """Plain data, the rows among them."""
        return dataclasses.asdict(self)

    def facts(self) -> list[tuple[str, str]]:
        """What there is to know beside the sentence, (word, value)."""
        found = [("A", self.names[0]), ("B", self.names[1])]
        if self.stage:
            found.append(("first stage", self.stage + ("" if self.step is None else f", step {self.step}")))
        if self.scale != 1:
            found.append(("scale", f"B = {self.scale:.6f} · A"))
        found.append(("steps", f"{len(self.rows)} common, {self.judged} told by size"))
        if self.resolution is not None:
            found.append(("resolution", f"{self.resolution:.1g}" if self.resolution else "every bit"))
        if self.settings:
            found.append(("set otherwise", "; ".join(one.words() for one in self.settings[:6])))
        return found

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def _brief(self) -> Brief:
        return Brief(f"Diff: {self.relation}", self.sentence, self.facts())


def diff(a: Recording | Path | str, b: Recording | Path | str) -> Diff:
    """Compare two recordings of `mlnn.record`, or the folders that hold them: made here or elsewhere, now or earlier.

    Raises DataError where a folder holds no recording, or a damaged one.
    """
    with np.errstate(all="ignore"):  # what is not finite is told as such
        return _compared(*(side if isinstance(side, Recording) else read_recording(side) for side in (a, b)))


def _compared(one: Recording, two: Recording) -> Diff:
    names = str(one.path), str(two.path)
    settings = tuple(settings_apart(one, two))
    unlike = parameters_apart(one, two) or _unknown(one) or _unknown(two)
    if unlike:
        text = f"Undecided, because the models differ, or cannot be judged: {unlike}."
        return Diff("undecided", text, stage="environment", names=names, settings=settings, findings=(unlike,))
    pair = aligned(one, two)
    rows = tuple(rows_of(pair))
    ground = _ground(pair, any(one.steers for one in settings))
    judgement = judge(rows, ground)
    told = related(pair, rows, judgement, ground)
    parameters = _parameters(pair, rows, judgement)
    stage, step = _place(judgement, told.relation, ground)
    first = judgement.judged[0].step if judgement.judged else 0
    yard = ground.yardstick
    return Diff(
        told.relation, sentence(pair, rows, judgement, told, ground, settings, parameters), told.scale, stage, step,
        told.resolution, yard.words(first), len(judgement.judged), names, settings,
        (*pair.notes(), *remarks(pair), *one.findings, *two.findings), rows,
        tuple(_allowed(rows, yard, judgement)), parameters,
    )  # fmt: skip


def _unknown(recording: Recording) -> str:
    """The first parameter of a dtype whose rounding is not known, in words."""
    odd = next((part for part in recording.settings.parameters if part.dtype not in EPS), None)
    return "" if odd is None else f"'{shown(odd.name)}' is of dtype '{shown(odd.dtype)}', whose rounding is not known"


def _allowed(rows: Sequence[Row], yard: Yardstick, judgement: Judgement) -> Iterator[float]:
    """How far rounding may have moved each row's loss and gradient: NaN where that is not known, or after they parted."""
    parting = judgement.parting
    last = math.inf if parting is None else -1 if parting.row is None else parting.row.step
    for row in rows:
        known = row.before is not None and row.step <= last
        yield yard.allowed(row.step, row.before or 0.0) if known else math.nan


def _ground(pair: Pair, steered: bool) -> Ground:
    precisions = [precision_of(one) for one in (pair.a, pair.b)]
    yard = Yardstick(max(precisions, key=lambda one: one.eps), nulls_of((pair.a, pair.b), pair.offset))
    alike = all(
        one.dtype == two.dtype for one, two in zip(pair.a.settings.parameters, pair.b.settings.parameters, strict=True)
    )
    moved = frozenset(stirred(pair.a) | stirred(pair.b))
    plain = {pair.a.settings.optimizer, pair.b.settings.optimizer} == {"SGD"}
    same = alike and precisions[0].name == precisions[1].name
    findings = bool(pair.a.findings or pair.b.findings)
    return Ground(yard, moved, plain, apart(*pair.starts, alike), same, findings, steered)


def _place(judgement: Judgement, relation: str, ground: Ground) -> tuple[str | None, int | None]:
    parting = judgement.parting
    if parting is None:
        return ("environment", None) if relation != "undecided" and not ground.alike else (None, None)
    return parting.stage, None if parting.row is None else parting.row.step


def _parameters(pair: Pair, rows: tuple[Row, ...], judgement: Judgement) -> tuple[ParameterApart, ...]:
    """By parameter, at the step where the recordings part, or where their bits first do."""
    parting = judgement.parting
    row = parting.row if parting else next((row for row in rows if not row.same), None)
    if row is None:
        prints = None if parting is None else pair.starts
    else:
        prints = parting_prints(pair, row, parting.stage if parting else "gradient")
    if prints is None:
        return ()
    one, two = prints
    found = [
        ParameterApart(name, (float(one.norms[at]), float(two.norms[at])), bool(one.hashes[at] == two.hashes[at]))
        for at, name in enumerate(pair.a.settings.names)
    ]
    return tuple(sorted(found, key=lambda part: (part.same, -abs(part.norms[1] - part.norms[0]))))
