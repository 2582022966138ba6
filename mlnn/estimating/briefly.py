"""What an interactive session shows of an estimate: a few lines and a small table, no tensors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlnn.report.brief import Brief
from mlnn.visible import visible

if TYPE_CHECKING:
    from mlnn.estimating.network.fit import ModelFit
    from mlnn.estimating.result import Estimate

MOST, WIDEST = 12, 28  # rows of the table, and characters of a name


def brief_of_estimate(found: "Estimate") -> Brief:
    """Of the classical estimate."""
    bse = None if found.bse is None else found.bse.T.reshape(-1)
    exists = found.separation == "none"
    title = "Maximum-likelihood estimate" if exists else "No finite maximum-likelihood estimate"
    facts = [("log-likelihood", f"{found.llf:.6g}" + ("" if exists else ", the supremum"))]
    facts += [("separation", found.separation), *_numbers(found.ancillary)]
    table = _table(found.labels, found.params.T.reshape(-1), bse)
    return Brief(f"{title}: {found.likelihood}, {found.nobs:g} rows", "; ".join(found.notes), facts, table)


def brief_of_model(found: "ModelFit") -> Brief:
    """Of a model's."""
    title = "No finite maximum-likelihood estimate" if found.separated else "Maximum likelihood of a model"
    facts = [("log-likelihood", f"{found.llf:.6g}" + (", the supremum" if found.separated else ""))]
    facts += [("separation", found.separation), *_numbers(found.ancillary)]
    sentence = "; ".join([found.sentence, *found.notes])
    return Brief(
        f"{title}: {found.likelihood}, {found.nobs:g} rows",
        sentence,
        facts,
        _table(found.names, found.params, found.bse),
    )


def _numbers(ancillary: dict[str, float]) -> list[tuple[str, str]]:
    return [(name, f"{value:.6g}") for name, value in ancillary.items()]


def _table(names: Sequence[str], params: np.ndarray, bse: np.ndarray | None) -> list[list[str]]:
    told = bse is not None and bool(np.isfinite(bse).any())
    rows = [["", "coef"] + ["std err"] * told]
    for place, name in enumerate(names[:MOST]):
        clean = visible(name, keep="")
        short = clean if len(clean) <= WIDEST else clean[: WIDEST - 1] + "…"
        rows.append([short, f"{params[place]:.6g}"] + ([f"{bse[place]:.4g}"] if told and bse is not None else []))
    if len(names) > MOST:
        rows.append([f"… and {len(names) - MOST} more", *[""] * (1 + told)])
    return rows
