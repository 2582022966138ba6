"""Is this network a maximum-likelihood estimate? A ladder of architectures, several seeds each, all on the same rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlnn.cli.compose import ladder
from mlnn.cli.launching import supervision
from mlnn.cli.parts import Parts
from mlnn.cli.running import answering, point_to, write_page
from mlnn.cli.said import Said
from mlnn.keys import BeyondOneNodeSettings

if TYPE_CHECKING:
    from mlnn.estimating.network.architecture import Architecture


def run(settings: BeyondOneNodeSettings, said: Said) -> None:
    from mlnn.workers import Call, side_by_side, warm

    by_rung: dict[str, list[BeyondOneNodeSettings]] = {}
    for name, cell in ladder(settings, said):
        by_rung.setdefault(name, []).append(cell)
    warm()
    from mlnn.estimating.network.page import network_page, network_table
    from mlnn.report.console import progress, show
    from mlnn.settings import dataset

    about: dict[str, Any] = {key: settings.names[key] for key in ("objective", "data", "optimizer")}
    about |= {"steps": settings.steps, "batch_size": settings.batch_size, "dtype": settings.dtype}
    at_once = side_by_side(settings.jobs, len(by_rung), settings.threads)

    with answering(settings, said) as folder:
        calls = [Call(architecture, rung, folder.path(f"{rung[0]}.log")) for rung in by_rung.items()]
        made, parts = {}, Parts(len(calls))
        with progress(f"{len(by_rung)} architectures") as advance:
            supervise = supervision(said, folder.partial)
            for outcome in supervise(calls, at_once=at_once, timeout=settings.job_timeout):
                name = calls[outcome.place].arguments[0]
                made[name] = parts.try_one(name, outcome.result)
                advance(len(made), len(by_rung))
        found = [one for name in by_rung if (one := made[name])]
        folder.write_json("network.json", [one.to_dict() for one in found])
        write_page(folder, network_page(found, about), settings.figure)
        folder.write_json("data.json", dataset(settings).to_dict())

    show(network_table(found))
    point_to(folder.final, page="report.html", numbers="network.json")
    parts.check()


def headline(_folder: Path) -> dict[str, object]:
    """What a table of many says of the run in `folder`: where it lies."""
    return {}


def architecture(name: str, cells: list[BeyondOneNodeSettings]) -> "Architecture":
    """Train one architecture from every seed, on the rows of the first, and say what its likelihood is."""
    from mlnn import settings as build
    from mlnn.errors import ConfigError, NoAnswerError
    from mlnn.estimating.network.architecture import architecture_of
    from mlnn.estimating.network.network import network_report
    from mlnn.objectives import likelihood_of
    from mlnn.training import LaneRecipe, train

    build.pin_threads(cells[0])
    data, modules = build.dataset(cells[0]), []
    for cell in cells:
        objective = build.objective(cell.objective, cell, data.targets, "objective", cell.outputs)
        likelihood = likelihood_of(objective)
        if likelihood is None:
            raise ConfigError(
                f"objective '{objective.name}': no likelihood is known for it; audit.py tells if it has one"
            )
        recipe = build.recipe(cell, data, objective.targets.outputs, cell.steps)
        lane = train(recipe, LaneRecipe(objective, build.optimizer_factory(cell)), lambda _: None)
        if lane.stopped:
            raise NoAnswerError(f"{name}, seed {cell.seed}: {lane.stopped.what} not finite at step {lane.stopped.step}")
        modules.append(lane.module)
    return architecture_of(name, [cell.seed for cell in cells], network_report(modules, likelihood, data))
