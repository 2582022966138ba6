"""Reading README and docs: blocks, spans, links and tables of Markdown, and what is wrong with each. Every finder is pure."""

import ast
import importlib
import inspect
import re
import shlex
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from app_cases import COMMANDS, ROOT

from mlnn.cli import said
from mlnn.cli.compose import composing, settings
from mlnn.errors import MlnnError

PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
OWN = re.compile(r"\bmy[_/]")
"""What stands for something of the reader's: my_loss, my/conf."""
FILES = re.compile(r"(?:mlnn|configs|tests|experiments|docs|\.github)/[\w./-]*|\w+\.md|Makefile|\.ci/run")


def blocks(text: str, kind: str) -> list[str]:
    """The fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def runnable(text: str) -> list[str]:
    """The blocks of Python that need nothing of the reader's."""
    return [block for block in blocks(text, "python") if not OWN.search(block)]


def spans(text: str) -> list[str]:
    """Inline code outside fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def tables(text: str, first: str) -> list[list[list[str]]]:
    """Rows of cells of every table whose first heading is `first`."""
    found, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            found += [rows[2:]] if rows[0][0] == first else []
            rows = []
    return found


def words(rows: list[list[str]]) -> list[str]:
    """The code in the first cell of each row."""
    return [word for row in rows for word in spans(row[0])]


def anchors(text: str) -> set[str]:
    """The names that headings can be linked by."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def dead_links(text: str, folder: Path) -> list[str]:
    """Relative links and pictures that lead nowhere, from a page in `folder`."""
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = folder / path if path else None
        there = (
            anchors(target.read_text(encoding="utf-8") if target and target.is_file() else text) if anchor else set()
        )
        if (target and not target.exists()) or (anchor and anchor not in there):
            dead.append(link)
    return dead


def command_lines(text: str) -> Iterator[list[str]]:
    """The words after `mlnn` of every line of the shell blocks and every inline `mlnn …`, comments taken off."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    for line in [*lines, *spans(text)]:
        if line.startswith("mlnn "):
            yield shlex.split(line.partition(" #")[0])[1:]


def unknown_commands(text: str) -> list[str]:
    """Words that stand where a command does and are none."""
    first = [line[0] for line in command_lines(text) if line]
    return [word for word in first if word not in (*COMMANDS, "--help", "--version")]


def refused_lines(text: str) -> list[str]:
    """Command lines that do not compose, each with the reason. What names something of the reader's is left out."""
    refused = []
    for name, *rest in command_lines(text):
        kept = [word for word in rest if not OWN.search(word) or word.startswith(("data.path=", "loss="))]
        kept = [word for word in kept if word not in ("--config-dir", "RUN", "…")]
        if name in COMMANDS and kept and (problem := _refused(name, tuple(kept), any(map(OWN.search, rest)))):
            refused.append(f"{name} {' '.join(kept)}: {problem}")
    return refused


@cache
def _refused(name: str, rest: tuple[str, ...], foreign: bool) -> str | None:
    # With an objective or model of the reader's own left out, its own arguments are no arguments of what ships.
    rest = tuple(word for word in rest if not (foreign and re.match(r"(left|right|objective|model)[.@=]", word)))
    try:
        read = said.read(name, list(rest))
        for _, job in said.jobs(read)[:1] if read.many else [((), read)]:
            if not job.show:
                with composing(job):
                    settings(job)
    except MlnnError as problem:
        return str(problem)
    return None


def looked_up(name: str) -> Any:
    """What a dotted name below mlnn means: a module, what is in it, or an attribute or field of a class; AttributeError."""
    found: Any = importlib.import_module("mlnn")
    for part in name.split(".")[1:]:
        here = found
        try:
            found = getattr(here, part)
        except AttributeError:
            if inspect.isclass(here) and part in _fields(here):
                found = None
            elif inspect.ismodule(here):
                try:
                    found = importlib.import_module(f"{here.__name__}.{part}")
                except ImportError:
                    raise AttributeError(name) from None
            else:
                raise
    return found


def _fields(kind: type) -> Collection[str]:
    return {name for base in kind.__mro__ for name in getattr(base, "__annotations__", {})}


def exists(name: str) -> bool:
    """Whether a dotted name below mlnn means something."""
    try:
        looked_up(name)
    except AttributeError:
        return _written(name)
    return True


def _written(name: str) -> bool:
    """Whether a module of `mlnn.integrations` has such a name in its source: the library that it is for may not be there."""
    path = ROOT.joinpath(*name.split(".")[:3]).with_suffix(".py")
    if not name.startswith("mlnn.integrations.") or not path.is_file():
        return False
    defined = {getattr(node, "name", None) for node in ast.parse(path.read_text(encoding="utf-8")).body}
    return all(part in defined for part in name.split(".")[3:])


def unknown_names(text: str) -> list[str]:
    """Names of mlnn in Python blocks, inline code and import lines that mean nothing."""
    named = [name for block in blocks(text, "python") for name in _named_in(block)]
    named += [match[0] for span in spans(text) if (match := re.match(r"mlnn(?:\.\w+)+", span))]
    return sorted({name for name in named if not exists(name)})


def _named_in(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mlnn":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "mlnn")
        elif isinstance(node, ast.Attribute) and re.fullmatch(r"mlnn(\.\w+)+", ast.unparse(node)):
            yield ast.unparse(node)


def broken_python(text: str) -> list[str]:
    """Python blocks that do not compile, by the reason."""
    problems = []
    for block in blocks(text, "python"):
        try:
            compile(block, "docs", "exec")
        except SyntaxError as problem:
            problems.append(str(problem))
    return problems


def missing_files(text: str) -> list[str]:
    """Paths in inline code that do not exist."""
    named = [span for span in spans(text) if FILES.fullmatch(span) and not OWN.search(span) and "…" not in span]
    return [name for name in named if not (ROOT / name).exists()]


def said_of_codes(text: str) -> tuple[dict[int, str], list[int]]:
    """(code → meaning, the order in which the gravest counts) of the sentence on exit codes; empty where there is none."""
    match = re.search(r"Exit codes: (.*?)\. Of several, the first of ([\d, ]+)", " ".join(text.split()))
    if match is None:
        return {}, []
    meanings = [part.strip().partition(" ") for part in match[1].split(";")]
    return {int(code): meaning for code, _, meaning in meanings}, [int(code) for code in re.findall(r"\d+", match[2])]
