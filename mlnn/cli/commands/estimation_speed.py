"""How long does a logistic regression with standard errors take, beside the packages that people use?"""

from pathlib import Path
from typing import Any

from mlnn.cli.compose import Settings
from mlnn.cli.said import Said


def run(settings: Settings, _said: Said) -> None:
    from mlnn.environment import environment
    from mlnn.report.console import paths, progress, show
    from mlnn.report.estimate import speed_table
    from mlnn.runs import new_run
    from mlnn.speed import race

    sizes = {key: settings[key] for key in ("rows", "columns", "correlation", "repeats", "rivals", "seed")}
    with new_run(settings["out"], "estimation_speed", settings["overwrite"]) as folder:
        with progress("fitting") as advance:
            found = race(**sizes, progress=advance)
        folder.write_json("speed.json", {"sizes": sizes, "found": found})
        folder.write_text("config.yaml", settings["config"])
        folder.write_json("environment.json", environment())

    show(speed_table(found))
    paths({"numbers": folder.final / "speed.json"})


def headline(_folder: Path) -> dict[str, Any]:
    """What a table of many says of the run in `folder`: where it lies."""
    return {}
