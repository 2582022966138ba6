"""How do two equal objectives drift apart as the architecture grows? A ladder of models, several seeds each."""

from mlnn import app


def grow(settings: dict) -> None:
    from mlnn.environment import environment
    from mlnn.growth import growth, write_rows
    from mlnn.report.console import growth_table, paths, progress, show
    from mlnn.report.page import growth_page
    from mlnn.report.still import growth_png
    from mlnn.runs import new_run
    from mlnn.settings import dataset

    rungs = app.ladder(settings)
    data = dataset(settings)
    about = {"left": settings["names"]["left"], "right": settings["names"]["right"], "data": settings["names"]["data"]}
    about |= {"optimizer": settings["names"]["optimizer"]}
    about |= {key: settings[key] for key in ("steps", "batch_size", "dtype")}

    with new_run(settings["out"], "growth", settings["overwrite"]) as run:
        with progress(f"{len(rungs)} comparisons") as advance:
            cells = growth(rungs, run.path("cells"), settings["jobs"], advance)
        rows = [cell["row"] for cell in cells]
        write_rows(rows, run.path("growth.csv"))
        growth_png(rows, run.path("growth.png"), about)
        run.write_text("report.html", growth_page(rows, cells, about))
        run.write_text("config.yaml", settings["config"])
        run.write_json("environment.json", environment())
        run.write_json("data.json", data.to_dict())

    show(growth_table(rows))
    paths({name: run.final / file for name, file in
                (("page", "report.html"), ("figure", "growth.png"), ("numbers", "growth.csv"))})  # fmt: skip


if __name__ == "__main__":
    app.main(grow, "growth")
