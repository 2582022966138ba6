"""`mlnn.compare` as settings describe it."""

from collections.abc import Callable, Sequence

from mlnn.comparing.comparison import Comparison, compare
from mlnn.errors import ConfigError
from mlnn.settings import Settings, dataset, lane, pin_threads, recipe


def run_comparison(settings: Settings, progress: Callable[[int, int], None] | None = None) -> Comparison:
    """`mlnn.compare` as the settings describe it."""
    pin_threads(settings)
    data = dataset(settings)
    left, right = (lane(side, settings, data) for side in ("left", "right"))
    shared = recipe(settings, data, left.objective.targets.outputs)
    names = {"model": settings["names"].get("model"), "data": settings["names"].get("data")}
    return compare(
        shared.model, left, right, shared.dataset, optimizer=left.optimizer, steps=shared.steps,
        batch_size=shared.batch_size, dtype=shared.dtype, seed=shared.seed, null_twins=settings["null_twins"],
        threads=settings["threads"], device=shared.device, progress=progress,
        about={key: name for key, name in names.items() if name},
    )  # fmt: skip


def interval(settings: Settings) -> tuple[float, float] | None:
    """The `domain` setting as a pair."""
    found = settings["domain"]
    if found is None:
        return None
    numbers = isinstance(found, Sequence) and len(found) == 2 and all(isinstance(end, int | float) for end in found)
    if not numbers or found[0] >= found[1]:
        raise ConfigError(f"domain: {found!r}; two raw outputs are needed, e.g. [-15, 15]")
    return float(found[0]), float(found[1])
