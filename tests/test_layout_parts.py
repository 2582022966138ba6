"""Rows and their extras: what is cut to made-up rows, and what is read off every kind of parameter."""

import torch
from torch import Tensor, nn

from mlnn.objectives import Objective, cross_entropy, precision, read_likelihood
from mlnn.objectives.layout import Layout, extras_needed, extras_taken, layout_of
from mlnn.objectives.rowwise import row_by_row
from mlnn.targets import TargetSpace

f32, f64 = torch.float32, torch.float64


def test_extras_are_cut_where_they_have_the_positions_and_kept_where_not() -> None:
    extras = {
        "mask": torch.ones(5, 20),
        "table": torch.ones(5, 3),
        "class": torch.ones(20),
        "row": torch.ones(5),
        "square": torch.ones(20, 20),
    }
    short = layout_of((20,), extras, torch.zeros(5, 20))
    assert {name: tuple(part.shape) for name, part in short.extras.items()} == {
        "mask": (5, 8), "table": (5, 3), "class": (20,), "row": (5,), "square": (20, 8),
    }  # fmt: skip
    assert [tuple(part.shape) for part in short.rows(7).values()] == [(7, 8), (7, 3), (20,), (7,), (20, 8)]
    assert Layout((), {"row": torch.ones(5)}).rows(7)["row"].shape == (5,), "of no rows nothing is said"


def positional(f: Tensor, y: Tensor, /, *, mask: Tensor, scale: float = 1.0) -> Tensor:
    return f * y * mask * scale


def test_extras_are_read_off_every_kind_of_parameter() -> None:
    class Own(nn.Module):
        def forward(self, f: Tensor, y: Tensor, mask: Tensor) -> Tensor:
            return f * y * mask

    assert extras_taken(positional) == {"mask", "scale"}
    assert extras_needed(positional) == extras_needed(Own()) == extras_taken(Own()) == {"mask"}
    assert extras_needed(lambda f, _, *_rest, **_more: f) == frozenset()
    assert extras_taken(lambda f, _, *_rest: f) == frozenset()


def test_a_roundoff_is_that_of_the_float() -> None:
    assert (precision._eps(f32), precision._eps(f64)) == (2**-23, 2**-52)


def test_rows_with_extras_and_without_are_asked_where_nothing_or_something_may_be_ignored() -> None:
    z, labels = torch.tensor([[1.0, 2.0, 3.0]], dtype=f64), torch.tensor([1])
    for space in (TargetSpace("classes", 3), TargetSpace("classes", 3, ignore=-1)):
        plain = Objective.of(lambda f, y, **_: f.gather(-1, y[..., None])[..., 0], space, name="loss")
        masked = plain.over(Layout((), {"mask": torch.ones(2)}, torch.tensor([0, 2])))
        assert [row_by_row(one, z, labels)[0].tolist() for one in (plain, masked)] == [[2.0], [2.0]]


def test_labels_are_read_as_labels() -> None:
    found = read_likelihood(
        Objective.of(cross_entropy, TargetSpace("classes", 2)),
        nn.Linear(2, 2),
        torch.zeros(3, 2),
        torch.tensor([0, 1, 1]),
    )
    assert found is not None
    assert found.geometric_mean == 0.5
