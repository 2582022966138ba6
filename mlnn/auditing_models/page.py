"""The page of a model's audit: does the likelihood factorise over rows, and is weight decay a prior?"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from mlnn.report.html import render
from mlnn.report.said import said
from mlnn.report.words import number

_ASKED = {
    "factorises": "the likelihood is a product over rows",
    "random": "the same call answers differently",
    "coupled": "a row's output depends on the other rows",
    "placed": "a row's output depends on its place",
    "sized": "a row's output depends on the size of the batch",
    "remembers": "the second call answers differently",
}
_SAID = {True: "yes", False: "no", None: "–"}


def model_page(told: Mapping[str, Any]) -> str:
    """The page of one audit: `told` holds "model" (`ModelAudit.to_dict`), "prior" (`PriorAudit.to_dict` or None), "names"."""
    model, prior = told["model"], told["prior"]
    modes = [mode for mode in (model["training"], model["evaluation"]) if mode]
    return render(
        "model.html",
        [],
        title=f"{model['model']} on {told['names'].get('data', 'the data')}",
        sentence=model["sentence"],
        modes=[mode["mode"] for mode in modes],
        answers=[(words, [_SAID[mode[key]] for mode in modes]) for key, words in _ASKED.items()],
        layers=model["layers"],
        prior=prior,
        decay=_decay(prior),
    )


def layer_table(layers: Sequence[Mapping[str, Any]]) -> Table:
    """One line per layer and mode: what it does to the rows."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "class", "mode", "does"):
        table.add_column(name, overflow="fold")
    for layer in layers:
        name = str(layer["name"]) or "(the model's own forward)"
        table.add_row(*(said(str(word)) for word in (name, layer["class"], layer["mode"], ", ".join(layer["does"]))))
    return table


def _decay(prior: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if prior is None:
        return []
    words = {
        "optimiser": prior["optimizer"],
        "weight decay λ": number(prior["weight_decay"], 6),
        "variance 1/(nλ)": "–" if prior["variance"] is None else number(prior["variance"], 6),
        "gap to the written prior, of the decay's own effect": number(prior["gap"], 2),
        "where it rests, 0 the posterior mode, 1 the maximum of the likelihood": number(prior["left_mode"], 3),
    }
    return list(words.items())
