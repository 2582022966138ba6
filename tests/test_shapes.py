"""Batches of any leading shape: sequences with ignored positions, several numbers at a position, extras by name."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mlnn
from mlnn.comparing.verdict import Verdict
from mlnn.data import from_arrays
from mlnn.errors import ConfigError, DataError
from mlnn.objectives import Objective
from mlnn.objectives.layout import LONGEST, extras_needed, extras_taken, layout_of
from mlnn.objectives.rowwise import row_by_row
from mlnn.targets import TargetSpace

N, T, K = 33, 5, 4
DRAWS = torch.Generator().manual_seed(3)
TOKENS = torch.randint(0, 9, (N, T), generator=DRAWS)
LENGTHS = torch.randint(2, T + 1, (N,), generator=DRAWS)
LABELS = torch.randint(0, K, (N, T), generator=DRAWS).masked_fill(torch.arange(T) >= LENGTHS[:, None], -100)
X = torch.randn(N, 5, generator=DRAWS)
SPACE = f"classes({K}, ignore=-100)"


class Tagger(nn.Module):
    """Tokens (n, t) to raw outputs (n, t, K), or (n, K, t)."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.embed, self.head, self.axis = nn.Embedding(9, 6), nn.Linear(6, K), axis

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.tanh(self.embed(x)))
        return out.movedim(-1, self.axis)


def run(
    left: Any, right: Any, data: Any, targets: str, model: Callable[[], nn.Module] = Tagger, **more: Any
) -> Verdict:
    settings = {"optimizer": partial(torch.optim.SGD, lr=0.1), "steps": 6, "batch_size": 7, "null_twins": 0}
    return mlnn.compare(model, left, right, data, targets=targets, **settings | more).verdict


def each(z: Tensor, y: Tensor) -> Tensor:
    """−log p of every position, 0 where it is ignored."""
    return -torch.log_softmax(z, -1).gather(-1, y.clamp(min=0)[..., None])[..., 0] * (y != -100)


def flattened(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.reshape(-1, z.shape[-1]), y.reshape(-1))


def over_kept(z: Tensor, y: Tensor) -> Tensor:
    return each(z, y).sum() / (y != -100).sum()


def over_all(z: Tensor, y: Tensor) -> Tensor:
    return each(z, y).mean()


def per_sequence(z: Tensor, y: Tensor) -> Tensor:
    return (each(z, y).sum(1) / (y != -100).sum(1)).mean()


def smoothed_over_ignored(z: Tensor, y: Tensor) -> Tensor:
    """Label smoothing whose uniform part counts the ignored positions too."""
    return 0.9 * flattened(z, y) - 0.1 * torch.log_softmax(z, -1).mean()


def unreduced(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.movedim(-1, 1), y, reduction="none")


def flat_unreduced(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.reshape(-1, z.shape[-1]), y.reshape(-1), reduction="none")


def shifted(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda z, y: loss(z[:, :-1], y[:, 1:])


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("left", "right"), [(flattened, over_kept), (shifted(flattened), shifted(over_kept)), (unreduced, flat_unreduced)]
)
def test_token_losses_with_ignored_positions_are_equal(left: Any, right: Any) -> None:
    found = run(left, right, (TOKENS, LABELS), SPACE)
    assert found.relation in ("bitwise", "equal"), found.sentence
    assert found.domain == "all"


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("left", "right"),
    [(flattened, over_all), (flattened, per_sequence), (flattened, shifted(flattened)),
     (partial(F.cross_entropy, label_smoothing=0.1), smoothed_over_ignored)],
)  # fmt: skip
def test_and_the_famous_faults_of_token_losses_are_not(left: Any, right: Any) -> None:
    if isinstance(left, partial):
        own = left

        def left(z: Tensor, y: Tensor) -> Tensor:
            found: Tensor = own(z.movedim(-1, 1), y)
            return found

    assert run(left, right, (TOKENS, LABELS), SPACE).relation == "different"


@pytest.mark.rest
def test_the_axis_of_the_classes_is_said_once() -> None:
    space, model = f"classes({K}, ignore=-100, axis=1)", partial(Tagger, 1)
    same = run(nn.CrossEntropyLoss(), lambda z, y: over_kept(z.movedim(1, -1), y), (TOKENS, LABELS), space, model)
    assert same.relation in ("bitwise", "equal"), same.sentence
    with pytest.raises(
        ConfigError, match=rf"raw output of shape \(7, 5, {K}\) for 7 rows of 5 positions .*\(7, {K}, 5\) is"
    ):
        run(nn.CrossEntropyLoss(), over_kept, (TOKENS, LABELS), space)


def test_a_batch_of_ignored_labels_alone_is_refused_at_the_door() -> None:
    with pytest.raises(DataError, match="all 165 targets are -100, which is ignored"):
        run(flattened, over_kept, (TOKENS, torch.full_like(LABELS, -100)), SPACE)
    with pytest.raises(DataError, match=r"say the space, e\.g"):
        run(flattened, over_kept, (TOKENS, LABELS), None)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"row 0, position 1 holds 7.0"):
        run(
            flattened,
            over_kept,
            (TOKENS, LABELS.clone().index_put((torch.tensor(0), torch.tensor(1)), torch.tensor(7))),
            SPACE,
        )


def bits(z: Tensor, y: Tensor) -> Tensor:
    return (torch.logaddexp(z, torch.zeros_like(z)) - y * z).mean()


def steps_up(z: Tensor, y: Tensor) -> Tensor:
    return (y[:, None] > torch.arange(z.shape[1])).to(z)


BITS = (torch.rand(N, 3, generator=DRAWS) < 0.5).float()
SOFT = torch.softmax(torch.randn(N, 3, generator=DRAWS), 1)
ORDERED = torch.randint(0, 4, (N,), generator=DRAWS)
REALS = torch.randn(N, 3, generator=DRAWS)


@pytest.mark.sampled(6)
@pytest.mark.parametrize(
    ("space", "y", "left", "right", "relation"),
    [
        ("multilabel(3)", BITS, nn.BCEWithLogitsLoss(), bits, "equal"),
        ("multilabel(3)", BITS, nn.BCEWithLogitsLoss(), lambda z, y: 3 * bits(z, y), "scaled"),
        ("multilabel(3)", BITS, nn.BCEWithLogitsLoss(), lambda z, y: bits(z, y.flip(1)), "different"),
        ("simplex(3)", SOFT, nn.CrossEntropyLoss(), lambda z, y: -(y * torch.log_softmax(z, 1)).sum(1), "equal"),
        ("simplex(3)", SOFT, nn.CrossEntropyLoss(),
         lambda z, y: F.kl_div(torch.log_softmax(z, 1), y, reduction="batchmean"), "shifted"),
        ("simplex(3)", SOFT, nn.CrossEntropyLoss(), lambda z, y: F.cross_entropy(z, y.argmax(1)), "different"),
        ("ordinal(4)", ORDERED, lambda z, y: F.binary_cross_entropy_with_logits(z, steps_up(z, y)),
         lambda z, y: bits(z, steps_up(z, y)), "equal"),
        ("ordinal(4)", ORDERED, lambda z, y: bits(z, steps_up(z, y)), lambda z, y: bits(z, steps_up(z, y - 1)), "different"),
        ("real(3)", REALS, nn.MSELoss(), lambda z, y: (z - y).square().sum(1), "scaled"),
        ("real(3)", REALS, nn.MSELoss(), nn.SmoothL1Loss(), "different"),
    ],
)  # fmt: skip
def test_targets_of_several_numbers(space: str, y: Tensor, left: Any, right: Any, relation: str) -> None:
    assert run(left, right, (X, y), space, partial(nn.Linear, 5, 3)).relation in (
        relation,
        "bitwise" * (relation == "equal"),
    )


@pytest.mark.parametrize(
    ("space", "y", "words"),
    [
        ("simplex(3)", 2 * SOFT, "row 0 holds"), ("simplex(3)", SOFT.masked_fill(SOFT < 0.2, torch.nan), "row"),
        ("multilabel(3)", REALS, "row 0, position 0 holds"), ("ordinal(4)", ORDERED + 1, "holds 4.0"),
        ("real(2)", REALS, "needs 2 numbers on the last axis"),
    ],
)  # fmt: skip
def test_targets_outside_such_a_space_are_told_by_their_place(space: str, y: Tensor, words: str) -> None:
    with pytest.raises(DataError, match=words):
        from_arrays(X, y, space)


@pytest.mark.parametrize(
    ("text", "words"),
    [("real(2, ignore=-1)", "only labels can be ignored"), ("binary(3)", "with K ≥ 2"), ("classes(3, axis=2)", "1 to 1"),
     ("classes(3, axes=1)", "unknown target space"), ("ordinal(2, axis=1)", "one raw output per position")],
)  # fmt: skip
def test_options_that_a_space_cannot_have(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TargetSpace.parse(text)
    assert str(TargetSpace.parse(" classes( 7 , ignore = -1 ,axis=1) ")) == "classes(7, ignore=-1, axis=1)"


WEIGHT = 0.1 + torch.rand(N, generator=DRAWS)
Y = (torch.rand(N, generator=DRAWS) < 0.5).float()


def weighted(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    return (weight * F.binary_cross_entropy_with_logits(z, y, reduction="none")).mean()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("right", "relation"),
    [
        (lambda z, y, weight: F.binary_cross_entropy_with_logits(z, y, weight=weight), ("bitwise", "equal")),
        (lambda z, y, **more: weighted(z, y, more["weight"]), ("bitwise", "equal")),
        (lambda z, y, weight: weighted(z, y, weight / weight.sum()), ("different",)),
        (lambda z, y, weight: weighted(z, y, weight.square()), ("different",)),
        (lambda z, y: F.binary_cross_entropy_with_logits(z, y), ("different",)),
    ],
)
def test_a_loss_is_given_the_extras_that_it_has_a_parameter_for(right: Any, relation: tuple[str, ...]) -> None:
    found = run(weighted, right, (X, Y, {"weight": WEIGHT, "unused": WEIGHT}), "binary", partial(nn.Linear, 5, 1))
    assert found.relation in relation, found.sentence


@pytest.mark.rest
def test_a_mask_goes_with_the_labels_that_it_masks() -> None:
    def by_mask(z: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        return (each(z, y) * mask).sum() / mask.sum()

    found = run(flattened, by_mask, (TOKENS, LABELS, {"mask": LABELS != -100}), SPACE)
    assert found.relation in ("bitwise", "equal"), found.sentence
    assert run(flattened, by_mask, (TOKENS, LABELS, {"mask": LABELS != 1}), SPACE).relation == "different"


@pytest.mark.parametrize(
    ("extras", "words"),
    [({}, "it needs weight beside output and target"), ({"weights": WEIGHT}, "they have weights"),
     ({"weight": WEIGHT[:3]}, r"has shape \(3,\); one entry for each of the 33 rows"),
     ({"weight": WEIGHT / 0}, "is not finite in row 0"), ({"weight": None}, "must hold numbers")],
)  # fmt: skip
def test_extras_that_do_not_fit(extras: Mapping[str, Any], words: str) -> None:
    with pytest.raises((ConfigError, DataError), match=words):
        run(weighted, weighted, (X, Y, extras), "binary", partial(nn.Linear, 5, 1))


def test_what_a_loss_takes_is_read_off_its_signature() -> None:
    def any_of_them(z: Tensor, y: Tensor, **rest: Tensor) -> Tensor:
        return z - y + rest["some"]

    def with_defaults(z: Tensor, y: Tensor, gamma: float = 2.0, *, mask: Tensor | None = None) -> Tensor:
        return z * gamma - y if mask is None else z * mask

    assert extras_taken(weighted) == extras_needed(weighted) == {"weight"}
    assert extras_taken(any_of_them) is None
    assert extras_needed(any_of_them) == extras_needed(with_defaults) == extras_taken(nn.CrossEntropyLoss()) == set()
    assert extras_taken(with_defaults) == {"gamma", "mask"}


def test_points_are_asked_as_rows_that_hold_them_at_every_position() -> None:
    space, points, labels = TargetSpace.parse(SPACE), torch.randn(6, K, dtype=torch.float64), torch.arange(6) % K
    alone = row_by_row(Objective.of(over_kept, space), points, labels)
    layout = layout_of((LONGEST + 1,), {}, LABELS)
    spread = row_by_row(Objective.of(over_kept, space).over(layout), points, labels)
    assert layout.positions == (LONGEST,)
    assert all(
        torch.allclose(one, other, rtol=1e-13, atol=1e-15) for one, other in zip(alone[:2], spread[:2], strict=True)
    )

    def every_second(z: Tensor, y: Tensor) -> Tensor:
        return each(z, y)[:, ::2].mean()

    assert torch.allclose(
        row_by_row(Objective.of(every_second, space).over(layout), points, labels)[1], alone[1], rtol=1e-12
    )


def test_a_loss_that_answers_in_another_shape_is_told_which_ones_there_are() -> None:
    with pytest.raises(
        ConfigError, match=r"returned shape \(\d+, 3\) .* one value per position \(\d+, 5\) or a scalar"
    ):
        run(flattened, lambda z, y: each(z, y)[:, :3], (TOKENS, LABELS), SPACE)
