"""Do two objectives train the same network? Many lanes in lockstep, a verdict, a run folder."""

from pathlib import Path

from mlnn import app


def compare(settings: dict) -> None:
    from mlnn.agreement.relations import check_require
    from mlnn.comparison import unmet
    from mlnn.errors import RequirementNotMetError
    from mlnn.report.console import paths, progress, show, verdict_panel
    from mlnn.report.twin import distances
    from mlnn.runs import check_free
    from mlnn.settings import interval, run_comparison

    require, domain = settings["require"], interval(settings)
    check_require(require)
    if settings["out"] is not None:
        check_free(Path(settings["out"]), settings["overwrite"])
    if settings["seeds"] is not None:
        many_seeds(settings)
        return
    with progress("training all lanes") as advance:
        result = run_comparison(settings, advance)
    folder = result.save(settings["out"], config=settings["config"], overwrite=settings["overwrite"])

    show(verdict_panel(result.verdict.to_dict(), result.about))
    for sentence in distances(result.about["mle"]):
        show(sentence)
    paths({"page": folder / "report.html", "trace": folder / "trace.csv", "verdict": folder / "verdict.json"})
    if require is not None and not result.verdict.meets(require, domain):
        raise RequirementNotMetError(unmet(result.verdict, require, domain))


def many_seeds(settings: dict) -> None:
    """Every seed a comparison of its own; together one result."""
    from mlnn.environment import environment
    from mlnn.errors import RequirementNotMetError
    from mlnn.growth import growth, over_seeds, write_rows
    from mlnn.report.console import growth_table, paths, progress, show
    from mlnn.report.page import growth_page
    from mlnn.runs import new_run
    from mlnn.settings import interval

    with new_run(settings["out"], "compare", settings["overwrite"]) as run:
        cells = app.seeded(settings, "compare")
        with progress(f"{len(cells)} seeds") as advance:
            cells = growth(cells, run.path("seeds"), settings["jobs"], advance)
        rows, result = [cell["row"] for cell in cells], over_seeds(cells, settings["margin"])
        about = cells[0]["about"] | {"seed": ", ".join(str(seed) for seed in settings["seeds"])}
        write_rows(rows, run.path("seeds.csv"))
        run.write_json("verdict.json", result.to_dict())
        run.write_text("config.yaml", settings["config"])
        run.write_json("environment.json", environment())
        run.write_text("report.html", growth_page(rows, cells, about, result.sentence))

    show(growth_table(rows))
    show(result.sentence)
    paths(
        {"page": run.final / "report.html", "numbers": run.final / "seeds.csv", "verdict": run.final / "verdict.json"}
    )
    failed = [c for c in cells if settings["require"] and not c["meets"](settings["require"], interval(settings))]
    if failed:
        seeds = ", ".join(str(cell["seed"]) for cell in failed)
        raise RequirementNotMetError(
            f"required '{settings['require']}', not met by seed {seeds}: {failed[0]['verdict']['sentence']}"
        )


if __name__ == "__main__":
    app.main(compare, "compare")
