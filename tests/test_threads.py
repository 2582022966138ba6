"""Several at once in threads of one process: each as if it were alone; in one folder, one of them and clear errors."""

import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from app_cases import assert_short
from kept_cases import deep, run, told

from mlnn.cli.app import start

SMALL = ("batch_size=16", "steps=4")
COMMANDS = (
    ("compare", "data=spector", "model=logistic", *SMALL),
    ("train", "data=spector", "model=mlp", "model.dropout=0.3", "dtype=float64", "seed=3", *SMALL),
    ("audit", "objective=focal"),
    ("compare", "data=diabetes", "model=mlp", "pair=normal", "seed=5", *SMALL),
)
RECIPES: tuple[dict[str, Any], ...] = (
    {"steps": 6},
    {"steps": 5, "batch_size": 8, "model": deep(dropout=0.3), "dtype": "float64", "seed": 4},
    {"steps": 5, "batch_size": None, "model": deep(norm="batch"), "seed": 2, "mode": "verdict", "null_twins": 0},
    {"steps": 4, "batch_size": 32, "dtype": "bfloat16", "seed": 9, "engine": "plain", "null_twins": 2, "threads": 2},
)
PIECES = ("trace.csv", "about.json", "data.json", "certificate.json")
Found = TypeVar("Found")


def at_once(count: int, work: Callable[[int], Found]) -> list[Found]:
    """What work on 0, 1, … gives in as many threads, which begin together."""
    together = threading.Barrier(count, timeout=60)

    def begin(number: int) -> Found:
        together.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def outside() -> tuple[Any, ...]:
    """What belongs to the process, and is to be as before."""
    return torch.get_num_threads(), torch.get_default_dtype(), list(warnings.filters)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("count", [2, 4])
def test_comparisons_that_differ_have_the_bits_that_each_has_alone(count: int) -> None:
    expected = [told(run(**recipe)) for recipe in RECIPES[:count]]
    before = outside(), torch.get_rng_state().tolist()
    assert at_once(count, lambda number: told(run(**RECIPES[number]))) == expected
    assert (outside(), torch.get_rng_state().tolist()) == before


@pytest.mark.rest
@pytest.mark.sampled(2)
@pytest.mark.parametrize("count", [2, 4])
def test_commands_that_differ_give_what_each_gives_alone(count: int, tmp_path: Path) -> None:
    def done(where: str, number: int) -> tuple[int, list[bytes]]:
        out = tmp_path / f"{where}{number}"
        code = start(COMMANDS[number][0], [*COMMANDS[number][1:], f"out={out}"])
        return code, [(out / name).read_bytes() for name in PIECES if (out / name).exists()]

    expected, before = [done("alone", number) for number in range(count)], outside()
    assert {code for code, _ in expected} == {0}
    assert at_once(count, partial(done, "together")) == expected
    assert outside() == before


def test_commands_in_one_folder_are_one_run_and_clear_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*COMMANDS[0][1:], f"out={tmp_path / 'run'}"]
    assert sorted(at_once(2, lambda _: start("compare", words))) == [0, 5]
    assert_short(capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
