"""Do two objectives train the same network? Many lanes in lockstep, a verdict, a run folder."""

from mlnn import app


def compare(settings: dict) -> None:
    from mlnn.agreement.relations import check_require
    from mlnn.comparison import unmet
    from mlnn.errors import RequirementNotMetError
    from mlnn.report.console import paths, progress, show, verdict_panel
    from mlnn.runs import check_free
    from mlnn.settings import interval, run_comparison

    require, domain = settings["require"], interval(settings)
    check_require(require)
    check_free(settings["out"], settings["overwrite"])
    with progress("training all lanes") as advance:
        result = run_comparison(settings, advance)
    folder = result.save(settings["out"], config=settings["config"], overwrite=settings["overwrite"])

    show(verdict_panel(result.verdict.to_dict(), result.about))
    paths({"page": folder / "report.html", "trace": folder / "trace.csv", "verdict": folder / "verdict.json"})
    if require is not None and not result.verdict.meets(require, domain):
        raise RequirementNotMetError(unmet(result.verdict, require, domain))


if __name__ == "__main__":
    app.main(compare, "compare")
