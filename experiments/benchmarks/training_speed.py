"""How fast does mlnn train, beside a plain loop, Lightning and JAX, and what does a comparison cost?"""

from dataclasses import asdict, dataclass, replace

from mlnn.cli import Script, main
from mlnn.cli.running import answering, point_to
from mlnn.cli.said import Said
from mlnn.keys import BaseSettings, above, at_least, key


@dataclass(frozen=True, kw_only=True)
class TrainingSpeedSettings(BaseSettings):
    """configs/training_speed.yaml"""

    networks: list[str] = key(["node", "mlp_1x32", "mlp_4x64", "mlp_8x64", "conv", "transformer"], "that are trained")
    dtypes: list[str] = key(["float32", "float64"], "float32, float64")
    models: list[int] = key([2, 16, 128], "trained at once, by mlnn and by JAX")
    rounds: int = key(5, "each side once a round, in turn", at_least(1))
    seconds: float = key(0.5, "of processor time that a side trains in a round", above(0))
    comparisons: int = key(3, "rounds of whole comparisons; 0: none", at_least(0))
    growth: bool = key(True, "whether to measure how time and memory grow")
    quick: bool = key(False, "a short form of all of it: fewer steps, rounds and sizes")


def run(settings: TrainingSpeedSettings, said: Said) -> None:
    from tables import in_markdown, rich_table
    from training_cells import Cell
    from training_growth import AXES, QUICK, draw, grown
    from training_race import in_its_own_process, race_comparing, race_training
    from training_sides import missing
    from training_tables import comparing_listings, growth_listing, training_listings

    from mlnn.report.console import progress, show

    if settings.quick:
        settings = replace(settings, rounds=2, seconds=0.05, comparisons=min(settings.comparisons, 2))
    cells = [Cell(network, dtype) for network in settings.networks for dtype in settings.dtypes]
    steps = 100 if settings.quick else None
    with answering(settings, said) as folder:
        with progress("training in turn") as advance:
            raced, compared = [], []
            for number, cell in enumerate(cells, 1):
                given = settings.models, settings.rounds, settings.seconds
                raced.append(in_its_own_process(race_training, cell, *given))
                if settings.comparisons:
                    compared.append(in_its_own_process(race_comparing, cell, settings.comparisons, steps))
                advance(number, len(cells))
        points = []
        if settings.growth:
            with progress("growing") as advance:
                points = grown(QUICK if settings.quick else AXES, advance)
        found = training_listings(raced, settings.models) + (comparing_listings(compared) if compared else [])
        if points:
            found.append(growth_listing(points))
            draw(points, folder.path("growth.png"))
        left_out = [f"not installed, and left out: {', '.join(missing())}"] if missing() else []
        told = {"training": raced, "comparing": compared, "growth": points}
        folder.write_json(
            "speed.json", {name: [asdict(one) for one in ones] for name, ones in told.items()} | {"left_out": missing()}
        )
        folder.write_text("results.md", in_markdown("Speed of training", found, left_out))

    for listing in found:
        show(rich_table(listing))
    for line in left_out:
        show(line)
    point_to(folder.final, results="results.md", numbers="speed.json", **({"figure": "growth.png"} if points else {}))


if __name__ == "__main__":
    main("training_speed", Script(TrainingSpeedSettings, run))
