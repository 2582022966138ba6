"""Did it act? A child process under an audit hook runs what is given and tells what it did beyond reading its input.

Seen are: processes started, the network asked, code of the folder run or imported, files written, moved or removed
outside `out` of the folder (and outside the folder for temporary files), anything whose path says `secret` read, and
objects unpickled. An error of mlnn's own is no act; a sample that hangs, or raises anything else, is told as such.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fuzzing.watch import Watch

ROOT = Path(__file__).resolve().parents[1]
WARM = (
    "torch",
    "pandas",
    "pyarrow.parquet",
    "mlnn.trust",
    "mlnn.data",
    "mlnn.runs",
    "mlnn.comparing.curves.gather",
    "mlnn.comparing.curves.page",
    "mlnn.report",
)
Sample = tuple[str | Sequence[str], Path]


def acts(
    sample: str | Sequence[str],
    folder: Path,
    allowed: Sequence[str] = (),
    limit: float = 60,
    warm: Sequence[str] = WARM,
) -> list[str]:
    """What one sample did: Python source, or a command line that begins with a script, run in `folder`.

    `allowed`: beginnings of what may be seen, e.g. "process: git".
    """
    return acts_each([(sample, folder)], allowed, limit, warm)[0]


def acts_each(
    samples: Sequence[Sample], allowed: Sequence[str] = (), limit: float = 60, warm: Sequence[str] = WARM
) -> list[list[str]]:
    """The same for many samples, one after another in one child process; each in its own folder.

    `warm`: what is imported before anybody watches.
    """
    told = [
        {"sample": sample if isinstance(sample, str) else list(sample), "folder": str(folder)}
        for sample, folder in samples
    ]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "experiments" / "benchmarks"))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TOLD": json.dumps({"samples": told, "allowed": list(allowed), "warm": list(warm)}),
    }
    line = [sys.executable, "-P", str(Path(__file__).resolve())]
    with tempfile.TemporaryDirectory() as own:
        environment["TMPDIR"] = own  # what is written there is no act
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode:
        raise AssertionError(f"the child ended with {done.returncode}: {done.stderr[-2000:]}")
    seen: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return seen


def child() -> None:
    """Run the samples that the environment tells of, and print what was seen of each."""
    import contextlib
    import importlib
    import io

    told = json.loads(os.environ.pop("TOLD"))
    for name in told["warm"]:
        importlib.import_module(name)
    watch, results = Watch(told["allowed"]), []
    sys.addaudithook(watch)
    before, path = dict(os.environ), list(sys.path)
    for one in told["samples"]:
        watch.folder, watch.seen = os.path.realpath(one["folder"]), []
        os.chdir(watch.folder)
        words, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(words), contextlib.redirect_stderr(errors):
            ended = run(one["sample"], watch)
        for name in [
            name for name, module in sys.modules.items() if watch.inside(getattr(module, "__file__", None) or "")
        ]:
            del sys.modules[name]
        results.append(watch.seen + ([ended] if ended else []))
        os.environ.clear()
        os.environ.update(before)
        sys.path[:] = path
    print(json.dumps(results))


def run(sample: str | list[str], watch: Watch) -> str | None:
    """Run one sample; how it ended, where that is neither well nor one of mlnn's own errors."""
    import runpy
    import signal

    from mlnn.errors import MlnnError

    def late(*_: object) -> None:
        raise TimeoutError("20 seconds are over")

    code = compile(sample, "<sample>", "exec") if isinstance(sample, str) else None
    signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    watch.on = True
    try:
        if code is not None:
            exec(code, {"__name__": "sample"})
        else:
            sys.argv = list(sample)
            runpy.run_path(sample[0], run_name="__main__")
    except (MlnnError, SystemExit):
        pass
    except BaseException as error:
        return f"raised: {type(error).__name__}: {error}"[:300]
    finally:
        watch.on = False
        signal.alarm(0)
    return None


if __name__ == "__main__":
    child()
