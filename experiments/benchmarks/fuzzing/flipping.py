"""Single bits and truncations of what is stored: is every one of them noticed, and told in a few words?"""

import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import mlnn
from fuzzing.running import template, told
from fuzzing.specimen import unfit
from fuzzing.studies import PLACE
from mlnn.errors import MlnnError
from mlnn.runs import damage, standing


def _sealed(root: str) -> Callable[[Path], str]:
    """What is told of a folder with checksums that was changed; "" where nothing is."""
    return lambda folder: damage(folder / root) or ""


def _recording(folder: Path) -> str:
    """The same of a recording and the steps that it keeps in full."""
    from mlnn.recording import read_capsule
    from mlnn.recording.reading import read_recording

    found = read_recording(folder / "a")
    for capsule in found.capsules.values():
        read_capsule(capsule)
    return found.torn or ""


def _in_progress(folder: Path) -> str:
    """The same of a run that was interrupted."""
    return "; ".join(filter(None, map(standing.damage, standing.standing(folder))))


def _sweep(folder: Path) -> str:
    """The same of the jobs of a sweep that is not yet whole: what each has left, and its row."""
    told = [damage(folder / "out" / name) or "" for name in JOBS]
    return "; ".join(filter(None, [*told, *(str(one) for one in mlnn.load(folder / "out")["error"] if one)]))


JOBS = ("seed=0", "seed=1")
STORED: dict[str, tuple[str, Callable[[Path], str]]] = {
    **dict.fromkeys(("comparison", "training", "audit", "estimate", "audited model"), ("run", _sealed("run"))),
    **dict.fromkeys(("sweep", "growth"), ("out", _sealed("out"))),
    "recording": ("a", _recording),
    "interrupted": (PLACE, _in_progress),
    "unfinished sweep": ("out", _sweep),
}
"""Specimen → the folder of what is stored, and what reads it."""
PLAIN = ("sweep.csv", "report.html", "environment.json", "plotly.min.js", "sweep.parquet")
"""Of a sweep in progress what is made anew by every call, and first sealed with the whole."""


def flips(home: Path, most: int, seed: int) -> Sequence[tuple[str, Callable[[], dict[str, object]]]]:
    """(Name, what does it and gives an outcome): `most` changes, drawn from a seed, of every specimen about as many."""
    draws = random.Random(seed)
    names = list(STORED)
    files = {name: _files(template(name, home) / STORED[name][0], name) for name in names}
    work = []
    for number in range(most):
        name = names[number % len(names)]
        file = draws.choice(files[name])
        size = (template(name, home) / file).stat().st_size
        at, bit = draws.randrange(size), draws.randrange(8)
        change = "cut" if draws.random() < 0.25 else str(bit)
        word = f"{name}|{file}|{change}|{at}|{number}"
        work.append((word, _doing(word, name, file, at, change, home)))
    return work


def _files(root: Path, name: str) -> list[str]:
    """Files that hold something, as they are called from the specimen's own folder."""
    leave = PLAIN if name == "unfinished sweep" else ()
    found = [path for path in root.rglob("*") if path.is_file() and path.stat().st_size]
    return sorted(str(path.relative_to(root.parent)) for path in found if path.parent != root or path.name not in leave)


def _doing(word: str, name: str, file: str, at: int, change: str, home: Path) -> Callable[[], dict[str, object]]:
    def do() -> dict[str, object]:
        folder = home / f"flipped-{os.getpid()}" / name.replace(" ", "_")  # a child that dies leaves its own damaged
        if not folder.exists():
            shutil.copytree(template(name, home), folder)
        path = folder / file
        honest = path.read_bytes()
        path.write_bytes(
            honest[:at] if change == "cut" else honest[:at] + bytes([honest[at] ^ 1 << int(change)]) + honest[at + 1 :]
        )
        begun = time.process_time()
        try:
            found, seen = "", STORED[name][1](folder)
            found = "" if unfit(seen) else "nothing was noticed"
        except MlnnError as problem:
            found = "" if unfit(str(problem)) else "nothing was said"
        except Exception as problem:
            found = told(problem)
        finally:
            path.write_bytes(honest)
        return {"case": word, "found": found, "seconds": time.process_time() - begun, "refused": not found}

    return do
