"""An estimate on a page of text: a header and a table of coefficients, or why there is none."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mlnn.estimating.result import Estimate

WIDTH = 84


def table(found: "Estimate") -> str:
    """Header block and coefficient table, 95 % Wald intervals."""
    lines = [f"Maximum likelihood: {found.likelihood}".center(WIDTH).rstrip(), "=" * WIDTH]
    entries = list(_header(found))
    half = (len(entries) + 1) // 2
    for left, right in zip(entries[:half], [*entries[half:], ("", "")], strict=False):
        lines.append("   ".join(f"{name:<18}{value:>22}" for name, value in (left, right)).rstrip())
    letter = "t" if found.use_t else "z"
    columns: tuple[str, ...] = ("coef", "std err", letter, f"P>|{letter}|", "[0.025", "0.975]")
    parts: tuple[np.ndarray, ...] = (found.params,)
    if found.information is None:  # a likelihood with kinks: the notes say why there is nothing beside the coefficients
        columns = columns[:1]
    else:
        assert found.bse is not None
        parts += (found.bse, found.tvalues, found.pvalues, *np.moveaxis(found.conf_int(), -1, 0))
    heading = f"{'':<18}" + "".join(f"{name:>11}" for name in columns)
    shape = found.params.shape[0], -1
    numbers = [np.asarray(part).reshape(shape) for part in parts]
    for column, output in enumerate(found.outputs):
        lines += ["=" * WIDTH, f"{output:<18}{heading[18:]}", "-" * WIDTH]
        for row, name in enumerate(found.names):
            values = [part[row, column] for part in numbers]
            lines.append(f"{name[:17]:<18}" + "".join(map(_cell, values, (4, 4, 3, 3, 3, 3)[: len(values)])))
    lines.append("=" * WIDTH)
    return "\n".join([*lines, *(f"- {note}" for note in found.notes)])


def statement(found: "Estimate") -> str:
    """What separated rows say instead of a table: what runs where, along which direction, and what training does."""
    rows, columns = found.params.shape[0], len(found.outputs)
    params = found.params.reshape(rows, columns)
    labelled = [
        (f"{output}: {name}" if output else name, params[row, column])
        for column, output in enumerate(found.outputs)
        for row, name in enumerate(found.names)
    ]
    runs = [f"{name} → {'+' if value > 0 else '−'}∞" for name, value in labelled if np.isinf(value)]
    stays = [f"{name} = {value:.6g}" for name, value in labelled if np.isfinite(value)]
    open_ = [name for name, value in labelled if np.isnan(value)]
    lines = [
        f"No finite maximum-likelihood estimate: {found.separation} separation ({found.likelihood}, {found.nobs:g} rows).",
        "Along the direction below no row's likelihood falls, and some rows' rises for ever.",
    ]
    if found.direction is not None:
        direction = found.direction.reshape(rows, -1)
        parts = zip(found.names, direction, strict=True)
        lines.append("direction: " + ", ".join(f"{n} {' '.join(f'{v:.4g}' for v in row)}" for n, row in parts))
    lines += ["runs away: " + ", ".join(runs)] * bool(runs)
    lines += ["stays finite: " + ", ".join(stays)] * bool(stays)
    lines += ["not determined: " + ", ".join(open_)] * bool(open_)
    lines.append(
        f"log-likelihood: below {found.llf:.6g}, its supremum, which no coefficients reach; no standard errors"
    )
    lines.append("Under gradient descent the norm of the weights grows like the logarithm of the number of steps.")
    return "\n".join([*lines, *(f"- {note}" for note in found.notes[1:])])


def _header(found: "Estimate") -> Iterator[tuple[str, str]]:
    yield "No. observations:", f"{found.nobs:g}"
    yield "Df residuals:", f"{found.df_resid:g}"
    yield "Df model:", f"{found.df_model:g}"
    yield "Covariance:", found.cov
    yield "Converged:", f"{found.converged} ({found.iterations} iterations)"
    yield "Log-likelihood:", f"{found.llf:.6f}"
    yield "LL, constant alone:", f"{found.llnull:.6f}"
    if found.llr_pvalue is not None:
        yield "LLR p-value:", f"{found.llr_pvalue:.4g}"
    if found.deviance is not None:
        yield "Deviance:", f"{found.deviance:.6g}"
    yield "Dispersion:", f"{found.dispersion:.6g}"
    for name, criterion in (("AIC:", found.aic), ("BIC:", found.bic)):
        if criterion is not None:
            yield name, f"{criterion:.4f}"
    for name, value in found.ancillary.items():
        yield f"{name}:", f"{value:.6g}"


def _cell(value: float, digits: int) -> str:
    """Eleven characters; a number too large or small for fixed point in scientific notation."""
    text = f"{value:.{digits}f}"
    plain = not np.isfinite(value) or (len(text) <= 10 and (abs(value) >= 10.0**-digits or value == 0 or digits == 3))
    return f"{text if plain else f'{value:.3e}':>11}"
