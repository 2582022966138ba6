"""Could the verdict be wrong? Pairs known to be equal, and pairs known to be faulty, judged by mlnn and by tolerances."""

from pathlib import Path
from typing import Any

from mlnn.cli.compose import Settings
from mlnn.cli.said import Said


def run(settings: Settings, _said: Said) -> None:
    from mlnn.benchmark import cells, run_cells, select, write_rows
    from mlnn.environment import environment
    from mlnn.report.benchmark import listings, markdown, rich_table
    from mlnn.report.console import paths, progress, show
    from mlnn.runs import new_run

    pairs = select(settings["kinds"], settings["pairs"], settings["every"])
    todo = cells(pairs, settings["architectures"], settings["optimizers"], settings["dtypes"], settings["steps"],
                 settings["seed"], settings["full"])  # fmt: skip
    with new_run(settings["out"], "verdict_benchmark", settings["overwrite"]) as folder:
        with progress(f"{len(todo)} comparisons") as advance:
            rows = run_cells(todo, settings["jobs"], advance)
        found = listings(rows)
        write_rows(rows, folder.path("benchmark.csv"))
        folder.write_text("results.md", markdown(rows, found))
        folder.write_text("config.yaml", settings["config"])
        folder.write_json("environment.json", environment())

    for listing in found:
        show(rich_table(listing))
    paths({"results": folder.final / "results.md", "numbers": folder.final / "benchmark.csv"})


def headline(_folder: Path) -> dict[str, Any]:
    """What a table of many says of the run in `folder`: where it lies."""
    return {}
