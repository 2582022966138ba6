"""What an audit of a model found, in two records: the model's, and that of one of its modes."""

import dataclasses
from dataclasses import dataclass

from mlnn.auditing_models.brief import model_brief


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
    """What a model does to the likelihood. `training` is None where it was not asked for.

    `layers`: per layer and mode, its path ("" is the model's own forward), its class and what it does.
    """

    model: str
    rows: int
    training: ModeAudit | None
    evaluation: ModeAudit
    layers: tuple[dict[str, object], ...]
    sentence: str

    def to_dict(self) -> dict[str, object]:
        """Plain data for a JSON file."""
        return dataclasses.asdict(self)

    def __repr__(self) -> str:
        return model_brief(self.to_dict()).text()

    def _repr_html_(self) -> str:
        return model_brief(self.to_dict()).html()
