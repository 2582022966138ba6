"""Target spaces: every fact of every space, the numbers they are looked at with, and a new space as a patch of one file."""

import dataclasses
import hashlib
import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import judging as benchmark
import pytest
import torch
from torch import Tensor

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.catalogue import LIKELIHOODS
from mlnn.objectives.grid import make_grid
from mlnn.objectives.reduction import drawn_batch
from mlnn.seeding import generator
from mlnn.signature import spaces
from mlnn.targets import SPACES, Coordinate, Facts, TargetSpace
from mlnn.testing import assert_same_objective

NAMES = ("binary", "classes(3)", "classes(300)", "real", "counts", "positive", "unit")
f64 = torch.float64
LINE = torch.linspace(-30, 30, 601, dtype=f64)


def bits(numbers: Tensor) -> str:
    """Sixteen hex digits of dtype, shape and every bit."""
    head = f"{numbers.dtype}{tuple(numbers.shape)}".encode()
    return hashlib.sha256(head + numbers.contiguous().numpy().tobytes()).hexdigest()[:16]


# Probe points, wide points, inner points, and drawn targets of 7, 37 and 512 rows, as they were before a space owned them.
BITS = {
    "binary": ("c357f7da79d1ba0f", "c357f7da79d1ba0f", "c357f7da79d1ba0f",
               "d42057f56fb20fbb", "bf73385f1b65988e", "25c13eb605e63eb6"),
    "classes(3)": ("bbfdfa1ecf21e208", "bbfdfa1ecf21e208", "bbfdfa1ecf21e208",
                   "6d0d2dcd9157bd16", "4d783f6e5b8aea44", "bae7e08b2d07582d"),
    "classes(300)": ("9709093f167cd9a3", "b9e5d1ebd9916480", "473d6cd724a45881",
                     "85f1e12f9dfde5d8", "32dcf63bee8f223a", "d132fdeca17565ff"),
    "real": ("a914a1d3ff866036", "15c627e1b8a2efd8", "a914a1d3ff866036",
             "fc9bec107a2e6cde", "6ea0e7c05cbd1ff6", "ca55af70a4806f1d"),
    "counts": ("2e946af2c5ee906e", "cdff22bb9343bc90", "2e946af2c5ee906e",
               "140e936c7d08d0d8", "357c8664a2e6275a", "4e32d4fbfb9d2608"),
    "positive": ("59e248818bb778ba", "3197aaa84d685ac3", "59e248818bb778ba",
                 "a403f5252fe57152", "bc24f6c3fdfd4c4f", "4922ee7d179e8617"),
    "unit": ("388f99ba6f66ba1c", "dc621343183ec320", "157da5eef0df66b3",
             "85e42dafa5a8a36d", "bc0e8877817bc01b", "82053e4fe07037fa"),
}  # fmt: skip
# The benchmark's first four targets and the sum of all 77; other processors may round exp and σ otherwise.
FOLLOWED = {
    "binary": ([0, 1, 0, 0], 43),
    "classes(3)": ([1, 1, 2, 0], 79),
    "classes(300)": ([197, 114, 156, 233], 11251),
    "real": ([0.7236886514903123, -0.9486099530473946, -0.5807949088734425, -1.0625508093961402], -5.711432271002657),
    "counts": ([2, 5, 2, 2], 106),
    "unit": ([0.3713816543866408, 0.5469823399120456, 0.9057147153238159, 0.38065000094124996], 38.80691083985283),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_what_they_were_bit_for_bit(name: str) -> None:
    space = TargetSpace.parse(name)
    drawn = [drawn_batch(space, rows)[1] for rows in (7, 37, 512)]
    assert tuple(map(bits, (make_grid(space).target, space.wide_points, space.inner_points, *drawn))) == BITS[name]
    assert bits(space.probe_points + 1) != BITS[name][0], "a number that moves is seen"


@pytest.mark.parametrize("name", FOLLOWED)
def test_the_benchmarks_targets_are_what_they_were(name: str) -> None:
    y = benchmark.make_data(TargetSpace.parse(name)).y.double()
    first, total = FOLLOWED[name]
    assert y[:4].tolist() == pytest.approx(first, rel=1e-12)
    assert float(y.sum()) == pytest.approx(total, rel=1e-12)


def holds(space: TargetSpace, y: Tensor) -> bool:
    """Whether the space takes every one of the targets."""
    try:
        space.check(y)
    except DataError:
        return False
    return True


def wrong(space: TargetSpace) -> set[str]:
    """The facts of a space that are not so."""
    return {name for found in (_points(space), _draws(space), _links(space), _values(space), _line(space), _fit(space))
            for name, good in found if not good}  # fmt: skip


Checks = Iterator[tuple[str, bool]]


def _points(space: TargetSpace) -> Checks:
    facts = space.facts
    for name in ("probe_points", "wide_points", "fitted_points", "plain_points"):
        points = torch.tensor(getattr(facts, name), dtype=facts.dtype)
        enough = len(points) > 1 or (not len(points) and space.finite) or (name == "plain_points" and space.countable)
        yield name, enough and holds(space, points) and len(points.unique()) == len(points)
    if not space.finite:
        one, two, three = facts.ordered_points
        yield "ordered_points", one < two < three and holds(space, torch.tensor(facts.ordered_points))
    far = torch.tensor(facts.far_points, dtype=f64)
    yield "far_points", holds(space, far) and bool((far.diff() > 0).all()) and bool(len(far)) == space.countable
    yield "outputs at which sums settle", 0 < facts.near_output < facts.far_output <= facts.farthest_output


def _draws(space: TargetSpace) -> Checks:
    facts = space.facts
    y = space.draw(generator(0, "test"), (50, 4))
    yield "draw", holds(space, y) and y.shape == (50, 4) and y.dtype == facts.dtype and len(y.unique()) > 1
    output = torch.linspace(-3, 3, 50, dtype=f64)[:, None, None].expand(50, 4, facts.outputs)
    y = space.follow(output, generator(0, "test"))
    yield "follow", y.shape == (50, 4) and holds(space, y) and len(y.unique()) > 1
    y = space.cast(torch.zeros(3, dtype=torch.float32))
    yield "dtype", y.dtype == facts.dtype == space.probe_points.dtype and (y.dtype == f64) == (facts.outputs == 1)


def _links(space: TargetSpace) -> Checks:
    facts, (low, high) = space.facts, space.facts.means
    output = LINE if facts.outputs == 1 else torch.stack([LINE, *[0.1 * LINE] * (facts.outputs - 1)], 1)
    mean = space.link(output)
    sums = facts.outputs == 1 or bool(((mean.sum(-1) - 1).abs() < 1e-12).all())
    yield "link", mean.shape == output.shape and bool(((mean >= low) & (mean <= high)).all()) and sums
    seen = mean if facts.outputs == 1 else mean[:, 0]
    least = -20 if math.isinf(low) else low + 0.2
    most = 20 if math.isinf(high) else high - 0.2
    yield "means", low < high and float(seen.min()) < least and float(seen.max()) > most
    some = mean[280:321]
    yield "inverse", bool(torch.allclose(space.link(facts.inverse(some)), some, rtol=1e-9))
    words: dict[str, Callable[[Tensor], Tensor]] = {
        "f": lambda f: f, "σ(f)": lambda f: 1 / (1 + torch.exp(-f)), "exp(f)": lambda f: math.e**f,
        "softmax(f)": lambda f: torch.exp(f) / torch.exp(f).sum(-1, keepdim=True),
        "f mod 2π": lambda f: torch.atan2(torch.sin(f), torch.cos(f)),
    }  # fmt: skip
    yield "link_name", bool(torch.allclose(words[facts.link_name](output), mean, rtol=1e-9, atol=1e-9))


def _values(space: TargetSpace) -> Checks:
    """What is inside, against the support read again by hand."""
    facts, size = space.facts, space.classes or 0
    tried = torch.tensor([*range(-3, 400), -math.pi, math.pi, -3.5, 1e-300, 0.5, 2.5, 1e9, 1e300], dtype=f64)
    whole = tried == tried.floor()
    inside = {
        "{0, 1}": whole & (tried >= 0) & (tried <= 1), "{0 … K−1}": whole & (tried >= 0) & (tried < size),
        "the whole line": tried == tried, "0, 1, 2, …": whole & (tried >= 0), "(0, ∞)": tried > 0,
        "[0, 1]": (tried >= 0) & (tried <= 1), "[−π, π)": (tried >= -math.pi) & (tried < math.pi),
    }[facts.support]  # fmt: skip
    yield "inside", torch.equal(facts.inside(tried), inside)
    odd = torch.tensor([math.nan, math.inf, -math.inf], dtype=f64)
    yield "check", not any(holds(space, one) for one in odd.split(1))
    if facts.values is not None:
        yield "values", list(facts.values) == tried[inside].tolist()
    yield "values", space.finite + space.countable + (space.coordinate is not None) == 1


def _line(space: TargetSpace) -> Checks:
    along = space.coordinate
    if along is None:
        return
    v = torch.linspace(max(along.low, -15), min(along.high, 15), 62, dtype=f64)[1:-1]
    y = along.target(v)
    yield "coordinate: target", holds(space, y) and bool((y.diff() > 0).all())
    yield "coordinate: back", bool(torch.allclose(along.back(y), v, rtol=1e-6, atol=1e-6))
    slope = torch.autograd.functional.jacobian(along.target, v).diagonal()
    yield "coordinate: log_slope", bool(torch.allclose(along.log_slope(v), slope.log(), rtol=1e-9, atol=1e-9))
    yield "coordinate: span", along.span[0] < along.span[1] and holds(space, torch.tensor(along.span))
    far = along.target(torch.tensor([-800.0, 800.0], dtype=f64))
    yield "coordinate: overflows", along.overflows == (along.endless and not along.beyond and not holds(space, far))
    ends = torch.tensor([along.low, along.high], dtype=f64)
    yield "coordinate: beyond", not along.beyond or holds(space, along.target(ends))
    above, below, far = (torch.tensor(places, dtype=f64) for places in (*along.farthest, along.far))
    outward = bool((above.diff() > 0).all() and (below.diff() < 0).all()) and bool(len(above)) == along.endless
    yield "coordinate: farthest", outward and holds(space, along.target(torch.cat([above, below])))
    yield "coordinate: far", bool(len(far)) == math.isinf(along.high) and holds(space, along.target(far))


def _fit(space: TargetSpace) -> Checks:
    """The usual likelihood takes the space, and its best raw output runs off where a target is said to be extreme."""
    facts = space.facts
    takes = spaces(LIKELIHOODS[facts.usual].nll) or ()  # type: ignore[attr-defined]
    yield "usual", takes[0] == space.kind or space.kind not in NAMES
    if facts.outputs == 1:
        y = space.probe_points
        name = "bernoulli" if facts.usual == "beta" else facts.usual  # a beta density has no value at 0 and 1
        nll = LIKELIHOODS[name]().nll(LINE.repeat_interleave(len(y)), y.repeat(len(LINE))).reshape(len(LINE), -1)
        runs = nll[[0, -1]].amin(0) <= nll.amin(0) + 1e-9  # at an end it is least
        yield "extreme", torch.equal(space.extreme(y), runs)
    y = space.probe_points
    hard = bool(space.extreme(y).any()) and facts.usual != "beta"
    yield "separable", facts.separable == hard
    yield "extreme", torch.equal(space.extreme(y), torch.from_numpy(space.extreme(y.numpy())))


@pytest.mark.parametrize("name", NAMES)
def test_every_fact_of_every_space_is_so(name: str) -> None:
    assert wrong(TargetSpace.parse(name)) == set()


def with_line(**changes: Any) -> Callable[[Facts], dict[str, Any]]:
    """Other facts of the coordinate."""
    return lambda facts: {"coordinate": dataclasses.replace(facts.coordinate, **changes)}  # type: ignore[type-var]


BROKEN: list[tuple[str, str, Any]] = [
    ("probe_points", "binary", {"probe_points": (0.0, 2.0)}),
    ("probe_points", "real", {"probe_points": (0.5, 0.5)}),
    ("wide_points", "positive", {"wide_points": (0.0, 1.0)}),
    ("fitted_points", "unit", {"fitted_points": (0.1, 1.1)}),
    ("plain_points", "positive", {"plain_points": (-1.0, 1.0)}),
    ("ordered_points", "unit", {"ordered_points": (0.2, 0.7, 0.5)}),
    ("far_points", "counts", {"far_points": (1e9, 1e7)}),
    ("outputs at which sums settle", "real", {"far_output": 1.0}),
    ("draw", "counts", {"draw": lambda uniform: 6 * uniform}),
    ("draw", "real", {"draw": torch.ones_like}),
    ("follow", "positive", {"follow": lambda output, *_: output[..., 0]}),
    ("dtype", "unit", {"dtype": torch.float32}),
    ("link", "unit", {"link": lambda output: output}),
    ("means", "counts", {"means": (-1.0, torch.inf)}),
    ("inverse", "positive", {"inverse": torch.logit}),
    ("link_name", "counts", {"link_name": "σ(f)"}),
    ("inside", "positive", {"inside": lambda y: y >= 0}),
    ("inside", "counts", {"inside": lambda y: y >= 0}),
    ("values", "binary", {"values": (0.0, 1.0, 2.0)}),
    ("usual", "real", {"usual": "bernoulli"}),
    ("extreme", "counts", {"extreme": lambda y: y > 0}),
    ("extreme", "real", {"extreme": lambda y: y == 0}),
    ("separable", "counts", {"separable": False}),
    ("coordinate: target", "unit", with_line(target=torch.exp)),
    ("coordinate: back", "positive", with_line(back=lambda y: y)),
    ("coordinate: log_slope", "positive", with_line(log_slope=torch.zeros_like)),
    ("coordinate: span", "unit", with_line(span=(-0.1, 1.0))),
    ("coordinate: overflows", "positive", with_line(overflows=False)),
    ("coordinate: beyond", "positive", with_line(beyond=True, low=-800.0, high=800.0)),
    ("coordinate: farthest", "real", with_line(farthest=((1e20, 1e10), (-1e10, -1e20)))),
    ("coordinate: far", "real", with_line(far=())),
]


@pytest.mark.parametrize(("fact", "kind", "changes"), BROKEN)
def test_a_fact_that_is_not_so_is_found(fact: str, kind: str, changes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = TargetSpace(kind).facts
    changes = changes(facts) if callable(changes) else changes
    monkeypatch.setitem(SPACES, kind, dataclasses.replace(facts, **changes))
    assert fact in wrong(TargetSpace(kind))


def test_every_check_has_a_case_that_makes_it_fail() -> None:
    made = {name for space in map(TargetSpace.parse, NAMES)
            for check in (_points, _draws, _links, _values, _line, _fit) for name, _ in check(space)}  # fmt: skip
    assert made - {fact for fact, *_ in BROKEN} == {"check"}, (
        "NaN and infinity are refused by the space, not by a record"
    )


def test_names_are_read_and_written_as_before() -> None:
    for name in NAMES:
        space = TargetSpace.parse(f" {name} ")
        again = pickle.loads(pickle.dumps(space))
        assert (str(space), again, hash(again)) == (name, space, hash(space))
        assert TargetSpace.parse(space) is space
    assert TargetSpace("classes", 3) != TargetSpace("classes", 4)
    assert (TargetSpace("real", raw=2).outputs, TargetSpace("classes", 3).outputs, TargetSpace("unit").outputs) == (
        2,
        3,
        1,
    )
    assert repr(TargetSpace("real")) == "TargetSpace(kind='real', classes=None, raw=None, ignore=None, axis=None)"
    for text, words in (
        ("clases(3)", "Did you mean 'classes"), ("binary(2)", "classes are written classes(K)"), ("classes", "K ≥ 2"),
        ("classes(1)", "K ≥ 2"), ("mlnn.targets", "Choices: binary, classes(K), counts, multilabel(K), ordinal(K), "),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as refused:
            TargetSpace.parse(text)
        assert words in str(refused.value)
    for given in (["binary"], None, 3, ["binary"] * 300):
        with pytest.raises(ConfigError, match="unknown target space"):
            TargetSpace.parse(given)  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as refused:
        TargetSpace.parse("x" * 300)
    assert "x" * 200 not in str(refused.value)
    for kind in (["binary"], None, 3):
        with pytest.raises(ConfigError, match="unknown target space"):
            TargetSpace(kind)  # type: ignore[arg-type]


def test_the_first_target_outside_is_named_whatever_the_leading_shape() -> None:
    y = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.5, -1.0]])
    with pytest.raises(
        DataError, match=r"mine: row 1, position 1 holds 0.5, which is not in .* 'counts' \(2 such targets of 6\)"
    ):
        TargetSpace("counts").check(y, "mine")
    with pytest.raises(DataError, match=r"y: row 1 holds 2.0, .* 'binary' \(1 such row of 3\)"):
        TargetSpace("binary").check(torch.tensor([0.0, 2.0, 1.0]))
    with pytest.raises(DataError, match="the only target holds nan"):
        TargetSpace("real").check(torch.tensor(math.nan))
    TargetSpace("real").check(y)
    TargetSpace("unit").check(torch.zeros(0))


# What a patch of mlnn/targets/spaces.py would add for angles, and nothing else anywhere.
def turned(f: Tensor) -> Tensor:
    return torch.remainder(f + math.pi, 2 * math.pi) - math.pi


ANGLE = Facts(
    support="[−π, π)",
    inside=lambda y: (y >= -math.pi) & (y < math.pi),
    link=turned,
    inverse=lambda mean: mean,
    link_name="f mod 2π",
    means=(-math.pi, math.pi),
    probe_points=(-math.pi, -1.3, 0.0, 0.4, 2.9),
    wide_points=(-3.1, -1.2, -0.3, 0.5, 1.7, 3.0),
    draw=lambda uniform: 2 * math.pi * uniform - math.pi,
    follow=lambda output, _uniform, noise, _draws: turned(output[..., 0] + 0.3 * noise[..., 0]),
    usual="von_mises",
    coordinate=Coordinate("y", lambda v: v, torch.zeros_like, lambda y: y, (-3.1, 3.1), -math.pi, math.pi, dense=3.1),
    fitted_points=(-3.0, -1.9, -0.8, 0.3, 1.2, 2.1, 2.7),
    plain_points=(-2.3, -0.4, 0.7, 1.9),
    ordered_points=(-2.0, 0.5, 2.5),
)
LEVEL = math.log(2 * math.pi * float(torch.special.i0(torch.tensor(2.0, dtype=f64))))


def von_mises(f: Tensor, y: Tensor) -> Tensor:
    return LEVEL - 2 * torch.cos(y - f)


def by_parts(f: Tensor, y: Tensor) -> Tensor:
    return LEVEL - 2 * (torch.cos(y) * torch.cos(f) + torch.sin(y) * torch.sin(f))


@pytest.fixture
def angle(monkeypatch: pytest.MonkeyPatch) -> TargetSpace:
    monkeypatch.setitem(SPACES, "angle", ANGLE)
    return TargetSpace.parse("angle")


def test_a_new_space_is_one_record(angle: TargetSpace) -> None:
    assert wrong(angle) == set()
    with pytest.raises(DataError, match=r"row 1 holds 3\.25"):
        angle.check(torch.tensor([0.0, 3.25, 0.5]).double())
    data = benchmark.make_data(angle)
    assert (str(data.targets), len(data)) == ("angle", 77)


def test_the_gate_compares_on_the_new_space(angle: TargetSpace) -> None:
    assert assert_same_objective(von_mises, by_parts, angle).relation == "equal"
    with pytest.raises(AssertionError, match=r"found 'scaled': Right is 1.05 times left"):
        assert_same_objective(von_mises, lambda f, y: 1.05 * von_mises(f, y), "angle")
    trained = mlnn.compare(
        lambda: torch.nn.Linear(5, 1), von_mises, by_parts, benchmark.make_data(angle),
        optimizer=lambda weights: torch.optim.SGD(weights, 0.1), steps=3, batch_size=16,
    )  # fmt: skip
    assert trained.verdict.relation in ("equal", "indistinguishable")


def test_the_audit_reads_the_new_space(angle: TargetSpace) -> None:
    found = mlnn.audit(von_mises, angle)
    assert (found.kind, found.targets, found.scale, found.measure) == ("likelihood", "angle", 1.0, "1")
    free = mlnn.audit(lambda f, y: -2 * torch.cos(y - f), "angle")
    assert free.kind == "likelihood family"
    assert free.measure == f"1/{math.exp(LEVEL):.10g}"
    assert mlnn.audit(lambda f, y: (y - f) ** 2, "angle").kind == "proper"


def test_without_its_record_the_new_space_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown target space 'angle'"):
        mlnn.audit(von_mises, "angle")


@pytest.mark.parametrize("shape", [(5, 3), (5, 4, 3), (5, 4, 2, 3)])
def test_the_axis_of_the_classes_is_moved_wherever_rows_have_positions(shape: tuple[int, ...]) -> None:
    space = TargetSpace.parse("classes(3, axis=1)")
    values = torch.arange(float(math.prod(shape))).reshape(shape)
    arranged = space.arranged(values)
    assert arranged.shape == (shape[0], 3, *shape[1:-1])
    assert torch.equal(space.canonical(arranged), values)
    assert torch.equal(arranged[:, 1], values[..., 1])


@pytest.mark.parametrize(
    "name", ["binary", "real", "counts", "positive", "unit", "multilabel(2)", "real(2)", "ordinal(3)"]
)
def test_targets_that_follow_raw_outputs_are_larger_where_those_are(name: str) -> None:
    space = TargetSpace.parse(name)
    up = torch.full((400, space.outputs), 3.0, dtype=f64)
    high, low = (space.follow(sign * up, generator(0, "test")).double() for sign in (1, -1))
    assert bool((high.mean(0) > 1.5 * low.mean(0).clamp(min=0) + 0.3).all())


@pytest.mark.parametrize("name", ["classes(3)", "simplex(3)"])
def test_classes_that_follow_raw_outputs_are_those_of_the_highest(name: str) -> None:
    space = TargetSpace.parse(name)
    drawn = space.follow(torch.tensor([[0.0, 3.0, -3.0]], dtype=f64).repeat(400, 1), generator(0, "test"))
    share = drawn.mean(0) if space.event else torch.bincount(drawn, minlength=3) / 400
    assert share[1] > 0.5 > share[0] > share[2]
