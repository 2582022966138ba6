"""How do two equal objectives drift apart as the architecture grows? A ladder of models, several seeds each."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlnn.cli.compose import ladder
from mlnn.cli.running import point_to, write_page
from mlnn.cli.said import Said
from mlnn.keys import GrowthSettings

if TYPE_CHECKING:
    from mlnn.comparing.growth import GrowthCell
    from mlnn.runs import Study


def run(settings: GrowthSettings, said: Said) -> None:
    from mlnn.workers import warm

    asked = ladder(settings, said)
    warm()
    from mlnn.cli.cells import train_cells
    from mlnn.comparing.console import growth_table
    from mlnn.comparing.growth import write_rows
    from mlnn.comparing.growth_page import growth_page
    from mlnn.comparing.records import RunInfo
    from mlnn.comparing.still import growth_png
    from mlnn.report.console import show

    names = settings.names
    shared = RunInfo(
        left=names["left"], right=names["right"], data=names["data"], optimizer=names["optimizer"],
        steps=settings.steps, batch_size=settings.batch_size, dtype=settings.dtype,
    )  # fmt: skip

    def write(study: "Study", cells: Sequence["GrowthCell"]) -> None:
        rows = [cell.row for cell in cells]
        write_rows(rows, study.path("growth.csv"))
        with study.writing("growth.png") as path:
            growth_png(rows, path, shared)
        write_page(study, growth_page(cells, shared), settings.figure)

    folder, cells = train_cells(settings, said, "growth", "cells", asked, write)
    show(growth_table([cell.row for cell in cells]))
    point_to(folder, page="report.html", figure="growth.png", numbers="growth.csv")


def headline(folder: Path) -> dict[str, object]:
    """What a table of many growths says of the one in `folder`: how many cells, and the weakest relation."""
    from mlnn.comparing.relations import weakest
    from mlnn.runs import read_table

    rows = read_table(folder / "growth.csv")
    return {"cells": len(rows), "relation": weakest(*(row["relation"] for row in rows))}
