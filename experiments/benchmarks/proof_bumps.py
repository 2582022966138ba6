"""Are bumps that no grid sees found, and are equal losses proved, however they are written? bumps.jsonl, bumps.md.

python experiments/benchmarks/proof_bumps.py [folder=.] [every=1] [seed=0]: half an hour; what is in bumps.jsonl is not done again

100 pairs with a bump of height 1e-9 and width 1e-8 to 1e-4 at a random place, in values or in the gradient alone, and 100 equal
pairs made by random rewriting. An answer is wrong where a bump is called proved, or is found where there is none, and where an
equal pair is called different; what is undecided is grouped by its reason.
"""

import json
import multiprocessing
import random
import re
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from proof_forms import BUMPS, FAMILIES, OF_LOSS, OF_OUTPUT, REACH, Loss, bump, picked
from torch import Tensor
from torch.nn import functional as F

import mlnn
from mlnn.proving import Proof
from mlnn.proving.answers import Interval, Part
from mlnn.proving.boxes import VALUE
from mlnn.proving.cases import GRADIENT, RESIDUAL
from mlnn.proving.several import LINE

HEIGHT, WIDTHS = 1e-9, (-8, -4)
PAIRS = 100
LIMIT = 40
"""Seconds of processor time for a pair."""
START_OF_LINES = 3 / 8
"""The first raw output where the place on a line through several raw outputs is 0; the two move alike."""
Place = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Kind:
    """`space`: of the targets. `along`: what a bump is a function of. `far`: places are drawn in ±far."""

    name: str
    space: str
    along: Place
    far: float = 80.0


def _odds(z: Tensor, y: Tensor) -> Tensor:
    """The log-odds of the target's class."""
    p = picked(F.softmax(z, 1), y)
    return p.log() - torch.log1p(-p)


KINDS = (
    Kind("binary", "binary", lambda z, _: z),
    Kind("soft labels", "unit", lambda z, _: z),
    Kind("classes, by the log-odds", "classes", _odds, 150.0),
    Kind("classes, by one raw output", "classes", lambda z, _: z[:, 0], 40.0),
    Kind("counts", "counts", lambda z, _: z),
    Kind("real, by the residual", "real", lambda z, y: z - y),
    Kind("positive", "positive", lambda z, _: z),
)


@dataclass(frozen=True)
class Pair:
    """Two losses. `expected`: "found" or "proved". `what`: the kind of bump, or the rewrites. `centre`, `width`: of a bump."""

    name: str
    expected: str
    kind: Kind
    targets: str
    what: str
    left: Loss
    right: Loss
    centre: float = 0.0
    width: float = 0.0


@dataclass(frozen=True)
class Row:
    """One line of the table; `seconds` of processor time. `wrong`: what the answer says that is not so."""

    name: str
    expected: str
    kind: str
    what: str
    answer: str
    wrong: str
    boxes: int
    seconds: float
    sentence: str


def bumped(seed: int = 0) -> Iterator[Pair]:
    """Pairs with a bump: every kind with every bump, over and over."""
    for number in range(PAIRS):
        draws, kind = random.Random(seed + number), KINDS[number % len(KINDS)]
        what = [*BUMPS][number % len(BUMPS)]
        left, right = draws.sample(draws.choice(FAMILIES[kind.space]), 2)
        centre, width = draws.uniform(-kind.far, kind.far), 10 ** draws.uniform(*WIDTHS)
        right = _planted(right, kind, what, centre, width)
        yield Pair(f"bump {number}", "found", kind, _targets(kind, draws), what, left, right, centre, width)


def _targets(kind: Kind, draws: random.Random) -> str:
    return f"classes({draws.randint(3, 5)})" if kind.space == "classes" else kind.space


def _planted(loss: Loss, kind: Kind, what: str, centre: float, width: float) -> Loss:
    return lambda z, y: loss(z, y) + bump(what, kind.along(z, y), centre, width, HEIGHT)


def rewritten(seed: int = 0) -> Iterator[Pair]:
    """Equal pairs: two forms, either rewritten up to three times."""
    for number in range(PAIRS):
        draws, kind = random.Random(seed + 1000 + number), KINDS[number % len(KINDS)]
        forms = draws.choice(FAMILIES[kind.space])
        told: list[str] = []
        left, right = (_rewritten(draws.choice(forms), forms, draws, told) for _ in range(2))
        yield Pair(f"equal {number}", "proved", kind, _targets(kind, draws), ", ".join(told), left, right)


def _rewritten(loss: Loss, forms: Sequence[Loss], draws: random.Random, told: list[str]) -> Loss:
    for _ in range(draws.randint(0, 3)):
        if draws.random() < 0.4:
            name = draws.choice([*OF_OUTPUT])
            loss = _of_output(loss, OF_OUTPUT[name])
        else:
            name = draws.choice([*OF_LOSS])
            loss = OF_LOSS[name](loss, draws.choice(forms), draws.uniform(-40, 40))
        told.append(name)
    return loss


def _of_output(loss: Loss, way: Callable[[Tensor], Tensor]) -> Loss:
    return lambda z, y: loss(way(z), y)


def row(pair: Pair) -> Row:
    begun = _spent()
    found = answer(pair)
    spent = round(_spent() - begun, 2)
    name = pair.kind.name
    return Row(
        pair.name, pair.expected, name, pair.what, found.answer, wrong(pair, found), found.boxes, spent, found.sentence
    )


def _spent() -> float:
    """Seconds of processor time of the processes that have ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def answer(pair: Pair) -> Proof:
    """The proof of a pair, in a process of its own; one that takes longer than LIMIT is undecided."""
    here, there = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_answered, args=(pair, there))
    child.start()
    there.close()
    try:
        found: Proof = here.recv()
    except EOFError:
        found = Proof("undecided", f"undecided: no answer in {LIMIT} s of processor time", (-88, 88), 1e-15)
    child.join()
    return found


def _answered(pair: Pair, there: Connection) -> None:
    spent = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (spent + LIMIT, spent + LIMIT))
    there.send(mlnn.prove(pair.left, pair.right, pair.targets))


def wrong(pair: Pair, found: Proof) -> str:
    """What an answer says that is not so; nothing of one that is undecided."""
    if pair.expected == "proved":
        return "" if found.answer != "differs" else "called different"
    if found.answer == "proved" or found.relation is not None:
        return f"called {found.relation}"
    reach = pair.width * REACH[pair.what] + 1e-9
    told = [one for one in found.parts if one.question in (VALUE, GRADIENT) and one.differs]
    for part in told:
        place = _expected(pair, part)
        if place is not None and not all(
            place - reach <= low <= place <= high <= place + reach for low, high in _joined(part.differs)
        ):
            return "found where there is no bump"
    return ""


def _expected(pair: Pair, part: Part) -> float | None:
    """Where a part of an answer has to find the bump; None of the log-odds on a line, which it meets where it does."""
    if part.variable == LINE:
        return pair.centre - START_OF_LINES if pair.kind.along is not _odds else None
    by_output = pair.kind.space == "real" and part.variable != RESIDUAL
    return pair.centre + (float(part.target.removeprefix("y = ")) if by_output else 0.0)


def _joined(some: Sequence[Interval]) -> list[Interval]:
    """From the first end to the last: a slope is 0 inside of a bump, too."""
    return [(min(low for low, _ in some), max(high for _, high in some))]


def reason(sentence: str) -> str:
    """Why an answer is undecided, numbers left out."""
    return re.sub(r"[−-]?\d[\d.e−+-]*", "#", sentence.removeprefix("undecided: "))


def markdown(rows: Sequence[Row]) -> str:
    """Two tables by kind, and what is undecided by its reason."""
    lines = []
    for expected, answer, title in (("found", "differs", "Bumps"), ("proved", "proved", "Equal pairs")):
        mine = [one for one in rows if one.expected == expected]
        lines += [f"## {title}", "", f"| kind | pairs | {expected} | undecided | wrong | s, median | s, most |"]
        lines.append("|---|---|---|---|---|---|---|")
        for name in [*dict.fromkeys(one.kind for one in mine), "all"]:
            group = [one for one in mine if name in (one.kind, "all")]
            lines.append(_line(name, group, answer))
        lines += ["", *_open([one for one in mine if one.answer == "undecided"]), ""]
        lines += [
            f"WRONG: {one.name}, {one.kind}, {one.what}: {one.wrong}: {one.sentence}" for one in mine if one.wrong
        ]
    return "\n".join(lines)


def _line(name: str, group: Sequence[Row], answer: str) -> str:
    right = sum(one.answer == answer and not one.wrong for one in group)
    seconds = sorted(one.seconds for one in group) or [0.0]
    cells = [
        name,
        len(group),
        right,
        sum(one.answer == "undecided" for one in group),
        sum(bool(one.wrong) for one in group),
    ]
    return "| " + " | ".join(map(str, [*cells, f"{seconds[len(seconds) // 2]:.2g}", f"{seconds[-1]:.2g}"])) + " |"


def _open(rows: Sequence[Row]) -> list[str]:
    groups = Counter((one.kind, reason(one.sentence)[:140]) for one in rows)
    return [f"- {count} undecided, {kind}: {why}" for (kind, why), count in groups.most_common()]


def main(folder: Path, every: int, seed: int = 0) -> list[Row]:
    """Every pair once; those of bumps.jsonl are taken from there."""
    warnings.simplefilter("ignore")
    kept = folder / "bumps.jsonl"
    done = [Row(**json.loads(line)) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []
    known = {one.name for one in done}
    pairs = [*bumped(seed), *rewritten(seed)][::every]
    for number, pair in enumerate(pairs, 1):
        if pair.name in known:
            continue
        done.append(row(pair))
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(done[-1]), ensure_ascii=False) + "\n")
        one = done[-1]
        print(
            f"{number}/{len(pairs)} {one.answer:9} {one.seconds:6.2f} s {one.name}, {one.kind}, {one.what} {one.wrong}",
            flush=True,
        )
    (folder / "bumps.md").write_text(markdown(done) + "\n", encoding="utf-8")
    print(markdown(done))
    return done


if __name__ == "__main__":
    settings = dict(one.split("=", 1) for one in sys.argv[1:])
    main(Path(settings.get("folder", ".")), int(settings.get("every", "1")), int(settings.get("seed", "0")))
