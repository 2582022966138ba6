"""The benchmark of training: sides in turn, ratios round by round, what is missing is said. What is timed here is never judged."""

import dataclasses
import json
import math
import re
from pathlib import Path

import pytest
import training_growth as growth
import training_sides
from app_cases import assert_short, command
from tables import in_markdown
from training_cells import BATCH, ROWS, Cell
from training_clock import Block, Clock
from training_race import Raced, Ratio, race_comparing, race_training
from training_tables import comparing_listings, growth_listing, training_listings

from mlnn.errors import ConfigError

CELL = Cell("mlp_1x32", "float32")
ODD = re.compile(r"\b(nan|inf)\b")
pytestmark = pytest.mark.rest


@pytest.fixture(scope="module")
def raced() -> Raced:
    return race_training(CELL, [2], 2, 0.02)


@pytest.fixture(scope="module")
def compared() -> Raced:
    return race_comparing(Cell("mlp_1x32", "float64"), 2, 10)


def test_sides_take_turns_and_every_second_round_turns_about(raced: Raced, compared: Raced) -> None:
    for one in (raced, compared):
        sides = [block.side for block in one.blocks]
        half = len(sides) // 2
        assert sides[:half] == sides[half:][::-1]
        assert len(set(sides)) == half >= 3
        assert [block.round for block in one.blocks] == [0] * half + [1] * half


def test_all_sides_train_the_same_network_and_take_time(raced: Raced) -> None:
    assert {"loop", "loader", "one lane", "mlnn 2"} <= {block.side for block in raced.blocks}
    assert raced.engine == "stacked"
    assert raced.apart < 1e-5
    for block in raced.blocks:
        assert 0 < block.processor < 1
        assert 0 < block.wall < 1
        assert 0 <= block.start < 60


def test_the_tables_hold_finite_numbers_for_all_that_was_run(raced: Raced, compared: Raced) -> None:
    found = [*training_listings([raced], [2]), *comparing_listings([compared])]
    page = in_markdown("Speed", found, ["not installed: something"])
    assert not ODD.search(page)
    assert page.startswith("# Speed\n\nnot installed: something\n\n## Times")
    assert all(len(line) == len(listing.header) for listing in found for line in listing.lines)
    (line,) = found[0].lines
    numbers = re.findall(r"\d+\.\d+", " ".join(line))
    assert len(numbers) >= 3 * 3
    assert all(math.isfinite(float(number)) for number in numbers)
    assert float(comparing_listings([compared])[0].lines[0][3].split()[0]) > 0


def blocks(**seconds: tuple[float, ...]) -> Raced:
    found = [Block(side, at, one, 2 * one, 0.0) for side, told in seconds.items() for at, one in enumerate(told)]
    return Raced(CELL, tuple(found[::-1]), "stacked", 0.0)


def test_a_ratio_is_taken_within_each_round() -> None:
    one = blocks(slow=(8.0, 4.0, 90.0), fast=(2.0, 2.0, 30.0))
    assert one.ratio("slow", "fast") == Ratio(3.0, 2.0, 4.0)
    assert one.ratio("slow", "fast", "wall", 2.0) == Ratio(1.5, 1.0, 2.0)
    assert str(one.ratio("slow", "fast")) == "3.00 (2.00–4.00)"
    assert one.ratio("slow", "absent") is None
    assert one.middle("fast") == 2.0
    assert one.middle("absent") is None


def test_a_clock_counts_from_its_warm_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("training_clock.time.process_time", lambda: now[0])
    monkeypatch.setattr("training_clock.time.perf_counter", lambda: 3 * now[0])
    clock = Clock(2.0, 4, begun=90.0)
    told = []
    for done in (2, 4, 6, 8, 10):  # half a second a step, after ten seconds of preparation
        now[0] = 100.0 + done / 2
        told.append(clock.tick(done))
    assert told == [False, False, False, True, True]
    now[0] += 3
    assert clock.block("a", 1) == Block("a", 1, 0.5, 1.5, 10.0, 3.0)
    assert not clock.tick(1), "it began anew"
    with pytest.raises(ValueError, match="a: no two steps were marked"):
        clock.block("a", 0)


def test_a_cell_is_an_epoch_of_batches_of_one_size() -> None:
    assert len(CELL.data()) == ROWS
    assert ROWS % BATCH == 0
    with pytest.raises(ConfigError, match="networks: unknown network 'mpl'"):
        Cell("mpl", "float32")
    with pytest.raises(ConfigError, match="dtypes: unknown dtype 'float16'"):
        Cell("node", "float16")


def test_a_side_whose_package_is_not_there_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_sides, "EXTRAS", {"jax": "no_such_package", "lightning": "neither_this"})
    assert training_sides.missing() == ["jax", "lightning"]
    names = [side.name for side in training_sides.training_sides([2, 3])]
    assert names == ["loop", "loader", "one lane", "mlnn 2", "mlnn 3"]


def test_a_point_of_growth_and_the_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(growth, "BASE", growth.BASE | {"steps": 3, "rows": 64, "null twins": 1})
    monkeypatch.setattr(growth, "WARM", 2)
    found = [growth.point("models", 2), growth.point("steps", 4), growth.point("steps", 2)]
    for one in found:
        assert one.processor > 0
        assert one.memory >= 0
    growth.draw(found, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    assert len(growth_listing(found).lines) == 3
    assert set(growth.QUICK) <= set(growth.AXES) == set(growth.BASE)
    assert dataclasses.asdict(found[0])["axis"] == "models"


@pytest.mark.slow
def test_the_command_writes_tables_numbers_and_a_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("quick=true", "networks=[node]", "dtypes=[float32]", "models=[2]", "out=here")
    done = command("training_speed", *words)
    assert done.code == 0
    assert {"results.md", "speed.json", "growth.png"} <= {path.name for path in Path("here").iterdir()}
    found = json.loads(Path("here/speed.json").read_text())
    assert found["training"][0]["cell"] == {"network": "node", "dtype": "float32"}
    assert not ODD.search(Path("here/results.md").read_text(encoding="utf-8"))
    for name in found["left_out"]:
        assert name in done.out
    done = command("training_speed", "networks=[nod]", "out=there")
    assert done.code == 2
    assert_short(done.err)
