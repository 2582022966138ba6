"""Noting a step changes no bit of it, and leaves torch's stack of modes as it should be."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _get_current_dispatch_mode,
    _get_current_dispatch_mode_stack,
    is_in_torch_dispatch_mode,
)

from mlnn.lifting.leading import NotLiftedError, led_by
from mlnn.lifting.slicing import sliced
from mlnn.lifting.tracing import Trace

X, Y = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 1, 1, 0])


class Other(TorchDispatchMode):
    """Somebody else's mode, which counts."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return function(*args, **(kwargs or {}))


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        attention = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        return nn.Sequential(
            nn.Linear(5, 8), nn.Unflatten(0, (2, 3)), attention, nn.Flatten(0, 1), nn.BatchNorm1d(8), nn.Linear(8, 3)
        )


@contextmanager
def noted(trace: Trace | None) -> Iterator[None]:
    if trace is not None:
        trace.start()
    try:
        yield
    finally:
        if trace is not None:
            trace.stop()


@pytest.mark.parametrize("autocast", [False, True])
def test_a_training_has_the_same_bits_noted_or_not(autocast: bool) -> None:
    found = []
    for watched in (False, True):
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        torch.manual_seed(3)
        for _ in range(3):
            trace = Trace() if watched else None
            with noted(trace), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                output = model(X)
                if trace is not None:
                    trace.gave(output)
                loss = F.cross_entropy(output, Y)
            if trace is not None:
                assert trace.reason is None
                assert sliced(trace, {"output": output}, loss).outputs[0].value.dtype == output.dtype
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        found.append(torch.cat([part.reshape(-1).double() for part in model.state_dict().values()]))
    assert torch.equal(*found)


def lifted_by_hand(loss: Any) -> tuple[Trace, Any]:
    trace, model = Trace(), nn.Linear(5, 3)
    trace.start()
    output = model(X)
    trace.gave(output)
    value = loss(output)
    trace.stop()
    return trace, value


def test_a_mode_that_came_and_went_is_no_matter() -> None:
    def loss(output: Tensor) -> Tensor:
        with Other() as other:
            found = F.cross_entropy(output, Y)
        assert other.count > 0
        return found

    trace, value = lifted_by_hand(loss)
    assert trace.reason is None
    assert _get_current_dispatch_mode() is None
    assert torch.equal(sliced(trace, trace.returned.tensors, value)(*trace.returned.tensors.values()), value)


def test_a_mode_that_is_at_work_yet_is_left_at_work() -> None:
    trace, other, model = Trace(), Other(), nn.Linear(5, 3)
    trace.start()
    output = model(X)
    with other:
        value = F.cross_entropy(output, Y)
        trace.stop()
        trace.stop()
        assert _get_current_dispatch_mode_stack() == [other]
        count = other.count
        torch.ones(2)
        assert other.count == count + 1
        with pytest.raises(
            NotLiftedError, match=r"another dispatch mode of torch \(Other\) was at work around the loss"
        ):
            sliced(trace, {"output": output}, value)
    assert _get_current_dispatch_mode_stack() == []
    assert not is_in_torch_dispatch_mode()


def test_inside_of_another_mode_nothing_is_begun() -> None:
    trace = Trace()
    with Other():
        trace.start()
        assert len(_get_current_dispatch_mode_stack()) == 1
    trace.stop()
    assert trace.reason is not None
    assert _get_current_dispatch_mode_stack() == []


def test_an_error_of_the_code_that_is_noted_is_that_of_the_code() -> None:
    trace = Trace()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), noted(trace):
        nn.Linear(5, 3)(torch.ones(2, 4))
    assert _get_current_dispatch_mode_stack() == []


def written_targets(output: Tensor) -> Tensor:
    labels = Y.clone()
    labels[labels == 2] = -100
    return F.cross_entropy(output, labels)


def by_out(output: Tensor) -> Tensor:
    mask = torch.empty(6, dtype=torch.bool).fill_(False)
    torch.ne(Y, 2, out=mask)
    return F.cross_entropy(output[mask], Y[mask])


def by_parts(output: Tensor) -> Tensor:
    first, rest = output.split([1, 2], 1)
    both = torch.cat([rest, first], 1)
    both[:, 0].mul_(2)
    both.add_(output.detach() * 0.1)
    return F.cross_entropy(both, Y)


@pytest.mark.parametrize("loss", [written_targets, by_out, by_parts])
def test_views_and_writes_are_followed(loss: Any) -> None:
    trace, value = lifted_by_hand(loss)
    (output,) = trace.returned.tensors.values()
    if loss is by_out:
        with pytest.raises(NotLiftedError, match=r"aten\.empty"):
            sliced(trace, trace.returned.tensors, value)
        return
    found = sliced(trace, trace.returned.tensors, value)
    asked = output.detach().clone().requires_grad_()
    again = found(asked)
    assert torch.equal(again, value)
    one, two = torch.autograd.grad(again, asked)[0], torch.autograd.grad(value, output)[0]
    assert torch.equal(one, two)


def test_what_was_written_into_before_the_loss_enters_as_it_was() -> None:
    model, trace, labels = nn.Linear(5, 3), Trace(), Y.clone()
    with noted(trace):
        output = model(X)
        trace.gave(output)
        value = F.cross_entropy(output, labels)
        labels.zero_()
        output.detach().zero_()
    found = sliced(trace, {"output": output}, value, {id(labels): "labels"})
    assert torch.equal(found.constants[0].value, Y)
    assert found.constants[0].name == "labels"
    assert bool(found.outputs[0].value.any())


def test_what_was_written_into_unseen_is_refused() -> None:
    model, trace, labels = nn.Linear(5, 3), Trace(), Y.clone()
    with noted(trace):
        output = model(X)
        trace.gave(output)
        value = F.cross_entropy(output, labels)
    labels.zero_()
    with pytest.raises(NotLiftedError, match="written into where it was not seen"):
        sliced(trace, {"output": output}, value)


def test_a_loss_that_was_not_seen_or_is_none_is_refused() -> None:
    model, trace = nn.Linear(5, 3), Trace()
    with noted(trace):
        output = model(X)
        trace.gave(output)
    late = F.cross_entropy(output, Y)
    with pytest.raises(NotLiftedError, match="where it was not seen"):
        sliced(trace, {"output": output}, late)
    with pytest.raises(NotLiftedError, match="no scalar"):
        sliced(trace, {"output": output}, output)


def test_of_what_a_model_returned_the_logits_are_the_raw_output() -> None:
    model, head, trace = nn.Linear(5, 4), nn.Linear(4, 3), Trace()
    with noted(trace):
        hidden = model(X)
        logits = head(hidden)
        trace.gave({"loss": logits.sum(), "hidden": hidden, "logits": logits.view(2, 3, 3), "steps": torch.tensor(3)})
        value = F.cross_entropy(logits, Y) + 0.1 * hidden.square().mean()
    assert trace.returned.tensors.keys() == {"loss", "hidden", "logits"}
    raw = led_by(trace, trace.returned.tensors, value)
    assert list(raw) == ["logits"]
    found = sliced(trace, raw, value)
    assert [tuple(entry.value.shape) for entry in found.outputs] == [(6, 3)], "what the returned one is a view of"
    assert "another way" in found.notes[0]
