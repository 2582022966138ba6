"""How long does a logistic regression with standard errors take, beside the packages that people use?"""

from mlnn.cli import main
from mlnn.cli.compose import Settings
from mlnn.cli.said import Said


def run(settings: Settings, _said: Said) -> None:
    from speed import race, speed_table

    from mlnn.report.console import paths, progress, show
    from mlnn.runs import new_run
    from mlnn.runs.environment import environment

    sizes = {key: settings[key] for key in ("rows", "columns", "correlation", "repeats", "rivals", "seed")}
    with new_run(settings["out"], "estimation_speed", settings["overwrite"]) as folder:
        with progress("fitting") as advance:
            found = race(**sizes, progress=advance)
        folder.write_json("speed.json", {"sizes": sizes, "found": found})
        folder.write_text("config.yaml", settings["config"])
        folder.write_json("environment.json", environment())

    show(speed_table(found))
    paths({"numbers": folder.final / "speed.json"})


if __name__ == "__main__":
    main("estimation_speed", run)
