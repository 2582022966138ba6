"""Growth rows, several seeds per architecture, gathered into one rung per architecture, in ladder order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlnn.report.words import number, severity

Row = Mapping[str, Any]


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
    rows: tuple[Row, ...]

    @property
    def label(self) -> str:
        """Name and parameter count, for a tick."""
        return self.model if self.parameters is None else f"{self.model} · {number(self.parameters)}"

    def values(self, column: str) -> list[float]:
        """One number per seed that has the column."""
        return [float(row[column]) for row in self.rows if row.get(column) is not None]


def rungs(rows: Iterable[Row]) -> list[Rung]:
    """One rung per model, in the order in which models first appear."""
    by_model: dict[str, list[Row]] = {}
    for row in rows:
        by_model.setdefault(str(row["model"]), []).append(row)
    return [_rung(model, seeds) for model, seeds in by_model.items()]


def _rung(model: str, rows: Sequence[Row]) -> Rung:
    parameters = rows[0].get("parameters")
    return Rung(
        model=model,
        parameters=None if parameters is None else int(parameters),
        relation=max((str(row.get("relation", "undecided")) for row in rows), key=severity),
        loss_gap=_most(rows, "max_abs_loss_gap"),
        gradient_gap=_most(rows, "gradient_gap"),
        weight_gap=_most(rows, "weight_gap"),
        null_low=_most(rows, "null_low", np.min),
        null_high=_most(rows, "null_high"),
        twin_gap=_most(rows, "float64_weight_gap"),
        rows=tuple(rows),
    )


def _most(rows: Sequence[Row], column: str, pick: Any = np.max) -> float | None:
    # np.max and np.min hand NaN through: one seed that broke must not hide behind those that did not.
    values = [float(row[column]) for row in rows if row.get(column) is not None]
    return float(pick(values)) if values else None


def working_dtype(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """Name of the dtype of the pair itself."""
    return str(about.get("dtype") or (rows[0].get("dtype") if rows else None) or "working dtype")


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
