"""From run folders and logs to loss curves: which series of a log is its loss, what it is called, where its points lie."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlnn.comparing.curves.curve import Curve, Ground, placed
from mlnn.errors import ConfigError, RunFolderError, unknown
from mlnn.logs import Limits, Log, Series, read_log
from mlnn.runs import Run, read_run
from mlnn.visible import shown

LOSS = re.compile(r"(?:^|[^a-z])(?:loss|nll)(?:$|[^a-z])")
"""What the name of a loss has, in small letters, among its parts."""
_HELD_OUT = re.compile(r"eval|val|valid|validation|test|dev")
_SPLIT = re.compile(r"[^a-z]+")
CHECKSUMS = "checksums.json"


@dataclass(frozen=True)
class Gathered:
    """Curves of several runs, and what should be said about them, a sentence each."""

    curves: list[Curve]
    notes: list[str]


def source(path: Path | str, limits: Limits | None = None, step: str | None = None) -> Run | Log:
    """What lies at a path: a run folder, which has checksums, or a log. RunFolderError, DataError, ConfigError."""
    folder = Path(path)
    if "\0" not in str(path) and os.path.lexists(folder / CHECKSUMS):
        return read_run(folder)
    return read_log(folder, limits, step)


def gather(sources: Sequence[Run | Log], metric: Sequence[str] = (), align: str = "step") -> Gathered:
    """The loss curves of runs and logs: one of a training run, left's and right's of a comparison, `metric` of a log.

    metric: names of series, each log gives those that it has; (): its loss, and a note says which. align: step, tokens, time.
    Raises ConfigError for a series that no log has or a place that a log does not tell, RunFolderError for a damaged trace.
    """
    names = _short_names([one.path for one in sources])
    logs = [(name, one) for name, one in zip(names, sources, strict=True) if isinstance(one, Log)]
    chosen, notes = _choose(logs, metric)
    found: list[Curve] = []
    for name, one in zip(names, sources, strict=True):
        if isinstance(one, Run):
            found += _of_run(name, one, align)
        else:
            found += [_of_log(name, one, series, align, len(chosen[name]) > 1) for series in chosen[name]]
            notes += [
                *(f"{name}: {note}" for note in one.notes),
                *(note for series in chosen[name] for note in _about(name, series)),
            ]
    return Gathered(found, list(dict.fromkeys(notes)))


def _of_run(name: str, run: Run, align: str) -> list[Curve]:
    if "step" not in run.trace or run.trace["step"].dtype != np.int64:
        raise RunFolderError(f"{run.path}: trace.csv is damaged: a column 'step' of whole numbers belongs there")
    if align != "step":
        raise ConfigError(f"align: {shown(run.path, 200)} is a run folder, which keeps steps, not {align}; align=step")
    ground, found = Ground.of(run), []
    for column, word in (("loss", None), ("loss_left", "left"), ("loss_right", "right")):
        if column in run.trace:
            label = name if word is None else f"{name} {shown(run.about.get(word, word))}"
            loss = run.trace[column].astype(np.float64)
            found.append(Curve(label, run.trace["step"], loss, ground, path=f"{run.path} {word or ''}"))
    return found


def _of_log(name: str, log: Log, series: Series, align: str, several: bool) -> Curve:
    at = placed(series, align)
    if at is not None and not np.isfinite(at).any():
        what = "no token counts at its steps" if align == "tokens" else "no times"
        raise ConfigError(
            f"align: {shown(log.path, 200)} holds {what} for '{shown(series.name)}'; align=step needs none"
        )
    parts = len(series.segments)
    origin = [("format", log.kind), ("series", shown(series.name)), ("points", f"{len(series.step):,}")]
    origin += [("segments", str(parts))] if parts > 1 else []
    label = f"{name} {shown(series.name)}" if several else name
    return Curve(label, series.step, series.value, at=at, origin=tuple(origin), path=f"{log.path} {series.name}")


def _about(name: str, series: Series) -> list[str]:
    """What a reader of a curve should know: where its step falls, and where it is not finite."""
    parts, bad, said = series.segments, np.flatnonzero(~np.isfinite(series.value)), f"{name}, '{shown(series.name)}'"
    notes = []
    if len(parts) > 1:
        at = series.step[parts[1].start]
        notes.append(
            f"{said}: {len(parts)} segments, as the step falls (first back to {at:,}): a resume, or logs joined."
        )
    if len(bad):
        notes.append(
            f"{said}: not finite at {len(bad):,} of {len(series.step):,} points, first at step {series.step[bad[0]]:,}."
        )
    return notes


def _choose(logs: Sequence[tuple[str, Log]], metric: Sequence[str]) -> tuple[dict[str, list[Series]], list[str]]:
    """(name of the log → the series to draw, notes)."""
    if metric:
        every = dict.fromkeys(name for _, log in logs for name in log.series)
        lost = next((name for name in metric if name not in every), None)
        if lost is not None:
            raise ConfigError(f"metric: {unknown('series', lost, every)}")
        found = {name: [log.series[one] for one in metric if one in log.series] for name, log in logs}
        empty = next((name for name, series in found.items() if not series), None)
        if empty is not None:
            raise ConfigError(f"metric: {shown(empty, 200)} has none of {', '.join(map(shown, metric))}")
        return found, []
    losses = {name: _losses(log) for name, log in logs}
    shared = [one for one in next(iter(losses.values()), []) if all(one in others for others in losses.values())]
    picked = {name: shared[0] if shared else own[0] for name, own in losses.items()}
    return {name: [log.series[picked[name]]] for name, log in logs}, _which(losses, picked)


def _which(losses: dict[str, list[str]], picked: dict[str, str]) -> list[str]:
    """Which series was taken for the loss, a sentence for all logs alike; `losses`: those that could be."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, own in losses.items():
        alike.setdefault((picked[name], *(one for one in own if one != picked[name])), []).append(name)
    return [
        f"The loss of {_listed(names, 8)} is taken to be '{shown(taken)}'."
        + (f" Also there: {_listed(list(map(shown, others)), 5)}; metric=… chooses." if others else "")
        for (taken, *others), names in alike.items()
    ]


def _listed(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f", … ({len(names)})" if len(names) > most else "")


def _losses(log: Log) -> list[str]:
    """Names of its losses, that of training first; of a single series, that; ConfigError where nothing is called a loss."""
    found = [name for name in log.series if LOSS.search(name.lower()) or len(log.series) == 1]
    if not found:
        near = ", ".join(map(shown, list(log.series)[:12]))
        raise ConfigError(f"metric: nothing in {shown(log.path, 200)} is called a loss; name a series of it: {near}")
    return sorted(found, key=lambda name: (_is_held_out(name), -len(log.series[name].step)))


def _is_held_out(name: str) -> bool:
    return any(_HELD_OUT.fullmatch(part) for part in _SPLIT.split(name.lower()))


def _short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, with as much of it as it takes to tell them apart; one given twice is numbered."""
    for depth in range(1, 9):
        names = ["/".join(map(shown, path.resolve().parts[-depth:])) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{shown(path.name)} #{number}" for number, path in enumerate(paths, 1)]
