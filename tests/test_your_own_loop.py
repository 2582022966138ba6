"""The script of docs/your_own_loop.md: before and after train alike, and after is handed over as it is."""

import random
import runpy
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from app_cases import ROOT

import mlnn
from mlnn.comparing.verdict import Verdict

pytestmark = pytest.mark.proves

FOLDER = ROOT / "docs" / "your_own_loop"
FEW = ["--steps", "3", "--rows", "2", "--accumulate", "2"]


@cache
def script() -> dict[str, Any]:
    return runpy.run_path(str(FOLDER / "after.py"))


def told(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("sys.argv", [name, *FEW])
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    return capsys.readouterr().out


def test_before_and_after_print_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (told(name, monkeypatch, capsys) for name in ("before.py", "after.py"))
    assert first == second
    assert "held out" in first


def verdict(kind: str) -> Verdict:
    parts = script()
    said = parts["parsed"](FEW)
    draws = random.Random(0)
    batches = [parts["examples"](4, draws) for _ in range(3)]
    optimizer = partial(parts["made_optimizer"], said)
    left, right = (
        mlnn.LaneRecipe(optimizer=optimizer, update=update, accumulate=2)
        for update in (parts["Update"](said), variants()[kind](said))
    )
    return mlnn.compare(
        parts["Model"], left, right, batches, optimizer=optimizer, steps=3, batch_size=None, null_twins=0
    ).verdict


@cache
def variants() -> dict[str, Any]:
    parts = script()
    update, ignored = parts["Update"], parts["IGNORED"]

    class Chunked(update):  # type: ignore[misc]
        @staticmethod
        def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            kept = labels != ignored
            logits = logits[kept].float()
            return (logits.logsumexp(1) - logits.gather(1, labels[kept][:, None])[:, 0]).sum()

    class AllCounted(update):  # type: ignore[misc]
        """A position that is ignored is learnt, as a label of its own."""

        @staticmethod
        def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(
                logits.flatten(0, 1).float(), labels.clamp(min=0).flatten(), reduction="sum"
            )

    class Clipped(update):  # type: ignore[misc]
        def __init__(self, said: Any) -> None:
            super().__init__(said.__class__(**vars(said) | {"clip": 0.1}))

    class Decayed(update):  # type: ignore[misc]
        def __call__(self, model: Any, optimizer: Any, batches: Any) -> Any:
            optimizer.param_groups[1]["weight_decay"] = 0.05
            return super().__call__(model, optimizer, batches)

    return {"chunked": Chunked, "all positions": AllCounted, "clip at 0.1": Clipped, "norms decay too": Decayed}


@pytest.mark.rest
def test_a_new_loss_in_the_old_loop_is_the_same_and_computes_in_bfloat16() -> None:
    found = verdict("chunked")
    assert found.relation == "indistinguishable", found.sentence
    assert "same mathematics" in found.sentence
    assert found.computes_in == {"left": "bfloat16", "right": "bfloat16"}
    assert found.resolution is not None
    assert found.resolution <= 1e-11


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("all positions", "gradients differ by"),
        ("norms decay too", "gradients agree, but from the same weights"),
    ],
)
def test_faults_in_it_are_found(kind: str, words: str) -> None:
    found = verdict(kind)
    assert found.relation == "different"
    assert words in found.sentence, found.sentence


@pytest.mark.rest
def test_a_tighter_clip_scales_the_gradient_and_leaves_the_loss() -> None:
    found = verdict("clip at 0.1")
    assert found.relation == "scaled", found.sentence
    assert found.scale == pytest.approx(0.1, rel=1e-3)


def test_the_scripts_are_as_long_as_the_page_says() -> None:
    page = Path(ROOT / "docs" / "your_own_loop.md").read_text(encoding="utf-8")
    assert f"an ordinary script of {len((FOLDER / 'before.py').read_text(encoding='utf-8').splitlines())} lines" in page
