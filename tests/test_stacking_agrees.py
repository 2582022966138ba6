"""The stacked engine beside the plain one: the same records, for every model, pair of objectives and optimiser that ship."""

import math
from functools import partial

import pytest
import torch
import yaml
from app_cases import CONFIGS
from stacking_cases import LABELS, assert_agree, bce, binary, log1p, on
from torch import Tensor, nn
from torch.nn import functional
from training_cases import ADAM, SLOPE, X, Y, compare, lane_recipe, network, recipe, with_batch_norm, with_dropout

import mlnn
from mlnn import models
from mlnn.data import from_arrays
from mlnn.targets import TargetSpace
from mlnn.training import UnstackableError
from mlnn.training.stacking import stack
from mlnn.trust.building import instantiate

DRAWS = torch.Generator().manual_seed(2)
IMAGES = torch.randn(24, 1, 6, 6, generator=DRAWS)
SEQUENCES = torch.randn(24, 5, 3, generator=DRAWS)


class Reads(nn.Module):
    """A recurrent layer whose last states go into a head."""

    def __init__(self, layer: nn.Module, width: int = 4) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0].mean(1))


class Tied(nn.Module):
    """One weight used twice, a weight that is a number, a frozen one, and one that is written into."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.two.weight = self.one.weight
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.head.bias.requires_grad_(False)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean.mul_(0.5).add_(0.5 * x.mean(0))
        return self.head(self.two(self.one(x - self.mean).tanh()).relu()) * self.scale.exp()


ZOO = {
    "SigmoidNode": lambda: models.SigmoidNode((4,), 1),
    "Logistic": lambda: models.Logistic((4,), 1),
    "Free": lambda: models.Free((4,), 1),
    "MLP": lambda: models.MLP((4,), 1, depth=4, activation="tanh"),
    "MLP, batch norm": lambda: models.MLP((4,), 1, depth=2, width=8, norm="batch"),
    "MLP, dropout, residual": lambda: models.MLP((4,), 1, width=8, norm="layer", dropout=0.2, residual=True),
    "ResMLP": lambda: models.ResMLP((4,), 1, width=8, dropout=0.2),
    "Conv": lambda: models.Conv((1, 6, 6), 1, width=2, hidden=4),
    "ResNet": lambda: models.ResNet((1, 6, 6), 1, width=3, blocks=1),
    "Recurrent": lambda: models.Recurrent((5, 3), 1, width=4),
    "Transformer": lambda: models.Transformer((5, 3), 1, depth=1, width=8, heads=2, dropout=0.1),
    "LSTM": lambda: Reads(nn.LSTM(3, 4, batch_first=True)),
    "tied": Tied,
    "dropout": with_dropout,
    "batch norm": with_batch_norm,
}  # fmt: skip


def rows_for(name: str) -> Tensor:
    kind = name.split(",", 1)[0]
    return (
        IMAGES if kind in ("Conv", "ResNet") else SEQUENCES if kind in ("Recurrent", "Transformer", "LSTM") else X[:24]
    )


def test_every_model_of_the_zoo_is_here() -> None:
    assert set(models.__all__) <= {name.split(",", 1)[0] for name in ZOO}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ZOO)
def test_a_model_is_trained_alike(name: str) -> None:
    assert_agree(*on(from_arrays(rows_for(name), LABELS), ZOO[name]))


RECORDED = ("MLP, batch norm", "MLP, dropout, residual", "Conv", "ResNet", "Recurrent", "Transformer", "tied")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_model_is_trained_alike(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "WORTH", 1)
    x = rows_for(name)[:20, :2] if name == "Recurrent" else rows_for(name)[:20]  # two full batches: one recording
    assert_agree(*on(from_arrays(x, LABELS[:20]), ZOO[name], optimizer=ADAM), twins=0)


def test_recordings_are_played_where_enough_steps_are_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    keep = stack.recorded
    monkeypatch.setattr(stack, "recorded", lambda *given: made.append(1) or keep(*given))
    given = on(from_arrays(X, Y), network, steps=stack.WORTH + 4, batch_size=28)  # 28, 28, 28 and 12 rows
    assert_agree(*given, twins=0)
    assert len(made) == 3  # by two precisions the full batch, and predictions in one: the short batch is met too seldom
    made.clear()
    assert_agree(*on(from_arrays(X, Y), network, steps=3), twins=0)
    assert not made


DATA = {
    "classes": (torch.arange(24) % 3, None, 3),
    "real": (X[:24, 0] * 2, None, 1),
    "counts": (torch.poisson(torch.ones(24), generator=DRAWS).double(), "counts", 1),
    "positive": (X[:24, 1].exp(), "positive", 1),
    "binary": (LABELS, None, 1),
}
FITTING = {
    "bernoulli": "binary", "soft_margin": "binary", "categorical": "classes", "normal": "real", "laplace": "real",
    "quantile": "real", "svr": "real", "huber": "real", "log_cosh": "real", "von_mises": "real", "poisson": "counts",
    "negative_binomial": "counts", "gamma": "positive", "normal_learned_variance": "real",
}  # fmt: skip


def shipped_sides(pair: str) -> list[object]:
    names = yaml.safe_load((CONFIGS / "pair" / f"{pair}.yaml").read_text(encoding="utf-8"))["defaults"]
    files = [CONFIGS / "objective" / f"{name}.yaml" for side in names for name in side.values()]
    return [instantiate(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files]


def test_every_pair_is_here() -> None:
    assert {path.stem for path in (CONFIGS / "pair").glob("*.yaml")} == set(FITTING)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("pair", FITTING)
def test_a_pair_of_objectives_is_trained_alike(pair: str) -> None:
    y, space, outputs = DATA[FITTING[pair]]
    outputs = 2 if pair == "normal_learned_variance" else outputs
    data = from_arrays(X[:24], y, space)
    given = on(data, lambda: models.MLP((4,), outputs, depth=1, width=6), *shipped_sides(pair))
    if pair == "normal_learned_variance":  # torch's own loss looks whether a variance is negative
        with pytest.raises(UnstackableError, match="data-dependent control flow"):
            assert_agree(*given)
    else:
        assert_agree(*given)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_precision_is_trained_alike(dtype: torch.dtype) -> None:
    assert_agree(*on(binary(), network, dtype=dtype))


@pytest.mark.parametrize("size", [None, 24, 7])
def test_batches_of_any_size_are_answered_alike(size: int | None) -> None:
    plain, _ = assert_agree(*on(binary(), network, steps=5, batch_size=size))
    assert {len(record.batch.rows) for record in plain} == ({24} if size != 7 else {7, 3})


def test_null_twins_have_rows_of_their_own_order() -> None:
    _, rows = assert_agree(recipe(24, batch_size=12, steps=3), lane_recipe(bce), lane_recipe(log1p), twins=3)
    for record in rows:
        assert not torch.equal(record.lanes["null_1"].answer.batch.rows, record.lanes["left"].answer.batch.rows)
        assert torch.equal(record.lanes["null_2"].answer.batch.rows, record.lanes["left"].answer.batch.rows)
        assert not torch.equal(record.lanes["null_2"].before, record.lanes["left"].before)
    orders = [record.lanes["null_1"].answer.batch.rows.argsort().tolist() for record in rows]
    assert orders[0] != orders[1]


def test_extras_reach_each_row_by_name() -> None:
    weights, mask = torch.rand(24, generator=DRAWS), torch.rand(24, generator=DRAWS) < 0.7

    def left(z: Tensor, y: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
        return (bce(z, y, weight=weight, reduction="none") * mask).sum() / mask.sum()

    def right(z: Tensor, y: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
        return torch.where(mask, weight * log1p(z, y), 0.0).sum() / mask.sum()

    data = from_arrays(X[:24], LABELS, extras={"weight": weights, "mask": mask})
    _, rows = assert_agree(*on(data, network, left, right), twins=1)
    assert rows[0].lanes["null_1"].answer.extras["mask"].dtype == torch.bool
    twin = rows[0].lanes["null_1"].answer
    assert torch.equal(twin.extras["mask"], mask[twin.batch.rows])


def test_tokens_and_positions_that_are_ignored() -> None:
    tokens = torch.randint(0, 9, (24, 5), generator=DRAWS)
    labels = torch.randint(0, 3, (24, 5), generator=DRAWS)
    labels[:, -1] = -100
    data = from_arrays(tokens, labels, TargetSpace("classes", 3, ignore=-100))

    def flat(z: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(z.flatten(0, -2), y.flatten(), ignore_index=-100)

    def across(z: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(z.transpose(1, 2), y, ignore_index=-100)

    _, rows = assert_agree(*on(data, lambda: nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 3)), flat, across))
    assert rows[0].lanes["left"].answer.output.shape == (10, 5, 3)


def naive(z: Tensor, y: Tensor) -> Tensor:
    p = z.sigmoid()
    return -(y * p.log() + (1 - y) * (1 - p).log())


@pytest.mark.rest
def test_a_lane_stops_at_the_same_step_and_row_and_the_others_go_on() -> None:
    data = from_arrays(6 * X, (X @ SLOPE > 0).double())
    fast = partial(torch.optim.SGD, lr=1.0)
    for left, right, side in ((bce, naive, "right"), (naive, bce, "left")):
        plain, rows = assert_agree(*on(data, network, left, right, fast, steps=50, batch_size=32))
        stop = rows[-1].lanes[side].stop
        assert stop is not None
        assert 0 < stop.step < 49
        assert stop.row is not None
        assert stop.output == pytest.approx(plain[-1].lanes[side].stop.output, rel=1e-3)
        assert len(rows) == 50
        assert all(
            lane.alive for name, lane in rows[-1].lanes.items() if name == ("left" if side == "right" else "right")
        )


def test_lanes_whose_weights_overflow_stop_alike() -> None:
    given = on(from_arrays(X[:24] * 10, X[:24, 0] * 100, "real"), lambda: nn.Linear(4, 1), functional.mse_loss,
               lambda z, y: (z - y) ** 2, partial(torch.optim.SGD, lr=1e30), steps=6)  # fmt: skip
    plain, rows = assert_agree(*given)
    assert len(plain) < 6
    assert rows[-1].lanes["left"].stop is not None


def scaled(z: Tensor, y: Tensor) -> Tensor:
    return 2 * log1p(z, y)


def slightly_off(z: Tensor, y: Tensor) -> Tensor:
    return log1p(z, y) + 1e-5 * z.tanh()


VERDICTS = {
    "bitwise": (bce, bce, {}),
    "equal": (bce, log1p, {"dtype": "bfloat16"}),
    "indistinguishable": (bce, lambda z, y: functional.softplus(z) - y * z, {}),
    "scaled": (bce, scaled, {}),
    "different": (bce, slightly_off, {"model": with_batch_norm}),
    "broken": (bce, naive, {"data": (60 * X, (X @ SLOPE > 0).double())}),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("relation", VERDICTS)
def test_both_engines_give_the_same_verdict(relation: str) -> None:
    left, right, options = VERDICTS[relation]
    plain, rows = (compare(left, right, engine=engine, steps=4, **options) for engine in ("plain", "stacked"))
    assert (plain.run.engine, rows.run.engine) == ("plain", "stacked")
    assert plain.verdict.relation == rows.verdict.relation == relation
    one, other = plain.verdict.resolution, rows.verdict.resolution
    assert (one is None) == (other is None)
    if one is not None:
        assert abs(math.log10(one / other)) <= 1.01
    assert plain.trace.keys() == rows.trace.keys()
    assert {name: lane.stopped for name, lane in plain.trained.items()}.keys() == rows.trained.keys()
    for name in ("weight_gap", "prediction_gap", "loss_left", "loss_right") if "dtype" not in options else ():
        assert plain.trace[name][-1] == pytest.approx(rows.trace[name][-1], rel=1e-3, abs=1e-6, nan_ok=True), name


def test_a_verdict_s_settings_go_without_stacks() -> None:
    assert compare(bce, log1p, mode="verdict", steps=3).run.engine is None
    with pytest.raises(mlnn.errors.ConfigError, match="stacked"):
        compare(bce, log1p, mode="verdict", engine="stacked")
