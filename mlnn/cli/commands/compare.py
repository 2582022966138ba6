"""Do two objectives train the same network? Many lanes in lockstep, a verdict, a run folder."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlnn.cli.compose import seeded
from mlnn.cli.kept import keeping
from mlnn.cli.launcher import is_chosen
from mlnn.cli.running import point_to, sized, write_page
from mlnn.cli.said import Said
from mlnn.errors import ConfigError
from mlnn.keys import CompareSettings

if TYPE_CHECKING:
    from mlnn.comparing.growth import GrowthCell
    from mlnn.runs import Study


def run(settings: CompareSettings, said: Said) -> None:
    from mlnn.comparing.comparison import unmet
    from mlnn.comparing.configured import interval, run_comparison
    from mlnn.comparing.console import verdict_panel
    from mlnn.errors import RequirementNotMetError
    from mlnn.estimating.classical_page import distances
    from mlnn.report.console import progress, show

    require, domain = settings.require, interval(settings)
    if settings.seeds is not None:
        many_seeds(settings, said)
        return
    if is_chosen(said):
        raise ConfigError(
            "hydra/launcher: one comparison is not divided; add -m, or seeds=[0,1,2], each a cell of its own"
        )
    with keeping(settings, said) as keep:
        if keep is None:
            return
        with progress("training all lanes") as advance:
            result = run_comparison(settings, advance, keep)
        if keep.place.mark:
            result.run = result.run.named({"not_bitwise": keep.place.mark})
        result.write(keep.place.run, keep.place.kept["config"], figures=sized(settings.figure))
        keep.place.seal()
    folder = keep.place.final

    verdict = result.verdict
    if "left_out" in result.data:
        show(str(result.data["left_out"]))
    show(verdict_panel(verdict, result.run))
    for sentence in distances(result.run.mle):
        show(sentence)
    point_to(folder, page="report.html", trace="trace.csv", verdict="verdict.json")
    if require is not None and not verdict.meets(require, domain):
        raise RequirementNotMetError(unmet(verdict, require, domain))


def headline(folder: Path) -> dict[str, object]:
    """What a table of many comparisons says of the one in `folder`."""
    from mlnn.comparing.growth import row_of, told
    from mlnn.runs import read_json, read_run

    found = read_json(folder / "verdict.json")
    if "gaps" in found:  # many seeds
        return {"relation": found["relation"]} | {name: gap[0] for name, gap in found["gaps"].items()}
    run = read_run(folder)
    row, verdict = row_of("", 0, run), told(run)[0]
    return {
        "relation": row.relation,
        "max_abs_loss_gap": row.max_abs_loss_gap,
        "gradient_gap": row.gradient_gap,
        "weight_gap": row.weight_gap,
        "float64_weight_gap": row.float64_weight_gap,
        "resolution": verdict.resolution,
        "steps": row.steps,
    }


def many_seeds(settings: CompareSettings, said: Said) -> None:
    """Every seed a comparison of its own; together one result."""
    from mlnn.workers import warm

    asked = seeded(settings, said)
    warm()
    from mlnn.cli.cells import train_cells
    from mlnn.comparing.configured import interval
    from mlnn.comparing.console import growth_table
    from mlnn.comparing.growth import over_seeds, write_rows
    from mlnn.comparing.growth_page import growth_page
    from mlnn.errors import RequirementNotMetError
    from mlnn.report.console import show

    def write(study: "Study", cells: Sequence["GrowthCell"]) -> None:
        result = over_seeds(cells, settings.margin)
        shared = replace(cells[0].run, seed=", ".join(str(cell.seed) for cell in cells))
        write_rows([cell.row for cell in cells], study.path("seeds.csv"))
        study.write_json("verdict.json", result.to_dict())
        write_page(study, growth_page(cells, shared, result.sentence), settings.figure)

    folder, cells = train_cells(settings, said, "compare", "seeds", asked, write)
    result = over_seeds(cells, settings.margin)
    show(growth_table([cell.row for cell in cells]))
    show(result.sentence)
    point_to(folder, page="report.html", numbers="seeds.csv", verdict="verdict.json")
    require, domain = settings.require, interval(settings)
    unmet = [cell for cell in cells if require and not cell.verdict.meets(require, domain)]
    if unmet:
        seeds = ", ".join(str(cell.seed) for cell in unmet)
        raise RequirementNotMetError(f"required '{require}', not met by seed {seeds}: {unmet[0].verdict.sentence}")
