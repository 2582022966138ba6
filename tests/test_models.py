"""One battery over every YAML in configs/model; then closed forms, and the sizes that are refused."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from mlnn import models
from mlnn.errors import ConfigError
from mlnn.models import layers

CONFIGS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "configs" / "model").glob("*.yaml"))}
SHAPES = [(5,), (4, 3), (1, 8, 8), (2, 5, 3), (1, 2, 1)]
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
ROWS = 6


def build(config: str, shape: tuple[int, ...], outputs: int = 3, seed: int = 0, **sizes: object) -> nn.Module:
    """What the app does: the factory from the YAML, called once the weights' seed is set; float64."""
    factory = instantiate(OmegaConf.load(CONFIGS[config]), **sizes)
    torch.manual_seed(seed)
    return factory(input_shape=shape, outputs=outputs).double()


def rows(shape: tuple[int, ...], seed: int = 1) -> Tensor:
    return torch.randn(ROWS, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fits(config: str, shape: tuple[int, ...]) -> bool:
    try:
        build(config, shape)
    except ConfigError:
        if len(shape) == 3:  # images fit every model
            raise
        return False
    return True


CASES = [(config, shape) for config in CONFIGS for shape in SHAPES if fits(config, shape)]
every_case = pytest.mark.parametrize(("config", "shape"), CASES, ids=str)


def objective(model: nn.Module, x: Tensor) -> Tensor:
    """A smooth scalar of the outputs in which each output and each row has its own weight."""
    output = model(x)
    weights = torch.linspace(0.5, 1.5, output.numel(), dtype=output.dtype).reshape(output.shape)
    return (weights * output * (1 + output)).sum()


def check_output(model: nn.Module, x: Tensor, outputs: int = 3) -> None:
    """Shape and dtype of the output; finite output and gradients; every weight has a gradient that is not all zero."""
    output = model(x)
    assert output.shape == (len(x), outputs)
    assert output.dtype == x.dtype
    assert torch.isfinite(output).all()
    objective(model, x).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.any(), name


def check_raw(model: nn.Module, x: Tensor) -> None:
    """No link at the end: 128 times the weights of the last linear layer give exactly 128 times the output."""
    *_, last = [module for module in model.modules() if isinstance(module, nn.Linear | models.Free)]
    before = model(x).detach().clone()
    with torch.no_grad():
        for weight in last.parameters():
            weight.mul_(128)  # a power of two: no rounding
    assert torch.equal(model(x), 128 * before)


def check_gradient(model: nn.Module, x: Tensor) -> None:
    """Gradient of each weight tensor along a random direction against a central difference (no kinks, please)."""
    model.zero_grad()
    objective(model, x).backward()
    draws, step = torch.Generator().manual_seed(2), 1e-6
    for name, weight in model.named_parameters():
        direction = torch.randn(weight.shape, generator=draws, dtype=weight.dtype)
        values = []
        with torch.no_grad():
            for move in (step, -2 * step, step):
                weight.add_(direction, alpha=move)
                values.append(objective(model, x).item())
        found, expected = (weight.grad * direction).sum().item(), (values[0] - values[1]) / (2 * step)
        # It errs by rounding/step (1e-9) and step² × third derivative (1e-7 of 5: batch norm over 6 values).
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-7), name


def check_rows_independent(model: nn.Module, x: Tensor) -> None:
    """In eval mode other rows do not change a row, but for rounding."""
    model.train()(rows(tuple(x.shape[1:]), seed=4))  # batch norm takes up running statistics
    model.eval()
    others = torch.cat([x[:1], 10 * rows(tuple(x.shape[1:]), seed=3)])
    torch.testing.assert_close(model(others)[0], model(x)[0], rtol=1e-12, atol=1e-13)


@pytest.mark.sampled(3)
@every_case
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("outputs", [1, 3])
def test_output_and_gradients(config: str, shape: tuple[int, ...], outputs: int, dtype: torch.dtype) -> None:
    # oneDNN's bfloat16 convolution of stride 2 leaves what was in memory in the gradient of weights that meet padding alone.
    torch._C._set_mkldnn_enabled(dtype != torch.bfloat16)
    try:
        check_output(build(config, shape, outputs).to(dtype), rows(shape).to(dtype), outputs)
    finally:
        torch._C._set_mkldnn_enabled(True)


@every_case
@pytest.mark.parametrize("check", [check_raw, check_rows_independent])
def test_raw_output_and_independent_rows(config: str, shape: tuple[int, ...], check: Callable[..., None]) -> None:
    check(build(config, shape), rows(shape))


@every_case
def test_gradient_is_the_derivative(config: str, shape: tuple[int, ...]) -> None:
    smooth = {"activation": "tanh"} if "activation" in OmegaConf.load(CONFIGS[config]) else {}
    check_gradient(build(config, shape, **smooth), rows(shape))


@every_case
def test_the_seed_decides_the_weights_and_nothing_else_is_random(config: str, shape: tuple[int, ...]) -> None:
    model, again, other = (build(config, shape, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    state = torch.get_rng_state()
    assert torch.equal(model(rows(shape)), again(rows(shape)))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(model(rows(shape)), other(rows(shape)))


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_names_every_size_with_its_default_and_wants_outputs(config: str) -> None:
    node = OmegaConf.to_container(OmegaConf.load(CONFIGS[config]))
    assert node.pop("_partial_") is True
    signature = inspect.signature(get_class(node.pop("_target_")))
    defaults = {name: p.default for name, p in signature.parameters.items() if name not in ("input_shape", "outputs")}
    assert node == defaults
    with pytest.raises(ConfigError, match=r"model\.outputs: must be a whole number ≥ 1, found 0"):
        build(config, (1, 8, 8), outputs=0)


def test_every_model_has_a_config() -> None:
    assert {OmegaConf.load(path)._target_ for path in CONFIGS.values()} >= {f"mlnn.models.{m}" for m in models.__all__}


@pytest.mark.parametrize("config", [name for name in CONFIGS if "dropout" in OmegaConf.load(CONFIGS[name])])
def test_dropout_follows_the_seed_in_training_and_rests_in_eval_mode(config: str) -> None:
    model, x = build(config, (1, 8, 8), dropout=0.5), rows((1, 8, 8))
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(model(x))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(model.eval()(x), build(config, (1, 8, 8)).eval()(x))


class Faulty(nn.Module):
    """A linear model with a planted fault: a function of its linear layer and x."""

    def __init__(self, fault: Callable[[nn.Linear, Tensor], Tensor]) -> None:
        super().__init__()
        self.fault, self.head = fault, nn.Linear(5, 3, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.fault(self.head, x)


FAULTS = {
    "link at the end": (check_raw, lambda head, x: torch.sigmoid(head(x))),
    "wrong gradient": (check_gradient, lambda head, x: head(x) + 1e-4 * head(x).detach()),
    "coupled rows": (check_rows_independent, lambda head, x: head(x) - 1e-10 * head(x).mean(0)),
    "NaN": (check_output, lambda head, x: (-head(x).abs()).log()),
    "one column missing": (check_output, lambda head, x: head(x)[:, :2]),
    "other dtype": (check_output, lambda head, x: head(x).float()),
    "unused bias": (check_output, lambda head, x: x @ head.weight.T),
    "dead weights": (check_output, lambda head, x: 0 * head(x)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_checks_fail_on_a_planted_fault(fault: str) -> None:
    check, planted = FAULTS[fault]
    torch.manual_seed(0)
    check(Faulty(lambda head, x: head(x)), rows((5,)))
    with pytest.raises(AssertionError):
        check(Faulty(planted), rows((5,)))


def test_closed_forms() -> None:
    x, close = rows((5,)), partial(torch.testing.assert_close, rtol=1e-13, atol=1e-13)
    node, logistic, free = (build(config, (5,)) for config in ("sigmoid_node", "logistic", "free"))
    close(node(x), x @ node.head.weight.T)
    close(logistic(x), x @ logistic.head.weight.T + logistic.head.bias)
    assert torch.equal(build("mlp", (5,), depth=0)(x), logistic(x))
    assert torch.equal(free(x), free.constant.expand(ROWS, 3))
    mlp = build("mlp", (5,), depth=1, activation="sigmoid")
    hidden = 1 / (1 + torch.exp(-(x @ mlp.hidden[0][0].weight.T + mlp.hidden[0][0].bias)))
    close(mlp(x), hidden @ mlp.head.weight.T + mlp.head.bias)


@pytest.mark.parametrize("config", ["mlp", "resmlp", "resnet", "transformer"])
def test_residual_blocks_with_silent_branches_are_the_identity(config: str) -> None:
    x, sizes = rows((1, 8, 8)), {"residual": True} if config == "mlp" else {}
    none = {"blocks": 0} if config == "resnet" else {"depth": int(config == "mlp")}  # an MLP's first layer has no skip
    model, bare = build(config, (1, 8, 8), **sizes), build(config, (1, 8, 8), **sizes, **none)
    bare.load_state_dict({name: model.state_dict()[name] for name in bare.state_dict()})
    assert not torch.equal(model(x), bare(x))
    branches = [module.branch for module in model.modules() if isinstance(module, layers.Residual)]
    with torch.no_grad():
        for weight in (weight for branch in branches for weight in branch.parameters()):
            weight.zero_()
    assert torch.equal(model(x), bare(x))


def test_sequences_are_read_row_by_row() -> None:
    image = torch.arange(12.0).reshape(1, 2, 3, 2)  # 2 channels, 3 rows of 2 pixels
    assert layers.as_sequence(image)[0].tolist() == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    assert layers.as_sequence(torch.arange(3.0)[None])[0].tolist() == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("config", "shape", "sizes", "message"),
    [
        ("mlp", (5,), {"depth": -1}, r"model\.depth: must be a whole number ≥ 0, found -1"),
        ("mlp", (5,), {"width": 2.0}, r"model\.width: .* found 2\.0"),
        ("mlp", (5,), {"activation": "rellu", "depth": 0}, r"model\.activation: .*'rellu'\. Did you mean 'relu'"),
        ("mlp", (5,), {"norm": "bach", "depth": 0}, r"model\.norm: .*Did you mean 'batch'"),
        ("mlp", (5,), {"dropout": 1.0}, r"model\.dropout: .* found 1\.0"),
        ("mlp", (5,), {"dropout": float("nan")}, r"model\.dropout: .* found nan"),
        ("mlp", (5,), {"residual": "false "}, r"model\.residual: must be true or false, found 'false '"),
        ("resmlp", (5,), {"activation": "gelo", "depth": 0}, r"model\.activation: .*Did you mean 'gelu'"),
        ("conv", (5,), {}, r"Conv needs images.*found \(5,\);.*model=mlp"),
        ("conv", (1, 8, 8), {"hidden": 0}, r"model\.hidden: .* found 0"),
        ("resnet", (5,), {}, r"ResNet needs images.*found \(5,\)"),
        ("resnet", (1, 8, 8), {"blocks": -1}, r"model\.blocks: .* found -1"),
        ("recurrent", (5,), {"depth": 0}, r"model\.depth: must be a whole number ≥ 1"),
        ("recurrent", (2, 2, 2, 2), {}, r"Recurrent reads .*found rows of shape \(2, 2, 2, 2\)"),
        ("transformer", (5,), {"width": 6}, r"model\.heads: must divide model\.width=6, found 4; 1, 2, 3, 6 do"),
        ("free", (), {}, r"no features"),
    ],
)
def test_bad_sizes_are_refused(config: str, shape: tuple[int, ...], sizes: dict[str, object], message: str) -> None:
    model = get_class(OmegaConf.load(CONFIGS[config])["_target_"])
    with pytest.raises(ConfigError, match=message):
        model(shape, 3, **sizes)
