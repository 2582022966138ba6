"""A stored proof checked by a few lines that share no code with the prover."""

from collections.abc import Mapping, Sequence

from flint import fmpq

from mlnn.proving.boxes import Question
from mlnn.proving.cases import Case
from mlnn.proving.paving import Tile


def on_paper(
    case: Case, asked: Sequence[Question], tiles: Mapping[str, Sequence[Tile]], ends: tuple[fmpq, fmpq], tolerance: fmpq
) -> dict[str, object]:
    """A case as plain data."""
    return {}
