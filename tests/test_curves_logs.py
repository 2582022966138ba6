"""Logs of other tools side by side, with each other and with stored runs: what curves alone say, and what they do not."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_cases import command
from log_cases import events, write_all
from test_curves import stored

from mlnn.comparing.curves.apart import MOST_CURVES, Kept, apart, differences, kept
from mlnn.comparing.curves.curve import Curve
from mlnn.comparing.curves.figures import MOST, overlay_figure
from mlnn.comparing.curves.gather import gather, source
from mlnn.comparing.curves.groups import band, finals, groups
from mlnn.comparing.curves.growth import Growth, growth
from mlnn.comparing.curves.smooth import smoothed
from mlnn.comparing.curves.told import MORE, told
from mlnn.errors import ConfigError

STEP = np.arange(400)
LOSS = 2 * np.exp(-STEP / 100) + 0.1 * np.abs(np.random.default_rng(0).standard_normal(400))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def drifted(seed: int, doubling: float = 20.0) -> np.ndarray:
    """The loss once more with a difference of 1e-9 that doubles, up to 1e-3."""
    size = np.minimum(1e-9 * 2 ** (STEP / doubling), 1e-3)
    return LOSS + size * np.random.default_rng(seed).standard_normal(len(STEP))


def curve(name: str, loss: Any, step: Any = None, path: str = "") -> Curve:
    values = np.array(loss, dtype=float)
    return Curve(name, np.arange(len(values)) if step is None else np.array(step), values, path=path)


def jsonl(name: str, loss: Any, step: Any = None, **more: Any) -> None:
    steps = range(len(loss)) if step is None else step
    rows = [{"step": int(at), "loss": float(value)} | {key: one[i] for key, one in more.items()}
            for i, (at, value) in enumerate(zip(steps, loss, strict=True))]  # fmt: skip
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_a_log_of_every_format_lies_beside_a_stored_run() -> None:
    write_all(Path())
    stored("run", {"loss": [2.0, 1.0]})
    paths = ["run", *sorted(path.name for path in Path().glob("*") if path.is_file())]
    done = command("curves", *paths, "page=x.html")
    assert (done.code, done.err) == (0, "")
    said = " ".join(done.out.split())
    assert "events − history.json 4 0 0" in said
    assert "run − events 1 0 0" in said
    assert "The loss of events, history.json, log.jsonl, metrics.csv, trainer_state.json is taken to be 'loss'." in said
    assert "The loss of long.csv is taken to be 'a loss'." in said
    assert MORE in said


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (LOSS, LOSS, "the same at all 400 places that both have, in what is kept (both keep full digits)"),
        (LOSS, np.where(STEP == 7, np.nextafter(LOSS, 9), LOSS), f"first differ at step 7, {float(LOSS[7])!r} against"),
        (LOSS, np.where(STEP == 7, np.nextafter(LOSS, 9), LOSS), ", 1 ulps apart (both keep full digits"),
        (
            LOSS,
            LOSS.astype(np.float32),
            "the same at all 400 places that both have, in what is kept (right keeps float32",
        ),
        (
            LOSS.astype(np.float32),
            np.nextafter(LOSS.astype(np.float32), np.float32(9)),
            ", 1 ulps apart (both keep float32",
        ),
        (LOSS, np.round(LOSS, 8), "in what is kept (right keeps 8 decimals)"),
        (
            np.round(LOSS, 8),
            np.round(LOSS, 8).astype(np.float32),
            "the same at all 400 places that both have, in what is kept (right keeps float32",
        ),
        (LOSS, np.round(LOSS, 4), "in what is kept (right keeps 4 decimals)"),
        (LOSS, np.round(LOSS, 4) + 1e-4 * (STEP == 9), "1 in the last decimal apart (right keeps 4 decimals"),
        (LOSS, np.full(400, 0.7), "undecided; the loss of right never moved"),
        (np.full(400, math.log(2)), np.full(400, math.log(2)), "undecided; the loss of left and right never moved"),
        (
            np.where(STEP > 5, np.nan, LOSS),
            np.where(STEP > 5, np.nan, LOSS),
            "the same at all 6 places that both have, in what is kept (both keep full digits; at 394 more both are NaN",
        ),
        (LOSS, np.where(STEP > 5, np.nan, LOSS), "against nan, ∞ ulps apart"),
    ],
)
def test_what_the_digits_say(left: np.ndarray, right: np.ndarray, words: str) -> None:
    pair = [curve("left", left), curve("right", right)]
    said = told(pair, differences(pair)[0]).sentences
    assert words in said[0]
    assert said[-1] == MORE


def test_without_a_common_step_nothing_is_said() -> None:
    pair = [curve("left", LOSS), curve("right", LOSS, STEP + 1000)]
    assert apart(*pair).answer == "undecided"
    assert told(pair, differences(pair)[0]).sentences == []


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1.0, 2.0, math.nan], Kept("decimals", 0)),
        ([0.1234, 0.5, math.inf], Kept("decimals", 4)),
        ([0.1234567, 2.07722677], Kept("decimals", 8)),
        ([0.1234567, 2.0772267663096681], Kept("float64")),
        ([2.0**-7, 2.0**-20], Kept("float32")),
        ([np.float32(0.1234567), np.float32(1e-9)], Kept("float32")),
        ([math.nan], Kept("float64")),
        ([1e300, 1e-300], Kept("float64")),
    ],
)
def test_in_what_a_log_keeps_its_values(values: list[float], found: Kept) -> None:
    assert kept(np.array(values, dtype=float)) == found


def test_the_doubling_time_of_a_difference_is_found_with_its_uncertainty() -> None:
    for doubling in (10.0, 20.0):
        found = growth(STEP, np.abs(drifted(1, doubling) - LOSS))
        assert isinstance(found, Growth)
        assert found.grows
        assert found.quickest < found.doubling < found.slowest
        assert found.doubling == pytest.approx(doubling, rel=0.1)
        assert found.last < doubling * 20  # where it is full at the latest
    missed = [growth(STEP, np.abs(drifted(seed) - LOSS)) for seed in range(20)]
    assert sum(isinstance(one, Growth) and one.quickest < 20 < one.slowest for one in missed) >= 17


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (np.zeros(50), "there is no difference that could grow"),
        (np.full(50, np.nan), "there is no difference that could grow"),
        (np.full(50, 0.5), "as large as it gets within 1 point of its first"),
        (np.array([*np.zeros(20), 1e-9, *np.zeros(20), 1.0]), "only 2 differ"),
    ],
)
def test_why_there_is_no_doubling_time(gap: np.ndarray, words: str) -> None:
    found = growth(np.arange(len(gap)), gap)
    assert isinstance(found, str)
    assert words in found


def test_a_difference_that_does_not_grow_is_not_said_to() -> None:
    """Of even size, with one spike of ten times that late: its points up to there are fitted, and rise nowhere."""
    gap = np.abs(np.random.default_rng(3).standard_normal(400)) + 0.5
    gap[390] = 100
    pair = [curve("left", LOSS), curve("right", LOSS + gap)]
    assert "not shown to grow (fitted over step 0 to 390" in told(pair, differences(pair)[0]).sentences[1]


def test_a_null_pair_is_told_beside_and_drawn() -> None:
    for name, seed in (("a", None), ("b", 1), ("n1", 2), ("n2", 3)):
        jsonl(name, LOSS if seed is None else drifted(seed))
    done = command("curves", "a", "b", "null_pair=[n1,n2]", "page=x.html")
    said = " ".join(done.out.split())
    assert (done.code, done.err) == (0, "")
    assert "null pair n1 − n2: doubles every" in said
    assert "The median ratio of a − b to it is 0." in said
    page = Path("x.html").read_text(encoding="utf-8")
    assert page.count("null pair n1 \\u2212 n2") == 1
    assert "Grey: the null pair." in page
    for words in (["null_pair=[n1]"], ["null_pair=[n1,n2]", "align=time"], ["null_pair=[n1,n2]", "group=n"]):
        assert command("curves", "n1", "n2", *words).code == 2


def test_a_resume_is_drawn_as_it_was_and_its_later_values_are_compared() -> None:
    jsonl("a", [4, 3, 2.5, 9, 9, 2, 1.5], [0, 1, 2, 3, 4, 3, 4])
    jsonl("b", [4, 3, 2.5, 2, 1.5])
    found = gather([source("a"), source("b")])
    assert "a, 'loss': 2 segments, as the step falls (first back to 3): a resume, or logs joined." in found.notes
    gaps, notes = differences(found.curves)
    assert gaps[0].gap.tolist() == [0, 0, 0, 0, 0]
    assert "a: 2 of its steps are logged more than once; all are drawn, the later one is compared." in notes
    figure = overlay_figure(found.curves)
    assert figure is not None
    assert list(figure.data[0].x) == [0, 1, 2, 3, 4, None, 3, 4]
    assert list(figure.data[0].y) == [4, 3, 2.5, 9, 9, None, 2, 1.5]


def test_logs_of_other_intervals_are_compared_at_the_steps_that_both_have() -> None:
    jsonl("often", LOSS)
    jsonl("seldom", LOSS[::10], STEP[::10])
    found = gather([source("often"), source("seldom")])
    gaps, notes = differences(found.curves)
    assert gaps[0].step.tolist() == STEP[::10].tolist()
    assert notes == ["often and seldom: losses of 400 and 40 steps are kept; compared on the 40 they share."]


def test_tokens_align_runs_of_other_batch_sizes() -> None:
    jsonl("small", LOSS, tokens=(STEP * 8).tolist())
    jsonl("large", LOSS[::2], tokens=(STEP[::2] * 8).tolist())
    sources = [source("small"), source("large")]
    assert differences(gather(sources).curves)[0][0].gap.max() > 0.1
    [gap] = differences(gather(sources, align="tokens").curves)[0]
    assert (len(gap.step), gap.gap.max(), gap.step[-1]) == (200, 0, 398 * 8)
    done = command("curves", "small", "large", "align=tokens", "page=x.html")
    assert "at tokens" in done.out
    assert "tokens %{x}" in Path("x.html").read_text(encoding="utf-8")


def test_time_is_drawn_and_not_compared() -> None:
    for name in "ab":
        jsonl(name, LOSS, time=(1.7e9 + STEP * 2.0).tolist())
    jsonl("c", LOSS)
    done = command("curves", "a", "b", "align=time", "page=x.html")
    assert "no two points lie at the same time" in done.out
    assert gather([source("a")], align="time").curves[0].place[-1] == 798
    for words, found in (
        (("a", "c"), "c holds no times for 'loss'"),
        (("a", "b", "group=a"), "no two runs have points at the same time"),
    ):
        done = command("curves", *words, "align=time")
        assert (done.code, found in done.err) == (2, True), done.err
    stored("run", {"loss": [1.0]})
    assert "is a run folder, which keeps steps" in command("curves", "run", "align=tokens").err


def test_which_series_is_the_loss() -> None:
    Path("a").write_text("step,val_loss,lossless,train/loss,acc\n0,1,2,3,4\n1,1,2,3,4\n", encoding="utf-8")
    Path("b").write_text("step,loss,eval_loss\n0,3,4\n1,3,4\n", encoding="utf-8")
    Path("c").write_text("step,acc,f1\n0,3,1\n1,3,1\n", encoding="utf-8")
    Path("d").write_text("Wall time,Step,Value\n1.7e9,0,3\n1.7e9,1,3\n", encoding="utf-8")
    assert [dict(one.origin)["series"] for one in gather([source("d")]).curves] == ["Value"]
    found = gather([source("a"), source("b")])
    assert [dict(one.origin)["series"] for one in found.curves] == ["train/loss", "loss"]
    assert found.notes[0] == "The loss of a is taken to be 'train/loss'. Also there: val_loss; metric=… chooses."
    assert [one.name for one in gather([source("a")], ["acc", "val_loss"]).curves] == ["a acc", "a val_loss"]
    for words, said in (
        (("c",), "nothing in c is called a loss; name a series of it: acc, f1"),
        (("a", "metric=ac"), "unknown series 'ac'. Did you mean 'acc'"),
        (("a", "b", "metric=acc"), "b has none of acc"),
    ):
        done = command("curves", *words)
        assert (done.code, said in done.err) == (2, True), done.err
    done = command("curves", "a", "c", "metric=[acc]", "page=x.html")
    assert done.code == 0, done.err


def seeds(shift: float = 0.0, spread: float = 0.01, arms: tuple[str, ...] = ("adam", "sgd")) -> list[Curve]:
    found = []
    for arm in arms:
        for seed in range(5):
            noise = spread * np.random.default_rng(seed).standard_normal(400)
            own = 0.001 * np.random.default_rng(10 + seed).standard_normal(400)
            loss = LOSS + noise + (own + shift if arm == "sgd" else 0)
            found.append(curve(f"{arm}{seed}", loss, path=f"runs/{arm}/seed={seed}/x loss"))
    return found


def test_runs_that_differ_in_a_number_alone_are_one_band() -> None:
    made = groups(seeds(), "seed")
    assert [(group.name, sorted(group.members)) for group in made] == [
        ("adam", [0, 1, 2, 3, 4]),
        ("sgd", [0, 1, 2, 3, 4]),
    ]
    one = band(made[0])
    losses = np.stack([member.loss for member in made[0].members.values()])
    np.testing.assert_array_equal(one.low, losses.min(0))
    np.testing.assert_array_equal(one.middle, np.median(losses, 0))
    np.testing.assert_array_equal(one.high, losses.max(0))
    for spelt in ("seed3", "seed_3", "SEED 3", "seed-3/x"):
        assert groups([curve("a", LOSS, path=f"runs/{spelt} loss")], "seed")[0].members.keys() == {3}


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["a/3", "b/seed=3"], "'a/3' has no number after 'seed', as seed=3, seed_3 or seed3 would be"),
        (["a/seed=3", "a/seed=3"], "two runs 'a/' have the number 3 after 'seed'"),
        (["a/reseed=3"], "has no number after 'seed'"),
    ],
)
def test_a_group_needs_different_numbers(paths: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        groups([curve("x", LOSS, path=path) for path in paths], "seed")


def test_final_losses_are_tested_for_equivalence_over_the_numbers_that_both_have() -> None:
    for shift, equivalent in ((0.0, True), (0.1, False)):
        left, right = groups(seeds(shift)[:9], "seed")
        found = finals(left, right, 0.05)
        assert not isinstance(found, str)
        assert (found.numbers, found.place, found.test.equivalent) == ((0, 1, 2, 3), 399, equivalent)
    left, right = groups(seeds()[:6], "seed")
    assert "share 1 of their numbers" in str(finals(left, right, 0.05))


def test_the_command_draws_bands_and_tells_the_test() -> None:
    for one in seeds():
        jsonl(one.path.removesuffix(" loss"), one.loss)
    paths = [one.path.removesuffix(" loss") for one in seeds()]
    done = command("curves", *paths, "group=seed", "smooth=10", "margin=0.1", "page=x.html")
    said = " ".join(done.out.split())
    assert (done.code, done.err) == (0, "")
    assert (
        "sgd against adam, mean of the last 10 values up to step 399, 5 runs each, paired by number (0, 1, 2, 3, 4)"
        in said
    )
    assert "Final losses are equivalent within ±" in said
    assert "nats" not in said
    assert MORE in said
    page = Path("x.html").read_text(encoding="utf-8")
    assert "adam (5 runs)" in page
    assert "Smoothed: the mean of the last 10 values." in page


def test_smoothing_is_a_mean_within_a_segment() -> None:
    found = smoothed(curve("a", [1, 2, 3, np.nan, 5, 6, 7, 8], [0, 1, 2, 3, 4, 5, 6, 0]), 2).loss
    np.testing.assert_array_equal(found, [1, 1.5, 2.5, np.nan, np.nan, 5.5, 6.5, 8])
    whole = smoothed(curve("a", LOSS), 50).loss
    assert whole[399] == pytest.approx(LOSS[350:].mean(), abs=1e-12)
    assert whole[20] == pytest.approx(LOSS[:21].mean(), abs=1e-12)


def test_of_a_long_curve_every_spike_is_drawn() -> None:
    loss = np.ones(100_000)
    loss[[5, 777, 99_990]] = [50, -50, 70]
    figure = overlay_figure([curve("a", loss)])
    assert figure is not None
    assert len(figure.data[0].x) <= MOST
    assert {50, -50, 70} <= set(figure.data[0].y)
    resumed = replace(curve("a", np.concatenate([loss, loss])), step=np.concatenate([np.arange(100_000)] * 2))
    figure = overlay_figure([resumed])
    assert figure is not None
    assert len(figure.data[0].x) <= MOST
    assert list(figure.data[0].y).count(70) == 2
    assert list(figure.data[0].x).count(None) == 1


def test_of_many_curves_each_is_compared_with_the_first() -> None:
    found = [curve(str(i), LOSS + i) for i in range(MOST_CURVES + 1)]
    gaps, notes = differences(found)
    assert [one.name for one in gaps] == [f"0 − {i}" for i in range(1, MOST_CURVES + 1)]
    assert notes == ["Of 9 curves each is compared with the first, 0."]


def test_tensorboard_says_what_it_keeps() -> None:
    Path("a").write_bytes(events(STEP.tolist(), LOSS.tolist()))
    jsonl("b", LOSS)
    done = command("curves", "a", "b", "page=x.html")
    said = " ".join(done.out.split())
    assert "a: TensorBoard keeps losses in float32, about 7 digits." in said
    assert "the same at all 400 places that both have, in what is kept (a keeps float32, about 7 digits)" in said
