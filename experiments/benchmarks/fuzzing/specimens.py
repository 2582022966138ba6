"""One honest specimen of everything that mlnn reads, which of its files are changed, and the reading of it as a user would."""

import contextlib
import hashlib
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fuzzing.configs import configs
from fuzzing.formats import rehashed
from fuzzing.records import recorded
from fuzzing.specimen import Specimen, said, unfit
from fuzzing.studies import studies
from fuzzing.tables import tables
from fuzzing.values import MARK
from mlnn.cli.performing import headline
from mlnn.errors import RunFolderError
from mlnn.runs import hashed_json

if TYPE_CHECKING:
    from torch import nn

SMALL = ("steps=3", "data=spector", "batch_size=16", "model=logistic", "threads=1")


def _run_made(*words: str) -> Callable[[Path], object]:
    return lambda folder: said(*words, f"out={folder / 'run'}")


def _run_sealed(folder: Path) -> None:
    """Checksums of a run folder of whatever lies in it now."""
    run = folder / "run"
    told = json.loads((run / "checksums.json").read_text())
    new = {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in told if (run / name).is_file()}
    (run / "checksums.json").write_text(json.dumps(new, indent=2) + "\n")


def _read_run(folder: Path) -> str:
    from mlnn.comparing.growth import row_of
    from mlnn.runs import read_run

    found = said("curves", "run", "page=out.html")
    _check_page(folder)
    with contextlib.suppress(RunFolderError):
        row_of("", 0, read_run("run"))
    return found or _headline("compare")(folder)


def _headline(command: str) -> Callable[[Path], str]:
    """The line of a run in a table of many."""

    def read(folder: Path) -> str:
        try:
            headline(command, folder / "run")
        except RunFolderError as problem:
            return unfit(str(problem))
        return ""

    return read


def _check_page(folder: Path) -> None:
    page = folder / "out.html"
    if page.is_file():
        text = page.read_text(encoding="utf-8")
        if MARK in text or "\x1b" in text:
            raise RuntimeError("the page holds what somebody wrote, not as text")


def _training(out: Path, seed: int) -> None:
    import torch
    from torch import nn

    from mlnn.recording import record

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = torch.randn(8, 3), torch.arange(8) % 3
    torch.manual_seed(seed)
    with record(model, optimizer, out, capsules=(1,)):
        for step in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x + seed * step), y).backward()
            optimizer.step()


def _recordings(folder: Path) -> None:
    for seed, name in enumerate("ab"):
        _training(folder / name, seed)


def _recordings_of_two(folder: Path) -> None:
    """Of two processes each, as far as their folders tell."""
    for seed, name in enumerate("ab"):
        for rank in range(2):
            part = folder / name / f"rank-{rank}"
            _training(part, seed)
            told = json.loads((part / "recording.json").read_text()) | {"rank": rank, "ranks": 2}
            del told["checksum"]
            (part / "recording.json").write_text(hashed_json(told))


def _older_recordings(folder: Path) -> None:
    """As they were before they had checksums of their own."""
    _recordings(folder)
    for path in (*folder.glob("*/*.json"), *folder.glob("*/capsules/*/*.json")):
        told = json.loads(path.read_text()) | {"format": 1}
        del told["checksum"]
        path.write_text(json.dumps(told))


def _read_recordings(folder: Path) -> str:
    found = said("diff", "a", "b", "page=out.html")
    _check_page(folder)
    return found


def _tensors_sealed(folder: Path) -> None:
    """The capsule's note of which tensors it was written with, and its own checksum."""
    capsule = folder / "a" / "capsules" / "1"
    content = (capsule / "capsule.json").read_bytes()
    right = hashlib.sha256((capsule / "tensors.safetensors").read_bytes()).hexdigest().encode()
    new = re.sub(rb'(?<="sha256": ")[0-9a-f]{64}(?=")', right, content)
    if new != content:
        (capsule / "capsule.json").write_bytes(rehashed(new))


def _net() -> "nn.Module":
    from torch import nn

    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))


def _read_capsule(folder: Path) -> str:
    from mlnn.errors import MlnnError
    from mlnn.recording import read_capsule
    from mlnn.recording.replay import replay
    from mlnn.recording.replay_page import replay_page, replay_panel
    from mlnn.runs import write_file

    told = said("lift", "a/capsules/1", "page=out.html")
    _check_page(folder)
    with contextlib.suppress(MlnnError):
        capsule = read_capsule("a/capsules/1")
        found = replay(capsule, _net)
        replay_panel(found, capsule)
        write_file(folder / "out.html", replay_page(found, capsule))
    _check_page(folder)
    return told


ROWS = [{"step": step, "loss": 2.0 / (step + 1), "epoch": 0.5} for step in (0, 10, 20, 30)]
TABLE = "step,loss,val_loss\n" + "".join(f"{row['step']},{row['loss']},\n" for row in ROWS)


def _log(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def _events() -> bytes:
    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    made = recorded(b"\x09" + struct.pack("<d", 1.7e9) + field(3, b"brain.Event:2"))
    for at, row in enumerate(ROWS):
        value = field(1, b"loss") + b"\x15" + struct.pack("<f", row["loss"])
        wall = b"\x09" + struct.pack("<d", 1.7e9 + at)
        made += recorded(wall + b"\x10" + bytes([int(row["step"])]) + field(5, field(1, value)))
    return made


def _read_log(name: str) -> Callable[[Path], str]:
    def read(folder: Path) -> str:
        found = said("curves", name, "page=out.html")
        _check_page(folder)
        return found

    return read


def _logs() -> dict[str, Specimen]:
    state = json.dumps({"logging_steps": 10, "log_history": ROWS, "epoch": 1.0, "global_step": 30})
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    return {
        "log csv": Specimen(_log("log", TABLE), {"log": ("csv", "bytes")}, _read_log("log")),
        "trainer state": Specimen(_log("log", state), {"log": ("json", "bytes")}, _read_log("log")),
        "json lines": Specimen(_log("log", lines), {"log": ("lines", "bytes")}, _read_log("log")),
        "events": Specimen(_log("log", _events()), {"log": ("events", "bytes")}, _read_log("log")),
    }


RUN_PARTS: dict[str, tuple[str, ...]] = {
    "run/verdict.json": ("json",),
    "run/about.json": ("json",),
    "run/data.json": ("json",),
    "run/environment.json": ("json",),
    "run/trace.csv": ("csv", "bytes"),
    "run/config.yaml": ("bytes",),
}
CAPSULE = "a/capsules/1"


def _specimens() -> dict[str, Specimen]:
    recording = {
        "a/recording.json": ("hashed", "bytes"),
        "a/steps.bin": ("frames", "frame numbers", "bytes"),
        "a/ended.json": ("hashed",),
    }
    shared = {"a/rank-1/recording.json": ("hashed",), "a/rank-0/steps.bin": ("frames", "frame numbers")}
    older = {"a/recording.json": ("json",), "a/ended.json": ("json",)}
    capsule = {
        f"{CAPSULE}/capsule.json": ("hashed",),
        f"{CAPSULE}/tensors.safetensors": ("tensors", "weights", "bytes"),
    }
    sums = {"run/checksums.json": ("json", "bytes")}
    return {
        "comparison": Specimen(_run_made("compare", *SMALL, "null_twins=1"), RUN_PARTS, _read_run, _run_sealed),
        "checksums": Specimen(_run_made("train", *SMALL), sums, _read_run),
        "training": Specimen(_run_made("train", *SMALL), {"run/about.json": ("json",)}, _headline("train"), _run_sealed),
        "audit": Specimen(_run_made("audit", "objective=bce"), {"run/certificate.json": ("json",)}, _headline("audit")),
        "estimate": Specimen(
            _run_made("estimate", "data=spector", "steps=0"), {"run/estimate.json": ("json",)}, _headline("estimate")
        ),
        "audited model": Specimen(
            _run_made("audit_model", "model=logistic"), {"run/model.json": ("json",)}, _headline("audit_model")
        ),
        "recording": Specimen(_recordings, recording, _read_recordings),
        "recording of two": Specimen(_recordings_of_two, shared, _read_recordings),
        "older recording": Specimen(_older_recordings, older, _read_recordings),
        "capsule": Specimen(_recordings, capsule, _read_capsule, _tensors_sealed),
        **studies(),
        **_logs(),
        **tables(),
        **configs(),
    }  # fmt: skip


SPECIMENS = _specimens()
