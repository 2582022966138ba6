"""`mlnn.compare` as settings describe it."""

from collections.abc import Callable

from mlnn.comparing.comparison import compare
from mlnn.comparing.finished import Comparison
from mlnn.keys import ComparedSettings, CompareSettings, GrowthSettings
from mlnn.settings import dataset, lanes, pin_threads, recipe


def run_comparison(settings: ComparedSettings, progress: Callable[[int, int], None] | None = None) -> Comparison:
    """`mlnn.compare` as the settings describe it."""
    pin_threads(settings)
    data = dataset(settings)
    left, right = lanes(settings, data)
    shared = recipe(settings, data, left.objective.targets.outputs, settings.steps)
    mode, looks = (settings.mode, settings.looks) if isinstance(settings, CompareSettings) else ("study", None)
    engine, every = "auto", 1
    if isinstance(settings, CompareSettings | GrowthSettings):
        engine, every = settings.engine, settings.trace_every
    names = {"model": settings.names.get("model"), "data": settings.names.get("data")}
    return compare(
        shared.model, left, right, shared.table, optimizer=left.optimizer, steps=shared.steps,
        batch_size=shared.batch_size, dtype=shared.dtype, seed=shared.seed, null_twins=settings.null_twins,
        threads=settings.threads, device=shared.device, progress=progress, mode=mode, looks=looks, engine=engine,
        trace_every=every, about={key: name for key, name in names.items() if name},
    )  # fmt: skip


def interval(settings: CompareSettings) -> tuple[float, float] | None:
    """The `domain` setting as a pair."""
    return None if settings.domain is None else (float(settings.domain[0]), float(settings.domain[1]))
