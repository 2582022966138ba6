"""Could the verdict be wrong? Pairs known to be equal, and pairs known to be faulty, judged by mlnn and by tolerances."""

from mlnn import app


def prove_wrong(settings: dict) -> None:
    from mlnn.benchmark import cells, run_cells, select, write_rows
    from mlnn.environment import environment
    from mlnn.report.benchmark import listings, markdown, rich_table
    from mlnn.report.console import paths, progress, show
    from mlnn.runs import new_run

    pairs = select(settings["kinds"], settings["pairs"], settings["every"])
    todo = cells(pairs, settings["architectures"], settings["optimizers"], settings["dtypes"], settings["steps"],
                 settings["seed"], settings["full"])  # fmt: skip
    with new_run(settings["out"], "verdict_benchmark", settings["overwrite"]) as run:
        with progress(f"{len(todo)} comparisons") as advance:
            rows = run_cells(todo, settings["jobs"], advance)
        found = listings(rows)
        write_rows(rows, run.path("benchmark.csv"))
        run.write_text("results.md", markdown(rows, found))
        run.write_text("config.yaml", settings["config"])
        run.write_json("environment.json", environment())

    for listing in found:
        show(rich_table(listing))
    paths({"results": run.final / "results.md", "numbers": run.final / "benchmark.csv"})


if __name__ == "__main__":
    app.main(prove_wrong, "verdict_benchmark")
