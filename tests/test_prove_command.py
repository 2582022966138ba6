"""mlnn prove: what it leaves, how it ends, and its page."""

import json
import sys
from pathlib import Path

import pytest
from app_cases import command, write

from mlnn.proving import Proof, prove
from mlnn.proving.briefly import line
from mlnn.proving.page import proof_page
from mlnn.proving.replay import replay

OWN = """
from torch.nn import functional as F

def threshold(z, y):
    return F.softplus(z) - y * z

def branch(z, y):
    return z if z.sum() > 0 else y - z
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write(Path(), {"my_losses_p.py": OWN})
    return tmp_path


def told(folder: str = "here") -> dict:
    return json.loads((Path(folder) / "proof.json").read_text())


def test_a_proof_is_left_with_its_boxes_and_a_page() -> None:
    done = command("prove", "require=equal", "out=here")
    assert (done.code, done.err) == (0, "")
    assert (told()["answer"], told()["left"], told()["right"]) == ("proved", "bce_with_logits", "bernoulli_nll_log1p")
    assert replay(told()["paper"]).failed == ()
    assert {"config.yaml", "environment.json", "report.html", "checksums.json"} <= {
        path.name for path in Path("here").iterdir()
    }
    assert "✓ proved" in done.out
    assert "✓ proved" in Path("here/report.html").read_text()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("words", "code", "answer", "named"),
    [
        (("objective@left=mse", "objective@right=normal", "require=scaled"), 0, "differs", "2 times right plus −ln 2π"),
        (("objective@left=mse", "objective@right=normal", "require=equal"), 1, "differs", "required 'equal'"),
        (("loss=my_losses_p:threshold", "require=equal"), 1, "differs", "[20, 34.5387763949]"),
        (("loss=my_losses_p:threshold", "domain=[-19, 19]", "require=equal"), 0, "proved", "[−19, 19]"),
        (("loss=my_losses_p:branch", "require=equal"), 1, "undecided", "_local_scalar_dense"),
        (("objective@left=cross_entropy", "objective@right=nll_loss", "classes=5"), 0, "proved", "all 5 targets"),
    ],
    ids=["scaled", "scaled only", "own", "domain", "undecided", "classes"],
)
def test_how_it_ends(words: tuple[str, ...], code: int, answer: str, named: str) -> None:
    done = command("prove", *words, "out=here")
    said = " ".join((done.out + done.err).replace("│", " ").split())
    assert (done.code, told()["answer"]) == (code, answer), said
    assert named in said


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("require=same",), "'same'"), (("domain=[5, -5]",), "domain"), (("boxes=0",), "boxes"), (("tolerance=0",), "tolerance"),
        (("domain=[0, 1e9]",), "10000"), (("objective@left=mse",), "binary"), (("loss=my_losses_p:gone",), "gone"),
    ],
)  # fmt: skip
def test_bad_usage_ends_with_two_and_leaves_nothing(words: tuple[str, ...], named: str) -> None:
    done = command("prove", *words, "out=here")
    assert done.code == 2
    assert named in done.err
    assert not Path("here").exists()


def test_without_ball_arithmetic_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flint", None)
    done = command("prove", "out=here")
    assert done.code == 2
    assert "pip install 'mlnn[proof]'" in done.err


def test_a_page_shows_points_names_and_what_nobody_could_ask() -> None:
    from proof_cases import BERNOULLI

    page = proof_page(prove(BERNOULLI["with_logits"], BERNOULLI["relu"]), ("<b>", "[red]"))
    assert "&lt;b&gt; against [red]" in page
    assert "wrong at this place alone" in page
    assert "Proved equal on [−88, 88]" in page
    nothing = Proof("undecided", "undecided: why", (-88, 88), 1e-15, reason="<i>why")
    assert "Undecided: &lt;i&gt;why." in proof_page(nothing, ("a", "b"))
    assert line(nothing) == "undecided: <i>why"
