"""The commit of somebody else's repository: told rightly, and nothing that the repository names is run."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlnn.runs.commit import commit
from mlnn.runs.environment import environment

IDENTITY = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True, env=os.environ | IDENTITY
    )
    return done.stdout.strip()


def repository(folder: Path, *words: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main", *words)
    (folder / "kept.txt").write_text("one\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a canary leaves behind when it is run."""
    return tmp_path / "acted"


@pytest.fixture
def canary(tmp_path: Path, mark: Path) -> str:
    script = tmp_path / "canary.sh"
    script.write_text(f"#!/bin/sh\necho \"$0 $*\" >> '{mark}'\nexec cat\n")
    script.chmod(0o755)
    return str(script)


def touch(repo: Path) -> None:
    """A changed time: git has to look into the file, through its filters."""
    os.utime(repo / "kept.txt", (1, 1))


def config(repo: Path, *pairs: tuple[str, str]) -> None:
    for key, value in pairs:
        git(repo, "config", key, value)


def filtered(kind: str) -> Callable[[Path, str], None]:
    def arm(repo: Path, canary: str) -> None:
        config(repo, (f"filter.x.{kind}", canary), ("filter.x.required", "true"))
        (repo / ".gitattributes").write_text("* filter=x diff=x merge=x text=auto eol=lf\n")
        (repo / ".git" / "info").mkdir(exist_ok=True)
        (repo / ".git" / "info" / "attributes").write_text("* filter=x diff=x\n")

    return arm


def set_to(*keys: str) -> Callable[[Path, str], None]:
    return lambda repo, canary: config(repo, *((key, canary) for key in keys))


def hooks(repo: Path, canary: str) -> None:
    config(repo, ("core.hooksPath", str(repo / "hooks")))
    for folder in (repo / "hooks", repo / ".git" / "hooks"):
        folder.mkdir(exist_ok=True)
        for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction", "post-checkout", "pre-commit"):
            (folder / name).write_text(Path(canary).read_text())
            (folder / name).chmod(0o755)


def included(repo: Path, canary: str) -> None:
    (repo / "more.config").write_text(f'[core]\n\tfsmonitor = {canary}\n[filter "x"]\n\tclean = {canary}\n')
    (repo / ".gitattributes").write_text("* filter=x\n")
    config(repo, ("include.path", "../more.config"), (f"includeIf.gitdir:{repo}/.path", "../more.config"))


def promised(repo: Path, canary: str) -> None:
    """A partial clone: what it lacks is fetched by a program of the remote's choice."""
    config(
        repo, ("extensions.partialClone", "origin"), ("core.repositoryFormatVersion", "1"), ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::{canary}"), ("protocol.ext.allow", "always"), ("remote.origin.uploadpack", canary),
    )  # fmt: skip
    (repo / "kept.txt").write_text("two\n")
    git(repo, "add", ".")
    blob = git(repo, "hash-object", "kept.txt")
    tree = git(repo, "rev-parse", "HEAD^{tree}")
    for name in (blob, tree):
        (repo / ".git" / "objects" / name[:2] / name[2:]).unlink()


def submodule(repo: Path, canary: str) -> None:
    inner = repository(repo / "inner")
    config(inner, ("core.fsmonitor", canary), ("filter.x.clean", canary))
    (inner / ".gitattributes").write_text("* filter=x\n")
    git(repo, "add", "inner")
    git(repo, "commit", "-qm", "inner")
    touch(inner)


REPOSITORY: dict[str, Callable[[Path, str], None]] = {
    "clean": filtered("clean"),
    "smudge": filtered("smudge"),
    "process": filtered("process"),
    "monitor": set_to("core.fsmonitor"),
    "pagers": set_to("core.pager", "pager.status", "core.editor", "sequence.editor", "core.askPass"),
    "diffs": set_to("diff.external", "diff.x.command", "diff.x.textconv", "merge.x.driver", "interactive.diffFilter"),
    "remotes": set_to("core.sshCommand", "core.gitProxy", "credential.helper", "remote.origin.uploadpack"),
    "signatures": set_to("gpg.program", "gpg.ssh.program", "gpg.x509.program"),
    "traces": set_to("trace2.normalTarget", "trace2.eventTarget", "trace2.perfTarget"),
    "alias": lambda repo, canary: config(repo, ("alias.status", f"!{canary}"), ("alias.st", f"!{canary}")),
    "hooks": hooks,
    "included": included,
    "promised": promised,
    "submodule": submodule,
    "alternate refs": set_to("core.alternateRefsCommand", "uploadpack.packObjectsHook"),
}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kind", REPOSITORY)
def test_nothing_that_a_repository_names_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canary: str, mark: Path, kind: str
) -> None:
    repo = repository(tmp_path / "repo")
    REPOSITORY[kind](repo, canary)
    touch(repo)
    mark.unlink(missing_ok=True)  # what arming it ran
    monkeypatch.chdir(repo)
    started = time.perf_counter()
    found = environment()["git"]
    assert time.perf_counter() - started < 8
    assert not mark.exists(), mark.read_text()
    if kind != "promised":  # its tree is missing, so nothing can be compared
        assert found["commit"] == git_head(repo)


def git_head(repo: Path) -> str:
    return (repo / ".git" / "refs" / "heads" / "main").read_text().strip()


@pytest.mark.parametrize("kind", ["clean", "process", "monitor", "hooks", "included", "submodule"])
def test_a_plain_call_of_git_is_caught(tmp_path: Path, canary: str, mark: Path, kind: str) -> None:
    """The canary does sing where git is asked as one asks it every day."""
    repo = repository(tmp_path / "repo")
    REPOSITORY[kind](repo, canary)
    touch(repo)
    mark.unlink(missing_ok=True)
    subprocess.run(["git", "status"], cwd=repo, capture_output=True, check=False, timeout=20)
    assert mark.exists()


VARIABLES = (
    "GIT_EXTERNAL_DIFF", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_PAGER", "GIT_EDITOR", "GIT_ASKPASS", "GIT_PROXY_COMMAND",
    "GIT_TRACE", "GIT_TRACE2", "GIT_TRACE2_EVENT", "GIT_TRACE_SETUP", "GIT_TEMPLATE_DIR", "GIT_EXEC_PATH",
)  # fmt: skip


def test_what_is_set_for_git_is_not_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canary: str, mark: Path
) -> None:
    repo, other = repository(tmp_path / "repo"), repository(tmp_path / "other")
    (other / "kept.txt").write_text("else\n")
    git(other, "commit", "-qam", "second")
    written = tmp_path / "written"
    for name in VARIABLES:
        monkeypatch.setenv(name, str(written) if "TRACE" in name else canary)
    for number, key in enumerate(("core.fsmonitor", "filter.x.clean", "core.pager")):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", canary)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "3")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'core.fsmonitor={canary}'")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f"[core]\n\tfsmonitor = {canary}\n[trace2]\n\teventTarget = {written}\n")
    monkeypatch.setenv("HOME", str(home))
    for name, value in (
        ("GIT_DIR", other / ".git"),
        ("GIT_WORK_TREE", other),
        ("GIT_INDEX_FILE", other / ".git/index"),
    ):
        monkeypatch.setenv(name, str(value))
    (repo / ".gitattributes").write_text("* filter=x\n")
    touch(repo)
    monkeypatch.chdir(repo)
    assert commit() == {"commit": git_head(repo), "dirty": False}
    assert not mark.exists()
    assert not written.exists()


@pytest.mark.parametrize("path", ["", ".", ":{}", "{}:", "::{}", ".:{}", "bin:{}", "{repo}:{}", "{repo}/bin:{}"])
def test_a_git_that_lies_in_the_folder_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canary: str, mark: Path, path: str
) -> None:
    repo = repository(tmp_path / "repo")
    for place in (repo / "git", repo / "bin" / "git"):
        place.parent.mkdir(exist_ok=True)
        place.write_text(Path(canary).read_text())
        place.chmod(0o755)
    monkeypatch.setenv("PATH", path.format(os.environ["PATH"], repo=repo))
    monkeypatch.chdir(repo)
    found = environment()["git"]
    assert not mark.exists()
    assert found is None if path in ("", ".") else found["commit"] == git_head(repo)


def changed(repo: Path) -> None:
    (repo / "kept.txt").write_text("two\n")


def staged(repo: Path) -> None:
    changed(repo)
    git(repo, "add", ".")


STATES: dict[str, tuple[Callable[[Path], object], bool]] = {
    "clean": (lambda _: None, False),
    "touched": (touch, False),
    "untracked": (lambda repo: (repo / "new.txt").write_text("new\n"), False),
    "changed": (changed, True),
    "staged": (staged, True),
    "gone": (lambda repo: (repo / "kept.txt").unlink(), True),
    "executable": (lambda repo: (repo / "kept.txt").chmod(0o755), True),
    "packed": (lambda repo: (git(repo, "gc", "-q"), git(repo, "pack-refs", "--all")), False),
    "detached": (lambda repo: git(repo, "checkout", "-q", "--detach"), False),
    "split": (lambda repo: git(repo, "update-index", "--split-index"), False),
    "nested branch": (lambda repo: git(repo, "checkout", "-q", "-b", "a/b.c/d"), False),
    "modes off": (lambda repo: (config(repo, ("core.filemode", "false")), (repo / "kept.txt").chmod(0o755)), False),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("words", [(), ("--object-format=sha256",)], ids=["sha1", "sha256"])
def test_it_says_what_git_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, words: tuple[str, ...]
) -> None:
    repo = repository(tmp_path / "repo", *words)
    make, dirty = STATES[state]
    make(repo)
    head = git(repo, "rev-parse", "HEAD")
    (repo / "below").mkdir()
    monkeypatch.chdir(repo / "below")
    index = (repo / ".git" / "index").read_bytes()
    assert commit() == {"commit": head, "dirty": dirty}
    assert (repo / ".git" / "index").read_bytes() == index, "asking changes nothing"


def test_a_second_work_tree_and_a_submodule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = repository(tmp_path / "repo")
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    (tmp_path / "side" / "kept.txt").write_text("side\n")
    git(tmp_path / "side", "commit", "-qam", "second")
    outer = repository(tmp_path / "outer")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repo), "inner")
    for folder in (tmp_path / "side", outer / "inner"):
        monkeypatch.chdir(folder)
        assert commit() == {"commit": git(folder, "rev-parse", "HEAD"), "dirty": False}


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def arm(repo: Path) -> None:
        (repo / ".git" / name).unlink(missing_ok=True)
        make(repo / ".git" / name)

    return arm


BROKEN: dict[str, Callable[[Path], object]] = {
    "head pipe": replaced("HEAD", os.mkfifo),
    "head device": replaced("HEAD", lambda path: path.symlink_to("/dev/zero")),
    "head large": replaced("HEAD", lambda path: (path.touch(), os.truncate(path, 10**12))),
    "head out": replaced("HEAD", lambda path: path.write_text("ref: refs/../../../secret\n")),
    "head absolute": replaced("HEAD", lambda path: path.write_text("ref: /etc/hostname\n")),
    "head loop": replaced(
        "HEAD", lambda path: (path.write_text("ref: refs/a\n"), (path.parent / "refs/a").write_text("ref: refs/a"))
    ),
    "index pipe": replaced("index", os.mkfifo),
    "index damaged": replaced("index", lambda path: path.write_bytes(b"DIRC" + b"\xff" * 100)),
    "config pipe": replaced("config", os.mkfifo),
    "config binary": replaced("config", lambda path: path.write_bytes(b"\xff\x00[core")),
    "commondir out": replaced("commondir", lambda path: path.write_text("/dev")),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_repository_that_is_none_ends_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    (tmp_path / "secret").write_text("a" * 40)
    repo = repository(tmp_path / "repo")
    BROKEN[kind](repo)
    monkeypatch.chdir(repo)
    started = time.perf_counter()
    found = environment()["git"]
    assert time.perf_counter() - started < 8
    assert found is None or kind == "config binary"


def test_a_git_that_never_answers_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo, place = repository(tmp_path / "repo"), tmp_path / "bin" / "git"
    place.parent.mkdir()
    place.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    place.chmod(0o755)
    monkeypatch.setenv("PATH", str(place.parent))
    monkeypatch.setattr("mlnn.runs.commit.SECONDS", 0.3)
    monkeypatch.chdir(repo)
    started = time.perf_counter()
    assert environment()["git"] is None
    assert time.perf_counter() - started < 5


def test_without_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert commit() is None
