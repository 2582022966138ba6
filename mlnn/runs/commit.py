"""The commit of the folder that a run starts in. Its repository may be somebody else's, and nothing of it is obeyed.

What a repository may tell git to run (filters, hooks, monitors, pagers, helpers of a remote, included settings) stands in
its config and its attributes. Git is given a folder of our own instead, with a config of our own, that borrows the
repository's objects and index: of the repository's own config, five switches of the file system are copied, as words.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from mlnn.received import check_size, chunks, open_plain

SECONDS = 5
MOST_BYTES = 16_000_000  # of packed-refs; a config or a ref is far smaller
EMPTY_TREE = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
_SWITCHES = re.compile(
    r"^[ \t]*(filemode|ignorecase|symlinks|precomposeunicode|autocrlf)[ \t]*=[ \t]*(true|false|input)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def commit() -> dict[str, Any] | None:
    """Commit of the working directory, and whether tracked files differ from it; None where there is no repository.

    Submodules are not looked into. Raises OSError, ValueError or subprocess.SubprocessError where it cannot be found out.
    """
    here = Path.cwd()
    root = next((path for path in (here, *here.parents) if os.path.lexists(path / ".git")), None)
    git = _program(root)
    if root is None or git is None:
        return None
    folder = _folder(root / ".git")
    shared = folder / _read(folder / "commondir").strip() if (folder / "commondir").is_file() else folder
    head = _resolve(folder, shared)
    open_plain(folder / "index").close()  # git would wait for ever for a pipe in its place
    with tempfile.TemporaryDirectory(prefix="mlnn-git-") as own:
        _prepare(Path(own), head, folder, _read(shared / "config"))
        command = [git, "status", "--porcelain=v2", "--untracked-files=no", "--ignore-submodules=all", "--no-renames"]
        done = subprocess.run(
            command, capture_output=True, timeout=SECONDS, check=True, cwd=root, stdin=subprocess.DEVNULL,
            env=_environment(Path(own), root, folder, shared, head),
        )  # fmt: skip
    return {"commit": head, "dirty": bool(done.stdout.strip())}


def _program(root: Path | None) -> str | None:
    """The git of the PATH, unless it lies in the current folder or in the repository that is asked about."""
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        place = Path(entry)
        if not entry or not place.is_absolute():
            continue
        real = Path(os.path.realpath(place))
        if any(real.is_relative_to(os.path.realpath(ours)) for ours in (Path.cwd(), root) if ours is not None):
            continue
        if found := shutil.which("git", path=entry):
            return found
    return None


def _folder(git: Path) -> Path:
    """The repository's own folder: `.git` itself, or where the file `.git` of a work tree or submodule says it is."""
    if git.is_dir():
        return git
    text = _read(git)
    if not text.startswith("gitdir: "):
        raise ValueError(".git is neither a folder nor says where it is")
    return git.parent / text.removeprefix("gitdir: ").rstrip("\r\n")


def _resolve(folder: Path, shared: Path) -> str:
    """The commit that HEAD stands for, followed through the files of refs."""
    found = _read(folder / "HEAD").strip()
    for _ in range(5):
        if _HASH.fullmatch(found):
            return found
        name = found.removeprefix("ref: ")
        if name == found or not re.fullmatch(r"refs(/[^/\0\\]+)+", name) or "/.." in name:
            raise ValueError("HEAD names no commit")
        loose = [place / name for place in (folder, shared) if (place / name).is_file()]
        found = _read(loose[0]).strip() if loose else _packed(shared, name)
    raise ValueError("HEAD leads from name to name")


def _packed(shared: Path, name: str) -> str:
    lines = (line.split(" ", 1) for line in _read(shared / "packed-refs").splitlines())
    return next(line[0] for line in lines if line[1:] == [name])


def _prepare(own: Path, head: str, folder: Path, config: str) -> None:
    """A repository's folder of our own: no hook, no attribute, no remote; the switches that the file system asks for."""
    for name in ("objects", "refs"):
        (own / name).mkdir()
    (own / "HEAD").write_text(head + "\n", encoding="ascii")
    core = "".join(f"\t{key.lower()} = {value.lower()}\n" for key, value in _SWITCHES.findall(config))
    kind = "[extensions]\n\tobjectformat = sha256\n" if len(head) == 64 else ""
    version = 1 if kind else 0
    (own / "config").write_text(f"[core]\n\trepositoryformatversion = {version}\n{core}{kind}", encoding="ascii")
    for index in folder.glob("sharedindex.*"):  # an index in two parts looks for its other part here
        (own / index.name).symlink_to(index.resolve())


def _environment(own: Path, root: Path, folder: Path, shared: Path, head: str) -> dict[str, str]:
    """Everything that git is told, and nothing of what somebody has set for it."""
    kept = {name: os.environ[name] for name in ("SYSTEMROOT", "TMPDIR") if name in os.environ}
    return kept | {
        "PATH": os.devnull,  # nothing that git could be made to call is found
        "HOME": str(own),
        "LC_ALL": "C",
        "GIT_DIR": str(own),
        "GIT_WORK_TREE": str(root),
        "GIT_OBJECT_DIRECTORY": str((shared / "objects").resolve()),
        "GIT_INDEX_FILE": str((folder / "index").resolve()),
        "GIT_ATTR_SOURCE": EMPTY_TREE[len(head)],
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "none",
    }


def _read(path: Path) -> str:
    """A small plain file: a pipe or a device in its place is not opened."""
    with open_plain(path) as file:
        check_size(file, MOST_BYTES)
        return b"".join(chunks(file)).decode("utf-8", "replace")
