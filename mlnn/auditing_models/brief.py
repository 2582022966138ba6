"""What a session prints of the audit of a model, or of a weight decay: a title, its sentence, a few facts."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlnn.report.brief import Brief

LAYERS = 8
"""Layers in the table of a model; of more, the first of them and how many there are."""


def model_brief(told: Mapping[str, Any]) -> Brief:
    """Of a model's audit as plain data: whether rows factorise in each mode, its sentence, and the layers that matter."""
    modes = [mode for mode in (told["training"], told["evaluation"]) if mode]
    facts = [(f"factorises in {mode['mode']} mode", _answer(mode["factorises"])) for mode in modes]
    layers: Sequence[Mapping[str, Any]] = told["layers"]
    rows = [[str(one["name"]) or "(model)", one["class"], one["mode"], _deeds(one["does"])] for one in layers[:LAYERS]]
    if len(layers) > LAYERS:
        rows.append([f"… {len(layers) - LAYERS} more", "", "", ""])
    table = [["layer", "class", "mode", "does"], *rows] if rows else []
    return Brief(f"Audit of the model {told['model']}, at {told['rows']} rows", str(told["sentence"]), facts, table)


def prior_brief(told: Mapping[str, Any]) -> Brief:
    """Of a weight decay's audit as plain data."""
    facts = [("is a Gaussian prior", _answer(told["is_prior"])), ("λ", f"{told['weight_decay']:.6g}")]
    if told["variance"] is not None:
        facts.append(("variance 1/(nλ)", f"{told['variance']:.6g}, n = {told['rows']}"))
    facts += [("decay against prior", f"{told['gap']:.2g} apart"), ("what the decay does", f"{told['effect']:.2g}")]
    return Brief(f"Weight decay of {told['optimizer']}", str(told["sentence"]), facts)


def _deeds(does: Sequence[str]) -> str:
    """What a layer does, buffers counted."""
    buffers = [deed for deed in does if deed.startswith("moves")]
    moved = [f"moves {len(buffers)} buffers"] if len(buffers) > 1 else buffers
    return ", ".join([*(deed for deed in does if deed not in buffers), *moved])


def _answer(holds: bool | None) -> str:
    return {True: "yes", False: "no", None: "undecided"}[holds]
