"""Are two losses equal on paper? prove.py objective@left=… objective@right=… | loss=my_module:my_loss"""

from pathlib import Path

from mlnn.cli.running import answering, point_to, write_page
from mlnn.cli.said import Said
from mlnn.keys import ProveSettings


def run(settings: ProveSettings, said: Said) -> None:
    from mlnn.errors import RequirementNotMetError
    from mlnn.proving import prove
    from mlnn.proving.console import proof_panel
    from mlnn.proving.page import proof_page
    from mlnn.report.console import show
    from mlnn.settings import pin_threads, proved

    pin_threads(settings)
    (left, right), targets, names = proved(settings)
    with answering(settings, said) as folder:
        low, high = settings.domain
        found = prove(
            left, right, targets, domain=(low, high), tolerance=settings.tolerance, outputs=settings.outputs, boxes=settings.boxes
        )  # fmt: skip
        folder.write_json("proof.json", {"left": names[0], "right": names[1], **found.to_dict()})
        write_page(folder, proof_page(found, names), settings.figure)

    show(proof_panel(found, names))
    point_to(folder.final, page="report.html", numbers="proof.json")
    if settings.require is not None and not found.meets(settings.require):
        raise RequirementNotMetError(f"required '{settings.require}': {found.sentence}")


def headline(folder: Path) -> dict[str, object]:
    """What a table of many proofs says of the one in `folder`."""
    from mlnn.runs import read_json

    found = read_json(folder / "proof.json")
    return {key: found[key] for key in ("answer", "relation", "boxes") if key in found}
