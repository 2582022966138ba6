"""Train one model on one objective: a loss curve, a run folder."""

from contextlib import closing

from mlnn import app


def train(settings: dict) -> None:
    from mlnn import settings as build
    from mlnn.environment import environment
    from mlnn.estimation import Course
    from mlnn.objectives import likelihood_of
    from mlnn.report.console import likelihood_table, paths, progress, show
    from mlnn.report.page import train_page
    from mlnn.runs import TraceWriter, new_run, read_trace
    from mlnn.training import LaneRecipe, lane_likelihood
    from mlnn.training import train as train_lane

    build.pin_threads(settings)
    data = build.dataset(settings)
    objective = build.objective(settings["objective"], settings, data.targets, "objective", settings["outputs"])
    recipe = build.recipe(settings, data, objective.targets.outputs)
    names = settings["names"]
    about = {
        "objective": objective.name,
        "model": names["model"],
        "data": names["data"],
        "optimizer": names["optimizer"],
    }
    about |= {key: settings[key] for key in ("steps", "dtype", "seed")}
    about["batch_size"] = recipe.batch_size or len(recipe.dataset)

    with new_run(settings["out"], "train", settings["overwrite"]) as run:
        course = Course(likelihood_of(objective), recipe.dataset, recipe.steps)
        lane_recipe = LaneRecipe(objective, build.optimizer_factory(settings))
        with progress("training") as advance, closing(TraceWriter(run.path("trace.csv"))) as trace:
            lane = train_lane(recipe, lane_recipe, trace.append, advance, course.watch)
        curve, reading = read_trace(run.path("trace.csv")), lane_likelihood(recipe, lane)
        about |= {"likelihood": reading.to_dict() if reading else None, "mle": course.found(lane.module)}
        if course.rows:
            with closing(TraceWriter(run.path("course.csv"))) as rows:
                for row in course.rows:
                    rows.append(row)
        run.write_text("config.yaml", settings["config"])
        run.write_json("environment.json", environment())
        run.write_json("data.json", recipe.dataset.to_dict())
        run.write_json("about.json", about | {"stopped": vars(lane.stopped) if lane.stopped else None})
        run.write_text("report.html", train_page(curve, about, course.rows))

    show(f"loss {curve['loss'][0]:.6g} → {curve['loss'][-1]:.6g} per row after {len(curve['loss'])} steps")
    show(likelihood_table(about["likelihood"]))
    if about["mle"]:
        show(about["mle"]["sentence"])
    if lane.stopped:
        where = "" if lane.stopped.row is None else f" in row {lane.stopped.row} (raw output {lane.stopped.output!r})"
        show(f"stopped: {lane.stopped.what} not finite at step {lane.stopped.step}{where}")
    paths({"page": run.final / "report.html", "trace": run.final / "trace.csv"})


if __name__ == "__main__":
    app.main(train, "train")
