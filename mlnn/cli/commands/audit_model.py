"""Is the loss of this model −log of a product over rows, and is its weight decay the prior it is said to be?"""

from pathlib import Path
from typing import Any

from mlnn.cli.running import answering, point_to, write_page
from mlnn.cli.said import Said
from mlnn.keys import AuditModelSettings


def run(settings: AuditModelSettings, said: Said) -> None:
    from mlnn import settings as build
    from mlnn.auditing_models import audit_model as certify
    from mlnn.auditing_models import prior_of
    from mlnn.auditing_models.page import layer_table, model_page
    from mlnn.report.console import show

    build.pin_threads(settings)
    data = build.dataset(settings)
    factory = build.model_factory(settings.model, data, settings.outputs, settings)
    decays = "weight_decay" in settings.optimizer
    with answering(settings, said) as folder:
        audited = certify(factory, data.x[: settings.rows], seed=settings.seed)
        prior = prior_of(build.optimizer_factory(settings), rows=len(data), seed=settings.seed) if decays else None
        told: dict[str, Any] = {
            "model": audited.to_dict(),
            "prior": prior.to_dict() if prior else None,
            "names": settings.names,
        }
        folder.write_json("model.json", told)
        write_page(folder, model_page(audited, prior, settings.names.get("data", "the data")), settings.figure)

    show(audited.sentence)
    show(layer_table(audited.layers))
    if prior:
        show(prior.sentence)
    point_to(folder.final, page="report.html", numbers="model.json")


def headline(folder: Path) -> dict[str, object]:
    """What a table of many says of the run in `folder`."""
    from mlnn.runs import read_json

    return {"sentence": read_json(folder / "model.json")["model"]["sentence"]}
