"""`mlnn.compare` as settings describe it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mlnn.comparing.comparison import compare
from mlnn.comparing.finished import Comparison
from mlnn.comparing.looks import looks_at
from mlnn.comparing.plan import planned
from mlnn.comparing.together import compare_together
from mlnn.comparing.watched import Watched
from mlnn.keys import ComparedSettings, CompareSettings, GrowthSettings
from mlnn.runs.kept.keeper import Keeper
from mlnn.settings import dataset, lanes, pin_threads, recipe
from mlnn.world import own_world


def run_comparison(
    settings: ComparedSettings, progress: Callable[[int, int], None] | None = None, keep: Keeper | None = None
) -> Comparison:
    """`mlnn.compare` as the settings describe it."""
    pin_threads(settings)
    data = dataset(settings)
    left, right = lanes(settings, data)
    shared = recipe(settings, data, left.objective.targets.outputs, settings.steps)
    mode, looks = (settings.mode, settings.looks) if isinstance(settings, CompareSettings) else ("study", None)
    engine, every = _how(settings)
    return compare(
        shared.model, left, right, shared.table, optimizer=left.optimizer, steps=shared.steps,
        batch_size=shared.batch_size, dtype=shared.dtype, seed=shared.seed, null_twins=settings.null_twins,
        threads=settings.threads, device=shared.device, progress=progress, mode=mode, looks=looks, engine=engine,
        trace_every=every, about=_names(settings), proof=settings.proof, keep=keep,
    )  # fmt: skip


def beside(settings: ComparedSettings) -> dict[str, object] | None:
    """What comparisons have in common that may be tried as one, in plain data: all but the seed, that of the data and the model
    too. None of one that trains left alone, or its lanes one by one."""
    if _how(settings)[0] == "plain" or (isinstance(settings, CompareSettings) and settings.mode == "verdict"):
        return None
    told = {name: value for name, value in settings.told().items() if name != "seed"}
    for seeded in ("data", "model"):
        told[seeded] = {name: value for name, value in told[seeded].items() if name != "seed"}
    return told


def run_together(several: Sequence[ComparedSettings]) -> list[Comparison]:
    """What `run_comparison` gives, of settings that have all in common that `beside` tells; UnstackableError where they cannot be
    trained as one. What is refused has its own words there."""
    settings = several[0]
    pin_threads(settings)
    looks = settings.looks if isinstance(settings, CompareSettings) else None
    with own_world(settings.threads, settings.seed):
        data = [dataset(own) for own in several]
        left, right = (side.wrapped(data[0]) for side in lanes(settings, data[0]))
        outputs = left.objective.targets.outputs
        shared = [recipe(own, rows, outputs, own.steps) for own, rows in zip(several, data, strict=True)]
        watched = Watched(looks_at("study", looks, settings.steps), _how(settings)[1], progress=None, sink=None)
        first = planned(shared[0], left, right, settings.null_twins, watched, settings.proof)
        found = compare_together([replace(first, recipe=own) for own in shared], settings.threads)
    for comparison in found:
        comparison.run = comparison.run.named(_names(settings))
    return found


def _how(settings: ComparedSettings) -> tuple[str, int]:
    """(Engine, steps to a row of the trace)."""
    if isinstance(settings, CompareSettings | GrowthSettings):
        return settings.engine, settings.trace_every
    return "auto", 1


def _names(settings: ComparedSettings) -> dict[str, object]:
    """The names under which the settings know what is run."""
    return {key: settings.names[key] for key in ("model", "data") if settings.names.get(key)}


def interval(settings: CompareSettings) -> tuple[float, float] | None:
    """The `domain` setting as a pair."""
    return None if settings.domain is None else (float(settings.domain[0]), float(settings.domain[1]))
