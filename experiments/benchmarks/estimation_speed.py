"""How long does a logistic regression with standard errors take, beside the packages that people use?"""

from dataclasses import dataclass

from mlnn.cli import Script, main
from mlnn.cli.running import answering, point_to
from mlnn.cli.said import Said
from mlnn.keys import BaseSettings, at_least, key, share


@dataclass(frozen=True, kw_only=True)
class SpeedSettings(BaseSettings):
    """configs/estimation_speed.yaml"""

    rows: int = key(1_000_000, "of the data", at_least(1))
    columns: int = key(50, "of the data", at_least(1))
    correlation: float = key(0.0, "between any two columns", share)
    repeats: int = key(3, "alternating, each in a process of its own, warm and a process's first", at_least(1))
    rivals: list[str] = key(
        ["sklearn", "sklearn_tight", "statsmodels_glm", "statsmodels_logit", "glum"],
        "one that is not installed is left out",
    )


def run(settings: SpeedSettings, said: Said) -> None:
    from speed import race, speed_table

    from mlnn.report.console import progress, show

    named = ("rows", "columns", "correlation", "repeats", "rivals", "seed")
    told = settings.told()
    sizes = {key: told[key] for key in named}
    with answering(settings, said) as folder:
        with progress("fitting") as advance:
            found = race(**sizes, progress=advance)
        folder.write_json("speed.json", {"sizes": sizes, "found": found})

    show(speed_table(found))
    point_to(folder.final, numbers="speed.json")


if __name__ == "__main__":
    main("estimation_speed", Script(SpeedSettings, run))
