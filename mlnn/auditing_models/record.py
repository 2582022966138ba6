"""What was found, as records: of a model, of one of its modes, of one of its layers, of a weight decay."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from mlnn.report.brief import Brief

SHOWN_LAYERS = 8
"""Layers that a session prints; of more, the first of them and how many there are."""


@dataclass(frozen=True)
class Layer:
    """What one layer does in one mode: its path ("" is the model's own forward), its class, and each of its deeds."""

    name: str
    class_name: str
    mode: str
    does: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain data for a JSON file."""
        return {"name": self.name, "class": self.class_name, "mode": self.mode, "does": list(self.does)}


@dataclass(frozen=True)
class ModeAudit:
    """One mode of a model. None: not asked, or it cannot be told (`undecided` says why).

    `factorises`: whether the rows' outputs are computed apart, so that given the model (and any random numbers) the
    likelihood is a product over rows. `random`: the same call answers differently with other random numbers; `shared`:
    and one draw serves all rows. `coupled`: a row's output depends on the other rows; `placed`: on its place in the batch;
    `sized`: on how many rows there are (neither asked of random models: masks are drawn by place). `one_row`: the refusal
    of a batch of one row, in the model's words; None where it is taken. `stateful`: buffers that one call changes;
    `remembers`: the same call twice over answers differently.
    """

    mode: str
    factorises: bool | None
    random: bool | None
    shared: bool | None
    coupled: bool | None
    placed: bool | None
    sized: bool | None
    one_row: str | None
    stateful: tuple[str, ...]
    remembers: bool | None
    undecided: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class ModelAudit:
    """What a model does to the likelihood. `training` is None where it was not asked for. `layers`: those that do something."""

    model: str
    rows: int
    training: ModeAudit | None
    evaluation: ModeAudit
    layers: tuple[Layer, ...]
    sentence: str

    @property
    def modes(self) -> list[ModeAudit]:
        """The modes that were looked at."""
        return [mode for mode in (self.training, self.evaluation) if mode]

    def to_dict(self) -> dict[str, object]:
        """Plain data for a JSON file."""
        return dataclasses.asdict(self) | {"layers": tuple(layer.to_dict() for layer in self.layers)}

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def _brief(self) -> Brief:
        facts = [(f"factorises in {mode.mode} mode", _answer(mode.factorises)) for mode in self.modes]
        rows = [
            [one.name or "(model)", one.class_name, one.mode, _deeds(one.does)] for one in self.layers[:SHOWN_LAYERS]
        ]
        if len(self.layers) > SHOWN_LAYERS:
            rows.append([f"… {len(self.layers) - SHOWN_LAYERS} more", "", "", ""])
        table = [["layer", "class", "mode", "does"], *rows] if rows else []
        return Brief(f"Audit of the model {self.model}, at {self.rows} rows", self.sentence, facts, table)


@dataclass(frozen=True, repr=False)
class PriorAudit:
    """Whether an optimiser's weight decay λ is the Gaussian prior N(0, 1/(nλ)) on each weight.

    `is_prior`: None where it cannot be told. `rows` n: of the mean loss that the optimiser is used on; `variance`: 1/(nλ),
    in squared units of the weights, None unless it is the prior (for a loss summed over rows it is 1/λ). `gap`: largest
    difference between the weights under decay and under the prior written into the loss, over the steps; `effect`:
    largest change that the decay makes at all. `left_mode`: how far an optimiser started at the posterior mode has moved
    off it in the end, as a share of the distance from the mode to the maximum of the likelihood, where 1 is that far.
    `from_maximum`: its distance from that maximum then, in the same unit.
    """

    optimizer: str
    weight_decay: float
    rows: int
    is_prior: bool | None
    variance: float | None
    gap: float
    effect: float
    left_mode: float
    from_maximum: float
    sentence: str

    def to_dict(self) -> dict[str, object]:
        """Plain data for a JSON file."""
        return dataclasses.asdict(self)

    def __repr__(self) -> str:
        return self._brief().text()

    def _repr_html_(self) -> str:
        return self._brief().html()

    def _brief(self) -> Brief:
        facts = [("is a Gaussian prior", _answer(self.is_prior)), ("λ", f"{self.weight_decay:.6g}")]
        if self.variance is not None:
            facts.append(("variance 1/(nλ)", f"{self.variance:.6g}, n = {self.rows}"))
        facts += [("decay against prior", f"{self.gap:.2g} apart"), ("what the decay does", f"{self.effect:.2g}")]
        return Brief(f"Weight decay of {self.optimizer}", self.sentence, facts)


def _deeds(does: Sequence[str]) -> str:
    """What a layer does, buffers counted."""
    buffers = [deed for deed in does if deed.startswith("moves")]
    moved = [f"moves {len(buffers)} buffers"] if len(buffers) > 1 else buffers
    return ", ".join([*(deed for deed in does if deed not in buffers), *moved])


def _answer(holds: bool | None) -> str:
    return {True: "yes", False: "no", None: "undecided"}[holds]
