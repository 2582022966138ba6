"""Single bits and truncations of what is stored: is every one of them noticed, and told in a few words?"""

import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fuzzing.running import template, told
from fuzzing.specimen import unfit
from mlnn.errors import MlnnError
from mlnn.runs import damage


def run_noticed(folder: Path) -> str:
    """What is told of a run folder that was changed; "" where nothing is."""
    return damage(folder / "run") or ""


STORED: dict[str, Callable[[Path], str]] = {
    "comparison": run_noticed, "training": run_noticed, "audit": run_noticed, "estimate": run_noticed,
    "audited model": run_noticed,
}  # fmt: skip
"""Specimen → what reads it."""


def flips(home: Path, most: int, seed: int) -> Sequence[tuple[str, Callable[[], dict[str, object]]]]:
    """(Name, what does it and gives an outcome): `most` changes, drawn from a seed, of every specimen about as many."""
    draws = random.Random(seed)
    names = list(STORED)
    files = {name: _files(template(name, home)) for name in names}
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


def _files(folder: Path) -> list[str]:
    root = folder / "run"
    return sorted(str(path.relative_to(folder)) for path in root.rglob("*") if path.is_file() and path.stat().st_size)


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
            found, seen = "", STORED[name](folder)
            found = "" if unfit(seen) else "nothing was noticed"
        except MlnnError as problem:
            found = "" if unfit(str(problem)) else "nothing was said"
        except Exception as problem:
            found = told(problem)
        finally:
            path.write_bytes(honest)
        return {"case": word, "found": found, "seconds": time.process_time() - begun, "refused": not found}

    return do
