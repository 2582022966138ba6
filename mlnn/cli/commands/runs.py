"""What lies in a folder of runs, and is it whole? runs.py list|verify|show|clean [FOLDER …]"""

import os
from pathlib import Path

from mlnn.cli.said import Said
from mlnn.keys import RunsSettings

FOLDER = "runs"
TOLD = 5
"""Damaged runs that an error names."""


def run(settings: RunsSettings, said: Said) -> None:
    from mlnn.errors import ConfigError, unknown

    asked, *folders = settings.ask or ["list"]
    actions = {"list": _list, "verify": _verify, "show": _show, "clean": _clean}
    if asked not in actions:
        raise ConfigError("ask: " + unknown("question", asked, actions))
    if settings.interrupted and asked != "clean":
        raise ConfigError("interrupted: is for clean")
    for folder in folders or [FOLDER]:
        actions[asked](Path(os.path.abspath(folder)), settings, said)


def _list(folder: Path, _settings: RunsSettings, _said: Said) -> None:
    from mlnn.report.console import plain_table, show
    from mlnn.runs.standing import standing

    rows = [
        {
            "run": os.path.relpath(one.final, folder), "state": one.state, "command": one.command,
            "step kept": one.step, "time": one.time,
        }
        for one in standing(folder)
    ]  # fmt: skip
    show(plain_table(["run", "state", "command", "step kept", "time"], rows) if rows else f"{folder}: no runs")


def _verify(folder: Path, _settings: RunsSettings, _said: Said) -> None:
    from mlnn.errors import RunFolderError
    from mlnn.report.console import show
    from mlnn.runs.standing import damage, standing

    found = standing(folder)
    if not found:
        raise RunFolderError(f"{folder}: no runs, nothing to verify")
    wrong = [problem for one in found if (problem := damage(one)) is not None]
    if wrong:
        more = [f"and {len(wrong) - TOLD} more"] if len(wrong) > TOLD else []
        count = f"{len(wrong)} of {len(found)} runs in {folder} are damaged"
        raise RunFolderError("\n  ".join([count, *wrong[:TOLD], *more]))
    show(f"{folder}: {len(found)} run{'s' if len(found) > 1 else ''}, all whole")


def _show(folder: Path, _settings: RunsSettings, said: Said) -> None:
    from mlnn.cli.kept import again
    from mlnn.errors import RunFolderError
    from mlnn.report.console import show
    from mlnn.runs.standing import damage, standing

    names = (folder.name, f".{folder.name}.partial-run")
    found = [one for one in standing(folder.parent) if one.final == folder and one.path.name in names]
    if not found:
        raise RunFolderError(f"{folder}: no run here")
    for one in found:
        step = "" if one.step is None else f", step {one.step} is kept"
        show(f"{one.final}: {one.command or 'a run'}, {one.state}{step}{f', {one.time}' if one.time else ''}")
        show(damage(one) or "whole")
        if one.state in ("interrupted", "failed"):
            show(f"to go on: {again(said, one.command, one.final)}")


def _clean(folder: Path, settings: RunsSettings, _said: Said) -> None:
    from mlnn.report.console import show
    from mlnn.runs.standing import cleaned, standing

    done = cleaned(folder, settings.interrupted)
    for one, what in done:
        show(f"{os.path.relpath(one.path, folder)}: {what}")
    for one in standing(folder):
        if one.state in ("interrupted", "failed"):
            show(
                f"{os.path.relpath(one.final, folder)}: {one.state}, kept at step {one.step}; interrupted=true takes it away"
            )
    if not done:
        show(f"{folder}: nothing to clean")
