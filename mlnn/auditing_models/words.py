"""What a model does to the likelihood, in plain words."""

from collections.abc import Sequence
from dataclasses import replace

from mlnn.auditing_models.record import Layer, ModeAudit

Layers = Sequence[Layer]
PRODUCT = "∏ p(y_i | x_i)"
NAMED = 3
"""Layers named in a sentence; of more, the first few and how many there are."""


def sentence(training: ModeAudit | None, evaluation: ModeAudit, layers: Layers) -> str:
    """Both modes: what the loss then is, and what makes it so."""
    if training is None:
        modes = [evaluation]
    elif replace(training, mode="") == replace(evaluation, mode=""):
        return " ".join(_told(replace(evaluation, mode="training and evaluation"), _of_mode(layers, "evaluation")))
    else:
        modes = [training, evaluation]
    return " ".join(part for mode in modes for part in _told(mode, _of_mode(layers, mode.mode)))


def _of_mode(layers: Layers, mode: str) -> Layers:
    return [layer for layer in layers if layer.mode == mode]


def _told(mode: ModeAudit, layers: Layers) -> list[str]:
    """The sentences of one mode."""
    place = f"in {mode.mode} mode"
    told = _of_rows(mode, layers, place) + _of_draws(mode, layers, place) + _of_state(mode, place)
    told += [f"Undecided {place}: {why}." for why in mode.undecided]
    return told or [
        f"{place.capitalize()} each row's output depends on that row alone: a loss that is −log p(y_i | x_i), summed over"
        f" rows, is −log of the conditional likelihood {PRODUCT}."
    ]


def _of_rows(mode: ModeAudit, layers: Layers, place: str) -> list[str]:
    told = []
    if mode.coupled:
        told.append(
            f"{_who(layers, 'couples rows', 'make')} each row's output depend on the other rows of the batch: {place} the"
            f" loss is no sum over independent rows, so exp(−loss) is not the conditional likelihood {PRODUCT}."
        )
    if mode.placed and not mode.coupled:
        told.append(f"A row's output depends on its place in the batch {place}, so {PRODUCT} leaves something out.")
    if mode.sized and not mode.coupled:
        told.append(
            f"A row's output depends on how many rows the batch has {place}, so {PRODUCT} leaves something out."
        )
    if mode.one_row:
        told.append(f"A batch of one row is refused {place}.")
    return told


def _of_draws(mode: ModeAudit, layers: Layers, place: str) -> list[str]:
    told = []
    if mode.random:
        told.append(
            f"{_who(layers, 'draws random numbers', 'draw')} random numbers: {place} the loss is one draw; its mean over the"
            " draws is an upper bound on −log of the mean likelihood (Jensen), not that itself."
        )
    if mode.shared:
        told.append("One draw serves all rows of a batch, so that averaged over the draws the rows are dependent.")
    return told


def _of_state(mode: ModeAudit, place: str) -> list[str]:
    told = []
    if mode.stateful:
        what = f"{len(mode.stateful)} buffers ({mode.stateful[0]}, …)" if len(mode.stateful) > 1 else mode.stateful[0]
        told.append(
            f"Each call {place} moves {what}: what the model answers later may depend on the batches it has seen."
        )
    if mode.remembers:
        told.append(f"The same call twice over answers differently {place}: the output depends on earlier calls.")
    return told


def _who(layers: Layers, deed: str, verb: str) -> str:
    """Subject and verb: the layers that do something, of many the first few."""
    doers = [layer for layer in layers if deed in layer.does]
    if not doers or doers[0].name == "":
        return f"The model's own forward {verb}s" if doers else f"The model {verb}s"
    words = [f"'{layer.name}' ({layer.class_name})" for layer in doers]
    if len(words) == 1:
        return f"Layer {words[0]} {verb}s"
    rest = f"{len(words) - NAMED} more" if len(words) > NAMED else words.pop()
    return f"Layers {', '.join(words[:NAMED])} and {rest} {verb}"
