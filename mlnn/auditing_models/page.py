"""The page of a model's audit: does the likelihood factorise over rows, and is weight decay a prior?"""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from mlnn.auditing_models.record import Layer, ModeAudit, ModelAudit, PriorAudit
from mlnn.report.html import render
from mlnn.report.said import said
from mlnn.report.words import number

_ASKED = (
    "the likelihood is a product over rows",
    "the same call answers differently",
    "a row's output depends on the other rows",
    "a row's output depends on its place",
    "a row's output depends on the size of the batch",
    "the second call answers differently",
)
_SAID = {True: "yes", False: "no", None: "–"}


def model_page(found: ModelAudit, prior: PriorAudit | None, data: str) -> str:
    """The page of a model's audit on a batch of `data`, and of its optimiser's weight decay where it has one."""
    return render(
        "model.html",
        [],
        title=f"{found.model} on {data}",
        sentence=found.sentence,
        modes=[mode.mode for mode in found.modes],
        answers=list(zip(_ASKED, zip(*map(_answers, found.modes), strict=True), strict=True)),
        layers=found.layers,
        prior=prior,
        decay=_decay(prior) if prior else [],
    )


def _answers(mode: ModeAudit) -> list[str]:
    """To _ASKED, of one mode."""
    found = (mode.factorises, mode.random, mode.coupled, mode.placed, mode.sized, mode.remembers)
    return [_SAID[one] for one in found]


def layer_table(layers: Sequence[Layer]) -> Table:
    """One line per layer and mode: what it does to the rows."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "class", "mode", "does"):
        table.add_column(name, overflow="fold")
    for layer in layers:
        name = layer.name or "(the model's own forward)"
        table.add_row(*map(said, (name, layer.class_name, layer.mode, ", ".join(layer.does))))
    return table


def _decay(prior: PriorAudit) -> list[tuple[str, str]]:
    return [
        ("optimiser", prior.optimizer),
        ("weight decay λ", number(prior.weight_decay, 6)),
        ("variance 1/(nλ)", number(prior.variance, 6)),
        ("gap to the written prior, of the decay's own effect", number(prior.gap, 2)),
        ("where it rests, 0 the posterior mode, 1 the maximum of the likelihood", number(prior.left_mode, 3)),
    ]
