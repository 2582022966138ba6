"""Which optimiser reaches the maximum-likelihood estimate, to how many digits, in how many passes over the data?"""

from functools import partial
from pathlib import Path

from mlnn.cli.compose import ladder
from mlnn.cli.kept import keeping
from mlnn.cli.parts import Parts
from mlnn.cli.running import note, point_to, write_page
from mlnn.cli.said import Said
from mlnn.keys import EstimatorSettings
from mlnn.runs.kept.keeper import Within


def run(settings: EstimatorSettings, said: Said) -> None:
    from mlnn.estimating.page import estimator_page, race_table
    from mlnn.estimating.race import Runner, race, write_rows
    from mlnn.report.console import progress, show
    from mlnn.settings import dataset

    cells = ladder(settings, said)
    with keeping(settings, said) as keep:
        if keep is None:
            return
        folder, parts, ended = keep.place.run, Parts(len(cells)), dict[str, Runner]()
        keep.begin("trainings one by one", (ended,), (), dataset(settings).fingerprint())
        keep.keep()  # what a training keeps below it lasts as long as this
        with progress(f"{len(cells)} trainings") as advance:
            for place, (name, cell) in enumerate(cells):

                def step(done: int, of: int, at: int = place) -> None:
                    advance(at * of + done, len(cells) * of)

                label = f"{name}, seed {cell.seed}"
                if label not in ended:
                    own = Within(keep, f"training-{place}")
                    one = parts.try_one(label, partial(race, name, cell, step, own))
                    ended |= {label: one} if one else {}
                keep.done(place + 1)
        keep.finished()
        found, names = list(ended.values()), settings.names
        about = {key: names[key] for key in ("model", "data", "objective")} | {"dtype": settings.dtype}
        about |= {"not_bitwise": keep.place.mark} if keep.place.mark else {}
        write_rows([one.result for one in found], folder.path("estimator.csv"))
        folder.write_json("estimator.json", [one.to_dict() for one in found])
        write_page(folder, estimator_page(found, about), settings.figure)
        note(folder, settings, keep.place.kept["config"])
        keep.place.seal()

    show(race_table([one.result for one in found]))
    first = found[0].found
    show(first.sentence if not first.coefficients else "")
    point_to(folder.final, page="report.html", numbers="estimator.csv")
    parts.check()


def headline(_folder: Path) -> dict[str, object]:
    """What a table of many says of the run in `folder`: where it lies."""
    return {}
