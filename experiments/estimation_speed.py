"""How long does a logistic regression with standard errors take, beside the packages that people use?"""

from mlnn import app


def compare_speed(settings: dict) -> None:
    from mlnn.environment import environment
    from mlnn.report.console import paths, progress, show
    from mlnn.report.estimate import speed_table
    from mlnn.runs import new_run
    from mlnn.speed import race

    sizes = {key: settings[key] for key in ("rows", "columns", "correlation", "repeats", "rivals", "seed")}
    with new_run(settings["out"], "estimation_speed", settings["overwrite"]) as run:
        with progress("fitting") as advance:
            found = race(**sizes, progress=advance)
        run.write_json("speed.json", {"sizes": sizes, "found": found})
        run.write_text("config.yaml", settings["config"])
        run.write_json("environment.json", environment())

    show(speed_table(found))
    paths({"numbers": run.final / "speed.json"})


if __name__ == "__main__":
    app.main(compare_speed, "estimation_speed")
