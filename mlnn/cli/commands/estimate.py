"""The classical maximum-likelihood estimate of a (generalised) linear model, or the reason why there is none."""

from pathlib import Path

from mlnn.cli.running import answering, point_to, write_page
from mlnn.cli.said import Said
from mlnn.keys import EstimateSettings


def run(settings: EstimateSettings, said: Said) -> None:
    from mlnn.errors import RequirementNotMetError
    from mlnn.estimating.configured import estimated
    from mlnn.estimating.page import estimate_page
    from mlnn.report.console import progress, show

    with answering(settings, said) as folder:
        with progress("estimating") as advance:
            told = estimated(settings, advance)
        summary, separation = told.found.summary(), told.found.separation
        folder.write_text("summary.txt", summary + "\n")
        folder.write_json("estimate.json", told.to_dict())
        write_page(folder, estimate_page(told), settings.figure)
        folder.write_json("data.json", told.data.to_dict())

    print(summary)
    for sentence in told.sentences:
        show(sentence)
    point_to(folder.final, page="report.html", numbers="estimate.json")
    if settings.require and separation != "none":
        what = "that cannot be told of this model" if separation == "unknown" else f"{separation} separation"
        raise RequirementNotMetError(f"required a finite estimate: {what}")


def headline(folder: Path) -> dict[str, object]:
    """What a table of many says of the run in `folder`."""
    from mlnn.runs import read_json

    found = read_json(folder / "estimate.json")
    return {key: found[key] for key in ("likelihood", "llf", "separation") if key in found}
