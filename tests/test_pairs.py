"""Every pair through compare, train and growth on data that fit it: the relation found is the one its file states."""

from pathlib import Path

import pytest
from app_cases import CONFIGS, command, write

from mlnn.runs import read_run

SAME = ("equal", "bitwise", "indistinguishable")
PAIRS = {  # data that fit, and what the verdict may say
    "bernoulli": (("data=spector",), SAME),
    "soft_margin": (("data=spector",), SAME),
    "categorical": (("data=iris",), SAME),
    "normal": (("data=diabetes",), ("scaled",)),
    "normal_learned_variance": (("data=diabetes",), ("shifted",)),
    "laplace": (("data=diabetes",), ("shifted",)),
    "quantile": (("data=diabetes", "left.tau=0.9", "right.tau=0.9"), ("shifted",)),
    "svr": (("data=diabetes",), ("shifted",)),
    "huber": (("data=diabetes",), ("shifted",)),
    "log_cosh": (("data=diabetes",), ("shifted",)),
    "von_mises": (("data=diabetes",), ("shifted",)),
    "poisson": (("data=cpunish",), ("shifted",)),
    "negative_binomial": (("data=cpunish",), SAME),
    "gamma": (("data=synthetic", "data.likelihood=gamma"), SAME),
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_pair_is_here() -> None:
    assert {path.stem for path in (CONFIGS / "pair").glob("*.yaml")} == set(PAIRS)


@pytest.mark.sampled(9)
@pytest.mark.parametrize("pair", PAIRS)
def test_a_pair_gives_the_relation_it_states(pair: str) -> None:
    words, relations = PAIRS[pair]
    shared = (*words, "steps=4", "batch_size=16", "model.depth=1", "model.width=4", "model.activation=tanh")
    done = command("compare", f"pair={pair}", *shared, "null_twins=0", "out=here")
    assert (done.code, done.err) == (0, "")
    found = read_run("here")
    assert found.verdict is not None
    assert found.verdict["relation"] in relations, found.verdict["sentence"]
    own = [word.replace("left.", "objective.") for word in shared if not word.startswith("right.")]
    done = command("train", f"objective={found.verdict['about']['left']}", *own, "out=left")
    assert (done.code, done.err) == (0, "")
    assert read_run("left").about["likelihood"]["rows"] > 0


def test_a_pair_whose_arguments_differ_is_found_out() -> None:
    words = ("data=diabetes", "steps=4", "batch_size=16", "model=logistic", "null_twins=0", "out=here")
    assert command("compare", "pair=quantile", "left.tau=0.9", "right.tau=0.8", *words).code == 0
    assert read_run("here").verdict["relation"] == "different"


@pytest.mark.slow
@pytest.mark.parametrize("pair", ["categorical", "normal_learned_variance"])
def test_pairs_with_several_outputs_grow(pair: str) -> None:
    write(Path(), {"conf/ladder/two.yaml": "two: [model.depth=2]\n"})
    words = (*PAIRS[pair][0], "steps=3", "batch_size=16", "null_twins=0", "seeds=[0]", "jobs=1", "out=here")
    done = command("growth", "--config-dir", "conf", f"pair={pair}", "ladder=two", *words)
    assert (done.code, done.err) == (0, "")
    assert len(Path("here/growth.csv").read_text(encoding="utf-8").splitlines()) == 2
