"""Could the verdict be wrong? Pairs known to be equal, and pairs known to be faulty, judged by mlnn and by tolerances."""

from dataclasses import dataclass

from mlnn.cli import Script, main
from mlnn.cli.running import answering, point_to
from mlnn.cli.said import Said
from mlnn.keys import BaseSettings, at_least, key


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings(BaseSettings):
    """configs/verdict_benchmark.yaml"""

    kinds: list[str] = key(["equal", "unequal"], "of pairs")
    families: list[str] = key(["textbook", "field"], "of pairs; field: losses and loops as people run them")
    pairs: list[str] = key([], "parts of pair names, e.g. [smoothing, broadcast]; empty: all")
    every: int = key(1, "every n-th pair only", at_least(1))
    architectures: list[str] = key(["node", "tanh2", "relu4"], "on which a pair is trained")
    optimizers: list[str] = key(["sgd", "adam"], "with which it is trained")
    dtypes: list[str] = key(
        ["float32", "float64", "float16"], "a pair runs in those of them for which it means what it says"
    )
    full: bool = key(False, "every combination; else every second one, each pair still meeting all of them")
    steps: int = key(32, "optimiser steps", at_least(1))


def run(settings: BenchmarkSettings, said: Said) -> None:
    from judging import cells, run_cells, select, write_rows
    from tables import listings, markdown, rich_table

    from mlnn.report.console import progress, show

    pairs = select(settings.kinds, settings.pairs, settings.every, settings.families)
    todo = cells(pairs, settings.architectures, settings.optimizers, settings.dtypes, settings.steps,
                 settings.seed, settings.full)  # fmt: skip
    with answering(settings, said) as folder:
        with progress(f"{len(todo)} comparisons") as advance:
            rows = run_cells(todo, settings.jobs, advance)
        found = listings(rows)
        write_rows(rows, folder.path("benchmark.csv"))
        folder.write_text("results.md", markdown(rows, found))

    for listing in found:
        show(rich_table(listing))
    point_to(folder.final, results="results.md", numbers="benchmark.csv")


if __name__ == "__main__":
    main("verdict_benchmark", Script(BenchmarkSettings, run))
