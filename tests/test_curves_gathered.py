"""From logs to loss curves: which series is the loss, what a curve is called, and what is said of it, each case alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlnn.comparing.curves.gather import _listed, _of_run, gather, source
from mlnn.errors import ConfigError, RunFolderError
from mlnn.logs import Log, Series
from mlnn.runs import Run


def series(name: str, value: Any = (3.0, 2.0, 1.0), step: Any = None, wall: Any = None, tokens: Any = None) -> Series:
    count = len(value)
    places = np.arange(count) if step is None else np.array(step)
    unknown = np.full(count, np.nan)
    told = [unknown if one is None else np.array(one, dtype=float) for one in (wall, tokens)]
    return Series(name, places, np.array(value, dtype=float), *told)


def log(path: str, *found: Series, notes: tuple[str, ...] = ()) -> Log:
    return Log(Path(path), "CSV", {one.name: one for one in found}, notes)


def taken(*logs: Log, metric: tuple[str, ...] = ()) -> list[str]:
    return [dict(one.origin)["series"] for one in gather(logs, metric).curves]


LONG = (3.0, 2.0, 1.0, 0.5)


@pytest.mark.parametrize(("found", "loss"), [
    ([series("loss")], "loss"), ([series("acc")], "acc"), ([series("acc"), series("my_loss")], "my_loss"),
    ([series("val_loss", LONG), series("loss")], "loss"), ([series("loss/a"), series("loss/b", LONG)], "loss/b"),
    ([series("eval_loss"), series("test nll", LONG), series("lossless")], "test nll"), ([series("acc"), series("NLL")], "NLL"),
])  # fmt: skip
def test_which_series_of_a_log_is_its_loss(found: list[Series], loss: str) -> None:
    assert taken(log("a", *found)) == [loss]


def test_logs_that_share_the_name_of_a_loss_are_compared_by_it() -> None:
    one, two = log("a", series("x_loss", LONG), series("loss")), log("b", series("acc"), series("loss"))
    assert taken(one, two) == ["loss", "loss"]
    assert taken(one, log("c", series("y_loss"), series("acc"))) == ["x_loss", "y_loss"]
    with pytest.raises(ConfigError, match="nothing in c is called a loss; name a series of it: acc, f1"):
        gather([log("c", series("acc"), series("f1"))])


def test_which_series_was_taken_is_said_with_those_that_could_be() -> None:
    said = gather([log("a", series("loss"), series("val_loss")), log("b", series("loss"))]).notes
    assert said == [
        "The loss of a is taken to be 'loss'. Also there: val_loss; metric=… chooses.",
        "The loss of b is taken to be 'loss'.",
    ]
    assert _listed(["a", "b"], 2) == "a, b"
    assert _listed(["a", "b", "c"], 2) == "a, b, … (3)"


def test_series_that_are_named_are_drawn_of_each_log_that_has_them() -> None:
    one, two = log("a", series("loss"), series("acc")), log("b", series("acc"))
    assert taken(one, two, metric=("acc",)) == ["acc", "acc"]
    assert [curve.name for curve in gather([one, two], ("acc", "loss")).curves] == ["a acc", "a loss", "b"]
    for metric, words in (("f1", "unknown series 'f1'"), ("loss", "b has none of loss")):
        with pytest.raises(ConfigError, match=words):
            gather([one, two], (metric,))


def test_what_a_reader_of_a_curve_should_know() -> None:
    resumed = series("loss", (3.0, 2.0, np.nan, 1.0, np.inf), (0, 1, 2, 1, 1200), notes := None)
    assert notes is None
    found = gather([log("a", resumed, notes=("it says so.",))])
    assert found.notes[1:] == [
        "a: it says so.", "a, 'loss': 2 segments, as the step falls (first back to 1): a resume, or logs joined.",
        "a, 'loss': not finite at 2 of 5 points, first at step 2.",
    ]  # fmt: skip
    assert found.curves[0].origin == (("format", "CSV"), ("series", "loss"), ("points", "5"), ("segments", "2"))
    plain = gather([log("a", series("loss"))])
    assert plain.notes == ["The loss of a is taken to be 'loss'."]
    assert plain.curves[0].origin == (("format", "CSV"), ("series", "loss"), ("points", "3"))


@pytest.mark.parametrize(("align", "at", "words"), [
    ("tokens", {"tokens": (8, 16, 24)}, None), ("time", {"wall": (5, 6, 7)}, None),
    ("tokens", {"wall": (5, 6, 7)}, "no token counts at its"),
    ("time", {"tokens": (8, 16, 24)}, "no times for"), ("step", {}, None),
])  # fmt: skip
def test_a_log_that_does_not_tell_its_places_cannot_be_aligned(
    align: str, at: dict[str, Any], words: str | None
) -> None:
    given = [log("a", series("loss", **at))]
    if words is None:
        place = gather(given, align=align).curves[0].place.tolist()
        assert place == {"tokens": [8, 16, 24], "time": [0, 1, 2], "step": [0, 1, 2]}[align]
    else:
        with pytest.raises(ConfigError, match=words):
            gather(given, align=align)


def run(**trace: Any) -> Run:
    about = {"left": "bce", "seed": 3}
    return Run(Path("r"), "", {name: np.array(value) for name, value in trace.items()}, None, {}, {}, about)  # type: ignore[arg-type]


@pytest.mark.parametrize(("given", "names", "paths"), [
    (run(step=[0, 1], loss=[3.0, 2.0]), ["r"], ["r "]), (run(step=[0, 1], acc=[3.0, 2.0]), [], []),
    (run(step=[0, 1], loss_left=[3.0, 2.0], loss_right=[3.0, 1.0]), ["r bce", "r right"], ["r left", "r right"]),
])  # fmt: skip
def test_the_curves_of_a_run_folder(given: Run, names: list[str], paths: list[str]) -> None:
    found = _of_run("r", given, "step")
    assert ([curve.name for curve in found], [curve.path for curve in found]) == (names, paths)
    assert all(curve.ground.seed == 3 for curve in found)


@pytest.mark.parametrize(("given", "align", "error", "words"), [
    (run(loss=[3.0]), "step", RunFolderError, "a column 'step' of whole numbers"),
    (run(step=[0.5], loss=[3.0]), "step", RunFolderError, "damaged"),
    (run(step=[0], loss=[3.0]), "tokens", ConfigError, "keeps steps, not tokens"),
])  # fmt: skip
def test_a_trace_without_steps_and_a_run_without_tokens(
    given: Run, align: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        _of_run("r", given, align)


def test_a_folder_with_checksums_is_a_run_and_anything_else_a_log(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n0,3\n1,2\n", encoding="utf-8")
    assert isinstance(source(tmp_path / "log.csv"), Log)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checksums.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunFolderError):
        source(tmp_path / "run")
