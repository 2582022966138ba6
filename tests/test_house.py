"""The house itself: imports run one way, files stay small, the map in docs/architecture.md is true."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from app_cases import CONFIGS, ROOT

import mlnn

PACKAGE = ROOT / "mlnn"
# What each file or folder of mlnn imports from the rest of it, no more and no less; each stands below what it may import.
TABLE = {
    "shipped": "",
    "signature": "",
    "visible": "",
    "world": "",
    "errors": "visible",
    "keys": "errors",
    "received": "visible",
    "report": "errors visible",
    "arguments": "errors",
    "likelihoods": "errors signature",
    "models": "errors",
    "logs": "errors received visible",
    "runs": "errors received visible",
    "sinks": "errors visible",
    "trust": "arguments errors shipped visible",
    "workers": "errors",
    "seeding": "arguments",
    "targets": "arguments errors",
    "data": "arguments errors received seeding targets visible world",
    "objectives": "arguments errors likelihoods seeding signature targets world",
    "auditing": "errors likelihoods objectives proving report seeding signature targets world",
    "training": "arguments data errors objectives seeding targets world",
    "auditing_models": "arguments auditing errors report seeding",
    "proving": "arguments errors objectives report targets visible world",
    "settings": "arguments data errors keys objectives signature targets training trust",
    "estimating": "arguments data errors keys likelihoods models objectives report runs seeding"
    " settings signature targets training visible world",
    "comparing": "arguments data errors estimating keys logs objectives proving report runs"
    " settings sinks targets training visible workers world",
    "lifting": "arguments auditing errors objectives targets visible",
    "recording": "arguments comparing data errors lifting objectives received report runs seeding targets training visible"
    " world",
    "integrations": "errors recording",
    "cli": "auditing auditing_models comparing errors estimating keys lifting logs objectives proving recording report runs"
    " settings shipped training trust visible workers",
    "testing": "arguments comparing data errors objectives recording seeding targets training world",
    "__main__": "cli",
}
MAY_IMPORT = {unit: set(others.split()) for unit, others in TABLE.items()}
LINES, FUNCTION_LINES = 300, 60


@cache
def parsed(source: str) -> ast.Module:
    """A source, parsed once for all that is asked of it."""
    return ast.parse(source)


def modules(tree: ast.AST) -> Iterator[str]:
    """Every module a source names in an import, wherever in the file it stands; `from a import b` may mean a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def named(source: str) -> tuple[str, ...]:
    """Every module that a source names in an import."""
    return tuple(modules(parsed(source)))


def named_in(path: Path) -> tuple[str, ...]:
    return named(path.read_text(encoding="utf-8"))


def forbidden(unit: str, source: str) -> list[str]:
    """What a source of `unit` imports against the table."""
    units = {name.split(".")[1] for name in named(source) if name.startswith("mlnn.")}
    return sorted(units - MAY_IMPORT[unit] - {unit})


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def unit_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_run_one_way() -> None:
    units = {unit_of(path) for path in sources()} - {"__init__"}
    assert units <= MAY_IMPORT.keys(), f"say in MAY_IMPORT what these may import: {sorted(units - MAY_IMPORT.keys())}"
    against = {
        str(path.relative_to(ROOT)): found
        for path in sources()
        if unit_of(path) != "__init__" and (found := forbidden(unit_of(path), path.read_text(encoding="utf-8")))
    }
    assert against == {}


def unused(table: dict[str, set[str]], found: dict[str, set[str]]) -> dict[str, list[str]]:
    """Permissions of the table that no import makes use of."""
    return {
        unit: sorted(others - found.get(unit, set()))
        for unit, others in table.items()
        if others - found.get(unit, set())
    }


def test_every_permission_is_used() -> None:
    found: dict[str, set[str]] = {}
    for path in sources():
        named = {name.split(".")[1] for name in named_in(path) if name.startswith("mlnn.")}
        found.setdefault(unit_of(path), set()).update(named)
    assert unused(MAY_IMPORT, found) == {}
    assert unused(MAY_IMPORT | {"errors": {"visible", "world"}, "gone": {"errors"}}, found) == {
        "errors": ["world"], "gone": ["errors"],
    }  # fmt: skip


def test_the_table_itself_has_no_circle() -> None:
    left = {unit: set(needs) for unit, needs in MAY_IMPORT.items()}
    while left:
        free = {unit for unit, needs in left.items() if not needs & left.keys()}
        assert free, f"these import one another: {sorted(left)}"
        left = {unit: needs for unit, needs in left.items() if unit not in free}


@pytest.mark.parametrize(
    ("unit", "source", "found"),
    [
        ("training", "from mlnn.comparing.probe import probe", ["comparing"]),
        ("report", "def page():\n    import mlnn.training", ["training"]),
        ("runs", "from mlnn import targets", ["targets"]),
        ("errors", "if True:\n    from mlnn.seeding import derive", ["seeding"]),
        ("estimating", "from mlnn.training import Lane\nfrom mlnn import comparing, errors", ["comparing"]),
        ("data", "from mlnn.data.prepare import prepare\nfrom mlnn.errors import DataError", []),
    ],
)
def test_an_import_against_the_table_is_found(unit: str, source: str, found: list[str]) -> None:
    assert forbidden(unit, source) == found


def circles(needs: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import one another, wherever in a file the imports stand."""
    reach: dict[str, set[str]] = {}
    for start in needs:
        todo, seen = [start], set[str]()
        while todo:
            new = needs[todo.pop()] & needs.keys() - seen
            seen |= new
            todo += new
        reach[start] = seen
    together = {start: frozenset(other for other in seen if start in reach[other]) for start, seen in reach.items()}
    return sorted(sorted(group) for group in set(together.values()) if group)


def module_imports(sources: dict[str, str]) -> dict[str, set[str]]:
    """The modules among `sources` that each of them imports: `from a import b` is a.b where there is such a module, else a."""
    found = {}
    for name, source in sources.items():
        others = {other if other in sources else other.rpartition(".")[0] for other in named(source)}
        found[name] = others & sources.keys()
    return found


def test_no_module_imports_one_that_imports_it() -> None:
    """Not inside functions and not for type checkers either: what two modules share lies below both."""
    told = {}
    for path in sources():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        told[name] = path.read_text(encoding="utf-8")
    found = module_imports(told)
    assert "mlnn.errors" in found["mlnn.arguments"]
    assert circles(found) == []


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ({"m.a": "from m.b import f", "m.b": "import m.c", "m.c": "", "m": "from m.a import f"}, []),
        ({"m.a": "from m.b import f", "m.b": "def f():\n    from m import a", "m": ""}, [["m.a", "m.b"]]),
        (
            {"m.a": "if TYPE_CHECKING:\n    from m.c import C", "m.b": "import m.a", "m.c": "from m import b", "m.d": "import m.a"},
            [["m.a", "m.b", "m.c"]],
        ),
        ({"m.a": "def f():\n    import m.a"}, [["m.a"]]),
    ],
)  # fmt: skip
def test_a_circle_of_imports_is_found(sources: dict[str, str], found: list[list[str]]) -> None:
    assert circles(module_imports(sources)) == found


def importers(name: str) -> set[str]:
    """The files of mlnn that import a package."""
    return {
        str(path.relative_to(PACKAGE))
        for path in sources()
        if any(found.split(".")[0] == name for found in named_in(path))
    }


def test_only_the_command_line_imports_hydra_and_nothing_imports_experiments() -> None:
    for name in ("hydra", "omegaconf"):
        assert importers(name)
        assert {path.split("/")[0] for path in importers(name)} == {"cli"}
    assert importers("experiments") == importers("tests") == set()
    assert "runs/writing.py" in importers("hashlib"), "the search itself finds what is there"


def test_experiments_stay_thin() -> None:
    for path in (ROOT / "experiments").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 120, path.name
        assert not any(name.split(".")[0] in ("hydra", "omegaconf", "experiments") for name in modules(parsed(text)))


def test_importing_mlnn_is_light() -> None:
    code = "import sys, mlnn, mlnn.cli, mlnn.cli.said; print([n for n in ('torch', 'numpy', 'plotly') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_where_they_are_said_to_be() -> None:
    assert set(mlnn.__all__) == set(mlnn._HOMES)
    assert sorted(mlnn.__all__) == mlnn.__all__
    for name in mlnn.__all__:
        assert getattr(mlnn, name).__module__.startswith(mlnn._HOMES[name])
    with pytest.raises(AttributeError, match="no attribute 'comprae'"):
        mlnn.comprae  # noqa: B018


def too_long(source: str) -> list[str]:
    """Functions above the limit, and the file itself."""
    found = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    ]
    lines = len(source.splitlines())
    return found + [f"the file: {lines} lines"] * (lines > LINES)


def test_files_and_functions_stay_small_and_say_in_their_first_line_what_they_are_for() -> None:
    texts = {str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in sources()}
    assert {name: found for name, text in texts.items() if (found := too_long(text))} == {}
    assert [name for name, text in texts.items() if not ast.get_docstring(parsed(text))] == []


def test_what_is_too_long_is_found() -> None:
    body = "    pass\n" * FUNCTION_LINES
    assert too_long(f"def f():\n{body}") == [f"f: {FUNCTION_LINES + 1} lines"]
    assert too_long("x = 1\n" * (LINES + 1)) == [f"the file: {LINES + 1} lines"]


def file_map(text: str) -> dict[str, str]:
    """path → phrase, of the fenced block of a page that names mlnn/cli."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        lines = [line.split(maxsplit=1) for line in block.splitlines() if line.strip()]
        found = {words[0].rstrip("/"): words[1] for words in lines if len(words) == 2}
        if "mlnn/cli" in found:
            return found
    return {}


def missing_from(found: dict[str, str]) -> tuple[list[str], list[str]]:
    """(paths on the map that do not exist, paths that exist and are not on the map)."""
    there = {f"mlnn/{path.name}" for path in PACKAGE.glob("*.py") if path.name != "__init__.py"}
    there |= {f"mlnn/{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")}
    there |= {f"experiments/{path.name}" for path in (ROOT / "experiments").glob("*.py")}
    there |= {f"configs/{path.name}" for path in CONFIGS.iterdir() if path.is_dir()}
    return sorted(p for p in found if not (ROOT / p).exists()), sorted(there - found.keys())


def test_the_map_of_the_architecture_is_true() -> None:
    found = file_map((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert found, (
        "docs/architecture.md needs a fenced map of the files, each line `path  phrase`, with mlnn/cli among them"
    )
    gone, unnamed = missing_from(found)
    assert gone == [], "the map in docs/architecture.md names what does not exist"
    assert unnamed == [], "the map in docs/architecture.md leaves these out"


def test_a_map_that_is_not_true_is_found() -> None:
    text = "words\n```\npip install\n```\n```text\nmlnn/cli/  the command line\nmlnn/gone.py  gone\n```\n"
    found = file_map(text)
    assert found == {"mlnn/cli": "the command line", "mlnn/gone.py": "gone"}
    gone, unnamed = missing_from(found)
    assert gone == ["mlnn/gone.py"]
    assert {"mlnn/runs", "mlnn/data", "experiments/train.py", "configs/model"} <= set(unnamed)
    assert "mlnn/cli" not in unnamed
    assert file_map("no map here") == {}


@pytest.mark.slow
def test_the_first_use_of_a_public_name_draws_nothing_of_the_callers() -> None:
    uses = "; ".join(f"mlnn.{name}" for name in mlnn.__all__)
    code = (
        f"import random, mlnn; random.seed(0); before = random.getstate(); {uses}; print(random.getstate() == before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_the_counts_see_what_they_count(tmp_path: Path) -> None:
    text = "class A:\n    pass\ndef f(x: dict[str, Any]) -> None:\n    isinstance(x, Normal | Gamma), x.space.kind\n"
    (tmp_path / "one.py").write_text(text, encoding="utf-8")
    (tmp_path / "two.py").write_text("def f() -> None:\n    isinstance(1, int)\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "experiments/benchmarks/counts.py"), str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {
        name: int(number) for number, _, name in (line.strip().partition("  ") for line in done.stdout.splitlines())
    }
    assert found["files"] == 2
    assert found["classes"] == found["dict[str, Any] or Mapping[str, Any] in signatures"] == 1
    assert found["type tests on families outside likelihoods/"] == 1
    assert found["lines that test the kind of a target space"] == 1
    assert found["public names defined in more than one file"] == 1
