"""Could the verdict be wrong? Pairs known to be equal, and pairs known to be faulty, judged by mlnn and by tolerances."""

from mlnn.cli import main
from mlnn.cli.compose import Settings
from mlnn.cli.said import Said


def run(settings: Settings, _said: Said) -> None:
    from judging import cells, run_cells, select, write_rows
    from tables import listings, markdown, rich_table

    from mlnn.report.console import paths, progress, show
    from mlnn.runs import new_run
    from mlnn.runs.environment import environment

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


if __name__ == "__main__":
    main("verdict_benchmark", run)
