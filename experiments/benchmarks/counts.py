"""What the source of mlnn looks like in numbers, which guide and never gate: python experiments/benchmarks/counts.py [folder]."""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

FAMILIES = {
    *("Bernoulli", "BernoulliProbit", "Beta", "Categorical", "Gamma", "HuberDensity", "HyperbolicSecant", "Laplace"),
    *("AsymmetricLaplace", "FlatToppedLaplace", "NegativeBinomial", "Normal", "NormalLearnedVariance", "Poisson"),
    *("StudentT", "VonMises"),
}
SHORT = 50
LOOSE = re.compile(r"(?:dict|Mapping)\[str, Any\]")


def count(folder: Path) -> dict[str, int]:
    """The counts of every Python file below a folder."""
    found: Counter[str] = Counter()
    homes: dict[str, set[Path]] = {}
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = len(text.splitlines())
        found["files"] += 1
        found["lines"] += lines
        found[f"files of at most {SHORT} lines"] += lines <= SHORT
        found["lines that test the kind of a target space"] += len(re.findall(r"(?:space|targets)\.kind\b", text))
        if "report" in path.parts:
            found[".get( in report"] += text.count(".get(")
        tree = ast.parse(text)
        for node in ast.walk(tree):
            found["classes"] += isinstance(node, ast.ClassDef)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found["dict[str, Any] or Mapping[str, Any] in signatures"] += len(LOOSE.findall(_signature(node)))
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "isinstance"
                and "likelihoods" not in path.parts
            ):
                found["type tests on families outside likelihoods/"] += any(
                    getattr(part, "id", getattr(part, "attr", "")) in FAMILIES for part in ast.walk(node.args[1])
                )
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, set()).add(path)
    found["public names defined in more than one file"] = sum(len(paths) > 1 for paths in homes.values())
    return dict(found)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    annotations = [argument.annotation for argument in arguments] + [node.returns]
    return " ".join(ast.unparse(one) for one in annotations if one is not None)


if __name__ == "__main__":
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "mlnn"
    for name, number in count(root).items():
        print(f"{number:>8}  {name}")
