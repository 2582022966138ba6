"""Where a run works until it is whole: a folder of its own beside the final one, with its status, its trace and its states.

`.<name>.partial-run` holds status.json (queued, running, interrupted, failed), kept.json (what is run, and where), the records of
the trace, the states, and `run/`, which becomes the run folder by one rename. A lock that goes with its process says whether
anybody is at work there.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlnn.errors import RunFolderError
from mlnn.runs import reading, writing
from mlnn.runs.files import to_json, write_file
from mlnn.runs.hashed import hashed_json, read_hashed
from mlnn.runs.kept.states import names, step_of
from mlnn.runs.locking import LOCK, held, locked
from mlnn.runs.study import EXECUTION, MOST_TOLD, differences
from mlnn.runs.writing import RunFolder, disk
from mlnn.visible import shown

STATUS, KEPT = "status.json", "kept.json"
FORMAT = 3
"""Of kept.json; another one is refused by its number."""
WHERE = (
    "mlnn", "code", "python", "torch", "numpy", "platform", "cpu", "cpu_capability", "threads", "interop_threads",
    "parallel_info", "mkldnn", "float32_matmul_precision", "flush_denormal",
)  # fmt: skip
"""Of an environment, what may change bits."""


@dataclass
class Place:
    """The folder of a run in progress. `final`: where it will be; `kept`: what kept.json says; `elsewhere`: in what the environment
    of the states that are there was another one; `anyway`: whether they are gone on with nonetheless."""

    final: Path
    folder: Path
    kept: dict[str, Any]
    overwrite: bool
    elsewhere: list[str] = field(default_factory=list)
    anyway: bool = False

    @property
    def run(self) -> RunFolder:
        """The run folder that is being written."""
        return RunFolder(self.final, self.folder / "run")

    @property
    def mark(self) -> str | None:
        """Why the run is not what an uninterrupted one is, for ever; None where it is."""
        return "; then ".join(map(str, self.kept.get("marks") or ())) or None

    @property
    def states(self) -> list[Path]:
        """The states, the newest first."""
        return names(self.folder)

    def say(self, state: str, **more: object) -> None:
        """Write the status, so that it lies on the disk."""
        told = _status(state, self.kept["command"], **more)
        write_file(self.folder / STATUS, hashed_json(told))

    def note(self) -> None:
        """Write what is run, and where."""
        write_file(self.folder / KEPT, hashed_json(self.kept, FORMAT))

    def discard(self) -> None:
        """Take away what there is of the run folder; the folder itself goes by the rename alone, see `spent`."""
        for path in self.run.partial.iterdir():
            disk("write", self.final, shutil.rmtree if path.is_dir() else os.unlink, path)

    def seal(self) -> None:
        """The run is whole: it takes its final place, and what was kept for going on goes."""
        run = self.run
        run.write_text(STATUS, hashed_json(_status("done", self.kept["command"])))
        writing.seal(run)
        writing.check_free(self.final, self.overwrite)
        writing.move_in(run, self.overwrite)
        shutil.rmtree(self.folder, ignore_errors=True)


def _status(state: str, command: str, **more: object) -> dict[str, object]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"state": state, "command": command, "time": now, "process": os.getpid(), **more}


def spent(folder: Path, final: Path) -> bool:
    """Whether a place has given its run to the final folder, and its process ended before it had taken the rest away."""
    return (final / reading.CHECKSUMS).is_file() and not os.path.lexists(folder / "run")


def take_away(folder: Path, final: Path) -> None:
    """Take away a place that is spent, unless somebody is at work there; what the disk refuses stays."""
    with suppress(RunFolderError), locked(final, folder):
        if spent(folder, final):
            shutil.rmtree(folder, ignore_errors=True)


def place_of(final: Path) -> Path:
    """The folder in which the run that is to be `final` works."""
    return final.with_name(f".{final.name}.partial-run")


@contextmanager
def open_place(final: Path, kept: Mapping[str, Any], overwrite: bool, anyway: bool = False) -> Iterator[Place]:
    """The place of a run, the only writer in it: new, or as an earlier process left it.

    kept: `command`, `words`, `told` (settings as plain data), `config`, `environment`. Raises RunFolderError where the final folder
    is not free, where somebody else is writing, or where what was begun there is another run, or, unless `anyway`, was begun in
    another environment. A block that ends with an exception leaves the states that are there; where there is none, nothing.
    """
    writing.check_free(final, overwrite)
    folder = place_of(final)
    made = [parent for parent in final.parents if not os.path.lexists(parent)]
    try:
        writing.make_folder(folder, final)
        with locked(final, folder):
            place = _found(Place(final, folder, dict(kept), overwrite, anyway=anyway))
            place.say("queued")
            place.note()
            yield place
    except BaseException:
        if not held(folder) and not names(folder):
            shutil.rmtree(folder, ignore_errors=True)
            for parent in made:
                with suppress(OSError):  # somebody else's by now, if it is not empty
                    parent.rmdir()
        raise


def _found(place: Place) -> Place:
    """The place with what is there; a run that was begun anew, or left no state, leaves nothing."""
    disk("write", place.final, place.run.partial.mkdir, exist_ok=True)
    place.discard()
    if not place.states:
        _clear(place)
        return place
    told = {**place.kept, "environment": place.kept["environment"]}
    if not (place.overwrite and not _is_same(place)):
        before = _read(place)
        apart = _apart(before, told)
        if apart:
            raise RunFolderError(
                f"{place.final}: another run was begun there, and is kept ({'; '.join(apart)});"
                " resume=… goes on with it, overwrite=true begins anew"
            )
        place.elsewhere = where_differs(before["environment"], told["environment"])
        marks = [
            *map(str, before.get("marks") or ()),
            f"went on at step {last_step(place.folder)} elsewhere: {'; '.join(place.elsewhere)}",
        ]
        place.kept = before | ({"environment": told["environment"], "marks": marks} if place.elsewhere else {})
        if place.elsewhere and not place.anyway:
            raise RunFolderError(
                f"{place.final}: was begun in another environment, where other bits may come out:"
                f" {'; '.join(place.elsewhere[:MOST_TOLD])};"
                " resume_anyway=true goes on, and the run is marked as not repeatable; overwrite=true begins anew"
            )
        return place
    _clear(place)
    return place


def _is_same(place: Place) -> bool:
    """Whether the states are of this very run, in the same environment: then there is nothing to overwrite them for."""
    try:
        before = _read(place)
    except RunFolderError:
        return False
    return not _apart(before, place.kept) and not where_differs(before["environment"], place.kept["environment"])


def _clear(place: Place) -> None:
    """Take away what an earlier process left."""
    for path in place.folder.iterdir():
        if path.name not in (LOCK, "run"):
            disk("write", place.final, shutil.rmtree if path.is_dir() else os.unlink, path)


def _read(place: Place) -> dict[str, Any]:
    """What is noted of the run that was begun; RunFolderError where that is not there, or of another format."""
    return read_kept(place.folder, place.final)


def read_kept(folder: Path, final: Path) -> dict[str, Any]:
    """kept.json of a run in progress; RunFolderError where it is missing, damaged or of another format."""
    try:
        found = read_hashed(folder / KEPT)
    except RunFolderError as problem:
        raise RunFolderError(f"{problem}; what is left of the run cannot go on, overwrite=true begins anew") from None
    if found.get("format") != FORMAT:
        raise RunFolderError(
            f"{final}: was begun with format {found.get('format')!r}, and this mlnn reads {FORMAT}; use the one that began it"
        )
    kinds = {"command": str, "words": list, "told": dict, "config": str, "environment": dict}
    for name, kind in kinds.items():
        if not isinstance(found.get(name), kind):
            raise RunFolderError(f"{folder / KEPT}: says nothing of {name}; overwrite=true begins anew")
    return found


def _apart(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what two runs differ, in words."""
    if before["command"] != now["command"]:
        return [f"{before['command']} → {now['command']}"]
    old, new = ({key: value for key, value in one["told"].items() if key not in EXECUTION} for one in (before, now))
    return [text[:100] for text in differences(old, _plain(new))][:MOST_TOLD]


def _plain(told: Mapping[str, Any]) -> Any:
    import json

    return json.loads(to_json(told))


def where_differs(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what two environments differ, of what may change bits."""
    return [
        f"{key} {shown(before.get(key))} → {shown(now.get(key))}"[:120]
        for key in WHERE
        if _plain({"": before.get(key)}) != _plain({"": now.get(key)})
    ]


def last_step(folder: Path) -> int:
    """After how many steps the newest state was written; 0 where there is none."""
    return next((step_of(path) for path in names(folder)), 0)
