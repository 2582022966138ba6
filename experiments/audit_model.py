"""Is the loss of this model −log of a product over rows, and is its weight decay the prior it is said to be?"""

from mlnn import app


def audit_model(settings: dict) -> None:
    from mlnn import settings as build
    from mlnn.auditing import audit_model as certify
    from mlnn.auditing import prior_of
    from mlnn.environment import environment
    from mlnn.report.console import paths, show
    from mlnn.report.model import layer_table, model_page
    from mlnn.runs import new_run

    build.pin_threads(settings)
    data = build.dataset(settings)
    factory = build.model_factory(settings, data, settings["outputs"], settings)
    decays = "weight_decay" in settings["optimizer"]
    with new_run(settings["out"], "audit_model", settings["overwrite"]) as run:
        model = certify(factory, data.x[: settings["rows"]], seed=settings["seed"]).to_dict()
        prior = prior_of(build.optimizer_factory(settings), rows=len(data), seed=settings["seed"]) if decays else None
        told = {"model": model, "prior": prior.to_dict() if prior else None, "names": settings["names"]}
        run.write_json("model.json", told)
        run.write_text("report.html", model_page(told))
        run.write_text("config.yaml", settings["config"])
        run.write_json("environment.json", environment())

    show(model["sentence"])
    show(layer_table(model["layers"]))
    if prior:
        show(prior.sentence)
    paths({"page": run.final / "report.html", "numbers": run.final / "model.json"})


if __name__ == "__main__":
    app.main(audit_model, "audit_model")
