"""Bounds between rounding and faults: each lies between what was measured, or is known, on its two sides.

Where the figures come from stands beside each bound. A bound out of this table's range has other reasons, or none.
"""

import ast
import importlib
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from mlnn.comparing.explaining.repairs import REPAIRS, Repair

EPS32, EPS64 = torch.finfo(torch.float32).eps, torch.finfo(torch.float64).eps

BOUNDS: dict[str, dict[str, tuple[float, float]]] = {
    # Equal pairs on one side, the smallest fault on the other.
    "comparing.differences": {
        "ULPS": (4, 45), "CHUNKED": (1, 4), "FRAMEWORK": (0.029, 0.2), "BELOW": (1, 16), "LOST": (1e-3, 0.5),
        "STEADY": (10 * EPS64, 1e-10), "NEARBY": (16 * EPS32, 1e-3), "NULLS": (2, 8),
    },
    "comparing.evidence": {
        "SHRINK": (1e3, 2**29 / 64), "EXPLAINED": (20, 2000), "EXPLAINED_ON_AVERAGE": (3, 100), "BEYOND_NULLS": (2.8, 6),
        "FEW_ULPS": (1, 100), "FLOOR": (6e-15, 1e-13), "SAME_FACTOR": (1e-14, 1e-10), "MOST_COARSE": (100 * EPS32, 0.05),
        "NULLS": (1.4, 6), "ALONE_ULPS": (2.3, 45), "LENGTH": (0.32, 1), "SMALL": (1e-5, 0.1),
    },
    "comparing.batch": {"ROUNDED": (4 * EPS32, 1e-4)},
    "comparing.decide": {"SIGHT": (1e-4, 0.05), "ONE_SHIFT": (10 * EPS64, 1e-9), "FACTOR_SLACK": (2, 100)},
    "comparing.rules": {"FEWEST": (0.01, 0.5)},
    "comparing.resolution": {"ACTS_AT": (0.1, 1)},
    "comparing.observe": {"OVERFLOWING": (1e-9, 1e-3)},
    "comparing.ends": {"DEAD": (1e-9, 1e-3), "FADED": (0.013, 0.2), "FLAT": (1e-9, 1e-3)},
    "comparing.kinks": {"NEAR": (1e4 * EPS64, 1e-4), "JUMP": (1e-5, 0.5), "EQUAL": (1, 2)},
    "comparing.probe": {"ALIKE": (1e-9, 1e-4), "FAR": (37, 90), "LOSING": (1e-3, 0.1), "CLEARLY": (2, 100)},
    "comparing.local_probe": {"STEADY_SHIFT": (1e3 * EPS64, 1e-6)},
    "comparing.nulls": {"LEAST": (0.1, 1)},
    "comparing.undefined": {"NEAR": (0.1, 4)},
    "comparing.seeds": {"LEVEL": (0.01, 0.1)},
    "comparing.sentence": {"NEAR_ONE": (1e-6, 1e-2), "MUCH_MORE": (1.1, 10)},
    "comparing.places_seen": {"MUCH_MORE": (1.1, 10)},
    "comparing.places": {"LEAST": (1e-3, 0.1)},
    # Of an explanation: what a right repair leaves, and what a wrong one does.
    "comparing.explaining.cause": {
        "VANISHED": (1e-9, 1e-3), "ROUNDING": (2e-14, 1e-11), "LEAST": (1e-12, 1e-8), "SAME_VALUE": (10 * EPS64, 1e-9),
        "STRIDE": (1e-8, 1e-4), "SETTLED": (EPS64, 1e-12),
    },
    "comparing.explaining.where": {
        "NOTHING": (1e-11, 1e-6), "CLEAN": (1e-15, 1e-10), "FAINT": (1e-9, 1e-3), "SHARE": (0.01, 0.5), "LITTLE": (1e-4, 0.1),
        "SAME_RATIO": (1e-12, 1e-6),
    },
    "comparing.explaining.backward": {"STEP": (1e-5, 0.1), "KNOWN": (1e-11, 1e-6), "FALLS": (1e-6, 0.1)},
    "comparing.explaining.columns": {"CERTAIN": (40, 700)},
    "comparing.explaining.weighings": {"STEADY": (1e3 * EPS64, 1e-6)},
    "comparing.explaining.factors": {"CLOSE": (1e3 * EPS64, 1e-6), "NEAR_ONE": (1e-6, 1e-2)},
    "comparing.explaining.carried": {"KNOWN": (1e-13, 1e-6)},
    "comparing.explaining.reductions": {"CLOSE": (1e3 * EPS64, 1e-6)},
    "comparing.explaining.rates": {"ROUNDING": (1e-14, 1e-9), "LOST": (EPS64, 100 * EPS64)},
    "comparing.explaining.side": {"ADDS_UP": (1e3 * EPS64, 1e-6)},
    "comparing.explaining.explain": {"SCALE": (1, 10)},
    "comparing.explaining.onset": {"FARTHEST": (40, 700)},
    "objectives.reduction": {"CLOSE": (1e3 * EPS64, 1e-6), "SUMMED": (37, 1000)},
    "objectives.grid": {"OFF": (1.0001, 1.01), "MODERATE": (2, 8), "NEARLY": (1e-3, 0.1), "ASIDE": (1e-6, 0.1)},
    "objectives.precision": {
        "MATTERS": (4, 1000), "OFF": (30, 1e5), "MOST_OFF": (0.05, 1), "STEP": (2 * EPS32, 1e-5), "NOISY": (1e-15, 1e-8),
        "MOST": (0.5, 1), "SOME": (0.2, 0.8),
    },
    "objectives.habits": {"UPSTREAM": (0.1, 0.9), "APART": (0.01, 0.2)},
    "training.twins": {"STIR": (0.01, 1)},
    "training.stacking.checking": {"NEAR": (0.3, 0.7), "SAME": (4, 1e4)},
}  # fmt: skip
LADDERS = {
    "comparing.places": ("SCALES", "WEIGHT_SCALES", "MOVES", "DRAWN", "STRAYED"),
    "objectives.grid": ("MAGNITUDES", "FURTHER", "FURTHER_OF_MANY"),
    "comparing.resolution": ("SIZES",),
}
"""Numbers in a row, each farther than the one before, and by no more than a step."""
WIDEST = {"SCALES": 30.0, "MAGNITUDES": 100.0, "WEIGHT_SCALES": 30.0}


def named(module: str, name: str) -> float:
    found = getattr(importlib.import_module(f"mlnn.{module}"), name)
    assert isinstance(found, float)
    return found


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, bounds in BOUNDS.items() for name in bounds])
def test_a_bound_lies_between_what_is_known_on_its_two_sides(module: str, name: str) -> None:
    low, high = BOUNDS[module][name]
    assert high / low < 1e9
    assert low < named(module, name) < high


def own_floats(module: str) -> set[str]:
    """The names in capitals that a module gives a float of its own."""
    found = importlib.import_module(f"mlnn.{module}")
    assert found.__file__ is not None
    names = {
        part.id
        for line in ast.parse(Path(found.__file__).read_text(encoding="utf-8")).body
        if isinstance(line, ast.Assign)
        for part in ast.walk(line)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }
    return {name for name in names if name.isupper() and isinstance(getattr(found, name), float)}


@pytest.mark.parametrize("module", BOUNDS)
def test_every_bound_of_these_modules_stands_in_the_table(module: str) -> None:
    assert {name for name in own_floats(module) if not name.startswith("_")} == BOUNDS[module].keys()


def test_bounds_of_one_thing_are_in_order() -> None:
    where, cause = "comparing.explaining.where", "comparing.explaining.cause"
    assert named(where, "CLEAN") < named(where, "NOTHING") < named(where, "FAINT")
    assert named(where, "LITTLE") < named(where, "SHARE")
    assert named(cause, "SETTLED") < named(cause, "ROUNDING") < named(cause, "LEAST")
    assert named("comparing.ends", "DEAD") < named("comparing.ends", "FADED")
    assert named("comparing.evidence", "EXPLAINED_ON_AVERAGE") < named("comparing.evidence", "EXPLAINED")
    assert named("objectives.precision", "SOME") < named("objectives.precision", "MOST")


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in LADDERS.items() for name in names])
def test_numbers_in_a_row_climb_by_steps(module: str, name: str) -> None:
    numbers = getattr(importlib.import_module(f"mlnn.{module}"), name)
    assert all(later > earlier for earlier, later in pairwise(numbers))
    sizes = sorted({abs(number) for number in numbers} - {0.0})
    assert all(later / earlier <= WIDEST.get(name, 10.5) for earlier, later in pairwise(sizes))
    assert sizes[-1] <= 1000


@pytest.mark.parametrize("repair", [repair for repair in REPAIRS if repair.starts], ids=lambda repair: repair.words)
def test_a_size_is_sought_from_where_such_faults_are(repair: Repair) -> None:
    """Between its ends, from sizes that people choose: shares to 1, temperatures and exponents about 1, caps on raw outputs."""
    assert (repair.low, repair.high) in {(-math.inf, math.inf), (0.0, math.inf), (0.0, 1.0)}
    share = any(word in repair.words for word in ("smooth", "probability inside"))
    assert (repair.high == 1.0) == (share and "cap" not in repair.words)
    most = 30.0 if "cap" in repair.words else 1.0 if repair.high == 1.0 else 2.0
    assert all(repair.low <= start <= most for start in repair.starts)
    steps = sorted(start for start in repair.starts if start)
    assert all(later / earlier < 101 for earlier, later in pairwise(steps))
