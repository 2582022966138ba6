"""The catalogues of known pairs, the judge that can say "wrong", and a sample of the benchmark itself."""

import csv
import dataclasses
import math
import re
from functools import partial

import field_lanes
import judging as benchmark
import numpy as np
import pytest
import torch
from faults import EQUAL, PAIRS, UNEQUAL, reductions
from faults.causes import CAUSES, with_cause
from faults.equal_binary import logaddexp
from faults.pair import BITS
from faults.rows import read
from faults.tolerances import TOLERANCES
from judging import Cell, cells, decided, judge, named, run_cell, run_cells, select, write_rows
from tables import confusion, decisions, listings, markdown, quantile, resolutions, smallest, wrong, wrong_causes

from mlnn.comparing.verdict import Verdict
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.seeding import generator
from mlnn.targets import TargetSpace

BY_NAME = {pair.name: pair for pair in PAIRS}
TEXTBOOK = select(families=["textbook"])
textbook_pair = pytest.mark.parametrize("pair", TEXTBOOK, ids=lambda pair: pair.name)


def verdict(relation: str, domain: object = "all", resolution: float | None = 1e-12) -> Verdict:
    return Verdict(relation, relation, relation, "", domain=domain, resolution=resolution)  # type: ignore[arg-type]


def small_row(name: str, **changes: object) -> dict:
    """The row of a short run of a pair, with some of what is known of the pair changed."""
    pair = dataclasses.replace(BY_NAME[name], **changes)
    return run_cell(Cell(pair, "node", "sgd", "float32", 6))


def test_the_catalogues_are_large_enough_and_names_are_unique() -> None:
    assert len(EQUAL) >= 40
    assert len(UNEQUAL) >= 60
    assert len(BY_NAME) == len(PAIRS)
    assert {read(pair.targets).kind for pair in PAIRS} >= {"binary", "classes", "real", "counts", "unit"}


def test_every_pair_says_where_it_is_met_and_what_is_expected() -> None:
    for pair in PAIRS:
        assert len(pair.note) > 3, pair.name
        assert pair.relations, pair.name
        assert set(pair.relations) <= {
            "bitwise", "equal", "indistinguishable", "shifted", "scaled", "different", "broken", "undecided",
        }, pair.name  # fmt: skip
        assert (pair.kind == "unequal") == (pair in UNEQUAL)
        assert pair.kind == "equal" or not set(pair.relations) & {"bitwise", "equal"}, pair.name
        assert pair.family in benchmark.FAMILIES
        assert set(pair.inside) <= set(BITS)
        re.compile(pair.cause or "")
        assert pair.size is None or 0 < pair.size <= 0.1, pair.name


@textbook_pair
def test_both_sides_answer_on_a_small_batch(pair) -> None:
    space = TargetSpace.parse(pair.targets)
    draws = generator(0, "benchmark test")
    shape = (11, space.outputs) if space.outputs > 1 else (11,)
    output = 0.2 + torch.rand(shape, generator=draws, dtype=torch.float64)
    target = benchmark.make_data(space).y[:11]
    for function, kind in zip((pair.left, pair.right), pair.outputs, strict=True):
        free = output.clone().requires_grad_()
        value = Objective.of(function, space, kind)(free, target)
        (slope,) = torch.autograd.grad(value, free)
        assert torch.isfinite(value)
        assert torch.isfinite(slope).all()
        assert slope.abs().max() > 0


SAMPLE = cells(TEXTBOOK[::12], ["tanh2"], ["sgd"], full=False)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "cell",
    [*SAMPLE[::3], *(pytest.param(cell, marks=pytest.mark.slow) for cell in (*SAMPLE[1::3], *SAMPLE[2::3]))],
    ids=lambda c: f"{c.pair.name} {c.dtype}",
)
def test_a_sample_of_the_benchmark(cell) -> None:
    row = run_cell(cell)
    assert row["outcome"] in ("agreed", "caught", "below resolution"), row["sentence"]


def test_a_faulty_pair_declared_equal_is_a_false_alarm() -> None:
    row = small_row("binary: label smoothing 0.01", kind="equal", relations=("equal",))
    assert row["outcome"] == "false alarm"
    assert row["relation"] == "different"


def test_an_equal_pair_declared_faulty_is_a_miss() -> None:
    row = small_row("binary: logaddexp", kind="unequal", relations=("different",))
    assert row["outcome"] == "missed"
    assert row["resolution"] < 1e-6


@pytest.mark.sampled(3)
@pytest.mark.parametrize("architecture", benchmark.ARCHITECTURES)
def test_training_does_not_diverge_on_squared_error(architecture) -> None:
    """A diverging run says nothing of the pair; half the squared error must then train on as well."""
    row = run_cell(Cell(BY_NAME["real: Gaussian NLL"], architecture, "sgd", "float32"))
    assert row["relation"] == "scaled", row["sentence"]


def test_a_comparison_that_raises_costs_only_its_own_row() -> None:
    def refuses(*_: torch.Tensor) -> torch.Tensor:
        raise ValueError("no thanks")

    row = small_row("binary: logaddexp", right=refuses)
    assert row["outcome"] == "raised"
    assert "no thanks" in row["sentence"]
    assert confusion([row, row]).lines[0][-1] == "2"
    assert len(wrong([row, row]).lines) == 1


def test_the_judge_on_equal_pairs() -> None:
    pair = BY_NAME["binary: logaddexp"]
    assert judge(pair, verdict("equal")) == "agreed"
    for relation in ("indistinguishable", "shifted", "scaled", "different", "broken", "undecided"):
        assert judge(pair, verdict(relation)) == "false alarm"
    assert judge(pair, verdict("equal", (-30.0, 30.0))) == "false alarm"
    assert judge(BY_NAME["binary: BCELoss"], verdict("equal", (-27.0, 16.0))) == "agreed"
    assert judge(BY_NAME["binary: plus 1e-3"], verdict("equal")) == "false alarm"


def test_the_judge_on_unequal_pairs() -> None:
    pair = BY_NAME["binary: label smoothing 0.0001"]
    assert judge(pair, verdict("different")) == "caught"
    assert judge(pair, verdict("shifted")) == "misnamed"
    assert judge(pair, verdict("undecided")) == "misnamed"
    assert judge(pair, verdict("equal")) == "missed"
    assert judge(pair, verdict("equal", (-3.0, 3.0))) == "missed"
    assert judge(pair, verdict("equal", resolution=1e-3)) == "below resolution"
    assert judge(BY_NAME["binary: broadcast (n, 1) × (n,)"], verdict("equal", resolution=1e-3)) == "missed"


def test_a_domain_tells_of_a_fault_only_if_it_leaves_it_out() -> None:
    clip = BY_NAME["binary: clip 1e-07"]
    assert judge(clip, verdict("equal", (-16.1, 16.1))) == "caught"
    assert judge(clip, verdict("equal", (-16.1, 20.0))) == "missed"
    assert judge(clip, verdict("equal", (-math.inf, 16.1))) == "missed"
    assert judge(clip, verdict("equal")) == "missed"


@pytest.mark.parametrize("name", TOLERANCES)
def test_tolerances_pass_equal_curves_and_no_nan(name) -> None:
    says, curve = TOLERANCES[name], np.linspace(1.0, 0.5, 32)
    assert says(curve, curve.copy(), torch.float32)
    assert not says(curve, curve * 1.5, torch.float32)
    for value in (np.nan, np.inf):
        broken = np.full(32, value)
        assert not says(curve, broken, torch.float32)
        infinite_passes = name == "first_loss" and value == np.inf  # assert_close takes infinity for equal to itself
        assert says(broken, broken, torch.float32) == infinite_passes


def test_a_stateful_loss_starts_afresh_in_every_run() -> None:
    before = BY_NAME["binary: later factor"].right.seen
    small_row("binary: later factor")
    assert BY_NAME["binary: later factor"].right.seen == before


def test_every_pair_meets_every_architecture_optimizer_and_dtype_in_the_half_design() -> None:
    half, full = cells(PAIRS, full=False), cells(PAIRS)
    assert len(half) < 0.6 * len(full)
    for pair in PAIRS:
        own = [cell for cell in half if cell.pair is pair]
        if pair.once:
            assert len(own) == 1
            continue
        assert {cell.architecture for cell in own} == ({"own"} if pair.model else set(benchmark.ARCHITECTURES))
        assert {cell.optimizer for cell in own} == set(pair.optimizers)
        assert {cell.dtype for cell in own} == set(pair.dtypes)


def test_selection_and_its_errors() -> None:
    assert {pair.kind for pair in select(["equal"])} == {"equal"}
    assert all("smoothing" in pair.name for pair in select(parts=["smoothing"]))
    with pytest.raises(ConfigError, match=r"kinds: unknown kind 'equall'. Did you mean 'equal'"):
        select(["equall"])
    assert {pair.family for pair in select(families=["field"])} == {"field"}
    assert len(select(families=["field"])) + len(TEXTBOOK) == len(PAIRS)
    with pytest.raises(ConfigError, match=r"families: unknown family 'fields'. Did you mean 'field'"):
        select(families=["fields"])
    with pytest.raises(ConfigError, match="pairs: no pair"):
        select(parts=["no such thing"])
    with pytest.raises(ConfigError, match="every: 0"):
        select(every=0)
    with pytest.raises(ConfigError, match=r"architectures: unknown architecture 'nod'. Did you mean 'node'"):
        cells(PAIRS, ["nod"])
    with pytest.raises(ConfigError, match="optimizers: unknown optimizer 'sdg'"):
        cells(PAIRS, optimizers=["sdg"])


def test_rows_come_back_in_order_and_are_written(tmp_path) -> None:
    todo = cells(select(parts=["label smoothing 0.01", "binary: logaddexp"]), ["node"], ["sgd"], ["float64"], steps=4)
    seen = []
    rows = run_cells(todo, 1, lambda done, total: seen.append((done, total)))
    assert [row["pair"] for row in rows] == [cell.pair.name for cell in todo]
    assert seen[-1] == (len(todo), len(todo))
    write_rows(rows, tmp_path / "benchmark.csv")
    with open(tmp_path / "benchmark.csv", encoding="utf-8") as file:
        assert [row["pair"] for row in csv.DictReader(file)] == [row["pair"] for row in rows]


ROW = {"pair": "binary: a 0.1", "kind": "unequal", "family": "textbook", "same_training": False, "dtype": "float32", "size": 0.1,
       "relation": "different", "outcome": "caught", "resolution": 1e-9, "sentence": "Left | right.",
       "first_loss": True, "five_decimals": True, "tight_curve": False, "bfloat_curve": True, "loose_curve": True,
       "decided": True, "nameable": True, "cause": None, "named": "none", "computes_in_told": None}  # fmt: skip


def test_the_tables_count_what_was_wrong() -> None:
    rows = [
        ROW,
        ROW | {"pair": "binary: a 0.01", "size": 0.01, "outcome": "missed", "relation": "equal"},
        ROW | {"pair": "b", "size": None, "kind": "equal", "same_training": True, "outcome": "false alarm"},
        ROW | {"pair": "c", "size": None, "kind": "equal", "outcome": "agreed", "relation": "scaled"},
    ]
    mlnn, first, _, tight, *_ = confusion(rows).lines
    assert mlnn[1:] == ("1", "1", "1", "0", "0", "1", "0")
    assert first[1:] == ("1", "0", "0", "0", "0", "2", "0")
    assert tight[1:] == ("0", "1", "2", "0", "0", "0", "0")
    assert [line[:2] for line in wrong(rows).lines] == [("false alarm", "b"), ("missed", "binary: a 0.01")]
    assert smallest(rows).lines == [("binary: a", "float32", "1.0e-01", "1.0e-02")]
    page = markdown(rows, listings(rows))
    assert "4 runs of 4 pairs" in page
    assert "by judge (" not in page  # of one family only
    assert "Left \\| right." in page


def test_the_tables_count_decisions_and_causes_by_family() -> None:
    field = ROW | {"family": "field", "computes_in_told": True}
    rows = [
        ROW,
        field | {"named": "right", "cause": "smoothing"},
        field | {"named": "wrong", "cause": "a clip", "decided": False, "computes_in_told": False},
        field | {"nameable": False},
        field | {"kind": "equal", "outcome": "agreed", "nameable": False},
    ]
    told = {line[:2]: line[2:] for line in decisions(rows).lines}
    assert told["field", "unequal"] == ("3", "2 of 3", "3 of 3", "1", "1", "1", "0", "1 of 2", "2 of 3")
    assert told["field", "equal"] == ("1", "1 of 1", "1 of 1", "0", "1", "0", "0", "–", "1 of 1")
    assert told["textbook", "unequal"][-1] == "–"
    assert [line[:3] for line in wrong_causes(rows).lines] == [("binary: a 0.1", "a clip", "1")]
    assert [listing.title for listing in listings(rows)][1:3] == [
        "Equal and unequal pairs, by judge (field)", "Equal and unequal pairs, by judge (textbook)",
    ]  # fmt: skip


def test_the_quantiles_of_the_resolution() -> None:
    assert [quantile([4.0, 1.0, 3.0, 2.0], share) for share in (0.0, 0.25, 0.5, 0.51, 1.0)] == [1.0, 1.0, 2.0, 3.0, 4.0]
    rows = [ROW | {"kind": "equal", "resolution": size} for size in (1e-12, 1e-10, 1e-7, None)]
    (line,) = resolutions(rows).lines
    assert line == ("textbook", "float32", "4", "3", "1.0e-12", "1.0e-10", "1.0e-07", "1.0e-07", "2 of 3")
    (line,) = resolutions([ROW | {"kind": "equal", "resolution": None}]).lines
    assert line[3:] == ("0", "–", "–", "–", "–", "–")


def test_the_tolerances_that_were_added_are_as_wide_as_they_say() -> None:
    curve = np.linspace(1.0, 0.5, 32)
    says = TOLERANCES["bfloat_curve"]
    assert says(curve, curve * 1.015, torch.float32)
    assert not says(curve, curve * 1.017, torch.float32)
    says = TOLERANCES["five_decimals"]
    assert says(np.array([0.123456, 1.0]), np.array([0.123459, 2.0]), torch.float32)  # the first step only
    assert not says(np.array([0.12345]), np.array([0.12346]), torch.float32)


def test_a_cause_is_right_only_where_it_holds_what_the_pair_says() -> None:
    pair = BY_NAME["tokens: mean of sequence means"]
    assert named(pair, None) == "none"
    assert named(pair, "Right takes a mean of per-sequence means.") == "right"
    assert named(pair, "label smoothing of 0.1") == "wrong"
    assert named(BY_NAME["tokens: end dropped"], "ignored rows counted") == "wrong"  # none is to be named
    assert named(BY_NAME["tokens: masked"], "sequence") == "wrong"  # between equal sides there is none
    assert named(BY_NAME["binary: logaddexp"], "a factor") == "wrong"
    assert named(BY_NAME["binary: label smoothing 0.01"], "a clip") == "wrong"
    assert named(BY_NAME["binary: hinge"], "a clip") == "unknown"  # the catalogue does not say


def test_the_causes_of_the_textbook_are_found_by_the_names_of_its_faults() -> None:
    for words in CAUSES:
        assert any(re.search(words, pair.name) for pair in TEXTBOOK), words
    assert with_cause(BY_NAME["binary: hinge"]).cause is None
    assert with_cause(dataclasses.replace(BY_NAME["binary: log2"], cause="bits")).cause == "bits"
    unequal = select(["unequal"], families=["textbook"])
    assert sum(pair.cause is not None for pair in unequal) > 0.5 * len(unequal)
    assert all(pair.cause is None for pair in EQUAL)


def test_silence_is_no_decision_but_where_no_more_is_to_be_had() -> None:
    pair = BY_NAME["kernel: plain"]
    assert decided(pair, verdict("equal"), "float32")
    assert not decided(pair, verdict("indistinguishable"), "float32")
    assert decided(pair, verdict("indistinguishable"), "float64")
    assert judge(pair, verdict("indistinguishable"), "float64") == "agreed"
    assert judge(pair, verdict("indistinguishable"), "float32") == "false alarm"
    assert not decided(BY_NAME["tokens: end dropped"], verdict("undecided"))
    assert decided(BY_NAME["tokens: end dropped"], verdict("different"))


@pytest.mark.parametrize("pair", select(families=["field"]), ids=lambda pair: pair.name)
def test_a_pair_of_the_field_is_given_as_it_is_described(pair) -> None:
    """The model's raw outputs are of the shape that the pair's objectives take, and both answer in the run's own dtype."""
    space, shape = read(pair.targets), pair.shape
    asked = field_lanes.given(pair, benchmark.ARCHITECTURES["tanh2"], 2, 20, 16)
    model = asked.model().to(torch.float32)
    if pair.step:
        assert asked.batch_size is None
        assert len(asked.data) == 2
        batch = {name: as_run(tensor) for name, tensor in asked.data[0].items()}
        losses = [side(model, batch) for side in (pair.left, pair.right)]
    else:
        x, y, extras = asked.data if len(asked.data) == 3 else (*asked.data, {})
        z = model(as_run(x[:9])).detach()
        z = z if shape or space.size else z.squeeze(-1)  # as training squeezes it
        assert z.shape == space.raw_shape(9, shape)
        named_rows = {name: as_run(tensor[:9]) for name, tensor in extras.items()}
        losses = [side(z.clone(), as_run(y[:9]).clone(), **named_rows).mean() for side in (pair.left, pair.right)]
    assert all(torch.isfinite(loss) for loss in losses)


def as_run(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def test_a_reduction_that_is_right_equals_the_mean_and_a_wrong_one_does_not() -> None:
    z, y = torch.linspace(-2, 2, 13, dtype=torch.float64), (torch.arange(13) % 3 == 0).double()
    mean = logaddexp(z, y).mean()
    right = ("mean", "reversed_rows", "sum_over_length", "einsum_mean", "chunked_sums", "double_sum", "running_mean")
    wrong_ones = ("summed", "mean_of_means", "first_dropped", "first_doubled", "odd_row_dropped", "stale_targets",
                  "bfloat_mean", "whole_normaliser", "worst_half")  # fmt: skip
    for name in right:
        assert torch.isclose(partial(getattr(reductions, name), logaddexp)(z, y), mean, rtol=1e-14), name
    for name in wrong_ones:
        assert not torch.isclose(partial(getattr(reductions, name), logaddexp)(z, y).mean(), mean, rtol=1e-6), name
