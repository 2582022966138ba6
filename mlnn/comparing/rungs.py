"""Growth rows, several seeds per architecture, gathered into one rung per architecture, in ladder order."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mlnn.comparing.badges import severity
from mlnn.comparing.records import GrowthRow
from mlnn.report.words import number

Gap = Callable[[GrowthRow], float | None]


@dataclass(frozen=True, eq=False)
class Rung:
    """One architecture over its seeds: the worst relation and the largest gap of each kind (None: not measured)."""

    model: str
    parameters: int | None
    relation: str
    loss_gap: float | None
    gradient_gap: float | None
    weight_gap: float | None
    null_low: float | None
    null_high: float | None
    twin_gap: float | None
    rows: tuple[GrowthRow, ...]

    @property
    def label(self) -> str:
        """Name and parameter count, for a tick."""
        return self.model if self.parameters is None else f"{self.model} · {number(self.parameters)}"

    def measured(self, gap: Gap) -> list[tuple[GrowthRow, float]]:
        """(row, gap) of each seed that has this gap."""
        found = ((row, gap(row)) for row in self.rows)
        return [(row, size) for row, size in found if size is not None]


def rungs(rows: Iterable[GrowthRow]) -> list[Rung]:
    """One rung per model, in the order in which models first appear."""
    by_model: dict[str, list[GrowthRow]] = {}
    for row in rows:
        by_model.setdefault(row.model, []).append(row)
    return [_rung(model, seeds) for model, seeds in by_model.items()]


def _rung(model: str, rows: Sequence[GrowthRow]) -> Rung:
    return Rung(
        model=model,
        parameters=rows[0].parameters,
        relation=max((row.relation for row in rows), key=severity),
        loss_gap=_most(row.max_abs_loss_gap for row in rows),
        gradient_gap=_most(row.gradient_gap for row in rows),
        weight_gap=_most(row.weight_gap for row in rows),
        null_low=_most((row.null_low for row in rows), np.min),
        null_high=_most(row.null_high for row in rows),
        twin_gap=_most(row.float64_weight_gap for row in rows),
        rows=tuple(rows),
    )


def _most(sizes: Iterable[float | None], pick: Callable[[list[float]], float] = np.max) -> float | None:
    # np.max and np.min hand NaN through: one seed that broke must not hide behind those that did not.
    known = [size for size in sizes if size is not None]
    return float(pick(known)) if known else None


def summary(ladder: Sequence[Rung]) -> str:
    """One sentence on the relations over the ladder, one on the largest gap."""
    if not ladder:
        return "No architecture was compared."
    by_relation: dict[str, list[str]] = {}
    for rung in ladder:
        by_relation.setdefault(rung.relation, []).append(rung.model)
    common = max(by_relation, key=lambda relation: len(by_relation[relation]))
    count = len(by_relation[common])
    what = f"{number(len(ladder))} architecture{'s' if len(ladder) > 1 else ''}"
    where = f"all {what}" if count == len(ladder) > 1 else what if len(ladder) == 1 else f"{count} of {what}"
    sentence = f"On {where} the two objectives are {common}"
    for relation in sorted(by_relation, key=severity, reverse=True):
        if relation != common:
            sentence += f"; {relation} on {', '.join(by_relation[relation])}"
    return f"{sentence}.{_largest(ladder)}"


def _largest(ladder: Sequence[Rung]) -> str:
    gaps = {rung: rung.weight_gap for rung in ladder if rung.weight_gap is not None}
    finite = {rung: gap for rung, gap in gaps.items() if np.isfinite(gap)}
    lost = [rung.model for rung in gaps if rung not in finite]
    sentence = f" No finite weight gap on {', '.join(lost)}." if lost else ""
    if not finite:
        return sentence
    top = max(finite, key=lambda rung: finite[rung])
    twin = f", where the float64 twin's is {number(top.twin_gap)}" if top.twin_gap is not None else ""
    return f" The largest weight gap is {number(top.weight_gap)}, on {top.model}{twin}.{sentence}"
