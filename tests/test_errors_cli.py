"""Every mistake a person can make on the command line: the right exit code, a few words, and nothing written."""

import traceback
from pathlib import Path
from unittest.mock import patch

import pytest
from app_cases import SMALL, assert_short, command, listing, write

CONF = {
    "conf/experiment/typo.yaml": "# @package _global_\nstesp: 5\n",
    "conf/experiment/inner.yaml": "# @package _global_\ndefaults:\n  - override /model: mlp\nmodel: {depht: 3}\n",
    "conf/experiment/old.yaml": "# @package _global_\nright: {prior: 0.1}\n",
    "conf/experiment/typed.yaml": "# @package _global_\nthreads: many\n",
    "conf/experiment/trusting.yaml": "# @package _global_\ntrust: [os]\n",
    "conf/experiment/secret.yaml": "# @package _global_\nout: ${oc.env:HOME}\n",
    "conf/experiment/hidden.yaml": "# @package _global_\ndtype: oc.env\nout: ${${dtype}:HOME}\n",
    "conf/experiment/broken.yaml": "# @package _global_\nsteps: [1\n",
    "conf/experiment/called_back.yaml": (
        "# @package _global_\nhydra: {callbacks: {x: {_target_: shutil.copyfile, src: data.csv, dst: written}}}\n"
    ),
    "conf/experiment/logged.yaml": (
        "# @package _global_\nhydra: {job_logging: {version: 1, root: {handlers: [x]}, handlers: {x: "
        "{class: logging.FileHandler, filename: written}}}}\n"
    ),
    "conf/experiment/environment.yaml": "# @package _global_\nhydra: {job: {env_set: {PATH: here}}}\n",
    "conf/data/shell.yaml": "_target_: os.system\ncommand: touch written\n",
    "conf/model/my_net.yaml": "_target_: mlnn.models.MLP\n_partial_: true\ndepht: 3\n",
    "conf/model/deep.yaml": "_target_: mlnn.models.MLP\n_partial_: true\nactivation: {_target_: os.system, command: ls}\n",
    "conf/ladder/key.yaml": "one: [+modle=mlp]\n",
    "conf/ladder/type.yaml": "one: [steps=many]\n",
    "conf/ladder/shell.yaml": "one: [model._target_=os.system]\n",
    "conf/ladder/flat.yaml": "one: model=mlp\n",
    "conf/ladder/fine.yaml": "one: [model=logistic]\n",
    "data.csv": "a,b,y\n1,5,0\n2,6,1\n3,7,0\n4,8,1\n",
    "nan.csv": "a,b,y\n1,5,0\n2,,1\n3,7,0\n4,8,1\n",
    "inf.csv": "a,b,y\n1,5,0\n2,6,1\n3,7,0\n-inf,8,1\n",
    "text.csv": "a,b,y\n1,5,0\n2,six,1\n3,7,0\n4,8,1\n",
    "labels.csv": "a,b,y\n1,5,0\n2,6,1\n3,7,2\n4,8,1\n",
    "empty.csv": "a,b,y\n",
    "single.csv": "a,b,y\n1,5,1\n2,6,1\n3,7,1\n4,8,1\n",
    "full/notes.txt": "mine\n",
    "file": "mine\n",
}
MINE = ("--config-dir", "conf")
TINY = ("steps=1", "model=logistic", "batch_size=2", "null_twins=0")

USAGE = [
    # what was typed, then what the message must name: the key, and the nearest thing that exists
    (("stesp=3",), ("'stesp'", "'steps'")),
    (("dta=spector",), ("'dta'", "'data'")),
    (("objective@lefft=bce",), ("'objective@lefft'", "'objective@left'")),
    (("data=spectr",), ("data: ", "'spectr'", "'spector'")),
    (("objective@left=bec",), ("objective: ", "'bec'", "'bce'")),
    (("model=mlp", "model.depht=2"), ("'model.depht'", "'model.depth'")),
    (("experiment=depth",), ("experiment/depth", "'ladder'")),
    ((*MINE, "experiment=typo"), ("stesp", "'steps'")),
    ((*MINE, "experiment=inner", "model=mlp"), ("model.depht", "'depth'")),
    ((*MINE, "experiment=typed"), ("threads: ", "'many'", "whole number")),
    ((*MINE, "experiment=broken"), ("broken.yaml", "line 2")),
    ((*MINE, "model=my_net"), ("model.depht", "'depth'")),
    (("--config-dir", "cnof"), ("cnof",)),
    (("steps",), ("steps", "cannot be read")),
    (("out=a=b",), ("out=a=b", "quote")),
    (("steps=abc",), ("steps: ", "'abc'", "whole number")),
    (("out=3",), ("out: ", "3")),
    (("~data",), ("data: ",)),
    (("data=null",), ("group",)),
    (("lanes.left.outputs=probability",), ("outputs", "'probabilities'")),
    (("lanes.left.model=-1",), ("lanes.left.model: ", "-1")),
    (("jobs=-1", "seeds=[0]"), ("jobs: ", "-1")),
    (("lanes.right.accumulate=0",), ("accumulate: ", "0")),
    (("right.accumulate=4",), ("right.accumulate: ", "lanes.right.accumulate")),
    (("+right.accumulate=4",), ("right.accumulate: ", "lanes.right.accumulate")),
    (("+model@right.model=mlp",), ("right.model", "lanes.right.model")),
    (("left.optimizer.fused=true",), ("left.optimizer.fused: ", "lanes.left.optimizer.fused")),
    ((*MINE, "experiment=old"), ("right.prior: ", "lanes.right.prior")),
    (("batch_size=33",), ("batch_size: ", "33", "32 training rows")),
    (("dtype=float23",), ("dtype: ", "'float23'", "'float32'")),
    (("device=gpu",), ("device: ", "'gpu'", "'cpu'")),
    (("require=equall",), ("require: ", "'equall'", "'equal'")),
    (("domain=[3,-3]",), ("domain: ", "[3, -3]")),
    (("seeds=[0,0]",), ("seeds: ", "[0, 0]")),
    (("model=conv",), ("Conv", "images", "(3,)")),
    (("optimizer.lr=-1",), ("optimizer", "-1")),
    (("+optimizer.lrr=1",), ("optimizer.lrr", "'lr'")),
    (("model._target_=torch.nn.Bilinear",), ("model",)),
    (("seed=${oc.env:HOME}",), ("seed: ", "oc.env")),
    (("seed=${nothing}",), ("seed", "nothing")),
    ((*MINE, "experiment=secret"), ("out: ", "oc.env")),
    ((*MINE, "experiment=hidden"), ("out: ", "resolver")),
    ((*MINE, "experiment=trusting"), ("trust: ", "command line")),
    (("trust=[os.path]",), ("trust: ", "top-level")),
    (("model._target_=os.system",), ("model._target_: ", "'os.system'", "trust=[os]")),
    ((*MINE, "data=shell"), ("data._target_: ", "'os.system'", "trust=[os]")),
    ((*MINE, "model=deep"), ("model.activation._target_: ", "'os.system'")),
    ((*MINE, "experiment=called_back"), ("hydra.callbacks",)),
    ((*MINE, "experiment=logged"), ("hydra.job_logging",)),
    ((*MINE, "experiment=environment"), ("hydra.job.env_set",)),
    (("data=table",), ("data.path",)),
    (("data=table", "data.path=data.csv", "data.target=y", "data.features=[y]"), ("data.features", "'y'")),
]

OTHER_USAGE = [
    ("train", ("objective=bec",), ("objective: ", "'bec'", "'bce'")),
    ("train", ("outputs=probability",), ("outputs", "'probabilities'")),
    ("train", ("optimizer.lr=abc",), ("optimizer",)),
    ("growth", ("seeds=[0.5]",), ("seeds: ", "0.5")),
    ("growth", ("jobs=two",), ("jobs: ", "'two'")),
    ("growth", (*MINE, "ladder=key"), ("ladder.one", "modle", "'model'")),
    ("growth", (*MINE, "ladder=type"), ("ladder.one", "steps", "'many'")),
    ("growth", (*MINE, "ladder=shell"), ("ladder.one", "model._target_", "'os.system'")),
    ("growth", (*MINE, "ladder=flat"), ("ladder: ",)),
    ("growth", (*MINE, "ladder=fine", "batch_size=99", "jobs=1"), ("batch_size: ", "99")),
    ("curves", (), ("runs: ",)),
    ("curves", ("full", "page=3"), ("page: ", "3")),
    ("curves", ("pgae=x.html",), ("'pgae'", "'page'")),
]

DATA = [
    (("data.path=nan.csv",), ("nan.csv", "row 2", "'b'", "missing")),
    (("data.path=inf.csv",), ("inf.csv", "row 4", "'a'", "-inf")),
    (("data.path=text.csv",), ("text.csv", "row 2", "'b'", "'six'")),
    (("data.path=labels.csv", "data.targets=binary"), ("labels.csv", "row 3", "2")),
    (("data.path=empty.csv",), ("empty.csv", "no rows")),
    (("data.path=single.csv",), ("single: ", "1", "two")),
    (("data.path=nothing.csv",), ("nothing.csv", "no file")),
    (("data.path=data.csv", "data.target=yy"), ("data.csv", "'yy'", "'y'")),
    (("data.path=data.csv", "data.features=[a,bb]"), ("data.csv", "'bb'", "'b'")),
]

FOLDERS = [
    ("compare", (*SMALL, "out=full"), ("full", "not empty", "overwrite=true")),
    ("compare", (*SMALL, "out=full", "overwrite=true"), ("full", "not an mlnn run")),
    ("compare", (*SMALL, "out=file"), ("file", "is a file")),
    ("train", (*SMALL, "out=full"), ("full", "not empty")),
    ("growth", (*SMALL, "out=full", "ladder=precision"), ("full", "not empty")),
]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, CONF)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(code: int, named: tuple[str, ...], name: str, *words: str) -> None:
    """The command is refused with this code, in a few words that name these things, and it writes nothing."""
    before = listing(Path())
    done = command(name, *words)
    assert (done.code, done.out.strip()) == (code, ""), done
    assert_short(done.err)
    for text in named:
        assert text in done.err
    assert listing(Path()) == before


def called(words: tuple[str, ...]) -> str:
    return " ".join(words) or "nothing"


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("words", "named"), USAGE, ids=[called(words) for words, _ in USAGE])
def test_bad_usage(words: tuple[str, ...], named: tuple[str, ...]) -> None:
    # Options come before the overrides, as the help says.
    options, words = (words[:2], words[2:]) if words[0].startswith("--") else ((), words)
    refused(2, named, "compare", *options, *SMALL, "null_twins=0", *words)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("name", "words", "named"), OTHER_USAGE, ids=[f"{n} {called(w)}" for n, w, _ in OTHER_USAGE])
def test_bad_usage_of_other_commands(name: str, words: tuple[str, ...], named: tuple[str, ...]) -> None:
    options, words = (words[:2], words[2:]) if words[:1] == ("--config-dir",) else ((), words)
    small = () if name == "curves" else (*SMALL[:3], "seeds=[0]") if name == "growth" else SMALL
    refused(2, named, name, *options, *small, *words)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("words", "named"), DATA, ids=[called(words) for words, _ in DATA])
def test_bad_data(words: tuple[str, ...], named: tuple[str, ...]) -> None:
    refused(3, named, "compare", *TINY, "data=table", "data.target=y", "data.held_out=0", *words)


def test_good_data_of_the_same_kind_runs() -> None:
    words = ("data=table", "data.target=y", "data.held_out=0", "data.path=data.csv", "out=here")
    assert command("compare", *TINY, *words).code == 0


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("name", "words", "named"), FOLDERS, ids=[f"{n} {called(w)}" for n, w, _ in FOLDERS])
def test_bad_folders(name: str, words: tuple[str, ...], named: tuple[str, ...]) -> None:
    # Training first and looking at the folder afterwards would lose the run.
    with (
        patch("mlnn.comparing.configured.run_comparison", side_effect=AssertionError("trained first")),
        patch("mlnn.cli.cells.growth", side_effect=AssertionError("trained first")),
        patch("mlnn.training.train", side_effect=AssertionError("trained first")),
    ):
        refused(5, named, name, *words)


def test_a_folder_below_a_file() -> None:
    refused(5, ("file/below", "cannot write"), "train", *SMALL, "out=file/below")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("nowhere",), ("nowhere", "no file or folder")),
        (("full",), ("full", "no run folder and no log", "Lightning's metrics.csv")),
        (("file", "page=x.html"), ("file", "no log that is read", "Lightning's metrics.csv")),
    ],
)
def test_what_is_neither_run_nor_log(words: tuple[str, ...], named: tuple[str, ...]) -> None:
    refused(3, named, "curves", *words)


def test_a_page_that_cannot_be_written() -> None:
    assert command("train", *SMALL, "out=here").code == 0
    refused(5, ("page: ", "no/such/x.html"), "curves", "here", "page=no/such/x.html")


def test_a_run_that_was_changed_is_refused() -> None:
    assert command("train", *SMALL, "out=here").code == 0
    Path("here/trace.csv").write_text("step,loss\n0,1.0\n", encoding="utf-8")
    refused(5, ("trace.csv", "changed"), "curves", "here")


def test_every_message_that_is_too_long_or_a_traceback_fails_here() -> None:
    try:
        raise ValueError("planted")
    except ValueError:
        trace = traceback.format_exc()
    for message in ("", trace, f"error: {trace}", "error: " + "x" * 401, "error: a\n" * 6, "something else"):
        with pytest.raises(AssertionError):
            assert_short(message)


def test_something_written_fails_here() -> None:
    with pytest.raises(AssertionError):
        refused(0, (), "train", *SMALL, "out=here")
