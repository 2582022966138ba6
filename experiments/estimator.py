"""Which optimiser reaches the maximum-likelihood estimate, to how many digits, in how many passes over the data?"""

from mlnn import app


def race_all(settings: dict) -> None:
    from mlnn.environment import environment
    from mlnn.estimator import race, write_rows
    from mlnn.report.console import paths, progress, show
    from mlnn.report.estimate import estimator_page, race_table
    from mlnn.runs import new_run

    cells = app.ladder(settings, "estimator")
    with new_run(settings["out"], "estimator", settings["overwrite"]) as run:
        found = []
        with progress(f"{len(cells)} trainings") as advance:
            for place, (name, cell) in enumerate(cells):
                found.append(race(name, cell, lambda done, of, at=place: advance(at * of + done, len(cells) * of)))
        names = settings["names"]
        about = {key: names[key] for key in ("model", "data", "objective")} | {"dtype": settings["dtype"]}
        write_rows([one["row"] for one in found], run.path("estimator.csv"))
        run.write_json("estimator.json", found)
        run.write_text("report.html", estimator_page(found, about))
        run.write_text("config.yaml", settings["config"])
        run.write_json("environment.json", environment())

    show(race_table([one["row"] for one in found]))
    show(found[0]["found"]["sentence"] if not found[0]["found"]["coefficients"] else "")
    paths({"page": run.final / "report.html", "numbers": run.final / "estimator.csv"})


if __name__ == "__main__":
    app.main(race_all, "estimator")
