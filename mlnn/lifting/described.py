"""What a lifted objective minimises, in a sentence for people."""

from mlnn.auditing import Certificate, audit
from mlnn.errors import ConfigError
from mlnn.lifting.rows import BatchLoss, RowLoss
from mlnn.objectives import Objective

WHOLE = 1e-6
"""Relative: a temperature this near to the number of rows is a sum."""


def is_of_rows(objective: Objective) -> bool:
    """Whether a lifted objective is one of rows, which an audit can be asked about."""
    return isinstance(objective.function, RowLoss)


def described(objective: Objective, certificate: Certificate | None = None) -> str:
    """One sentence: the likelihood that a lifted objective is −log of, its factor, and how a batch is made of rows.

    certificate: of `mlnn.audit(objective)`, if it is there already. Raises ConfigError for an objective that was not lifted.
    """
    loss = objective.function
    if isinstance(loss, BatchLoss):
        return f"minimises a loss of whole batches, which does not separate into rows: {loss.reason}{_notes(loss)}."
    if not isinstance(loss, RowLoss):
        raise ConfigError(f"objective '{objective.name}': it was not lifted; `mlnn.audit` says what it is")
    try:
        found = certificate or audit(objective)
    except ConfigError as problem:
        return f"minimises a loss of rows, {_over(loss)}; what it is was not found: {problem}{_notes(loss)}."
    return f"minimises {_what(found, loss)}{_notes(loss)}."


def _what(found: Certificate, loss: RowLoss) -> str:
    name = f"the {found.family}" if found.family else "a"
    if found.kind == "likelihood family":
        return f"−log of {name} likelihood, its dispersion free, {_over(loss)}"
    if found.is_likelihood and found.scale is not None:
        scale, over = found.scale, _over(loss)
        kept = loss.rows.kept if loss.rows else 1
        if kept > 1 and abs(scale / kept - 1) <= WHOLE:
            scale, over = 1.0, _over(loss, "summed")
        return f"{scale:.6f} × −log of {name} likelihood, {over}"
    what = "a loss that may be a likelihood or not" if found.kind == "undecided" else f"no likelihood ({found.kind})"
    return f"{what}, {_over(loss)}: {found.sentence.rstrip('.')}"


def _over(loss: RowLoss, how: str = "mean") -> str:
    """How a batch is made of rows, in words."""
    rows = loss.rows
    axes = _axes(loss)
    word = "rows" if axes < 2 else "tokens" if axes == 2 and loss.form.space.labels else "positions"
    kept = "kept " if rows and rows.kept < rows.positions else ""
    count = f" the {rows.kept:,}" if rows and how == "summed" else ""
    return f"{how} over{count} {kept}{word}"


def _axes(loss: RowLoss) -> int:
    """Axes of positions, those of one alone left out."""
    shape = loss.lifted.outputs[0].value.shape
    return sum(size > 1 for size in shape) - (loss.form.axis is not None)


def _notes(loss: RowLoss | BatchLoss) -> str:
    logs = ("the model returns log-probabilities, and logits become these by a log-softmax",) if loss.form.logs else ()
    return "".join(f"; {note}" for note in (*logs, *loss.lifted.notes))
