"""What training asks of the user's own parts, each at its door: modules, their answers, and optimisers."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlnn.errors import ConfigError
from mlnn.targets import TargetSpace
from mlnn.training.descent import SETTINGS, SGD
from mlnn.training.module import check_output, guard, made_module, raw_output, squeezed
from mlnn.training.optimizers import learning_rate, made_optimizer, rates, settings_apart, wants_closure

Y = torch.zeros(3)
SPACE = TargetSpace.parse


@pytest.mark.parametrize(
    ("what", "given", "problem", "said"),
    [
        ("objective 'f'", Y, IndexError("no"), True),
        ("objective 'f'", Y, ValueError("no"), False),
        ("objective 'f'", torch.zeros(3, 2), IndexError("no"), False),
        ("model", Y, IndexError("no"), False),
        ("objective 'f'", 3, IndexError("no"), False),
    ],
)
def test_several_raw_outputs_are_spoken_of_where_a_single_one_was_given(
    what: str, given: Any, problem: Exception, said: bool
) -> None:
    def raises(_: object) -> None:
        raise problem

    with pytest.raises(ConfigError) as told:
        guard(what, raises, given)
    assert str(told.value).startswith(f"{what} raised {type(problem).__name__}")
    assert ("real(raw=2)" in str(told.value)) is said


def sparse() -> nn.Module:
    model = nn.Linear(2, 1)
    model.weight = nn.Parameter(torch.eye(2).to_sparse())
    return model


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (lambda: 3, "the factory returned int, not an nn.Module"),
        (lambda: nn.Linear(2, 1, device="meta"), "on the device 'meta'"),
        (lambda: nn.Linear(2, 1, dtype=torch.complex64), "'weight' of Linear is complex"),
        (sparse, "'weight' of Linear is sparse"),
    ],
)
def test_what_is_no_module_of_real_dense_weights_is_refused(factory: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        made_module(factory, torch.zeros(2, 2), 0)
    assert isinstance(made_module(lambda: nn.Linear(2, 1), torch.zeros(2, 2), 0), nn.Linear)


class Half(nn.Module):
    """A part that is lazy beside one of another precision, and one that is never called."""

    def __init__(self, idle: bool) -> None:
        super().__init__()
        self.head, self.lazy = nn.Linear(2, 3, dtype=torch.float64), nn.LazyLinear(1, dtype=torch.float64)
        self.idle = nn.LazyLinear(1) if idle else nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lazy(self.head(x))
        return out


def test_lazy_parts_are_made_in_the_precision_of_the_others() -> None:
    model: Any = made_module(lambda: Half(False), torch.zeros(2, 2), 0)
    assert model.lazy.weight.shape == (1, 3)
    assert model.idle.training
    with pytest.raises(ConfigError, match="'idle' is lazy and was not made by a first batch"):
        made_module(lambda: Half(True), torch.zeros(2, 2), 0)


Z = torch.tensor([[1.0], [2.0]])


@pytest.mark.parametrize(
    "answer", [Z, {"logits": Z, "loss": 3}, SimpleNamespace(logits=Z), SimpleNamespace(logits=Z, loss=Z.sum())]
)
def test_raw_outputs_are_the_answer_or_its_logits(answer: Any) -> None:
    assert raw_output(lambda _: answer, Z) is Z


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((Z, Z), "returned tuple of 2 entries"),
        ({"logits": 3}, "returned dict of 1 entries"),
        (SimpleNamespace(logits=[1]), "returned SimpleNamespace;"),
        (None, "returned NoneType;"),
        (Z.long(), "its output is of dtype int64"),
        (Z.to(torch.complex64), "its output is complex"),
        (Z.to_sparse(), "its output is sparse"),
    ],
)
def test_an_answer_that_is_no_raw_output_is_refused(answer: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        raw_output(lambda _: answer, Z)


def one(a: Tensor, b: Any = None) -> Tensor:
    return a if b is None else a + b


@pytest.mark.parametrize(
    ("model", "x", "found"),
    [
        (one, Z, Z),
        (one, {"a": Z, "c": Z}, Z),
        (one, {"b": Z, "a": Z}, 2 * Z),
        (one, {"ids": Z, "word": "x"}, Z),  # the only tensor
        (lambda **named: named["ids"] + named["more"], {"ids": Z, "more": Z}, 2 * Z),
    ],
)
def test_inputs_by_name_go_where_they_are_named(model: Callable[..., Any], x: Any, found: Tensor) -> None:
    assert torch.equal(raw_output(model, x), found)


def test_inputs_of_which_none_is_named_alike_are_refused() -> None:
    with pytest.raises(ConfigError, match="the batch has ids, mask and forward takes a, b; name them alike"):
        raw_output(one, {"ids": Z, "mask": Z})


@pytest.mark.parametrize(
    ("space", "positions", "shape", "found"),
    [
        ("binary", (), (5, 1), (5,)),
        ("binary", (), (5,), (5,)),
        ("binary", (), (5, 2), (5, 2)),
        ("binary", (), (5, 1, 1), (5, 1, 1)),
        ("binary", (1,), (5, 1), (5, 1)),
        ("binary", (1,), (5, 1, 1), (5, 1)),
        ("binary", (4,), (5, 4, 1), (5, 4)),
        ("classes(3)", (), (5, 3), (5, 3)),
        ("classes(3, axis=1)", (4,), (5, 3, 4), (5, 4, 3)),
    ],
)
def test_the_axis_of_a_single_output_is_dropped(space: str, positions: Any, shape: Any, found: Any) -> None:
    assert squeezed(torch.zeros(shape), SPACE(space), positions).shape == found


@pytest.mark.parametrize(
    ("space", "target", "shape", "words"),
    [
        ("binary", (5,), (5,), None),
        ("binary", (5,), (5, 2), r"\(5, 2\) for 5 rows and targets 'binary'; \(5,\) or \(5, 1\) is needed \(if"),
        ("real", (5,), (5, 2), r"\(5,\) or \(5, 1\) is needed \(if the loss reads 2 raw outputs .*'real\(raw=2\)'"),
        ("real", (5,), (4, 2), r"\(5,\) or \(5, 1\) is needed$"),
        ("real", (5, 4), (5, 4, 3), r"5 rows of 4 positions .* needed \(if the loss reads 3"),
        ("real", (5, 4), (5, 3), r"\(5, 4\) or \(5, 4, 1\) is needed$"),
        ("real(2)", (5, 2), (5, 3), r"\(5, 2\) is needed$"),
        ("classes(3)", (5,), (5, 3), None),
        ("classes(3)", (5,), (5, 2), r"for 5 rows .*; \(5, 3\) is needed \(if"),
        ("classes(3, axis=1)", (5, 4), (5, 4, 2), r"shape \(5, 2, 4\) .*; \(5, 3, 4\) is needed \(if"),
    ],
)
def test_a_raw_output_fits_its_targets(space: str, target: Any, shape: Any, words: str | None) -> None:
    held = torch.zeros(target, dtype=torch.int64 if "classes" in space else torch.float32)
    if words is None:
        check_output(torch.zeros(shape), held, SPACE(space))
    else:
        with pytest.raises(ConfigError, match=words):
            check_output(torch.zeros(shape), held, SPACE(space))


WEIGHTS = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(1))]


def made(factory: Any, module: Any = None) -> Any:
    return made_optimizer(SimpleNamespace(optimizer=factory), module, WEIGHTS)  # type: ignore[arg-type]


def test_an_optimiser_is_made_of_the_weights_or_of_the_model() -> None:
    def by_model(model: Any) -> SGD:
        return SGD(model.own, 0.1)

    def by_model_last(*rest: Any, model: Any = None) -> SGD:
        return SGD(rest[0].own if rest else model.own, 0.1)

    assert made(lambda weights: SGD(weights, 0.1)).param_groups[0]["params"] == WEIGHTS
    for factory in (by_model, by_model_last):
        assert made(factory, SimpleNamespace(own=WEIGHTS)).param_groups[0]["params"] == WEIGHTS
    with pytest.raises(ConfigError, match=r"returned int, not a torch\.optim\.Optimizer"):
        made(lambda _: 3)
    with pytest.raises(ConfigError, match="of other weights than those it was given"):
        made(lambda weights: SGD([weights[0], nn.Parameter(torch.ones(2))], 0.1))


class Asking(SGD):
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """It may ask again."""


@pytest.mark.parametrize(
    ("kind", "wants"), [(torch.optim.SGD, False), (torch.optim.LBFGS, True), (Asking, True), (SGD, False)]
)
def test_an_optimiser_is_given_the_loss_to_ask_again_where_it_may(kind: Any, wants: bool) -> None:
    assert wants_closure(kind.__new__(kind)) is wants


def groups(*settings: dict[str, Any]) -> Any:
    return SimpleNamespace(param_groups=[{"params": [object()], **own} for own in settings])


@pytest.mark.parametrize(
    ("left", "right", "apart", "told"),
    [
        ([{"lr": 0.1}], [{"lr": 0.1}], None, (0.1, 0.1)),
        ([{"lr": 0.1}], [{"lr": 0.2}], "lr is 0.1 on the left, 0.2 on the right", (0.1, 0.2)),
        ([{"lr": 0.1, "own": 1}], [{"lr": 0.1, "other": 2}], None, (0.1, 0.1)),
        ([{"lr": 0.1}], [{"lr": 0.1}] * 2, "1 parameter groups on the left, 2 on the right", (0.1, 0.1)),
        ([{"lr": 0.1}] * 2, [{"lr": 0.1}, {"lr": 0.3}], "lr of parameter group 1 is 0.1 on the left, 0.3", None),
        ([{}], [{"lr": 0.1}], None, None),
        ([{"lr": 0.1}], [{}], None, None),
    ],
)
def test_settings_of_two_optimisers(left: Any, right: Any, apart: str | None, told: Any) -> None:
    found = settings_apart(groups(*left), groups(*right))
    assert found is None if apart is None else found is not None and found.startswith(apart)
    assert rates(groups(*left), groups(*right)) == told
    assert learning_rate(groups({"lr": 0.1}, {})) is None


def test_torchs_gradient_descent_made_without_its_compiler_has_its_settings() -> None:
    assert SETTINGS["momentum"] == 0
    assert "params" not in SETTINGS
    with pytest.raises(ValueError, match="empty parameter list"):
        SGD([], 0.1)
    assert SGD(WEIGHTS, 0.1).param_groups[0]["lr"] == 0.1
