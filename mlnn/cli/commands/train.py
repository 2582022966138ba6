"""Train one model on one objective: a loss curve, a run folder."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from mlnn.cli.kept import keeping
from mlnn.cli.running import note, point_to, write_page
from mlnn.cli.said import Said
from mlnn.keys import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from mlnn.estimating.lesson.axis import Axis
    from mlnn.objectives import Objective


def run(settings: TrainSettings, said: Said) -> None:
    from mlnn import settings as build
    from mlnn.comparing.console import likelihood_table
    from mlnn.comparing.train_page import train_page
    from mlnn.comparing.trained import Trained
    from mlnn.errors import NoAnswerError
    from mlnn.estimating.lesson.lesson import Watch, lesson_of
    from mlnn.objectives import likelihood_of
    from mlnn.report.console import progress, show
    from mlnn.runs import read_trace
    from mlnn.training import LaneRecipe, lane_likelihood
    from mlnn.training import train as train_lane

    build.pin_threads(settings)
    data = build.dataset(settings)
    objective = build.objective(settings.objective, settings, data.targets, "objective", settings.outputs)
    recipe = build.recipe(settings, data, objective.targets.outputs, settings.steps)
    names = settings.names

    with keeping(settings, said) as keep:
        if keep is None:
            return
        folder = keep.place.run
        likelihood = likelihood_of(objective)
        watch = Watch(likelihood, recipe)
        lane_recipe = LaneRecipe(objective, build.optimizer_factory(settings))
        with progress("training") as advance:
            lane = train_lane(recipe, lane_recipe, keep.row, advance, watch, keep=keep)
        _write_rows(folder.path("trace.csv"), keep.all_rows())
        curve, reading = read_trace(folder.path("trace.csv")), lane_likelihood(recipe, lane)
        trained = Trained(
            objective=objective.name, model=names["model"], data=names["data"], optimizer=names["optimizer"],
            steps=settings.steps, dtype=settings.dtype, seed=settings.seed,
            batch_size=recipe.batch_size or len(recipe.table),
            likelihood=reading, mle=watch.course.found(lane.module), stopped=lane.stopped, not_bitwise=keep.place.mark,
        )  # fmt: skip
        if watch.course.looks:
            _write_rows(folder.path("course.csv"), [look.to_dict() for look in watch.course.looks])
        folder.write_json("data.json", recipe.table.to_dict())
        folder.write_json("about.json", trained.to_dict())
        axis, why_not = (None, "") if likelihood else _audited(objective, data.y)
        lesson = lesson_of(watch, recipe, lane, axis, why_not)
        write_page(folder, train_page(curve, trained, watch.course.looks, lesson), settings.figure)
        note(folder, settings, keep.place.kept["config"])
        keep.place.seal()

    if data.dropped:
        show(data.left_out)
    show(f"loss {curve['loss'][0]:.6g} → {curve['loss'][-1]:.6g} per row after {len(curve['loss'])} steps")
    show(likelihood_table(trained.likelihood))
    if trained.mle:
        show(trained.mle.sentence)
    if lane.stopped:
        where = "" if lane.stopped.row is None else f" in row {lane.stopped.row} (raw output {lane.stopped.output!r})"
        ended = f"stopped: {lane.stopped.what} not finite at step {lane.stopped.step}{where}"
        show(ended)
    point_to(folder.final, page="report.html", trace="trace.csv")
    if lane.stopped:
        raise NoAnswerError(f"the training ended non-finite ({ended}); what it recorded is in {folder.final}")


def _write_rows(path: Path, rows: "Iterable[Mapping[str, float]]") -> None:
    """A table of rows of numbers."""
    from mlnn.runs import TraceWriter

    with closing(TraceWriter(path)) as table:
        for row in rows:
            table.append(row)


def _audited(objective: "Objective", targets: "Tensor") -> tuple["Axis | None", str]:
    """What an audit says of a loss behind which no likelihood is known: how it stands to one that it is, and why it may not."""
    from mlnn.auditing import audit
    from mlnn.errors import MlnnError
    from mlnn.estimating.lesson.axis import axis_of_constants

    try:
        found = audit(objective, objective.targets, outputs=objective.outputs, name=objective.name)
    except MlnnError:  # there are losses that train and cannot be audited: of too many classes, say
        return None, ""
    said = found.sentence.partition(". ")[0].rstrip(".")
    if found.kind not in ("likelihood", "scaled likelihood") or found.scale is None:
        return None, f"{said}. So the curve has no second axis in log-likelihoods."
    axis = axis_of_constants(found.scale, found.constants or {}, targets)
    if axis is None:
        return None, f"{said}. What it leaves out for the sake of y is not known for all of these y: so no second axis."
    return axis, f"{said}."


def headline(folder: Path) -> dict[str, object]:
    """What a table of many trainings says of the one in `folder`."""
    from mlnn.runs import read_run

    found = read_run(folder)
    loss = found.trace["loss"]
    return {"loss": float(loss[-1]), "steps": len(loss), "stopped": bool(found.about["stopped"])}
