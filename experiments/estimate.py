"""The classical maximum-likelihood estimate of a (generalised) linear model, or the reason why there is none."""

from mlnn import app


def estimate(settings: dict) -> None:
    from mlnn.environment import environment
    from mlnn.errors import ConfigError, RequirementNotMetError
    from mlnn.estimator import estimated
    from mlnn.report.console import paths, progress, show
    from mlnn.report.estimate import estimate_page
    from mlnn.runs import new_run

    if settings["require"] not in (None, "mle"):
        raise ConfigError(f"require: {settings['require']!r}; mle is what can be required")
    with new_run(settings["out"], "estimate", settings["overwrite"]) as run:
        with progress("estimating") as advance:
            found, told, data = estimated(settings, advance)
        run.write_text("summary.txt", found.summary() + "\n")
        run.write_json("estimate.json", told)
        run.write_text("report.html", estimate_page(told, found.summary()))
        run.write_text("config.yaml", settings["config"])
        run.write_json("environment.json", environment())
        run.write_json("data.json", data.to_dict())

    print(found.summary())
    for sentence in told["sentences"]:
        show(sentence)
    paths({"page": run.final / "report.html", "numbers": run.final / "estimate.json"})
    if settings["require"] and found.separation != "none":
        raise RequirementNotMetError(f"required a finite estimate, found {found.separation} separation")


if __name__ == "__main__":
    app.main(estimate, "estimate")
