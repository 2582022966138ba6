"""Hostile samples under an audit hook: files and names that somebody sent do nothing; planted ones that act are caught."""

import gzip
import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_cases import ROOT, WARM, acts, acts_each
from log_cases import write_all

from mlnn.comparing.records import GrowthRow, RunInfo
from mlnn.comparing.still import growth_png
from mlnn.report.matplotlib import _is_in_the_current_folder

Arm = Callable[[Path], object]
TRUST = "from mlnn.trust import instantiate\nimport os, sys\nsys.path.insert(0, os.getcwd())\n"
TABLE = "from mlnn.data import table\n"
RUN = "from mlnn.runs import read_run\n"
GIT = "from mlnn.runs.environment import environment\nassert environment()['git'] is not None\n"
DECOYS = (
    "torch numpy pandas pyarrow json sitecustomize usercustomize hydra omegaconf plotly jinja2 rich matplotlib sklearn scipy"
    " joblib statsmodels yaml encodings re evil conftest setup antlr4 packaging dateutil pytz tzdata kiwisolver PIL"
)


class Bomb:
    """What a pickle can do."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch acted",)


def nothing(_: Path) -> None:
    """A sample that needs no file."""


def put(name: str, content: str | bytes) -> Arm:
    def arm(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return arm


def build(node: str) -> str:
    return f"{TRUST}instantiate({node})"


EVIL_MODULE = put("evil.py", "open('acted', 'w').close()\ndef make(*a, **k):\n    return 0\nclass Net: pass\n")

NAMES: dict[str, tuple[Arm, str]] = {
    "system": (nothing, build("{'_target_': 'os.system', 'command': 'touch acted'}")),
    "untrusted module": (EVIL_MODULE, build("{'_target_': 'evil.make'}")),
    "inner": (EVIL_MODULE, build("{'_target_': 'torch.nn.Identity', 'a': [{'b': {'_target_': 'evil.make'}}]}")),
    "helper that imports": (
        EVIL_MODULE,
        build("{'_target_': 'mlnn.data.extras.optional', 'module': 'evil', 'user': 'x'}"),
    ),
    "resolver": (EVIL_MODULE, build("{'_target_': 'mlnn.trust.resolve', 'target': 'evil.make', 'trusted': ['evil']}")),
    "settings": (EVIL_MODULE, build("{'_target_': 'mlnn.settings.audited', 'settings': {'loss': 'evil:make'}}")),
    "helper that writes": (
        nothing,
        build("{'_target_': 'mlnn.comparing.growth.write_rows', 'rows': [], 'path': 'acted'}"),
    ),
    "page": (nothing, build("{'_target_': 'mlnn.report.growth_png', 'rows': [{'model': 'a'}], 'path': 'acted'}")),
    "path of a table": (nothing, build("{'_target_': 'mlnn.data.table.Path.touch', 'self': 'acted'}")),
    "unpickler": (
        put("x.pt", pickle.dumps(Bomb())),
        build("{'_target_': 'torch.nn.functional.torch.load', 'f': 'x.pt', 'weights_only': False}"),
    ),
    "hub": (nothing, build("{'_target_': 'torch.hub.load', 'repo_or_dir': '.', 'model': 'x', 'source': 'local'}")),
    "importer": (EVIL_MODULE, build("{'_target_': 'torch.nn.functional.importlib.import_module', 'name': 'evil'}")),
    "process group": (
        nothing,
        build("{'_target_': 'torch.nn.parallel.DistributedDataParallel', 'module': {'_target_': 'torch.nn.Identity'}}"),
    ),
    "numpy": (
        put("x.npy", b"x"),
        build("{'_target_': 'torch.nn.functional.np.load', 'file': 'x.npy', 'allow_pickle': True}"),
    ),
    "globals": (nothing, build("{'_target_': 'torch.nn.Module.register_parameter.__globals__.get', 'key': 'torch'}")),
    "look-alike": (put("t\u043erch.py", "open('acted', 'w')"), build("{'_target_': 't\u043erch.nn.Linear'}")),
    "wide letters": (EVIL_MODULE, build("{'_target_': '\uff45vil.make'}")),
    "a run of its own": (nothing, build("{'_target_': 'mlnn.runs.new_run', 'path': 'acted', 'kind': 'x'}")),
    "joblib": (nothing, build("{'_target_': 'mlnn.comparing.growth.joblib.load', 'filename': 'x'}")),
}


def link(name: str, to: str) -> Arm:
    return lambda folder: (folder / name).symlink_to(to)


def pipe(name: str) -> Arm:
    return lambda folder: os.mkfifo(folder / name)


def addressed(folder: Path) -> None:
    (folder / "http:" / "127.0.0.1:9").mkdir(parents=True)
    (folder / "http:" / "127.0.0.1:9" / "x.csv").write_text("a,y\n1,0\n2,1\n")


def many_rows(folder: Path) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(11 * 10**6, dtype=np.int8)), pa.array([0]))
    pq.write_table(pa.table({"a": column, "y": column}), folder / "x.parquet")


def pickled(folder: Path) -> None:
    notes = {"pandas": json.dumps({"columns": [{"name": "a", "pandas_type": "object", "numpy_type": "object"}]})}
    kind = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickle.dumps(Bomb())}
    schema = pa.schema([pa.field("a", pa.float64(), metadata=kind), pa.field("y", pa.int64())], metadata=notes)
    pq.write_table(pa.table([[1.0, 2.0], [0, 1]], schema=schema), folder / "x.parquet")


def read_table(path: str) -> str:
    return f"{TABLE}table(path={path!r}, target='y')"


TABLES: dict[str, tuple[Arm, str]] = {
    "address": (nothing, read_table("http://127.0.0.1:9/x.csv")),
    "bucket": (nothing, read_table("s3://bucket/x.parquet")),
    "folder like an address": (
        addressed,
        read_table("http:/127.0.0.1:9/x.csv") + "\ntable(path='http:/127.0.0.1:9/x.csv', target='y', held_out=0)",
    ),
    "pipe": (pipe("x.csv"), read_table("x.csv")),
    "packed pipe": (pipe("x.csv.gz"), read_table("x.csv.gz")),
    "device": (link("x.csv", "/dev/zero"), read_table("x.csv")),
    "packed bomb": (put("x.csv.gz", gzip.compress(b"a,y\n" + b"1,0\n" * 11 * 10**6)), read_table("x.csv.gz")),
    "rows": (many_rows, read_table("x.parquet")),
    "pickle as a table": (put("x.parquet", pickle.dumps(Bomb())), read_table("x.parquet")),
    "pickle as text": (put("x.csv", pickle.dumps(Bomb())), read_table("x.csv")),
    "pickle in a schema": (pickled, read_table("x.parquet")),
    "archive": (nothing, read_table("zip://x.csv::http://127.0.0.1:9/a.zip")),
    "user": (nothing, read_table("~nobody-of-that-name/x.csv")),
}


def sent(changed: dict[str, str] | None = None, extra: dict[str, str] | None = None) -> Arm:
    parts = {
        "config.yaml": "a: !!python/object/apply:os.system ['touch acted']\n", "trace.csv": "step,loss\n0,0.5\n1,0.25\n",
        "environment.json": "{}", "data.json": '{"name": "\\u001b[2J<script>"}', "about.json": "{}",
    }  # fmt: skip

    def arm(folder: Path) -> None:
        (folder / "secret").write_text("secret")
        digests = {}
        for name, text in (parts | (changed or {})).items():
            put(f"run/{name}", text)(folder)
            digests[name] = hashlib.sha256(text.encode()).hexdigest()
        put("run/checksums.json", json.dumps(digests | (extra or {})))(folder)

    return arm


def then(first: Arm, name: str, arm: Arm) -> Arm:
    def both(folder: Path) -> None:
        first(folder)
        (folder / name).unlink(missing_ok=True)
        arm(folder)

    return both


def logs(folder: Path) -> None:
    (folder / "logs").mkdir()
    write_all(folder / "logs")


HASH = hashlib.sha256(b"secret").hexdigest()
PAGE = """
from mlnn.comparing.curves.gather import gather
from mlnn.comparing.curves.page import curves_page
from mlnn.runs import read_run
[one] = gather([read_run('run')]).curves
curves_page([one])
"""
LOGS = """
from pathlib import Path
from mlnn.comparing.curves.gather import gather, source
from mlnn.comparing.curves.page import curves_page
curves_page(gather([source(path) for path in sorted(Path('logs').iterdir())]).curves)
"""
OVERWRITE = """
from mlnn.runs import new_run
with new_run('target', 'x', True) as run:
    pass
"""
READ = f"{RUN}read_run('run')"
RUNS: dict[str, tuple[Arm, str]] = {
    "climbing name": (sent(extra={"../secret": HASH}), READ),
    "hidden climb": (sent(extra={"a/../../secret": HASH}), READ),
    "absolute name": (sent(extra={"/etc/hostname": HASH}), READ),
    "backslashes": (sent(extra={"..\\secret": HASH}), READ),
    "link to a secret": (then(sent(), "run/about.json", link("run/about.json", "../secret")), READ),
    "checksums are a link": (then(sent(), "run/checksums.json", link("run/checksums.json", "../secret")), READ),
    "trace is a pipe": (then(sent(), "run/trace.csv", pipe("run/trace.csv")), READ),
    "trace is a device": (then(sent(), "run/trace.csv", link("run/trace.csv", "/dev/zero")), READ),
    "extra pipe": (then(sent(), "run/more", pipe("run/more")), READ),
    "deep": (sent({"about.json": "[" * 10**5}), READ),
    "honest": (sent(), PAGE),
    "logs of other tools": (logs, LOGS),
    "overwriting through a link": (then(sent(), "target", link("target", "run")), OVERWRITE),
}  # fmt: skip


def git(folder: Path, *words: str) -> None:
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, env=os.environ | identity)


def armed(*settings: tuple[str, str], attributes: bool = True) -> Arm:
    """A repository whose settings name a program; the program leaves a file."""

    def arm(folder: Path) -> None:
        git(folder, "init", "-q", "-b", "main")
        put("canary.sh", f"#!/bin/sh\ntouch '{folder}/acted'\nexec cat\n")(folder)
        (folder / "canary.sh").chmod(0o755)
        put("kept.txt", "kept\n")(folder)
        git(folder, "add", "kept.txt")
        git(folder, "commit", "-qm", "first")
        for key, value in settings:
            git(folder, "config", key, value.format(folder=folder))
        if attributes:
            put(".gitattributes", "* filter=x diff=x\n")(folder)
        os.utime(folder / "kept.txt", (1, 1))

    return arm


SHORT_PATH = "import os\nos.environ['PATH'] = ':.:' + os.environ['PATH']\n"
VARIABLES = "import os\nos.environ['GIT_EXTERNAL_DIFF'] = os.environ['GIT_SSH'] = './canary.sh'\n"
CANARY = "{folder}/canary.sh"
REPOSITORIES: dict[str, tuple[Arm, str]] = {
    "clean filter": (armed(("filter.x.clean", CANARY)), GIT),
    "process filter": (armed(("filter.x.process", CANARY)), GIT),
    "monitor": (armed(("core.fsmonitor", CANARY)), GIT),
    "included": (then(armed(("include.path", "../more")), "more", put("more", "[core]\n\tfsmonitor = ./canary.sh\n")), GIT),
    "alias": (armed(("alias.status", "!" + CANARY)), GIT),
    "pager": (armed(("core.pager", CANARY), ("pager.status", CANARY)), GIT),
    "git of the folder": (then(armed(), "git", lambda f: (f / "git").symlink_to("canary.sh")), SHORT_PATH + GIT),
    "variable": (armed(("filter.x.clean", CANARY)), VARIABLES + GIT),
}  # fmt: skip


def decoys(folder: Path) -> None:
    for name in DECOYS.split():
        put(f"{name}.py", "open('acted', 'w').close()\n")(folder)
    for name in (
        ".env",
        "setup.cfg",
        "pytest.ini",
        "pyproject.toml",
        ".condarc",
        "sitecustomize.pth",
        ".netrc",
        ".plotly/.config",
    ):
        put(name, "[tool]\nsecret = 1\n")(folder)
    put("hydra_plugins/evil.py", "open('acted', 'w').close()\n")(folder)
    put("matplotlibrc", "backend: module://evil\nfigure.facecolor: red\naxes.prop_cycle: cycler('color', ['r'])\n")(
        folder
    )


LIBRARY = """
import importlib, pkgutil, mlnn
for part in pkgutil.walk_packages(mlnn.__path__, 'mlnn.'):
    if not part.name.startswith('mlnn.integrations.'):  # each needs the library that it is for
        importlib.import_module(part.name)
import numpy as np
from mlnn.comparing.growth import GrowthCell
from mlnn.comparing.growth_page import growth_page
from mlnn.comparing.records import GrowthRow, RunInfo
from mlnn.comparing.still import growth_png
from mlnn.comparing.verdict import Verdict
growth_png([GrowthRow('a', weight_gap=1e-7)], 'out.png', RunInfo())
name = '<b>[red]\\x1b'
verdict = Verdict('equal', 'equal', 'equal', '')
growth_page([GrowthCell(name, 0, GrowthRow(name, weight_gap=1e-7), verdict, {'step': np.arange(1)}, RunInfo())], RunInfo())
"""
FOLDERS: dict[str, tuple[Arm, str]] = {"decoys": (decoys, LIBRARY)}
SAMPLES = NAMES | TABLES | RUNS | REPOSITORIES | FOLDERS
assert len(SAMPLES) == len(NAMES) + len(TABLES) + len(RUNS) + len(REPOSITORIES) + len(FOLDERS)


def outcomes(
    cases: dict[str, tuple[Arm, str]], folder: Path, allowed: Sequence[str] = (), warm: Sequence[str] = WARM
) -> dict[str, list[str]]:
    """What each case did, as the hook saw it and by the file that it would have left."""
    samples = []
    for number, (arm, code) in enumerate(cases.values()):
        own = folder / str(number)
        own.mkdir()
        arm(own)
        samples.append((code, own))
    seen = acts_each(samples, allowed, warm=warm)
    left = [["left: acted"] if (own / "acted").exists() else [] for _, own in samples]
    return {name: [*saw, *mark] for name, saw, mark in zip(cases, seen, left, strict=True)}


@pytest.mark.rest
def test_nothing_that_somebody_sent_acts(tmp_path: Path) -> None:
    assert len(SAMPLES) >= 50
    fonts = [f"changed: os.mkdir {Path.home() / place / 'matplotlib'}" for place in (".cache", ".config")]
    found = outcomes(SAMPLES, tmp_path, ("process: git", *fonts))  # the user's git, the names of the user's fonts
    assert {name: seen for name, seen in found.items() if seen} == {}


def quiet(call: str) -> str:
    """The call, whatever comes of it."""
    return f"import contextlib, socket\nwith contextlib.suppress(OSError): {call}"


PLANTED: dict[str, tuple[Arm, str, str]] = {
    "process": (nothing, "import subprocess\nsubprocess.run(['true'])", "process: true"),
    "shell": (nothing, "import os\nos.system('touch acted')", "left: acted"),
    "spawn": (nothing, "import os\nos.posix_spawn('/bin/true', ['true'], {})", "process: true"),
    "network": (nothing, quiet("socket.create_connection(('127.0.0.1', 9), 0.1)"), "network: socket."),
    "name service": (nothing, quiet("socket.getaddrinfo('localhost', 80)"), "network: socket.getaddrinfo"),
    "import": (EVIL_MODULE, "import sys\nsys.path.insert(0, '.')\nimport evil", "ran: "),
    "write": (nothing, "open('acted', 'w').close()", "wrote: "),
    "remove": (put("kept", "x"), "import os\nos.remove('kept')", "changed: os.remove"),
    "move": (put("kept", "x"), "import os\nos.rename('kept', 'away')", "changed: os.rename"),
    "secret": (put("secret", "x"), "open('secret').read()", "read: "),
    "secret behind a link": (then(put("secret", "x"), "l", link("l", "secret")), "open('l').read()", "read: "),
    "pickle": (put("x", pickle.dumps(Bomb())), "import pickle\npickle.load(open('x', 'rb'))", "unpickled: "),
    "hang": (pipe("x"), "import signal\nsignal.alarm(1)\nopen('x')", "raised: TimeoutError"),
    "traceback": (nothing, "1 / 0", "raised: ZeroDivisionError"),
    "allowed folder": (nothing, "open('out', 'w').close()", ""),
    "an error of mlnn's": (nothing, "from mlnn.errors import DataError\nraise DataError('x')", ""),
}  # fmt: skip


def test_what_does_act_is_caught(tmp_path: Path) -> None:
    found = outcomes({name: (arm, code) for name, (arm, code, _) in PLANTED.items()}, tmp_path, warm=())
    for name, (_, _, wanted) in PLANTED.items():
        assert any(seen.startswith(wanted) for seen in found[name]) if wanted else found[name] == [], (
            name,
            found[name],
        )


def test_a_command_line_is_watched_too(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys, os\nos.mkdir(sys.argv[1])\n")
    assert acts([str(tmp_path / "script.py"), "made"], tmp_path, warm=())[-1].startswith("changed: os.mkdir")
    assert (tmp_path / "made").is_dir()


PICTURE = """
import sys
from mlnn.comparing.records import GrowthRow, RunInfo
from mlnn.comparing.still import growth_png
row = GrowthRow('mlp', 9, relation='equal', weight_gap=1e-7, float64_weight_gap=0.0)
growth_png([row], sys.argv[1], RunInfo())
import matplotlib
print(matplotlib.rcParams['figure.facecolor'], matplotlib.rcParams['font.size'], matplotlib.rcParams['savefig.bbox'])
"""


def settings(folder: Path) -> dict[str, str]:
    evil = "backend: module://evil\nfont.size: 30\nfigure.facecolor: red\nsavefig.bbox: tight\nnonsense: 1\n"
    put("matplotlibrc", evil)(folder)
    put("sub/other", evil)(folder)
    EVIL_MODULE(folder)
    return {"MATPLOTLIBRC": "sub/other"}


def settings_pipe(folder: Path) -> dict[str, str]:
    os.mkfifo(folder / "matplotlibrc")
    (folder / "sub").mkdir()
    os.mkfifo(folder / "sub" / "matplotlibrc")
    return {"MATPLOTLIBRC": str(folder / "sub")}


def drawn(folder: Path, extra: dict[str, str]) -> tuple[bytes, str]:
    """The picture, and what matplotlib was set to, of a process that stands in the folder."""
    line = [sys.executable, "-W", "error", "-P", "-c", PICTURE, "x.png"]
    surroundings = os.environ | {"PYTHONPATH": str(ROOT)} | extra
    done = subprocess.run(line, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return (folder / "x.png").read_bytes(), done.stdout


@pytest.mark.slow
def test_the_picture_is_the_same_whatever_settings_lie_there(tmp_path: Path) -> None:
    for name in ("plain", "settings", "pipe"):
        (tmp_path / name).mkdir()
    plain = drawn(tmp_path / "plain", {})
    assert plain[1] == "white 10.0 None\n"
    assert drawn(tmp_path / "settings", settings(tmp_path / "settings")) == plain
    assert not (tmp_path / "settings" / "acted").exists()
    assert drawn(tmp_path / "pipe", settings_pipe(tmp_path / "pipe")) == plain


def test_settings_change_no_picture_even_where_they_were_read(tmp_path: Path) -> None:
    import matplotlib

    rows = [GrowthRow("mlp", weight_gap=1e-7)]
    plain = growth_png(rows, tmp_path / "plain.png", RunInfo()).read_bytes()
    with matplotlib.rc_context({"font.size": 30, "figure.facecolor": "red", "savefig.bbox": "tight"}):
        assert growth_png(rows, tmp_path / "set.png", RunInfo()).read_bytes() == plain
        assert matplotlib.rcParams["font.size"] == 30, "the caller's own are as before"


@pytest.mark.parametrize(
    ("said", "path", "ignored"),
    [
        (None, "matplotlibrc", True),
        ("sub/other", "sub/other", True),
        ("{here}/sub/other", "{here}/sub/other", True),
        ("sub", "sub/matplotlibrc", True),
        ("../here/sub", "../here/sub/matplotlibrc", True),
        ("link", "link", True),
        ("{here}/../mine", "{here}/../mine", False),
        (None, "{here}/.venv/lib/mpl-data/matplotlibrc", False),
        (None, "/home/me/.config/matplotlib/matplotlibrc", False),
        (None, "sub/other", False),
    ],
)
def test_which_settings_are_those_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, path: str, ignored: bool
) -> None:
    here = tmp_path / "here"
    (here / "sub").mkdir(parents=True)
    (here / "link").symlink_to("sub/other")
    monkeypatch.chdir(here)
    monkeypatch.delenv("MATPLOTLIBRC", raising=False)
    if said:
        monkeypatch.setenv("MATPLOTLIBRC", said.format(here=here))
    assert _is_in_the_current_folder(path.format(here=here)) is ignored
