"""Where an audit turns from one answer to the next, asked of whole losses: what lies between rounding and a real difference."""

import math
from typing import Any

import pytest
import torch
from test_audit_constants import ALONG, Function, V, asked, squared
from torch.nn import functional

import mlnn
from mlnn import objectives as o
from mlnn.auditing import location
from mlnn.auditing.finite import examine_finite
from mlnn.auditing.location import examine_location


@pytest.mark.parametrize(
    ("share", "kind"), [(0.0, "likelihood"), (1e-8, "undecided"), (1e-5, "proper"), (1e-2, "proper")]
)
def test_a_loss_beside_a_likelihood_is_none_as_soon_as_it_is_seen(share: float, kind: str) -> None:
    """Brier's score asks for the same probabilities, and is none of their logarithms."""
    loss = asked(lambda f, y: o.bce_with_logits(f, y) + share * o.brier(f, y), "binary")
    assert examine_finite(loss).kind == kind


def test_a_location_family_is_held_to_its_formula_where_what_moves_with_the_output_is_known() -> None:
    line = torch.tensor([-1.3, 0.4, 2.2], dtype=torch.float64)
    known = examine_location(asked(lambda f, y: squared(f, y) + 0.3 * y))
    assert known is not None
    assert known.reference is not None
    value, slope = known.reference(torch.full_like(line, 0.5), line)
    assert value.tolist() == pytest.approx(((line - 0.5) ** 2 / 2 + 0.3 * line).tolist())
    assert slope.tolist() == pytest.approx((0.5 - line).tolist())
    unknown = examine_location(asked(lambda f, y: squared(f, y) + 0.3 * torch.sin(3 * y)))
    assert unknown is not None
    assert unknown.reference is None, "what is told by moving outputs would be compared with itself"
    assert math.isfinite(unknown.residual or 0.0)


@pytest.mark.parametrize(("undefined", "alone"), [
    (lambda _f, r: r.abs() > 1.5, True), (lambda _f, r: r.abs() > 0.7, False),
    (lambda f, r: (f > 0.3) & (r > 0.4) & (r < 0.6), False),
    (lambda _f, r: (r > 0.4) & (r < 0.6), True),
])  # fmt: skip
def test_gradients_must_be_there_at_most_residuals_and_at_all_outputs_alike(undefined: Function, alone: bool) -> None:
    loss = asked(lambda f, y: squared(f, y) * torch.where(undefined(f.detach(), (y - f).detach()), math.nan, 1.0))
    assert ALONG is not None
    assert location._form(loss, ALONG, V)[0] == alone


@pytest.mark.parametrize(
    ("loss", "share"),
    [
        (lambda z, y: (z - y) ** 2, (0.8, 0.95)),  # read as f, which is a probability on [0, 1] alone
        (lambda z, y: functional.binary_cross_entropy_with_logits(z, 0.8 * y + 0.1, reduction="none"), (0.3, 0.6)),
        (lambda z, y: (torch.sigmoid(z) - y) ** 2, (0.0, 0.0)),
    ],
)
def test_the_share_of_outputs_that_no_probability_is_read_off_is_told(loss: Any, share: tuple[float, float]) -> None:
    assert share[0] <= mlnn.audit(loss, targets="binary").unreachable <= share[1]


@pytest.mark.parametrize("targets", ["multilabel(3)", "simplex(3)", "real(2)"])
def test_targets_of_several_numbers_are_refused_with_what_to_audit_instead(targets: str) -> None:
    with pytest.raises(mlnn.errors.ConfigError, match="an audit looks at losses of one; audit what"):
        mlnn.audit(lambda z, y: (z - y) ** 2, targets=targets)
