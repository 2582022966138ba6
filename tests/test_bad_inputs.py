"""Bad inputs, named: each ends with its exit code in at most eight lines, no traceback, and leaves nothing half-written."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_cases import assert_short, command, listing
from bad_input_cases import BAD, FILES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEWEST = 100
ARCHITECTURES = {
    # model, with data that it takes, and an objective of that kind of target
    "logistic": ("spector", "bce"),
    "mlp": ("iris", "cross_entropy"),
    "resmlp": ("diabetes", "mse"),
    "conv": ("digits", "categorical"),
    "recurrent": ("longley", "normal"),
    "transformer": ("spector", "hinge"),
    "resnet": ("digits_parity", "bernoulli_nll"),
    "sigmoid_node": ("spector", "focal"),
    "free": ("randhie", "poisson"),
}
EVERYWHERE = {
    # what is bad whatever the architecture and the objective; what the message must name
    "objective=huberr": "'huber'", "objective._target_=os.system": "'os.system'", "optimizer.lr=nan": "optimizer.lr",
    "batch_size=1000000": "batch_size", "dtype=float23": "'float32'", "device=gpu": "device", "outputs=odds": "'odds'",
    "+model.depht=2": "depht", "~objective": "objective",
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    sys.modules.pop("own_parts", None)


def refused(words: tuple[str, ...], code: int, named: tuple[str, ...]) -> None:
    before = listing(Path())
    done = command(*words)
    assert done.code == code, done
    assert_short(done.err)
    for text in named:
        assert text in done.err
    assert listing(Path()) == before


def test_there_are_enough_of_them() -> None:
    assert len(BAD) >= FEWEST
    assert {bad.words[0] for bad in BAD.values()} >= {
        "train",
        "compare",
        "growth",
        "audit",
        "estimate",
        "curves",
        "diff",
        "lift",
    }


@pytest.mark.sampled(12)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_input_is_met_in_a_few_words(name: str) -> None:
    refused(*BAD[name])


@pytest.mark.sampled(15)
@pytest.mark.parametrize("wrong", EVERYWHERE)
@pytest.mark.parametrize("model", ARCHITECTURES)
def test_of_every_architecture_and_kind_of_objective(model: str, wrong: str) -> None:
    data, objective = ARCHITECTURES[model]
    words = ("train", f"model={model}", f"data={data}", f"objective={objective}", "steps=1", "batch_size=8")
    refused((*words, wrong), 2, (EVERYWHERE[wrong],))


@pytest.mark.sampled(5)
@pytest.mark.parametrize("model", ARCHITECTURES)
def test_the_same_without_the_mistake_runs(model: str) -> None:
    data, objective = ARCHITECTURES[model]
    done = command(
        "train", f"model={model}", f"data={data}", f"objective={objective}", "steps=1", "batch_size=8", "out=here"
    )
    assert done.code == 0, done


GOOD = {
    "steps": ("1", "2"),
    "batch_size": ("1", "7", "null"),
    "seed": ("0", "3"),
    "dtype": ("float32", "float64"),
    "model": ("logistic", "mlp"),
    "objective": ("bce", "hinge", "focal"),
    "optimizer": ("sgd", "adam"),
    "optimizer.lr": ("0.1", "1e-3"),
    "threads": ("1",),
}
WRONG = (
    "0",
    "-1",
    "x",
    "nan",
    "inf",
    "1e400",
    "null",
    "[]",
    "[1,2]",
    "{}",
    "true",
    "''",
    "1.5",
    "99999999999999999999",
    "${seed}",
    "${nope}",
    "???",
    "os.system",
    "../x",
    "1,2",
    "'a b'",
    "float16",
    "mse",
    "cross_entropy",
    "recurrent",
    "lbfgs",
)


@st.composite
def words(draw: st.DrawFn) -> tuple[bool, tuple[str, ...]]:
    """(Whether every value is one that belongs there, a command line): of two lines one is wrong in one key or more."""
    keys = draw(st.lists(st.sampled_from(sorted(GOOD)), unique=True, max_size=5))
    bad = (
        draw(st.lists(st.sampled_from(sorted(GOOD)), unique=True, min_size=1, max_size=2))
        if draw(st.booleans())
        else []
    )
    right = [f"{key}={draw(st.sampled_from(GOOD[key]))}" for key in keys if key not in bad]
    wrong = [f"{key}={draw(st.sampled_from(WRONG))}" for key in bad]
    return not bad, (*right, *wrong)


def ends_well(given_words: tuple[str, ...], valid: bool) -> None:
    """It runs, or ends in a short error of a code for that; a line of good values runs."""
    base = ("data=spector", "model=logistic", "steps=1", "batch_size=8")
    done = command("train", *base, *given_words, "out=out", "overwrite=true")
    assert "Traceback" not in done.err
    assert done.code in ((0,) if valid else (0, 2, 4)), done
    if done.code:
        assert_short(done.err)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words())
def test_random_configs_never_end_in_a_traceback(drawn: tuple[bool, tuple[str, ...]]) -> None:
    ends_well(drawn[1], drawn[0])


@pytest.mark.slow
@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words())
def test_many_random_configs_never_end_in_a_traceback(drawn: tuple[bool, tuple[str, ...]]) -> None:
    ends_well(drawn[1], drawn[0])


def test_something_that_is_not_refused_fails_here() -> None:
    with pytest.raises(AssertionError):
        refused(("train", "data=spector", "model=logistic", "steps=1", "batch_size=8", "out=here"), 2, ())
    with pytest.raises(AssertionError):
        ends_well(("steps=0",), valid=True)
