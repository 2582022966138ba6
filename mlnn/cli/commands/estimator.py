"""Which optimiser reaches the maximum-likelihood estimate, to how many digits, in how many passes over the data?"""

from functools import partial
from pathlib import Path

from mlnn.cli.compose import ladder
from mlnn.cli.parts import Parts
from mlnn.cli.running import answering, point_to, write_page
from mlnn.cli.said import Said
from mlnn.keys import EstimatorSettings


def run(settings: EstimatorSettings, said: Said) -> None:
    from mlnn.estimating.page import estimator_page, race_table
    from mlnn.estimating.race import race, write_rows
    from mlnn.report.console import progress, show

    cells = ladder(settings, said)
    with answering(settings, said) as folder:
        found, parts = [], Parts(len(cells))
        with progress(f"{len(cells)} trainings") as advance:
            for place, (name, cell) in enumerate(cells):

                def step(done: int, of: int, at: int = place) -> None:
                    advance(at * of + done, len(cells) * of)

                one = parts.try_one(f"{name}, seed {cell.seed}", partial(race, name, cell, step))
                found += [one] if one else []
        names = settings.names
        about = {key: names[key] for key in ("model", "data", "objective")} | {"dtype": settings.dtype}
        write_rows([one.result for one in found], folder.path("estimator.csv"))
        folder.write_json("estimator.json", [one.to_dict() for one in found])
        write_page(folder, estimator_page(found, about), settings.figure)

    show(race_table([one.result for one in found]))
    first = found[0].found
    show(first.sentence if not first.coefficients else "")
    point_to(folder.final, page="report.html", numbers="estimator.csv")
    parts.check()


def headline(_folder: Path) -> dict[str, object]:
    """What a table of many says of the run in `folder`: where it lies."""
    return {}
