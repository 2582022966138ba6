"""What a process imports before it answers: counted, since a count of modules is the same on every machine and a time is not."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from app_cases import ROOT
from torch import Tensor, nn

from mlnn.auditing.slopes import STEPS, slope_and_value, step_by_step, steps
from mlnn.training.descent import SGD

SLOW = (
    "hydra", "jinja2", "joblib", "matplotlib", "pandas", "plotly", "scipy.integrate", "scipy.optimize", "scipy.stats", "sklearn",
    "statsmodels", "sympy", "torch._dynamo", "torch._inductor",
)  # fmt: skip
"""Packages of a tenth of a second to two that a first answer can do without."""
FIRST = """
import json, sys
import torch
import mlnn

def loss(output, target):
    return torch.nn.functional.softplus(output) - output * target

def step(model, batch):
    return loss(model(batch[0])[:, 0], batch[1]).mean()

def told(what):
    print(json.dumps([what, [name for name in sys.argv[1:] if name in sys.modules]]))

framework = torch.nn.functional.binary_cross_entropy_with_logits
told("torch")
assert mlnn.audit(framework).kind == "likelihood"
told("audit")
from mlnn.testing import assert_same_objective, assert_same_step
assert_same_objective(framework, loss, require="indistinguishable")
told("gate of objectives")
batches = [(torch.randn(8, 3), torch.ones(8)) for _ in range(3)]
assert_same_step(lambda: torch.nn.Linear(3, 1), step, step, batches)
told("gate of steps")
torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)
told("optimiser")
"""
WRONG = """
import json, sys
from mlnn.cli.app import start
words = (["--help"], ["compare", "--help"], ["compare", "steps=-3"], ["compare", "stepz=3"], ["compare", "model=mpl"], ["comprae"],
         ["compare", "--comprae"], ["compare", "steps"])
codes = [start(first, rest) for first, *rest in words]
print(json.dumps([codes, [name for name in ("torch", "numpy", "scipy", "plotly", "unittest.mock") if name in sys.modules]]))
"""


def lines_of(code: str, *arguments: str) -> list[str]:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout.splitlines()


@pytest.mark.rest
def test_a_first_audit_and_a_first_gate_import_no_more_than_they_need() -> None:
    found = dict(map(json.loads, lines_of(FIRST, *SLOW)))
    assert [found[what] for what in ("torch", "audit", "gate of objectives", "gate of steps")] == [[], [], [], []]
    assert "torch._dynamo" in found["optimiser"], (
        "torch imports its compiler no more: mlnn.training.descent has nothing to save"
    )


def test_help_and_what_is_wrong_with_a_command_line_need_no_torch() -> None:
    codes, found = json.loads(lines_of(WRONG)[-1])
    assert codes == [0, 0, 2, 2, 2, 2, 2, 2]
    assert found == []


def _branches(output: Tensor, target: Tensor) -> Tensor:
    return (output * target if output.requires_grad else output).sum()


@pytest.mark.parametrize(
    ("row", "outputs"),
    [
        (lambda z, y: nn.functional.binary_cross_entropy_with_logits(z, y), 1),
        (lambda z, y: nn.functional.huber_loss(z, y), 1),
        (lambda z, y: nn.functional.cross_entropy(z[None], (y > 0).long()[None]), 3),
        (lambda z, y: torch.relu(1 - z * y).sum(), 1),
        (lambda z, y: y.sum() + 0 * z.detach().sum(), 1),
        (lambda z, _: torch.logsumexp(z, 0).exp() - torch.linalg.norm(z), 3),
        (_branches, 1),
    ],
)
def test_slopes_without_the_compiler_are_torchs_bit_for_bit(row: Callable[..., Tensor], outputs: int) -> None:
    draws = torch.Generator().manual_seed(0)
    output = 20 * torch.randn(64, *([outputs] if outputs > 1 else []), generator=draws, dtype=torch.float64)
    target = torch.rand(64, generator=draws, dtype=torch.float64).round()
    asked, torchs = (torch.func.vmap(each(row))(output, target) for each in (step_by_step, torch.func.grad_and_value))
    for mine, theirs in zip(asked, torchs, strict=True):
        assert mine.dtype == theirs.dtype
        assert not mine.requires_grad
        assert torch.equal(mine.view(torch.int64), theirs.view(torch.int64))


def test_slopes_are_torchs_own_where_its_compiler_is_there_or_its_names_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def own() -> bool:
        return slope_and_value(_branches).__qualname__ != torch.func.grad_and_value(_branches).__qualname__

    monkeypatch.setitem(sys.modules, "torch._dynamo", torch._dynamo)
    assert not own()
    monkeypatch.delitem(sys.modules, "torch._dynamo")
    assert own()
    monkeypatch.delattr(steps, STEPS[-1])
    assert not own()


@pytest.mark.parametrize("fused", [None, True])
def test_descent_takes_torchs_step_bit_for_bit(fused: bool | None) -> None:
    draws = torch.Generator().manual_seed(0)
    first = [torch.randn(size, generator=draws) for size in (7, 31)]
    slopes = [[torch.randn(len(one), generator=draws) for one in first] for _ in range(5)]
    ends = []
    for kind in (SGD, torch.optim.SGD):
        weights = [nn.Parameter(one.clone()) for one in [*first, torch.ones(3)]]  # the last one never has a gradient
        made = kind([{"params": weights[:1]}, {"params": weights[1:], "lr": 0.3}], lr=0.1)
        for group in made.param_groups:
            group["fused"] = fused
        for gradients in slopes:
            for weight, slope in zip(weights, gradients, strict=False):
                weight.grad = slope.clone()
            made.step()
        ends.append(torch.cat([weight.detach() for weight in weights]))
    assert torch.equal(*ends)
    assert not torch.equal(ends[0][:7], first[0])


def test_descent_is_what_torch_would_have_made() -> None:
    weight = nn.Parameter(torch.ones(3))
    mine, theirs = SGD([weight], lr=0.1), torch.optim.SGD([weight], lr=0.1)
    assert mine.param_groups == theirs.param_groups
    assert mine.defaults == theirs.defaults
    assert (type(mine).__name__, mine.state) == ("SGD", {})
    calls: list[object] = []
    mine.register_step_pre_hook(lambda *_: calls.append("hook"))
    mine.step()
    assert calls == ["hook"]
    with pytest.raises(ValueError, match="empty parameter list"):
        SGD([], lr=0.1)
