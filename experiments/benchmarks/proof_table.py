"""What is proved, refuted or undecided on paper, over every pair of losses and every objective: proofs.jsonl, proofs.md.

python experiments/benchmarks/proof_table.py [folder=.] [every=1] [names that hold any of these …]: 10 minutes of processor time

Each row is written to proofs.jsonl as it comes, and what stands there already is not asked again: stopped and begun anew, it goes
on where it was.

A pair of the verdict's benchmark that is no two losses of a row (loops, optimisers, models of their own, extras, rows of several
positions) is no question for paper and is counted by itself. An objective with a likelihood behind it is proved against that, one
without against itself: then its own gradient is held against the slope of its value.
"""

import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from faults import PAIRS, Pair

import mlnn
from mlnn.objectives import Objective
from mlnn.objectives.partners import likelihood_of
from mlnn.shipped import config_dir
from mlnn.signature import spaces
from mlnn.targets import TargetSpace

SIZES = {"classes": "classes(3)", "ordinal": "ordinal(4)"}


@dataclass(frozen=True)
class Question:
    """Two losses. `known`: what is known of them beforehand."""

    name: str
    targets: str
    known: str
    left: Any
    right: Any
    outputs: tuple[str, str] = ("raw", "raw")


@dataclass(frozen=True)
class Row:
    """One line of the table; `seconds` of processor time."""

    title: str
    name: str
    targets: str
    known: str
    answer: str
    relation: str | None
    boxes: int
    seconds: float
    sentence: str


def is_of_rows(pair: Pair) -> bool:
    """Whether a pair is two losses of a row, and nothing else."""
    apart = (pair.step, pair.update, pair.model, pair.extras, pair.shape, pair.compile)
    return not any(apart) and pair.accumulate == 1 and not pair.left_optimizer and not pair.right_optimizer


def of_pairs() -> Iterator[Question]:
    """The pairs of the verdict's benchmark."""
    for pair in filter(is_of_rows, PAIRS):
        known = pair.kind + (" far in" if pair.partial or pair.safe else "")
        yield Question(pair.name, pair.targets, known, pair.left, pair.right, pair.outputs)


def of_objectives() -> Iterator[Question]:
    """The objectives that ship."""
    for file in sorted((config_dir() / "objective").glob("*.yaml")):
        given = made(yaml.safe_load(file.read_text(encoding="utf-8")))
        kind = (spaces(getattr(given, "nll", given)) or ("real",))[0]
        space = TargetSpace.parse(SIZES.get(kind, kind))
        behind = likelihood_of(Objective.of(given, space))
        alone = behind is None or getattr(given, "nll", None) is not None
        known = "itself" if alone else f"−log of {behind.name}" if behind else ""
        yield Question(file.stem, str(space), known, given, given if alone else behind)


def made(config: dict[str, Any]) -> Any:
    """An objective from its config."""
    module, _, name = str(config["_target_"]).rpartition(".")
    found: Callable[..., Any] = getattr(import_module(module), name)
    arguments = {key: value for key, value in config.items() if not key.startswith("_") and value is not None}
    return partial(found, **arguments) if config.get("_partial_") else found(**arguments)


def row(asked: Question, title: str = "") -> Row:
    """A question's answer."""
    begun = time.process_time()
    found = mlnn.prove(asked.left, asked.right, asked.targets, outputs=asked.outputs)
    sentence = "; ".join((found.sentence, *found.findings))
    spent = round(time.process_time() - begun, 2)
    return Row(
        title, asked.name, asked.targets, asked.known, found.answer, found.relation, found.boxes, spent, sentence
    )


def summary(rows: Iterable[Row]) -> str:
    """How many of each answer."""
    rows = list(rows)
    counts = Counter(one.answer for one in rows)
    decided = sum(counts[answer] for answer in ("proved", "differs"))
    told = ", ".join(f"{counts[answer]} {answer}" for answer in ("proved", "differs", "undecided"))
    return f"{len(rows)}: {told}; {decided / max(len(rows), 1):.0%} decided"


def markdown(title: str, rows: list[Row]) -> str:
    lines = [
        f"## {title}",
        "",
        summary(rows),
        "",
        "| | targets | known | answer | boxes | s |",
        "|---|---|---|---|---|---|",
    ]
    for one in rows:
        answer = one.answer if one.relation in (None, "equal") else f"{one.answer}, {one.relation}"
        reason = f": {one.sentence.removeprefix('undecided: ')}" if one.answer == "undecided" else ""
        lines.append(
            f"| {one.name} | {one.targets} | {one.known} | {answer}{reason[:120]} | {one.boxes} | {one.seconds:.2g} |".replace(
                "|r|", "r"
            )
        )
    return "\n".join(lines) + "\n"


def kept(file: Path) -> list[Row]:
    """The rows that a file holds; a last line that was cut off is none."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    return [Row(**json.loads(line)) for line in lines if line.endswith("\n")]


def main(folder: Path, every: int, names: list[str]) -> None:
    """Ask what is not answered yet, and write both files."""
    warnings.simplefilter("ignore")
    file = folder / "proofs.jsonl"
    rows = kept(file)
    file.write_text("".join(written(one) for one in rows), encoding="utf-8")
    done = {(one.title, one.name) for one in rows}
    for title, questions in (("Pairs", of_pairs()), ("Objectives", of_objectives())):
        asked = [one for one in questions if not names or any(name in one.name for name in names)][::every]
        for number, one in enumerate(asked, 1):
            if (title, one.name) in done:
                continue
            rows.append(row(one, title))
            with file.open("a", encoding="utf-8") as stream:
                stream.write(written(rows[-1]))
            print(f"{number}/{len(asked)} {rows[-1].answer:9} {rows[-1].seconds:6.2f} s {one.name}", flush=True)
    found = {title: [one for one in rows if one.title == title] for title in ("Pairs", "Objectives")}
    outside = sum(not is_of_rows(pair) for pair in PAIRS)
    text = "\n".join(markdown(title, part) for title, part in found.items())
    (folder / "proofs.md").write_text(f"{text}\n{outside} pairs are no two losses of a row.\n", encoding="utf-8")
    for title, part in found.items():
        print(f"{title}: {summary(part)}")


def written(one: Row) -> str:
    return json.dumps(asdict(one), ensure_ascii=False) + "\n"


if __name__ == "__main__":
    settings = dict(one.split("=", 1) for one in sys.argv[1:] if "=" in one)
    main(
        Path(settings.get("folder", ".")),
        int(settings.get("every", "1")),
        [one for one in sys.argv[1:] if "=" not in one],
    )
