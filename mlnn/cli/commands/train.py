"""Train one model on one objective: a loss curve, a run folder."""

from contextlib import closing
from pathlib import Path

from mlnn.cli.kept import keeping
from mlnn.cli.running import note, point_to, write_page
from mlnn.cli.said import Said
from mlnn.keys import TrainSettings


def run(settings: TrainSettings, said: Said) -> None:
    from mlnn import settings as build
    from mlnn.comparing.console import likelihood_table
    from mlnn.comparing.train_page import train_page
    from mlnn.comparing.trained import Trained
    from mlnn.errors import NoAnswerError
    from mlnn.estimating import Trajectory
    from mlnn.objectives import likelihood_of
    from mlnn.report.console import progress, show
    from mlnn.runs import TraceWriter, read_trace
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
        course = Trajectory(likelihood_of(objective), recipe.table, recipe.steps)
        lane_recipe = LaneRecipe(objective, build.optimizer_factory(settings))
        with progress("training") as advance:
            lane = train_lane(recipe, lane_recipe, keep.row, advance, course.watch, keep=keep)
        with closing(TraceWriter(folder.path("trace.csv"))) as trace:
            for row in keep.all_rows():
                trace.append(row)
        curve, reading = read_trace(folder.path("trace.csv")), lane_likelihood(recipe, lane)
        trained = Trained(
            objective=objective.name, model=names["model"], data=names["data"], optimizer=names["optimizer"],
            steps=settings.steps, dtype=settings.dtype, seed=settings.seed,
            batch_size=recipe.batch_size or len(recipe.table),
            likelihood=reading, mle=course.found(lane.module), stopped=lane.stopped, not_bitwise=keep.place.mark,
        )  # fmt: skip
        if course.looks:
            with closing(TraceWriter(folder.path("course.csv"))) as rows:
                for look in course.looks:
                    rows.append(look.to_dict())
        folder.write_json("data.json", recipe.table.to_dict())
        folder.write_json("about.json", trained.to_dict())
        write_page(folder, train_page(curve, trained, course.looks), settings.figure)
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


def headline(folder: Path) -> dict[str, object]:
    """What a table of many trainings says of the one in `folder`."""
    from mlnn.runs import read_run

    found = read_run(folder)
    loss = found.trace["loss"]
    return {"loss": float(loss[-1]), "steps": len(loss), "stopped": bool(found.about["stopped"])}
